# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams that a partner lends us (XEP-0288), beside ours or in their place."""

from __future__ import annotations

import asyncio

from peers.scripted import Offer, Scripted

from .harness import (
    ALICE,
    OURS,
    THEIRS,
    TLS_OR_DIALBACK,
    Records,
    error,
    eventually,
    run,
    world,
)
from .tls_world import (
    FULL,
    Authorities,
    facing,
    lend,
    say,
    secured,
)

ANY = {"tls": "optional", "sasl": "optional", "dialback": True}


def test_a_stream_that_the_partner_lends_us_is_used_and_no_other_is_opened():
    async def test() -> None:
        async with facing(FULL) as (here, (server,)):
            peer = await lend(here)
            for number in range(3):
                await say(here, f"m{number}")
            await peer.until(rb"id='m0'.*id='m1'.*id='m2'")
            assert server.sessions == []
            assert [stream["direction"] for stream in here.service.streams()] == ["in"]

    run(test)


def test_when_what_was_lent_is_gone_its_doubts_are_told_and_a_stream_of_ours_follows():
    async def test() -> None:
        async with facing(FULL) as (here, (server,)):
            peer = await lend(here)
            await say(here, "first")
            await peer.until(rb"id='first'")
            peer.reset()
            assert error(await here.to_alice("first")) == ("wait", "remote-server-timeout")
            await say(here, "second")
            session = await server.session()
            await session.until("message second")
            assert len(session.stanzas) == 1

    run(test)


def test_a_lent_stream_that_ends_in_order_leaves_no_doubt():
    async def test() -> None:
        async with facing(FULL) as (here, (server,)):
            peer = await lend(here)
            await say(here, "first")
            await peer.until(rb"id='first'")
            await peer.send(b"</stream:stream>")
            await peer.until_closed()
            await here.audit.wait("stream_closed", direction="in")
            await say(here, "second")
            await (await server.session()).until("message second")
            assert here.inside.mailbox(ALICE).history == []

    run(test)


def test_what_waits_for_a_partner_that_cannot_be_reached_goes_when_it_calls():
    async def test() -> None:
        silent = Offer()
        async with facing(silent) as (here, (server,)):

            async def mute(_session) -> None:
                await asyncio.Event().wait()

            server._serve = mute
            for number in range(3):
                await say(here, f"m{number}")
            await server.session()
            peer = await lend(here)
            await peer.until(rb"id='m0'.*id='m1'.*id='m2'")
            assert here.inside.mailbox(ALICE).history == []

    run(test)


def test_a_stream_of_ours_that_the_partner_may_count_on_is_waited_for_before_what_it_lends_is_used():
    async def test() -> None:
        async with facing(FULL) as (here, (server,)):

            async def mute(_session, _element) -> None:
                await asyncio.Event().wait()

            server._authenticate = mute
            await say(here)
            await (await server.session()).until("auth")
            peer = await lend(here)
            await peer.silence(0.5)
            await peer.until(rb"id='m'", timeout=10)
            assert here.inside.mailbox(ALICE).history == []

    run(test)


def test_a_lent_stream_is_not_used_once_the_partner_has_changed():
    async def test() -> None:
        async with facing(FULL) as (here, (server,)):
            peer = await lend(here)
            await say(here, "first")
            await peer.until(rb"id='first'")
            here.records.partners[0]["keepalive"] = False
            await here.reload()
            await say(here, "second")
            session = await server.session()
            await session.until("message second")
            await peer.until(rb"<reset .*</stream:stream>")
            assert b"id='second'" not in peer.received

    run(test)


def test_what_was_lent_by_a_partner_that_is_removed_is_told_while_its_sender_can_be():
    async def test() -> None:
        async with facing(FULL) as (here, (_server,)):
            peer = await lend(here)
            peer.stop_reading()
            await say(here, "first", "x" * 100_000)
            await eventually(lambda: here.service.audit.counters["out"] == 1)
            here.records.partners.clear()
            await here.reload()
            assert error(await here.to_alice("first")) == ("wait", "remote-server-timeout")

    run(test)


def test_what_waits_on_a_lent_stream_goes_out_before_the_service_ends():
    async def test() -> None:
        async with facing(FULL) as (here, (server,)):
            peer = await lend(here)
            await say(here, "last", "x" * 200_000)
            await eventually(lambda: here.service.audit.counters["out"] == 1)
            stopping = asyncio.ensure_future(here.service.stop())
            await peer.until(rb"id='last'.*</message>.*<system-shutdown .*</stream:stream>")
            await peer.send(b"</stream:stream>")
            await stopping
            assert here.inside.mailbox(ALICE).history == []
            assert server.sessions == []

    run(test)


# How many there may be


def narrow(records: Records) -> None:
    secured(TLS_OR_DIALBACK)(records)
    records.edge["domains"] = [OURS, "second.example"]
    records.policies["grant_to_all"] = "FedPic"
    records.partners[0]["connection_limit"] = 1


def test_connections_that_the_partner_has_opened_count_when_we_want_one():
    async def test() -> None:
        async with Scripted(THEIRS, offer=FULL, identity=Authorities.partner) as server, world(change=narrow) as here:
            here.lead_to(server.port)
            peer = await lend(here, "second.example")
            await say(here, "one")
            assert error(await here.to_alice("one")) == ("wait", "resource-constraint")
            await here.audit.wait("refused", reason="partner_connection_limit", local=OURS)
            assert server.sessions == []
            await peer.close()
            await here.audit.wait("stream_closed", direction="in")
            here.service.relay.routes.between(OURS, THEIRS).forget_failure()
            await say(here, "two")
            await (await server.session()).until("message two")

    run(test)


def test_connections_that_we_have_opened_count_when_the_partner_wants_one():
    async def test() -> None:
        async with Scripted(THEIRS, offer=FULL, identity=Authorities.partner) as server, world(change=narrow) as here:
            here.lead_to(server.port)
            await say(here)
            session = await server.session()
            await session.until("message m")
            peer = await lend(here)
            await peer.until(rb"<resource-constraint ")
            await here.audit.wait("refused", reason="partner_connection_limit")
            session.wire.abort()
            await here.audit.wait("stream_closed", direction="out")
            await (await lend(here)).silence()

    run(test)
