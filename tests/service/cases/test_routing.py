# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cases 19, 34 and 81 to 90: what a proven partner may send, to whom, and in whose name."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from net.harness import ALICE, BOB, CAROL, OURS, THEIRS, Records, error, eventually, run
from peers.initiator import Ability
from xmpp_edge.net.incoming import _new_id

from .raw import authenticated, ends_with, message
from .stage import PAPERS, STRICT, edge, open_to
from .test_dialback import proven, stage

DESK = f"{ALICE}/desk"


def test_case_019_stream_ids() -> None:
    made = [_new_id() for _unused in range(100_000)]
    assert len(set(made)) == len(made)
    assert all(re.fullmatch("[0-9a-f]{32}", text) for text in made), "128 bits from the system's generator"

    async def test() -> None:
        async with edge() as here:
            peer = await authenticated(here, PAPERS.theirs)
            ids = re.findall(rb"<stream:stream [^>]*?id='([^']+)'", peer.received)
            assert len(ids) == len(set(ids)) == 3, "each of the three headers on one connection has its own"

    run(test)


def test_case_034_one_stanza_too_large_costs_one_stream():
    def two(records: Records) -> None:
        records.partners.append({**records.partners[0], "domain": "other.example"})

    async def test() -> None:
        async with edge(STRICT, change=two, domains=(THEIRS, "other.example")) as here:
            peer = await authenticated(here, PAPERS.theirs)
            other = await open_to(
                here, Ability(tls=True, external=True, identity=PAPERS.ca.issue("other.example")), local="other.example"
            )
            await peer.send(message(BOB, ALICE, "large", f"<body>{'x' * 262_144}</body>"))
            text = await peer.until(rb"<stream:error><policy-violation .*<stanza-too-big xmlns='urn:xmpp:errors'/>")
            assert b"262144" in text[0]
            await peer.until_closed()
            await other.wire.send(message("ann@other.example", ALICE, "small").decode())
            assert (await here.inside.mailbox(ALICE).wait()).id == "small"

    run(test)


def test_case_034_the_largest_stanza_passes():
    async def test() -> None:
        async with edge(STRICT) as here:
            peer = await authenticated(here, PAPERS.theirs)
            empty = message(BOB, ALICE, "m", "<body></body>")
            await peer.send(message(BOB, ALICE, "m", f"<body>{'x' * (262_144 - len(empty))}</body>"))
            assert (await here.inside.mailbox(ALICE).wait()).id == "m"

    run(test)


SPOOFED = [
    (81, "another-domain", ("x@stranger.example", ALICE), "invalid-from"),
    (81, "a-subdomain", (f"x@a.{THEIRS}", ALICE), "invalid-from"),
    (81, "our-domain", (CAROL, ALICE), "invalid-from"),
    (81, "no-from", (None, ALICE), "improper-addressing"),
    (81, "no-address", ("x y@gmail.example", ALICE), "improper-addressing"),
    (82, "a-third-domain", (BOB, "x@third.example"), "host-unknown"),
    (82, "a-partner", (BOB, "x@other.example"), "host-unknown"),
    (83, "our-other-domain", (BOB, "x@branch.example"), "not-authorized"),
    (85, "a-homograph", ("x@gmаil.example", ALICE), "invalid-from"),
    (86, "a-control-character", (f"{BOB}/&#x85;", ALICE), "improper-addressing"),
    (86, "1024-bytes", (f"{BOB}/{'x' * 1024}", ALICE), "improper-addressing"),
]


@pytest.mark.parametrize(
    ("addresses", "condition"), [row[2:] for row in SPOOFED], ids=[f"case-{row[0]:03}-{row[1]}" for row in SPOOFED]
)
def test_a_partner_sends(addresses, condition):
    def change(records: Records) -> None:
        records.edge["domains"] = [OURS, "branch.example"]
        records.partners.append({**records.partners[0], "domain": "other.example"})

    async def test() -> None:
        async with edge(STRICT, change=change, domains=(THEIRS, "other.example")) as here:
            peer = await authenticated(here, PAPERS.theirs)
            sender, target = addresses
            text = message(sender or "", target).replace(b" from=''", b"")
            await peer.send(text)
            await ends_with(peer, condition)
            await eventually(lambda: here.service.streams() == [])
            assert here.inside.mailbox(ALICE).history == []
            assert here.dns.queries() == []

    run(test)


@pytest.mark.parametrize(
    "sender",
    ["bob@GMAIL.example", "bob@gmail．example", "ＢＯＢ@gmail.example", f"{BOB}/{'x' * 1023}"],
    ids=["case-085-capitals", "case-085-fullwidth-dot", "case-085-fullwidth-letters", "case-086-1023-bytes"],
)
def test_one_name_in_other_clothes_is_that_name(sender):
    async def test() -> None:
        async with edge(STRICT) as here:
            peer = await authenticated(here, PAPERS.theirs)
            await peer.send(message(sender, f"{ALICE.upper()}"))
            arrived = await here.inside.mailbox(ALICE).wait()
            assert arrived.sender.partition("/")[0] == BOB
            assert arrived.to == ALICE

    run(test)


def test_case_087_marks_in_our_name_do_not_come_in():
    forged = (
        f"<body>x</body><stanza-id xmlns='urn:xmpp:sid:0' by='ALICE@{OURS}' id='1'/>"
        f"<delay xmlns='urn:xmpp:delay' from='{OURS}' stamp='2020-01-01T00:00:00Z'/>"
        f"<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>"
        f"<message xmlns='jabber:client' from='{CAROL}' to='{ALICE}'><body>lie</body></message></forwarded></received>"
        f"<s:stanza-id xmlns:s='urn:xmpp:sid:0' by='{OURS}' id='3'/>"
        f"<stanza-id xmlns='urn:xmpp:sid:0' by='{THEIRS}' id='2'/>"
    )

    async def test() -> None:
        async with edge(STRICT) as here:
            peer = await authenticated(here, PAPERS.theirs)
            await peer.send(message(BOB, ALICE, "m", forged))
            arrived = ET.tostring((await here.inside.mailbox(ALICE).wait()).element).decode()
            assert "lie" not in arrived
            assert "urn:xmpp:delay" not in arrived
            assert re.findall(r'id="([^"]*)"', arrived) == ["m", "2"]

    run(test)


def test_case_088_errors_and_answers_make_no_echo():
    async def test() -> None:
        async with stage() as (here, server):
            peer = await proven(here, server)
            for kind in ("error", "result"):
                await peer.send(f"<iq type='{kind}' id='e' from='{BOB}' to='{CAROL}'/>".encode() * 50)
            await peer.send(f"<message type='error' id='e' from='{BOB}' to='{CAROL}'/>".encode() * 50)
            await eventually(lambda: here.service.audit.counters["refused_no_federation_access"] == 150)
            await peer.silence(0.1)
            assert not any("result*" in session.steps for session in server.sessions), "a stream to carry answers"
            assert here.service.audit.counters["dropped_in"] == 150

    run(test)


def test_case_088_questions_without_end_to_the_domain_go_to_the_server_that_is_asked():
    """The edge answers none of them itself, so a flood costs it no more than relaying does."""

    async def test() -> None:
        async with edge(STRICT) as here:
            peer = await authenticated(here, PAPERS.theirs)
            question = "<iq type='get' id='q{}' from='{}' to='{}'><query xmlns='urn:x'/></iq>"
            await peer.send("".join(question.format(number, BOB, OURS) for number in range(500)).encode())
            await eventually(lambda: here.service.audit.counters["in"] == 500)
            assert len(here.audit.events("passed", direction="in")) == 1

    run(test)


def test_case_089_bounces_of_errors_and_results():
    async def test() -> None:
        async with edge(STRICT, papers=PAPERS) as here:
            here.dns.behave("servfail")
            await here.inside.send(f"<iq type='result' id='r' from='{DESK}' to='{BOB}'/>")
            await here.inside.send(f"<message type='error' id='e' from='{DESK}' to='{BOB}'/>")
            await here.inside.send_message(DESK, BOB, "x", id_="m")
            bounce = await here.inside.mailbox(ALICE).wait()
            assert (bounce.id, error(bounce)[0]) == ("m", "wait")
            assert len(here.inside.mailbox(ALICE).history) == 1

    run(test)
