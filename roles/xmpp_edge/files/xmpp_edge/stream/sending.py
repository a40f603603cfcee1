# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stanzas of ours on a stream, whoever has opened it: how large (XEP-0478), and which have arrived (XEP-0198)."""

from __future__ import annotations

from collections.abc import Iterator

from ..xml.element import Element
from ..xml.stanza import Stanza
from ..xml.writer import write_stanza
from . import acks
from .actions import Action, Doubtful, Room, Send, Unsent
from .errors import StreamError

_UNLIMITED = 1 << 62
# What we may have sent when the peer enables acknowledgements, if they are to be waited for: stanzas, and characters.
_HEADSTART = 20
_HEADSTART_SIZE = 65_536


class Sending:
    """All of it on one stream. ``patience`` is how long we wait for an acknowledgement that we have asked for."""

    __slots__ = ("_before", "_before_size", "_looked", "_patience", "acknowledging", "largest", "sent")

    def __init__(self, patience: float, before: list[Stanza] | None = None) -> None:
        self.largest = _UNLIMITED
        """The size in bytes of the largest stanza that the peer takes."""
        self.acknowledging = False
        """The peer counts what we send."""
        self.sent: acks.Sent | None = None
        """What it has to acknowledge, or will when it says that it counts."""
        self._before = before
        """What we sent before the counting began, and is not known to have arrived; None when it was too much."""
        self._before_size = 0
        self._patience = patience
        self._looked = 0.0
        """When we looked last whether answers are overdue."""

    @property
    def full(self) -> bool:
        """So much is unacknowledged that stanzas have to wait; Room tells when they need no longer."""
        return self.acknowledging and self.sent is not None and self.sent.full

    def write(self, stanza: Stanza, now: float) -> Send | Unsent:
        """The stanza as it goes out, or why it does not."""
        data = write_stanza(stanza)
        if len(data) > self.largest:
            text = f"{_domain(stanza)} takes no more than {self.largest} bytes in one stanza; this has {len(data)}"
            return Unsent(stanza, "policy-violation", text)
        sent = self.sent
        if sent is None:
            if self._before is not None:
                self._remember(stanza, self._before)
        elif not self.acknowledging:
            if sent.full:
                # It never said whether it counts; without its word there is nothing to wait for.
                self.sent = None
            else:
                sent.note(stanza, now)
        elif sent.overfull:
            return Unsent(stanza, "resource-constraint", f"{_domain(stanza)} takes stanzas too slowly")
        elif sent.note(stanza, now):
            data += acks.REQUEST
            sent.asked(now)
        return Send(data)

    def _remember(self, stanza: Stanza, before: list[Stanza]) -> None:
        before.append(stanza)
        self._before_size += len(stanza.payload)
        if len(before) > _HEADSTART or self._before_size > _HEADSTART_SIZE:
            # It will hardly enable them now; if it does, TCP has to do for what we send.
            self._before = None

    def begin(self, now: float) -> None:
        """From here on the peer counts, if it does."""
        self.sent = acks.Sent()
        self._looked = now

    def confirmed(self, now: float, actions: list[Action]) -> None:
        """It does."""
        self.acknowledging = True
        self.ask(now, actions)

    def acknowledged(self, element: Element, actions: list[Action]) -> None:
        """The answer to a question of ours, or one without."""
        sent = self.sent
        if sent is not None:
            full = sent.full
            sent.acknowledged(acks.handled(element))
            # Whatever it counts came behind these.
            self._before = []
            if full and not sent.full:
                actions.append(Room())

    def deadlines(self) -> Iterator[float]:
        if self.acknowledging and self.sent is not None:
            # Stanzas sent meanwhile have to be seen too, and a driver does not look when it sends one.
            yield self._looked + self._patience
            if self.sent.alarm is not None:
                yield self.sent.alarm

    def tick(self, now: float, actions: list[Action]) -> None:
        sent = self.sent
        if sent is None or not self.acknowledging:
            return
        self._looked = now
        if sent.waiting is not None and now >= sent.waiting + self._patience:
            text = f"stanzas were not acknowledged within {self._patience:g} seconds"
            raise StreamError("connection-timeout", text)
        if sent.tick(now):
            self.ask(now, actions)

    def ask(self, now: float, actions: list[Action]) -> None:
        """Ask what has arrived, if anything is open; before we close our half, too, for the peer may still tell."""
        if self.acknowledging and self.sent is not None and (self.sent or self._before):
            self.sent.asked(now)
            actions.append(Send(acks.REQUEST))

    def end(self, actions: list[Action]) -> None:
        """The stream is over."""
        if self.acknowledging and self.sent is not None:
            actions.append(Doubtful((*(self._before or ()), *self.sent.take())))


def _domain(stanza: Stanza) -> str:
    return "the peer" if stanza.to is None else stanza.to.domain
