# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A peer that does nothing by itself: every byte that it sends is in the test, every byte that it gets is kept.

``connect`` goes to the server under test, ``Listener`` is where that server connects to.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import Self

from .lookup import Address
from .tls import DEFAULT, Identity, Options, SecureStream


class RawPeer:
    """One TCP connection. ``received`` holds all that came, read or not yet waited for."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader: asyncio.StreamReader | SecureStream = reader
        self._writer: asyncio.StreamWriter | SecureStream = writer
        self.tls: SecureStream | None = None
        self.received = b""
        self.eof = False
        self._seen = 0  # how much of `received` earlier `until` calls used up

    @classmethod
    async def connect(cls, address: Address) -> RawPeer:
        return cls(*await asyncio.open_connection(*address))

    async def start_tls(
        self, identity: Identity | None = None, options: Options = DEFAULT, *, server: bool = False
    ) -> SecureStream:
        """From here on what is sent and received goes through TLS; TlsError when the other side will not have it."""
        self.tls = await SecureStream.start(self._reader, self._writer, identity, options, server=server)
        self._reader = self._writer = self.tls
        return self.tls

    async def send(self, data: bytes, *, chunk: int = 0, pause: float = 0.0) -> None:
        """Write exactly these bytes; with ``chunk``, in pieces of that size and a turn of the loop between them."""
        for start in range(0, len(data), chunk or len(data) or 1):
            self._writer.write(data[start : start + chunk] if chunk else data)
            try:
                await self._writer.drain()
            except ConnectionError:
                return
            if chunk:
                await asyncio.sleep(pause)

    async def until(self, pattern: bytes, timeout: float = 5.0) -> re.Match[bytes]:
        """Read until the bytes after the last match hold ``pattern`` (a regular expression)."""
        try:
            async with asyncio.timeout(timeout):
                while not (found := re.compile(pattern, re.DOTALL).search(self.received, self._seen)):
                    if self.eof:
                        raise AssertionError(f"closed before {pattern!r}: {self.received[self._seen :]!r}")
                    await self._read()
        except TimeoutError:
            raise AssertionError(f"no {pattern!r} in {self.received[self._seen :]!r}") from None
        self._seen = found.end()
        return found

    async def until_closed(self, timeout: float = 5.0) -> bytes:
        """Read to the end of the connection; what came after the last match."""
        async with asyncio.timeout(timeout):
            while not self.eof:
                await self._read()
        return self.received[self._seen :]

    async def silence(self, seconds: float = 0.2) -> None:
        """Assert that nothing comes for this long."""
        before = len(self.received)
        try:
            async with asyncio.timeout(seconds):
                await self._read()
        except TimeoutError:
            return
        raise AssertionError(f"not silent: {self.received[before:]!r}, eof={self.eof}")

    async def _read(self) -> None:
        try:
            data = await self._reader.read(65536)
        except ConnectionError:
            data = b""
        self.received += data
        self.eof = not data

    def stop_reading(self) -> None:
        """Let the window fill up, as a peer that hangs does."""
        self._writer.transport.pause_reading()

    def end(self) -> None:
        """No more bytes from us; reading goes on."""
        self._writer.write_eof()

    def reset(self) -> None:
        self._writer.transport.abort()

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


class Listener:
    """``async with Listener() as listener: peer = await listener.accept()``"""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.host, self.port = host, 0
        self._peers: asyncio.Queue[RawPeer] = asyncio.Queue()
        self._all: list[RawPeer] = []

    @property
    def address(self) -> Address:
        return self.host, self.port

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accepted, self.host, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_unused: object) -> None:
        self._server.close()
        for peer in self._all:
            await peer.close()

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = RawPeer(reader, writer)
        self._all.append(peer)
        self._peers.put_nowait(peer)

    async def accept(self, timeout: float = 5.0) -> RawPeer:
        async with asyncio.timeout(timeout):
            return await self._peers.get()

    @property
    def waiting(self) -> int:
        """Connections that came and were not accepted yet."""
        return self._peers.qsize()
