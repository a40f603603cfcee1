# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What waits for a way out: bounded in number and in bytes, for each way and for all of them together."""

from __future__ import annotations

from collections import deque

from ..current import Bounds
from ..xml.stanza import Stanza

_ALL_QUEUES = 64 * 1024 * 1024
_OVERHEAD = 512


class Waiting:
    """The bytes in all queues."""

    __slots__ = ("size",)

    def __init__(self) -> None:
        self.size = 0


class Queue:
    """Stanzas in the order in which they came."""

    __slots__ = ("_all", "_bounds", "_size", "_stanzas")

    def __init__(self, bounds: Bounds, everything: Waiting) -> None:
        self._bounds = bounds
        self._all = everything
        self._stanzas: deque[Stanza] = deque()
        self._size = 0

    def __len__(self) -> int:
        return len(self._stanzas)

    @property
    def first(self) -> Stanza:
        return self._stanzas[0]

    def put(self, stanza: Stanza) -> bool:
        """False when there is no room."""
        size = _size(stanza)
        if (
            len(self._stanzas) >= self._bounds.route_stanzas
            or self._size + size > self._bounds.route_bytes
            or self._all.size + size > _ALL_QUEUES
        ):
            return False
        self._stanzas.append(stanza)
        self._size += size
        self._all.size += size
        return True

    def pop(self) -> Stanza:
        """The first, taken out."""
        stanza = self._stanzas.popleft()
        self._size -= _size(stanza)
        self._all.size -= _size(stanza)
        return stanza

    def empty(self) -> list[Stanza]:
        """All of them, taken out."""
        stanzas = list(self._stanzas)
        self._stanzas.clear()
        self._all.size -= self._size
        self._size = 0
        return stanzas


def _size(stanza: Stanza) -> int:
    return len(stanza.payload) + _OVERHEAD
