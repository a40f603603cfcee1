# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What else a server can offer, each part alone: the edge takes what is of use to it; and what it offers itself."""

from __future__ import annotations

from dataclasses import replace

import pytest
from net.harness import ALICE, BOB, OURS, THEIRS, error, run
from peers.initiator import Ability
from peers.scripted import Offer, Scripted
from peers.tls import ALPN

from .stage import EITHER, LAX, OLD, PAPERS, STRICT, edge, open_to, trusted

DESK = f"{ALICE}/desk"
EXTERNAL = Offer(starttls="required", external="secure")
PROVEN = ["header*", "starttls*", "tls", "header", "auth", "header"]


@pytest.mark.parametrize(
    ("part", "steps"),
    [
        ({}, PROVEN),
        ({"bidi": True}, [*PROVEN[:4], "bidi", *PROVEN[4:]]),
        ({"acks": True}, [*PROVEN, "enable"]),
        ({"max_bytes": 50_000}, PROVEN),
        ({"dialback": "all", "errors": False}, PROVEN),
        ({"starttls": "optional"}, PROVEN),
        (
            {"bidi": True, "acks": True, "max_bytes": 50_000, "dialback": "all"},
            [*PROVEN[:4], "bidi", *PROVEN[4:], "enable"],
        ),
    ],
    ids=["nothing-more", "bidi", "acks", "limits", "dialback", "tls-optional", "everything"],
)
def test_a_server_that_takes_external_also_offers(part, steps):
    async def test() -> None:
        offer = replace(EXTERNAL, **part)
        async with edge(STRICT) as here, Scripted(THEIRS, offer=offer, identity=PAPERS.theirs) as server:
            here.lead_to(server.port)
            await here.inside.send_message(DESK, BOB, "x", id_="m")
            session = await server.session()
            await session.until("message m")
            assert session.steps[: session.steps.index("message")] == steps
            assert session.authzid in ("", OURS)
            assert session.tls is not None
            assert (session.tls.sni, session.tls.version) == (THEIRS, "TLSv1.3")
            assert session.tls.peer_chain[0] == PAPERS.ours.certificate

    run(test)


def test_bidi_is_not_asked_of_a_server_that_has_not_proven_itself():
    """Dialback proves us to them, and nothing of them to us: what came on such a stream could be from anybody."""

    async def test() -> None:
        offer = Offer(starttls="required", dialback="all", bidi=True)
        async with edge(EITHER) as here, Scripted(THEIRS, offer=offer, identity=PAPERS.forged) as server:
            here.lead_to(server.port)
            await here.inside.send_message(DESK, BOB, "x", id_="m")
            session = await server.session()
            await session.until("message m")
            assert "bidi" not in session.steps
            await session.wire.send(f"<message from='{BOB}' to='{ALICE}' id='in'/>")
            await session.until("error")
            assert session.error is not None
            assert session.error[0] == "not-authorized"
            assert here.inside.mailbox(ALICE).history == []

    run(test)


def test_a_stanza_over_their_limit_goes_back_and_the_stream_lives():
    async def test() -> None:
        offer = replace(EXTERNAL, max_bytes=20_000)
        async with edge(STRICT) as here, Scripted(THEIRS, offer=offer, identity=PAPERS.theirs) as server:
            here.lead_to(server.port)
            await here.inside.send_message(DESK, BOB, "small", id_="first")
            session = await server.session()
            await session.until("message first")
            await here.inside.send_message(DESK, BOB, "x" * 20_000, id_="large")
            bounce = await here.inside.mailbox(ALICE).wait()
            assert (bounce.id, error(bounce)) == ("large", ("modify", "policy-violation"))
            await here.inside.send_message(DESK, BOB, "small", id_="last")
            await session.until("message last")
            assert len(server.sessions) == 1
            assert "message large" not in session.steps

    run(test)


def test_what_is_not_acknowledged_when_the_stream_breaks_goes_back_once():
    class Deaf(Scripted):
        """Takes acknowledgements into use and never gives one."""

        async def _take(self, session, element):
            if element.tag.endswith("}r"):
                await session.add("r")
                return True
            return await super()._take(session, element)

    async def test() -> None:
        offer = replace(EXTERNAL, acks=True)
        async with edge(STRICT) as here, Deaf(THEIRS, offer=offer, identity=PAPERS.theirs) as server:
            here.lead_to(server.port)
            for number in range(3):
                await here.inside.send_message(DESK, BOB, "x", id_=f"n{number}")
            session = await server.session()
            await session.until("message n2")
            session.wire.abort()
            for number in range(3):
                bounce = await here.inside.mailbox(ALICE).wait(lambda stanza, n=number: stanza.id == f"n{n}")
                assert error(bounce) == ("wait", "remote-server-timeout")
            assert len(here.inside.mailbox(ALICE).history) == 3
            assert len(server.sessions) == 1

    run(test)


@pytest.mark.parametrize("offer", [replace(EXTERNAL, starttls=""), Offer(dialback="all")], ids=["external", "dialback"])
def test_direct_tls_to_a_server(offer):
    async def test() -> None:
        direct = replace(offer, direct=True)
        async with edge(EITHER) as here, Scripted(THEIRS, offer=direct, identity=PAPERS.theirs) as server:
            here.lead_to(server.port, direct=True)
            await here.inside.send_message(DESK, BOB, "x", id_="m")
            session = await server.session()
            await session.until("message m")
            assert session.steps[:2] == ["tls", "header"]
            assert session.tls is not None
            assert (session.tls.sni, session.tls.alpn) == (THEIRS, ALPN)

    run(test)


@pytest.mark.parametrize(
    ("negotiation", "offers"),
    [
        (STRICT, ["required starttls", "EXTERNAL bidi limits", "limits sm"]),
        (EITHER, ["required starttls", "EXTERNAL bidi dialback limits", "dialback limits sm"]),
        (LAX, ["dialback limits starttls", "EXTERNAL bidi dialback limits", "dialback limits sm"]),
        (OLD, ["dialback limits"]),
    ],
    ids=["strict", "either", "lax", "old"],
)
def test_the_edge_offers_what_the_record_leaves_and_no_more(negotiation, offers):
    async def test() -> None:
        async with (
            edge(negotiation) as here,
            Scripted(THEIRS, offer=Offer(dialback="all"), identity=PAPERS.theirs) as server,
        ):
            here.lead_to(server.port)
            opened = await open_to(here, trusted())
            assert opened.method == ("tcp_dialback" if negotiation is OLD else "sasl_tls")
            assert opened.offers == offers

    run(test)


def test_without_a_certificate_there_is_no_tls_and_the_partner_is_told():
    async def test() -> None:
        async with edge(STRICT, papers=None) as here:
            opened = await open_to(here, trusted())
            assert (opened.method, opened.refusal) == ("", "policy-violation")
            assert "certificate" in opened.text
        async with edge(LAX, papers=None) as here, Scripted(THEIRS, offer=Offer(dialback="all")) as server:
            here.lead_to(server.port)
            assert (await open_to(here, Ability(tls=True, dialback=True))).method == "tcp_dialback"

    run(test)
