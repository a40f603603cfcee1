# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which partner domains travel on which link.

ejabberd gets one link that carries all domains, because with several it spreads one conversation over them. Every other
server knows a component by one name, so there each partner domain has its own link; they are opened a few at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from ..config import Inside, Snapshot
from ..current import Current
from ..net.connection import Connection
from ..xml.stanza import Stanza
from .link import FromInside, InDoubt, Link


def layout(snapshot: Snapshot) -> dict[str, frozenset[str]]:
    """Link name to domains carried."""
    domains = frozenset(snapshot.by_domain)
    if not domains:
        return {}
    if snapshot.inside.server == "ejabberd":
        return {min(domains): domains}
    return {domain: frozenset((domain,)) for domain in domains}


class Links:
    """All links to the inside server."""

    def __init__(self, current: Current, from_inside: FromInside, in_doubt: InDoubt) -> None:
        self.current = current
        self.links: dict[str, Link] = {}
        self._by_domain: dict[str, Link] = {}
        self._turn = asyncio.Semaphore(current.bounds.links_at_once)
        self._from_inside = from_inside
        self._in_doubt = in_doubt
        self._server: Inside | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    def apply(self) -> None:
        """Add, remove and replace links as the Snapshot in force wants it; leave the others alone."""
        snapshot = self.current.snapshot
        wanted = layout(snapshot)
        moved = self._server is not None and self._server != snapshot.inside
        self._server = snapshot.inside
        leaving: dict[str, asyncio.Task[None]] = {}
        for name, link in list(self.links.items()):
            if moved or wanted.get(name) != link.domains:
                del self.links[name]
                leaving[name] = self._leave(link)
        for name in sorted(wanted.keys() - self.links.keys()):
            self.links[name] = Link(
                self.current,
                name,
                wanted[name],
                self._turn,
                self._from_inside,
                self._in_doubt,
                after=leaving.get(name),
            )
        for link in self.links.values():
            link.retry()
        self._by_domain = {domain: link for link in self.links.values() for domain in link.domains}

    def send(self, stanza: Stanza, source: Connection | None) -> str | None:
        """Hand a stanza to the inside server; the condition of an error when that cannot be."""
        link = self._by_domain.get(stanza.from_.domain) if stanza.from_ is not None else None
        if link is None:
            return "remote-server-timeout"
        return link.send(stanza, source)

    def is_up(self, domain: str) -> bool:
        """Whether stanzas from this partner domain can be handed over now."""
        link = self._by_domain.get(domain)
        return link is not None and link.state == "up"

    def handing_on(self, domains: Iterable[str]) -> Callable[[], bool]:
        """A question: whether all that was sent until now in the name of these domains has left this process.

        Where a link broke instead, its stanzas have gone back to their senders.
        """
        links = {self._by_domain[domain] for domain in domains if domain in self._by_domain}
        waits = [(link.connection, link.connection.position) for link in links if link.connection is not None]
        return lambda: all(connection.taken(position) for connection, position in waits)

    def link_of(self, domain: str) -> Link | None:
        """The link that carries a partner domain."""
        return self._by_domain.get(domain)

    async def attempted(self, seconds: float) -> None:
        """Wait until each link has been tried once, but not longer than this."""
        waits = [asyncio.ensure_future(link.attempted.wait()) for link in self.links.values()]
        if waits:
            _unused, late = await asyncio.wait(waits, timeout=seconds)
            for wait in late:
                wait.cancel()

    async def close(self, condition: str | None, text: str) -> None:
        """Close all, at the end."""
        for link in self.links.values():
            self._leave(link, condition, text)
        self.links.clear()
        self._by_domain.clear()
        if self._leaving:
            await asyncio.wait(self._leaving)

    def describe(self) -> list[dict[str, Any]]:
        """For `xmpp-edge status`."""
        return [link.describe() for _unused, link in sorted(self.links.items())]

    def _leave(self, link: Link, condition: str | None = None, text: str = "") -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(link.stop(condition, text))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
        return task
