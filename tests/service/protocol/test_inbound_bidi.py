# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inbound streams used both ways (XEP-0288), with limits (XEP-0478) and acknowledgements (XEP-0198)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xmpp_edge.jid import JID
from xmpp_edge.stream.actions import Acknowledge, Authenticated, Closed, Deliver, Doubtful, Pair, Room, Send, Unsent
from xmpp_edge.stream.inbound import Inbound
from xmpp_edge.stream.settings import Settings
from xmpp_edge.xml.stanza import Stanza
from xmpp_edge.xml.writer import write_stanza

from .incoming import (
    ANYTHING,
    AUTH,
    DIALBACK_IN_TLS,
    SASL_OR_DIALBACK,
    encrypted,
    numbered,
    proven_by_sasl,
)
from .support import (
    ALSO_OURS,
    ALSO_THEIRS,
    END,
    HEADER,
    MESSAGE,
    PAIR,
    STRANGER,
    THEIRS,
    Partner,
    both_ways,
    closed,
    feed,
    kinds,
    only,
    result,
    sent,
    tls,
)

BIDI = "<bidi xmlns='urn:xmpp:bidi'/>"
SM = "urn:xmpp:sm:3"
ENABLE = f"<enable xmlns='{SM}'/>"
ENABLED = f"<enabled xmlns='{SM}'/>"
R = f"<r xmlns='{SM}'/>"


def limited(content: str) -> str:
    return f"<bidi xmlns='urn:xmpp:bidi'><limits xmlns='urn:xmpp:stream-limits:0'>{content}</limits></bidi>"


def answer(count: int) -> str:
    return f"<a xmlns='{SM}' h='{count}'/>"


def ours(text: str = "hello", local: str = "romeo@inside.example", remote: str = "juliet@partner.example/b") -> Stanza:
    return Stanza("message", {"type": "chat"}, f"<body>{text}</body>", 0, JID.parse(local), JID.parse(remote))


def both(partner: Partner = ANYTHING, bidi: str = BIDI, settings: Settings | None = None) -> Inbound:
    """PAIR is proven by EXTERNAL, and stanzas go both ways."""
    return proven_by_sasl(partner, before=bidi, settings=settings)


# Asking for it


def test_with_external() -> None:
    machine = encrypted()
    feed(machine, HEADER)
    assert feed(machine, BIDI) == []
    feed(machine, AUTH)
    assert feed(machine, HEADER)[-1] == Authenticated(PAIR, "sasl_tls", encrypted=True, trusted=True, bidi=True)
    stanza = ours()
    assert machine.send(stanza, 1) == [Send(write_stanza(stanza))]
    assert only(feed(machine, MESSAGE), Deliver)


def test_with_dialback() -> None:
    for layer, trusted in ((tls(THEIRS), True), (tls(STRANGER), False)):
        machine = encrypted(DIALBACK_IN_TLS, layer)
        feed(machine, HEADER + BIDI + result("k"))
        actions = machine.verified(PAIR, "id2", "valid", None, 1)
        assert actions[-1] == Authenticated(PAIR, "tls_dialback", encrypted=True, trusted=trusted, bidi=True)
        assert only(machine.send(ours(), 1), Send)


def test_only_for_those_who_asked() -> None:
    machine = proven_by_sasl()
    with pytest.raises(RuntimeError):
        machine.send(ours(), 1)


@pytest.mark.parametrize(
    "make",
    [
        lambda: (numbered(), HEADER + BIDI),
        lambda: (encrypted(), HEADER + BIDI + BIDI),
        lambda: (encrypted(), HEADER + result("k") + BIDI),
        lambda: (proven_by_sasl(), BIDI),
        lambda: (both(), BIDI),
        lambda: (encrypted(), HEADER + BIDI.replace("urn:xmpp:bidi", "urn:xmpp:features:bidi")),
    ],
)
def test_only_once_inside_tls_and_before_any_proof(make: object) -> None:
    machine, text = make()  # type: ignore[operator]
    assert closed(feed(machine, text)).condition == "unsupported-stanza-type"


@pytest.mark.parametrize(
    ("local", "remote"),
    [
        ("romeo@branch.example", "juliet@partner.example"),
        ("romeo@inside.example", f"juliet@{ALSO_THEIRS}"),
        ("romeo@inside.example", f"juliet@{STRANGER}"),
        (f"juliet@{THEIRS}", "romeo@inside.example"),
    ],
)
def test_only_for_proven_pairs(local: str, remote: str) -> None:
    machine = both()
    with pytest.raises(RuntimeError):
        machine.send(ours(local=local, remote=remote), 1)


def test_further_pairs_go_both_ways_too() -> None:
    machine = both(SASL_OR_DIALBACK)
    feed(machine, result("k", target=ALSO_OURS))
    actions = machine.verified(Pair(ALSO_OURS, THEIRS), "id3", "valid", None, 1)
    assert actions[-1] == Authenticated(Pair(ALSO_OURS, THEIRS), "tls_dialback", True, True, bidi=True)
    assert machine.send(ours(local="romeo@branch.example"), 1)


def test_only_while_the_stream_is_open() -> None:
    machine = encrypted()
    feed(machine, HEADER + BIDI)
    with pytest.raises(RuntimeError):
        machine.send(ours(), 1)
    feed(machine, AUTH)
    with pytest.raises(RuntimeError):
        machine.send(ours(), 1)
    machine = both()
    machine.close("system-shutdown", "bye", 1)
    with pytest.raises(RuntimeError):
        machine.send(ours(), 1)


def test_stanzas_of_ours_keep_it_open() -> None:
    machine = both(Partner(THEIRS, auth_methods=ANYTHING.auth_methods, keepalive=False))
    machine.send(ours(), 500)
    assert machine.tick(600) == []
    assert sent(machine.tick(1100)) == END


# Limits of the peer


def test_a_stanza_beyond_their_limit_is_not_sent() -> None:
    size = len(write_stanza(ours()))
    machine = both(bidi=limited(f"<max-bytes>{size}</max-bytes>"))
    assert only(machine.send(ours(), 1), Send)
    stanza = ours("hello!")
    text = f"partner.example takes no more than {size} bytes in one stanza; this has {size + 1}"
    assert machine.send(stanza, 1) == [Unsent(stanza, "policy-violation", text)]
    # What counts are bytes.
    assert only(machine.send(ours("h\u00e9llo"), 1), Unsent)
    assert only(machine.send(ours(), 1), Send)


@pytest.mark.parametrize("content", ["", "<max-bytes/>", "<max-bytes>many</max-bytes>", "<max-bytes>-1</max-bytes>"])
def test_no_limit_that_can_be_read_is_no_limit(content: str) -> None:
    assert only(both(bidi=limited(content)).send(ours("x" * 200_000), 1), Send)


def test_their_silence_is_kept_short() -> None:
    quiet = Partner(THEIRS, auth_methods=ANYTHING.auth_methods, keepalive=False)
    machine = both(quiet, bidi=limited("<idle-seconds>100</idle-seconds>"))
    machine.send(ours(), 10)
    assert machine.deadline == 60
    assert machine.tick(59) == []
    assert machine.tick(60) == [Send(b" ")]
    assert machine.deadline == 110
    # Nobody makes us send all the time.
    machine = both(quiet, bidi=limited("<idle-seconds>0</idle-seconds>"))
    machine.send(ours(), 10)
    assert machine.deadline == 11


def test_what_we_expect_of_a_partner_it_gets_too() -> None:
    machine = both(settings=Settings(keepalive_interval=300))
    feed(machine, " ", now=140)
    assert machine.deadline == 150
    assert machine.tick(150) == [Send(b" ")]
    assert machine.deadline == 300
    machine = both(bidi=limited("<idle-seconds>40</idle-seconds>"))
    assert machine.deadline == 20
    # On a stream of one way it is the peer who has to be heard.
    assert proven_by_sasl().deadline == 300


# Acknowledgements of what has come


def test_what_has_come_is_acknowledged_when_it_is_handed_on() -> None:
    machine, actions = both_ways(proven_by_sasl, MESSAGE + ENABLE + MESSAGE * 2 + R)
    assert [kind for kind in kinds(actions) if kind != "Deliver"] == ["Send", "Acknowledge"]
    assert sent(actions) == ENABLED
    assert actions[-1] == Acknowledge(2)
    assert machine.acknowledge(2, 1) == [Send(answer(2).encode())]


def test_one_question_at_a_time() -> None:
    machine = proven_by_sasl()
    assert only(feed(machine, ENABLE + MESSAGE + R + R), Acknowledge) == [Acknowledge(1)]
    assert only(feed(machine, MESSAGE + R), Acknowledge) == [Acknowledge(2)]
    assert sent(machine.acknowledge(1, 1)) == answer(1)
    assert only(feed(machine, R), Acknowledge) == []
    assert sent(machine.acknowledge(2, 1)) == answer(2)
    assert only(feed(machine, R), Acknowledge) == [Acknowledge(2)]


def test_never_more_is_acknowledged_than_came_and_never_less_than_before() -> None:
    machine = proven_by_sasl()
    feed(machine, ENABLE + MESSAGE * 3)
    assert sent(machine.acknowledge(2, 1)) == answer(2)
    assert sent(machine.acknowledge(1, 1)) == answer(2)
    assert sent(machine.acknowledge(99, 1)) == answer(3)


def test_nothing_is_acknowledged_where_nobody_counts() -> None:
    assert proven_by_sasl().acknowledge(1, 1) == []
    machine = proven_by_sasl()
    feed(machine, ENABLE + MESSAGE)
    machine.close(None, "", 1)
    assert machine.acknowledge(1, 1) == []


def test_enabling_comes_after_proof_and_once() -> None:
    for text in (ENABLE, f"<resume xmlns='{SM}' previd='x' h='0'/>"):
        _machine, actions = both_ways(encrypted, HEADER + text)
        assert sent(actions).endswith(
            f"<failed xmlns='{SM}'><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>"
        )
    machine = proven_by_sasl()
    assert sent(feed(machine, ENABLE)) == ENABLED
    assert "<unexpected-request " in sent(feed(machine, ENABLE))
    assert only(feed(machine, MESSAGE + R), Acknowledge) == [Acknowledge(1)]


def test_streams_proven_by_dialback_may_count_as_well() -> None:
    machine = encrypted(DIALBACK_IN_TLS)
    feed(machine, HEADER + result("k"))
    machine.verified(PAIR, "id2", "valid", None, 0)
    assert sent(feed(machine, f"<enable xmlns='{SM}' resume='true'/>")) == ENABLED


def test_nothing_can_be_resumed() -> None:
    machine = proven_by_sasl()
    text = f"<failed xmlns='{SM}'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>"
    assert sent(feed(machine, f"<resume xmlns='{SM}' previd='x' h='0'/>")) == text
    assert sent(feed(machine, ENABLE)) == ENABLED


@pytest.mark.parametrize("element", [ENABLE, f"<resume xmlns='{SM}' previd='x' h='0'/>"])
@pytest.mark.parametrize("proven", [False, True])
def test_what_is_refused_is_not_asked_for_without_end(element: str, proven: bool) -> None:
    machine = proven_by_sasl() if proven else encrypted()
    actions = feed(machine, ("" if proven else HEADER) + ENABLE * proven + element * 1000)
    assert sent(actions).count("<failed ") == 10
    assert closed(actions).condition == "policy-violation"


@pytest.mark.parametrize("element", [R, answer(0), ENABLED, f"<failed xmlns='{SM}'/>", f"<sm xmlns='{SM}'/>"])
def test_what_has_no_meaning_before_enabling(element: str) -> None:
    _machine, actions = both_ways(proven_by_sasl, element)
    assert closed(actions).condition == "unsupported-stanza-type"


def test_an_answer_to_nothing_on_a_stream_of_one_way() -> None:
    _machine, actions = both_ways(proven_by_sasl, ENABLE + answer(0))
    assert closed(actions).condition == "unsupported-stanza-type"


# Acknowledgements of what we have sent


def counting(settings: Settings | None = None) -> Inbound:
    machine = both(settings=settings)
    assert sent(feed(machine, ENABLE)) == ENABLED
    assert machine.acknowledging
    return machine


def test_what_is_not_acknowledged_is_in_doubt() -> None:
    machine = counting()
    stanzas = [ours(str(number)) for number in range(3)]
    data = b"".join(sent(machine.send(stanza, 1)).encode() for stanza in stanzas)
    assert data == b"".join([write_stanza(stanzas[0]), R.encode(), *map(write_stanza, stanzas[1:])])
    assert feed(machine, answer(1)) == []
    actions = machine.eof(2)
    assert actions[0] == Doubtful((stanzas[1], stanzas[2]))
    assert isinstance(actions[-1], Closed)


def test_all_is_acknowledged() -> None:
    machine = counting()
    machine.send(ours(), 1)
    feed(machine, answer(1))
    assert machine.eof(2)[0] == Doubtful(())


def test_without_counting_nothing_is_said_about_doubt() -> None:
    for machine in (both(), proven_by_sasl()):
        assert not machine.acknowledging
        assert list(kinds(machine.eof(1))) == ["Closed"]


def test_stanzas_sent_before_the_counting_are_known_to_have_come_before_it() -> None:
    machine = both()
    early, late = ours("early"), ours("late")
    machine.send(early, 0)
    assert sent(feed(machine, ENABLE)) == ENABLED + R
    machine.send(late, 1)
    assert machine.eof(2)[0] == Doubtful((early, late))
    machine = both()
    machine.send(early, 0)
    feed(machine, ENABLE)
    machine.send(late, 1)
    feed(machine, answer(0))
    assert machine.eof(2)[0] == Doubtful((late,))


def test_who_enables_late_is_counted_for_but_not_waited_for() -> None:
    for amount, text in ((30, "x"), (2, "x" * 40_000)):
        machine = both()
        for _unused in range(amount):
            machine.send(ours(text), 0)
        assert sent(feed(machine, ENABLE)) == ENABLED
        assert not machine.acknowledging
        assert only(feed(machine, MESSAGE + R), Acknowledge) == [Acknowledge(1)]
        assert list(kinds(machine.eof(1))) == ["Closed"]


def test_what_is_never_acknowledged_ends_the_stream() -> None:
    machine = counting(Settings(acknowledgement_timeout=30))
    stanza = ours()
    machine.send(stanza, 100)
    assert machine.tick(129) == []
    actions = machine.tick(130)
    assert closed(actions).condition == "connection-timeout"
    assert only(actions, Doubtful) == [Doubtful((stanza,))]


def test_stanzas_behind_a_question_are_asked_for_later() -> None:
    machine = counting()
    machine.send(ours("1"), 1)
    machine.send(ours("2"), 1.5)
    feed(machine, answer(1), now=1.6)
    assert machine.deadline == 2
    assert machine.tick(2) == [Send(R.encode())]
    assert machine.deadline == 2 + Settings().acknowledgement_timeout


def test_more_acknowledged_than_sent() -> None:
    machine = counting()
    machine.send(ours(), 1)
    actions = feed(machine, answer(2))
    assert closed(actions).condition == "undefined-condition"
    assert closed(actions).text == "2 stanzas are acknowledged, but 1 were sent"
    assert len(only(actions, Doubtful)) == 1


@pytest.mark.parametrize("h", ["", "-1", "x", "4294967296", " 1"])
def test_no_number(h: str) -> None:
    assert closed(feed(counting(), f"<a xmlns='{SM}' h='{h}'/>")).condition == "bad-format"


def test_an_orderly_end_asks_once_more() -> None:
    machine = counting()
    machine.send(ours("1"), 1)
    feed(machine, answer(1))
    machine.send(ours("2"), 1.1)
    assert sent(machine.close("system-shutdown", "bye", 2)).startswith(R + "<stream:error>")
    assert feed(machine, answer(2) + MESSAGE)[0].stanza.body() == "hi"
    actions = feed(machine, END)
    assert actions == [Doubtful(()), Closed("system-shutdown", "bye", "us")]


def test_a_peer_that_takes_nothing_gets_no_more() -> None:
    machine = counting()
    for number in range(10_000):
        assert machine.full == (number >= 5000)
        assert only(machine.send(ours(str(number)), 1), Send)
    (last,) = machine.send(ours(), 1)
    assert isinstance(last, Unsent)
    assert last.condition == "resource-constraint"
    assert feed(machine, answer(5000)) == []
    assert machine.full
    assert feed(machine, answer(5001)) == [Room()]
    assert not machine.full
    assert only(machine.send(ours(), 1), Send)


@given(st.lists(st.sampled_from(["send", "ack", "come", "ask", "tick", "enable"]), max_size=40), st.data())
def test_every_stanza_is_sent_once_and_acknowledged_or_in_doubt(steps: list[str], data: st.DataObject) -> None:
    machine = both()
    told: list[Stanza] = []
    counted, came, now = 0, 0, 0.0
    enabled_at: int | None = None
    for step in steps:
        now += 0.4
        actions: list[object] = []
        if step == "send":
            stanza = ours(str(len(told)))
            told.append(stanza)
            actions = list(machine.send(stanza, now))
            assert write_stanza(stanza) in sent(actions).encode()
        elif step == "enable" and enabled_at is None:
            enabled_at = len(told)
            actions = list(feed(machine, ENABLE, now))
        elif step == "ack" and machine.acknowledging and enabled_at is not None:
            counted = data.draw(st.integers(counted, len(told) - enabled_at))
            feed(machine, answer(counted), now)
        elif step == "come":
            came += enabled_at is not None
            assert len(only(feed(machine, MESSAGE, now), Deliver)) == 1
        elif step == "ask" and enabled_at is not None:
            for action in feed(machine, R, now):
                assert action == Acknowledge(came)
                assert sent(machine.acknowledge(came, now)) == answer(came)
        elif step == "tick":
            actions = list(machine.tick(now))
        assert not any(isinstance(action, Closed) for action in actions)
    actions = machine.eof(now)
    if machine.acknowledging:
        assert enabled_at is not None
        (doubt,) = only(actions, Doubtful)
        assert isinstance(doubt, Doubtful)
        rest = told[enabled_at + counted :]
        assert list(doubt.stanzas)[-len(rest) :] == rest if rest else True
        assert len(doubt.stanzas) in (len(rest), len(rest) + enabled_at)
    else:
        assert not only(actions, Doubtful)
