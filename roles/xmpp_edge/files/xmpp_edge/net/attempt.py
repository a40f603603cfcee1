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
    try:
        async with asyncio.timeout_at(end):
            await _establish(dialer, partner, remote, make, end)
    except TimeoutError:
        raise DialFailed(TIMEOUT, f"No stream to {remote} came about in time.") from None


async def _establish(dialer: Dialer, partner: Partner, remote: str, make: Make, end: float) -> None:
    nothing = DialFailed(NOT_FOUND, f"No address for {remote} was found.")
    failure, weakness = await _round(dialer, partner, remote, make, (), end, nothing)
    if failure is not None and weakness is not None:
        first = failure
        failure, _unused = await _round(dialer, partner, remote, make, {weakness}, end, first)
        if failure is not None and failure is not first:
            failure = DialFailed(failure.condition, f"{failure.text}; before that, {first.text}")
    if failure is not None:
        raise failure


async def _round(
    dialer: Dialer, partner: Partner, remote: str, make: Make, avoid: Container[str], end: float, last: DialFailed
) -> tuple[DialFailed | None, str | None]:
    """Try one address after the other. Gives the failure, and what may be left out because it was the reason.

    ``last`` is the failure where there is nothing to try, as with direct TLS alone and TLS to be left out.
    """
    weakness: str | None = None
    async for target in dialer.candidates(partner, remote):
        candidate = target
        if candidate.direct and "tls" in avoid:
            continue
        while candidate.addresses:
            stream = make(candidate, avoid)
            try:
                await dialer.connect(candidate, stream.connection)
                outcome = await _outcome(stream, end)
            except DialFailed as problem:
                last = problem
                break
            if outcome is None:
                return None, None
            stream.let_go(None, "")
            weakness = stream.weakness or weakness
            last = DialFailed(outcome.condition, f"{outcome.text} ({stream.endpoint})")
            if outcome.condition != TIMEOUT:
                # The peer lives and has said no; another of its addresses would say the same.
                return last, weakness
            candidate = candidate.without(stream.connection.peer)
    return last, weakness


async def _outcome(stream: Trial, end: float) -> DialFailed | None:
    left = end - asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(left * _SHARE):
            return await stream.outcome
    except TimeoutError:
        return DialFailed(TIMEOUT, "The server took the connection, and no stream came about in time")
