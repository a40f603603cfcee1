# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many streams are open, in and out, all in all and with each partner.

A connection counts whoever has opened it: an administrator who allows a partner twenty of them means twenty sockets.
Ours count from the attempt on, a partner's when it has proven who it is.
"""

from __future__ import annotations

from collections import Counter

from ..config import Partner, Snapshot


class Census:
    """The count, by partner (its record's main domain)."""

    def __init__(self) -> None:
        self._streams: Counter[str] = Counter()

    def refusal(self, snapshot: Snapshot, partner: Partner) -> str | None:
        """Which limit forbids one more stream with this partner, if one does."""
        if self._streams.total() >= snapshot.limits.connection_limit:
            return "connection_limit"
        if self._streams[partner.domain] >= snapshot.connection_limit_of(partner):
            return "partner_connection_limit"
        return None

    def enter(self, domain: str) -> None:
        """One more."""
        self._streams[domain] += 1

    def leave(self, domain: str) -> None:
        """One less."""
        self._streams[domain] -= 1
        if self._streams[domain] <= 0:
            del self._streams[domain]
