# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A chat client of a real server: plain TCP on loopback, SASL PLAIN, one resource, a mailbox."""

from __future__ import annotations

import asyncio
import base64
import xml.etree.ElementTree as ET
from typing import Self

from .accounts import Mailbox
from .lookup import Address
from .stanzas import Stanza, split
from .wire import STREAMS, PeerClosed, Wire, header

CLIENT = "jabber:client"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
BIND = "urn:ietf:params:xml:ns:xmpp-bind"
REGISTER = "jabber:iq:register"
ROSTER = "jabber:iq:roster"


class Client:
    """``async with Client("alice@inside.example", "password", server) as alice: ...``"""

    def __init__(
        self, address: str, password: str, server: Address, *, register: bool = False, resource: str = "tests"
    ) -> None:
        self.address, self.password, self.server, self.resource = address, password, server, resource
        self.local, self.domain, _unused = split(address)
        self._register = register
        self.mailbox = Mailbox()

    @property
    def full(self) -> str:
        return f"{self.address}/{self.resource}"

    async def __aenter__(self) -> Self:
        self.wire = await Wire.connect(*self.server)
        async with asyncio.timeout(10):
            await self._open()
            if self._register:
                await self._make_account()
            await self._authenticate()
        self._reading = asyncio.create_task(self._read())
        await self.send("<presence/>")
        return self

    async def __aexit__(self, *_unused: object) -> None:
        await self.wire.close()
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _open(self) -> None:
        await self.wire.send(header(CLIENT, dialback=False, to=self.domain, version="1.0"))
        await self.wire.header()
        await self.wire.expect(f"{{{STREAMS}}}features")

    async def _make_account(self) -> None:
        fields = f"<username>{self.local}</username><password>{self.password}</password>"
        await self._iq(f"<query xmlns='{REGISTER}'>{fields}</query>", "made")

    async def _authenticate(self) -> None:
        plain = base64.b64encode(f"\0{self.local}\0{self.password}".encode()).decode()
        await self.wire.send(f"<auth xmlns='{SASL}' mechanism='PLAIN'>{plain}</auth>")
        await self.wire.expect(f"{{{SASL}}}success")
        self.wire.restart()
        await self._open()
        await self._iq(f"<bind xmlns='{BIND}'><resource>{self.resource}</resource></bind>", "bound")
        # Servers tell of subscriptions only those who asked for the roster.
        await self._iq(f"<query xmlns='{ROSTER}'/>", "roster", "get")

    async def _iq(self, content: str, id_: str, type_: str = "set") -> None:
        await self.wire.send(f"<iq type='{type_}' id='{id_}'>{content}</iq>")
        answer = await self.wire.expect(f"{{{CLIENT}}}iq")
        if answer.get("type") != "result":
            raise PeerClosed(f"{id_}: {ET.tostring(answer, encoding='unicode')}")

    async def send(self, text: str) -> None:
        await self.wire.send(text)

    async def _read(self) -> None:
        while (element := await self.wire.element()) is not None:
            if element.tag.startswith(f"{{{CLIENT}}}"):
                stanza = Stanza.of(element)
                if stanza.is_ping:
                    await self.send(f"<iq to='{stanza.sender}' id='{stanza.id}' type='result'/>")
                self.mailbox.put(stanza)

    async def wait(self, timeout: float = 10.0, **wanted: str) -> Stanza:
        """The next unread stanza with these fields."""
        return await self.mailbox.wait(lambda stanza: all(getattr(stanza, n) == v for n, v in wanted.items()), timeout)
