# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SASL EXTERNAL on streams that we open, and what is left when it fails."""

from __future__ import annotations

import pytest
from xmpp_edge.stream.actions import Authenticated, Closed, Failed, Refused, Send

from .outgoing import (
    AFTER_SASL,
    AFTER_TLS,
    AUTH,
    DIALBACK,
    EXTERNAL,
    FAILURE,
    LAX,
    NO_DB,
    OPENING,
    OVER_TLS,
    STRICT,
    SUCCESS,
    VALID,
    Judge,
    features,
    outgoing,
    secured,
)
from .support import (
    END,
    MESSAGE,
    PAIR,
    THEIR_HEADER,
    THEIRS,
    Partner,
    both_ways,
    closed,
    feed,
    kinds,
    only,
    our_key,
    refused,
    sent,
)

RESULT = f"<db:result from='inside.example' to='partner.example'>{our_key(stream_id='after-tls')}</db:result>"
CHALLENGE = "<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"
RESPONSE = "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>aW5zaWRlLmV4YW1wbGU=</response>"
REFUSED = "partner.example has refused it: not-authorized (your certificate has expired)"
DEMANDS = "the record of partner.example here takes SASL EXTERNAL over TLS"


def authenticating(partner: Partner, *offers: str) -> object:
    """EXTERNAL has been chosen."""
    machine = secured(partner)
    assert sent(feed(machine, AFTER_TLS + features(EXTERNAL, *offers))) == AUTH
    return machine


def test_sasl_goes_before_dialback() -> None:
    authenticating(LAX, DIALBACK)


@pytest.mark.parametrize("partner", [OVER_TLS, LAX])
@pytest.mark.parametrize(
    "options", [{"judge": Judge(())}, {"certificate": False}, {"avoid": {"sasl_tls"}}], ids=["trust", "ours", "avoid"]
)
def test_dialback_goes_on_where_sasl_cannot(partner: Partner, options: dict) -> None:
    machine = secured(partner, **options)
    assert sent(feed(machine, AFTER_TLS + features(EXTERNAL, DIALBACK))) == RESULT
    trusted = "judge" not in options
    assert feed(machine, VALID) == [Authenticated(PAIR, "tls_dialback", encrypted=True, trusted=trusted)]


def test_required_sasl_is_not_avoided() -> None:
    assert sent(feed(secured(STRICT, avoid={"sasl_tls"}), AFTER_TLS + features(EXTERNAL, DIALBACK))) == AUTH


@pytest.mark.parametrize("partner", [OVER_TLS, LAX])
def test_after_a_failure_dialback_goes_on_on_the_same_stream(partner: Partner) -> None:
    _machine, actions = both_ways(lambda: authenticating(partner, DIALBACK), FAILURE + VALID)
    assert actions == [
        Send(RESULT.encode()),
        Authenticated(PAIR, "tls_dialback", encrypted=True, trusted=True),
    ]


def test_after_a_failure_required_sasl_is_the_end() -> None:
    machine, actions = both_ways(lambda: authenticating(STRICT, DIALBACK), FAILURE)
    text = f"{DEMANDS}, and partner.example offers SASL EXTERNAL and dialback; {REFUSED}"
    assert actions == [
        Refused("sasl_failed", "inside.example", THEIRS, text),
        Failed(PAIR, "not-allowed", text),
        Send(END.encode()),
    ]
    assert machine.retry_without is None
    assert feed(machine, END) == [Closed(None, text, "us")]


def test_after_a_failure_without_an_offer_of_dialback() -> None:
    machine = secured(OVER_TLS)
    feed(machine, AFTER_TLS.replace(NO_DB, "") + features(EXTERNAL))
    (failed,) = only(feed(machine, FAILURE), Failed)
    assert failed.text == (
        f"{DEMANDS} or dialback over TLS, and partner.example offers SASL EXTERNAL; SASL EXTERNAL over TLS: {REFUSED}"
    )
    # On a new connection, where we choose something else from the start, dialback may be offered.
    assert machine.retry_without == "sasl_tls"


@pytest.mark.parametrize(("partner", "without"), [(STRICT, None), (OVER_TLS, "sasl_tls"), (LAX, "sasl_tls")])
@pytest.mark.parametrize("said", ["", SUCCESS, SUCCESS + AFTER_SASL, END])
def test_a_peer_that_goes_away_over_it(partner: Partner, without: str | None, said: str) -> None:
    machine = secured(partner)
    feed(machine, AFTER_TLS + features(EXTERNAL))
    for part in said.partition(SUCCESS):
        feed(machine, part)
    machine.eof(1)
    assert machine.closed
    assert machine.retry_without == without


def test_a_server_that_asks_for_the_response_again() -> None:
    machine = authenticating(STRICT)
    assert feed(machine, CHALLENGE) == [Send(RESPONSE.encode())]
    assert closed(feed(machine, CHALLENGE)).condition == "unsupported-stanza-type"


def test_success_may_carry_data_that_says_nothing() -> None:
    assert sent(feed(authenticating(STRICT), SUCCESS.replace("/>", ">=</success>"))) == OPENING


@pytest.mark.parametrize("element", [SUCCESS, FAILURE, CHALLENGE])
def test_sasl_that_was_never_begun(element: str) -> None:
    """Case 67: on every stream that we open, at every step."""
    for begin in (
        lambda: outgoing(LAX),
        lambda: secured(LAX),
    ):
        machine, actions = both_ways(begin, AFTER_TLS + element)
        assert refused(actions) == ["sasl_unsolicited"]
        assert closed(actions).condition == "unsupported-stanza-type"
        assert not machine.established
        assert not only(actions, Authenticated)
    machine = outgoing(LAX)
    feed(machine, THEIR_HEADER + features(DIALBACK))
    assert refused(feed(machine, element)) == ["sasl_unsolicited"]
    machine = secured(LAX)
    feed(machine, AFTER_TLS + features(DIALBACK))
    assert refused(feed(machine, element)) == ["sasl_unsolicited"]


def test_success_twice() -> None:
    machine = authenticating(STRICT)
    feed(machine, SUCCESS)
    assert refused(feed(machine, AFTER_SASL + SUCCESS)) == ["sasl_unsolicited"]
    machine = authenticating(STRICT)
    feed(machine, SUCCESS)
    feed(machine, AFTER_SASL + features())
    assert machine.established
    actions = feed(machine, SUCCESS)
    assert refused(actions) == ["sasl_unsolicited"]
    assert list(kinds(actions)) == ["Refused", "Send", "Closed"]


def test_what_comes_with_success_is_thrown_away() -> None:
    machine = authenticating(STRICT)
    assert sent(feed(machine, SUCCESS + features())) == OPENING
    assert not machine.established
    assert only(feed(machine, AFTER_SASL + features()), Authenticated)


@pytest.mark.parametrize("text", [MESSAGE, features(EXTERNAL), VALID])
def test_nothing_but_an_answer_counts_while_we_wait_for_it(text: str) -> None:
    machine, actions = both_ways(lambda: authenticating(LAX, DIALBACK), text)
    assert not only(actions, Authenticated)
    assert not machine.established


def test_an_answer_to_a_key_that_was_not_sent_is_no_proof() -> None:
    """Case 68, where SASL is under way."""
    machine = authenticating(LAX, DIALBACK)
    assert refused(feed(machine, VALID)) == ["dialback_unsolicited"]
    feed(machine, SUCCESS)
    assert refused(feed(machine, AFTER_SASL + VALID)) == ["dialback_unsolicited"]
    assert not machine.established
    assert only(feed(machine, features()), Authenticated)


def test_the_header_after_sasl_is_looked_at_as_well() -> None:
    machine = authenticating(STRICT)
    feed(machine, SUCCESS)
    actions = feed(machine, AFTER_SASL.replace("from='partner", "from='stranger") + features())
    assert closed(actions).condition == "invalid-from"
    assert only(actions, Failed)


def test_a_header_after_sasl_from_before_version_1_0_has_no_features() -> None:
    machine = authenticating(STRICT)
    feed(machine, SUCCESS)
    assert only(feed(machine, AFTER_SASL.replace(" version='1.0'>", ">")), Authenticated)


def test_time_is_up_for_features_after_sasl_as_well() -> None:
    machine = authenticating(STRICT)
    feed(machine, SUCCESS)
    feed(machine, AFTER_SASL)
    assert machine.deadline == 60
    assert only(machine.tick(60), Failed)


def test_mechanisms_on_a_plain_stream_are_not_used() -> None:
    """Case 45."""
    actions = feed(outgoing(LAX), THEIR_HEADER + features(EXTERNAL, DIALBACK))
    assert "<auth" not in sent(actions)
    assert "<db:result" in sent(actions)
