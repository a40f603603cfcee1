# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stanza acknowledgements (XEP-0198): what is counted in each direction of a stream, and the elements that say so.

A stream is never resumed here. What is unacknowledged when it ends is in doubt, and goes back to its sender.
"""

from __future__ import annotations

import re
from collections import deque

from ..xml.element import Element
from ..xml.namespaces import ACKS, STANZA_ERRORS
from ..xml.stanza import Stanza
from ..xml.writer import write_element
from .errors import StreamError

REQUEST = write_element(Element("r", ACKS))
ENABLE = write_element(Element("enable", ACKS))
ENABLED = write_element(Element("enabled", ACKS))

_MODULUS = 1 << 32
_NUMBER = re.compile(r"[0-9]{1,10}\Z")


def answer(count: int) -> bytes:
    """That so many stanzas are taken care of, since the counting began."""
    return write_element(Element("a", ACKS, {"h": str(count % _MODULUS)}))


def failed(condition: str) -> bytes:
    """That acknowledgements, or the resumption of an older stream, are not to be had."""
    return write_element(Element("failed", ACKS, content=[Element(condition, STANZA_ERRORS)]))


def handled(element: Element) -> int:
    """The count in an answer."""
    text = element.attrs.get("h", "")
    if not _NUMBER.match(text) or int(text) >= _MODULUS:
        raise StreamError("bad-format", "an acknowledgement needs 'h', a number below 4294967296")
    return int(text)


class Received:
    """What the peer has sent since the counting began.

    ``arrived`` goes up with every stanza read. What is told is only what was handed on, and never less than before.
    """

    __slots__ = ("arrived", "handed_on")

    def __init__(self) -> None:
        self.arrived = 0
        self.handed_on = 0

    def answer(self, count: int) -> bytes:
        """The answer that ``count`` of them are handed on."""
        self.handed_on = max(self.handed_on, min(count, self.arrived))
        return answer(self.handed_on)


class Sent:
    """What we have sent since the counting began, and the peer has not acknowledged.

    The peer is asked with the first stanza after a silence, then after every ``every`` stanzas, and otherwise when
    ``moment`` seconds have passed since it was asked last: an answer costs as much as a small stanza.
    """

    __slots__ = (
        "_alarm",
        "_counted",
        "_due",
        "_next",
        "_open",
        "_size",
        "_unasked",
        "every",
        "moment",
        "most",
        "most_bytes",
        "waiting",
    )

    def __init__(self, every: int = 100, moment: float = 1, most: int = 5_000, most_bytes: int = 4 << 20) -> None:
        self.every = every
        self.moment = moment
        self.most = most
        self.most_bytes = most_bytes
        self.waiting: float | None = None
        """Since when the peer was asked and has taken nothing more; None while all goes well."""
        self._due = False
        """It has not answered at all since we asked."""
        self._open: deque[Stanza] = deque()
        self._size = 0
        self._counted = 0
        """The last ``h`` of the peer."""
        self._unasked = 0
        """Stanzas since we asked last."""
        self._next = float("-inf")
        """From then on the next stanza asks by itself."""
        self._alarm = False
        """Somebody has to look when that time comes, for stanzas sent before it."""

    def __len__(self) -> int:
        return len(self._open)

    @property
    def full(self) -> bool:
        """So much is unacknowledged that no more should be sent before some of it is."""
        return len(self._open) >= self.most or self._size >= self.most_bytes

    @property
    def overfull(self) -> bool:
        """Somebody has gone on all the same, for as much again."""
        return len(self._open) >= 2 * self.most or self._size >= 2 * self.most_bytes

    def note(self, stanza: Stanza, now: float) -> bool:
        """A stanza is being sent; whether to ask for an answer with it."""
        self._open.append(stanza)
        self._size += len(stanza.payload)
        self._unasked = unasked = self._unasked + 1
        return unasked >= self.every or (now >= self._next and not self._due)

    def asked(self, now: float) -> None:
        """We have asked for an answer."""
        self._unasked = 0
        self._next = now + self.moment
        self._alarm = self._due = True
        if self.waiting is None:
            self.waiting = now

    def acknowledged(self, count: int) -> None:
        """The peer has answered, or has told us without being asked."""
        more = (count - self._counted) % _MODULUS
        if more > len(self._open):
            sent = (self._counted + len(self._open)) % _MODULUS
            raise StreamError("undefined-condition", f"{count} stanzas are acknowledged, but {sent} were sent")
        for _unused in range(more):
            self._size -= len(self._open.popleft().payload)
        self._counted = count
        self._due = False
        if more or not self._open:
            # Answers that never count any more are no better than none.
            self.waiting = None

    @property
    def alarm(self) -> float | None:
        """When ``tick`` is needed, None while an answer is due or nothing has happened since the last."""
        return self._next if self._alarm and not self._due else None

    def tick(self, now: float) -> bool:
        """Whether it is time to ask for what was sent since we asked last."""
        if not self._alarm or self._due or now < self._next:
            return False
        self._alarm = False
        return bool(self._open)

    def take(self) -> tuple[Stanza, ...]:
        """What was never acknowledged, in the order sent; nothing is left afterwards."""
        doubtful = tuple(self._open)
        self._open.clear()
        self._size = 0
        return doubtful
