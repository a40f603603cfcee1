# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A look at who is behind an address, without becoming anybody's stream."""

from __future__ import annotations

import asyncio
import re

_ID = re.compile(rb"""\sid=['"]([^'"]{1,128})['"]""")


class Knock(asyncio.Protocol):
    """A bare TCP connection that at most says good day."""

    def __init__(self) -> None:
        self.peer = ""
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.peer = str(transport.get_extra_info("peername")[0])

    def data_received(self, data: bytes) -> None:
        self._data += data[:4096]
        found = _ID.search(self._data)
        if found is not None and not self._answer.done():
            self._answer.set_result(found.group(1).decode("ascii", "replace"))
        elif len(self._data) > 8192:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._answer.done():
            self._answer.set_result(None)

    async def greet(self, domain: str) -> str | None:
        """Open a stream and give the id that the other side chose for it."""
        assert self._transport is not None
        self._transport.write(
            (
                "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'"
                f" xmlns:db='jabber:server:dialback' to='{domain}' version='1.0'>"
            ).encode()
        )
        try:
            async with asyncio.timeout(5):
                return await self._answer
        except TimeoutError:
            return None

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()
