# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a partner domain is reached: SRV in the order of RFC 2782, addresses, and what a failure means.

Records for direct TLS and for STARTTLS are one list, as XEP-0368 wants it. Addresses of the bare domain are tried only
when there is no SRV record at all. A target of "." says that there is no service, and a name server that does not
answer says nothing: the two lead to different errors for the waiting senders.
Answers come from outside, so their number is bounded and every value is checked before it is used.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import dns.asyncresolver
import dns.exception
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver

from ..records import fields
from .addresses import interleaved, parsed

NOT_FOUND = "remote-server-not-found"
TIMEOUT = "remote-server-timeout"

_DIRECT, _STARTTLS = "_xmpps-server._tcp", "_xmpp-server._tcp"
_SYSTEM = "/etc/resolv.conf"
_DEFAULT_PORT = 5269
_MOST_TARGETS = 32
_MOST_ADDRESSES = 8
_MOST_CACHED = 4096
_LONGEST_TTL = 300.0
_NEGATIVE_TTL = 10.0
_LIFETIME = 8.0
_GRACE = 1.0
_PICK = random.SystemRandom().randint


class LookupFailed(Exception):
    """A name leads nowhere; ``condition`` is the stanza error for those who wait for it."""

    def __init__(self, condition: str, text: str) -> None:
        super().__init__(text)
        self.condition = condition
        self.text = text


@dataclass(frozen=True, slots=True)
class Target:
    """One SRV target, or the domain itself where there is no SRV."""

    host: str
    port: int
    priority: int = 0
    weight: int = 0
    direct: bool = False
    """TLS from the first byte."""


def order(targets: Iterable[Target], pick: Callable[[int, int], int]) -> list[Target]:
    """Ascending priority; within one priority by weighted chance. ``pick(0, n)`` draws from both ends included."""
    result: list[Target] = []
    groups: dict[int, list[Target]] = {}
    for target in targets:
        groups.setdefault(target.priority, []).append(target)
    for priority in sorted(groups):
        # Weight 0 stands first, so that it keeps a very small chance beside heavier ones.
        waiting = sorted(groups[priority], key=lambda target: target.weight)
        while waiting:
            drawn = pick(0, sum(target.weight for target in waiting))
            running = 0
            for index, target in enumerate(waiting):
                running += target.weight
                if running >= drawn:
                    result.append(waiting.pop(index))
                    break
    return result


class Resolver:
    """Looks up targets and addresses, and remembers both answers and failures for a short while."""

    def __init__(
        self,
        servers: tuple[str, ...],
        *,
        lifetime: float = _LIFETIME,
        clock: Callable[[], float] = time.monotonic,
        pick: Callable[[int, int], int] = _PICK,
    ) -> None:
        self._servers = servers
        self._lifetime = lifetime
        self._clock = clock
        self._pick = pick
        self._stub: dns.asyncresolver.Resolver | None = None
        self._system: int | None = None
        self._cache: OrderedDict[tuple[str, str], tuple[float, list[Target] | list[str] | LookupFailed]] = OrderedDict()
        self.last_error: str | None = None

    async def targets(self, domain: str) -> list[Target]:
        """Where servers of this domain (a U-label or A-label) are to be sought, best first."""
        name = _to_ascii(domain)
        found = await self._cached("SRV", name, self._look_up_services)
        return order((entry for entry in found if isinstance(entry, Target)), self._pick)[:_MOST_TARGETS]

    async def addresses(self, host: str) -> list[str]:
        """Addresses of a host, IPv6 and IPv4 by turns."""
        name = _to_ascii(host)
        literal = parsed(name)
        if literal is not None:
            return [str(literal)]
        found = await self._cached("A", name, self._look_up_addresses)
        return [entry for entry in found if isinstance(entry, str)]

    def forget(self) -> None:
        """Ask anew from now on."""
        self._cache.clear()

    async def _cached(
        self,
        kind: str,
        name: str,
        look_up: Callable[[str], Awaitable[tuple[list[Target] | list[str], float]]],
    ) -> list[Target] | list[str]:
        now = self._clock()
        known = self._cache.get((kind, name))
        if known is None or known[0] <= now:
            outcome: list[Target] | list[str] | LookupFailed
            try:
                outcome, ttl = await look_up(name)
                self.last_error = None
            except LookupFailed as failure:
                outcome, ttl = failure, _NEGATIVE_TTL
                if failure.condition == TIMEOUT:
                    self.last_error = failure.text
            known = (self._clock() + min(ttl, _LONGEST_TTL), outcome)
            self._cache[kind, name] = known
            self._cache.move_to_end((kind, name))
            if len(self._cache) > _MOST_CACHED:
                self._cache.popitem(last=False)
        if isinstance(known[1], LookupFailed):
            raise LookupFailed(known[1].condition, known[1].text)
        return known[1]

    async def _look_up_services(self, name: str) -> tuple[list[Target], float]:
        answers = await self._ask_for_both(name)
        found: list[Target] = []
        ttl, failure, said_no = _LONGEST_TTL, None, False
        for direct, answer in zip((True, False), answers, strict=True):
            if isinstance(answer, LookupFailed):
                failure, ttl = answer, _NEGATIVE_TTL
            elif answer is not None:
                targets = _targets(answer, direct=direct)
                found += targets
                said_no |= not targets
                ttl = min(ttl, _ttl(answer))
        if found:
            return found, ttl
        if failure is not None:
            # Nobody knows what the record would have said, so nothing else takes its place.
            raise failure
        if said_no:
            raise LookupFailed(NOT_FOUND, f"DNS says that {name} offers no XMPP service (SRV with the target '.').")
        return [Target(name, _DEFAULT_PORT)], _NEGATIVE_TTL

    async def _ask_for_both(self, name: str) -> list[dns.resolver.Answer | LookupFailed | None]:
        """SRV for direct TLS and for STARTTLS.

        When one has targets, the other is not waited for until the end: there are name servers that do not answer for
        what they do not know.
        """
        tasks = [asyncio.ensure_future(self._answer(f"{service}.{name}", "SRV")) for service in (_DIRECT, _STARTTLS)]
        try:
            done, late = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            first = done.pop().result()
            if late and isinstance(first, dns.resolver.Answer) and _targets(first, direct=False):
                _unused, late = await asyncio.wait(late, timeout=_GRACE)
            elif late:
                await asyncio.wait(late)
            return [
                task.result() if task.done() else LookupFailed(TIMEOUT, f"No name server answered for {name} in time.")
                for task in tasks
            ]
        finally:
            for task in tasks:
                task.cancel()

    async def _answer(self, name: str, kind: str) -> dns.resolver.Answer | LookupFailed | None:
        try:
            return await self._ask(name, kind)
        except LookupFailed as failure:
            return failure

    async def _look_up_addresses(self, name: str) -> tuple[list[str], float]:
        if not self._servers:
            return await self._ask_system(name)
        answers = await asyncio.gather(self._ask(name, "AAAA"), self._ask(name, "A"), return_exceptions=True)
        found: list[str] = []
        failures: list[LookupFailed] = []
        ttl = _LONGEST_TTL
        for answer in answers:
            if isinstance(answer, LookupFailed):
                failures.append(answer)
            elif isinstance(answer, BaseException):
                raise answer
            elif answer is not None:
                ttl = min(ttl, _ttl(answer))
                found += [record.address for record in answer.rrset or ()]
        if found:
            return interleaved(found)[:_MOST_ADDRESSES], ttl
        if failures:
            raise failures[0]
        raise LookupFailed(NOT_FOUND, f"{name} has no A or AAAA record.")

    async def _ask_system(self, name: str) -> tuple[list[str], float]:
        """Without configured resolvers the host's own ways apply, /etc/hosts included."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._lifetime):
                rows = await loop.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except socket.gaierror as problem:
            if problem.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)):
                raise LookupFailed(NOT_FOUND, f"{name} has no address.") from problem
            raise LookupFailed(TIMEOUT, f"The system resolver failed for {name}: {problem.strerror}.") from problem
        except (TimeoutError, UnicodeError) as problem:
            raise LookupFailed(TIMEOUT, f"The system resolver did not answer for {name}.") from problem
        return interleaved(str(row[4][0]) for row in rows)[:_MOST_ADDRESSES], _NEGATIVE_TTL

    async def _ask(self, name: str, kind: str) -> dns.resolver.Answer | None:
        """One question; None when the name or the record does not exist."""
        try:
            return await self._resolver().resolve(name + ".", kind, search=False, lifetime=self._lifetime)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return None
        except dns.exception.DNSException as problem:
            raise LookupFailed(TIMEOUT, f"Looking up {kind} of {name} failed: {_reason(problem)}") from problem
        except (OSError, ValueError) as problem:
            raise LookupFailed(TIMEOUT, f"Looking up {kind} of {name} failed: {problem}.") from problem

    def _resolver(self) -> dns.asyncresolver.Resolver:
        if not self._servers and (written := _written(_SYSTEM)) != self._system:
            # The host has got other resolvers, as happens with DHCP and VPNs.
            self._system, self._stub = written, None
        if self._stub is None:
            stub = dns.asyncresolver.Resolver(_SYSTEM, configure=not self._servers)
            if self._servers:
                stub.nameservers = [dns.nameserver.Do53Nameserver(*fields.resolver(server)) for server in self._servers]
            # A time-out of its own for each attempt, so that one dead resolver does not use up the whole lifetime.
            stub.timeout = max(0.2, self._lifetime / 4)
            self._stub = stub
        return self._stub


def _targets(answer: dns.resolver.Answer, *, direct: bool) -> list[Target]:
    """What stands in the records, without those that say that there is nothing."""
    records = sorted(answer.rrset or (), key=lambda record: record.priority)[: 2 * _MOST_TARGETS]
    return [
        Target(record.target.to_text(omit_final_dot=True), record.port, record.priority, record.weight, direct)
        for record in records
        if record.target != dns.name.root and record.port
    ]


def _written(path: str) -> int | None:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return None


def _ttl(answer: dns.resolver.Answer) -> float:
    return float(answer.rrset.ttl) if answer.rrset is not None else _NEGATIVE_TTL


def _reason(problem: dns.exception.DNSException) -> str:
    if isinstance(problem, dns.resolver.NoResolverConfiguration):
        return "this host has no resolver configured; set `resolvers` of the edge or /etc/resolv.conf."
    if isinstance(problem, dns.exception.Timeout):
        return "no resolver answered in time; check `resolvers` and UDP and TCP port 53 to them."
    if isinstance(problem, dns.resolver.NoNameservers):
        return "every resolver answered with an error (such as SERVFAIL or REFUSED)."
    return f"{type(problem).__name__}."


def _to_ascii(domain: str) -> str:
    if domain.isascii():
        return domain
    try:
        return domain.encode("idna").decode("ascii")
    except UnicodeError as problem:
        raise LookupFailed(NOT_FOUND, f"{domain} cannot be written as a DNS name.") from problem
