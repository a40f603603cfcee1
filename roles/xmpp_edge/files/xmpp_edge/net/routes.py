# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All ways out, by pair of our domain and a partner's: what a new Snapshot and the end of the service mean for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Iterable

from ..config import Difference
from ..current import Current
from ..stream.actions import Pair
from ..xml.stanza import Stanza
from .connection import Connection
from .dial import Dialer
from .resolve import TIMEOUT
from .route import Route

Undeliverable = Callable[[Stanza, str, str], None]
"""Stanza, condition and text of the error that its sender gets."""


class Routes:
    """All ways out."""

    def __init__(self, current: Current, dialer: Dialer, undeliverable: Undeliverable) -> None:
        self.current = current
        self.dialer = dialer
        self.undeliverable = undeliverable
        self.routes: dict[tuple[str, str], Route] = {}
        self.queued_bytes = 0
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
        """Nothing waits on this way, and nothing is to be remembered of it."""
        self.routes.pop((route.pair.local, route.pair.remote), None)

    def established(self) -> Iterable[Route]:
        """Those on which stanzas flow."""
        return [route for route in self.routes.values() if route.up]

    def heard_from(self, pair: Pair) -> None:
        """The partner has just proven itself to us: no reason to wait any longer before we call it again."""
        route = self.routes.get((pair.local, pair.remote))
        if route is not None:
            route.forget_failure()

    def apply(self, change: Difference) -> None:
        """Touch only the ways that a new Snapshot changes."""
        again = change.dialback_secret or change.resolvers
        for route in list(self.routes.values()):
            pair = route.pair
            if change.federation_off:
                route.shut("policy-violation", "not-allowed", "Federation has been switched off.")
            elif pair.remote in change.gone_partners:
                route.shut("policy-violation", "not-allowed", "This domain is no longer a partner.")
            elif pair.local in change.gone_domains:
                route.shut("host-gone", "not-allowed", "The sender's domain is no longer served.")
            elif pair.remote in change.remote_domains or (again and not route.up):
                route.renew()

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
