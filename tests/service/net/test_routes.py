# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways out: what waits is bounded, given back once, kept in order, and never sent twice."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from peers import stanzas
from peers.raw import Listener, RawPeer
from xmpp_edge.current import Bounds

from .harness import ALICE, BOB, OURS, QUICK, THEIRS, Records, error, eventually, run, world

DESK = f"{ALICE}/desk"
HEADER = (
    "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'"
    f" xmlns:db='jabber:server:dialback' id='s1' from='{THEIRS}' to='{OURS}' version='1.0'>"
    "<stream:features><dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback></stream:features>"
).encode()
VALID = f"<db:result from='{THEIRS}' to='{OURS}' type='valid'/>".encode()


async def accept(listener: Listener) -> RawPeer:
    """The partner's side of an outbound stream, proven."""
    peer = await listener.accept()
    await peer.until(rb"<stream:stream [^>]*>")
    await peer.send(HEADER)
    await peer.until(rb"<db:result [^>]*>[0-9a-f]{64}</db:result>")
    await peer.send(VALID)
    return peer


def test_a_thousand_waiting_stanzas_cause_one_attempt_and_keep_their_order():
    async def test() -> None:
        async with world() as here, Listener() as listener:
            here.lead_to(listener.port)
            for number in range(1000):
                await here.inside.send_message(DESK, BOB, str(number), id_=f"n{number}")
            peer = await accept(listener)
            await peer.until(rb"<body>999</body>")
            bodies = [int(part.split(b"<")[0]) for part in peer.received.split(b"<body>")[1:]]
            assert bodies == list(range(1000))
            assert listener.waiting == 0

    run(test)


def test_who_cannot_be_reached_costs_one_attempt_and_every_sender_is_told_in_order():
    async def test() -> None:
        async with world(timing=replace(QUICK, first_retry=60, longest_retry=60)) as here, Listener() as listener:
            here.lead_to(listener.port)
            for number in range(20):
                await here.inside.send_message(DESK, BOB, "x", id_=f"n{number}")
            peer = await listener.accept()
            await peer.until(rb"<stream:stream [^>]*>")
            peer.reset()
            await here.to_alice("n19")
            errors = here.inside.mailbox(ALICE).history
            assert [stanza.id for stanza in errors] == [f"n{number}" for number in range(20)]
            assert {error(stanza) for stanza in errors} == {("wait", "remote-server-timeout")}
            await here.inside.send_message(DESK, BOB, "x", id_="later")
            await here.to_alice("later")
            assert listener.waiting == 0

    run(test)


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        (["_xmpp-server._tcp 60 IN SRV 0 0 5269 ."], ("cancel", "remote-server-not-found")),
        (["xmpp 60 IN A 127.0.0.1"], ("cancel", "remote-server-not-found")),
        (["_xmpp-server._tcp 60 IN SRV 0 0 1 xmpp", "xmpp 60 IN A 127.0.0.1"], ("wait", "remote-server-timeout")),
    ],
)
def test_what_dns_says_decides_the_error(records, expected):
    async def test() -> None:
        async with world() as here:
            here.publish({THEIRS: records})
            await here.inside.send_message(DESK, BOB, "x", id_="m")
            assert error(await here.to_alice("m")) == expected

    run(test)


def test_errors_and_results_are_never_answered():
    async def test() -> None:
        async with world() as here:
            here.dns.behave("servfail")
            await here.inside.send(f"<iq type='result' id='r' from='{DESK}' to='{BOB}'/>")
            await here.inside.send(f"<message type='error' id='e' from='{DESK}' to='{BOB}'/>")
            await here.inside.send_message(DESK, BOB, "x", id_="m")
            await here.to_alice("m")
            assert [stanza.id for stanza in here.inside.mailbox(ALICE).history] == ["m"]
            assert here.service.audit.counters["dropped_out"] == 2

    run(test)


def test_a_refused_key_is_told_as_such():
    async def test() -> None:
        async with world() as here:
            here.partner.faults.result_answer = "invalid"
            await here.inside.send_message(DESK, BOB, "x", id_="m")
            assert error(await here.to_alice("m")) == ("wait", "internal-server-error")

    run(test)


def test_a_full_queue_refuses_what_comes_after():
    async def test() -> None:
        async with world(bounds=Bounds(route_stanzas=3)) as here, Listener() as listener:
            here.lead_to(listener.port)
            for number in range(5):
                await here.inside.send_message(DESK, BOB, str(number), id_=f"n{number}")
            assert error(await here.to_alice("n3")) == ("wait", "resource-constraint")
            assert error(await here.to_alice("n4")) == ("wait", "resource-constraint")
            peer = await accept(listener)
            await peer.until(rb"<body>2</body>")
            assert b"<body>3</body>" not in peer.received

    run(test)


def test_a_queue_is_bounded_in_bytes_too():
    async def test() -> None:
        async with world(bounds=Bounds(route_bytes=10_000)) as here, Listener() as listener:
            here.lead_to(listener.port)
            await here.inside.send_message(DESK, BOB, "x" * 8000, id_="first")
            await here.inside.send_message(DESK, BOB, "x" * 8000, id_="second")
            assert error(await here.to_alice("second")) == ("wait", "resource-constraint")

    run(test)


def test_what_is_in_doubt_when_a_stream_breaks_gets_an_error_and_is_not_sent_again():
    async def test() -> None:
        async with world() as here, Listener() as listener:
            here.lead_to(listener.port)
            await here.inside.send_message(DESK, BOB, "first", id_="first")
            peer = await accept(listener)
            await peer.until(rb"first")
            peer.reset()
            assert error(await here.to_alice("first")) == ("wait", "remote-server-timeout")
            await here.inside.send_message(DESK, BOB, "second", id_="second")
            again = await accept(listener)
            await again.until(rb"second")
            assert b"first" not in again.received

    run(test)


def test_a_stream_closed_in_order_leaves_no_doubt_and_the_next_stanza_opens_another():
    async def test() -> None:
        async with world() as here, Listener() as listener:
            here.lead_to(listener.port)
            await here.inside.send_message(DESK, BOB, "first", id_="first")
            peer = await accept(listener)
            await peer.until(rb"first")
            await peer.send(b"</stream:stream>")
            await peer.until(rb"</stream:stream>")
            await peer.close()
            await here.inside.send_message(DESK, BOB, "second", id_="second")
            again = await accept(listener)
            await again.until(rb"second")
            assert here.inside.mailbox(ALICE).history == []

    run(test)


def test_what_a_peer_had_not_read_when_it_ended_the_stream_with_an_error_is_in_doubt():
    async def test() -> None:
        async with world() as here, Listener() as listener:
            here.lead_to(listener.port)
            await here.inside.send_message(DESK, BOB, "first")
            peer = await accept(listener)
            await peer.until(rb"first")
            peer.stop_reading()
            await here.inside.send_message(DESK, BOB, "second", id_="second")
            await eventually(lambda: here.service.audit.counters["out"] == 2)
            error_ = b"<stream:error><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
            await peer.send(error_ + b"</stream:stream>")
            assert error(await here.to_alice("second")) == ("wait", "remote-server-timeout")

    run(test)


def test_a_reset_after_an_orderly_end_raises_no_doubt():
    async def test() -> None:
        async with world() as here, Listener() as listener:
            here.lead_to(listener.port)
            await here.inside.send_message(DESK, BOB, "first", id_="first")
            peer = await accept(listener)
            await peer.until(rb"first")
            await peer.send(b"</stream:stream>")
            peer.reset()
            await here.audit.wait("stream_closed", direction="out")
            await here.inside.send_message(DESK, BOB, "second", id_="second")
            await (await accept(listener)).until(rb"second")
            assert here.inside.mailbox(ALICE).history == []

    run(test)


def test_while_an_idle_stream_is_closing_the_next_stanza_opens_another():
    def soon(records: Records) -> None:
        records.edge |= {"stream_inactivity_timeout": 1, "keepalive_interval": 1}

    async def test() -> None:
        async with world(change=soon) as here, Listener() as listener:
            here.lead_to(listener.port)
            await here.inside.send_message(DESK, BOB, "first", id_="first")
            peer = await accept(listener)
            await peer.until(rb"first")
            await peer.until(rb"</stream:stream>")
            await here.inside.send_message(DESK, BOB, "second", id_="second")
            again = await accept(listener)
            await again.until(rb"second")
            await peer.send(b"</stream:stream>")
            await peer.until_closed()
            await here.inside.send_message(DESK, BOB, "third", id_="third")
            await again.until(rb"third")
            assert b"second" not in peer.received
            assert here.inside.mailbox(ALICE).history == []

    run(test)


def test_a_peer_that_does_not_read_is_given_up_and_every_stanza_is_answered_for():
    async def test() -> None:
        bounds = Bounds(write_buffer=20_000, route_stanzas=10_000, route_bytes=1 << 30)
        timing = replace(QUICK, write=0.5, first_retry=30)
        async with world(bounds=bounds, timing=timing) as here, Listener() as listener:
            here.lead_to(listener.port)
            await here.inside.send_message(DESK, BOB, "x", id_="n0")
            peer = await accept(listener)
            await peer.until(rb"n0")
            peer.stop_reading()
            for number in range(1, 200):
                await here.inside.send_message(DESK, BOB, "x" * 100_000, id_=f"n{number}")
            assert error(await here.to_alice("n199"))[0] == "wait"
            ids = [stanza.id for stanza in here.inside.mailbox(ALICE).history]
            assert ids == sorted(ids, key=lambda id_: int(id_[1:]))
            assert len(ids) == len(set(ids))

    run(test)


@pytest.mark.parametrize("goodbye", [b"</stream:stream>", b""])
def test_a_peer_that_hangs_up_as_soon_as_it_has_said_yes_is_not_called_without_end(goodbye):
    async def test() -> None:
        async with world(timing=replace(QUICK, first_retry=60, longest_retry=60)) as here, Listener() as listener:
            here.lead_to(listener.port)
            await here.inside.send_message(DESK, BOB, "x", id_="m")
            peer = await listener.accept()
            await peer.until(rb"<stream:stream [^>]*>")
            await peer.send(HEADER)
            await peer.until(rb"<db:result [^>]*>[0-9a-f]{64}</db:result>")
            await peer.send(VALID + goodbye)
            await peer.close()
            assert error(await here.to_alice("m")) == ("wait", "remote-server-timeout")
            assert listener.waiting == 0

    run(test)


def test_the_next_target_is_tried_when_the_first_does_not_answer():
    async def test() -> None:
        async with world() as here:
            here.lead_to(1, here.partner.port)
            await here.inside.send_message(DESK, BOB, "x", id_="m")
            assert (await here.partner.mailbox(BOB).wait()).body == "x"

    run(test)


def test_a_proxy_takes_the_place_of_dns():
    def through_proxy(records):
        records.partners[0] |= {"proxy_fqdn": "proxy.example", "proxy_port": 1}

    async def test() -> None:
        async with world(change=through_proxy) as here:
            here.records.partners[0]["proxy_port"] = here.partner.port
            await here.reload()
            here.publish({"proxy.example": ["@ 60 IN A 127.0.0.1"]})
            await here.inside.send_message(DESK, BOB, "x", id_="m")
            assert (await here.partner.mailbox(BOB).wait()).body == "x"
            assert here.dns.queries(f"_xmpp-server._tcp.{THEIRS}") == []

    run(test)


def test_a_partner_whose_record_demands_tls_and_who_offers_none_gets_nothing():
    def tls(records):
        records.partners[0] |= {"tls": "required", "sasl": "required", "dialback": False}

    async def test() -> None:
        async with world(change=tls) as here:
            await here.inside.send_message(DESK, BOB, "x", id_="m")
            answer = await here.to_alice("m")
            assert error(answer) == ("cancel", "not-allowed")
            assert "offers no TLS" in answer.text
            assert here.service.audit.counters["refused_tls_not_offered"] == 1
            assert here.partner.mailbox(BOB).history == []

    run(test)


def test_pairs_have_streams_of_their_own():
    def two(records):
        records.edge["domains"] = [OURS, "second.example"]
        records.policies["grant_to_all"] = "FedPic"

    async def test() -> None:
        async with world(change=two) as here:
            here.partner.routes["second.example"] = here.address
            here.inside.domains = (OURS, "second.example")
            await here.inside.send_message(DESK, BOB, "one")
            await here.inside.send_message("dave@second.example/x", BOB, "two")
            bodies = {(await here.partner.mailbox(BOB).wait()).body for _unused in range(2)}
            assert bodies == {"one", "two"}
            assert len([stream for stream in here.service.streams() if stream["direction"] == "out"]) == 2

    run(test)


def test_a_stanza_too_large_for_partners_is_given_back_and_the_stream_lives():
    async def test() -> None:
        async with world() as here:
            await here.inside.send_message(DESK, BOB, "x" * 600_000, id_="big")
            assert error(await here.to_alice("big")) == ("modify", "policy-violation")
            await here.inside.send_message(DESK, BOB, "small")
            assert (await here.partner.mailbox(BOB).wait()).body == "small"

    run(test)


def test_a_ping_of_ours_is_answered_to_us_only():
    async def test() -> None:
        async with world() as here:
            pair = next(iter(here.service.relay.links.links.values())).domains
            assert pair == {THEIRS}
            from xmpp_edge.stream.actions import Pair

            assert await here.service.relay.ping(Pair(OURS, THEIRS)) is None
            assert here.partner.noted("pinged")
            here.partner.answers_pings = False
            task = asyncio.ensure_future(here.service.relay.ping(Pair(OURS, THEIRS)))
            forged = stanzas.message(BOB, ALICE, "hello", id_="m")
            await here.partner.send(forged)
            await here.inside.mailbox(ALICE).wait()
            assert not task.done()
            task.cancel()

    run(test)


def test_a_fault_of_our_own_leaves_nobody_waiting():
    async def test() -> None:
        async with world() as here:

            async def broken(*_unused: object) -> list[object]:
                raise KeyError("a bug")

            here.service.dialer.targets = broken
            await here.inside.send_message(DESK, BOB, "x", id_="m")
            assert error(await here.to_alice("m")) == ("wait", "remote-server-timeout")
            await here.audit.wait("internal_error")
            del here.service.dialer.targets
            await asyncio.sleep(QUICK.longest_retry)
            await here.inside.send_message(DESK, BOB, "y")
            assert (await here.partner.mailbox(BOB).wait()).body == "y"

    run(test)
