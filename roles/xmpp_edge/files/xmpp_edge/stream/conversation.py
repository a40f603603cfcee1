# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes the other way on a stream opened to us: our stanzas (XEP-0288), acknowledgements (XEP-0198)."""

from __future__ import annotations

from collections.abc import Iterator

from ..xml.element import Element
from ..xml.stanza import Stanza
from ..xml.writer import write_stanza
from . import acks, features
from .actions import Acknowledge, Action, Doubtful, Room, Send, Unsent
from .errors import StreamError

# Nobody's limit on silence makes us send keep-alives faster than this.
_SHORTEST_SILENCE = 2.0
# What we may have sent when the peer enables acknowledgements, if they are to be waited for: stanzas, and characters.
_HEADSTART = 20
_HEADSTART_SIZE = 65_536


class Conversation:
    """Both on one stream. ``patience`` is how long we wait for an acknowledgement that we have asked for."""

    __slots__ = ("_asked", "_before", "_before_size", "_looked", "_most", "_patience", "_sent", "bidi", "received")

    def __init__(self, patience: float) -> None:
        self.bidi = False
        """The peer takes stanzas on this stream."""
        self.received: acks.Received | None = None
        """What has come since the peer enabled acknowledgements, None before that."""
        self._patience = patience
        self._most: int | None = None
        self._sent: acks.Sent | None = None
        self._before: list[Stanza] | None = []
        """What we sent before the counting began, and is not known to have arrived; None when it was too much."""
        self._before_size = 0
        self._asked: int | None = None
        self._looked = 0.0
        """When we looked last whether answers are overdue."""

    @property
    def acknowledging(self) -> bool:
        """What we send is acknowledged."""
        return self._sent is not None

    @property
    def full(self) -> bool:
        """So much is unacknowledged that stanzas have to wait; Room tells when they need no longer."""
        return self._sent is not None and self._sent.full

    def open(self, element: Element) -> float | None:
        """Take a ``<bidi/>``, with the limits of the peer in it (XEP-0478); how long we may be silent from now on."""
        self.bidi = True
        theirs = features.read(element)
        self._most = theirs.max_bytes
        return None if theirs.idle_seconds is None else max(_SHORTEST_SILENCE, theirs.idle_seconds)

    def write(self, stanza: Stanza, now: float) -> Send | Unsent:
        """The stanza as it goes out, or why it does not."""
        data = write_stanza(stanza)
        if self._most is not None and len(data) > self._most:
            text = f"{_domain(stanza)} takes no more than {self._most} bytes in one stanza; this has {len(data)}"
            return Unsent(stanza, "policy-violation", text)
        sent = self._sent
        if sent is None:
            self._remember(stanza)
        elif sent.overfull:
            return Unsent(stanza, "resource-constraint", f"{_domain(stanza)} takes stanzas too slowly")
        elif sent.note(stanza, now):
            data += acks.REQUEST
            sent.asked(now)
        return Send(data)

    def _remember(self, stanza: Stanza) -> None:
        before = self._before
        if before is not None:
            before.append(stanza)
            self._before_size += len(stanza.payload)
            if len(before) > _HEADSTART or self._before_size > _HEADSTART_SIZE:
                # It will hardly enable them now; if it does, TCP has to do for what we send.
                self._before = None

    # Acknowledgements

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
        elif element.name == "a" and self._sent is not None:
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
            self._sent = acks.Sent()
            self._looked = now
            if self._before:
                self._ask(self._sent, now, actions)
        return True

    def acknowledged(self, element: Element, actions: list[Action]) -> None:
        """The answer to a question of ours, or one without."""
        sent = self._sent
        if sent is not None:
            full = sent.full
            sent.acknowledged(acks.handled(element))
            # Whatever it counts came behind these.
            self._before = []
            if full and not sent.full:
                actions.append(Room())

    def _ask(self, sent: acks.Sent, now: float, actions: list[Action]) -> None:
        sent.asked(now)
        actions.append(Send(acks.REQUEST))

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

    # Time and the end

    def deadlines(self) -> Iterator[float]:
        if self._sent is not None:
            # Stanzas sent meanwhile have to be seen too, and a driver does not look when it sends one.
            yield self._looked + self._patience
            if self._sent.alarm is not None:
                yield self._sent.alarm

    def tick(self, now: float, actions: list[Action]) -> None:
        sent = self._sent
        if sent is None:
            return
        self._looked = now
        if sent.waiting is not None and now >= sent.waiting + self._patience:
            text = f"stanzas were not acknowledged within {self._patience:g} seconds"
            raise StreamError("connection-timeout", text)
        if sent.tick(now):
            self._ask(sent, now, actions)

    def closing(self, now: float, actions: list[Action]) -> None:
        """We are about to close our half; the peer may still tell what it has."""
        if self._sent is not None and (self._sent or self._before):
            self._ask(self._sent, now, actions)

    def end(self, actions: list[Action]) -> None:
        """The stream is over."""
        if self._sent is not None:
            actions.append(Doubtful((*(self._before or ()), *self._sent.take())))


def _domain(stanza: Stanza) -> str:
    return "the peer" if stanza.to is None else stanza.to.domain
