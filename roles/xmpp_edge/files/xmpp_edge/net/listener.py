# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Listening sockets; on a reload only those addresses are touched that came or went."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

_AT_ONCE = 16
_BACKLOG = 1024


class ListenError(Exception):
    """An address cannot be listened on."""


class Listener:
    """All addresses of the edge. asyncio itself waits a second and tries again when file descriptors run out."""

    def __init__(self, factory: Callable[[], asyncio.Protocol]) -> None:
        self._factory = factory
        self._servers: dict[tuple[str, int], asyncio.Server] = {}

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """What is really listened on; tells the port that the kernel chose for port 0."""
        return [server.sockets[0].getsockname()[:2] for server in self._servers.values() if server.sockets]

    async def bind(self, hosts: tuple[str, ...], port: int) -> None:
        """Listen on exactly these; when one of them fails, all stays as it was."""
        wanted = [(host, port) for host in hosts]
        made: dict[tuple[str, int], asyncio.Server] = {}
        try:
            for key in wanted:
                if key not in self._servers:
                    made[key] = await self._open(*key)
        except ListenError:
            for server in made.values():
                server.close()
            raise
        for key in [key for key in self._servers if key not in wanted]:
            self._servers.pop(key).close()
        self._servers.update(made)

    def close(self) -> None:
        """Take no more connections; those that are there live on."""
        for server in self._servers.values():
            server.close()
        self._servers.clear()

    async def _open(self, host: str, port: int) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            sock = socket.socket(family, socket.SOCK_STREAM)
        except OSError as problem:
            raise ListenError(_text(host, port, problem)) from problem
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                # "0.0.0.0" and "::" stand side by side in the default.
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((host, port))
            server = await loop.create_server(self._factory, sock=sock, backlog=_AT_ONCE)
            # asyncio takes one number for both; the kernel's queue may be longer than one turn of the loop.
            sock.listen(_BACKLOG)
        except OSError as problem:
            sock.close()
            raise ListenError(_text(host, port, problem)) from problem
        return server


def _text(host: str, port: int, problem: OSError) -> str:
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return f"Cannot listen on {where}: {problem.strerror or problem}. Check `listen` and `listen_port`."
