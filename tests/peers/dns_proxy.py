# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands between a client and a DNS server, message by message over TCP, and does to them what a test asks for.

Signed messages go through untouched, so that what is wrong is only what the test has made wrong.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from typing import Self

UPDATE = 5
Change = Callable[[bytes], "bytes | None"]


def same(message: bytes) -> bytes:
    return message


def opcode(message: bytes) -> int:
    return message[2] >> 3 & 0xF


class DnsProxy:
    """``with DnsProxy(address) as proxy``: connect to ``proxy.address``.

    ``close_after`` answers a connection is closed. ``there`` and ``back`` change a message on its way; where one gives
    None, the message is lost and the connection closed.
    """

    def __init__(
        self, behind: tuple[str, int], close_after: int | None = None, there: Change = same, back: Change = same
    ) -> None:
        self.behind, self.close_after, self.there, self.back = behind, close_after, there, back
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._listener.getsockname()
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_unused: object) -> None:
        # Wakes the thread up, which a close alone does not.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _unused = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with client, socket.create_connection(self.behind) as server, contextlib.suppress(OSError, EOFError):
                self._serve(client, server)

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        answered = 0
        while answered != self.close_after:
            sent = self.there(_receive(client))
            if sent is None:
                return
            server.sendall(struct.pack("!H", len(sent)) + sent)
            answer = self.back(_receive(server))
            if answer is None:
                return
            client.sendall(struct.pack("!H", len(answer)) + answer)
            answered += 1


def _receive(stream: socket.socket) -> bytes:
    return _exactly(stream, *struct.unpack("!H", _exactly(stream, 2)))


def _exactly(stream: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = stream.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return data
