# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams of partners that go both ways (XEP-0288), or count what they carry (XEP-0198)."""

from __future__ import annotations

import asyncio

from peers.raw import RawPeer
from xmpp_edge.current import Bounds

from .harness import (
    ALICE,
    BOB,
    THEIRS,
    TLS,
    TLS_OR_DIALBACK,
    error,
    eventually,
    quick,
    run,
    world,
)
from .tls_world import (
    EXTERNAL,
    HELLO,
    prove,
    secure,
    secured,
    speak,
)

ACKS = b"xmlns='urn:xmpp:sm:3'"


async def prove_bidi(peer: RawPeer) -> None:
    await peer.send(HELLO)
    await peer.until(rb"<bidi xmlns='urn:xmpp:features:bidi'/>.*</stream:features>")
    await peer.send(b"<bidi xmlns='urn:xmpp:bidi'/>" + EXTERNAL)
    await peer.until(rb"<success")
    await peer.send(HELLO)
    await peer.until(rb"<stream:features.*?(/>|</stream:features>)")


def test_a_stream_of_the_partner_takes_our_stanzas_too():
    async def test() -> None:
        async with world(change=secured()) as here:
            peer = await secure(here)
            await prove_bidi(peer)
            await speak(here, peer)
            assert (await here.audit.wait("authenticated", direction="in"))["bidi"]
            for number in range(20):
                await here.inside.send_message(f"{ALICE}/desk", BOB, "out", id_=f"o{number}")
            await peer.until(rb"id='o0'.*id='o19'")
            assert [stream["bidi"] for stream in here.service.streams()] == [True]
            assert not here.dns.queries()

    run(test)


def test_what_a_lent_stream_did_not_take_goes_back_to_its_sender():
    async def test() -> None:
        async with world(change=secured()) as here:
            peer = await secure(here)
            await prove_bidi(peer)
            peer.stop_reading()
            await here.inside.send_message(f"{ALICE}/desk", BOB, "out", id_="lost")
            await eventually(lambda: here.service.audit.counters["out"] == 1)
            peer.reset()
            answer = await here.to_alice("lost")
            assert error(answer) == ("wait", "remote-server-timeout")

    run(test)


def test_stanzas_are_acknowledged_when_they_have_left():
    async def test() -> None:
        async with world(change=secured(), bounds=Bounds(write_buffer=20_000), timing=quick(write=20)) as here:
            peer = await secure(here)
            await prove(peer)
            await peer.send(b"<enable " + ACKS + b"/>")
            await peer.until(rb"<enabled ")
            await speak(here, peer)
            await peer.send(b"<r " + ACKS + b"/>")
            await peer.until(rb"<a xmlns='urn:xmpp:sm:3' h='1'/>")
            transport = here.inside.links[THEIRS]._reader._transport
            transport.pause_reading()
            link = here.service.relay.links.links[THEIRS].connection
            stanza = f"<message from='{BOB}' to='{ALICE}'><body>{'x' * 200_000}</body></message>".encode()
            flood = asyncio.create_task(peer.send(stanza * 60 + b"<r " + ACKS + b"/>", chunk=100_000))
            await eventually(lambda: link.paused)
            await peer.silence(0.3)
            transport.resume_reading()
            await peer.until(rb"<a xmlns='urn:xmpp:sm:3' h='61'/>")
            await flood

    run(test)


def test_a_refusal_that_is_not_the_end_does_not_hide_the_end():
    async def test() -> None:
        async with world(change=secured(TLS_OR_DIALBACK)) as here:
            peer = await secure(here, None)
            await peer.send(HELLO)
            await peer.until(rb"</stream:features>")
            refused = await here.audit.wait("refused", reason="not_trusted")
            assert refused["remote"] == THEIRS
            await peer.send(b"<!-- -->")
            ended = await here.audit.wait("connection_closed")
            assert (ended["condition"], ended["by"]) == ("restricted-xml", "us")

    run(test)


def test_a_refusal_that_is_the_end_is_told_once():
    async def test() -> None:
        async with world(change=secured(TLS)) as here:
            peer = await secure(here, None)
            await peer.send(HELLO)
            assert b"<not-authorized " in await peer.until_closed()
            await here.audit.wait("refused", reason="not_trusted")
            await eventually(lambda: not here.service.incomings.strangers)
            assert not here.audit.events("connection_closed")

    run(test)
