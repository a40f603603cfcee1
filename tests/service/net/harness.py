# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A running edge in the test's own process, between stand-ins on loopback, all on ports that the kernel chose."""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
import json
import random
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from peers.authority import Authority, Pair
from peers.dns_server import DnsServer
from peers.inside import Inside
from peers.partner import Partner
from peers.stanzas import Stanza
from xmpp_edge.current import Bounds, Timing
from xmpp_edge.records import edge, files, partner, policy
from xmpp_edge.service import Service

OURS, THEIRS = "inside.example", "gmail.example"
ALICE, CAROL, BOB = f"alice@{OURS}", f"carol@{OURS}", f"bob@{THEIRS}"
TLS = {"tls": "required", "sasl": "required", "dialback": False}
TLS_OR_DIALBACK = {"tls": "required", "sasl": "optional", "dialback": True}
PLAIN = {"tls": "not_supported", "sasl": "not_supported", "dialback": True}
QUICK = Timing(connect=2, write=2, linger=0.5, first_retry=0.05, longest_retry=0.2, verify_retry=0.05, drain=2)
OPEN = {"federation_access": True, "xmpp_access": True, "public_cloud_access": True}


def run(test: Callable[[], Awaitable[None]], seconds: float = 30) -> None:
    """Run one asynchronous test, not for ever."""
    asyncio.run(asyncio.wait_for(test(), seconds))


class Records:
    """The record files of an edge, and what stands in them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.edge: dict[str, Any] = {
            "domains": [OURS],
            "allow_federated_users": True,
            "listen": ["127.0.0.1"],
            "stream_establishment_timeout": 5,
        }
        self.partners: list[dict[str, Any]] = [{"domain": THEIRS, "partner_type": "federated", **PLAIN}]
        self.policies: dict[str, Any] = {
            "policies": [{"name": "global", "scope": "global"}, {"name": "FedPic", "scope": "user", **OPEN}],
            "grants": {ALICE: "FedPic"},
            "grant_to_all": None,
        }
        self.secrets = {"dialback_secret": "a secret of ours", "inside_secret": "a secret inside"}

    def certify(self, identity: Pair, partner_ca: Authority, **partner: Any) -> None:
        """Assign a certificate to the edge, and let the first partner be one with TLS whose CA this is."""
        identity.write(self.directory)
        self.partners[0] |= {"ca_file": str(partner_ca.write(self.directory / "partner-ca.pem")), **partner}

    def write(self) -> Path:
        values = {
            "edge": edge.normalise(self.edge),
            "partners": [partner.normalise(entry) for entry in self.partners],
            "policies": {**self.policies, "policies": [policy.normalise(entry) for entry in self.policies["policies"]]},
            "secrets": self.secrets,
        }
        for kind, value in values.items():
            (self.directory / files.file_name(kind)).write_text(files.encode(kind, value))
        return self.directory


class Lines(io.StringIO):
    """The audit, line by line; a thread of the service writes it."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()

    def write(self, text: str) -> int:
        written = super().write(text)
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._news.set)
        return written

    def events(self, name: str | None = None, **facts: object) -> list[dict[str, Any]]:
        entries = [json.loads(line) for line in self.getvalue().splitlines()]
        return [entry for entry in entries if name in (None, entry["event"]) and facts.items() <= entry.items()]

    async def wait(self, name: str, **facts: object) -> dict[str, Any]:
        """The first such line, past or to come."""
        async with asyncio.timeout(10):
            while not (found := self.events(name, **facts)):
                self._news.clear()
                await self._news.wait()
            return found[0]


@dataclass
class World:
    """Everything a test may touch."""

    service: Service
    records: Records
    audit: Lines
    inside: Inside
    partner: Partner
    dns: DnsServer

    @property
    def address(self) -> tuple[str, int]:
        return self.service.listener.addresses[0]

    @property
    def direct_address(self) -> tuple[str, int]:
        return self.service.direct_listener.addresses[0]

    def publish(self, zones: dict[str, list[str]]) -> None:
        """From now on this is what DNS knows."""
        self.dns.zones = type(self.dns.zones)(zones, None)

    def lead_to(self, *ports: int, domain: str = THEIRS, direct: bool = False) -> None:
        """Publish servers for a partner domain; given several, the first is preferred."""
        service = "_xmpps-server" if direct else "_xmpp-server"
        lines = [f"{service}._tcp 60 IN SRV {number} 0 {port} xmpp" for number, port in enumerate(ports)]
        self.publish({domain: [*lines, "xmpp 60 IN A 127.0.0.1"]})

    async def to_alice(self, id_: str) -> Stanza:
        """What comes to Alice with this id: a stanza for her, or the error about one of hers."""
        return await self.inside.mailbox(ALICE).wait(lambda stanza: stanza.id == id_)

    async def reload(self) -> dict[str, Any]:
        self.records.write()
        return await self.service.reload()


def zones(**ports: int) -> dict[str, list[str]]:
    """SRV records for domains of the TLD "example", all on loopback."""
    return {
        f"{name}.example": [f"_xmpp-server._tcp 60 IN SRV 0 0 {port} xmpp", "xmpp 60 IN A 127.0.0.1"]
        for name, port in ports.items()
    }


@asynccontextmanager
async def world(
    *,
    change: Callable[[Records], None] | None = None,
    style: str = "prosody",
    bounds: Bounds | None = None,
    timing: Timing = QUICK,
    domains: tuple[str, ...] = (THEIRS,),
    start: bool = True,
) -> AsyncIterator[World]:
    """A partner and an inside server with the edge between them."""
    with tempfile.TemporaryDirectory() as place:
        records = Records(Path(place))
        audit = Lines()
        inside = Inside(
            OURS,
            users=[ALICE, CAROL],
            components=list(domains),
            secret=records.secrets["inside_secret"],
            style=style,
        )
        partner_ = Partner(*domains, users=[BOB], timeout=5)
        async with inside, partner_:
            with DnsServer(zones(gmail=partner_.port)) as dns:
                records.edge["inside"] = {"server": style, "port": inside.port}
                records.edge["resolvers"] = [f"127.0.0.1:{dns.address[1]}"]
                if change is not None:
                    change(records)
                records.write()
                service = Service(
                    records.directory, records.directory, port=0, timing=timing, bounds=bounds or Bounds(), out=audit
                )
                made = World(service, records, audit, inside, partner_, dns)
                try:
                    if start:
                        await service.start()
                        partner_.routes[OURS] = made.address
                    yield made
                finally:
                    await service.stop()
                    await service.finish()


def free_port() -> int:
    """A port below those that the kernel gives to others meanwhile, for what has to know its port beforehand."""
    for port in random.sample(range(15_000, 32_000), 1000):
        with socket.socket() as probe:
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


async def eventually(fact: Callable[[], bool]) -> None:
    """Wait for what nobody announces."""
    async with asyncio.timeout(10):
        for turn in itertools.repeat(0.005):
            if fact():
                return
            await asyncio.sleep(turn)


def quick(**values: float) -> Timing:
    return replace(QUICK, **values)


def error(stanza: Stanza) -> tuple[str, str]:
    """Type and condition of a stanza error."""
    assert stanza.type == "error"
    child = next(child for child in stanza.element if child.tag.endswith("}error"))
    return child.get("type", ""), stanza.condition
