# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The partner's limits on streams that we open (XEP-0478): a stanza is lost to them, and never a stream."""

from __future__ import annotations

import pytest
from xmpp_edge.stream.actions import Send, Unsent

from .outgoing import DIALBACK, LAX, VALID, Partner, features, limits, message, outgoing, proven, written
from .support import THEIR_HEADER, THEIRS, feed

SIZE = len(written("hi"))


def test_a_stanza_over_their_limit_is_not_sent_and_the_stream_lives() -> None:
    machine = proven(limits(SIZE))
    longer = message("hi!")
    assert machine.send(longer, 1) == [
        Unsent(
            longer,
            "policy-violation",
            f"partner.example takes no more than {SIZE} bytes in one stanza; this has {SIZE + 1}",
        )
    ]
    assert machine.send(message("hi"), 1) == [Send(written("hi").encode())]


def test_bytes_are_counted_and_not_letters() -> None:
    machine = proven(limits(SIZE))
    assert isinstance(machine.send(message("hä"), 1)[0], Unsent)


def test_the_limit_after_authentication_replaces_the_one_before() -> None:
    machine = proven(limits(100_000), before=limits(10))
    assert isinstance(machine.send(message("x" * 50_000), 1)[0], Send)
    # What is not said again does not hold any more.
    machine = proven(before=limits(10))
    assert isinstance(machine.send(message("x" * 50_000), 1)[0], Send)


def test_with_dialback_the_only_features_there_are_count() -> None:
    machine = outgoing(LAX)
    feed(machine, THEIR_HEADER + features(DIALBACK, limits(SIZE)) + VALID)
    assert isinstance(machine.send(message("hi"), 1)[0], Send)
    assert isinstance(machine.send(message("hi!"), 1)[0], Unsent)


@pytest.mark.parametrize("text", ["", "-1", "1e3", "many", "9" * 16, "\u0661"])
def test_a_limit_that_is_no_number_is_none(text: str) -> None:
    machine = proven(limits(text, text))
    assert isinstance(machine.send(message("x" * 50_000), 1)[0], Send)
    assert machine.deadline == 151


@pytest.mark.parametrize(
    ("seconds", "pause"), [(None, 150), (600, 150), (300, 150), (100, 50), (5, 2.5), (1, 1), (0, 150)]
)
def test_keep_alives_come_before_they_take_us_for_idle(seconds: int | None, pause: float) -> None:
    machine = proven(limits(None, seconds))
    assert machine.deadline == pause
    assert machine.tick(pause) == [Send(b" ")]


def test_no_keep_alives_where_the_record_says_so() -> None:
    partner = Partner(THEIRS, tls="required", keepalive=False, auth_methods=("sasl_tls",))
    assert proven(limits(None, 60), partner=partner).deadline == 600
