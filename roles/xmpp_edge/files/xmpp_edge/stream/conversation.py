# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stream opened to us may be besides: one that stanzas of ours go on (XEP-0288), one that counts (XEP-0198)."""

from __future__ import annotations

from ..xml.element import Element
from . import acks, features
from .actions import Acknowledge, Action, Send
from .errors import StreamError
from .sending import Sending

# Nobody's limit on silence makes us send keep-alives faster than this.
_SHORTEST_SILENCE = 2.0


class Conversation(Sending):
    """Both on one stream; the peer asks for each of them."""

    __slots__ = ("_asked", "bidi", "received")

    def __init__(self, patience: float) -> None:
        super().__init__(patience, before=[])
        self.bidi = False
        """The peer takes stanzas on this stream."""
        self.received: acks.Received | None = None
        """What has come since the peer enabled acknowledgements, None before that."""
        self._asked: int | None = None

    def open(self, element: Element) -> float | None:
        """Take a ``<bidi/>``, with the limits of the peer in it (XEP-0478); how long we may be silent from now on."""
        self.bidi = True
        theirs = features.read(element)
        if theirs.max_bytes is not None:
            self.largest = theirs.max_bytes
        return None if theirs.idle_seconds is None else max(_SHORTEST_SILENCE, theirs.idle_seconds)

    def element(self, element: Element, proven: bool, now: float, actions: list[Action]) -> bool:
        """An element of XEP-0198; False when it asked for what it cannot have."""
        if element.name in ("enable", "resume") and not proven:
            actions.append(Send(acks.failed("unexpected-request")))
            return False
        if element.name == "enable":
            return self._enable(now, actions)
        if element.name == "resume":
            # Nothing can be resumed here, so there is no such stream.
            actions.append(Send(acks.failed("item-not-found")))
            return False
        if element.name == "r" and self.received is not None:
            self._request(self.received, actions)
        elif element.name == "a" and self.acknowledging:
            self.acknowledged(element, actions)
        else:
            raise StreamError("unsupported-stanza-type", f"<{element.name}/> of XEP-0198 has no meaning here")
        return True

    def _enable(self, now: float, actions: list[Action]) -> bool:
        if self.received is not None:
            actions.append(Send(acks.failed("unexpected-request")))
            return False
        self.received = acks.Received()
        actions.append(Send(acks.ENABLED))
        if self.bidi and self._before is not None:
            self.begin(now)
            self.confirmed(now, actions)
        return True

    def _request(self, received: acks.Received, actions: list[Action]) -> None:
        if self._asked != received.arrived:
            self._asked = received.arrived
            actions.append(Acknowledge(received.arrived))

    def acknowledge(self, count: int, actions: list[Action]) -> None:
        """So many stanzas are handed on."""
        if self.received is None:
            return
        if self._asked == count:
            self._asked = None
        actions.append(Send(self.received.answer(count)))
