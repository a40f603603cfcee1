# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Between whom a connection stands: the machine that knows what bytes mean, and the owner that acts on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from ..stream.actions import Closed
from ..stream.security import Tls

if TYPE_CHECKING:
    from .connection import Connection


class Machine(Protocol):
    """What all stream machines have in common."""

    @property
    def deadline(self) -> float | None:
        """When ``tick`` is due."""

    def receive(self, data: bytes, now: float) -> list[Any]:
        """Bytes came in."""

    def tick(self, now: float) -> list[Any]:
        """Time went by."""

    def eof(self, now: float) -> list[Any]:
        """The peer sends no more."""

    def close(self, condition: str | None, text: str, now: float) -> list[Any]:
        """We end the stream."""

    def secured(self, tls: Tls, now: float) -> list[Any]:
        """The TLS handshake is done."""

    def tls_failed(self, text: str, now: float) -> list[Any]:
        """TLS has failed, in the handshake or later."""


class Owner(Protocol):
    """Who is told what happens on a connection."""

    def opened(self, connection: Connection) -> None:
        """The connection is up; an owner that speaks first calls ``connection.start()``."""

    def machine_for(self, connection: Connection) -> Machine:
        """The machine, made when it is needed: at the first byte, or at ``start``."""

    def act(self, connection: Connection, action: Any) -> None:
        """One action of the machine, neither Send nor Closed."""

    def writable(self, connection: Connection, ready: bool) -> None:
        """The write buffer filled up or drained."""

    def closed(self, connection: Connection, closed: Closed | None) -> None:
        """The connection is gone; ``closed`` is the machine's last word, if it had one."""
