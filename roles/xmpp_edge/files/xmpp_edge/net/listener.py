# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Listening sockets; on a reload only those addresses are touched that came or went."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Iterable

_AT_ONCE = 16
_BACKLOG = 1024
_NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


class ListenError(Exception):
    """An address cannot be listened on."""

    def __init__(self, host: str, port: int, problem: OSError, option: str = "listen_port") -> None:
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        reason = problem.strerror or problem
        super().__init__(f"Cannot listen on {where}: {reason}. Check `listen` and `{option}`.")
        self.number = problem.errno


class Listener:
    """All addresses of the edge. asyncio itself waits a second and tries again when file descriptors run out."""

    def __init__(self, factory: Callable[[], asyncio.BaseProtocol], option: str = "listen_port") -> None:
        self._factory = factory
        self._option = option
        """Where the port comes from."""
        self._servers: dict[tuple[str, int], asyncio.Server] = {}

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """What is really listened on; tells the port that the kernel chose for port 0."""
        return [server.sockets[0].getsockname()[:2] for server in self._servers.values() if server.sockets]

    async def bind(self, hosts: tuple[str, ...], port: int) -> None:
        """Listen on exactly these; when one of them fails, all stays as it was."""
        wanted = [(host, port) for host in hosts]
        gone = [key for key in self._servers if key not in wanted]
        in_the_way = [key for key in gone if any(_overlap(key, other) for other in wanted)]
        self._shut(in_the_way)
        made: dict[tuple[str, int], asyncio.Server] = {}
        try:
            for key in wanted:
                if key not in self._servers:
                    await self._add(key, made, alone=len(wanted) == 1)
        except ListenError:
            for server in made.values():
                server.close()
            for key in in_the_way:
                self._servers[key] = await self._open(*key)
            raise
        self._shut(key for key in gone if key not in in_the_way)
        self._servers.update(made)

    async def _add(self, key: tuple[str, int], made: dict[tuple[str, int], asyncio.Server], *, alone: bool) -> None:
        try:
            made[key] = await self._open(*key)
        except ListenError as problem:
            # "::" is in the default, and a host without IPv6 needs no other configuration than one with it.
            if alone or key[0] != "::" or problem.number not in _NO_IPV6:
                raise

    def _shut(self, keys: Iterable[tuple[str, int]]) -> None:
        for key in list(keys):
            self._servers.pop(key).close()

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
            raise ListenError(host, port, problem, self._option) from problem
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
            raise ListenError(host, port, problem, self._option) from problem
        return server


def _overlap(one: tuple[str, int], other: tuple[str, int]) -> bool:
    """Whether the kernel would refuse to bind both."""
    wildcard = ("0.0.0.0", "::")  # noqa: S104
    if one[1] != other[1] or one[1] == 0 or (":" in one[0]) != (":" in other[0]):
        return False
    return one[0] in wildcard or other[0] in wildcard
