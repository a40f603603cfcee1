# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stanza acknowledgements: counting in both directions, and when the peer is asked."""

from __future__ import annotations

import pytest
from xmpp_edge.stream import acks
from xmpp_edge.stream.errors import StreamError
from xmpp_edge.xml.element import Element
from xmpp_edge.xml.stanza import Stanza

SM = "urn:xmpp:sm:3"
TURN = 1 << 32


def stanzas(count: int, payload: str = "") -> list[Stanza]:
    return [Stanza("message", {"id": str(number)}, payload) for number in range(count)]


def test_the_elements() -> None:
    assert acks.ENABLE == b"<enable xmlns='urn:xmpp:sm:3'/>"
    assert acks.ENABLED == b"<enabled xmlns='urn:xmpp:sm:3'/>"
    assert acks.REQUEST == b"<r xmlns='urn:xmpp:sm:3'/>"
    assert acks.answer(7) == b"<a xmlns='urn:xmpp:sm:3' h='7'/>"
    assert acks.answer(TURN + 1) == b"<a xmlns='urn:xmpp:sm:3' h='1'/>"
    assert acks.failed("item-not-found") == (
        b"<failed xmlns='urn:xmpp:sm:3'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>"
    )


@pytest.mark.parametrize("count", [0, 1, TURN - 1])
def test_counts_that_are_read(count: int) -> None:
    assert acks.handled(Element("a", SM, {"h": str(count)})) == count


@pytest.mark.parametrize("text", [None, "", "-1", "+1", " 1", "1.0", "x", "\u0661", str(TURN), "9" * 400])
def test_counts_that_are_none(text: str | None) -> None:
    with pytest.raises(StreamError) as error:
        acks.handled(Element("a", SM, {} if text is None else {"h": text}))
    assert error.value.condition == "bad-format"


def test_what_is_told_is_what_was_handed_on_and_never_less_than_before() -> None:
    received = acks.Received()
    assert received.answer(0) == acks.answer(0)
    assert received.answer(3) == acks.answer(0)
    received.arrived = 5
    assert received.answer(3) == acks.answer(3)
    assert received.answer(2) == acks.answer(3)
    assert received.answer(9) == acks.answer(5)


def test_acknowledged_stanzas_are_forgotten_and_the_rest_is_in_doubt() -> None:
    sent = acks.Sent()
    first, second, third = stanzas(3)
    for stanza in (first, second, third):
        sent.note(stanza, 0)
    sent.acknowledged(1)
    assert len(sent) == 2
    sent.acknowledged(1)
    assert sent.take() == (second, third)
    assert sent.take() == ()


@pytest.mark.parametrize(("before", "claimed"), [(0, 3), (0, TURN - 1), (2, 1), (2, 4)])
def test_more_than_was_sent_or_less_than_before_is_an_error(before: int, claimed: int) -> None:
    sent = acks.Sent()
    for stanza in stanzas(2):
        sent.note(stanza, 0)
    sent.acknowledged(before)
    with pytest.raises(StreamError) as error:
        sent.acknowledged(claimed)
    assert error.value.condition == "undefined-condition"
    assert error.value.text == f"{claimed} stanzas are acknowledged, but 2 were sent"


def test_the_count_begins_again_after_4294967295() -> None:
    sent = acks.Sent()
    sent._counted = TURN - 2
    for stanza in stanzas(4):
        sent.note(stanza, 0)
    sent.acknowledged(TURN - 1)
    sent.acknowledged(1)
    assert [stanza.id for stanza in sent.take()] == ["3"]
    received = acks.Received()
    received.arrived = TURN + 5
    assert received.answer(TURN + 5) == acks.answer(5)


def test_the_first_stanza_after_a_silence_asks_and_the_others_wait_for_the_answer() -> None:
    sent = acks.Sent(every=100, moment=1)
    assert sent.alarm is None
    one, two, three, four, five = stanzas(5)
    assert sent.note(one, 10)
    sent.asked(10)
    assert sent.waiting == 10
    assert not sent.note(two, 30)
    assert sent.alarm is None
    assert not sent.tick(30)
    sent.acknowledged(1)
    assert sent.waiting is None
    # The moment is long over, so the next to come asks; but should none come, the clock does.
    assert sent.alarm == 11
    assert sent.tick(30)
    sent.asked(30)
    assert not sent.note(three, 30)
    sent.acknowledged(2)
    assert not sent.note(four, 30.5)
    assert sent.alarm == 31
    assert not sent.tick(30.9)
    assert sent.tick(31)
    sent.asked(31)
    sent.acknowledged(4)
    assert not sent.tick(32)
    assert sent.alarm is None
    assert sent.note(five, 32)


def test_answers_that_count_nothing_more_are_no_better_than_none() -> None:
    sent = acks.Sent(moment=1)
    for stanza in stanzas(3):
        sent.note(stanza, 0)
    sent.asked(0)
    sent.acknowledged(1)
    assert sent.waiting is None
    assert sent.tick(1)
    sent.asked(1)
    for now in range(2, 30):
        sent.acknowledged(1)
        assert sent.waiting == 1
        assert sent.tick(now)
        sent.asked(now)
    sent.acknowledged(2)
    assert sent.waiting is None
    sent.asked(30)
    sent.acknowledged(3)
    sent.asked(31)
    # There is nothing that it could count.
    sent.acknowledged(3)
    assert sent.waiting is None


def test_many_stanzas_ask_although_an_answer_is_due() -> None:
    sent = acks.Sent(every=3)
    asked = []
    for stanza in stanzas(8):
        asked.append(sent.note(stanza, 0))
        if asked[-1]:
            sent.asked(0)
    assert asked == [True, False, False, True, False, False, True, False]
    assert sent.waiting == 0


def test_it_is_full_by_number_and_by_bytes() -> None:
    sent = acks.Sent(most=3, most_bytes=1000)
    for stanza in stanzas(2, "x" * 100):
        sent.note(stanza, 0)
    assert not sent.full
    sent.note(stanzas(1)[0], 0)
    assert sent.full
    sent.acknowledged(3)
    assert not sent.full
    sent.note(stanzas(1, "x" * 1000)[0], 0)
    assert sent.full
    assert not sent.overfull
    sent.note(stanzas(1, "x" * 1000)[0], 0)
    assert sent.overfull
    sent.take()
    assert not sent.full
    for stanza in stanzas(5):
        sent.note(stanza, 0)
    assert not sent.overfull
    sent.note(stanzas(1)[0], 0)
    assert sent.overfull
