# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Acknowledgements on streams that we open (XEP-0198): what is never acknowledged is in doubt, and told once."""

from __future__ import annotations

import random

import pytest
from xmpp_edge.stream.actions import Acknowledge, Authenticated, Closed, Deliver, Doubtful, Room, Send, Unsent
from xmpp_edge.stream.outbound import Outbound
from xmpp_edge.stream.settings import Settings

from .outgoing import (
    ACKS,
    AFTER_SASL,
    AFTER_TLS,
    BIDI,
    DIALBACK,
    DIALBACK_OVER_TLS,
    EXTERNAL,
    LAX,
    SUCCESS,
    VALID,
    features,
    message,
    outgoing,
    proven,
    secured,
    written,
)
from .support import END, MESSAGE, THEIR_HEADER, both_ways, closed, feed, kinds, only, sent

SM = "xmlns='urn:xmpp:sm:3'"
ENABLE = f"<enable {SM}/>"
ENABLED = f"<enabled {SM}/>"
ASK = f"<r {SM}/>"
FAILED = f"<failed {SM}><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>"
SYSTEM_SHUTDOWN = (
    "<stream:error><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"
)


def handled(count: int) -> str:
    return f"<a {SM} h='{count}'/>"


def counting(*, bidi: bool = False, settings: Settings | None = None) -> Outbound:
    """A stream on which the peer acknowledges, since time 0."""
    machine = proven(ACKS, before=BIDI if bidi else "", settings=settings)
    assert not machine.acknowledging
    assert feed(machine, ENABLED) == []
    assert machine.acknowledging
    return machine


def send(machine: Outbound, *bodies: str, now: float = 0) -> str:
    return "".join(sent(machine.send(message(body), now)) for body in bodies)


def test_it_is_enabled_before_stanzas_begin_to_flow() -> None:
    machine = secured(LAX)
    feed(machine, AFTER_TLS + features(EXTERNAL) + SUCCESS)
    actions = feed(machine, AFTER_SASL + features(ACKS))
    assert list(kinds(actions)) == ["Send", "Authenticated"]
    assert sent(actions) == ENABLE


@pytest.mark.parametrize("partner", [DIALBACK_OVER_TLS, LAX])
def test_it_is_enabled_after_dialback_if_it_was_offered(partner: object) -> None:
    machine = outgoing(LAX) if partner is LAX else secured(DIALBACK_OVER_TLS)
    feed(machine, THEIR_HEADER + features(DIALBACK, ACKS))
    actions = feed(machine, VALID)
    assert sent(actions) == ENABLE
    assert only(actions, Authenticated)


def test_an_offer_before_sasl_is_not_the_one_that_counts() -> None:
    machine = proven(before=ACKS)
    assert send(machine, "hi") == written("hi")
    assert closed(feed(machine, ENABLED)).condition == "unsupported-stanza-type"


def test_the_peer_is_asked_at_once_after_a_silence_and_then_as_it_answers() -> None:
    machine = counting()
    assert send(machine, "1", now=10) == written("1") + ASK
    assert send(machine, "2", "3", now=10) == written("2") + written("3")
    assert feed(machine, handled(1), now=10.2) == []
    assert machine.deadline == 11
    assert machine.tick(10.5) == []
    assert machine.tick(11) == [Send(ASK.encode())]
    assert feed(machine, handled(3), now=11.1) == []
    assert machine.deadline == 12
    assert machine.tick(12) == []
    assert send(machine, "4", now=20) == written("4") + ASK


def test_many_stanzas_are_asked_about_in_hundreds() -> None:
    machine = counting()
    text = send(machine, *(str(number) for number in range(301)))
    assert text.count(ASK) == 4
    assert text.endswith(written("300") + ASK)


def test_what_was_sent_before_the_peer_agreed_is_counted_too() -> None:
    machine = proven(ACKS)
    assert send(machine, "1", "2") == written("1") + written("2")
    assert feed(machine, ENABLED) == [Send(ASK.encode())]
    feed(machine, handled(1))
    assert [stanza.payload for stanza in doubtful(machine.eof(1))] == ["<body>2</body>"]


def doubtful(actions: list) -> tuple:
    (told,) = only(actions, Doubtful)
    assert actions.index(told) == len(actions) - 2
    return told.stanzas


@pytest.mark.parametrize("end", ["eof", "close", "error", "broken"])
def test_what_is_not_acknowledged_in_the_end_is_in_doubt(end: str) -> None:
    machine = counting()
    send(machine, "1", "2", "3")
    feed(machine, handled(1))
    actions = {
        "eof": lambda: machine.eof(1),
        "close": lambda: feed(machine, END),
        "error": lambda: feed(machine, SYSTEM_SHUTDOWN),
        "broken": lambda: feed(machine, "<<"),
    }[end]()
    assert [stanza.payload for stanza in doubtful(actions)] == ["<body>2</body>", "<body>3</body>"]
    assert machine.acknowledging
    assert machine.eof(2) == []


def test_nothing_in_doubt_is_told_as_well() -> None:
    """Or the driver would have to judge by what TCP knows."""
    machine = counting()
    send(machine, "1")
    feed(machine, handled(1))
    assert doubtful(machine.eof(1)) == ()


def test_without_acknowledgements_nothing_is_said_of_doubt() -> None:
    for machine in (proven(), proven(ACKS)):
        send(machine, "1")
        assert not machine.acknowledging
        assert list(kinds(machine.eof(1))) == ["Closed"]


def test_a_peer_that_will_not_goes_on_without() -> None:
    machine = proven(ACKS)
    assert send(machine, "1") == written("1")
    assert feed(machine, FAILED) == []
    assert send(machine, "2") == written("2")
    assert not machine.acknowledging
    assert list(kinds(machine.eof(1))) == ["Closed"]


def test_a_peer_that_never_says_goes_on_without_and_is_not_waited_for() -> None:
    machine = proven(ACKS)
    for number in range(6000):
        # Nobody may wait for room here: it would never be told.
        assert not machine.full
        assert sent(machine.send(message(str(number)), 0)) == written(str(number))
    assert feed(machine, ENABLED) == []
    assert not machine.acknowledging


@pytest.mark.parametrize("count", [2, 4294967295])
def test_a_count_of_what_was_never_sent_ends_the_stream(count: int) -> None:
    machine = counting()
    send(machine, "1")
    actions = feed(machine, handled(count))
    assert closed(actions) == Closed("undefined-condition", f"{count} stanzas are acknowledged, but 1 were sent", "us")
    assert len(doubtful(actions)) == 1


@pytest.mark.parametrize("text", [f"<a {SM}/>", f"<a {SM} h='x'/>", f"<a {SM} h='-1'/>", f"<a {SM} h='4294967296'/>"])
def test_a_count_that_is_none_ends_the_stream(text: str) -> None:
    _machine, actions = both_ways(counting, text)
    assert closed(actions).condition == "bad-format"


@pytest.mark.parametrize("text", [ENABLED, FAILED, handled(0), ASK, ENABLE, f"<resumed {SM}/>"])
def test_elements_that_answer_nothing(text: str) -> None:
    _machine, actions = both_ways(proven, text)
    assert closed(actions).condition == "unsupported-stanza-type"
    machine = secured(LAX)
    assert closed(feed(machine, AFTER_TLS + features(EXTERNAL, ACKS) + text)).condition == "unsupported-stanza-type"
    if text in (ENABLED, FAILED, ENABLE):
        assert closed(feed(counting(), text)).condition == "unsupported-stanza-type"


def test_the_peer_may_ask_as_well() -> None:
    assert feed(counting(), ASK) == [Send(handled(0).encode())]


def test_what_the_peer_sent_before_it_began_to_count_is_not_in_the_answer() -> None:
    machine = proven(ACKS, before=BIDI)
    assert [type(action) for action in feed(machine, MESSAGE + MESSAGE)] == [Deliver, Deliver]
    assert feed(machine, ENABLED + ASK) == [Acknowledge(0)]
    assert machine.acknowledge(0, 1) == [Send(handled(0).encode())]
    assert feed(machine, MESSAGE + ASK)[-1] == Acknowledge(1)


@pytest.mark.parametrize("bidi", [False, True])
def test_who_agrees_late_may_ask_all_the_same(bidi: bool) -> None:
    machine = proven(ACKS, before=BIDI if bidi else "")
    send(machine, *map(str, range(5_001)))
    assert feed(machine, ENABLED) == []
    assert not machine.acknowledging
    assert feed(machine, ASK) == [Acknowledge(0) if bidi else Send(handled(0).encode())]
    assert closed(feed(machine, ENABLED)).condition == "unsupported-stanza-type"


def test_on_a_stream_both_ways_it_is_answered_when_the_stanzas_are_handed_on() -> None:
    machine = counting(bidi=True)
    actions = feed(machine, MESSAGE + MESSAGE + ASK)
    assert [type(action) for action in actions] == [Deliver, Deliver, Acknowledge]
    assert actions[-1] == Acknowledge(2)
    assert machine.acknowledge(2, 1) == [Send(handled(2).encode())]
    feed(machine, MESSAGE)
    assert machine.acknowledge(3, 1) == [Send(handled(3).encode())]
    machine.eof(2)
    assert machine.acknowledge(3, 2) == []


def test_a_peer_that_does_not_answer_is_given_up() -> None:
    machine = counting(settings=Settings(acknowledgement_timeout=30))
    assert machine.deadline == 30
    assert machine.tick(30) == []
    # The driver does not look at the deadline when it sends, so it has to come before the answer is overdue.
    assert machine.deadline == 60
    send(machine, "1", now=31)
    assert machine.tick(60) == []
    actions = machine.tick(machine.deadline)
    assert closed(actions) == Closed("connection-timeout", "stanzas were not acknowledged within 30 seconds", "us")
    assert len(doubtful(actions)) == 1


def test_a_peer_that_answers_and_takes_nothing_is_given_up_too() -> None:
    machine = counting()
    send(machine, "1", now=0)
    actions: list = []
    for now in range(60):
        feed(machine, handled(0), now=now)
        actions = machine.tick(now)
        if machine.closed:
            break
    assert machine.closed
    assert closed(actions).condition == "connection-timeout"
    assert now == 30
    assert len(doubtful(actions)) == 1


@pytest.mark.parametrize("seed", range(20))
def test_each_stanza_is_acknowledged_or_in_doubt_and_never_both(seed: int) -> None:
    chance = random.Random(seed)
    machine = proven(ACKS)
    gone, answered, enabled = 0, 0, False
    for now in range(chance.randrange(300)):
        if chance.random() < 0.7:
            send(machine, str(gone), now=now / 10)
            gone += 1
        if not enabled and chance.random() < 0.1:
            feed(machine, ENABLED, now=now / 10)
            enabled = True
        if enabled and chance.random() < 0.3:
            answered = chance.randint(answered, gone)
            feed(machine, handled(answered), now=now / 10)
        machine.tick(now / 10)
    actions = machine.eof(30)
    if enabled:
        told = [stanza.payload for stanza in doubtful(actions)]
        assert told == [f"<body>{number}</body>" for number in range(answered, gone)]
    else:
        assert not only(actions, Doubtful)


def test_before_closing_the_last_answer_is_asked_for_and_waited_for() -> None:
    machine = counting()
    send(machine, "1", "2")
    feed(machine, handled(1))
    assert sent(machine.close(None, "done", 5)) == ASK + END
    assert feed(machine, handled(2) + END) == [Doubtful(()), Closed(None, "done", "us")]
    machine = counting()
    send(machine, "1")
    machine.close("system-shutdown", "bye", 5)
    assert len(doubtful(machine.tick(10))) == 1
    machine = counting()
    send(machine, "1")
    feed(machine, handled(1))
    assert sent(machine.close(None, "done", 5)) == END
    assert feed(machine, handled(3)) == [Doubtful(()), Closed(None, "done", "us")]


def test_an_idle_stream_is_closed_the_same_way() -> None:
    machine = counting(settings=Settings(acknowledgement_timeout=1000))
    send(machine, "1")
    assert sent(machine.tick(600)) == ASK + END


def test_so_much_may_be_unacknowledged_and_no_more() -> None:
    machine = counting()
    for number in range(5000):
        assert not machine.full
        machine.send(message(str(number)), 0)
    assert machine.full
    for number in range(5000):
        machine.send(message(str(number)), 0)
    stanza = message()
    assert machine.send(stanza, 0) == [
        Unsent(stanza, "resource-constraint", "partner.example takes stanzas too slowly")
    ]
    assert feed(machine, handled(5000)) == []
    assert machine.full
    assert feed(machine, handled(9000)) == [Room()]
    assert feed(machine, handled(9000)) == []
    assert not machine.full
    assert len(doubtful(machine.eof(1))) == 1000
