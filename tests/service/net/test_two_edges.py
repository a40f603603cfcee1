# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two edges before each other, each with a server of its own behind it."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from peers.authority import Authority
from peers.inside import Inside
from peers.raw import Listener
from xmpp_edge.service import Service

from .harness import (
    ALICE,
    BOB,
    OPEN,
    OURS,
    PLAIN,
    QUICK,
    THEIRS,
    TLS,
    TLS_OR_DIALBACK,
    Lines,
    Records,
    World,
    eventually,
    run,
    world,
)


class Authorities:
    """One for each side, made once: keys take time."""

    ours = Authority("Our CA")
    theirs = Authority("Their CA")
    our_identity = ours.issue(OURS)
    their_identity = theirs.issue(THEIRS)


@asynccontextmanager
async def edges(ours: dict[str, Any], theirs: dict[str, Any]) -> AsyncIterator[tuple[World, World]]:
    """The edge of ``world`` and its mirror image, and what the record of each says of the other."""

    def near(records: Records) -> None:
        records.certify(Authorities.our_identity, Authorities.theirs, **ours)
        if ours["tls"] == "not_supported":
            records.partners[0].pop("ca_file")

    async with world(change=near) as here:
        with tempfile.TemporaryDirectory() as place:
            records, audit = Records(Path(place)), Lines()
            inside = Inside(THEIRS, users=[BOB], components=[OURS], secret=records.secrets["inside_secret"])
            async with inside:
                records.partners[0]["domain"] = OURS
                records.certify(Authorities.their_identity, Authorities.ours, **theirs)
                if theirs["tls"] == "not_supported":
                    records.partners[0].pop("ca_file")
                records.edge |= {
                    "domains": [THEIRS],
                    "inside": {"server": "prosody", "port": inside.port},
                    "resolvers": [f"127.0.0.1:{here.dns.address[1]}"],
                }
                records.policies["policies"][1] |= OPEN
                records.policies["grants"] = {BOB: "FedPic"}
                records.secrets["dialback_secret"] = "a secret of theirs"
                records.write()
                service = Service(records.directory, records.directory, port=0, timing=QUICK, out=audit)
                there = World(service, records, audit, inside, here.partner, here.dns)
                try:
                    await service.start()
                    lines = {
                        domain: [f"_xmpp-server._tcp 60 IN SRV 0 0 {who.address[1]} edge", "edge 60 IN A 127.0.0.1"]
                        for domain, who in ((OURS, here), (THEIRS, there))
                    }
                    here.publish(lines)
                    yield here, there
                finally:
                    await service.stop()
                    await service.finish()


def streams(who: World) -> list[tuple[str, str, bool]]:
    return sorted(
        (entry["direction"], pair["method"], entry["bidi"])
        for entry in who.service.streams()
        for pair in entry["pairs"]
        if entry["state"] == "up"
    )


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        (TLS, TLS, [("out", "sasl_tls", True)]),
        (TLS_OR_DIALBACK, TLS, [("out", "sasl_tls", True)]),
        (PLAIN, PLAIN, [("in", "tcp_dialback", False), ("out", "tcp_dialback", False)]),
    ],
    ids=["sasl", "either", "plain"],
)
def test_a_conversation(ours, theirs, expected):
    async def test() -> None:
        async with edges(ours, theirs) as (here, there):
            for number in range(20):
                await here.inside.send_message(f"{ALICE}/desk", BOB, "question", id_=f"q{number}")
                assert (await there.inside.mailbox(BOB).wait()).id == f"q{number}"
                await there.inside.send_message(f"{BOB}/home", ALICE, "answer", id_=f"a{number}")
                assert (await here.inside.mailbox(ALICE).wait()).id == f"a{number}"
            assert streams(here) == expected
            mirror = {"in": "out", "out": "in"}
            assert streams(there) == sorted((mirror[way], method, bidi) for way, method, bidi in expected)

    run(test)


def test_both_call_at_once_and_nothing_is_lost_or_doubled():
    async def test() -> None:
        async with edges(TLS, TLS) as (here, there):
            many = 200

            async def talk(who: World, sender: str, receiver: str) -> None:
                for number in range(many):
                    await who.inside.send_message(sender, receiver, "x", id_=f"n{number}")

            await asyncio.gather(talk(here, f"{ALICE}/desk", BOB), talk(there, f"{BOB}/home", ALICE))
            wanted = [f"n{number}" for number in range(many)]
            for who, address in ((here, ALICE), (there, BOB)):
                box = who.inside.mailbox(address)
                await eventually(lambda box=box: len(box.history) == many)
                assert [stanza.id for stanza in box.history] == wanted

    run(test)


def test_an_edge_that_restarts_is_reached_again():
    async def test() -> None:
        async with edges(TLS, TLS) as (here, there):
            await here.inside.send_message(f"{ALICE}/desk", BOB, "x", id_="first")
            assert (await there.inside.mailbox(BOB).wait()).id == "first"
            machine = here.service.relay.routes.between(OURS, THEIRS).stream.machine
            await eventually(lambda: machine.acknowledging and not machine._sending.sent)
            await there.service.incomings.close("system-shutdown", "A restart.", 1)
            await here.inside.send_message(f"{ALICE}/desk", BOB, "x", id_="second")
            assert (await there.inside.mailbox(BOB).wait(lambda stanza: stanza.id == "second")).id == "second"
            assert here.inside.mailbox(ALICE).history == []

    run(test)


def test_what_waited_for_a_stream_and_goes_on_a_lent_one_does_not_spoil_the_counting():
    async def test() -> None:
        async with edges(TLS, TLS) as (here, there), Listener() as silent:
            lines = {
                domain: [f"_xmpp-server._tcp 60 IN SRV 0 0 {port} edge", "edge 60 IN A 127.0.0.1"]
                for domain, port in ((OURS, silent.address[1]), (THEIRS, there.address[1]))
            }
            here.dns.zones = type(here.dns.zones)(lines, None)
            await there.inside.send_message(f"{BOB}/home", ALICE, "x", id_="waits")
            await silent.accept()
            await here.inside.send_message(f"{ALICE}/desk", BOB, "x", id_="opens")
            assert (await here.inside.mailbox(ALICE).wait()).id == "waits"
            await there.inside.send_message(f"{BOB}/home", ALICE, "x", id_="asks")
            assert (await here.inside.mailbox(ALICE).wait(lambda stanza: stanza.id == "asks")).id == "asks"
            (incoming,) = there.service.incomings.known
            await eventually(lambda: incoming.machine.acknowledging and not incoming.machine._conversation.sent)
            assert [stanza.id for stanza in there.inside.mailbox(BOB).history] == ["opens"]
            assert streams(here) == [("out", "sasl_tls", True)]

    run(test)
