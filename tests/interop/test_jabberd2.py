# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""jabberd2 as the partner, in plain and over TLS: two of its domains, which come on one stream.

Its domains are components of its router here, so the presence of a user is what the test says, not what a server makes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from peers.authority import Authority, self_signed
from peers.client import Client
from peers.dns_server import DnsServer
from peers.stanzas import ping, presence

from . import jabberd2, prosody
from .edge import DIALBACK_ONLY, Edge
from .jabberd2 import Jabberd2, User
from .modes import DIALBACK
from .server import free_port
from .test_inside import say

OURS, THEIRS, ALSO_THEIRS = "inside.example", "partner.example", "labs.example"
RECORDS = {"tcp_dialback": DIALBACK_ONLY, "tls_dialback": DIALBACK}


@asynccontextmanager
async def world(directory: Path, method: str) -> AsyncIterator[tuple[Edge, Client, User, User]]:
    """The edge, alice who is ours, and one user of each domain of theirs."""
    async with AsyncExitStack() as stack:
        edge, port, ca = Edge(directory / "edge"), free_port(), Authority("Interop CA")
        edge.edge["ca_file"] = str(ca.write(directory / "edge" / "ca.pem"))
        ca.issue(OURS).write(edge.config)
        targets = {THEIRS: port, ALSO_THEIRS: port, OURS: edge.port}
        dns = stack.enter_context(
            DnsServer(
                {
                    domain: [f"_xmpp-server._tcp 60 IN SRV 0 0 {target} xmpp", "xmpp 60 IN A 127.0.0.1"]
                    for domain, target in targets.items()
                }
            )
        )
        inside = await prosody.inside(
            directory / "inside", OURS, {"alice": "pw-alice"}, [THEIRS, ALSO_THEIRS], edge.secrets["inside_secret"]
        )
        stack.push_async_callback(inside.stop)
        partner = Jabberd2(directory / "partner")
        self_signed(THEIRS, ALSO_THEIRS).write_files(directory / "partner")
        stack.push_async_callback(partner.stop)
        await partner.start(port, dns.address, tls=method == "tls_dialback")
        edge.edge["resolvers"] = ["{}:{}".format(*dns.address)]
        edge.edge["inside"] = {"server": "prosody", "host": "127.0.0.1", "port": inside.components}
        edge.partners = [{"domain": THEIRS, "additional_domains": [ALSO_THEIRS], **RECORDS[method]}]
        edge.grants = {f"alice@{OURS}": "FedPic"}
        stack.push_async_callback(edge.stop)
        await edge.start()
        alice = await stack.enter_async_context(Client(f"alice@{OURS}", "pw-alice", ("127.0.0.1", inside.c2s)))
        bob = await stack.enter_async_context(User(f"bob@{THEIRS}", partner.router))
        zoe = await stack.enter_async_context(User(f"zoe@{ALSO_THEIRS}", partner.router))
        try:
            yield edge, alice, bob, zoe
        except BaseException:
            print(edge.logs(), partner.logs(), sep="\n")
            raise


@pytest.mark.parametrize("ours_first", [True, False], ids=["we-first", "they-first"])
@pytest.mark.parametrize("method", RECORDS)
def test_everything_crosses(tmp_path: Path, method: str, ours_first: bool) -> None:
    if missing := jabberd2.MISSING or prosody.MISSING:
        pytest.skip(missing)

    async def test() -> None:
        async with world(tmp_path, method) as (edge, alice, *theirs):
            for user in theirs:
                for sender, receiver in (
                    [(alice, user), (user, alice)] if ours_first else [(user, alice), (alice, user)]
                ):
                    await say(sender, receiver.address, "Hello", id=f"from-{sender.local}")
                    got = await receiver.wait(30, kind="message", id=f"from-{sender.local}")
                    assert (got.sender, got.body) == (sender.full, "Hello")
            for user in theirs:
                for asker, asked in ((alice, user), (user, alice)):
                    await asker.send(ping(asker.full, asked.full, f"to-{asked.local}"))
                    got = await asker.wait(20, kind="iq", id=f"to-{asked.local}")
                    assert (got.type, got.sender) == ("result", asked.full)
                await alice.send(presence(alice.full, user.address))
                await user.wait(20, kind="presence", sender=alice.full)
                await user.send(presence(user.full, alice.full))
                await alice.wait(20, kind="presence", sender=user.full)
            streams = [each for each in edge.call("streams")["streams"] if each["authenticated"]]
            incoming = [each for each in streams if each["direction"] == "in"]
            for stream in streams:
                assert stream["encrypted"] == (method == "tls_dialback")
                assert {pair["method"] for pair in stream["pairs"]} == {method}
            assert {pair["remote"] for each in incoming for pair in each["pairs"]} == {THEIRS, ALSO_THEIRS}
            assert len(incoming) == 1  # both of its domains on one connection (XEP-0220, 2.6.1)

    asyncio.run(test())
