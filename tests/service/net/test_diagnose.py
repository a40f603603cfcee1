# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`xmpp-edge test`: each step says what is and what to do."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from peers.raw import Listener

from .harness import OURS, QUICK, THEIRS, Records, World, run, world, zones

STEPS = ["federation", "partner", "srv", "tcp", "own_srv", "inside_link", "stream", "ping"]


def publish(here: World, ours: list[str] | None = None, theirs: list[str] | None = None) -> None:
    """DNS as a partner would see it, with our own SRV record."""
    found = zones(gmail=here.partner.port)
    if theirs is not None:
        found[THEIRS] = theirs
    port = here.address[1]
    found[OURS] = ours or [f"_xmpp-server._tcp 60 IN SRV 0 0 {port} edge", "edge 60 IN A 127.0.0.1"]
    here.dns.zones = type(here.dns.zones)(found, None)


async def diagnose(here: World, domain: str = THEIRS, timeout: float = 10) -> tuple[dict[str, Any], dict[str, Any]]:
    answer = await here.service.command({"command": "test", "domain": domain, "timeout": timeout})
    assert [step["step"] for step in answer["steps"]] == STEPS
    for step in answer["steps"]:
        assert step["diagnosis"]
        assert (step["latency_ms"] is None) == (step["result"] == "skip")
    assert answer["passed"] == all(step["result"] != "fail" for step in answer["steps"])
    return answer, {step["step"]: step for step in answer["steps"]}


def test_everything_in_order_passes():
    async def test() -> None:
        async with world() as here:
            publish(here)
            answer, steps = await diagnose(here)
            assert answer["domain"] == THEIRS
            assert [step["result"] for step in answer["steps"]] == ["pass"] * 8, answer
            assert "tcp_dialback" in steps["stream"]["diagnosis"]
            assert here.partner.noted("pinged")

    run(test)


def test_an_unknown_partner_is_not_touched():
    async def test() -> None:
        async with world() as here:
            publish(here)
            _unused, steps = await diagnose(here, "stranger.example")
            assert steps["partner"]["result"] == "fail"
            assert "partners" in steps["partner"]["diagnosis"]
            assert {steps[name]["result"] for name in ("srv", "tcp", "inside_link", "stream", "ping")} == {"skip"}
            assert here.dns.queries("_xmpp-server._tcp.stranger.example") == []

    run(test)


def test_a_name_that_is_none_is_told():
    async def test() -> None:
        async with world() as here:
            publish(here)
            _unused, steps = await diagnose(here, "not a domain")
            assert "not a domain" in steps["partner"]["diagnosis"]

    run(test)


def test_federation_off_is_the_first_thing_to_fix():
    async def test() -> None:
        async with world(change=lambda records: records.edge.update(allow_federated_users=False)) as here:
            publish(here)
            _unused, steps = await diagnose(here)
            assert steps["federation"]["result"] == "fail"
            assert "allow_federated_users" in steps["federation"]["diagnosis"]
            assert steps["ping"]["result"] == "skip"

    run(test)


@pytest.mark.parametrize(
    ("theirs", "failing", "hint"),
    [
        (["_xmpp-server._tcp 60 IN SRV 0 0 5269 ."], "srv", "no XMPP service"),
        (["_xmpp-server._tcp 60 IN SRV 0 0 1 xmpp", "xmpp 60 IN A 127.0.0.1"], "tcp", "127.0.0.1:1"),
        (["_xmpp-server._tcp 60 IN SRV 0 0 5269 nowhere"], "tcp", "no A or AAAA"),
    ],
)
def test_what_stands_in_the_way_is_named_and_what_follows_is_skipped_or_fails(theirs, failing, hint):
    async def test() -> None:
        async with world() as here:
            publish(here, theirs=theirs)
            answer, steps = await diagnose(here)
            assert not answer["passed"]
            assert steps[failing]["result"] == "fail"
            assert hint in steps[failing]["diagnosis"]
            assert steps["ping"]["result"] == "skip"

    run(test)


def test_our_own_name_leading_elsewhere_is_found_out():
    async def test() -> None:
        async with world() as here:
            port = here.partner.port
            publish(here, ours=[f"_xmpp-server._tcp 60 IN SRV 0 0 {port} other", "other 60 IN A 127.0.0.1"])
            _unused, steps = await diagnose(here)
            assert steps["own_srv"]["result"] == "fail"
            assert "another" in steps["own_srv"]["diagnosis"]

    run(test)


def test_another_edge_beside_this_one_is_no_fault():
    async def test() -> None:
        async with world() as here:
            both = enumerate((here.partner.port, here.address[1]))
            lines = [f"_xmpp-server._tcp 60 IN SRV {number} 0 {port} edge" for number, port in both]
            publish(here, ours=[*lines, "edge 60 IN A 127.0.0.1"])
            _unused, steps = await diagnose(here)
            assert steps["own_srv"]["result"] == "pass"

    run(test)


def test_our_own_name_not_published_is_found_out():
    async def test() -> None:
        async with world() as here:
            _unused, steps = await diagnose(here)
            assert steps["own_srv"]["result"] == "fail"
            assert f"_xmpp-server._tcp.{OURS}" in steps["own_srv"]["diagnosis"]

    run(test)


def test_an_own_address_out_of_reach_cannot_be_judged_from_here():
    async def test() -> None:
        async with world() as here:
            publish(here, ours=["_xmpp-server._tcp 60 IN SRV 0 0 1 edge", "edge 60 IN A 127.0.0.1"])
            answer, steps = await diagnose(here)
            assert steps["own_srv"]["result"] == "skip"
            assert "outside" in steps["own_srv"]["diagnosis"]
            assert answer["passed"]

    run(test)


def test_a_link_that_is_down_is_told_with_its_reason():
    async def test() -> None:
        async with world(change=lambda records: records.edge.update(inside={"port": 1})) as here:
            publish(here)
            _unused, steps = await diagnose(here)
            assert steps["inside_link"]["result"] == "fail"
            assert "cannot be reached" in steps["inside_link"]["diagnosis"]

    run(test)


def test_a_partner_that_does_not_answer_is_told_what_it_needs():
    async def test() -> None:
        async with world() as here:
            publish(here)
            here.partner.answers_pings = False
            answer, steps = await diagnose(here, timeout=2)
            assert steps["stream"]["result"] == "pass"
            assert steps["ping"]["result"] == "fail"
            assert not answer["passed"]

    run(test)


def test_a_refusing_partner_is_quoted():
    async def test() -> None:
        async with Listener() as listener, world() as here:
            publish(here, theirs=[f"_xmpp-server._tcp 60 IN SRV 0 0 {listener.port} x", "x 60 IN A 127.0.0.1"])

            async def refuse() -> None:
                await (await listener.accept()).close()
                peer = await listener.accept()
                await peer.until(rb"<stream:stream [^>]*>")
                await peer.send(
                    b"<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' id='1' version='1.0'>"
                    b"<stream:error><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
                    b"<text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>you are not on our list</text>"
                    b"</stream:error></stream:stream>"
                )

            refusing = asyncio.ensure_future(refuse())
            _unused, steps = await diagnose(here)
            await refusing
            assert steps["tcp"]["result"] == "pass"
            assert "you are not on our list" in steps["stream"]["diagnosis"]

    run(test)


def test_a_name_looked_up_badly_does_not_end_the_service():
    async def test() -> None:
        def nowhere(records: Records) -> None:
            records.edge["resolvers"] = ["127.0.0.1:1"]

        async with world(change=nowhere) as here:
            _unused, steps = await diagnose(here)
            assert "resolver" in steps["srv"]["diagnosis"]
            assert here.service.status()["resolver_error"]

    run(test)


def test_a_link_that_pauses_is_tried_again_because_somebody_asks():
    async def test() -> None:
        timing = replace(QUICK, first_retry=60, longest_link_retry=60)
        async with world(timing=timing) as here:
            publish(here)
            await here.inside.drop(THEIRS)
            await here.audit.wait("inside_link_down")
            _unused, steps = await diagnose(here)
            assert steps["inside_link"]["result"] == "pass"

    run(test)
