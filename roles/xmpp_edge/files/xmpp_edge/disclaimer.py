# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells users of partners that what is written with ours may be archived (Lync: ``EnableArchivingDisclaimer``).

XMPP has no mark for it that clients show. So it is a message of its own, ahead of the first one of a conversation. It
comes from the domain and not from our user, because these are not the user's words.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from .jid import JID
from .xml.escape import escape_text, legal
from .xml.stanza import Stanza

SILENCE = 12 * 3600.0
"""Seconds without a message of ours, after which another conversation begins: the next working day."""
_MOST_PAIRS = 50_000
# Characters of both addresses. A longer pair is not remembered, and told each time.
_WORTH_KEEPING = 512

Names = tuple[str, str]


class Notice(Stanza):
    """The disclaimer on its way: no stanza of anybody's, so nobody gets an error for it."""

    __slots__ = ("names",)

    def __init__(self, sender: JID, receiver: JID, names: Names, text: str) -> None:
        payload = f"<body>{escape_text(legal(text))}</body>"
        super().__init__("message", {}, payload, len(payload), JID(None, sender.domain), receiver)
        self.names = names


class Disclaimer:
    """Knows which conversations have had it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._text = ""
        self._written: OrderedDict[Names, float] = OrderedDict()
        """When the first of the pair last wrote to the second."""

    def ahead_of(self, stanza: Stanza, names: Names, text: str) -> Notice | None:
        """What goes before this stanza of ours; ``names`` are its bare addresses."""
        sender, receiver = stanza.from_, stanza.to
        if stanza.kind != "message" or stanza.type == "error" or sender is None or receiver is None:
            return None
        if sender.local is None or receiver.local is None:
            return None
        if text != self._text:
            self._written.clear()
            self._text = text
        now = self._clock()
        before = self._written.get(names)
        begun = before is not None and now - before < SILENCE
        if not begun and stanza.child("body") is None:
            # Somebody who only types has not said anything yet.
            return None
        self._note(names, now)
        return None if begun else Notice(sender, receiver, names, text)

    def came_back(self, stanza: Stanza) -> bool:
        """Whether this, which did not arrive, is a disclaimer; it goes ahead of the next message then."""
        if not isinstance(stanza, Notice):
            return False
        self._written.pop(stanza.names, None)
        return True

    def _note(self, names: Names, now: float) -> None:
        if len(names[0]) + len(names[1]) > _WORTH_KEEPING:
            return
        self._written[names] = now
        self._written.move_to_end(names)
        if len(self._written) > _MOST_PAIRS:
            self._written.popitem(last=False)
