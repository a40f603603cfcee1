# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cases 68 to 80: proof by Server Dialback, on real connections, with a partner whose record has nothing else."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
from net.harness import ALICE, BOB, OURS, THEIRS, Records, World, eventually, free_port, run
from peers.initiator import Ability
from peers.partner import dialback_key
from peers.raw import Listener, RawPeer
from peers.scripted import Offer, Scripted

from .raw import begin, header, message, opened, result, secured
from .stage import EITHER, OLD, PAPERS, STRICT, edge, open_to

DESK = f"{ALICE}/desk"
HONEST = Offer(dialback="all")
VALID = f"<db:result from='{THEIRS}' to='{OURS}' type='valid'/>".encode()


@asynccontextmanager
async def stage(offer: Offer = HONEST, negotiation: dict | None = None, **how):
    async with edge(negotiation or OLD, **how) as here, Scripted(THEIRS, offer=offer, identity=PAPERS.theirs) as server:
        here.lead_to(server.port)
        yield here, server


async def proven(here: World, server: Scripted) -> RawPeer:
    """A raw stream on which the partner is proven."""
    peer = await opened(here)
    await peer.send(result(dialback_key(server.secret, OURS, THEIRS, peer.id)))
    await peer.until(rb"<db:result [^>]*type='valid'")
    return peer


def answer(condition: str) -> bytes:
    return rb"<db:result [^>]*type='error'[^>]*><error [^>]*><" + condition.encode() + rb" "


def test_case_068_a_result_nobody_asked_for_lets_nobody_in():
    async def test() -> None:
        async with stage() as (here, server):
            peer = await opened(here)
            await peer.send(VALID + message(BOB, ALICE))
            await peer.until(rb"<not-authorized ")
            await here.audit.wait("refused", reason="dialback_unsolicited")
            assert here.inside.mailbox(ALICE).history == []
            assert server.sessions == []

    run(test)


def test_case_068_a_result_for_another_pair_lets_nothing_out():
    offer = Offer(dialback="all", on_result="silence")

    async def test() -> None:
        async with stage(offer) as (here, server):
            await here.inside.send_message(DESK, BOB, "x", id_="m")
            session = await server.session()
            await session.until("result*")
            for pair in ((THEIRS, "branch.example"), ("other.example", OURS)):
                await session.wire.send(f"<db:result from='{pair[0]}' to='{pair[1]}' type='valid'/>")
            await here.audit.wait("refused", reason="dialback_unsolicited")
            assert "message m*" not in session.steps
            await session.wire.send(VALID)
            await session.until("message m*")

    run(test)


def test_case_069_an_answer_to_another_question_lets_nobody_in():
    offer = Offer(dialback="all", on_verify="silence")

    async def test() -> None:
        async with stage(offer) as (here, server):
            peer = await opened(here)
            await peer.send(result())
            session = await server.session()
            await session.until("verify*")
            for sender, target, id_ in (
                (THEIRS, OURS, "other"),
                (THEIRS, "branch.example", peer.id),
                ("other.example", OURS, peer.id),
            ):
                await session.wire.send(f"<db:verify from='{sender}' to='{target}' id='{id_}' type='valid'/>")
            await peer.silence()
            assert not here.audit.events("authenticated")
            await session.wire.send(f"<db:verify from='{THEIRS}' to='{OURS}' id='{peer.id}' type='valid'/>")
            await peer.until(rb"<db:result [^>]*type='valid'")

    run(test)


def test_case_069_an_answer_after_its_time_lets_nobody_in():
    offer = Offer(dialback="all", on_verify="silence")

    def soon(records: Records) -> None:
        records.edge["stream_establishment_timeout"] = 1

    async def test() -> None:
        async with stage(offer, change=soon) as (here, server):
            peer = await opened(here)
            await peer.send(result())
            session = await server.session()
            await session.until("verify*")
            await peer.until(rb"<remote-server-timeout |<connection-timeout ")
            await session.wire.send(f"<db:verify from='{THEIRS}' to='{OURS}' id='{peer.id}' type='valid'/>")
            await peer.until_closed()
            assert not here.audit.events("authenticated")

    run(test)


def test_case_070_a_key_from_another_stream():
    async def test() -> None:
        async with stage() as (here, server):
            first, second = await opened(here), await opened(here)
            await second.send(result(dialback_key(server.secret, OURS, THEIRS, first.id)))
            await second.until(rb"<db:result [^>]*type='invalid'[^>]*/></stream:stream>")
            await second.send(b"</stream:stream>")
            await second.until_closed()
            await here.audit.wait("refused", reason="dialback_invalid")

    run(test)


def test_case_071_two_senders_on_one_stream():
    def two(records: Records) -> None:
        records.partners[0]["additional_domains"] = ["labs.gmail.example"]

    async def test() -> None:
        async with stage(change=two) as (here, server):
            lines = [f"_xmpp-server._tcp 60 IN SRV 0 0 {server.port} xmpp", "xmpp 60 IN A 127.0.0.1"]
            here.publish({THEIRS: lines, "labs.gmail.example": lines})
            peer = await proven(here, server)
            await peer.send(message("x@labs.gmail.example", ALICE))
            # Proven is one of the two, and for itself only.
            await peer.until(rb"<invalid-from ")
            both = await proven(here, server)
            key = dialback_key(server.secret, OURS, "labs.gmail.example", both.id)
            await both.send(result(key, "labs.gmail.example"))
            await both.until(rb"<db:result [^>]*type='valid'")
            await both.send(message("x@labs.gmail.example", ALICE, "second") + message(BOB, ALICE, "first"))
            await here.to_alice("first")

    run(test)


def test_case_072_a_sender_that_is_nobody_costs_no_lookup():
    async def test() -> None:
        async with stage() as (here, server):
            peer = await opened(here)
            await peer.send(result(sender="stranger.example"))
            await peer.until(answer("policy-violation"))
            assert here.dns.queries() == []
            assert server.sessions == []
            unnamed = await RawPeer.connect(here.address)
            await begin(unnamed, None)
            await unnamed.send(result(sender="stranger.example"))
            await unnamed.until(rb"<stream:error><policy-violation ")
            assert here.dns.queries() == []

    run(test)


def test_case_073_a_target_that_is_not_ours():
    async def test() -> None:
        async with stage() as (here, server):
            peer = await opened(here)
            await peer.send(result(target="elsewhere.example"))
            await peer.until(answer("item-not-found"))
            await peer.send(result(dialback_key(server.secret, OURS, THEIRS, peer.id)))
            await peer.until(rb"<db:result [^>]*type='valid'")

    run(test)


@pytest.mark.parametrize(
    ("offer", "condition"),
    [
        (Offer(dialback="all", on_verify="error"), "remote-connection-failed"),
        (None, "remote-connection-failed"),
        ("nowhere", "remote-server-not-found"),
    ],
    ids=["error", "unreachable", "no-service"],
)
def test_case_074_the_authoritative_server_cannot_be_asked(offer, condition):
    async def test() -> None:
        async with stage(offer if isinstance(offer, Offer) else HONEST) as (here, _server):
            if offer is None:
                here.lead_to(free_port())
            elif offer == "nowhere":
                here.publish({THEIRS: ["_xmpp-server._tcp 60 IN SRV 0 0 5269 ."]})
            peer = await opened(here)
            await peer.send(result())
            await peer.until(answer(condition))
            # An error is not fatal (XEP-0220, 2.4): the stream is there for another attempt.
            await peer.silence(0.1)

    run(test)


def test_case_074_the_authoritative_server_hangs_up():
    async def test() -> None:
        async with stage(Offer(dialback="all", on_verify="silence")) as (here, server):
            peer = await opened(here)
            await peer.send(result())
            session = await server.session()
            await session.until("verify*")
            session.wire.abort()
            await peer.until(answer("remote-connection-failed"))

    run(test)


def test_case_075_dialback_where_the_record_wants_more():
    async def test() -> None:
        async with stage(negotiation=STRICT) as (here, server):
            peer = await secured(here, PAPERS.theirs)
            await peer.send(result())
            await peer.until(answer("not-authorized"))
            assert here.dns.queries() == []
            assert server.sessions == []

    run(test)


def test_case_075_dialback_with_tls_only():
    async def test() -> None:
        offer = Offer(starttls="optional", dialback="all")
        async with stage(offer, negotiation=EITHER) as (here, server):
            refused = await open_to(here, Ability(dialback=True, insists=True))
            assert refused.refusal == "dialback policy-violation"
            assert server.sessions == []
            taken = await open_to(here, Ability(tls=True, dialback=True))
            assert taken.method == "tls_dialback", taken.refusal

    run(test)


def test_case_076_a_key_with_a_type_is_no_proof():
    async def test() -> None:
        async with stage() as (here, server):
            peer = await opened(here)
            await peer.send(result(dialback_key(server.secret, OURS, THEIRS, peer.id), more=" type='valid'"))
            await here.audit.wait("refused", reason="dialback_unsolicited")
            assert server.sessions == []

    run(test)


def test_case_077_a_thousand_requests_at_once():
    names = [f"d{number}.example" for number in range(1000)]

    def many(records: Records) -> None:
        records.partners[0]["additional_domains"] = names

    async def test() -> None:
        async with stage(Offer(dialback="all", on_verify="silence"), change=many) as (here, server):
            peer = await opened(here)
            await peer.send(b"".join(result(sender=name) for name in names))
            await peer.until(answer("resource-constraint"))
            await peer.until(rb"<stream:error><policy-violation ")
            await peer.until_closed()
            assert len(server.sessions) <= 10
            assert len({query.name for query in here.dns.queries()}) <= 40

    run(test)


def test_case_078_a_name_that_leads_back_to_us():
    async def test() -> None:
        async with edge(OLD) as here:
            here.lead_to(here.address[1])
            peer = await opened(here)
            await peer.send(result())
            await peer.until(answer("remote-server-not-found"))
            await here.audit.wait("refused", reason="address_refused", remote=THEIRS)
            assert here.service.audit.counters["connections_in"] == 1

    run(test)


def test_case_078_a_name_that_leads_to_the_inside_server():
    async def test() -> None:
        async with edge(OLD) as here:
            here.lead_to(here.inside.port)
            links = len(here.inside._wires)
            await here.inside.send_message(DESK, BOB, "x", id_="m")
            bounce = await here.inside.mailbox(ALICE).wait()
            assert bounce.condition == "remote-server-not-found"
            await here.audit.wait("refused", reason="address_refused", remote=THEIRS)
            assert len(here.inside._wires) == links

    run(test)


def test_case_079_invalid_ends_the_first_pair_and_not_a_later_one():
    def two(records: Records) -> None:
        records.edge["domains"] = [OURS, "branch.example"]

    async def test() -> None:
        async with stage(change=two) as (here, server):
            peer = await proven(here, server)
            await peer.send(result("not a key", target="branch.example"))
            await peer.until(answer("forbidden"))
            await peer.send(message(BOB, ALICE, "still"))
            await here.to_alice("still")
            other = await opened(here)
            await other.send(result("not a key"))
            await other.until(rb"<db:result [^>]*type='invalid'[^>]*/></stream:stream>")
            await other.send(b"</stream:stream>")
            await other.until_closed()

    run(test)


def test_case_080_the_border_between_domain_and_stream_id():
    async def test() -> None:
        async with stage() as (here, _server):
            # What the edge would make for a stream of this id, had it sent the key there.
            peer = await opened(here)
            key = dialback_key(here.records.secrets["dialback_secret"], THEIRS, OURS, "one two")
            question = f"<db:verify from='{THEIRS}' to='{OURS}' id='one two'>{key}</db:verify>"
            await peer.send(question.encode())
            await peer.until(rb"<db:verify [^>]*type='invalid'")

    run(test)


def test_case_080_an_id_with_white_space_is_not_taken():
    async def test() -> None:
        async with stage() as (here, _server):
            peer_offer = header(THEIRS, OURS, id="one two")
            async with Listener() as raw:
                here.lead_to(raw.port)
                await here.inside.send_message(DESK, BOB, "x", id_="m")
                peer = await raw.accept()
                await peer.until(rb"<stream:stream [^>]*>")
                await peer.send(peer_offer + b"<stream:features/>")
                await peer.until(rb"<stream:error>")
                await peer.until_closed()
                assert b"db:result" not in peer.received
                await eventually(lambda: bool(here.inside.mailbox(ALICE).history))

    run(test)
