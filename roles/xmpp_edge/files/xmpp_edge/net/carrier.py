# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stream that carries stanzas to a partner, and the account of what may not have arrived on it.

It is one that we have opened, or one of the partner's that is used both ways (XEP-0288).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import monotonic
from typing import Protocol

from ..stream.actions import Action, Closed, Unsent
from ..xml.stanza import Stanza
from .connection import Connection
from .ledger import Ledger, is_clean
from .resolve import TIMEOUT


class Sender(Protocol):
    """A machine that writes stanzas."""

    @property
    def acknowledging(self) -> bool:
        """The peer counts what it gets (XEP-0198), and Doubtful tells in the end what it has not confirmed."""

    @property
    def full(self) -> bool:
        """So much is unconfirmed that stanzas have to wait."""

    def send(self, stanza: Stanza, now: float) -> list[Action]:
        """Raises RuntimeError when the stream takes none any more."""


GiveBack = Callable[[Stanza, str, str], None]
"""A stanza that cannot be sent, and condition and text of the error that its sender gets."""


class Carrier:
    """One stream as far as stanzas to the partner are concerned."""

    def __init__(self, connection: Connection, machine: Sender, give_back: GiveBack) -> None:
        self.connection = connection
        self.machine = machine
        self.used = False
        """Something was written."""
        self.spent = False
        """It takes no more; what it has not answered for is told when it is gone."""
        self.unacknowledged: tuple[Stanza, ...] | None = None
        """What a peer that counts has not confirmed of all that it was sent; told at the end."""
        self._give_back = give_back
        self._ledger = Ledger()
        self._spent_at: float | None = None

    @property
    def ready(self) -> bool:
        """Stanzas can be written without piling up."""
        return not self.spent and not self.connection.paused and not self.machine.full

    def write(self, stanza: Stanza) -> bool:
        """Write a stanza, or give it back because the peer takes none like it; False when the stream is closing."""
        now = monotonic()
        machine = self.machine
        counted = machine.acknowledging
        try:
            actions = machine.send(stanza, now)
        except RuntimeError:
            self.spend()
            return False
        first = actions[0] if actions else None
        if isinstance(first, Unsent):
            self._give_back(stanza, first.condition, first.text)
            return True
        self.used = True
        self.connection.send(actions)
        if not counted:
            self._ledger.note(self.connection, stanza, now)
        return True

    def spend(self) -> None:
        """Write nothing more."""
        if not self.spent:
            self.spent = True
            self._spent_at = monotonic()

    def broken(self, closed: Closed | None) -> None:
        """The connection is gone: give back what may not have arrived, in the order in which it was sent."""
        doubtful = self._doubtful(closed)
        self.spend()
        for stanza in doubtful:
            self._give_back(stanza, TIMEOUT, "The connection broke before it was certain that this arrived.")

    def _doubtful(self, closed: Closed | None) -> Iterable[Stanza]:
        if self.unacknowledged is not None:
            return self.unacknowledged
        # A peer that never answers our goodbye makes us wait; what was young when we said it is still in doubt.
        when = monotonic() if self._spent_at is None else self._spent_at
        return self._ledger.in_doubt(self.connection, when, clean=is_clean(self.connection, closed))
