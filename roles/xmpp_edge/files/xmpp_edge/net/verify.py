# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dialback questions to the servers that are authoritative for partner domains.

One connection serves all questions about one partner domain, over TLS where the record demands that, and a domain that
could not be reached is not dialled again for a moment: forged requests cannot make us open connections without end.
Nor can they keep honest ones from being answered: askers take turns, and few questions are asked at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Container
from typing import Any

from ..config import Difference, Partner
from ..current import Current
from ..stream.actions import Action, Closed, Pair, Ready, Refused, StartTls, Verified
from .attempt import establish
from .connection import Connection
from .dial import Candidate, Dialer, DialFailed
from .dialled import Dialled
from .questions import Answer, Question, Questions
from .resolve import TIMEOUT
from .tasks import watched
from .trial import Trial

_AT_ONCE = 16
"""Questions that the partner's server has not answered; more wait, so that it is our order that counts."""


class Verifiers:
    """The connections, by partner domain."""

    def __init__(self, current: Current, dialer: Dialer) -> None:
        self.current = current
        self.dialer = dialer
        self.open: dict[str, Verifier] = {}
        self.failed: dict[str, tuple[float, str]] = {}

    def ask(self, pair: Pair, key: str, stream_id: str, answer: Answer, asker: str = "") -> None:
        """Ask about a key that came from the address ``asker``; ``answer`` is called later or at once."""
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
        verifier.ask(Question(pair, key, stream_id, answer, asker))

    def apply(self, change: Difference) -> None:
        """Questions under way at changed partners fail; the partner will ask again."""
        # Whatever has been changed may be what was missing.
        self.failed.clear()
        for remote in change.remote_domains:
            if remote in self.open:
                self.open[remote].stop("reset")

    def close(self) -> None:
        """End all of them."""
        for verifier in list(self.open.values()):
            verifier.stop("system-shutdown")


class Verifier:
    """All questions about one partner domain, and the connection that serves them."""

    def __init__(self, everyone: Verifiers, pair: Pair, partner: Partner) -> None:
        self.everyone = everyone
        self.current = everyone.current
        self.remote = pair.remote
        self.pair = pair
        self.partner = partner
        self._stream: _Inquiry | None = None
        self._asked: dict[tuple[Pair, str], Question] = {}
        self._waiting = Questions(everyone.current.bounds.verifications)
        self._task: asyncio.Task[None] | None = None
        self._ended = False

    @property
    def accepting(self) -> bool:
        """It still takes questions; one whose connection is being closed does not."""
        return not self._ended and (self._task is not None or self._ready)

    @property
    def _ready(self) -> bool:
        stream = self._stream
        return stream is not None and stream.machine is not None and stream.machine.established

    def dial(self) -> None:
        self._task = watched(self._dial(), lambda: self.over("remote-connection-failed"))

    def ask(self, question: Question) -> None:
        if (question.pair, question.stream_id) in self._asked:
            question.answer("error", "resource-constraint")
            return
        refused = self._waiting.put(question)
        if refused is not None:
            self.current.audit.counters["verifications_refused"] += 1
            refused.answer("error", "resource-constraint")
        self.go_on()

    def go_on(self) -> None:
        """Ask what there is room to ask."""
        stream = self._stream
        while len(self._asked) < _AT_ONCE and self._ready and stream is not None and stream.machine is not None:
            question = self._waiting.next()
            if question is None:
                return
            self._asked[question.pair, question.stream_id] = question
            now = stream.connection.loop.time()
            stream.connection.perform(stream.machine.verify(question.pair, question.key, question.stream_id, now))

    def answered(self, action: Verified) -> None:
        """The partner's server has answered, or will not."""
        question = self._asked.pop((action.pair, action.stream_id), None)
        if question is not None:
            question.answer(action.outcome, action.condition)
        self.go_on()

    def stop(self, condition: str) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if self._stream is not None:
            self._stream.let_go(condition, "")
        self.over("remote-connection-failed")

    def over(self, condition: str) -> None:
        """Whatever was not answered gets an error, and the next question opens a new connection."""
        self._ended = True
        if self.everyone.open.get(self.remote) is self:
            del self.everyone.open[self.remote]
        left = [*self._asked.values(), *self._waiting.empty()]
        self._asked.clear()
        for question in left:
            question.answer("error", condition)

    def _try(self, candidate: Candidate, avoid: Container[str]) -> _Inquiry:
        self._stream = _Inquiry(self, candidate, avoid)
        return self._stream

    async def _dial(self) -> None:
        try:
            seconds = self.current.settings.stream_establishment_timeout
            await establish(self.everyone.dialer, self.partner, self.remote, self._try, seconds)
        except DialFailed as problem:
            failure = problem
        else:
            self._task = None
            if not self._ready:
                self.over("remote-connection-failed")
            self.go_on()
            return
        self._task = None
        if self._stream is not None:
            self._stream.let_go(None, "")
        self.current.audit.refused(
            "verify_failed", known=False, local=self.pair.local, remote=self.remote, text=failure.text
        )
        condition = _CONDITIONS.get(failure.condition, failure.condition)
        retry = asyncio.get_running_loop().time() + self.current.timing.verify_retry
        self.everyone.failed[self.remote] = (retry, condition)
        self.over(condition)


_CONDITIONS = {TIMEOUT: "remote-connection-failed", "not-allowed": "policy-violation"}


class _Questioner(Dialled):
    """Says when questions go out at once."""

    def _ask(self, now: float, actions: list[Action]) -> None:
        super()._ask(now, actions)
        actions.append(Ready())


class _Inquiry(Trial):
    """One connection to the authoritative server."""

    purpose = "verify"
    kind = _Questioner

    def __init__(self, verifier: Verifier, candidate: Candidate, avoid: Container[str]) -> None:
        super().__init__(verifier.current, verifier.pair, verifier.partner, candidate, avoid)
        self.verifier = verifier
        self._refused = ""

    # Owner of a Connection

    def act(self, connection: Connection, action: Any) -> None:
        if self._let_go:
            return
        if isinstance(action, Verified):
            self.verifier.answered(action)
        elif isinstance(action, StartTls):
            self._start_tls()
        elif isinstance(action, Ready):
            self._settle(None)
        elif isinstance(action, Refused):
            self._refused = action.text

    def writable(self, connection: Connection, ready: bool) -> None:
        """Questions are few and small."""

    def closed(self, connection: Connection, closed: Closed | None) -> None:
        if not self.outcome.done():
            text = (closed.text if closed else "") or "The partner's server broke the connection."
            self._settle(DialFailed(TIMEOUT, self._refused or text))
        elif not self._let_go:
            self.verifier.over("remote-connection-failed")
