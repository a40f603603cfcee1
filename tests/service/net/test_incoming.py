# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections from outside: what strangers may cost, how a name is proven, and who is told what."""

from __future__ import annotations

import asyncio
import contextlib
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from peers.partner import dialback_key
from peers.raw import Listener, RawPeer
from xmpp_edge.current import Bounds
from xmpp_edge.net.strangers import address_key

from .harness import ALICE, BOB, CAROL, OURS, QUICK, THEIRS, Records, World, error, eventually, run, world

DECLARED = "xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback'"


def header(**attrs: str) -> bytes:
    written = "".join(f" {name}='{value}'" for name, value in attrs.items())
    return f"<stream:stream {DECLARED}{written} version='1.0'>".encode()


def proof(remote: str = THEIRS, local: str = OURS, key: str = "k") -> bytes:
    return f"<db:result from='{remote}' to='{local}'>{key}</db:result>".encode()


HELLO = header(**{"from": THEIRS, "to": OURS})


async def connect(here: World) -> RawPeer:
    return await RawPeer.connect(here.address)


def verifying(listener: Listener):
    """Lead the partner's name to a raw listener; used as ``change`` of a world would be too early for the port."""

    def lead(here: World) -> None:
        here.lead_to(listener.port)

    return lead


async def authoritative(listener: Listener) -> RawPeer:
    """The authoritative server's side of a question, header and features sent."""
    peer = await listener.accept()
    await peer.until(rb"<stream:stream [^>]*>")
    answer = header(**{"from": THEIRS, "to": OURS, "id": "v1"})
    features = b"<stream:features><dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback></stream:features>"
    await peer.send(answer + features)
    return peer


def test_a_stranger_gets_a_reason_and_costs_no_lookup():
    async def test() -> None:
        async with world() as here:
            peer = await connect(here)
            await peer.send(header(**{"from": "stranger.example", "to": OURS}))
            await peer.until(rb"<policy-violation")
            await peer.until_closed()
            assert here.dns.queries() == []
            await here.audit.wait("refused", reason="not_a_partner", remote="stranger.example")

    run(test)


def test_the_last_words_arrive_although_the_peer_has_said_more():
    async def test() -> None:
        async with world() as here:
            peer = await connect(here)
            await peer.send(header(**{"from": "stranger.example", "to": OURS}) + b" " * 200_000)
            assert b"policy-violation" in await peer.until_closed()

    run(test)


@pytest.mark.parametrize(
    "garbage", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"<a/>", b"\xff\xff\xff\xff"]
)
def test_other_protocols_are_turned_away(garbage):
    async def test() -> None:
        async with world() as here:
            peer = await connect(here)
            await peer.send(garbage)
            await peer.until(rb"<stream:error>")
            await peer.until_closed()
            await peer.close()
            await here.audit.wait("connection_closed", by="us")
            assert not here.service.incomings.strangers

    run(test)


def test_one_address_may_have_so_many_unproven_connections():
    async def test() -> None:
        async with world(bounds=Bounds(per_address=3)) as here:
            peers = [await connect(here) for _unused in range(3)]
            for peer in peers:
                await peer.send(HELLO)
                await peer.until(rb"<stream:features>")
            late = await connect(here)
            assert await late.until_closed() == b""
            await here.audit.wait("refused", reason="too_many_from_address")
            await peers[0].close()
            await eventually(lambda: len(here.service.incomings.strangers) < 3)
            again = await connect(here)
            await again.send(HELLO)
            await again.until(rb"<stream:features>")

    run(test)


def test_when_there_are_too_many_the_oldest_goes():
    def few(records: Records) -> None:
        records.edge |= {"unauthenticated_limit": 3}

    async def test() -> None:
        async with world(change=few) as here:
            peers = []
            for _unused in range(4):
                peers.append(await connect(here))
                await peers[-1].send(HELLO)
                await peers[-1].until(rb"<stream:features>")
            await peers[0].until_closed()
            for peer in peers[1:]:
                await peer.send(b" ")
            assert len(here.service.incomings.strangers) == 3

    run(test)


def test_connections_that_come_all_at_once_find_the_same_bound():
    def change(records: Records) -> None:
        records.edge["unauthenticated_limit"] = 10

    async def test() -> None:
        async with world(change=change, bounds=Bounds(per_address=1000)) as here:
            peers = await asyncio.gather(*(connect(here) for _unused in range(100)))
            counters = here.service.audit.counters
            await eventually(lambda: counters["connections_in"] == 100)
            await eventually(lambda: len(here.service.incomings.strangers) == 10)
            assert counters["refused_too_many_unauthenticated"] == 90
            assert here.service.incomings.strangers.addresses == 1
            closed = await asyncio.gather(*(peer.until_closed() for peer in peers[:80]), return_exceptions=True)
            assert set(closed) == {b""}
            for peer in peers:
                await peer.close()

    run(test)


def test_proven_streams_do_not_count_as_strangers():
    def few(records: Records) -> None:
        records.edge |= {"unauthenticated_limit": 1}

    async def test() -> None:
        async with world(change=few, bounds=Bounds(per_address=2)) as here:
            await here.partner.send_message(BOB, ALICE, "one")
            await here.inside.mailbox(ALICE).wait()
            await (await connect(here)).send(HELLO)
            await here.partner.send_message(BOB, ALICE, "two")
            await here.inside.mailbox(ALICE).wait()

    run(test)


def test_whoever_says_nothing_is_dropped_in_time_and_no_parser_was_made():
    def soon(records: Records) -> None:
        records.edge |= {"stream_establishment_timeout": 1}

    async def test() -> None:
        async with world(change=soon) as here:
            peer = await connect(here)
            assert await peer.until_closed() == b""
            await here.audit.wait("refused", reason="nothing_sent")

    run(test)


def test_whoever_never_proves_a_name_is_told_so():
    def soon(records: Records) -> None:
        records.edge |= {"stream_establishment_timeout": 1}

    async def test() -> None:
        async with world(change=soon) as here:
            peer = await connect(here)
            await peer.send(HELLO)
            await peer.until(rb"<connection-timeout")
            await peer.until_closed()

    run(test)


def test_a_crowd_of_strangers_does_not_harm_a_partner():
    def few(records: Records) -> None:
        records.edge |= {"unauthenticated_limit": 20}

    async def test() -> None:
        async with world(change=few, bounds=Bounds(per_address=1000)) as here:
            crowd = []
            for number in range(200):
                crowd.append(await connect(here))
                await crowd[-1].send(HELLO[: 20 + number % 100])
                if number % 50 == 0:
                    await here.partner.send_message(BOB, ALICE, str(number))
                    assert (await here.inside.mailbox(ALICE).wait()).body == str(number)
            assert len(here.service.incomings.strangers) <= 20
            assert here.service.audit.counters["refused_too_many_unauthenticated"] >= 150

    run(test)


def test_whoever_takes_no_answers_is_asked_no_more_and_dropped():
    async def test() -> None:
        async with world(bounds=Bounds(write_buffer=10_000), timing=replace(QUICK, write=0.3)) as here:
            peer = await connect(here)
            await peer.send(HELLO)
            await peer.until(rb"<stream:features>")
            peer.stop_reading()
            question = f"<db:verify from='{THEIRS}' to='{OURS}' id='sid'>{'f' * 64}</db:verify>".encode()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await peer.send(question * 100_000)
            await eventually(lambda: not here.service.incomings.strangers)

    run(test)


def test_many_questions_about_one_partner_share_one_connection():
    async def test() -> None:
        async with world() as here, Listener() as listener:
            verifying(listener)(here)
            peers = [await connect(here) for _unused in range(5)]
            for peer in peers:
                await peer.send(HELLO + proof())
            server = await authoritative(listener)
            for _unused in peers:
                found = await server.until(rb"<db:verify [^>]*id='([0-9a-f]+)'[^>]*>k</db:verify>")
                answer = f"<db:verify from='{THEIRS}' to='{OURS}' id='{found[1].decode()}' type='valid'/>"
                await server.send(answer.encode())
            for peer in peers:
                await peer.until(rb"<db:result [^>]*type='valid'")
            assert listener.waiting == 0

    run(test)


def test_an_authoritative_server_that_goes_away_fails_all_that_waits_and_is_not_dialled_for_each():
    async def test() -> None:
        timing = replace(QUICK, verify_retry=60)
        async with world(timing=timing) as here, Listener() as listener:
            verifying(listener)(here)
            peers = [await connect(here) for _unused in range(3)]
            for peer in peers:
                await peer.send(HELLO + proof())
            server = await authoritative(listener)
            await server.until(rb"<db:verify")
            server.reset()
            for peer in peers:
                await peer.until(rb"<db:result [^>]*type='error'.*<remote-connection-failed")

    run(test)


def test_forged_requests_do_not_make_us_dial_without_end():
    def nowhere(records: Records) -> None:
        records.partners[0] |= {"proxy_fqdn": "127.0.0.1", "proxy_port": 1}

    async def test() -> None:
        async with world(change=nowhere, timing=replace(QUICK, verify_retry=60)) as here:
            for _unused in range(10):
                peer = await connect(here)
                await peer.send(HELLO + proof())
                await peer.until(rb"<db:result [^>]*type='error'.*<remote-connection-failed")
            assert len(here.audit.events("refused", reason="verify_failed")) == 1

    run(test)


def test_a_forged_key_is_found_out():
    async def test() -> None:
        async with world() as here:
            peer = await connect(here)
            await peer.send(HELLO + proof())
            await peer.until(rb"<db:result [^>]*type='invalid'")
            await here.audit.wait("refused", reason="dialback_invalid")

    run(test)


def test_we_answer_for_our_own_keys():
    async def test() -> None:
        async with world() as here:
            key = dialback_key(here.records.secrets["dialback_secret"], THEIRS, OURS, "sid")
            peer = await connect(here)
            ask = f"<db:verify from='{THEIRS}' to='{OURS}' id='sid'>{{}}</db:verify>"
            await peer.send(HELLO + ask.format(key).encode())
            await peer.until(rb"<db:verify [^>]*type='valid'")
            await peer.send(ask.format("f" * 64).encode())
            await peer.until(rb"<db:verify [^>]*type='invalid'")

    run(test)


def test_a_partner_may_have_so_many_streams():
    def one(records: Records) -> None:
        records.partners[0] |= {"connection_limit": 1}

    async def test() -> None:
        async with world(change=one) as here:
            await here.partner.send_message(BOB, ALICE, "x")
            await here.inside.mailbox(ALICE).wait()
            second = await connect(here)
            sid = (await hello(second))[1].decode()
            await second.send(proof(key=dialback_key(here.partner.secret, OURS, THEIRS, sid)))
            await second.until(rb"<resource-constraint")
            await here.audit.wait("refused", reason="partner_connection_limit")
            await here.partner.send_message(BOB, ALICE, "still")
            assert (await here.inside.mailbox(ALICE).wait()).body == "still"

    run(test)


async def hello(peer: RawPeer):
    await peer.send(HELLO)
    return await peer.until(rb"<stream:stream [^>]*id='([^']+)'")


def test_a_refused_user_and_an_unknown_one_get_the_same_answer():
    async def test() -> None:
        async with world() as here:
            answers = []
            for user in (CAROL, f"nobody@{OURS}"):
                await here.partner.send_message(BOB, user, "x", id_=user)
                answer = await here.partner.mailbox(BOB).wait(lambda stanza, id_=user: stanza.id == id_)
                answers.append((error(answer), answer.text))
            assert answers[0] == answers[1] == (("cancel", "service-unavailable"), "")
            assert here.inside.mailbox(CAROL).history == []
            await here.audit.wait("refused", reason="no_federation_access", direction="in")

    run(test)


def test_an_unknown_user_reads_like_a_refused_one():
    def shut_carol_out(records: Records) -> None:
        records.policies |= {"grant_to_all": "FedPic", "grants": {CAROL: "Closed"}}
        records.policies["policies"].append({"name": "Closed", "scope": "user"})

    async def test() -> None:
        async with world(change=shut_carol_out) as here:
            answers = set()
            for user in (CAROL, f"nobody@{OURS}"):
                await here.partner.send(
                    f"<message from='{BOB}' to='{user}' id='same' type='chat'><body>x</body></message>"
                )
                answer = await here.partner.mailbox(BOB).wait(lambda stanza: stanza.type == "error")
                assert answer.sender == user
                answer.element.attrib.pop("from")
                answers.add(ET.tostring(answer.element))
            assert len(answers) == 1
            assert here.service.audit.counters["in"] == 1

    run(test)


def test_aliases_of_a_name_reach_the_one_account_they_mean():
    async def test() -> None:
        async with world() as here:
            await here.partner.send_message(BOB, f"ALI\u00adCE@{OURS}", "x")
            assert (await here.inside.mailbox(ALICE).wait()).to == ALICE
            await here.partner.send_message(BOB, f"ＣAROL@{OURS}", "x", id_="c")
            await here.partner.mailbox(BOB).wait(lambda stanza: stanza.id == "c")
            assert here.inside.mailbox(CAROL).history == []

    run(test)


@pytest.mark.parametrize(
    ("peer", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_what_counts_as_one_address(peer, key):
    assert address_key(peer) == key
