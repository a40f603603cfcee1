# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which stanzas written to a connection may not have arrived, should it break.

Without acknowledgements of its own (XEP-0198), XMPP leaves only what TCP knows. A stanza whose last byte the peer's
kernel has not confirmed is in doubt. When a connection breaks without a proper end, so is what was confirmed only a
moment ago: the peer's process may have died before it read it. A stanza in doubt gets an error and is not sent again.
"""

from __future__ import annotations

from collections import deque

from ..stream.actions import Closed
from ..xml.stanza import Stanza
from .connection import Connection

_MOMENT = 2.0
_MANY = 1000


class Ledger:
    """The stanzas written last, with the offset of their end and the time."""

    __slots__ = ("_enough", "_entries")

    def __init__(self) -> None:
        self._entries: deque[tuple[int, float, Stanza]] = deque()
        self._enough = _MANY

    def note(self, connection: Connection, stanza: Stanza, now: float) -> None:
        """The stanza has just been given to the connection as its last bytes."""
        self._entries.append((connection.position, now, stanza))
        if len(self._entries) > self._enough:
            self._trim(connection)
            self._enough = len(self._entries) + _MANY // 2

    def in_doubt(self, connection: Connection, now: float, *, clean: bool) -> list[Stanza]:
        """What may not have arrived, in the order sent; the ledger is empty afterwards."""
        confirmed = connection.acknowledged()
        doubtful = [
            stanza for end, when, stanza in self._entries if _is_in_doubt(end, now - when, confirmed, clean=clean)
        ]
        self._entries.clear()
        return doubtful

    def _trim(self, connection: Connection) -> None:
        """Forget what has been confirmed, but for the last half thousand."""
        confirmed = connection.acknowledged()
        if confirmed is None:
            confirmed = connection.position - connection.buffered
        while len(self._entries) > _MANY // 2 and self._entries[0][0] <= confirmed:
            self._entries.popleft()


def is_clean(connection: Connection, closed: Closed | None) -> bool:
    """Whether the peer has taken in all that it confirmed; one that ends the stream with an error may not have."""
    return not connection.broken and (closed is None or closed.by == "us" or closed.condition is None)


def _is_in_doubt(end: int, age: float, confirmed: int | None, *, clean: bool) -> bool:
    if confirmed is not None and end > confirmed:
        return True
    # Where TCP's knowledge is hidden behind TLS, only time is left to judge by.
    return (confirmed is None or not clean) and age < _MOMENT
