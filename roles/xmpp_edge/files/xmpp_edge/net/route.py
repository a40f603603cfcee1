# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A way out: the stream for one pair of our domain and a partner's, opened when there is something to say.

A thousand waiting stanzas cause one attempt. What waits is bounded in number and bytes; what cannot be sent is given
back with a reason, in order, once. After a failure the way stays shut for a while that grows, and until then whoever
tries it gets the same answer at once.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Any

from ..config import Partner
from ..stream.actions import Authenticated, Closed, Failed, Pair, Refused
from ..stream.outbound import Outbound
from ..xml.stanza import Stanza
from .connection import Connection, Machine
from .dial import DialFailed
from .ledger import Ledger, is_clean
from .resolve import NOT_FOUND, TIMEOUT
from .tasks import watched

if TYPE_CHECKING:
    from .routes import Routes

_ALL_QUEUES = 64 * 1024 * 1024
_SETTLED = 5.0
"""Seconds a stream must have lasted for its end not to count as a failure."""


class Route:
    """One way out: a queue, and at most one stream."""

    def __init__(self, everyone: Routes, pair: Pair) -> None:
        self.everyone = everyone
        self.current = everyone.current
        self.pair = pair
        self.up = False
        self.connection: Connection | None = None
        self.machine: Outbound | None = None
        self.method = ""
        self.endpoint = ""
        self.since = 0.0
        self._up_at = 0.0
        self.sent = 0
        self._queue: deque[Stanza] = deque()
        self._queued = 0
        self._ledger = Ledger()
        self._task: asyncio.Task[None] | None = None
        self._partner: Partner | None = None
        self._candidate: Connection | None = None
        """The connection of the attempt under way; one of an attempt given up may still come about."""
        self._outcome: asyncio.Future[DialFailed | None] | None = None
        self._failure: DialFailed | None = None
        self._failures = 0
        self._retry_at = 0.0
        self._loop = asyncio.get_running_loop()
        self._idle = asyncio.Event()

    # from the relay

    def send(self, stanza: Stanza) -> None:
        """In order: whatever waits goes first."""
        connection = self.connection
        if self.up and not self._queue and connection is not None and not connection.paused:
            if self._transmit(connection, stanza):
                return
            # The stream is closing; what it has not answered for is told when it is gone, and this goes on a new one.
            self._detach(None, "")
        if self.current.draining and not self.up:
            self._give_back(stanza, TIMEOUT, "The edge is shutting down.")
            return
        if self._failure is not None and self._loop.time() < self._retry_at and self._task is None:
            self._give_back(stanza, self._failure.condition, self._failure.text)
            return
        bounds = self.current.bounds
        size = len(stanza.payload) + 512
        if (
            len(self._queue) >= bounds.route_stanzas
            or self._queued + size > bounds.route_bytes
            or self.everyone.queued_bytes + size > _ALL_QUEUES
        ):
            self.current.audit.refused("queue_full", local=self.pair.local, remote=self.pair.remote)
            self._give_back(stanza, "resource-constraint", "Too much is waiting for this domain; try again later.")
            return
        self._queue.append(stanza)
        self._queued += size
        self.everyone.queued_bytes += size
        if not self.up and self._task is None:
            self._task = watched(self._run(), self._broken)

    def open(self) -> None:
        """Open the stream although nothing waits for it; used by the diagnosis."""
        if not self.up and self._task is None:
            self._task = watched(self._run(), self._broken)

    async def outcome(self) -> DialFailed | None:
        """Wait for an attempt under way; None when the stream is up."""
        if self._task is not None:
            await asyncio.wait([self._task])
        return None if self.up else self._failure

    async def flushed(self) -> None:
        """Wait until nothing waits here."""
        while self.up and (self._queue or (self.connection is not None and self.connection.buffered)):
            self._idle.clear()
            self._loop.call_later(0.05, self._idle.set)
            await self._idle.wait()

    def shut(self, condition: str, error: str, text: str) -> None:
        """Close for good; what waits is given back."""
        self._cancel()
        self._detach(condition, text)
        self._empty(error, text)
        self.everyone.last_errors.pop(self.pair.remote, None)
        self.everyone.forget(self)

    def renew(self) -> None:
        """Open a new stream under the new settings; what waits, waits for that one."""
        self._cancel()
        self._detach("reset", "The settings for this partner have changed.")
        self.forget_failure()
        self.everyone.last_errors.pop(self.pair.remote, None)
        if self._queue:
            self._task = watched(self._run(), self._broken)
        else:
            self.everyone.forget(self)

    def forget_failure(self) -> None:
        """Let the next stanza try at once."""
        self._failure, self._failures, self._retry_at = None, 0, 0.0

    def describe(self) -> dict[str, Any]:
        """For `xmpp-edge streams`."""
        state = "up" if self.up else "opening" if self._task is not None else "down"
        pairs = [{"local": self.pair.local, "remote": self.pair.remote, "method": self.method or None}]
        return {
            "direction": "out",
            "address": self.endpoint,
            "since": int(self.since) if self.up else None,
            "pairs": pairs,
            "state": state,
            "stanzas": self.sent,
            "queued": len(self._queue),
            "error": self._failure.text if self._failure is not None else None,
        }

    # Owner of a Connection

    def opened(self, connection: Connection) -> None:
        if connection is not self._candidate:
            connection.abort()
            return
        connection.start()
        assert self.machine is not None
        connection.perform(self.machine.connected(connection.loop.time()))

    def machine_for(self, connection: Connection) -> Machine:
        assert self._partner is not None
        self.connection = connection
        self.machine = Outbound(
            pair=self.pair,
            purpose="stanzas",
            partner=self._partner,
            credentials=self.current.credentials(self.pair.local),
            settings=self.current.settings,
            now=connection.loop.time(),
        )
        return self.machine

    def act(self, connection: Connection, action: Any) -> None:
        if connection is not self.connection:
            return
        if isinstance(action, Authenticated):
            self._settle(None)
            self._authenticated(action)
        elif isinstance(action, Failed):
            self._settle(DialFailed(action.condition, action.text))
        elif isinstance(action, Refused):
            self.current.audit.refused(action.reason, local=action.local, remote=action.remote, text=action.text)

    def writable(self, connection: Connection, ready: bool) -> None:
        if ready and connection is self.connection:
            self._drain()

    def closed(self, connection: Connection, closed: Closed | None) -> None:
        if connection is not self.connection:
            return
        was_up = self.up
        text = (closed.text if closed else "") or "The partner's server broke the connection."
        self.up = False
        self.connection, self.machine, self.method = None, None, ""
        if not was_up:
            self._settle(DialFailed(TIMEOUT, text))
            return
        self._end(connection, closed, text)

    # inside

    def _end(self, connection: Connection, closed: Closed | None, text: str) -> None:
        now = self._loop.time()
        for stanza in self._ledger.in_doubt(connection, now, clean=is_clean(connection, closed)):
            self._give_back(stanza, TIMEOUT, "The connection broke before it was certain that this arrived.")
        self.current.audit.partner(
            "stream_closed",
            direction="out",
            local=self.pair.local,
            remote=self.pair.remote,
            condition=closed.condition if closed else None,
            text=text,
            by=closed.by if closed else "peer",
        )
        if now - self._up_at < _SETTLED and closed is not None and closed.condition is not None:
            self._fail(DialFailed(TIMEOUT, text))
        elif self._queue and not self.current.draining:
            self._task = watched(self._run(), self._broken)
        elif not self._queue:
            self.everyone.forget(self)

    def _transmit(self, connection: Connection, stanza: Stanza) -> bool:
        """Write a stanza; False when the stream takes none any more."""
        assert self.machine is not None
        now = monotonic()
        try:
            actions = self.machine.send(stanza, now)
        except RuntimeError:
            return False
        connection.send(actions)
        self._ledger.note(connection, stanza, now)
        self.sent += 1
        return True

    def _drain(self) -> None:
        connection = self.connection
        while self._queue and self._ready(connection):
            assert connection is not None
            if not self._transmit(connection, self._queue[0]):
                # When the stream is gone, the rest goes on a new one.
                break
            self._less(self._queue.popleft())
            if connection.buffered > self.current.bounds.write_buffer:
                # More would only be a second queue: the rest goes when the kernel has taken this.
                self._loop.call_soon(self._drain)
                break

    def _ready(self, connection: Connection | None) -> bool:
        return self.up and connection is not None and not connection.paused and self.machine is not None

    def _less(self, stanza: Stanza) -> None:
        size = len(stanza.payload) + 512
        self._queued -= size
        self.everyone.queued_bytes -= size

    def _authenticated(self, action: Authenticated) -> None:
        self.up = True
        self.method = action.method
        self.since = time.time()
        self._up_at = self._loop.time()
        self._failure, self._failures, self._retry_at = None, 0, 0.0
        self.everyone.last_errors.pop(self.pair.remote, None)
        self.current.audit.partner(
            "authenticated",
            direction="out",
            local=self.pair.local,
            remote=self.pair.remote,
            method=action.method,
            address=self.endpoint,
        )
        self._drain()

    def _settle(self, outcome: DialFailed | None) -> None:
        if self._outcome is not None and not self._outcome.done():
            self._outcome.set_result(outcome)

    async def _run(self) -> None:
        failure: DialFailed | None
        try:
            async with asyncio.timeout(self.current.settings.stream_establishment_timeout):
                failure = await self._establish()
        except DialFailed as problem:
            failure = problem
        except TimeoutError:
            failure = DialFailed(TIMEOUT, f"No stream to {self.pair.remote} came about in time.")
        if self._task is asyncio.current_task():
            self._task = None
        if failure is not None:
            self._detach(None, "")
            self._fail(failure)

    async def _establish(self) -> DialFailed | None:
        """Try one address after the other; None when the stream is up."""
        partner = self._partner = self._allowed()
        last = DialFailed(NOT_FOUND, f"No address for {self.pair.remote} was found.")
        dialer = self.everyone.dialer
        async for target in dialer.candidates(partner, self.pair.remote):
            candidate = target
            while candidate.addresses:
                self.endpoint = str(candidate)
                self._outcome = self._loop.create_future()
                try:
                    self._candidate = connection = Connection(self, self.current)
                    await dialer.connect(candidate, connection)
                    self.endpoint = str(candidate.at(connection.peer))
                    outcome = await self._outcome
                except DialFailed as problem:
                    last = problem
                    break
                if outcome is None:
                    return None
                self._detach(None, "")
                last = DialFailed(outcome.condition, f"{outcome.text} ({self.endpoint})")
                if outcome.condition != TIMEOUT:
                    # The peer lives and has said no; another of its addresses would say the same.
                    return last
                candidate = candidate.without(connection.peer)
        return last

    def _allowed(self) -> Partner:
        """The partner, if there is any method and any room for a stream to it."""
        snapshot = self.current.snapshot
        partner = snapshot.partner(self.pair.remote)
        if partner is None:
            raise DialFailed(NOT_FOUND, f"{self.pair.remote} is not a partner.")
        if "tcp_dialback" not in partner.auth_methods:
            text = f"The record of {partner.domain} demands TLS, which this version does not have yet."
            self.current.audit.refused(
                "tls_not_available_yet", local=self.pair.local, remote=self.pair.remote, text=text
            )
            raise DialFailed(TIMEOUT, text)
        others = [route for route in self.everyone.established() if route is not self]
        same = [route for route in others if route.pair.remote in partner.domains]
        if len(others) >= snapshot.limits.connection_limit or len(same) >= snapshot.connection_limit_of(partner):
            self.current.audit.refused("connection_limit", local=self.pair.local, remote=self.pair.remote)
            raise DialFailed("resource-constraint", "The limit of streams to this partner is reached.")
        return partner

    def _broken(self) -> None:
        self._task = None
        self._detach(None, "")
        self._fail(DialFailed(TIMEOUT, "An internal error; the audit has a line about it."))

    def _fail(self, failure: DialFailed) -> None:
        self._failures += 1
        timing = self.current.timing
        pause = min(timing.longest_retry, timing.first_retry * 2 ** min(self._failures - 1, 20))
        self._retry_at = self._loop.time() + self.current.jitter(pause)
        self._failure = failure
        self.everyone.last_errors[self.pair.remote] = failure.text
        self.current.audit.partner(
            "stream_failed",
            local=self.pair.local,
            remote=self.pair.remote,
            condition=failure.condition,
            text=failure.text,
            waiting=len(self._queue),
        )
        self._empty(failure.condition, failure.text)

    def _empty(self, condition: str, text: str) -> None:
        queue, self._queue = self._queue, deque()
        for stanza in queue:
            self._less(stanza)
            self._give_back(stanza, condition, text)

    def _give_back(self, stanza: Stanza, condition: str, text: str) -> None:
        self.everyone.undeliverable(stanza, condition, text)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _detach(self, condition: str | None, text: str) -> None:
        """Let go of the connection; it closes by itself, and what it says from now on is no longer ours."""
        connection, self.connection, self.machine = self.connection, None, None
        self._candidate = None
        was_up, self.up, self.method = self.up, False, ""
        if connection is None:
            return
        if was_up:
            connection.owner = _Leaving(self, self._ledger)
            self.everyone.leaving[connection] = self.pair.remote
            self._ledger = Ledger()
        connection.close(condition, text)


class _Leaving:
    """Owner of a stream that is being closed: it still tells what may not have arrived."""

    def __init__(self, route: Route, ledger: Ledger) -> None:
        self._route = route
        self._ledger = ledger
        self._began = monotonic()

    def opened(self, connection: Connection) -> None:
        """It is long open."""

    def machine_for(self, connection: Connection) -> Machine:
        raise RuntimeError("a closing connection has its machine")

    def act(self, connection: Connection, action: Any) -> None:
        """Nothing it says matters any more."""

    def writable(self, connection: Connection, ready: bool) -> None:
        """Nothing is written to it any more."""

    def closed(self, connection: Connection, closed: Closed | None) -> None:
        self._route.everyone.left(connection)
        # A peer that never answers our goodbye makes us wait; what was young when we said it is still in doubt.
        doubtful = self._ledger.in_doubt(connection, self._began, clean=is_clean(connection, closed))
        for stanza in doubtful:
            self._route.everyone.undeliverable(
                stanza, TIMEOUT, "The connection broke before it was certain that this arrived."
            )
