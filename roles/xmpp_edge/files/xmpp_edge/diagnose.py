# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Step by step from "federation is on" to an answered ping: where the way to a partner is interrupted, and what to do.

Each step has a result, how long it took, and a sentence that an administrator can act on. A step that cannot tell
anything because an earlier one failed is skipped and says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

from .config import Partner
from .current import Current
from .examine import Fault, Skip, certificate, method, tls, why
from .net.addresses import is_ours
from .net.dial import Candidate, Dialer, DialFailed, Endpoint
from .net.incoming import Incomings
from .net.knock import Knock
from .net.listener import Listener
from .net.resolve import LookupFailed, Target
from .net.route import Route
from .records.names import unicode_domain
from .relay import Relay
from .stream.actions import Pair

STEPS = (
    "federation",
    "partner",
    "srv",
    "tcp",
    "own_srv",
    "inside_link",
    "tls",
    "certificate",
    "method",
    "stream",
    "ping",
)
_MOST_DOMAINS = 20
_TO_TELL = 0.05
"""Seconds before the end of the time given, at which streams are waited for no longer."""


class Diagnosis:
    """One run for one partner domain."""

    def __init__(
        self, current: Current, dialer: Dialer, relay: Relay, incomings: Incomings, listener: Listener, domain: str
    ) -> None:
        self.current = current
        self.dialer = dialer
        self.relay = relay
        self.incomings = incomings
        self.listener = listener
        self.asked = domain
        self.domain = domain
        self._record: Partner | None = None
        self._failed: set[str] = set()
        self._steps: list[dict[str, Any]] = []
        self._route: Route | None = None
        """One that is not up, or any."""
        self._end = 0.0

    async def run(self, seconds: float) -> dict[str, Any]:
        """All steps, within so many seconds altogether."""
        # Whoever asks has just changed something, as likely as not.
        self.dialer.resolver.forget()
        self._end = time.monotonic() + seconds
        for name in STEPS:
            step: Callable[[], Awaitable[str]] = getattr(self, "_" + name)
            await self._step(name, step)
        passed = not self._failed
        return {"domain": self.asked, "passed": passed, "steps": self._steps}

    async def _step(self, name: str, step: Callable[[], Awaitable[str]]) -> None:
        begun = time.monotonic()
        latency: float | None = None
        try:
            async with asyncio.timeout(max(0.1, self._end - begun)):
                diagnosis = await step()
            result = "pass"
        except Skip as reason:
            result, diagnosis = "skip", str(reason)
        except Fault as fault:
            result, diagnosis = "fail", str(fault)
        except TimeoutError:
            result, diagnosis = "fail", "No outcome within the time given to this check."
        if result != "skip":
            latency = round((time.monotonic() - begun) * 1000, 1)
        if result == "fail":
            self._failed.add(name)
        self._steps.append({"step": name, "result": result, "latency_ms": latency, "diagnosis": diagnosis})

    def _known(self) -> Partner:
        if self._record is None:
            raise Skip("Not tried, because this domain is not a partner.")
        return self._record

    async def _federation(self) -> str:
        snapshot = self.current.snapshot
        if not snapshot.federation:
            raise Fault("Federation is switched off; set `allow_federated_users` of the edge to true.")
        if not snapshot.domains:
            raise Fault("The edge serves no domain; list yours in `domains` of the edge.")
        return f"Federation is on for {', '.join(sorted(snapshot.domains)[:_MOST_DOMAINS])}."

    async def _partner(self) -> str:
        try:
            self.domain = unicode_domain(self.asked)
        except ValueError as problem:
            raise Fault(f"{self.asked} is not a domain name: {problem}.") from problem
        partner = self.current.snapshot.partner(self.domain)
        if partner is None:
            raise Fault(f"{self.domain} is not a listed partner; add it to the partners of the edge.")
        self._record = partner
        ways = ", ".join(partner.auth_methods)
        return f"{self.domain} is a partner of type {partner.partner_type}; its record allows {ways}."

    async def _srv(self) -> str:
        partner = self._known()
        try:
            targets = await self.dialer.targets(partner, self.domain)
        except LookupFailed as failure:
            raise Fault(failure.text) from failure
        named = ", ".join(f"{target.host}:{target.port}" for target in targets[:5])
        if partner.proxy_fqdn:
            return f"The record names the proxy {named}; DNS is not asked."
        if targets == [Target(targets[0].host, 5269)] and targets[0].host == _ascii(self.domain):
            return f"There is no SRV record; the domain's own addresses and port 5269 are used ({named})."
        return f"SRV leads to {named}."

    async def _tcp(self) -> str:
        partner = self._known()
        if "srv" in self._failed:
            raise Skip("Not tried, because nothing is known to connect to.")
        failures = []
        try:
            async for candidate in self.dialer.candidates(partner, self.domain):
                try:
                    protocol = await self.dialer.connect(candidate, Knock())
                except DialFailed as failure:
                    failures.append(failure.text)
                    continue
                protocol.close()
                return f"TCP to {candidate.at(protocol.peer)} opens."
        except DialFailed as failure:
            failures.append(failure.text)
        raise Fault(" ".join(failures[:3]))

    async def _own_srv(self) -> str:
        domains = sorted(self.current.snapshot.domains)[:_MOST_DOMAINS]
        if not domains:
            raise Skip("Not tried, because the edge serves no domain.")
        told: dict[type, list[str]] = {Fault: [], Skip: [], str: []}
        for domain in domains:
            try:
                told[str].append(await self._own_domain(domain))
            except (Fault, Skip) as outcome:
                told[type(outcome)].append(str(outcome))
        if told[Fault]:
            raise Fault(" ".join(told[Fault]))
        if told[Skip]:
            raise Skip(" ".join(told[Skip]))
        return " ".join(told[str])

    async def _own_domain(self, domain: str) -> str:
        """Follow our own SRV as a partner would, and see whether it is this process that answers."""
        answers: dict[bool | None, list[str]] = {True: [], False: [], None: []}
        try:
            for target in await self.dialer.resolver.targets(domain):
                for address in await self.dialer.resolver.addresses(target.host):
                    endpoint = Endpoint(target.host, address, target.port, target.direct)
                    answers[await self._is_here(endpoint, domain)].append(str(endpoint))
        except LookupFailed as failure:
            raise Fault(
                f"Partners cannot find {domain}: {failure.text}"
                f" Publish SRV _xmpp-server._tcp.{_ascii(domain)} with this edge as target."
            ) from failure
        if answers[True]:
            # Other edges may stand beside this one.
            return f"{domain} leads here by {answers[True][0]}."
        if answers[False]:
            raise Fault(
                f"DNS leads from {domain} to {', '.join(answers[False][:5])}, where another answers;"
                " let its SRV record name this edge."
            )
        raise Skip(
            f"{domain} leads to {', '.join(answers[None][:5])}, which cannot be reached from this host;"
            " if that is an address translated to this edge, test it from outside."
        )

    async def _is_here(self, endpoint: Endpoint, domain: str) -> bool | None:
        """Whether our own listener is behind an address; None when that cannot be told."""
        if endpoint.direct:
            # There, it would take TLS to hear anything.
            return True if endpoint.port in self.dialer.ports() and is_ours(endpoint.address) else None
        return await self._knock(endpoint, domain)

    async def _knock(self, endpoint: Endpoint, domain: str) -> bool | None:
        """Whether our own listener is behind an address; None when nobody answers."""
        try:
            protocol = await self.dialer.connect(Candidate(endpoint.host, endpoint.port, (endpoint.address,)), Knock())
        except DialFailed:
            return None
        try:
            stream_id = await protocol.greet(domain)
            return stream_id is not None and self.incomings.has_stream(stream_id)
        finally:
            protocol.close()

    async def _inside_link(self) -> str:
        self._known()
        link = self.relay.links.link_of(self.domain)
        if link is None:
            raise Fault(f"No link to the inside server is kept for {self.domain}.")
        await link.settled()
        if link.state != "up":
            raise Fault(link.error or "The link to the inside server is being opened; ask again in a moment.")
        return f"The link to the inside server is up and carries {self.domain}."

    async def _tls(self) -> str:
        partner = self._known()
        self._need("federation")
        routes = [self.relay.routes.between(pair.local, pair.remote) for pair in self._pairs()]
        for route in routes:
            route.open()
        # What a stream without an outcome waits for is the diagnosis, and there has to be time to tell it.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, self._end - _TO_TELL - time.monotonic())):
                for route in routes:
                    await route.outcome()
        self._route = next((route for route in routes if not route.up), routes[0])
        return tls(partner, self.domain, self._tried())

    async def _certificate(self) -> str:
        return certificate(self._known(), self.domain, self._tried())

    async def _method(self) -> str:
        self._known()
        return method(self.domain, self._tried())

    async def _stream(self) -> str:
        self._known()
        self._need("federation")
        route = self._tried()
        if not route.up:
            raise Fault(f"From {route.pair.local}: {why(route)}")
        if route.stream is None:
            return f"{self.domain} has opened a stream to us that goes both ways, and it is used."
        return f"The stream to {route.stream.endpoint} is up."

    def _tried(self) -> Route:
        if self._route is None:
            raise Skip("Not tried, because there was no time to wait for a stream.")
        return self._route

    async def _ping(self) -> str:
        self._known()
        self._need("federation")
        self._need("stream")
        for pair in self._pairs():
            try:
                async with asyncio.timeout(20):
                    problem = await self.relay.ping(pair)
            except TimeoutError:
                raise Fault(
                    f"{pair.remote} took the ping from {pair.local} and did not answer: its way back to us may be shut."
                    f" It needs the SRV record of {pair.local}, TCP to this edge, and our domain in its own allow list."
                ) from None
            if problem is not None:
                raise Fault(f"The ping from {pair.local} could not be sent: {problem}")
        return f"{self.domain} answered."

    def _need(self, step: str) -> None:
        if step in self._failed:
            raise Skip(f"Not tried, because the step {step} failed.")

    def _pairs(self) -> list[Pair]:
        return [Pair(local, self.domain) for local in sorted(self.current.snapshot.domains)[:_MOST_DOMAINS]]


def _ascii(domain: str) -> str:
    try:
        return domain if domain.isascii() else domain.encode("idna").decode("ascii")
    except UnicodeError:
        return domain
