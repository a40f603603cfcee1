# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A partner server: as made, of the kind that Google Talk was, plain TCP and proof by Server Dialback alone; with a
``Security`` one of today, with TLS, SASL EXTERNAL, and dialback within TLS if it says so.

It has users, speaks both directions of XEP-0220 with XEP-0185 keys, and finds other servers through the DNS server
that it is told (or through fixed ``routes``). A stranger is the same server under a domain that nobody listed. What
tests want to go wrong is set in ``Faults``.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
import xml.etree.ElementTree as ET
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from .accounts import Accounts
from .lookup import Address, NotFound, locate
from .opening import ERROR, SERVER, exchange_headers, open_stream
from .security import SASL, TLS, Security
from .stanzas import domain_of
from .tls import TlsError
from .wire import DIALBACK, PeerClosed, Wire, attributes, condition_of, header, stream_error

RESULT, VERIFY = f"{{{DIALBACK}}}result", f"{{{DIALBACK}}}verify"
STANZAS = tuple(f"{{{SERVER}}}{kind}" for kind in ("message", "presence", "iq"))
BROKEN = (PeerClosed, TlsError, OSError, TimeoutError, ET.ParseError)


def dialback_key(secret: str, receiving: str, originating: str, stream_id: str) -> str:
    """XEP-0185: the key is the hexadecimal text of the digest, not the digest."""
    key = hashlib.sha256(secret.encode()).hexdigest().encode()
    return hmac.new(key, f"{receiving} {originating} {stream_id}".encode(), hashlib.sha256).hexdigest()


@dataclass(slots=True)
class Faults:
    """How this server misbehaves; as made, it does not."""

    verify_answer: str = "honest"  # or valid, invalid, error, silence, close
    wrong_key: bool = False  # proves itself with a key that is not its own
    result_answer: str = "honest"  # or valid, invalid, error, silence
    mute: bool = False  # accepts connections and never says a word


class Partner(Accounts):
    """``async with Partner("gmail.example", users=[...], resolver=(host, port)) as partner: ...``"""

    def __init__(
        self,
        *domains: str,
        users: Iterable[str] = (),
        resolver: Address | None = None,
        routes: Mapping[str, Address] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        version: str | None = "1.0",
        timeout: float = 10.0,
        security: Security | None = None,
    ) -> None:
        super().__init__(domains, users)
        self.security = security
        self.resolver, self.routes = resolver, dict(routes or {})
        self.host, self.port, self.version, self.timeout = host, port, version, timeout
        self.faults = Faults()
        self.secret = secrets.token_hex(32)
        self.links: dict[tuple[str, str], Link] = {}
        self.accepted: list[Wire] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_unused: object) -> None:
        self._server.close()
        for wire in [*self.accepted, *(link.wire for link in self.links.values() if link.wire)]:
            await wire.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run beside everything else, until this server ends."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def locate(self, domain: str) -> Address:
        if domain in self.routes:
            return self.routes[domain]
        if self.resolver is None:
            raise NotFound(f"no route and no DNS server to find {domain}")
        return await locate(domain, self.resolver)

    # -- outgoing streams

    async def route(self, text: str, sender: str, to: str) -> None:
        pair = domain_of(sender), domain_of(to)
        if pair[1] in self.domains:
            if answer := self.arrived(ET.fromstring(text)):
                await self.send(answer)
            return
        link = self.links.get(pair)
        if link is None or link.over:
            link = self.links[pair] = Link(self, *pair)
            self.spawn(link.run())
        link.queue.put_nowait(text)

    async def verified_stream(self, local: str, remote: str) -> Link:
        """The authenticated stream of a pair, for a test that wants to write to it byte by byte."""
        link = self.links.get((local, remote))
        if link is None or link.over:
            link = self.links[local, remote] = Link(self, local, remote)
            self.spawn(link.run())
        await asyncio.wait_for(link.ready.wait(), self.timeout)
        if link.over:
            raise PeerClosed(link.reason)
        return link

    # -- incoming streams

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = Wire(reader, writer)
        self.accepted.append(wire)
        self._tasks.add(task := asyncio.current_task())
        try:
            if not self.faults.mute:
                await Incoming(self, wire).run()
            else:
                await wire.wait_end()
        except (PeerClosed, TlsError, ET.ParseError) as problem:
            self.note("stream broken", text=str(problem))
        finally:
            self._tasks.discard(task)
            self.accepted.remove(wire)
            await wire.close(last="" if wire.ended == "eof" else "</stream:stream>")


class Link:
    """One outgoing stream, for one pair of domains."""

    def __init__(self, server: Partner, local: str, remote: str) -> None:
        self.server, self.local, self.remote = server, local, remote
        self.queue: asyncio.Queue[str] = asyncio.Queue()
        self.ready = asyncio.Event()  # set once authenticated, or over
        self.over = False
        self.reason = ""
        self.condition = "remote-server-not-found"
        self.method = ""  # by which the other side took our name for proven
        self.wire: Wire | None = None

    async def run(self) -> None:
        try:
            async with asyncio.timeout(self.server.timeout):
                await self._authenticate()
            self.server.note("link up", local=self.local, remote=self.remote, method=self.method)
            self.ready.set()
            await self._serve()
        except NotFound as problem:
            self.reason = str(problem)
        except (*BROKEN,) as problem:
            self.condition, self.reason = "remote-server-timeout", str(problem) or type(problem).__name__
        finally:
            self._finish()
        if self.wire:
            await self.wire.close()

    def _finish(self) -> None:
        """What could not leave goes back to its senders."""
        self.over = True
        self.ready.set()
        self.server.note("link down", local=self.local, remote=self.remote, text=self.reason)
        while not self.queue.empty():
            self.server.bounce(self.queue.get_nowait(), "cancel", self.condition, self.reason)

    async def _authenticate(self) -> None:
        self.wire = wire = await Wire.connect(*await self.server.locate(self.remote))
        opened = await open_stream(wire, self.server, self.local, self.remote)
        security = self.server.security
        if security is not None and security.external and "EXTERNAL" in opened.offered:
            await self._external(wire)
            return
        if security is not None and not security.dialback:
            raise PeerClosed("it does not offer SASL EXTERNAL")
        secret = "not the secret" if self.server.faults.wrong_key else self.server.secret
        key = dialback_key(secret, self.remote, self.local, opened.id)
        await wire.send(f"<db:result{attributes(from_=self.local, to=self.remote)}>{key}</db:result>")
        result = await wire.expect(RESULT)
        if (result.get("from"), result.get("to"), result.get("type")) != (self.remote, self.local, "valid"):
            why = " ".join(condition_of(result[0])) if len(result) else ""
            raise PeerClosed(f"dialback: {result.get('type')} {why}".rstrip())
        self.method = "tcp_dialback" if wire.tls is None else "tls_dialback"

    async def _external(self, wire: Wire) -> None:
        authzid = base64.b64encode(self.local.encode()).decode()
        await wire.send(f"<auth xmlns='{SASL}' mechanism='EXTERNAL'>{authzid}</auth>")
        await wire.expect(f"{{{SASL}}}success")
        wire.restart()
        await exchange_headers(wire, self.server, self.local, self.remote)
        self.method = "sasl_tls"

    async def _serve(self) -> None:
        reading = taking = asyncio.create_task(self._read())
        try:
            while not reading.done():
                taking = asyncio.create_task(self.queue.get())
                await asyncio.wait({reading, taking}, return_when=asyncio.FIRST_COMPLETED)
                if reading.done() and taking.done():
                    self.queue.put_nowait(taking.result())
                elif taking.done():
                    await self.wire.send(taking.result())
                else:
                    taking.cancel()
        finally:
            taking.cancel()
            reading.cancel()

    async def _read(self) -> None:
        while (element := await self.wire.element()) is not None:
            if element.tag == ERROR:
                self.reason = "stream error {}: {}".format(*condition_of(element))
                return
        self.reason = self.reason or "the other side closed the stream"


class Incoming:
    """One accepted stream: the receiving and the authoritative part of dialback, and stanzas of proven pairs."""

    def __init__(self, server: Partner, wire: Wire) -> None:
        self.server, self.wire, self.faults = server, wire, server.faults
        self.stream_id = secrets.token_hex(16)
        self.proven: set[tuple[str, str]] = set()  # (local, remote)
        self.local = self.remote = ""

    async def run(self) -> None:
        while await self._stream():
            self.wire.restart()
            self.stream_id = secrets.token_hex(16)

    async def _stream(self) -> bool:
        """One stream on the connection; True when another begins, within TLS or after SASL."""
        opened = await self.wire.header()
        version = self.server.version if opened.get("version") else None
        domain = opened.get("to", self.server.domains[0])
        await self.wire.send("<?xml version='1.0'?>")
        await self.wire.send(header(SERVER, from_=domain, to=opened.get("from"), id=self.stream_id, version=version))
        if domain not in self.server.domains:
            await self._refuse("host-unknown", f"{domain} is not served here")
            return False
        self.local, self.remote = domain, opened.get("from", "")
        if version:
            await self.wire.send(f"<stream:features>{self._features()}</stream:features>")
        while (element := await self.wire.element()) is not None:
            if element.tag == f"{{{TLS}}}starttls" and self.server.security is not None:
                await self.wire.send(f"<proceed xmlns='{TLS}'/>")
                await self.wire.start_tls(self.server.security.identity, server=True)
                return True
            if element.tag == f"{{{SASL}}}auth":
                return await self._external()
            if not await self._take(element):
                break
        return False

    def _features(self) -> str:
        security, tls = self.server.security, self.wire.tls
        dialback = "<dialback xmlns='urn:xmpp:features:dialback'/>"
        if security is None:
            return dialback
        if tls is None:
            return f"<starttls xmlns='{TLS}'><required/></starttls>"
        inner = dialback if security.dialback else ""
        if security.external and not self.proven and security.trusts(tls.peer_chain, self.remote):
            inner += f"<mechanisms xmlns='{SASL}'><mechanism>EXTERNAL</mechanism></mechanisms>"
        return inner

    async def _external(self) -> bool:
        security, tls = self.server.security, self.wire.tls
        if security is None or tls is None or not security.trusts(tls.peer_chain, self.remote):
            await self._refuse("not-authorized", "the certificate does not prove it")
            return False
        self.proven.add((self.local, self.remote))
        self.server.note("authenticated", local=self.local, remote=self.remote, method="sasl_tls")
        await self.wire.send(f"<success xmlns='{SASL}'/>")
        return True

    async def _take(self, element: ET.Element) -> bool:
        if element.tag == VERIFY:
            return await self._answer_verify(element)
        security = self.server.security
        if element.tag == RESULT and security is not None and not (security.dialback and self.wire.tls):
            await self._refuse("not-authorized", "there is no dialback on this stream")
            return False
        if element.tag == RESULT:
            self.server.spawn(self._check_result(element))
            return True
        if element.tag in STANZAS:
            return await self._stanza(element)
        if element.tag == ERROR:
            self.server.note("stream error received", condition=condition_of(element)[0])
            return False
        await self._refuse("unsupported-stanza-type", element.tag)
        return False

    async def _stanza(self, element: ET.Element) -> bool:
        sender, to = element.get("from", ""), element.get("to", "")
        if (domain_of(to), domain_of(sender)) not in self.proven:
            await self._refuse("invalid-from", f"{sender} to {to}: not proven on this stream")
            return False
        reply = self.server.arrived(element)
        if reply:
            await self.server.send(reply)
        return True

    async def _answer_verify(self, element: ET.Element) -> bool:
        asking, ours = element.get("from", ""), element.get("to", "")
        wanted = dialback_key(self.server.secret, asking, ours, element.get("id", ""))
        answer = self.faults.verify_answer
        if answer == "silence":
            return True
        if answer == "close":
            return False
        if answer == "honest":
            answer = "valid" if ours in self.server.domains and (element.text or "") == wanted else "invalid"
        self.server.note("verify answered", remote=asking, local=ours, answer=answer)
        head = attributes(from_=ours, to=asking, id=element.get("id"), type=answer)
        await self.wire.send(f"<db:verify{head}/>")
        return True

    async def _check_result(self, element: ET.Element) -> None:
        remote, local = element.get("from", ""), element.get("to", "")
        answer = self.faults.result_answer
        if answer == "silence":
            return
        if local not in self.server.domains:
            await self._refuse("host-unknown", f"{local} is not served here")
            return
        if answer == "honest":
            try:
                async with asyncio.timeout(self.server.timeout):
                    answer = await self._verify(remote, local, element.text or "")
            except (NotFound, *BROKEN) as problem:
                self.server.note("verify failed", remote=remote, text=str(problem))
                await self._refuse("remote-connection-failed", f"{remote}: {problem}")
                return
        if answer == "valid":
            self.proven.add((local, remote))
        self.server.note("result answered", remote=remote, local=local, answer=answer)
        await self.wire.send(f"<db:result{attributes(from_=local, to=remote, type=answer)}/>")
        if answer == "invalid":
            await self.wire.close()

    async def _verify(self, remote: str, local: str, key: str) -> str:
        """Ask the server that DNS names for ``remote`` whether it made this key."""
        wire = await Wire.connect(*await self.server.locate(remote))
        try:
            await open_stream(wire, self.server, local, remote)
            head = attributes(from_=local, to=remote, id=self.stream_id)
            await wire.send(f"<db:verify{head}>{key}</db:verify>")
            answer = await wire.expect(VERIFY)
            if (answer.get("from"), answer.get("to"), answer.get("id")) != (remote, local, self.stream_id):
                raise PeerClosed("the answer is for another question")
            return answer.get("type", "error")
        finally:
            await wire.close()

    async def _refuse(self, condition: str, text: str) -> None:
        self.server.note("refused", condition=condition, text=text)
        await self.wire.close(stream_error(condition, text))
