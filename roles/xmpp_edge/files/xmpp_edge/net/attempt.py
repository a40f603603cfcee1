# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that is tried to get one stream to a partner: each target, each of its addresses, and perhaps once more.

Once more is for partners whose record leaves a weaker way: when TLS, or SASL over it, has failed, and only then. What
the record demands is never left out.
"""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING

from ..config import Partner
from .dial import DialFailed
from .outgoing import Outgoing
from .resolve import NOT_FOUND, TIMEOUT

if TYPE_CHECKING:
    from .route import Route


async def establish(route: Route, partner: Partner) -> None:
    """Returns when a stream of the route is up; raises DialFailed."""
    failure, weakness = await _round(route, partner, ())
    if failure is not None and weakness is not None:
        first = failure
        failure, _unused = await _round(route, partner, {weakness})
        if failure is not None:
            text = f"{failure.text}; before that, {first.text}"
            failure = DialFailed(failure.condition, text)
    if failure is not None:
        raise failure


async def _round(route: Route, partner: Partner, avoid: Container[str]) -> tuple[DialFailed | None, str | None]:
    """Try one address after the other. Gives the failure, and what may be left out because it was the reason."""
    remote, dialer = route.pair.remote, route.everyone.dialer
    last = DialFailed(NOT_FOUND, f"No address for {remote} was found.")
    weakness: str | None = None
    async for target in dialer.candidates(partner, remote):
        candidate = target
        if candidate.direct and "tls" in avoid:
            continue
        while candidate.addresses:
            stream = route.stream = Outgoing(route, partner, candidate, avoid)
            try:
                await dialer.connect(candidate, stream.connection)
                outcome = await stream.outcome
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
