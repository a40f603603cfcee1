# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Worlds of real servers around the edge, made once for all tests of a module."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from peers.client import Client
from peers.dns_server import DnsServer
from peers.partner import Partner

from . import ejabberd, prosody
from .edge import Edge
from .server import Server, free_port

SERVERS = {"prosody": prosody, "ejabberd": ejabberd}
# Inside server and partner; each kind stands in each place.
WORLDS = [("prosody", "prosody"), ("ejabberd", "prosody"), ("prosody", "ejabberd")]
BOOKS = ("bücher.example", "läden.example")
USERS = {"alice": "pw-alice", "carol": "pw-carol"}


@dataclass
class World:
    """alice (with access) and carol (without) inside; bob at a real partner; the edge between them.

    ``books`` is a second partner, a stand-in whose name is not ASCII, with a second domain.
    """

    run: Callable[[Awaitable[None]], None]
    edge: Edge
    inside: Server
    partner: Server
    dns: DnsServer
    alice: Client
    carol: Client
    bob: Client
    books: Partner

    @property
    def servers(self) -> tuple[Server, ...]:
        return self.edge, self.inside, self.partner


@asynccontextmanager
async def make_world(directory: Path, kinds: tuple[str, str], runner: asyncio.Runner) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        edge, s2s, name = Edge(directory / "edge"), free_port(), SERVERS[kinds[1]].EDGE_NAME
        books = await stack.enter_async_context(Partner(*BOOKS, users=[f"zoë@{name}" for name in BOOKS]))
        zones = {
            "localhost": ["@ 60 IN A 127.0.0.1"],
            **{
                name.encode("idna").decode(): [
                    f"_xmpp-server._tcp 60 IN SRV 0 0 {books.port} xmpp",
                    "xmpp 60 IN A 127.0.0.1",
                ]
                for name in BOOKS
            },
            "gmail.example": [f"_xmpp-server._tcp 60 IN SRV 0 0 {s2s} xmpp", "xmpp 60 IN A 127.0.0.1"],
            "inside.example": [f"_xmpp-server._tcp 60 IN SRV 0 0 {edge.port} {name}", "edge 60 IN A 127.0.0.1"],
        }
        dns = stack.enter_context(DnsServer(zones))
        books.resolver = dns.address
        inside = await SERVERS[kinds[0]].inside(
            directory / "inside", "inside.example", USERS, ["gmail.example", *BOOKS], edge.secrets["inside_secret"]
        )
        stack.push_async_callback(inside.stop)
        partner = await SERVERS[kinds[1]].partner(
            directory / "partner", "gmail.example", {"bob": "pw-bob"}, s2s, dns.address
        )
        stack.push_async_callback(partner.stop)
        edge.edge["resolvers"] = ["{}:{}".format(*dns.address)]
        edge.edge["inside"] = {"server": kinds[0], "host": "127.0.0.1", "port": inside.components}
        edge.partners = [{"domain": "gmail.example"}, {"domain": BOOKS[0], "additional_domains": [BOOKS[1]]}]
        edge.grants = {"alice@inside.example": "FedPic"}
        stack.push_async_callback(edge.stop)
        await edge.start()
        clients = [
            await stack.enter_async_context(
                Client(f"{name}@inside.example", password, ("127.0.0.1", inside.c2s), register=inside.registers)
            )
            for name, password in USERS.items()
        ]
        bob = await stack.enter_async_context(
            Client("bob@gmail.example", "pw-bob", ("127.0.0.1", partner.c2s), register=partner.registers)
        )
        yield World(runner.run, edge, inside, partner, dns, *clients, bob, books)


@pytest.fixture(scope="module", params=WORLDS, ids=lambda kinds: "{}-inside-{}-partner".format(*kinds))
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    missing = [SERVERS[kind].MISSING for kind in request.param]
    if reasons := sorted({reason for reason in missing if reason}):
        pytest.skip("; ".join(reasons))
    with asyncio.Runner() as runner:
        making = make_world(tmp_path_factory.mktemp("world"), request.param, runner)
        made = runner.run(making.__aenter__())
        yield made
        runner.run(making.__aexit__(None, None, None))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    """A failure between processes is explained by their logs."""
    report = yield
    made = getattr(item, "funcargs", {}).get("world")
    if report.failed and made:
        report.sections += [(f"logs of {server.directory.name}", server.logs()) for server in made.servers]
    return report
