# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All ways out, by pair of our domain and a partner's: what a new Snapshot and the end of the service mean for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Iterable
from typing import TYPE_CHECKING, Any

from ..config import Difference
from ..current import Current
from ..stream.actions import Closed, Pair
from ..xml.stanza import Stanza
from .connection import Connection
from .dial import Dialer
from .handover import HandingOn
from .outgoing import Outgoing
from .queue import Waiting
from .resolve import TIMEOUT
from .route import Route

if TYPE_CHECKING:
    from .incoming import Incoming

Undeliverable = Callable[[Stanza, str, str], None]
"""Stanza, condition and text of the error that its sender gets."""
DeliverTo = Callable[[Stanza, Pair, Connection], None]
"""A stanza from a partner, on a stream of ours that goes both ways."""


class Routes:
    """All ways out."""

    def __init__(
        self,
        current: Current,
        dialer: Dialer,
        undeliverable: Undeliverable,
        deliver: DeliverTo,
        handing_on: HandingOn,
    ) -> None:
        self.current = current
        self.dialer = dialer
        self.undeliverable = undeliverable
        self.deliver = deliver
        self.handing_on = handing_on
        self.census = current.census
        self.routes: dict[tuple[str, str], Route] = {}
        self.waiting = Waiting()
        self.leaving: dict[Connection, str] = {}
        """Streams that are being closed, and may still tell what has not arrived; each with the domain it leads to."""
        self._left = asyncio.Event()
        self.last_errors: dict[str, str] = {}
        """By partner domain: why the last attempt failed; gone with the next success."""

    def between(self, local: str, remote: str) -> Route:
        """The way from a domain of ours to a partner's; made when it is first asked for."""
        route = self.routes.get((local, remote))
        if route is None:
            route = self.routes[local, remote] = Route(self, Pair(local, remote))
        return route

    def forget(self, route: Route) -> None:
        """Nothing waits on this way, and nothing is to be remembered of it but the streams that are lent to it."""
        if not route.borrowed:
            self.routes.pop((route.pair.local, route.pair.remote), None)

    def established(self) -> Iterable[Route]:
        """Those with a stream of ours on which stanzas flow."""
        return [route for route in self.routes.values() if route.established]

    def streams(self) -> list[Outgoing]:
        """Those that we have opened, or are opening."""
        return [route.stream for route in self.routes.values() if route.stream is not None]

    def describe(self) -> list[dict[str, Any]]:
        """For `xmpp-edge streams`."""
        told = (route.describe() for route in self.routes.values())
        return [entry for entry in told if entry is not None]

    def heard_from(self, pair: Pair) -> None:
        """The partner has just proven itself to us: no reason to wait any longer before we call it again."""
        route = self.routes.get((pair.local, pair.remote))
        if route is not None:
            route.forget_failure()

    # Borrower of streams that partners have opened

    def lend(self, pair: Pair, stream: Incoming) -> None:
        """The pair is proven on this stream, and the peer takes stanzas there."""
        if stream.machine is not None:
            self.between(pair.local, pair.remote).lend(stream.connection, stream.machine)

    def writable(self, stream: Incoming, ready: bool) -> None:
        """Its write buffer filled up or drained."""
        for route in self._with(stream) if ready else ():
            route.drain()

    def doubtful(self, stream: Incoming, stanzas: tuple[Stanza, ...]) -> None:
        """The stream is about to end, and the peer never acknowledged these."""
        for route in self._with(stream):
            route.borrowed[stream.connection].unacknowledged = tuple(
                stanza for stanza in stanzas if _pair_of(stanza) == route.pair
            )

    def take_back(self, stream: Incoming, closed: Closed | None) -> None:
        """The stream is gone."""
        for route in self._with(stream):
            route.take_back(stream.connection, closed)
        self.left(stream.connection)

    def _with(self, stream: Incoming) -> list[Route]:
        pairs = stream.machine.pairs if stream.machine is not None else {}
        routes = (self.routes.get((pair.local, pair.remote)) for pair in pairs)
        return [route for route in routes if route is not None and stream.connection in route.borrowed]

    # Changes, and the end

    def apply(self, change: Difference) -> None:
        """Touch only the ways that a new Snapshot changes."""
        again = change.dialback_secret or change.resolvers
        for route in list(self.routes.values()):
            pair = route.pair
            if change.federation_off:
                route.shut("policy-violation", "not-allowed", "Federation has been switched off.")
            elif pair.remote in change.gone_partners:
                # Those close soon, too, and what was sent on them is given back while its sender is still ours.
                self.leaving.update(dict.fromkeys(route.borrowed, pair.remote))
                route.shut("policy-violation", "not-allowed", "This domain is no longer a partner.")
            elif pair.local in change.gone_domains:
                route.shut("host-gone", "not-allowed", "The sender's domain is no longer served.")
            elif pair.remote in change.remote_domains or (again and not route.up):
                route.renew()
            else:
                # Whatever has been changed, such as a certificate, may be what was missing.
                route.forget_failure()

    async def drain(self, seconds: float) -> None:
        """Let go what can go within the time, give back the rest, and close."""
        for route in list(self.routes.values()):
            if not route.up:
                route.shut("system-shutdown", TIMEOUT, "The edge is shutting down.")
        try:
            async with asyncio.timeout(seconds):
                for route in list(self.routes.values()):
                    await route.flushed()
        except TimeoutError:
            pass
        for route in list(self.routes.values()):
            route.shut("system-shutdown", TIMEOUT, "The edge is shutting down.")
        await self.gone()

    def left(self, connection: Connection) -> None:
        """A stream that was being closed is gone."""
        self.leaving.pop(connection, None)
        self._left.set()

    async def gone(self, remotes: Container[str] | None = None) -> None:
        """Wait until the streams (to these domains) that are being closed have told what has not arrived."""
        try:
            async with asyncio.timeout(self.current.timing.linger):
                await self._all_left(remotes)
        except TimeoutError:
            for connection in self._still_there(remotes):
                connection.abort()
            await self._all_left(remotes)

    async def _all_left(self, remotes: Container[str] | None) -> None:
        while self._still_there(remotes):
            self._left.clear()
            await self._left.wait()

    def _still_there(self, remotes: Container[str] | None) -> list[Connection]:
        return [connection for connection, remote in self.leaving.items() if remotes is None or remote in remotes]


def _pair_of(stanza: Stanza) -> Pair | None:
    if stanza.from_ is None or stanza.to is None:
        return None
    return Pair(stanza.from_.domain, stanza.to.domain)
