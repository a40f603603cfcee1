# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One stream that we open to a partner, from the connection to its end.

It belongs to a route and tells it when its pair is proven and when it is over. A route that lets go of a stream hears
no more of it; what may not have arrived is told all the same.
"""

from __future__ import annotations

import time
from collections.abc import Container
from typing import TYPE_CHECKING, Any

from ..config import Partner
from ..stream.actions import (
    Acknowledge,
    Authenticated,
    Closed,
    Deliver,
    Doubtful,
    Failed,
    Refused,
    Room,
    StartTls,
    Unsent,
)
from .carrier import Carrier
from .connection import Connection
from .dial import Candidate, DialFailed
from .facts import Facts, security
from .handover import Handover
from .rejudge import no_longer
from .resolve import TIMEOUT
from .trial import Trial

if TYPE_CHECKING:
    from .route import Route


class Outgoing(Trial):
    """The stream and its connection."""

    def __init__(self, route: Route, partner: Partner, candidate: Candidate, avoid: Container[str]) -> None:
        super().__init__(route.current, route.pair, partner, candidate, avoid)
        self.route = route
        self.carrier: Carrier | None = None
        """Stanzas can be sent, or could."""
        self.proven: Authenticated | None = None
        self.since = 0.0
        self.up_at = 0.0
        self._reason = ""
        self._handover: Handover | None = None

    @property
    def greeted(self) -> bool:
        """The peer has answered, and may soon take us for proven."""
        return self.machine is not None and bool(self.machine.stream_id)

    @property
    def useful(self) -> bool:
        """It has carried a stanza."""
        return self.carrier is not None and self.carrier.used

    def let_go(self, condition: str | None, text: str) -> None:
        """The route goes on without it; it closes by itself."""
        if self.carrier is not None:
            self.carrier.spend()
            self.route.everyone.leaving[self.connection] = self.pair.remote
        super().let_go(condition, text)

    def describe(self) -> dict[str, Any]:
        """For `xmpp-edge streams`."""
        proven = self.proven
        return {
            "address": self.endpoint,
            "since": int(self.since),
            **self.connection.describe_tls(),
            "authenticated": proven is not None,
            "bidi": proven is not None and proven.bidi,
        }

    def facts(self) -> Facts:
        """For the diagnosis; it reads the certificate, so not for every stream."""
        machine, channel, proven = self.machine, self.connection.channel, self.proven
        known: dict[str, Any] = {}
        if machine is not None and machine.tls is not None and channel is not None:
            known = security(machine.tls, channel, self.pair.remote)
        return Facts(
            self.endpoint,
            self.connected,
            direct=self._candidate.direct,
            handshake=channel is not None,
            reason=self._reason,
            method=proven.method if proven is not None else "",
            bidi=proven is not None and proven.bidi,
            acks=machine is not None and machine.acknowledging,
            **known,
        )

    def judge_again(self) -> bool:
        """Whether the peer's certificate still proves it, where that is its proof; the stream is closed if not."""
        machine, proven, connection = self.machine, self.proven, self.connection
        if machine is None or proven is None or self._let_go or connection.finished:
            return True
        text = no_longer(machine.tls, ((proven.pair, proven.method),))
        if text is None:
            return True
        connection.perform(machine.distrust(text, connection.loop.time()))
        if self.carrier is None:
            self._settle(DialFailed("not-allowed", text))
        else:
            self.route.distrusted(text)
        return False

    # Owner of a Connection

    def act(self, connection: Connection, action: Any) -> None:
        if isinstance(action, Deliver):
            assert action.pair is not None
            self.route.everyone.deliver(action.stanza, action.pair, connection)
        elif isinstance(action, Doubtful):
            if self.carrier is not None:
                self.carrier.unacknowledged = action.stanzas
        elif isinstance(action, Acknowledge):
            self._acknowledge(action.count)
        elif self._let_go:
            # Nothing else that it says matters any more.
            return
        elif isinstance(action, Room):
            self.route.drain()
        elif isinstance(action, StartTls):
            self._start_tls()
        elif isinstance(action, Authenticated):
            self._authenticated(connection, action)
        elif isinstance(action, Failed):
            self._settle(DialFailed(action.condition, action.text))
        elif isinstance(action, Unsent):
            self.route.everyone.undeliverable(action.stanza, action.condition, action.text)
        elif isinstance(action, Refused):
            self._reason = action.reason
            self.current.audit.refused(
                action.reason,
                cause=self.pair.remote,
                local=action.local,
                remote=action.remote,
                text=action.text,
            )

    def writable(self, connection: Connection, ready: bool) -> None:
        if ready and not self._let_go:
            self.route.drain()

    def closed(self, connection: Connection, closed: Closed | None) -> None:
        text = (closed.text if closed else "") or "The partner's server broke the connection."
        self._settle(DialFailed(TIMEOUT, text))
        if self.carrier is None:
            return
        self.carrier.broken(closed)
        if self._let_go:
            self.route.everyone.left(connection)
        else:
            self.route.ended(self, closed, text)

    # inside

    def _authenticated(self, connection: Connection, action: Authenticated) -> None:
        assert self.machine is not None
        self.proven = action
        if not self.judge_again():
            # A reload came between the verdict and this.
            return
        self.since, self.up_at = time.time(), connection.loop.time()
        self.carrier = Carrier(connection, self.machine, self.route.everyone.undeliverable)
        self._settle(None)
        self.route.established_by(self, action)

    def _acknowledge(self, count: int) -> None:
        if self._handover is None:
            assert self.machine is not None
            self._handover = Handover(self.connection, self.machine, self.route.everyone.handing_on)
        self._handover.asked(count, (self.pair.remote,))
