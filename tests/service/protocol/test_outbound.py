# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The outbound machine: proving ourselves, asking about keys, stanzas, time."""

from __future__ import annotations

import pytest
from xmpp_edge.jid import JID
from xmpp_edge.stream.actions import Authenticated, Closed, Failed, Pair, Send, Verified
from xmpp_edge.stream.settings import Settings
from xmpp_edge.xml.stanza import Stanza

from .support import (
    ALSO_OURS,
    END,
    FEATURES,
    MESSAGE,
    PAIR,
    STREAM_ID,
    THEIR_HEADER,
    THEIRS,
    Partner,
    both_ways,
    closed,
    established_outbound,
    feed,
    joined,
    kinds,
    only,
    our_key,
    outbound,
    refused,
    sent,
)

VALID = "<db:result from='partner.example' to='inside.example' type='valid'/>"
OPENING = (
    "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'"
    " xmlns:db='jabber:server:dialback' from='inside.example' to='partner.example' version='1.0'>"
)
OLD_HEADER = THEIR_HEADER.replace(" version='1.0'>", ">")


def connected(purpose: str = "stanzas") -> object:
    machine = outbound(purpose)
    machine.connected(0)
    return machine


def test_proof_from_the_header_to_the_first_stanza() -> None:
    machine = outbound()
    assert not machine.established
    assert machine.connected(0) == [Send(OPENING.encode())]
    assert feed(machine, THEIR_HEADER) == []
    key = our_key()
    assert feed(machine, FEATURES) == [
        Send(f"<db:result from='inside.example' to='partner.example'>{key}</db:result>".encode())
    ]
    assert not machine.established
    assert feed(machine, VALID) == [Authenticated(PAIR, "tcp_dialback")]
    assert machine.established
    sender, target = JID.parse("r@inside.example"), JID.parse("j@partner.example/x")
    stanza = Stanza("message", {"type": "chat"}, "<body>hi</body>", 0, sender, target)
    assert machine.send(stanza, 1) == [
        Send(b"<message from='r@inside.example' to='j@partner.example/x' type='chat'><body>hi</body></message>")
    ]
    assert machine.close(None, "done", 2) == [Send(END.encode())]
    assert not machine.established
    with pytest.raises(RuntimeError):
        machine.send(stanza, 3)
    assert feed(machine, END) == [Closed(None, "done", "us")]


def test_a_server_from_before_version_1_0_has_no_features() -> None:
    _machine, actions = both_ways(connected, OLD_HEADER + VALID)
    assert list(kinds(actions)) == ["Send", "Authenticated"]


def test_a_server_that_offers_dialback_by_its_namespace_alone() -> None:
    _machine, actions = both_ways(connected, THEIR_HEADER + "<stream:features/>" + VALID)
    assert only(actions, Authenticated)


def test_a_server_that_leaves_out_from_is_borne() -> None:
    _machine, actions = both_ways(connected, THEIR_HEADER.replace(" from='partner.example'", "") + FEATURES + VALID)
    assert only(actions, Authenticated)


STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
STREAMS = "urn:ietf:params:xml:ns:xmpp-streams"
NOT_VERIFIED = (
    "<db:result from='partner.example' to='inside.example' type='error'>"
    f"<error type='cancel'><remote-connection-failed xmlns='{STANZAS}'/></error></db:result>"
)
TLS_REQUIRED = (
    "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"
    "<dialback xmlns='urn:xmpp:features:dialback'/></stream:features>"
)
FAILURES = [
    ("key refused", FEATURES + VALID.replace("valid", "invalid"), "internal-server-error"),
    ("key not verified", FEATURES + NOT_VERIFIED, "remote-server-timeout"),
    ("tls required", TLS_REQUIRED, "not-allowed"),
    ("host-unknown", f"<stream:error><host-unknown xmlns='{STREAMS}'/></stream:error>", "remote-server-not-found"),
    (
        "policy-violation",
        f"<stream:error><policy-violation xmlns='{STREAMS}'/><text xmlns='{STREAMS}'>no</text></stream:error>",
        "not-allowed",
    ),
    ("bare error", "<stream:error/>", "remote-server-timeout"),
    ("closed", END, "remote-server-timeout"),
    ("stanza", FEATURES + MESSAGE, "not-allowed"),
    ("not xml", "<<", "remote-server-timeout"),
    ("unknown element", "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "remote-server-timeout"),
    ("features twice", FEATURES + FEATURES, "remote-server-timeout"),
]


@pytest.mark.parametrize(("text", "condition"), [case[1:] for case in FAILURES], ids=[case[0] for case in FAILURES])
def test_failures_are_told_once_with_a_condition_for_the_bounces(text: str, condition: str) -> None:
    machine, actions = both_ways(connected, THEIR_HEADER + text)
    actions = actions + machine.eof(1)
    (failed,) = only(actions, Failed)
    assert failed.pair == PAIR
    assert failed.condition == condition
    assert failed.text
    closed(actions)
    assert not machine.established


@pytest.mark.parametrize(
    ("header", "condition"),
    [
        (THEIR_HEADER.replace(" id='417GAF25'", ""), "undefined-condition"),
        (THEIR_HEADER.replace("417GAF25", "417 GAF25"), "undefined-condition"),
        (THEIR_HEADER.replace("from='partner", "from='stranger"), "invalid-from"),
        (THEIR_HEADER.replace("from='partner.example'", "from='a@partner.example'"), "improper-addressing"),
        (THEIR_HEADER.replace("'jabber:server'", "'jabber:client'"), "invalid-namespace"),
        (THEIR_HEADER.replace("version='1.0'>", "version='2.0'>"), "unsupported-version"),
        (THEIR_HEADER.replace("/streams'", "/Streams'"), "invalid-namespace"),
        (THEIR_HEADER.replace(" xmlns:db='jabber:server:dialback'", "") + "<stream:features/>", "unsupported-feature"),
    ],
)
def test_headers_of_theirs_that_will_not_do(header: str, condition: str) -> None:
    _machine, actions = both_ways(connected, header + FEATURES)
    assert closed(actions) == Closed(condition, closed(actions).text, "us")
    assert len(only(actions, Failed)) == 1
    assert sent(actions).endswith("</stream:error></stream:stream>")
    assert "db:result" not in sent(actions)


@pytest.mark.parametrize(
    "answer",
    [
        VALID.replace("inside", "branch"),
        VALID.replace("'partner", "'stranger"),
        VALID.replace("from='partner.example' to='inside.example'", "from='inside.example' to='partner.example'"),
        VALID.replace("result", "verify"),
    ],
)
def test_answers_for_others_prove_nothing(answer: str) -> None:
    machine, actions = both_ways(connected, THEIR_HEADER + FEATURES + answer)
    assert refused(actions) == ["dialback_unsolicited"]
    assert not machine.established
    assert not only(actions, Failed)
    assert only(feed(machine, VALID), Authenticated)


def test_an_answer_before_the_question_proves_nothing() -> None:
    machine, actions = both_ways(connected, THEIR_HEADER + VALID)
    assert refused(actions) == ["dialback_unsolicited"]
    assert not machine.established


def test_a_second_answer_changes_nothing() -> None:
    machine = established_outbound()
    assert refused(feed(machine, VALID.replace("valid", "invalid"))) == ["dialback_unsolicited"]
    assert machine.established
    assert closed(feed(machine, VALID * 20)).condition == "policy-violation"


# Asking


def answer(kind: str, stream_id: str = STREAM_ID, target: str = "inside.example", inner: str = "") -> str:
    return f"<db:verify from='partner.example' to='{target}' id='{stream_id}' type='{kind}'>{inner}</db:verify>"


def test_questions_wait_for_the_stream_and_each_is_answered_once() -> None:
    machine = outbound("verify")
    other = Pair(ALSO_OURS, THEIRS)
    assert machine.verify(PAIR, "k1", "1", 0) == []
    assert machine.verify(other, "k2", "1", 0) == []
    assert machine.verify(PAIR, "k1", "1", 0) == []
    machine.connected(0)
    actions = feed(machine, THEIR_HEADER + FEATURES)
    assert joined(actions) == [
        Send(
            b"<db:verify from='inside.example' to='partner.example' id='1'>k1</db:verify>"
            b"<db:verify from='branch.example' to='partner.example' id='1'>k2</db:verify>"
        ),
    ]
    assert machine.established
    assert machine.verify(PAIR, "k3", "2", 1) == [
        Send(b"<db:verify from='inside.example' to='partner.example' id='2'>k3</db:verify>")
    ]
    assert feed(machine, answer("valid", "1")) == [Verified(PAIR, "1", "valid")]
    assert feed(machine, answer("invalid", "1", "branch.example")) == [Verified(other, "1", "invalid")]
    assert refused(feed(machine, answer("valid", "1"))) == ["dialback_unsolicited"]
    assert refused(feed(machine, answer("valid", "3"))) == ["dialback_unsolicited"]
    assert refused(feed(machine, answer("valid", "2", "branch.example"))) == ["dialback_unsolicited"]
    assert feed(machine, END)[:2] == [Send(END.encode()), Verified(PAIR, "2", "error", "remote-connection-failed")]
    assert machine.verify(PAIR, "k", "4", 2) == [Verified(PAIR, "4", "error", "remote-connection-failed")]


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        ("item-not-found", "remote-server-not-found"),
        ("host-unknown", "remote-server-not-found"),
        ("resource-constraint", "resource-constraint"),
        ("x", "remote-connection-failed"),
    ],
)
def test_their_dialback_errors(condition: str, told: str) -> None:
    machine = outbound("verify")
    machine.connected(0)
    machine.verify(PAIR, "k", "1", 0)
    inner = f"<error type='cancel'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
    actions = feed(machine, THEIR_HEADER + FEATURES + answer("error", "1", inner=inner))
    assert only(actions, Verified) == [Verified(PAIR, "1", "error", told)]


def test_an_answer_of_unknown_type_is_no_proof() -> None:
    machine = outbound("verify")
    machine.connected(0)
    machine.verify(PAIR, "k", "1", 0)
    actions = feed(machine, THEIR_HEADER + FEATURES + answer("VALID", "1"))
    assert only(actions, Verified) == [Verified(PAIR, "1", "invalid")]


def test_questions_have_their_time() -> None:
    machine = outbound("verify")
    machine.connected(0)
    feed(machine, THEIR_HEADER + FEATURES)
    machine.verify(PAIR, "k", "1", 5)
    assert machine.deadline == 65
    assert machine.tick(65) == [Verified(PAIR, "1", "error", "remote-server-timeout"), Send(END.encode())]
    machine = outbound("verify")
    machine.verify(PAIR, "k", "1", 5)
    actions = machine.tick(60)
    assert actions == [
        Verified(PAIR, "1", "error", "remote-server-timeout"),
        Closed("connection-timeout", "the stream was not established within 60 seconds", "us"),
    ]


def test_a_stream_without_questions_is_closed_soon() -> None:
    machine = outbound("verify")
    machine.connected(0)
    machine.verify(PAIR, "k", "1", 0)
    feed(machine, THEIR_HEADER + FEATURES, now=1)
    feed(machine, answer("valid", "1"), now=2)
    assert machine.deadline == 12
    assert machine.accepting
    assert machine.tick(12) == [Send(END.encode())]
    assert not machine.accepting
    assert machine.verify(PAIR, "k", "2", 13) == [Verified(PAIR, "2", "error", "remote-connection-failed")]


def test_questions_are_bounded() -> None:
    machine = outbound("verify", settings=Settings(queued_verifications=2))
    answers = [machine.verify(PAIR, "k", str(number), 0) for number in range(3)]
    assert answers == [[], [], [Verified(PAIR, "2", "error", "resource-constraint")]]


def test_streams_for_stanzas_do_not_ask() -> None:
    with pytest.raises(RuntimeError):
        outbound().verify(PAIR, "k", "1", 0)


# Time


def test_establishment_counts_from_the_first_attempt_to_connect() -> None:
    machine = outbound(now=10)
    assert machine.deadline == 70
    machine.connected(50)
    feed(machine, THEIR_HEADER + FEATURES, now=60)
    assert machine.deadline == 70
    actions = machine.tick(70)
    assert list(kinds(actions)) == ["Send", "Failed", "Closed"]
    assert only(actions, Failed)[0].condition == "remote-server-timeout"


def test_a_connection_never_made() -> None:
    machine = outbound()
    actions = machine.eof(1)
    assert list(kinds(actions)) == ["Failed", "Closed"]
    assert machine.connected(2) == []


def test_closed_by_us_before_it_came_to_anything() -> None:
    assert list(kinds(outbound().close(None, "not needed", 1))) == ["Failed", "Closed"]
    machine = outbound()
    machine.connected(0)
    actions = machine.close(None, "not needed", 1)
    assert list(kinds(actions)) == ["Send", "Failed", "Closed"]
    assert sent(actions) == END
    machine = outbound()
    machine.connected(0)
    assert sent(machine.close("system-shutdown", "bye", 1)).endswith("</stream:error></stream:stream>")


def test_keep_alives_go_out_in_time_for_a_peer_with_our_own_interval() -> None:
    machine = established_outbound(settings=Settings(keepalive_interval=300))
    assert machine.deadline == 150
    assert machine.tick(150) == [Send(b" ")]
    assert machine.deadline == 300
    stanza = Stanza("message", {}, "", 0, JID.parse("inside.example"), JID.parse("partner.example"))
    machine.send(stanza, 290)
    assert machine.tick(300) == []
    assert machine.deadline == 440
    assert machine.tick(440) == [Send(b" ")]
    assert machine.tick(890) == [Send(END.encode())]


def test_no_keep_alives_where_the_record_says_so() -> None:
    machine = established_outbound(Partner(THEIRS, keepalive=False))
    assert machine.deadline == 600
    assert machine.tick(599) == []
    assert machine.tick(600) == [Send(END.encode())]


def test_stanzas_on_our_stream_are_not_taken() -> None:
    actions = feed(established_outbound(), MESSAGE)
    assert closed(actions).condition == "not-authorized"
