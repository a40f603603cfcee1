# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A partner server by script: it offers exactly what a test says, takes what is asked for, and keeps the steps.

It does not judge: whether a step was in order is the business of the server under test, and that of the test that
reads ``steps``. The other direction is in ``initiator``.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import secrets
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from typing import Self

from .lookup import Address
from .opening import ERROR, SERVER
from .partner import RESULT, STANZAS, VERIFY, dialback_key
from .security import SASL, TLS
from .tls import DEFAULT, Identity, Options, SecureStream, TlsError
from .wire import PeerClosed, Wire, attributes, condition_of, header

BIDI = "urn:xmpp:bidi"
ACKS = "urn:xmpp:sm:3"
LIMITS = "urn:xmpp:stream-limits:0"
BROKEN = (PeerClosed, TlsError, OSError, ET.ParseError, TimeoutError)


@dataclass(frozen=True)
class Offer:
    """What a server says that it can do, and how it answers those who ask for it."""

    starttls: str = ""  # or optional, required
    external: str = ""  # or secure (within TLS only), plain (without TLS too)
    dialback: str = ""  # or all, plain, secure: on which streams; `errors` as well as it pleases
    errors: bool = True
    bidi: bool = False
    acks: bool = False
    max_bytes: int | None = None
    direct: bool = False  # TLS from the first byte
    on_starttls: str = "proceed"  # or failure, silence, or whatever XML is to be said instead
    behind_proceed: str = ""  # in the same write as <proceed/>
    on_auth: str = "success"  # or failure
    on_result: str = "valid"  # or invalid, error, silence
    on_verify: str = "honest"  # or valid, invalid, error, silence

    def features(self, secure: bool, proven: bool) -> str:
        """The features element of a stream in this state."""
        inner = ""
        if self.starttls and not secure:
            inner += f"<starttls xmlns='{TLS}'>{'<required/>' if self.starttls == 'required' else ''}</starttls>"
        if not proven and (self.external == "plain" or (self.external and secure)):
            inner += f"<mechanisms xmlns='{SASL}'><mechanism>EXTERNAL</mechanism></mechanisms>"
        if self.dialback in ("all", "secure" if secure else "plain"):
            errors = "<errors/>" if self.errors else ""
            inner += f"<dialback xmlns='urn:xmpp:features:dialback'>{errors}</dialback>"
        if self.bidi and secure and not proven:
            inner += "<bidi xmlns='urn:xmpp:features:bidi'/>"
        if self.acks:
            inner += f"<sm xmlns='{ACKS}'/>"
        if self.max_bytes is not None:
            inner += f"<limits xmlns='{LIMITS}'><max-bytes>{self.max_bytes}</max-bytes></limits>"
        return f"<stream:features>{inner}</stream:features>"


EVERYTHING = Offer(starttls="optional", external="secure", dialback="all", bidi=True, acks=True, max_bytes=262_144)
NOTHING = Offer()


@dataclass
class Session:
    """One stream that was opened to the script, and all that happened on it."""

    wire: Wire
    steps: list[str] = field(default_factory=list)
    """In order: header, starttls, tls, auth, result, verify, message ...; a * behind says that it came in plain."""
    stanzas: list[ET.Element] = field(default_factory=list)
    tls: SecureStream | None = None
    authzid: str | None = None
    opened: dict[str, str] = field(default_factory=dict)
    proven: str = ""  # the method, once there is one
    error: tuple[str, str] | None = None  # the stream error with which the other side ended
    over: bool = False
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def add(self, step: str) -> None:
        async with self.news:
            self.steps.append(step if self.tls is not None or step in ("over", "failed tls") else f"{step}*")
            self.news.notify_all()

    async def until(self, step: str, timeout: float = 5.0) -> None:
        """Wait for a step, past or to come."""
        try:
            async with asyncio.timeout(timeout), self.news:
                await self.news.wait_for(lambda: step in self.steps)
        except TimeoutError:
            raise AssertionError(f"no {step!r} in {self.steps}, error {self.error}") from None


class Scripted:
    """``async with Scripted("partner.example", offer, identity) as server: session = await server.session()``"""

    def __init__(
        self,
        *domains: str,
        offer: Offer = NOTHING,
        identity: Identity | None = None,
        options: Options = DEFAULT,
        secret: str = "their secret",
        host: str = "127.0.0.1",
        patience: float = 20.0,
    ) -> None:
        self.domains, self.offer, self.identity, self.options = domains, offer, identity, options
        self.secret, self.host, self.patience, self.port = secret, host, patience, 0
        self.sessions: list[Session] = []
        self._fresh: asyncio.Queue[Session] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> Address:
        return self.host, self.port

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accepted, self.host, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_unused: object) -> None:
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for session in self.sessions:
            session.wire.abort()

    async def session(self, timeout: float = 5.0) -> Session:
        """The next stream that nobody has asked for yet."""
        async with asyncio.timeout(timeout):
            return await self._fresh.get()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(task := asyncio.current_task())  # type: ignore[arg-type]
        session = Session(Wire(reader, writer))
        self.sessions.append(session)
        self._fresh.put_nowait(session)
        with contextlib.suppress(*BROKEN):
            async with asyncio.timeout(self.patience):
                await self._serve(session)
        session.over = True
        await session.add("over")
        with contextlib.suppress(*BROKEN):
            await session.wire.close("" if session.wire.ended == "eof" else "</stream:stream>")
        self._tasks.discard(task)  # type: ignore[arg-type]

    async def _serve(self, session: Session) -> None:
        if self.offer.direct:
            await self._secure(session)
        await self._begin(session)
        while (element := await session.wire.element()) is not None:
            if not await self._take(session, element):
                return

    async def _secure(self, session: Session) -> None:
        try:
            session.tls = await session.wire.start_tls(self.identity, self.options, server=True)
        except TlsError:
            await session.add("failed tls")
            raise
        await session.add("tls")

    async def _begin(self, session: Session) -> None:
        session.opened = opened = await session.wire.header()
        await session.add("header")
        id_ = secrets.token_hex(8)
        session.opened["{id}"] = id_
        declared = bool(self.offer.dialback)  # old servers offer dialback by its namespace alone
        head = header(SERVER, dialback=declared, from_=opened.get("to"), to=opened.get("from"), id=id_, version="1.0")
        features = self.offer.features(session.tls is not None, bool(session.proven))
        await session.wire.send(f"<?xml version='1.0'?>{head}{features}")

    async def _take(self, session: Session, element: ET.Element) -> bool:
        kind = element.tag.rpartition("}")[2]
        wire = session.wire
        if element.tag == ERROR:
            session.error = condition_of(element)
            await session.add("error")
            return False
        await session.add(kind)
        if element.tag == f"{{{TLS}}}starttls":
            return await self._start_tls(session)
        if element.tag == f"{{{SASL}}}auth":
            await self._authenticate(session, element)
        elif element.tag == RESULT:
            await self._result(session, element)
        elif element.tag == VERIFY:
            await self._verify(session, element)
        elif element.tag == f"{{{ACKS}}}enable":
            await wire.send(f"<enabled xmlns='{ACKS}'/>")
        elif element.tag == f"{{{ACKS}}}r":
            await wire.send(f"<a xmlns='{ACKS}' h='{len(session.stanzas)}'/>")
        elif element.tag in STANZAS:
            session.stanzas.append(element)
            await session.add(f"{kind} {element.get('id', '')}".rstrip())
        return True

    async def _start_tls(self, session: Session) -> bool:
        how = self.offer.on_starttls
        if how == "proceed":
            await session.wire.send(f"<proceed xmlns='{TLS}'/>{self.offer.behind_proceed}")
            await self._secure(session)
            await self._begin(session)
            return True
        if how == "failure":
            await session.wire.send(f"<failure xmlns='{TLS}'/></stream:stream>")
        elif how != "silence":
            await session.wire.send(how)
        return how != "failure"

    async def _authenticate(self, session: Session, element: ET.Element) -> None:
        text = element.text or ""
        session.authzid = "" if text == "=" else base64.b64decode(text).decode()
        if self.offer.on_auth == "failure":
            await session.wire.send(f"<failure xmlns='{SASL}'><not-authorized/></failure>")
            return
        await session.wire.send(f"<success xmlns='{SASL}'/>")
        session.proven = "sasl_tls" if session.tls is not None else "sasl in plain"
        session.wire.restart()
        await self._begin(session)

    async def _result(self, session: Session, element: ET.Element) -> None:
        how = self.offer.on_result
        if how == "silence":
            return
        answer = attributes(from_=element.get("to"), to=element.get("from"), type=how)
        inner = (
            "<error type='cancel'><remote-connection-failed xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
            if how == "error"
            else ""
        )
        if how == "valid":
            session.proven = "tls_dialback" if session.tls is not None else "tcp_dialback"
        await session.wire.send(f"<db:result{answer}>{inner}</db:result>")

    async def _verify(self, session: Session, element: ET.Element) -> None:
        how = self.offer.on_verify
        asking, ours, id_ = (element.get(name, "") for name in ("from", "to", "id"))
        if how == "honest":
            how = "valid" if (element.text or "") == dialback_key(self.secret, asking, ours, id_) else "invalid"
        if how != "silence":
            await session.wire.send(f"<db:verify{attributes(from_=ours, to=asking, id=id_, type=how)}/>")
