# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A connection that we make to a partner for one stream, which may or may not come about."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Container
from typing import Any

from ..config import Partner
from ..current import Current
from ..stream.actions import Closed, Pair
from .connection import Connection
from .dial import Candidate, DialFailed
from .dialled import Dialled
from .sides import Machine


class Trial(ABC):
    """The owner of the connection, until the stream is as it should be and after."""

    purpose = "stanzas"
    kind = Dialled

    def __init__(
        self, current: Current, pair: Pair, partner: Partner, candidate: Candidate, avoid: Container[str]
    ) -> None:
        self.current = current
        self.pair = pair
        self.endpoint = str(candidate)
        self.connection = Connection(self, current)
        self.machine: Dialled | None = None
        self.connected = False
        self.outcome: asyncio.Future[DialFailed | None] = self.connection.loop.create_future()
        """None when the stream is as it should be."""
        self._partner = partner
        self._candidate = candidate
        self._avoid = avoid
        self._let_go = False

    @property
    def weakness(self) -> str | None:
        """What one more attempt may leave out, because this one has failed by it and the record can do without."""
        return self.machine.retry_without if self.machine is not None else None

    @property
    def phase(self) -> str:
        """What it waits for, as long as it has no outcome."""
        if self.machine is None or not self.connected:
            return "TCP was not answered, as where a firewall drops it"
        return self.machine.phase

    def let_go(self, condition: str | None, text: str) -> None:
        """It is not wanted any more, and closes by itself."""
        self._let_go = True
        self.connection.close(condition, text)

    # Owner of a Connection

    def opened(self, connection: Connection) -> None:
        if self._let_go:
            connection.abort()
            return
        self.endpoint = str(self._candidate.at(connection.peer))
        self.connected = True
        connection.start()
        assert self.machine is not None
        if self._candidate.direct:
            self._start_tls()
        else:
            connection.perform(self.machine.connected(connection.loop.time()))

    def machine_for(self, connection: Connection) -> Machine:
        self.machine = self.kind(
            pair=self.pair,
            purpose=self.purpose,
            partner=self._partner,
            credentials=self.current.credentials(self.pair.local),
            settings=self.current.settings,
            now=connection.loop.time(),
            avoid=self._avoid,
        )
        self.machine.direct = self._candidate.direct
        return self.machine

    @abstractmethod
    def act(self, connection: Connection, action: Any) -> None: ...

    @abstractmethod
    def writable(self, connection: Connection, ready: bool) -> None: ...

    @abstractmethod
    def closed(self, connection: Connection, closed: Closed | None) -> None: ...

    # What both kinds need

    def _start_tls(self) -> None:
        channel = self.current.tls.client(self.pair.local, self.pair.remote, direct=self._candidate.direct)
        self.connection.start_tls(channel)

    def _settle(self, outcome: DialFailed | None) -> None:
        if not self.outcome.done():
            self.outcome.set_result(outcome)
