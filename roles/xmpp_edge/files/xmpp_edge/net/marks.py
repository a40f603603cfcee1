# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What TCP has confirmed is cipher text; which plain text that was, is kept here."""

from __future__ import annotations

from collections import deque

_MOST = 1024


class Marks:
    """Offsets that belong together, in cipher text and in plain text. Both are the same where TLS begins."""

    __slots__ = ("_confirmed", "_pairs", "wire")

    def __init__(self, position: int) -> None:
        self.wire = position
        """Bytes given to the kernel so far."""
        self._pairs = deque([(position, position)])
        self._confirmed = 0

    def __len__(self) -> int:
        return len(self._pairs)

    @property
    def crowded(self) -> bool:
        """It is time to look what is confirmed."""
        return len(self._pairs) > _MOST

    def note(self, position: int) -> None:
        """With what has been given to the kernel, all plain text up to this position is."""
        self._pairs.append((self.wire, position))

    def confirmed(self, acknowledged: int) -> int:
        """The plain text that is confirmed when so much cipher text is."""
        pairs = self._pairs
        while pairs and pairs[0][0] <= acknowledged:
            self._confirmed = pairs.popleft()[1]
        return self._confirmed

    def thin(self) -> None:
        """Forget every other one, but not the last. Fewer marks leave more in doubt, never less."""
        self._pairs = deque(list(self._pairs)[::-2][::-1])
