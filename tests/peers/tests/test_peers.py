# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-ins against each other: what the service is measured with must itself be right."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from OpenSSL import SSL

from .. import stanzas
from ..authority import Authority
from ..control import Remote
from ..dns_server import DnsServer
from ..inside import COMPONENT, Inside
from ..partner import Partner, dialback_key
from ..raw import Listener, RawPeer
from ..security import Security
from ..tls import Options, SecureStream
from ..wire import PeerClosed, Wire, header

BOB, ANN = "bob@gmail.example", "ann@other.example"


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 30))


async def two_partners(stack: AsyncExitStack) -> tuple[Partner, Partner]:
    """Two partners that find each other through DNS."""
    one = await stack.enter_async_context(Partner("gmail.example", users=[BOB], timeout=5))
    two = await stack.enter_async_context(Partner("other.example", users=[ANN], timeout=5, version=None))
    zones = {
        domain: [f"_xmpp-server._tcp 60 IN SRV 0 0 {server.port} xmpp", "xmpp 60 IN A 127.0.0.1"]
        for domain, server in (("gmail.example", one), ("other.example", two))
    }
    one.resolver = two.resolver = stack.enter_context(DnsServer(zones)).address
    return one, two


@pytest.mark.parametrize(
    ("secret", "receiving", "originating", "stream_id", "start", "end"),
    [
        ("s3cr3tf0rd14lb4ck", "xmpp.example.com", "example.org", "D60000229F", "37c69b1c", "5643"),
        ("d14lb4ck43v3r", "capulet.example", "montague.example", "417GAF25", "225cc5aa", "972d"),
    ],
)
def test_keys_are_those_of_xep_0185(secret, receiving, originating, stream_id, start, end):
    key = dialback_key(secret, receiving, originating, stream_id)
    assert key.startswith(start)
    assert key.endswith(end)


def test_partners_exchange_messages_and_pings():
    async def test() -> None:
        async with AsyncExitStack() as stack:
            one, two = await two_partners(stack)
            await one.send_message(f"{BOB}/phone", ANN, "a < b & 'c'")
            assert (await two.mailbox(ANN).wait()).body == "a < b & 'c'"
            await two.send_message(ANN, f"{BOB}/phone", "back")
            assert (await one.mailbox(BOB).wait()).body == "back"
            assert (await one.ping(BOB, "other.example")).type == "result"
            assert [entry["answer"] for entry in two.noted("result answered")] == ["valid"]
            assert [entry["answer"] for entry in one.noted("verify answered")] == ["valid"]

    run(test)


def test_unknown_user_and_unknown_domain_are_answered():
    async def test() -> None:
        async with AsyncExitStack() as stack:
            one, _unused = await two_partners(stack)
            await one.send_message(BOB, "nobody@other.example", "hello")
            assert (await one.mailbox(BOB).wait()).condition == "service-unavailable"
            await one.send_message(BOB, "ann@nowhere.example", "hello")
            assert (await one.mailbox(BOB).wait()).condition == "remote-server-not-found"

    run(test)


@pytest.mark.parametrize("answer", ["invalid", "error", "close"])
def test_faults_end_in_a_bounce(answer):
    async def test() -> None:
        async with AsyncExitStack() as stack:
            one, two = await two_partners(stack)
            one.faults.verify_answer = answer
            await one.send_message(BOB, ANN, "hello")
            bounce = await one.mailbox(BOB).wait()
            assert (bounce.type, bounce.condition) == ("error", "remote-server-timeout")
            assert two.mailbox(ANN).history == []

    run(test)


def test_a_wrong_key_is_found_out():
    async def test() -> None:
        async with AsyncExitStack() as stack:
            one, two = await two_partners(stack)
            one.faults.wrong_key = True
            await one.send_message(BOB, ANN, "hello")
            assert "invalid" in (await one.mailbox(BOB).wait()).text
            assert [entry["answer"] for entry in two.noted("result answered")] == ["invalid"]

    run(test)


def test_a_pair_that_is_not_proven_may_not_speak():
    async def test() -> None:
        async with AsyncExitStack() as stack:
            one, two = await two_partners(stack)
            link = await one.verified_stream("gmail.example", "other.example")
            await link.wire.send(stanzas.message("eve@evil.example", ANN, "hello"))
            await two.wait_noted("refused", condition="invalid-from")
            assert two.mailbox(ANN).history == []

    run(test)


class Component:
    """The other side of an inside link, as small as it can be."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire

    @classmethod
    async def connect(cls, inside: Inside, name: str, secret: str | None = None) -> Component:
        wire = await Wire.connect("127.0.0.1", inside.port)
        await wire.send(header(COMPONENT, dialback=False, to=name))
        stream_id = (await wire.header())["id"]
        proof = hashlib.sha1((stream_id + (secret or inside.secret)).encode()).hexdigest()
        await wire.send(f"<handshake>{proof}</handshake>")
        await wire.expect(f"{{{COMPONENT}}}handshake")
        return cls(wire)


INSIDE = {"users": ["alice@inside.example"], "components": ["gmail.example", "bücher.example"]}


def test_inside_routes_both_ways():
    async def test() -> None:
        async with Inside("inside.example", **INSIDE) as inside:
            component = await Component.connect(inside, "gmail.example")
            await inside.wait_linked("gmail.example")
            await inside.send_message("alice@inside.example/x", BOB, "out")
            assert stanzas.Stanza.of(await component.wire.element()).body == "out"
            await component.wire.send(stanzas.message(BOB, "ALI\u00adCE@inside.example", "in"))
            assert (await inside.mailbox("alice@inside.example").wait()).body == "in"
            await component.wire.send(stanzas.ping("gmail.example", "inside.example", "1"))
            assert stanzas.Stanza.of(await component.wire.element()).type == "result"
            await component.wire.send(stanzas.message(BOB, "nobody@inside.example", "in"))
            assert stanzas.Stanza.of(await component.wire.element()).condition == "service-unavailable"
            await inside.send_message("alice@inside.example", "x@xn--bcher-kva.example", "out")
            assert (await inside.mailbox("alice@inside.example").wait()).condition == "remote-server-not-found"
            await inside.drop("gmail.example")
            await inside.send_message("alice@inside.example", BOB, "out")
            assert (await inside.mailbox("alice@inside.example").wait()).condition == "remote-server-timeout"

    run(test)


@pytest.mark.parametrize(
    "sender",
    ["joe@GMAIL.example", "joe@gmail.example.", "@gmail.example", "joe@other.example", "JOE@gmail.example", "joe"],
)
def test_inside_closes_for_a_sender_that_is_not_the_component(sender):
    async def test() -> None:
        async with Inside("inside.example", **INSIDE) as inside:
            component = await Component.connect(inside, "gmail.example")
            await component.wire.send(stanzas.message(sender, "alice@inside.example", "in"))
            with pytest.raises(PeerClosed, match="invalid-from"):
                await component.wire.expect("a stanza")
            assert inside.mailbox("alice@inside.example").history == []

    run(test)


def test_inside_refuses_components():
    async def test() -> None:
        async with Inside("inside.example", **INSIDE) as inside:
            with pytest.raises(PeerClosed, match="not-authorized"):
                await Component.connect(inside, "gmail.example", "wrong")
            with pytest.raises(PeerClosed, match="host-unknown"):
                await Component.connect(inside, "xn--bcher-kva.example")
            first = await Component.connect(inside, "bücher.example")
            with pytest.raises(PeerClosed, match="conflict"):
                await Component.connect(inside, "bücher.example")
            assert first.wire.ended is None

    run(test)


def test_ejabberd_gives_one_link_all_names():
    async def test() -> None:
        async with Inside("inside.example", style="ejabberd", **INSIDE) as inside:
            component = await Component.connect(inside, "gmail.example")
            await inside.send_message("alice@inside.example", "x@bücher.example", "out")
            assert stanzas.Stanza.of(await component.wire.element()).to == "x@bücher.example"

    run(test)


def test_raw_peer_is_byte_exact():
    async def test() -> None:
        async with Listener() as listener:
            ours = await RawPeer.connect(listener.address)
            theirs = await listener.accept()
            await ours.send(b"\xff\x00<a", chunk=1)
            assert (await theirs.until(b"<(.)")).group(1) == b"a"
            assert theirs.received == b"\xff\x00<a"
            await ours.silence(0.05)
            theirs.reset()
            assert await ours.until_closed() == b""

    run(test)


@pytest.mark.parametrize("socket", [True, False])
def test_stand_ins_as_processes(tmp_path, socket):
    async def test() -> None:
        path = tmp_path / "control"
        config = {"domains": ["gmail.example"], "users": [BOB], "resolver": ["127.0.0.1", 1]}
        (tmp_path / "config.json").write_text(json.dumps(config | ({"control": str(path)} if socket else {})))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "peers", "partner", str(tmp_path / "config.json")),
            cwd=Path(__file__).parents[2],
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert json.loads(await process.stdout.readline())["ready"]
        message = {"from": BOB, "to": "nobody@gmail.example", "body": "hello"}
        if socket:
            remote = Remote(path)
            assert (await remote.ask("users"))["users"] == [BOB]
            with pytest.raises(TimeoutError):
                await remote.ask("wait", user=BOB, timeout=0.01)
            await remote.ask("stop")
        else:
            for request in ({"do": "message", "id": 1, **message}, {"do": "wait", "id": 2, "user": BOB}):
                process.stdin.write(json.dumps(request).encode() + b"\n")
            answers = [json.loads(await process.stdout.readline()) for _unused in range(2)]
            assert {answer["id"]: answer["ok"] for answer in answers} == {1: True, 2: True}
            process.stdin.close()
        assert await process.wait() == 0

    run(test)


@pytest.mark.parametrize("dialback", [False, True])
def test_partners_with_tls(dialback):
    ca = Authority("CA of the stand-ins")

    def security(domain: str) -> Security:
        return Security(ca.issue(domain), ca.certificate, external=not dialback, dialback=dialback)

    async def test() -> None:
        one = Partner("gmail.example", users=[BOB], security=security("gmail.example"))
        other = Partner("other.example", users=[ANN], security=security("other.example"))
        async with one, other:
            one.routes["other.example"] = "127.0.0.1", other.port
            other.routes["gmail.example"] = "127.0.0.1", one.port
            await one.send_message(BOB, ANN, "hello")
            assert (await other.mailbox(ANN).wait()).body == "hello"
            link = one.links["gmail.example", "other.example"]
            assert link.method == ("tls_dialback" if dialback else "sasl_tls")

    run(test)


def test_a_partner_with_tls_and_one_without():
    ca = Authority("CA of the stand-ins")

    async def test() -> None:
        one = Partner("gmail.example", users=[BOB], security=Security(ca.issue("gmail.example"), ca.certificate))
        other = Partner("other.example", users=[ANN])
        async with one, other:
            one.routes["other.example"] = "127.0.0.1", other.port
            other.routes["gmail.example"] = "127.0.0.1", one.port
            await one.send_message(BOB, ANN, "hello")
            assert "TLS" in (await one.mailbox(BOB).wait()).text
            await other.send_message(ANN, BOB, "hello")
            assert (await other.mailbox(ANN).wait()).type == "error"

    run(test)


def test_raw_peers_speak_tls_and_notice_a_session_that_is_taken_up():
    """A server that lets clients resume is found out; the edge is asked the same question."""
    ca = Authority("CA of the stand-ins")

    async def test() -> None:
        async with Listener() as listener:
            before: list[SecureStream | None] = [None, None]
            for round_ in range(2):
                client, server = await RawPeer.connect(listener.address), await listener.accept()
                old, new = before
                version = SSL.TLS1_2_VERSION
                await asyncio.gather(
                    client.start_tls(
                        ca.issue("a.example"), Options(highest=version, sni="b.example", again=old and old.tls)
                    ),
                    server.start_tls(
                        ca.issue("b.example"), Options(highest=version, again=new and new.tls), server=True
                    ),
                )
                assert client.tls.resumed is server.tls.resumed is bool(round_)
                assert round_ or server.tls.sni == "b.example"
                await client.send(b"x" * 100_000 + b"end")
                await server.until(b"end")
                assert server.received == b"x" * 100_000 + b"end"
                await client.close()
                assert await server.until_closed() == b""
                before = [client.tls, server.tls]

    run(test)
