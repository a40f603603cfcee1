# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All 18 records before each kind of peer, both ways: the method, or the refusal, exactly."""

from __future__ import annotations

from dataclasses import replace

import pytest
from net.harness import ALICE, BOB, OURS, THEIRS, Records, error, run
from peers.initiator import Ability, initiate
from peers.scripted import Offer, Scripted
from xmpp_edge.records import partner
from xmpp_edge.records.errors import RecordError

from .matrix import INBOUND_PEERS, METHODS, OUTBOUND_PEERS, ROWS, Row
from .stage import PAPERS, edge, open_to, record

VALID = [row for row in ROWS if row.inbound is not None]
ABILITIES = {
    "everything": Ability(tls=True, external=True, dialback=True, identity=PAPERS.theirs),
    "untrusted": Ability(tls=True, external=True, dialback=True, identity=PAPERS.forged),
    "nothing": Ability(),
    "tls": Ability(tls=True, identity=PAPERS.theirs, insists=True),
    "external": Ability(external=True, insists=True),
    "dialback": Ability(dialback=True, insists=True),
    "tls+external": Ability(tls=True, external=True, identity=PAPERS.theirs, insists=True),
    "tls+dialback": Ability(tls=True, dialback=True),
}
OFFERS = {
    "everything": Offer(starttls="optional", external="secure", dialback="all", bidi=True, acks=True, max_bytes=99_999),
    "untrusted": Offer(starttls="optional", external="secure", dialback="all", bidi=True),
    "nothing": Offer(),
    "tls": Offer(starttls="optional"),
    "external": Offer(external="plain"),
    "dialback": Offer(dialback="all"),
    "tls+external": Offer(starttls="optional", external="secure"),
    "tls+dialback": Offer(starttls="optional", dialback="all"),
    "tls!+dialback": Offer(starttls="required", dialback="secure"),
}


def test_there_are_18_rows_and_each_stands_once() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS) == 18
    assert all(len(row.inbound or INBOUND_PEERS) == len(INBOUND_PEERS) for row in ROWS)
    assert all(len(row.outbound or OUTBOUND_PEERS) == len(OUTBOUND_PEERS) for row in ROWS)


@pytest.mark.parametrize("row", [row for row in ROWS if row.inbound is None], ids=lambda row: row.name)
def test_a_record_that_cannot_work_is_none(row: Row) -> None:
    with pytest.raises(RecordError) as refused:
        partner.normalise(record(row.record))
    assert "set " in str(refused.value)


@pytest.mark.parametrize("peer", INBOUND_PEERS)
@pytest.mark.parametrize("row", VALID, ids=lambda row: row.name)
def test_inbound(row: Row, peer: str) -> None:
    expected = (row.inbound or ())[INBOUND_PEERS.index(peer)]

    async def test() -> None:
        # The server that answers our questions about keys is an honest one, whoever asks.
        honest = Offer(starttls="optional", external="secure", dialback="all")
        async with (
            edge(row.record) as here,
            Scripted(THEIRS, offer=honest, identity=PAPERS.theirs) as authoritative,
        ):
            here.lead_to(authoritative.port)
            opened = await open_to(here, ABILITIES[peer])
            if expected not in METHODS:
                assert (opened.method, opened.refusal) == ("", expected), opened.text
                assert opened.text or opened.refusal == "starttls failure", "an administrator cannot act on silence"
                assert not here.audit.events("authenticated")
                return
            assert (opened.method, opened.refusal) == (expected, ""), opened.text
            line = await here.audit.wait("authenticated", direction="in", remote=THEIRS)
            assert facts(line) == (
                expected,
                expected != "tcp_dialback",
                ABILITIES[peer].identity is PAPERS.theirs and expected != "tcp_dialback",
            )
            assert len(here.audit.events("authenticated")) == 1
            await opened.wire.send(f"<message from='{BOB}' to='{ALICE}' id='m'/>")
            assert (await here.inside.mailbox(ALICE).wait()).id == "m"
            # A question about a key is asked as safely as the record demands.
            verified = [step for session in authoritative.sessions for step in session.steps if "verify" in step]
            assert verified == ([] if expected == "sasl_tls" else ["verify"] if row.tls != "N" else ["verify*"])

    run(test)


@pytest.mark.parametrize("peer", OUTBOUND_PEERS)
@pytest.mark.parametrize("row", VALID, ids=lambda row: row.name)
def test_outbound(row: Row, peer: str) -> None:
    expected = (row.outbound or ())[OUTBOUND_PEERS.index(peer)]
    papers = PAPERS.forged if peer == "untrusted" else PAPERS.theirs

    async def test() -> None:
        async with edge(row.record) as here, Scripted(THEIRS, offer=OFFERS[peer], identity=papers) as server:
            here.lead_to(server.port)
            await here.inside.send_message(f"{ALICE}/desk", BOB, "x", id_="m")
            if expected in METHODS:
                line = await here.audit.wait("authenticated", direction="out", remote=THEIRS)
                assert facts(line) == (
                    expected,
                    expected != "tcp_dialback",
                    papers is PAPERS.theirs and expected != "tcp_dialback",
                )
                session = server.sessions[-1]
                await session.until("message m*" if expected == "tcp_dialback" else "message m")
                assert session.proven == expected
                assert here.inside.mailbox(ALICE).history == []
                return
            bounce = await here.to_alice("m")
            condition, text = await told(server)
            assert f"{condition}/{error(bounce)[1]}" == expected, (text, bounce.text, steps(server))
            assert bounce.text
            assert not here.audit.events("authenticated")
            assert not any("message" in step for step in steps(server))

    run(test)


# TLS from the first byte is TLS: the cells of the peers that have it, and one more refusal.
DIRECT_PEERS = ("everything", "untrusted", "tls", "tls+external", "tls+dialback")


@pytest.mark.parametrize("peer", DIRECT_PEERS)
@pytest.mark.parametrize("row", VALID, ids=lambda row: row.name)
def test_inbound_direct(row: Row, peer: str) -> None:
    ability = replace(ABILITIES[peer], direct=True, tls=False)
    expected = (row.inbound or ())[INBOUND_PEERS.index(peer)]
    if row.tls == "N":
        expected = "policy-violation"

    async def test() -> None:
        honest = Offer(starttls="optional", external="secure", dialback="all")
        async with (
            edge(row.record, change=direct_port) as here,
            Scripted(THEIRS, offer=honest, identity=PAPERS.theirs) as authoritative,
        ):
            here.lead_to(authoritative.port)
            opened = await initiate(here.direct_address, THEIRS, OURS, ability)
            assert opened.method or opened.refusal == expected, (opened.refusal, opened.text)
            assert opened.method == (expected if expected in METHODS else "")
            if opened.method:
                line = await here.audit.wait("authenticated", direction="in", remote=THEIRS)
                assert facts(line) == (expected, True, ABILITIES[peer].identity is PAPERS.theirs)

    run(test)


def direct_port(records: Records) -> None:
    records.edge["direct_tls_port"] = 5270


@pytest.mark.parametrize("peer", ["everything", "untrusted", "tls", "tls+external", "tls+dialback"])
@pytest.mark.parametrize("row", VALID, ids=lambda row: row.name)
def test_outbound_direct(row: Row, peer: str) -> None:
    expected = (row.outbound or ())[OUTBOUND_PEERS.index(peer)]
    papers = PAPERS.forged if peer == "untrusted" else PAPERS.theirs
    offer = replace(OFFERS[peer], direct=True, starttls="")

    async def test() -> None:
        async with edge(row.record) as here, Scripted(THEIRS, offer=offer, identity=papers) as server:
            here.lead_to(server.port, direct=True)
            await here.inside.send_message(f"{ALICE}/desk", BOB, "x", id_="m")
            if row.tls != "N" and expected in METHODS:
                line = await here.audit.wait("authenticated", direction="out", remote=THEIRS)
                assert facts(line) == (expected, True, papers is PAPERS.theirs)
                await server.sessions[-1].until("message m")
                return
            bounce = await here.to_alice("m")
            if row.tls == "N":
                # There is no way to this server without TLS, and the record knows none with it.
                assert (error(bounce)[1], server.sessions) == ("remote-server-not-found", [])
                return
            condition, text = await told(server)
            assert f"{condition}/{error(bounce)[1]}" == expected, (text, bounce.text, steps(server))

    run(test)


def facts(line: dict) -> tuple[str, bool, bool]:
    return line["method"], line["encrypted"], line["trusted"]


def steps(server: Scripted) -> list[str]:
    return [step for session in server.sessions for step in session.steps]


async def told(server: Scripted) -> tuple[str, str]:
    """The stream error with which the edge left, of the last attempt."""
    session = server.sessions[-1]
    await session.until("over")
    return session.error or ("closed", "")
