# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SASL EXTERNAL on streams that partners open (XEP-0178)."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xmpp_edge.stream.actions import Authenticated, Closed, Deliver, Pair, Refused, Send, Verify
from xmpp_edge.stream.inbound import Inbound
from xmpp_edge.stream.security import Tls, Trust
from xmpp_edge.stream.settings import Settings
from xmpp_edge.xml.escape import escape_text

from .incoming import (
    ANYTHING,
    AUTH,
    DIALBACK_IN_TLS,
    NAMELESS,
    SASL,
    SASL_ONLY,
    SASL_OR_DIALBACK,
    SUCCESS,
    encrypted,
    features,
    numbered,
    our_header,
    proven_by_sasl,
)
from .support import (
    ALSO_OURS,
    ALSO_THEIRS,
    END,
    HEADER,
    MESSAGE,
    OURS,
    PAIR,
    STRANGER,
    THEIRS,
    Partner,
    Policy,
    both_ways,
    closed,
    feed,
    kinds,
    only,
    refused,
    result,
    sent,
    tls,
)


def auth(text: str, mechanism: str = "EXTERNAL") -> str:
    return f"<auth xmlns='{SASL}' mechanism='{mechanism}'>{text}</auth>"


def encoded(authzid: str) -> str:
    return base64.b64encode(authzid.encode()).decode()


def failure(condition: str, text: str) -> str:
    return f"<failure xmlns='{SASL}'><{condition}/><text xml:lang='en'>{text}</text></failure>"


def opened(partner: Partner = SASL_OR_DIALBACK, layer: Tls | None = None) -> Inbound:
    machine = encrypted(partner, layer)
    feed(machine, HEADER)
    return machine


def test_from_the_header_to_the_first_stanza() -> None:
    machine, actions = both_ways(encrypted, HEADER + AUTH)
    assert sent(actions) == our_header(2) + features("external dialback bidi limits") + SUCCESS
    # Nothing is proven for the driver before the new stream is open.
    assert not only(actions, Authenticated)
    assert feed(machine, HEADER, 1) == [
        Send((our_header(3) + features("dialback sm limits")).encode()),
        Authenticated(PAIR, "sasl_tls", encrypted=True, trusted=True),
    ]
    assert machine.pairs == {PAIR: "sasl_tls"}
    (action,) = feed(machine, MESSAGE)
    assert isinstance(action, Deliver)
    assert action.pair == PAIR
    assert feed(machine, END) == [Send(END.encode()), Closed(None, "", "peer")]


def test_over_starttls() -> None:
    machine = numbered(SASL_ONLY)
    feed(machine, HEADER + "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    machine.secured(tls(THEIRS), 0)
    feed(machine, HEADER)
    assert sent(feed(machine, auth("="))) == SUCCESS
    assert sent(feed(machine, HEADER)) == our_header(3) + features("sm limits")
    assert machine.pairs == {PAIR: "sasl_tls"}


@pytest.mark.parametrize(
    "text", ["", "=", encoded("partner.example"), encoded("PARTNER.example."), encoded("partner\uff0eexample")]
)
def test_whom_it_may_speak_for(text: str) -> None:
    _machine, actions = both_ways(opened, auth(text))
    assert sent(actions) == SUCCESS


def test_international_names_in_both_forms() -> None:
    for authzid in ("bücher.example", "xn--bcher-kva.example", "BÜCHER.example"):
        machine = encrypted(Partner("bücher.example", auth_methods=("sasl_tls",)), tls("bücher.example"))
        feed(machine, HEADER.replace("partner.example", "xn--bcher-kva.example"))
        assert sent(feed(machine, auth(encoded(authzid)))) == SUCCESS


@pytest.mark.parametrize(
    ("element", "condition"),
    [
        (auth(encoded(ALSO_THEIRS)), "invalid-authzid"),
        (auth(encoded(STRANGER)), "invalid-authzid"),
        (auth(encoded(OURS)), "invalid-authzid"),
        (auth(encoded("juliet@partner.example")), "invalid-authzid"),
        (auth(encoded("partner.example/b")), "invalid-authzid"),
        (auth(encoded("partner.example\0")), "invalid-authzid"),
        (auth(encoded(" partner.example")), "invalid-authzid"),
        (auth(encoded("192.0.2.1")), "invalid-authzid"),
        (auth("=", "PLAIN"), "invalid-mechanism"),
        (auth("=", "external"), "invalid-mechanism"),
        (auth("=", ""), "invalid-mechanism"),
        (f"<auth xmlns='{SASL}'>=</auth>", "invalid-mechanism"),
        (auth("cGFydG5lci5leGFtcGxl="), "incorrect-encoding"),
        (auth("partner.example"), "incorrect-encoding"),
        (auth(" ="), "incorrect-encoding"),
        (auth("=="), "incorrect-encoding"),
        (auth(base64.b64encode(b"\xff").decode()), "malformed-request"),
        (auth("QUFB" * 500), "malformed-request"),
    ],
)
def test_what_fails_and_what_is_said(element: str, condition: str) -> None:
    machine, actions = both_ways(opened, element)
    assert list(kinds(actions)) == ["Refused", "Send"]
    assert refused(actions) == ["sasl_failed"]
    assert sent(actions).startswith(f"<failure xmlns='{SASL}'><{condition}/><text xml:lang='en'>")
    # Another try is not forbidden.
    assert sent(feed(machine, AUTH)) == SUCCESS


def test_an_abort_is_answered() -> None:
    _machine, actions = both_ways(opened, f"<abort xmlns='{SASL}'/>")
    assert sent(actions) == f"<failure xmlns='{SASL}'><aborted/></failure>"


def test_a_response_to_no_challenge() -> None:
    for name in ("response", "success", "challenge", "mechanisms"):
        _machine, actions = both_ways(opened, f"<{name} xmlns='{SASL}'>=</{name}>")
        assert closed(actions).condition == "unsupported-stanza-type"


def test_an_untrusted_certificate_proves_nothing() -> None:
    layer = tls(STRANGER, reason="self_signed", text="nobody signed it")
    machine = opened(SASL_OR_DIALBACK, layer)
    why = "the certificate that was presented does not prove partner.example here (self_signed): nobody signed it"
    assert feed(machine, AUTH) == [
        Refused("sasl_failed", OURS, THEIRS, f"SASL failed with not-authorized: {why}"),
        Send(failure("not-authorized", why).encode()),
    ]
    # The record leaves it dialback.
    assert only(feed(machine, result("k")), Verify) == [Verify(PAIR, "k", "id2")]
    actions = machine.verified(PAIR, "id2", "valid", None, 1)
    assert actions[-1] == Authenticated(PAIR, "tls_dialback", encrypted=True, trusted=False)


def test_the_certificate_is_judged_when_it_is_used() -> None:
    trusted = True
    layer = Tls("TLSv1.3", "x", True, True, lambda domain: Trust(trusted, "revoked", "it was revoked"))
    machine = opened(ANYTHING, layer)
    trusted = False
    assert "<not-authorized/>" in sent(feed(machine, AUTH))


def test_a_record_without_sasl() -> None:
    machine = opened(DIALBACK_IN_TLS)
    text = failure("invalid-mechanism", "the record of partner.example at this server has no SASL")
    assert sent(feed(machine, AUTH)) == text


def test_no_sasl_without_tls() -> None:
    _machine, actions = both_ways(numbered, HEADER + AUTH)
    assert refused(actions) == ["sasl_failed"]
    assert sent(actions).endswith(failure("encryption-required", "there is no SASL here without TLS"))
    assert not only(actions, Closed)


def test_no_sasl_for_those_without_a_name() -> None:
    machine = encrypted(ANYTHING)
    feed(machine, NAMELESS)
    for text in ("=", encoded(THEIRS)):
        assert f"<failure xmlns='{SASL}'><not-authorized/>" in sent(feed(machine, auth(text)))


def test_failures_are_counted() -> None:
    machine = opened()
    for _unused in range(9):
        assert not only(feed(machine, auth("!")), Closed)
    actions = feed(machine, auth("!"))
    assert closed(actions).condition == "policy-violation"
    assert closed(actions).text == "too many times: a SASL negotiation that failed"
    _machine, actions = both_ways(opened, auth("=", "PLAIN") * 30)
    assert sent(actions).count("<failure ") == 10
    assert closed(actions).condition == "policy-violation"


def test_the_count_goes_on_inside_tls() -> None:
    machine = numbered(settings=Settings(strikes=2))
    feed(machine, HEADER + AUTH)
    feed(machine, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    machine.secured(tls(THEIRS), 0)
    feed(machine, HEADER)
    assert closed(feed(machine, auth("!"))).condition == "policy-violation"


def test_the_policy_may_change_before_it_is_used() -> None:
    machine = opened()
    machine.policy = Policy(partners=())
    actions = feed(machine, AUTH)
    assert refused(actions) == ["not_a_partner"]
    assert closed(actions).condition == "policy-violation"
    assert SUCCESS not in sent(actions)
    machine = opened()
    machine.policy = Policy(partners=(DIALBACK_IN_TLS,))
    assert "<invalid-mechanism/>" in sent(feed(machine, AUTH))
    machine = opened()
    feed(machine, AUTH)
    machine.policy = Policy(partners=())
    actions = feed(machine, HEADER)
    assert refused(actions) == ["not_a_partner"]
    assert machine.pairs == {}


# After success


def succeeded() -> Inbound:
    machine = opened()
    feed(machine, AUTH)
    return machine


@pytest.mark.parametrize("behind", [MESSAGE, HEADER, HEADER + MESSAGE, "<!-- ", "<"])
def test_what_comes_behind_auth_in_one_read_is_thrown_away(behind: str) -> None:
    machine = opened()
    assert list(kinds(feed(machine, AUTH + behind))) == ["Send"]
    actions = feed(machine, HEADER)
    assert sent(actions) == our_header(3) + features("dialback sm limits")
    assert not only(actions, Deliver)


@pytest.mark.parametrize("kind", ["message", "presence", "iq"])
def test_a_stanza_where_the_new_header_has_to_come(kind: str) -> None:
    machine, actions = both_ways(succeeded, MESSAGE.replace("message", kind))
    assert closed(actions).condition == "not-authorized"
    assert sent(actions).startswith(our_header(3) + "<stream:error><not-authorized ")
    assert not only(actions, Authenticated)
    assert machine.pairs == {}


@pytest.mark.parametrize(
    "header",
    [HEADER.replace("partner", "labs.partner"), HEADER.replace("inside", "branch"), NAMELESS],
)
def test_the_header_after_success_names_the_same_domains(header: str) -> None:
    machine, actions = both_ways(succeeded, header)
    assert closed(actions).condition == "improper-addressing"
    assert machine.pairs == {}


def test_the_new_header_has_to_come_in_time() -> None:
    machine = succeeded()
    assert machine.deadline == 60
    actions = machine.tick(60)
    assert closed(actions).condition == "connection-timeout"
    assert sent(actions).startswith(our_header(3) + "<stream:error>")


def test_larger_stanzas_are_for_the_proven() -> None:
    text = MESSAGE.replace("hi", "x" * 100_000)
    assert only(feed(proven_by_sasl(), text), Deliver)
    assert closed(feed(succeeded(), HEADER.replace("to=", f"x='{'x' * 20_000}' to="))).condition == "policy-violation"


def test_it_proves_one_pair_only() -> None:
    for old, new, condition in (
        ("romeo@inside", "romeo@branch", "not-authorized"),
        ("juliet@partner", "juliet@labs.partner", "invalid-from"),
    ):
        assert closed(feed(proven_by_sasl(), MESSAGE.replace(old, new))).condition == condition


def test_once_is_enough() -> None:
    machine = proven_by_sasl()
    actions = feed(machine, AUTH)
    assert f"<failure xmlns='{SASL}'><malformed-request/>" in sent(actions)
    assert machine.pairs == {PAIR: "sasl_tls"}
    assert only(feed(machine, MESSAGE), Deliver)
    # Dialback has proven it, so SASL has nothing to add and the stream no reason to begin anew.
    machine = opened()
    feed(machine, result("k"))
    machine.verified(PAIR, "id2", "valid", None, 0)
    assert "<malformed-request/>" in sent(feed(machine, AUTH))


def test_further_pairs_by_dialback_where_the_record_has_it() -> None:
    machine = proven_by_sasl(SASL_OR_DIALBACK)
    other = Pair(ALSO_OURS, THEIRS)
    assert feed(machine, result("k", target=ALSO_OURS)) == [Verify(other, "k", "id3")]
    actions = machine.verified(other, "id3", "valid", None, 1)
    assert actions[-1] == Authenticated(other, "tls_dialback", encrypted=True, trusted=True)
    assert machine.pairs == {PAIR: "sasl_tls", other: "tls_dialback"}


@pytest.mark.parametrize("pair", [Pair(ALSO_OURS, THEIRS), Pair(OURS, ALSO_THEIRS), PAIR])
def test_no_further_pairs_where_the_record_demands_sasl(pair: Pair) -> None:
    machine = proven_by_sasl(SASL_ONLY)
    actions = feed(machine, result("k", sender=pair.remote, target=pair.local))
    assert refused(actions) == ["dialback_not_allowed"]
    assert "<not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>" in sent(actions)
    assert not only(actions, Verify)
    assert only(feed(machine, MESSAGE), Deliver)


def test_a_verification_under_way_is_forgotten_by_success() -> None:
    machine = opened()
    feed(machine, result("k"))
    feed(machine, AUTH)
    feed(machine, HEADER)
    assert machine.verified(PAIR, "id2", "invalid", None, 1) == []
    assert machine.verified(PAIR, "id3", "invalid", None, 1) == []
    assert machine.pairs == {PAIR: "sasl_tls"}


@given(st.text(max_size=60) | st.sampled_from([encoded(name) for name in (THEIRS, ALSO_THEIRS, STRANGER, OURS)]))
def test_no_response_makes_it_anybody_else(text: str) -> None:
    machine = opened()
    try:
        data = auth(escape_text(text)).encode()
    except UnicodeEncodeError:
        return
    feed(machine, data)
    if not machine.closed:
        feed(machine, HEADER)
    assert set(machine.pairs) <= {PAIR}
