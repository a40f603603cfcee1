# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A look at who is behind an address, without becoming anybody's stream."""

from __future__ import annotations

import asyncio

from ..stream.settings import Settings
from ..xml import namespaces
from ..xml.parser import Parser, StreamStart
from ..xml.writer import stream_header


class Knock(asyncio.Protocol):
    """A bare TCP connection that at most says good day."""

    def __init__(self) -> None:
        self.peer = ""
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._parser = Parser(Settings().before)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.peer = str(transport.get_extra_info("peername")[0])

    def data_received(self, data: bytes) -> None:
        for event in self._parser.feed(data):
            # Whoever says anything else first has no stream for us.
            self._settle(event.attrs.get("id") if isinstance(event, StreamStart) else None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._parser.close()
        self._settle(None)

    async def greet(self, domain: str) -> str | None:
        """Open a stream and give the id that the other side chose for it."""
        assert self._transport is not None
        self._transport.write(stream_header(namespaces.SERVER, {"to": domain, "version": "1.0"}))
        try:
            async with asyncio.timeout(5):
                return await self._answer
        except TimeoutError:
            return None

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _settle(self, stream_id: str | None) -> None:
        if not self._answer.done():
            self._answer.set_result(stream_id)
