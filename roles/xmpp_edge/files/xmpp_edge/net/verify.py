# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dialback questions to the servers that are authoritative for partner domains.

One connection serves all questions about one partner domain, and a domain that could not be reached is not dialled
again for a moment: forged requests cannot make us open connections without end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ..config import Difference, Partner
from ..current import Current
from ..stream.actions import Closed, Pair, Verified
from ..stream.outbound import Outbound
from .connection import Connection, Machine
from .dial import Dialer, DialFailed
from .tasks import watched

Answer = Callable[[str, str | None], None]
"""Called once with the outcome and, for an error, the dialback condition."""


class Verifiers:
    """The connections, by partner domain."""

    def __init__(self, current: Current, dialer: Dialer) -> None:
        self.current = current
        self.dialer = dialer
        self.open: dict[str, Verifier] = {}
        self.failed: dict[str, tuple[float, str]] = {}

    def ask(self, pair: Pair, key: str, stream_id: str, answer: Answer) -> None:
        """Ask about a key; ``answer`` is called later or at once."""
        loop = asyncio.get_running_loop()
        until, condition = self.failed.get(pair.remote, (0.0, ""))
        if until > loop.time():
            answer("error", condition)
            return
        self.failed.pop(pair.remote, None)
        partner = self.current.snapshot.partner(pair.remote)
        if partner is None or self.current.draining:
            answer("error", "policy-violation" if partner is None else "remote-connection-failed")
            return
        verifier = self.open.get(pair.remote)
        if verifier is None or not verifier.accepting:
            verifier = Verifier(self, pair, partner)
            self.open[pair.remote] = verifier
            verifier.dial()
        verifier.ask(pair, key, stream_id, answer)

    def apply(self, change: Difference) -> None:
        """Questions under way at changed partners fail; the partner will ask again."""
        for remote in change.remote_domains:
            self.failed.pop(remote, None)
            if remote in self.open:
                self.open[remote].stop("reset")

    def close(self) -> None:
        """End all of them."""
        for verifier in list(self.open.values()):
            verifier.stop("system-shutdown")


class Verifier:
    """One connection to one partner domain's authoritative server."""

    def __init__(self, everyone: Verifiers, pair: Pair, partner: Partner) -> None:
        self.everyone = everyone
        self.current = everyone.current
        self.remote = pair.remote
        self.pair = pair
        self.partner = partner
        self._stopped = False
        self.connection: Connection | None = None
        self.machine: Outbound | None = None
        self._pending: dict[tuple[Pair, str], Answer] = {}
        self._early: list[tuple[Pair, str, str]] = []
        self._task: asyncio.Task[None] | None = None

    @property
    def accepting(self) -> bool:
        """It still takes questions; one that is being closed does not."""
        return self.machine is None or self.machine.accepting

    def dial(self) -> None:
        self._task = watched(self._dial(), lambda: self._over("remote-connection-failed"))

    def ask(self, pair: Pair, key: str, stream_id: str, answer: Answer) -> None:
        question = (pair, stream_id)
        if question in self._pending or len(self._pending) >= self.current.bounds.verifications:
            answer("error", "resource-constraint")
            return
        self._pending[question] = answer
        if self.connection is None or self.machine is None:
            self._early.append((pair, key, stream_id))
        else:
            self.connection.perform(self.machine.verify(pair, key, stream_id, self.connection.loop.time()))

    def stop(self, condition: str) -> None:
        self._stopped = True
        if self._task is not None:
            self._task.cancel()
        if self.connection is not None:
            self.connection.close(condition, "")
        self._over("remote-connection-failed")

    # Owner of a Connection

    def opened(self, connection: Connection) -> None:
        if self._stopped:
            connection.abort()
            return
        connection.start()
        assert self.machine is not None
        connection.perform(self.machine.connected(connection.loop.time()))
        early, self._early = self._early, []
        for pair, key, stream_id in early:
            connection.perform(self.machine.verify(pair, key, stream_id, connection.loop.time()))

    def machine_for(self, connection: Connection) -> Machine:
        self.connection = connection
        self.machine = Outbound(
            pair=self.pair,
            purpose="verify",
            partner=self.partner,
            credentials=self.current.credentials(self.pair.local),
            settings=self.current.settings,
            now=connection.loop.time(),
        )
        return self.machine

    def act(self, connection: Connection, action: Any) -> None:
        if isinstance(action, Verified):
            answer = self._pending.pop((action.pair, action.stream_id), None)
            if answer is not None:
                answer(action.outcome, action.condition)

    def writable(self, connection: Connection, ready: bool) -> None:
        """Questions are few and small."""

    def closed(self, connection: Connection, closed: Closed | None) -> None:
        self._over("remote-connection-failed")

    def _over(self, condition: str) -> None:
        """Whatever was not answered gets an error, and the next question opens a new connection."""
        if self.everyone.open.get(self.remote) is self:
            del self.everyone.open[self.remote]
        pending, self._pending = self._pending, {}
        for answer in pending.values():
            answer("error", condition)

    async def _dial(self) -> None:
        failure = DialFailed("remote-server-timeout", "It was not reached in time.")
        dialer = self.everyone.dialer
        try:
            async with asyncio.timeout(self.current.settings.stream_establishment_timeout):
                async for candidate in dialer.candidates(self.partner, self.remote):
                    try:
                        await dialer.connect(candidate, Connection(self, self.current))
                    except DialFailed as problem:
                        failure = problem
                    else:
                        return
        except DialFailed as problem:
            failure = problem
        except TimeoutError:
            pass
        self.current.audit.refused(
            "verify_failed", known=False, local=self.pair.local, remote=self.remote, text=failure.text
        )
        condition = "remote-connection-failed" if failure.condition == "remote-server-timeout" else failure.condition
        retry = asyncio.get_running_loop().time() + self.current.timing.verify_retry
        self.everyone.failed[self.remote] = (retry, condition)
        self._over(condition)
