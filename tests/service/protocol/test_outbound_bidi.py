# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stanzas both ways on a stream that we open (XEP-0288): only from a partner whose certificate proves it."""

from __future__ import annotations

import pytest
from xmpp_edge.stream.actions import Authenticated, Closed, Deliver, Send
from xmpp_edge.stream.outbound import Outbound
from xmpp_edge.stream.settings import Settings
from xmpp_edge.xml.limits import Limits

from .outgoing import (
    AFTER_SASL,
    AFTER_TLS,
    ASK_BIDI,
    AUTH,
    BIDI,
    DIALBACK,
    DIALBACK_OVER_TLS,
    EXTERNAL,
    FAILURE,
    LAX,
    OVER_TLS,
    STRICT,
    SUCCESS,
    VALID,
    Judge,
    features,
    message,
    outgoing,
    proven,
    secured,
    written,
)
from .support import END, MESSAGE, PAIR, THEIR_HEADER, Partner, both_ways, closed, feed, only, refused, sent


def both() -> Outbound:
    """A stream on which stanzas go both ways."""
    machine = secured(STRICT)
    assert sent(feed(machine, AFTER_TLS + features(EXTERNAL, BIDI))) == ASK_BIDI + AUTH
    feed(machine, SUCCESS)
    assert feed(machine, AFTER_SASL + features()) == [
        Authenticated(PAIR, "sasl_tls", encrypted=True, trusted=True, bidi=True)
    ]
    return machine


def test_stanzas_go_both_ways() -> None:
    machine, actions = both_ways(both, MESSAGE)
    (delivered,) = actions
    assert isinstance(delivered, Deliver)
    assert delivered.pair == PAIR
    assert (str(delivered.stanza.from_), str(delivered.stanza.to)) == (
        "juliet@partner.example/b",
        "romeo@inside.example",
    )
    assert machine.send(message(), 1) == [Send(written().encode())]


def test_it_is_not_asked_for_where_it_is_not_offered() -> None:
    assert sent(feed(secured(STRICT), AFTER_TLS + features(EXTERNAL))) == AUTH


@pytest.mark.parametrize(
    ("partner", "options"),
    [(DIALBACK_OVER_TLS, {}), (OVER_TLS, {"judge": Judge(())}), (OVER_TLS, {"avoid": {"sasl_tls"}})],
)
def test_it_is_not_asked_for_without_sasl_and_trust(partner: Partner, options: dict) -> None:
    machine = secured(partner, **options)
    assert "bidi" not in sent(feed(machine, AFTER_TLS + features(EXTERNAL, DIALBACK, BIDI)))
    (said,) = feed(machine, VALID)
    assert isinstance(said, Authenticated)
    assert not said.bidi
    assert closed(feed(machine, MESSAGE)).condition == "not-authorized"


def test_it_is_not_asked_for_without_tls() -> None:
    machine = outgoing(LAX)
    assert "bidi" not in sent(feed(machine, THEIR_HEADER + features(EXTERNAL, DIALBACK, BIDI)))


def test_no_stanzas_come_where_it_was_not_asked_for() -> None:
    actions = feed(proven(), MESSAGE)
    assert closed(actions).condition == "not-authorized"
    assert not only(actions, Deliver)


def test_it_stays_asked_for_when_sasl_fails_and_the_certificate_proves_them_all_the_same() -> None:
    machine = secured(OVER_TLS)
    feed(machine, AFTER_TLS + features(EXTERNAL, DIALBACK, BIDI))
    assert feed(machine, FAILURE + VALID)[-1] == Authenticated(
        PAIR, "tls_dialback", encrypted=True, trusted=True, bidi=True
    )
    assert only(feed(machine, MESSAGE), Deliver)


def test_no_stanza_comes_before_we_are_proven() -> None:
    machine = secured(STRICT)
    feed(machine, AFTER_TLS + features(EXTERNAL, BIDI))
    assert closed(feed(machine, MESSAGE)).condition == "not-authorized"
    machine = secured(STRICT)
    feed(machine, AFTER_TLS + features(EXTERNAL, BIDI) + SUCCESS)
    actions = feed(machine, AFTER_SASL + MESSAGE)
    assert closed(actions).condition == "not-authorized"
    assert not only(actions, Deliver)


@pytest.mark.parametrize(
    ("old", "new", "condition", "reasons"),
    [
        ("juliet@partner", "juliet@labs.partner", "invalid-from", ["from_not_proven"]),
        ("juliet@partner.example", "juliet@inside.example", "invalid-from", ["from_not_proven"]),
        ("romeo@inside", "romeo@branch", "not-authorized", ["pair_not_proven"]),
        ("romeo@inside.example", "romeo@stranger.example", "not-authorized", ["pair_not_proven"]),
        ("to='romeo@inside.example'", "to='juliet@partner.example'", "not-authorized", ["pair_not_proven"]),
        (" from='juliet@partner.example/b'", "", "improper-addressing", []),
        (" to='romeo@inside.example'", "", "improper-addressing", []),
        ("romeo@inside", "@inside", "improper-addressing", []),
    ],
)
def test_addresses_that_are_not_those_of_the_pair(old: str, new: str, condition: str, reasons: list[str]) -> None:
    """Cases 81 to 83, on a stream of ours."""
    _machine, actions = both_ways(both, MESSAGE.replace(old, new))
    assert closed(actions).condition == condition
    assert refused(actions) == reasons
    assert not only(actions, Deliver)


def test_addresses_are_delivered_in_their_canonical_form() -> None:
    (delivered,) = feed(
        both(), MESSAGE.replace("juliet@partner", "JULIET@Partner").replace("romeo@inside", "Romeo@INSIDE")
    )
    assert isinstance(delivered, Deliver)
    assert (str(delivered.stanza.from_), str(delivered.stanza.to)) == (
        "juliet@partner.example/b",
        "romeo@inside.example",
    )


def test_what_the_partner_may_send_at_once() -> None:
    """The limits after authentication count, and the ones we have told."""
    settings = Settings(after=Limits(size=20_000, elements=100, depth=10, tag=10_000))
    machine = proven(before=BIDI, settings=settings)
    assert only(feed(machine, MESSAGE.replace("hi", "x" * 19_000)), Deliver)
    assert closed(feed(machine, MESSAGE.replace("hi", "x" * 20_000))).condition == "policy-violation"
    machine = secured(STRICT, settings=settings)
    assert "<max-bytes>20000</max-bytes>" in sent(feed(machine, AFTER_TLS + features(EXTERNAL, BIDI)))
    # Nobody who sends us no stanzas has anything of that size to say.
    assert closed(feed(proven(), MESSAGE.replace("hi", "x" * 19_000))).condition == "policy-violation"


def test_stanzas_that_come_keep_the_stream_open() -> None:
    machine = both()
    assert feed(machine, MESSAGE, now=500)
    assert machine.tick(600) == [Send(b" ")]
    assert machine.tick(1100) == [Send(END.encode())]


def test_stanzas_still_come_while_we_close_in_order() -> None:
    machine = both()
    assert machine.close(None, "done", 1) == [Send(END.encode())]
    assert only(feed(machine, MESSAGE), Deliver)
    assert feed(machine, END) == [Closed(None, "done", "us")]
    machine = both()
    machine.close("policy-violation", "no more", 1)
    assert feed(machine, MESSAGE) == []
