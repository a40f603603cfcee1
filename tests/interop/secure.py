# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A world of its own for each mode: inside server, edge with a certificate, and one partner with TLS."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peers.authority import BOTH, SERVER, Authority, Pair, self_signed, srv_name, xmpp_addr
from peers.client import Client
from peers.dns_server import DnsServer

from . import ejabberd, prosody
from .edge import Edge
from .modes import Mode
from .server import Server, free_port

SERVERS = {"prosody": prosody, "ejabberd": ejabberd}
OURS, THEIRS = "inside.example", "partner.example"


@dataclass
class Secure:
    """alice is ours, bob is theirs."""

    mode: Mode
    edge: Edge
    inside: Server
    partner: Server
    alice: Client
    bob: Client

    @property
    def servers(self) -> tuple[Server, ...]:
        return self.edge, self.inside, self.partner

    def streams(self, direction: str) -> list[dict[str, Any]]:
        """Those on which the partner's domain is proven."""
        found = self.edge.call("streams")["streams"]
        return [each for each in found if each["direction"] == direction and each["authenticated"]]

    def methods(self, direction: str) -> set[str]:
        return {pair["method"] for stream in self.streams(direction) for pair in stream["pairs"]}


def theirs(kind: str, issuer: Authority) -> Pair:
    """The partner's certificate, as its mode has it."""
    if kind in ("self_signed", "pinned"):
        return self_signed(THEIRS)
    name = {"srv_name": srv_name(THEIRS), "xmpp_addr": xmpp_addr(THEIRS)}.get(kind, THEIRS)
    return issuer.issue(name)


@asynccontextmanager
async def secure_world(directory: Path, mode: Mode) -> AsyncIterator[Secure]:
    async with AsyncExitStack() as stack:
        kind = SERVERS[mode.server]
        edge, port, ca = Edge(directory / "edge"), free_port(), Authority("Interop CA")
        edge.edge["ca_file"] = str(ca.write(directory / "edge" / "ca.pem"))
        ca.intermediate().issue(OURS, usages=BOTH if mode.ours == "both" else (SERVER,)).write(edge.config)
        edge.edge["direct_tls_port"] = direct = free_port()
        service, ours = ("_xmpps-server", direct) if mode.direct else ("_xmpp-server", edge.port)
        zones = {
            "localhost": ["@ 60 IN A 127.0.0.1"],
            THEIRS: [f"{service}._tcp 60 IN SRV 0 0 {port} xmpp", "xmpp 60 IN A 127.0.0.1"],
            OURS: [f"{service}._tcp 60 IN SRV 0 0 {ours} {kind.EDGE_NAME}", "edge 60 IN A 127.0.0.1"],
        }
        dns = stack.enter_context(DnsServer(zones))
        inside = await prosody.inside(
            directory / "inside", OURS, {"alice": "pw-alice"}, [THEIRS], edge.secrets["inside_secret"]
        )
        stack.push_async_callback(inside.stop)
        issuer = Authority("Partner CA") if mode.certificate == "own_ca" else ca
        own = theirs(mode.certificate, issuer.intermediate())
        own.write_files(directory / "partner")
        ca.write(directory / "partner" / "ca.pem")
        partner = await kind.secure(directory / "partner", THEIRS, {"bob": "pw-bob"}, port, dns.address, mode)
        stack.push_async_callback(partner.stop)
        edge.edge["resolvers"] = ["{}:{}".format(*dns.address)]
        edge.edge["inside"] = {"server": "prosody", "host": "127.0.0.1", "port": inside.components}
        edge.partners = [{"domain": THEIRS, **mode.record}]
        if mode.certificate == "own_ca":
            edge.partners[0]["ca_file"] = str(issuer.write(directory / "edge" / "partner.pem"))
        elif mode.certificate == "pinned":
            edge.partners[0]["pins"] = [own.pin]
        edge.grants = {f"alice@{OURS}": "FedPic"}
        stack.push_async_callback(edge.stop)
        await edge.start()
        alice = await stack.enter_async_context(Client(f"alice@{OURS}", "pw-alice", ("127.0.0.1", inside.c2s)))
        bob = await stack.enter_async_context(
            Client(f"bob@{THEIRS}", "pw-bob", ("127.0.0.1", partner.c2s), register=partner.registers)
        )
        yield Secure(mode, edge, inside, partner, alice, bob)
