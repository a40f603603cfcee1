# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names that one expat has met. It never forgets any, so it has to be replaced before they are too many."""

from __future__ import annotations

from itertools import islice

from ..stream.errors import StreamError

# A parser that knows so many names, or so long ones, begins anew; one that gets no chance to do so gives up in the end.
_MANY = 1_000
_LONG = 1 << 20
_FAR_TOO_MANY = 20_000
_FAR_TOO_LONG = 32 << 20


class Names:
    """Counts what is in ``table``, which expat fills."""

    __slots__ = ("_count", "_weight", "next", "table", "too_many")

    def __init__(self) -> None:
        self.table: dict[str, str] = {}
        self.next = 0
        """With more names than this they have to be weighed again."""
        self.too_many = False
        """It is time to begin anew."""
        self._count = 0
        self._weight = 0

    def weigh(self) -> None:
        """Look at what is new; raises StreamError when it is far too much."""
        table = self.table
        # The prefix of the default namespace is None, and is among them.
        self._weight += sum(len(name or "") for name in islice(table, self._count, None))
        self._count = len(table)
        # Not at each new one: looking at the new ones alone takes a walk past the old ones.
        self.next = self._count + (self._count >> 3)
        if self._count > _FAR_TOO_MANY or self._weight > _FAR_TOO_LONG:
            raise StreamError("policy-violation", "too many different names")
        self.too_many = self._count > _MANY or self._weight > _LONG
