# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dialback questions: forged ones neither open connections without end nor keep honest ones from an answer."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace

import pytest
from peers.authority import Authority, self_signed
from peers.partner import dialback_key
from peers.raw import Listener, RawPeer
from peers.scripted import Offer, Scripted
from peers.tls import DEFAULT, Options
from xmpp_edge.net.questions import Question, Questions
from xmpp_edge.stream.actions import Pair

from .harness import OURS, THEIRS, TLS_OR_DIALBACK, Records, World, run, world

PAIR = Pair(OURS, THEIRS)
HEADER = (
    "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'"
    f" xmlns:db='jabber:server:dialback' id='s1' from='{THEIRS}' to='{OURS}' version='1.0'>"
    "<stream:features><dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback></stream:features>"
).encode()


def question(asker: str, number: int = 0) -> Question:
    return Question(PAIR, "key", f"{asker}-{number}", lambda _outcome, _condition: None, asker)


def names(questions: Questions) -> list[str]:
    result = []
    while (found := questions.next()) is not None:
        result.append(found.stream_id)
    return result


def test_askers_take_turns():
    questions = Questions(10)
    for number in range(3):
        assert questions.put(question("a", number)) is None
    assert questions.put(question("b")) is None
    assert questions.put(question("c")) is None
    assert len(questions) == 5
    assert names(questions) == ["a-0", "b-0", "c-0", "a-1", "a-2"]
    assert len(questions) == 0


def test_who_has_most_makes_room():
    questions = Questions(4)
    for number in range(4):
        questions.put(question("flood", number))
    refused = questions.put(question("flood", 4))
    assert refused is not None
    assert refused.stream_id == "flood-4"
    refused = questions.put(question("honest"))
    assert refused is not None
    assert refused.stream_id == "flood-3"
    assert names(questions) == ["flood-0", "honest-0", "flood-1", "flood-2"]


def test_where_all_have_as_many_the_last_one_waits_in_vain():
    questions = Questions(2)
    questions.put(question("a"))
    questions.put(question("b"))
    refused = questions.put(question("c"))
    assert refused is not None
    assert refused.asker == "c"


async def claim(here: World, keys: int = 1) -> RawPeer:
    """A stream to us with made-up keys."""
    peer = await RawPeer.connect(here.address)
    await peer.send(
        f"<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' from='{THEIRS}'"
        f" to='{OURS}' xmlns:db='jabber:server:dialback' version='1.0'>".encode()
    )
    await peer.until(rb"</stream:features>")
    for number in range(keys):
        await peer.send(f"<db:result from='{THEIRS}' to='{OURS}'>{number:064}</db:result>".encode())
    return peer


def ids(peer: RawPeer) -> list[bytes]:
    return [re.search(rb" id='([^']+)'", verify)[1] for verify in re.findall(rb"<db:verify [^>]*>", peer.received)]


def test_forged_keys_share_one_connection_and_no_more_than_some_are_asked_at_once():
    async def test() -> None:
        async with world() as here, Listener() as listener:
            here.lead_to(listener.port)
            peers = [await claim(here) for _unused in range(40)]
            authority = await listener.accept()
            await authority.until(rb"<stream:stream [^>]*>")
            await authority.send(HEADER)
            for _unused in range(16):
                await authority.until(rb"</db:verify>")
            await authority.silence()
            assert listener.waiting == 0
            assert len(set(ids(authority))) == 16
            answers = b"".join(
                f"<db:verify from='{THEIRS}' to='{OURS}' id='{id_.decode()}' type='invalid'/>".encode()
                for id_ in ids(authority)
            )
            await authority.send(answers)
            for _unused in range(16):
                await authority.until(rb"</db:verify>")
            for peer in peers[:16]:
                await peer.until(rb"type='invalid'")

    run(test)


def test_an_honest_proof_is_not_starved_by_forged_ones_from_elsewhere():
    async def test() -> None:
        async with world() as here, Listener() as listener:
            here.lead_to(listener.port)
            verifiers = here.service.verifiers
            refused: list[str] = []
            outcomes: list[str] = []
            for number in range(100):
                verifiers.ask(
                    PAIR, "0" * 64, f"forged-{number}", lambda _outcome, why: refused.append(str(why)), "198.51.100.1"
                )
            assert refused == ["resource-constraint"] * 36
            verifiers.ask(PAIR, "1" * 64, "honest", lambda outcome, _why: outcomes.append(outcome), "192.0.2.1")
            assert len(refused) == 37
            authority = await listener.accept()
            await authority.until(rb"<stream:stream [^>]*>")
            await authority.send(HEADER)
            await authority.until(rb"id='honest'")
            assert ids(authority)[:2] == [b"forged-0", b"honest"]
            await authority.send(f"<db:verify from='{THEIRS}' to='{OURS}' id='honest' type='valid'/>".encode())
            await authority.until(rb"id='forged-15'")
            assert outcomes == ["valid"]

    run(test)


def test_a_server_that_breaks_off_leaves_no_question_without_an_answer():
    async def test() -> None:
        async with world() as here, Listener() as listener:
            here.lead_to(listener.port)
            peers = [await claim(here) for _unused in range(3)]
            authority = await listener.accept()
            await authority.until(rb"<stream:stream [^>]*>")
            await authority.send(HEADER)
            await authority.until(rb"</db:verify>")
            authority.reset()
            for peer in peers:
                await peer.until(rb"<remote-connection-failed ")

    run(test)


def test_the_next_address_is_asked_where_one_has_no_stream_for_us():
    async def test() -> None:
        async with world() as here, Listener() as bad, Listener() as good:
            lines = [f"_xmpp-server._tcp 60 IN SRV {n} 0 {who.port} xmpp" for n, who in enumerate((bad, good))]
            here.publish({THEIRS: [*lines, "xmpp 60 IN A 127.0.0.1"]})
            peer = await claim(here)
            (await bad.accept()).reset()
            authority = await good.accept()
            await authority.until(rb"<stream:stream [^>]*>")
            await authority.send(HEADER)
            await authority.until(rb"</db:verify>")
            (id_,) = ids(authority)
            await authority.send(f"<db:verify from='{THEIRS}' to='{OURS}' id='{id_.decode()}' type='valid'/>".encode())
            await peer.until(rb"type='valid'")

    run(test)


# Through TLS


class Authorities:
    """One for us and one for the partner, made once: keys take time."""

    ours = Authority("Our CA")
    theirs = Authority("Their CA")
    identity = ours.issue(OURS)
    partner = theirs.issue(THEIRS)


SECURE = Offer(starttls="required", dialback="secure")
OPTIONAL = {"tls": "optional", "sasl": "optional", "dialback": True}


@pytest.mark.parametrize(
    ("offer", "record", "asked"),
    [
        (SECURE, TLS_OR_DIALBACK, "verify"),
        (replace(SECURE, starttls="", direct=True), TLS_OR_DIALBACK, "verify"),
        (SECURE, OPTIONAL, "verify"),
        (Offer(starttls="optional", dialback="all", on_starttls="failure"), OPTIONAL, "verify*"),
        (Offer(dialback="all"), OPTIONAL, "verify*"),
        (Offer(dialback="all"), TLS_OR_DIALBACK, ""),
        (Offer(starttls="optional", dialback="all", on_starttls="failure"), TLS_OR_DIALBACK, ""),
    ],
)
@pytest.mark.parametrize("identity", ["trusted", "other"])
def test_questions_go_through_tls_as_the_record_demands(offer, record, asked, identity):
    def secured(records: Records) -> None:
        records.certify(Authorities.identity, Authorities.theirs, **record)

    async def test() -> None:
        # Who answers is found by DNS; a certificate that proves nothing is no hindrance to dialback.
        shown = Authorities.partner if identity == "trusted" else self_signed(THEIRS)
        options = Options(alpn=(b"xmpp-server",)) if offer.direct else DEFAULT
        async with (
            Scripted(THEIRS, offer=offer, identity=shown, options=options) as server,
            world(change=secured) as here,
        ):
            service = "_xmpps-server" if offer.direct else "_xmpp-server"
            lines = [f"{service}._tcp 60 IN SRV 0 0 {server.port} xmpp", "xmpp 60 IN A 127.0.0.1"]
            here.publish({THEIRS: lines})
            answered: asyncio.Future[tuple[str, str | None]] = asyncio.get_running_loop().create_future()
            key = dialback_key(server.secret, OURS, THEIRS, "our-id")
            here.service.verifiers.ask(PAIR, key, "our-id", lambda *answer: answered.set_result(answer), "192.0.2.1")
            outcome, condition = await answered
            if asked:
                assert (outcome, condition) == ("valid", None)
                assert asked in server.sessions[-1].steps
            else:
                assert outcome == "error"
                assert all("verify*" not in session.steps for session in server.sessions)

    run(test)
