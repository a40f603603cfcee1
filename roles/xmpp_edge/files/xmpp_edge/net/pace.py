# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often one address may make us do something dear, such as a TLS handshake: many at once, few for ever."""

from __future__ import annotations

from collections import OrderedDict

_MOST_ADDRESSES = 10_000


class Pace:
    """A leaking bucket for each address: it holds ``burst``, and ``per_second`` of them leak away."""

    def __init__(self, burst: float, per_second: float) -> None:
        self._burst = burst
        self._per_second = per_second
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Level and the time of it; who came last stands last."""

    def __len__(self) -> int:
        return len(self._levels)

    def allows(self, address: str, now: float) -> bool:
        """Whether this may be done for the address now; if so, it counts."""
        self._forget(now)
        level = self._level(address, now)
        if level + 1 > self._burst:
            return False
        self._levels[address] = (level + 1, now)
        self._levels.move_to_end(address)
        return True

    def _level(self, address: str, now: float) -> float:
        level, then = self._levels.get(address, (0.0, now))
        return max(0.0, level - (now - then) * self._per_second)

    def _forget(self, now: float) -> None:
        """Let go of those that are empty again, and of the oldest where there are far too many."""
        while self._levels:
            oldest = next(iter(self._levels))
            if self._level(oldest, now) > 0 and len(self._levels) <= _MOST_ADDRESSES:
                return
            del self._levels[oldest]
