# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a partner domain to a TCP connection: its proxy, or what DNS says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TypeVar

from ..config import Partner
from ..current import Current
from .resolve import NOT_FOUND, TIMEOUT, LookupFailed, Resolver, Target

_DEFAULT_PORT = 5269
_LOOKUP = 8.0

AnyProtocol = TypeVar("AnyProtocol", bound=asyncio.Protocol)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address to try, and the name that led to it."""

    host: str
    address: str
    port: int

    def __str__(self) -> str:
        where = f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"
        return where if self.host == self.address else f"{self.host} ({where})"


class DialFailed(Exception):
    """No connection; ``condition`` is the stanza error for those who wait for it."""

    def __init__(self, condition: str, text: str) -> None:
        super().__init__(text)
        self.condition = condition
        self.text = text


class Dialer:
    """Finds and opens connections; holds the resolver, which a reload may replace."""

    def __init__(self, current: Current) -> None:
        self.current = current
        self.resolver = self.new_resolver()

    def new_resolver(self) -> Resolver:
        """A resolver for the Snapshot in force; its answers must leave time to connect."""
        patience = min(_LOOKUP, self.current.settings.stream_establishment_timeout / 4)
        return Resolver(self.current.snapshot.resolvers, lifetime=patience)

    async def targets(self, partner: Partner, domain: str) -> list[Target]:
        """Host names and ports, best first. A proxy in the record takes the place of DNS."""
        if partner.proxy_fqdn:
            return [Target(partner.proxy_fqdn, partner.proxy_port or _DEFAULT_PORT)]
        return await self.resolver.targets(domain)

    async def endpoints(self, partner: Partner, domain: str) -> AsyncIterator[Endpoint]:
        """Addresses to try, one after the other; a name is looked up only when its turn comes."""
        failure: LookupFailed | None = None
        found = False
        try:
            targets = await self.targets(partner, domain)
        except LookupFailed as problem:
            raise DialFailed(problem.condition, problem.text) from problem
        for target in targets:
            try:
                addresses = await self.resolver.addresses(target.host)
            except LookupFailed as problem:
                # A lookup that may succeed later weighs more than a name that does not exist.
                if failure is None or problem.condition == TIMEOUT:
                    failure = problem
                continue
            for address in addresses:
                found = True
                yield Endpoint(target.host, address, target.port)
        if not found:
            raise DialFailed(
                failure.condition if failure else NOT_FOUND,
                failure.text if failure else f"No address for {domain} was found.",
            )

    async def connect(self, endpoint: Endpoint, protocol: AnyProtocol) -> AnyProtocol:
        """One attempt at one address; gives the protocol back, connected."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.current.timing.connect):
                await loop.create_connection(lambda: protocol, endpoint.address, endpoint.port)
        except TimeoutError as problem:
            raise DialFailed(TIMEOUT, f"{endpoint} did not answer; is TCP to it open in the firewalls?") from problem
        except OSError as problem:
            reason = problem.strerror or str(problem)
            raise DialFailed(TIMEOUT, f"{endpoint} cannot be reached: {reason}.") from problem
        return protocol
