# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`xmpp-edge test`: each step says what is and what to do."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from OpenSSL import SSL
from peers.authority import Authority, self_signed
from peers.raw import Listener
from peers.scripted import Offer, Scripted
from peers.tls import Options

from .harness import OURS, PLAIN, QUICK, THEIRS, TLS, TLS_OR_DIALBACK, Records, World, run, world, zones

BEFORE = ["federation", "partner", "srv", "tcp", "own_srv", "inside_link"]
STEPS = [*BEFORE, "tls", "certificate", "method", "stream", "ping"]


class Authorities:
    """One for us and one for the partner, made once: keys take time."""

    ours = Authority("Our CA")
    theirs = Authority("Their CA")
    identity = ours.issue(OURS)
    partner = theirs.issue(THEIRS)


def publish(here: World, ours: list[str] | None = None, theirs: list[str] | None = None) -> None:
    """DNS as a partner would see it, with our own SRV record."""
    found = zones(gmail=here.partner.port)
    if theirs is not None:
        found[THEIRS] = theirs
    port = here.address[1]
    found[OURS] = ours or [f"_xmpp-server._tcp 60 IN SRV 0 0 {port} edge", "edge 60 IN A 127.0.0.1"]
    here.publish(found)


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
            skipped = [step["step"] for step in answer["steps"] if step["result"] != "pass"]
            assert skipped == ["tls", "certificate"], answer
            assert "not_supported" in steps["tls"]["diagnosis"]
            assert "dialback without TLS" in steps["method"]["diagnosis"]
            assert here.partner.noted("pinged")

    run(test)


def test_an_unknown_partner_is_not_touched():
    async def test() -> None:
        async with world() as here:
            publish(here)
            _unused, steps = await diagnose(here, "stranger.example")
            assert steps["partner"]["result"] == "fail"
            assert "partners" in steps["partner"]["diagnosis"]
            assert {steps[name]["result"] for name in ("srv", "tcp", *STEPS[5:])} == {"skip"}
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


def test_a_name_of_ours_that_leads_to_direct_tls_as_well_is_no_fault():
    def secured(records: Records) -> None:
        records.certify(Authorities.identity, Authorities.theirs, **PLAIN)
        records.partners[0].pop("ca_file")
        records.edge["direct_tls_port"] = 5270

    async def test() -> None:
        async with world(change=secured) as here:
            lines = [
                f"_xmpps-server._tcp 60 IN SRV 0 0 {here.direct_address[1]} edge",
                f"_xmpp-server._tcp 60 IN SRV 5 0 {here.address[1]} edge",
            ]
            for published in (lines, lines[:1]):
                publish(here, ours=[*published, "edge 60 IN A 127.0.0.1"])
                _unused, steps = await diagnose(here)
                assert steps["own_srv"]["result"] == "pass", steps["own_srv"]

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
                    b"<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' id='1'"
                    b" version='1.0'>"
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


# With TLS


async def examine(offer: Offer, record: dict[str, Any], **server: Any) -> dict[str, Any]:
    """The steps about the stream, of an edge before a server that does what is said."""
    identity = server.pop("identity", Authorities.partner)

    def secured(records: Records) -> None:
        records.certify(Authorities.identity, Authorities.theirs, **record)

    async with Scripted(THEIRS, offer=offer, identity=identity, **server) as scripted, world(change=secured) as here:
        service = "_xmpps-server" if offer.direct else "_xmpp-server"
        publish(here, theirs=[f"{service}._tcp 60 IN SRV 0 0 {scripted.port} x", "x 60 IN A 127.0.0.1"])
        _unused, steps = await diagnose(here, timeout=2)
        return steps


def results(steps: dict[str, Any]) -> list[str]:
    return [steps[name]["result"] for name in ("tls", "certificate", "method", "stream")]


FULL = Offer(starttls="optional", external="secure", dialback="all")
OPTIONAL = {"tls": "optional", "sasl": "optional", "dialback": True}


@pytest.mark.parametrize("direct", [False, True])
def test_a_stream_through_tls_is_told_in_its_parts(direct):
    async def test() -> None:
        offer = replace(FULL, direct=direct, bidi=True)
        options = {"options": Options(alpn=(b"xmpp-server",))} if direct else {}
        steps = await examine(offer, TLS, **options)
        assert results(steps) == ["pass"] * 4, steps
        assert "TLSv1.3 with TLS_" in steps["tls"]["diagnosis"]
        assert ("from the first byte" in steps["tls"]["diagnosis"]) == direct
        assert f"It proves {THEIRS}. It names {THEIRS}, was issued by CN=Their CA" in steps["certificate"]["diagnosis"]
        assert "SASL EXTERNAL" in steps["method"]["diagnosis"]
        assert "both ways" in steps["method"]["diagnosis"]

    run(test)


def test_a_certificate_of_another_ca_is_told_with_its_remedy():
    async def test() -> None:
        stranger = Authority("Some CA").issue(THEIRS)
        steps = await examine(FULL, TLS, identity=stranger)
        assert results(steps) == ["pass", "fail", "fail", "fail"], steps
        assert "Some CA" in steps["certificate"]["diagnosis"]
        assert "ca_file" in steps["certificate"]["diagnosis"]
        for name in ("method", "stream"):
            assert "not trusted (wrong_ca): see the step certificate" in steps[name]["diagnosis"]
            assert "Some CA" not in steps[name]["diagnosis"]

    run(test)


def test_a_fault_of_ours_is_not_called_theirs():
    async def test() -> None:
        steps = await examine(FULL, {**TLS, "ca_file": "/nowhere/ca.pem"})
        text = steps["certificate"]["diagnosis"]
        assert steps["certificate"]["result"] == "fail"
        assert "repair it here: put the file where ca_file names it" in text
        assert "administrator" not in text

    run(test)


def test_where_dialback_may_prove_it_an_untrusted_certificate_is_no_fault():
    async def test() -> None:
        steps = await examine(FULL, TLS_OR_DIALBACK, identity=self_signed(THEIRS))
        assert results(steps) == ["pass"] * 4, steps
        assert "does not prove" in steps["certificate"]["diagnosis"]
        assert "dialback over TLS" in steps["method"]["diagnosis"]

    run(test)


def test_a_certificate_for_another_name_is_quoted():
    async def test() -> None:
        steps = await examine(FULL, TLS, identity=Authorities.theirs.issue("other.example"))
        assert "other.example" in steps["certificate"]["diagnosis"]
        assert steps["certificate"]["result"] == "fail"

    run(test)


@pytest.mark.parametrize(
    ("offer", "hint"),
    [(replace(FULL, on_starttls="failure"), "fails to begin"), (Offer(dialback="all"), "offers no TLS")],
)
def test_tls_that_does_not_come_about_is_told_as_such(offer, hint):
    async def test() -> None:
        steps = await examine(offer, TLS)
        assert results(steps) == ["fail", "skip", "skip", "fail"], steps
        assert hint in steps["tls"]["diagnosis"]

    run(test)


def test_a_handshake_that_fails_is_told_with_its_reason():
    async def test() -> None:
        old = Options(lowest=SSL.TLS1_VERSION, highest=SSL.TLS1_1_VERSION, ciphers=b"ALL:@SECLEVEL=0")
        steps = await examine(FULL, TLS, options=old)
        assert results(steps) == ["fail", "skip", "skip", "fail"], steps
        assert "TLS failed" in steps["tls"]["diagnosis"]

    run(test)


@pytest.mark.parametrize(
    ("offer", "expected", "hint"),
    [
        (
            replace(FULL, external="", on_result="silence"),
            ["pass", "pass", "skip", "fail"],
            "has not answered our dialback key",
        ),
        (
            replace(FULL, starttls="required", on_starttls="silence"),
            ["skip", "skip", "skip", "fail"],
            "has not answered <starttls/>",
        ),
    ],
    ids=["dialback", "starttls"],
)
def test_a_stream_that_is_still_waited_for_is_told_as_far_as_it_has_come(offer, expected, hint):
    async def test() -> None:
        steps = await examine(offer, TLS_OR_DIALBACK)
        assert results(steps) == expected, steps
        assert hint in steps["stream"]["diagnosis"]
        if expected[0] == "pass":
            assert "TLSv1.3" in steps["tls"]["diagnosis"]
            assert f"TLS is up, and {THEIRS} {hint}" in steps["stream"]["diagnosis"]
            assert "refusals of it in the audit" in steps["stream"]["diagnosis"]

    run(test)


def test_a_handshake_that_is_still_waited_for_is_told_as_such():
    def secured(records: Records) -> None:
        records.certify(Authorities.identity, Authorities.theirs, **TLS)

    async def test() -> None:
        async with Listener() as listener, world(change=secured) as here:
            publish(here, theirs=[f"_xmpps-server._tcp 60 IN SRV 0 0 {listener.port} x", "x 60 IN A 127.0.0.1"])
            _unused, steps = await diagnose(here, timeout=2)
            assert results(steps) == ["fail", "skip", "skip", "fail"], steps
            assert f"{THEIRS} has not finished the TLS handshake" in steps["tls"]["diagnosis"]

    run(test)


def test_a_plain_stream_that_the_record_allows_is_said_to_be_plain():
    async def test() -> None:
        steps = await examine(replace(FULL, starttls=""), OPTIONAL)
        assert results(steps) == ["pass", "skip", "pass", "pass"], steps
        assert "the stream is plain" in steps["tls"]["diagnosis"]

    run(test)


def test_a_refused_proof_is_told_under_method():
    async def test() -> None:
        steps = await examine(replace(FULL, on_auth="failure"), TLS)
        assert results(steps) == ["pass", "pass", "fail", "fail"], steps
        assert "not-authorized" in steps["method"]["diagnosis"]

    run(test)
