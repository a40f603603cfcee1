# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All that is tried to get one stream to a partner: each target, each of its addresses, and perhaps all once more.

Once more is for partners whose record leaves a weaker way: when TLS, or SASL over it, has failed, and only then. What
the record demands is never left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container

from ..config import Partner
from .dial import Candidate, Dialer, DialFailed
from .resolve import NOT_FOUND, TIMEOUT
from .trial import Trial

_SHARE = 2 / 3
"""Of the time that is left, for one address: a server that takes the connection and then hangs is not the last hope."""

Make = Callable[[Candidate, Container[str]], Trial]
"""Makes the trial for one target; the second is what to avoid."""


async def establish(dialer: Dialer, partner: Partner, remote: str, make: Make, seconds: float) -> None:
    """Returns when the last stream made is up; raises DialFailed."""
    end = asyncio.get_running_loop().time() + seconds
    attempt = _Attempt(dialer, partner, remote, make, end)
    try:
        async with asyncio.timeout_at(end):
            await attempt.run()
    except TimeoutError:
        raise DialFailed(TIMEOUT, f"No stream to {remote} came about in time{attempt.progress}.") from None


class _Attempt:
    """The targets one after the other, and what became of the last."""

    def __init__(self, dialer: Dialer, partner: Partner, remote: str, make: Make, end: float) -> None:
        self._dialer = dialer
        self._partner = partner
        self._remote = remote
        self._make = make
        self._end = end
        self._trying: Trial | None = None
        """It has no outcome yet."""
        self._failure: DialFailed | None = None
        """Of the last one that has."""

    @property
    def progress(self) -> str:
        """The last address tried and what became of it, to be put behind the words that time has run out."""
        if self._trying is not None:
            return f"; the last tried was {self._trying.endpoint}: {self._trying.phase}"
        return f"; before that, {self._failure.text.rstrip('.')}" if self._failure is not None else ""

    async def run(self) -> None:
        """Returns when a stream is up; raises DialFailed."""
        nothing = DialFailed(NOT_FOUND, f"No address for {self._remote} was found.")
        failure, weakness = await self._round((), nothing)
        if failure is not None and weakness is not None:
            first = failure
            failure, _unused = await self._round({weakness}, first)
            if failure is not None and failure is not first:
                failure = DialFailed(failure.condition, f"{failure.text}; before that, {first.text}")
        if failure is not None:
            raise failure

    async def _round(self, avoid: Container[str], last: DialFailed) -> tuple[DialFailed | None, str | None]:
        """Try one address after the other. Gives the failure, and what may be left out because it was the reason.

        ``last`` is the failure where there is nothing to try, as with direct TLS alone and TLS to be left out.
        """
        weakness: str | None = None
        async for target in self._dialer.candidates(self._partner, self._remote):
            candidate = target
            if candidate.direct and "tls" in avoid:
                continue
            while candidate.addresses:
                self._trying = stream = self._make(candidate, avoid)
                try:
                    await self._dialer.connect(candidate, stream.connection)
                    outcome = await self._outcome(stream)
                except DialFailed as problem:
                    last = self._over(problem)
                    break
                if outcome is None:
                    return None, None
                stream.let_go(None, "")
                weakness = stream.weakness or weakness
                last = self._over(DialFailed(outcome.condition, f"{outcome.text} ({stream.endpoint})"))
                if outcome.condition != TIMEOUT:
                    # The peer lives and has said no; another of its addresses would say the same.
                    return last, weakness
                candidate = candidate.without(stream.connection.peer)
        return last, weakness

    def _over(self, failure: DialFailed) -> DialFailed:
        self._trying, self._failure = None, failure
        return failure

    async def _outcome(self, stream: Trial) -> DialFailed | None:
        left = self._end - asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(left * _SHARE):
                return await stream.outcome
        except TimeoutError:
            return DialFailed(TIMEOUT, f"No stream came about in time: {stream.phase}")
