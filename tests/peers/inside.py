# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An XMPP server behind the edge: it accepts XEP-0114 components and has users of its own.

``style`` says whose habits it has. Like Prosody, it takes one name a connection and refuses a second connection for it;
like ejabberd, a connection under any of the names gets the traffic of all of them. Both close the link of a component
that sends from an address that is not in its domain, in exactly the form of that domain.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from typing import Self

from .accounts import Accounts
from .stanzas import Stanza, domain_of, error, fold, split
from .wire import STREAMS, PeerClosed, Wire, condition_of, header, stream_error

COMPONENT = "jabber:component:accept"
STANZAS = tuple(f"{{{COMPONENT}}}{kind}" for kind in ("message", "presence", "iq"))


class Inside(Accounts):
    """``async with Inside("inside.example", users=[...], components=["gmail.example"], secret=...) as inside: ...``"""

    def __init__(
        self,
        *domains: str,
        users: Iterable[str] = (),
        components: Iterable[str] = (),
        secret: str = "",
        style: str = "prosody",
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        super().__init__(domains, users)
        self.components = set(components)
        self.secret, self.style, self.host, self.port = secret or self._make_secret(), style, host, port
        self.links: dict[str, Wire] = {}
        self.changed = asyncio.Condition()
        self._wires: set[Wire] = set()

    @staticmethod
    def _make_secret() -> str:
        return secrets.token_hex(16)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_unused: object) -> None:
        self._server.close()
        for wire in tuple(self._wires):
            await wire.close()

    async def wait_linked(self, *names: str, timeout: float = 10.0) -> None:
        """Wait until these components (all, when none is named) are connected."""
        async with asyncio.timeout(timeout), self.changed:
            await self.changed.wait_for(lambda: set(names or self.components) <= set(self.links))

    async def drop(self, name: str) -> None:
        """Lose a component's connection, as in a restart of this server."""
        self.links[name].abort()
        async with self.changed:
            await self.changed.wait_for(lambda: name not in self.links)

    async def route(self, text: str, sender: str, to: str) -> None:
        name = domain_of(to)
        if name in self.domains:
            if answer := self.arrived(ET.fromstring(text)):
                await self.send(answer)
        elif name in self.links:
            await self.links[name].send(text)
        elif name in self.components:
            self.bounce(text, "wait", "remote-server-timeout", "the component is not connected")
        else:
            self.bounce(text, "cancel", "remote-server-not-found", f"{name} is not known here")

    # -- components

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = Wire(reader, writer)
        self._wires.add(wire)
        names: set[str] = set()
        try:
            names = await self._handshake(wire)
            while names and (element := await wire.element()) is not None:
                if not await self._take(wire, names, element):
                    break
        except (PeerClosed, ET.ParseError) as problem:
            self.note("link broken", text=str(problem))
        finally:
            self._wires.discard(wire)
            async with self.changed:
                self.links = {name: other for name, other in self.links.items() if other is not wire}
                self.changed.notify_all()
            await wire.close(last="" if wire.ended == "eof" else "</stream:stream>")

    async def _handshake(self, wire: Wire) -> set[str]:
        """The names that the connection now carries; none when it was refused."""
        opened = await wire.header()
        name, stream_id = opened.get("to", ""), secrets.token_hex(8)
        await wire.send("<?xml version='1.0'?>" + header(COMPONENT, dialback=False, from_=name, id=stream_id))
        if opened["{content}"] != COMPONENT:
            return await self._refuse(wire, name, "invalid-namespace", opened["{content}"])
        if name not in self.components:
            return await self._refuse(wire, name, "host-unknown", f"{name} is not a component here")
        shaken = await wire.expect(f"{{{COMPONENT}}}handshake")
        wanted = hashlib.sha1((stream_id + self.secret).encode()).hexdigest()
        if not hmac.compare_digest((shaken.text or "").encode(), wanted.encode()):
            return await self._refuse(wire, name, "not-authorized", "the handshake is wrong")
        if self.style == "prosody" and name in self.links:
            return await self._refuse(wire, name, "conflict", f"{name} is connected already")
        await wire.send("<handshake/>")
        names = {name} if self.style == "prosody" else set(self.components)
        async with self.changed:
            self.links |= dict.fromkeys(names, wire)
            self.changed.notify_all()
        self.note("component up", name=name, carries=sorted(names))
        return names

    async def _take(self, wire: Wire, names: set[str], element: ET.Element) -> bool:
        if element.tag == f"{{{STREAMS}}}error":
            self.note("stream error received", condition=condition_of(element)[0])
            return False
        if element.tag not in STANZAS:
            await self._refuse(wire, "", "unsupported-stanza-type", element.tag)
            return False
        stanza = Stanza.of(element)
        if not self._may_send(stanza.sender, names):
            await self._refuse(wire, "", "invalid-from", f"<{stanza.sender}> is not in {', '.join(sorted(names))}")
            return False
        if not stanza.to:
            answer = None if stanza.is_answer else error(stanza, "modify", "bad-request", "a stanza needs a 'to'")
        elif domain_of(stanza.to) not in self.domains:
            answer = None if stanza.is_answer else error(stanza, "cancel", "remote-server-not-found")
        else:
            answer = self.arrived(element)
        if answer:
            await wire.send(answer)
        return True

    @staticmethod
    def _may_send(sender: str, names: set[str]) -> bool:
        local, domain, _unused = split(sender)
        empty_part = sender.startswith("@") or sender.endswith("/")
        return domain in names and not empty_part and local == fold(local)

    async def _refuse(self, wire: Wire, name: str, condition: str, text: str) -> set[str]:
        self.note("component refused", name=name, condition=condition, text=text)
        await wire.send(stream_error(condition, text))
        return set()
