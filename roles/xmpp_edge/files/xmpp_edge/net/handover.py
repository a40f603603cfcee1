# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When to say that stanzas have arrived (XEP-0198): not when they are read, but when they have left this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from ..stream.actions import Action
from .connection import Connection

HandedOn = Callable[[], bool]
HandingOn = Callable[[Iterable[str]], HandedOn]
"""Given partner domains: a question whether all that came from them until now has left this process."""

_LOOK_AGAIN = 0.05


class Acknowledging(Protocol):
    """A machine that tells its peer what has arrived."""

    def acknowledge(self, count: int, now: float) -> list[Action]:
        """So many stanzas are handed on."""


class Handover:
    """The account of one stream."""

    def __init__(self, connection: Connection, machine: Acknowledging, handing_on: HandingOn) -> None:
        self._connection = connection
        self._machine = machine
        self._handing_on = handing_on
        self._waiting: tuple[int, HandedOn] | None = None

    def asked(self, count: int, domains: Iterable[str]) -> None:
        """The peer wants to hear of so many stanzas, which came from these domains; it will when they have left."""
        first = self._waiting is None
        self._waiting = (count, self._handing_on(domains))
        if first:
            # What this turn has written leaves at its end.
            self._connection.loop.call_soon(self._answer)

    def _answer(self) -> None:
        if self._waiting is None or self._connection.finished:
            return
        count, handed_on = self._waiting
        if not handed_on():
            self._connection.loop.call_later(_LOOK_AGAIN, self._answer)
            return
        self._waiting = None
        self._connection.perform(self._machine.acknowledge(count, self._connection.loop.time()))
