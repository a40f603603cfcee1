# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS on streams that we open: when it is used, and that nothing goes out plain where the record demands it."""

from __future__ import annotations

import pytest
from xmpp_edge.stream.actions import Authenticated, Closed, Failed, Refused, Send, StartTls, Verified
from xmpp_edge.stream.outbound import Outbound
from xmpp_edge.stream.security import Credentials
from xmpp_edge.stream.settings import Settings

from .outgoing import (
    AFTER_SASL,
    AFTER_TLS,
    AUTH,
    DEMAND_TLS,
    DIALBACK,
    DIALBACK_OVER_TLS,
    EXTERNAL,
    LAX,
    NO_DB,
    OFFER_TLS,
    OPENING,
    OVER_TLS,
    PLAIN,
    PROCEED,
    STARTTLS,
    STRICT,
    SUCCESS,
    VALID,
    Judge,
    features,
    outgoing,
    secured,
    tls,
)
from .support import (
    END,
    PAIR,
    SECRET,
    STREAM_ID,
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

PLAIN_ONLY = Partner(THEIRS)
TLS_FAILURE = "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
START = StartTls("inside.example", "partner.example")


def result(stream_id: str) -> str:
    key = our_key(stream_id=stream_id)
    return f"<db:result from='inside.example' to='partner.example'>{key}</db:result>"


def test_from_the_first_header_to_the_proof_by_sasl() -> None:
    judge = Judge()
    machine = Outbound(PAIR, "stanzas", STRICT, Credentials(SECRET, certificate=True), Settings(), 0)
    assert machine.connected(0) == [Send(OPENING.encode())]
    assert feed(machine, THEIR_HEADER + features(DEMAND_TLS)) == [Send(STARTTLS.encode())]
    assert feed(machine, PROCEED) == [START]
    assert machine.secured(tls(judge), 1) == [Send(OPENING.encode())]
    assert feed(machine, AFTER_TLS + features(EXTERNAL)) == [Send(AUTH.encode())]
    assert feed(machine, SUCCESS) == [Send(OPENING.encode())]
    assert not machine.established
    assert feed(machine, AFTER_SASL) == []
    assert not machine.established
    assert feed(machine, features()) == [Authenticated(PAIR, "sasl_tls", encrypted=True, trusted=True)]
    assert machine.established
    assert judge.asked == [THEIRS]
    assert machine.stream_id == "after-sasl"
    assert machine.retry_without is None


@pytest.mark.parametrize("offer", [OFFER_TLS, DEMAND_TLS])
@pytest.mark.parametrize(
    ("purpose", "partner"),
    [("stanzas", partner) for partner in (STRICT, OVER_TLS, DIALBACK_OVER_TLS, LAX)]
    + [("verify", partner) for partner in (OVER_TLS, DIALBACK_OVER_TLS, LAX)],
)
def test_tls_is_used_wherever_it_is_offered_and_the_record_knows_it(purpose: str, partner: Partner, offer: str) -> None:
    _machine, actions = both_ways(
        lambda: outgoing(partner, purpose), THEIR_HEADER + features(offer, DIALBACK, EXTERNAL) + PROCEED
    )
    assert actions == [Send(STARTTLS.encode()), START]


@pytest.mark.parametrize("offer", [[], [DIALBACK], [EXTERNAL], [EXTERNAL, DIALBACK]])
@pytest.mark.parametrize("partner", [STRICT, OVER_TLS, DIALBACK_OVER_TLS])
def test_where_tls_is_demanded_nothing_goes_out_plain(partner: Partner, offer: list[str]) -> None:
    """Also when somebody on the way has taken the offer out: cases 38, 39 and 45."""
    _machine, actions = both_ways(lambda: outgoing(partner), THEIR_HEADER + features(*offer))
    text = "partner.example offers no TLS, and its record here demands it"
    assert only(actions, Refused) == [Refused("tls_not_offered", "inside.example", THEIRS, text)]
    assert only(actions, Failed) == [Failed(PAIR, "not-allowed", text)]
    assert closed(actions) == Closed("policy-violation", text, "us")
    assert sent(actions).startswith("<stream:error><policy-violation ")


def test_a_server_from_before_version_1_0_has_no_tls() -> None:
    old = THEIR_HEADER.replace(" version='1.0'>", ">")
    _machine, actions = both_ways(lambda: outgoing(OVER_TLS), old)
    assert refused(actions) == ["tls_not_offered"]
    _machine, actions = both_ways(lambda: outgoing(LAX), old + VALID)
    assert only(actions, Authenticated) == [Authenticated(PAIR, "tcp_dialback")]


def test_questions_do_not_go_out_plain_either() -> None:
    machine = outgoing(OVER_TLS, "verify")
    machine.verify(PAIR, "k", STREAM_ID, 0)
    actions = feed(machine, THEIR_HEADER + features(DIALBACK))
    assert "db:verify" not in sent(actions)
    assert only(actions, Verified) == [Verified(PAIR, STREAM_ID, "error", "policy-violation")]


def test_without_an_offer_of_tls_a_lax_record_goes_on_plain() -> None:
    machine, actions = both_ways(lambda: outgoing(LAX), THEIR_HEADER + features(EXTERNAL, DIALBACK) + VALID)
    assert actions == [Send(result("417GAF25").encode()), Authenticated(PAIR, "tcp_dialback")]
    assert machine.tls is None


def test_a_partner_that_demands_tls_against_its_record_is_refused() -> None:
    for partner, avoid, why in (
        (PLAIN_ONLY, (), "and its record here says that it has none"),
        (LAX, ("tls",), "which has failed before"),
    ):
        machine = outgoing(partner, avoid=avoid)
        actions = feed(machine, THEIR_HEADER + features(DEMAND_TLS, DIALBACK))
        text = f"partner.example demands TLS, {why}"
        assert only(actions, Refused) == [Refused("tls_demanded", "inside.example", THEIRS, text)]
        assert only(actions, Failed) == [Failed(PAIR, "not-allowed", text)]
        assert closed(actions).condition == "unsupported-feature"


def test_an_optional_offer_is_passed_over_where_the_record_has_no_tls() -> None:
    actions = feed(outgoing(PLAIN_ONLY), THEIR_HEADER + features(OFFER_TLS, DIALBACK))
    assert actions == [Send(result("417GAF25").encode())]


def test_tls_that_has_failed_is_left_out_only_where_the_record_can_do_without() -> None:
    offers = THEIR_HEADER + features(OFFER_TLS, DIALBACK)
    assert feed(outgoing(LAX, avoid={"tls"}), offers) == [Send(result("417GAF25").encode())]
    for partner in (STRICT, OVER_TLS, DIALBACK_OVER_TLS):
        assert feed(outgoing(partner, avoid={"tls"}), offers) == [Send(STARTTLS.encode())]


def test_what_comes_with_proceed_is_thrown_away() -> None:
    """Case 40: whatever stands there was not said inside TLS."""
    machine, actions = both_ways(
        lambda: outgoing(LAX), THEIR_HEADER + features(OFFER_TLS, DIALBACK) + PROCEED + " \r\n"
    )
    assert actions == [Send(STARTTLS.encode()), START]
    machine = outgoing(LAX)
    feed(machine, THEIR_HEADER + features(OFFER_TLS, DIALBACK))
    assert feed(machine, PROCEED + THEIR_HEADER + features(DIALBACK) + VALID) == [START]
    assert machine.secured(tls(), 0) == [Send(OPENING.encode())]
    assert feed(machine, VALID) != []
    assert not machine.established


def test_plain_text_where_tls_was_agreed_upon_ends_the_stream() -> None:
    machine = outgoing(LAX)
    feed(machine, THEIR_HEADER + features(OFFER_TLS) + PROCEED)
    actions = feed(machine, THEIR_HEADER + features(DIALBACK) + VALID)
    assert sent(actions) == ""
    assert closed(actions).condition == "policy-violation"


@pytest.mark.parametrize(("partner", "without"), [(LAX, "tls"), (OVER_TLS, None), (STRICT, None)])
def test_failure_instead_of_proceed_closes(partner: Partner, without: str | None) -> None:
    """Case 41."""
    machine, actions = both_ways(lambda: outgoing(partner), THEIR_HEADER + features(OFFER_TLS, DIALBACK) + TLS_FAILURE)
    text = "partner.example offers TLS, and fails to begin it"
    assert actions == [
        Send(STARTTLS.encode()),
        Refused("tls_failed", "inside.example", THEIRS, text),
        Failed(PAIR, "remote-server-timeout", text),
        Send(END.encode()),
    ]
    assert machine.retry_without == without
    assert feed(machine, END) == [Closed(None, text, "us")]


def test_failure_of_the_handshake() -> None:
    for partner, without in ((LAX, "tls"), (OVER_TLS, None)):
        machine = outgoing(partner)
        feed(machine, THEIR_HEADER + features(OFFER_TLS) + PROCEED)
        actions = machine.tls_failed("no shared cipher", 1)
        assert actions == [
            Refused("tls_failed", "inside.example", THEIRS, "no shared cipher"),
            Failed(PAIR, "remote-server-timeout", "no shared cipher"),
            Closed("tls_failed", "no shared cipher", "us"),
        ]
        assert machine.retry_without == without


def test_a_connection_that_ends_in_the_handshake() -> None:
    machine = outgoing(LAX)
    feed(machine, THEIR_HEADER + features(OFFER_TLS) + PROCEED)
    assert list(kinds(machine.eof(1))) == ["Failed", "Closed"]
    assert machine.retry_without == "tls"


def test_time_is_up_in_the_handshake_and_nothing_plain_is_said() -> None:
    machine = outgoing(LAX)
    feed(machine, THEIR_HEADER + features(OFFER_TLS) + PROCEED)
    assert machine.deadline == 60
    actions = machine.tick(60)
    assert list(kinds(actions)) == ["Failed", "Closed"]
    machine = outgoing(LAX)
    feed(machine, THEIR_HEADER + features(OFFER_TLS) + PROCEED)
    assert list(kinds(machine.close("system-shutdown", "bye", 1))) == ["Failed", "Closed"]


@pytest.mark.parametrize(
    "text",
    [
        PROCEED,
        features(OFFER_TLS) + VALID.replace("db:result", "proceed"),
        features(OFFER_TLS) + "<abort xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        features(DIALBACK) + PROCEED,
        features(OFFER_TLS) + features(OFFER_TLS),
    ],
)
def test_what_does_not_belong_there(text: str) -> None:
    _machine, actions = both_ways(lambda: outgoing(LAX), THEIR_HEADER + text)
    assert closed(actions).condition == "unsupported-stanza-type"
    assert not only(actions, StartTls)


def test_an_answer_between_starttls_and_proceed_proves_nothing() -> None:
    machine = outgoing(LAX)
    assert refused(feed(machine, THEIR_HEADER + features(OFFER_TLS, DIALBACK) + VALID)) == ["dialback_unsolicited"]
    assert feed(machine, PROCEED) == [START]


def test_an_offer_of_tls_inside_tls_means_nothing() -> None:
    """Case 42, from the other side."""
    assert sent(feed(secured(STRICT), AFTER_TLS + features(DEMAND_TLS, EXTERNAL))) == AUTH


# Direct TLS (XEP-0368)


def test_direct_tls_has_one_header_fewer() -> None:
    machine = Outbound(PAIR, "stanzas", STRICT, Credentials(SECRET, certificate=True), Settings(), 0)
    assert machine.secured(tls(direct=True), 0) == []
    assert machine.connected(0) == [Send(OPENING.encode())]
    assert feed(machine, AFTER_TLS + features(EXTERNAL)) == [Send(AUTH.encode())]


def test_direct_tls_that_fails_says_nothing() -> None:
    machine = Outbound(PAIR, "stanzas", LAX, Credentials(SECRET), Settings(), 0)
    assert list(kinds(machine.tls_failed("no shared cipher", 0))) == ["Refused", "Failed", "Closed"]
    assert machine.connected(0) == []


def test_direct_tls_for_a_record_without_tls_is_refused() -> None:
    machine = Outbound(PAIR, "stanzas", PLAIN_ONLY, Credentials(SECRET), Settings(), 0)
    machine.secured(tls(direct=True), 0)
    machine.connected(0)
    actions = feed(machine, AFTER_TLS + features(DIALBACK, EXTERNAL))
    assert refused(actions) == ["tls_not_supported"]
    assert only(actions, Failed)[0].text == "the record of partner.example here leaves TLS out"


# Dialback over TLS


@pytest.mark.parametrize("trusts", [(), (THEIRS,)])
def test_dialback_over_tls_needs_no_trust_and_tells_what_there_is(trusts: tuple[str, ...]) -> None:
    machine = secured(DIALBACK_OVER_TLS, judge=Judge(trusts), certificate=False)
    assert sent(feed(machine, AFTER_TLS + features(EXTERNAL, DIALBACK))) == result("after-tls")
    assert feed(machine, VALID) == [Authenticated(PAIR, "tls_dialback", encrypted=True, trusted=bool(trusts))]


def test_the_key_is_for_the_stream_inside_tls() -> None:
    machine = secured(DIALBACK_OVER_TLS)
    assert result("after-tls") != result("417GAF25")
    assert sent(feed(machine, AFTER_TLS + features(DIALBACK))) == result("after-tls")


def test_dialback_named_by_the_header_alone() -> None:
    assert sent(feed(secured(DIALBACK_OVER_TLS), AFTER_TLS + features())) == result("after-tls")
    actions = feed(secured(DIALBACK_OVER_TLS), AFTER_TLS.replace(NO_DB, "") + features())
    assert refused(actions) == ["no_common_method"]


@pytest.mark.parametrize("partner", [OVER_TLS, DIALBACK_OVER_TLS, LAX])
def test_questions_over_tls_need_no_trust(partner: Partner) -> None:
    judge = Judge(trusts=())
    machine = secured(partner, "verify", judge, certificate=False)
    assert machine.verify(PAIR, "k1", "1", 0) == []
    question = "<db:verify from='inside.example' to='partner.example' id='1'>k1</db:verify>"
    assert sent(feed(machine, AFTER_TLS + features(EXTERNAL, DIALBACK))) == question
    assert machine.established
    answer = "<db:verify from='partner.example' to='inside.example' id='1' type='valid'/>"
    assert feed(machine, answer) == [Verified(PAIR, "1", "valid")]
    assert judge.asked == []


def test_there_are_no_questions_to_a_partner_without_dialback() -> None:
    machine = outgoing(STRICT, "verify")
    machine.verify(PAIR, "k", "1", 0)
    actions = feed(machine, THEIR_HEADER + features(OFFER_TLS, DIALBACK))
    assert refused(actions) == ["dialback_not_allowed"]
    assert only(actions, Verified) == [Verified(PAIR, "1", "error", "policy-violation")]
    assert "db:verify" not in sent(actions)


# Nothing is left

DEMANDS = "the record of partner.example here takes "
NOTHING_LEFT = [
    (STRICT, [DIALBACK], {}, "no_common_method", "unsupported-feature", "SASL EXTERNAL over TLS",
     "dialback; perhaps it does not trust our certificate"),
    (STRICT, [PLAIN], {}, "no_common_method", "unsupported-feature", "SASL EXTERNAL over TLS",
     "SASL PLAIN; perhaps it does not trust our certificate"),
    (STRICT, [EXTERNAL, DIALBACK], {"judge": Judge(())}, "not_trusted", "not-authorized", "SASL EXTERNAL over TLS",
     "SASL EXTERNAL and dialback; its certificate is not trusted (expired): it was valid until 2026-01-31"),
    (STRICT, [EXTERNAL], {"certificate": False}, "no_certificate", "internal-server-error", "SASL EXTERNAL over TLS",
     "SASL EXTERNAL; this edge has no certificate to show"),
    (DIALBACK_OVER_TLS, [EXTERNAL], {}, "no_common_method", "unsupported-feature", "dialback over TLS",
     "SASL EXTERNAL"),
    (OVER_TLS, [], {}, "no_common_method", "unsupported-feature", "SASL EXTERNAL over TLS or dialback over TLS",
     "neither SASL nor dialback; SASL EXTERNAL over TLS: perhaps it does not trust our certificate"),
    (OVER_TLS, [EXTERNAL], {"judge": Judge(())}, "no_common_method", "unsupported-feature",
     "SASL EXTERNAL over TLS or dialback over TLS",
     "SASL EXTERNAL; SASL EXTERNAL over TLS: its certificate is not trusted (expired): it was valid until 2026-01-31"),
]  # fmt: skip


@pytest.mark.parametrize(("partner", "offers", "options", "reason", "condition", "demanded", "offered"), NOTHING_LEFT)
def test_why_no_method_is_left_is_told_exactly(
    partner: Partner, offers: list[str], options: dict, reason: str, condition: str, demanded: str, offered: str
) -> None:
    actions = feed(secured(partner, **options), AFTER_TLS.replace(NO_DB, "") + features(*offers))
    text = f"{DEMANDS}{demanded}, and partner.example offers {offered}"
    assert only(actions, Refused) == [Refused(reason, "inside.example", THEIRS, text)]
    bounce = "internal-server-error" if condition == "internal-server-error" else "not-allowed"
    assert only(actions, Failed) == [Failed(PAIR, bounce, text)]
    assert closed(actions) == Closed(condition, text, "us")


def test_what_a_lax_record_may_try_next() -> None:
    """Over TLS nothing was left; without it there may be, and the record says that it may be so."""
    machine = secured(LAX, judge=Judge(()))
    feed(machine, AFTER_TLS.replace(NO_DB, "") + features(EXTERNAL))
    assert machine.retry_without == "tls"


def test_a_peer_that_closes_inside_tls_would_do_so_without_as_well() -> None:
    for text in (END, "<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"):
        machine = secured(LAX)
        feed(machine, AFTER_TLS + text)
        assert machine.closed
        assert machine.retry_without is None


def test_plain_streams_without_dialback() -> None:
    actions = feed(outgoing(PLAIN_ONLY), THEIR_HEADER.replace(NO_DB, "") + features(EXTERNAL))
    text = f"{DEMANDS}dialback without TLS, and partner.example offers SASL EXTERNAL"
    assert only(actions, Failed) == [Failed(PAIR, "not-allowed", text)]
