# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a partner domain to a TCP connection: its proxy, or what DNS says.

A target with several addresses is called as RFC 8305 says (by aiohappyeyeballs): the first address that answers wins,
and one that is dead costs a quarter of a second instead of a time-out.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, replace
from typing import TypeVar

from aiohappyeyeballs import start_connection

from ..config import Partner
from ..current import Current
from .addresses import is_loopback, is_ours, kind_of_no_partner, parsed
from .resolve import NOT_FOUND, TIMEOUT, LookupFailed, Resolver, Target

_DEFAULT_PORT = 5269
_LOOKUP = 8.0
_NEXT_ADDRESS = 0.25

AnyProtocol = TypeVar("AnyProtocol", bound=asyncio.BaseProtocol)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address, and the name that led to it."""

    host: str
    address: str
    port: int
    direct: bool = False
    """TLS from the first byte."""

    def __str__(self) -> str:
        where = f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"
        return where if self.host == self.address else f"{self.host} ({where})"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One target with its addresses, which are tried together."""

    host: str
    port: int
    addresses: tuple[str, ...]
    direct: bool = False

    def __str__(self) -> str:
        if len(self.addresses) == 1:
            return str(self.at(self.addresses[0]))
        return f"{self.host} ({', '.join(self.addresses)}; port {self.port})"

    def at(self, address: str) -> Endpoint:
        """One of its addresses."""
        return Endpoint(self.host, address, self.port, self.direct)

    def without(self, address: str) -> Candidate:
        """What is left of it to try; without addresses when nothing is."""
        return replace(self, addresses=tuple(other for other in self.addresses if parsed(other) != parsed(address)))


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
        self.ports: Callable[[], Collection[int]] = lambda: (current.snapshot.listen_port,)
        """Where we listen, and so no partner does."""

    def new_resolver(self) -> Resolver:
        """A resolver for the Snapshot in force; its answers must leave time to connect."""
        patience = min(_LOOKUP, self.current.settings.stream_establishment_timeout / 4)
        return Resolver(self.current.snapshot.resolvers, lifetime=patience)

    async def targets(self, partner: Partner, domain: str) -> list[Target]:
        """Host names and ports, best first. A proxy in the record takes the place of DNS."""
        if partner.proxy_fqdn:
            return [Target(partner.proxy_fqdn, partner.proxy_port or _DEFAULT_PORT)]
        found = await self.resolver.targets(domain)
        usable = [target for target in found if not target.direct] if partner.tls == "not_supported" else found
        if not usable:
            raise LookupFailed(
                NOT_FOUND, f"{domain} offers direct TLS only, and the record of {partner.domain} says no TLS."
            )
        return usable

    async def candidates(self, partner: Partner, domain: str) -> AsyncIterator[Candidate]:
        """Targets to try, one after the other; a name is looked up only when its turn comes."""
        failure: LookupFailed | None = None
        found = False
        try:
            targets = await self.targets(partner, domain)
        except LookupFailed as problem:
            raise DialFailed(problem.condition, problem.text) from problem
        for target in targets:
            try:
                addresses = await self._addresses(partner, domain, target)
            except LookupFailed as problem:
                # A lookup that may succeed later weighs more than a name that does not exist.
                if failure is None or problem.condition == TIMEOUT:
                    failure = problem
                continue
            found = True
            yield Candidate(target.host, target.port, addresses, target.direct)
        if not found:
            raise DialFailed(
                failure.condition if failure else NOT_FOUND,
                failure.text if failure else f"No address for {domain} was found.",
            )

    async def connect(self, candidate: Candidate, protocol: AnyProtocol) -> AnyProtocol:
        """One attempt at one target; gives the protocol back, connected to one of the addresses."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.current.timing.connect):
                sock = await start_connection(
                    [_address_info(address, candidate.port) for address in candidate.addresses],
                    happy_eyeballs_delay=_NEXT_ADDRESS,
                )
        except TimeoutError as problem:
            raise DialFailed(TIMEOUT, f"{candidate} did not answer; is TCP to it open in the firewalls?") from problem
        except OSError as problem:
            reason = problem.strerror or str(problem)
            raise DialFailed(TIMEOUT, f"{candidate} cannot be reached: {reason}.") from problem
        try:
            await loop.create_connection(lambda: protocol, sock=sock)
        except OSError as problem:
            sock.close()
            raise DialFailed(TIMEOUT, f"{candidate} broke the connection at once.") from problem
        except BaseException:
            sock.close()
            raise
        return protocol

    async def _addresses(self, partner: Partner, domain: str, target: Target) -> tuple[str, ...]:
        """The addresses of a target that are a partner's; why the others are not is told."""
        found = await self.resolver.addresses(target.host)
        if partner.proxy_fqdn:
            # Not DNS has chosen this, but the administrator.
            return tuple(found)
        usable, whys = [], []
        for address in found:
            why = await self._why_not(address, target.port)
            if why is None:
                usable.append(address)
                continue
            whys.append(f"{address} ({why})")
            self.current.audit.refused(
                "address_refused", known=False, remote=domain, address=address, port=target.port, text=why
            )
        if not usable:
            raise LookupFailed(
                NOT_FOUND,
                f"DNS leads from {domain} to {', '.join(whys)}, where no partner is; if that is meant, set"
                f" proxy_fqdn in the record of {partner.domain}.",
            )
        return tuple(usable)

    async def _why_not(self, address: str, port: int) -> str | None:
        snapshot = self.current.snapshot
        if not snapshot.listen or not all(map(is_loopback, snapshot.listen)):
            # Where we listen on loopback only, everything is on one machine, partners included.
            kind = kind_of_no_partner(address)
            if kind is not None:
                return kind
        if port in self.ports() and is_ours(address):
            return "this edge itself"
        if port == snapshot.inside.port:
            inside = await _named(snapshot.inside.host)
            # Where it is on this host, it may listen on each of its addresses.
            if parsed(address) in inside or (is_ours(address) and any(is_ours(str(each)) for each in inside)):
                return "the inside server"
        return None


async def _named(host: str) -> list[object]:
    """The addresses of a host of ours, as the inside links find it."""
    try:
        rows = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [parsed(str(row[4][0])) for row in rows]


def _address_info(address: str, port: int) -> tuple[int, int, int, str, tuple[str, int]]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))
