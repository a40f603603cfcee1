# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dialback on inbound streams as the record has it: plain, inside TLS, or not at all."""

from __future__ import annotations

from itertools import product

import pytest
from xmpp_edge.records.partner import auth_methods
from xmpp_edge.stream import dialback
from xmpp_edge.stream.actions import Authenticated, Closed, Deliver, Pair, Send, Verify
from xmpp_edge.stream.inbound import Inbound
from xmpp_edge.stream.security import Credentials
from xmpp_edge.stream.settings import Settings

from .incoming import (
    ANYTHING,
    AUTH,
    DIALBACK_IN_TLS,
    FEATURE,
    NAMELESS,
    NO_TLS,
    SASL_ONLY,
    SASL_OR_DIALBACK,
    encrypted,
    numbered,
    proven_by_sasl,
)
from .support import (
    ALSO_OURS,
    HEADER,
    MESSAGE,
    OURS,
    PAIR,
    STRANGER,
    THEIRS,
    Partner,
    both_ways,
    closed,
    feed,
    only,
    refused,
    result,
    sent,
    tls,
)

FRIEND = "friend.example"
VALID = "<db:result from='inside.example' to='partner.example' type='valid'/>"


def verify(key: str, sender: str = THEIRS, target: str = OURS, stream_id: str = "417GAF25") -> str:
    return f"<db:verify from='{sender}' to='{target}' id='{stream_id}'>{key}</db:verify>"


def key(secret: str, receiving: str = THEIRS) -> str:
    return dialback.key(secret, receiving, OURS, "417GAF25")


@pytest.mark.parametrize("proves", [True, False])
def test_inside_tls(proves: bool) -> None:
    machine, _actions = both_ways(lambda: encrypted(DIALBACK_IN_TLS, tls(THEIRS if proves else STRANGER)), HEADER)
    assert feed(machine, result("k")) == [Verify(PAIR, "k", "id2")]
    assert machine.verified(PAIR, "id2", "valid", None, 1) == [
        Send(VALID.encode()),
        Authenticated(PAIR, "tls_dialback", encrypted=True, trusted=proves),
    ]
    assert machine.pairs == {PAIR: "tls_dialback"}
    assert only(feed(machine, MESSAGE), Deliver)


def test_without_a_certificate_inside_tls() -> None:
    machine = encrypted(DIALBACK_IN_TLS, tls())
    feed(machine, HEADER + result("k"))
    actions = machine.verified(PAIR, "id2", "valid", None, 1)
    assert actions[-1] == Authenticated(PAIR, "tls_dialback", encrypted=True, trusted=False)


@pytest.mark.parametrize(
    ("machine", "reason", "condition"),
    [
        (lambda: numbered(SASL_ONLY), "tls_required", "policy-violation"),
        (lambda: numbered(SASL_OR_DIALBACK), "tls_required", "policy-violation"),
        (lambda: encrypted(SASL_ONLY), "dialback_not_allowed", "not-authorized"),
    ],
)
@pytest.mark.parametrize("element", [result("k"), verify("k")])
def test_dialback_that_the_record_does_not_have(machine: object, reason: str, condition: str, element: str) -> None:
    _machine, actions = both_ways(machine, HEADER + element)  # type: ignore[arg-type]
    assert refused(actions) == [reason]
    assert f"type='error'><error type='cancel'><{condition} " in sent(actions)
    assert not only(actions, Verify)
    assert not only(actions, Closed)


def test_a_partner_without_dialback_is_not_told_about_our_keys() -> None:
    for machine in (encrypted(SASL_ONLY), encrypted(SASL_OR_DIALBACK), numbered(SASL_OR_DIALBACK), numbered(NO_TLS)):
        actions = feed(machine, HEADER + verify(key("s3cr3tf0rd14lb4ck")))
        allowed = machine.policy.partner(THEIRS) in (SASL_OR_DIALBACK, NO_TLS) and (
            machine.tls is not None or machine.policy.partner(THEIRS) is NO_TLS
        )
        assert ("type='valid'" in sent(actions)) == allowed


def test_each_pair_by_the_record_of_its_own_partner() -> None:
    friend = Partner(FRIEND, tls="required", sasl="required", auth_methods=("sasl_tls",))
    machine = encrypted(SASL_OR_DIALBACK, others=(friend,))
    actions = feed(machine, HEADER + result("k", sender=FRIEND) + result("k"))
    assert refused(actions) == ["dialback_not_allowed"]
    assert only(actions, Verify) == [Verify(PAIR, "k", "id2")]
    machine = numbered(ANYTHING, others=(friend,))
    actions = feed(machine, HEADER + result("k", sender=FRIEND) + result("k"))
    assert refused(actions) == ["tls_required"]
    assert only(actions, Verify) == [Verify(PAIR, "k", "id1")]


def test_a_partner_of_another_kind_on_a_proven_stream() -> None:
    plain = Partner(FRIEND)
    machine = proven_by_sasl(SASL_OR_DIALBACK, others=(plain,))
    actions = feed(machine, result("k", sender=FRIEND))
    assert refused(actions) == ["tls_not_supported"]
    assert "<policy-violation " in sent(actions)


def test_several_pairs_inside_tls_each_with_what_the_certificate_proves() -> None:
    friend = Partner(FRIEND, tls="required", auth_methods=("tls_dialback",))
    machine = encrypted(DIALBACK_IN_TLS, tls(FRIEND), others=(friend,))
    feed(machine, HEADER)
    trusted = {}
    for pair in (PAIR, Pair(ALSO_OURS, THEIRS), Pair(OURS, FRIEND)):
        assert only(feed(machine, result("k", sender=pair.remote, target=pair.local)), Verify)
        (action,) = only(machine.verified(pair, "id2", "valid", None, 1), Authenticated)
        trusted[pair] = action.trusted  # type: ignore[attr-defined]
    assert trusted == {PAIR: False, Pair(ALSO_OURS, THEIRS): False, Pair(OURS, FRIEND): True}
    text = MESSAGE.replace("@partner", "@friend")
    assert [action.pair for action in only(feed(machine, text + MESSAGE), Deliver)] == [  # type: ignore[attr-defined]
        Pair(OURS, FRIEND),
        PAIR,
    ]


def test_the_policy_may_change_while_a_key_is_verified() -> None:
    machine = encrypted(DIALBACK_IN_TLS)
    feed(machine, HEADER + result("k"))
    machine.policy = encrypted(SASL_ONLY).policy
    actions = machine.verified(PAIR, "id2", "valid", None, 1)
    assert refused(actions) == ["dialback_not_allowed"]
    assert "type='error'" in sent(actions)
    assert machine.pairs == {}


def test_keys_by_the_previous_secret_are_ours() -> None:
    credentials = Credentials("new", previous="old", certificate=True)
    for secret, answer in (("new", "valid"), ("old", "valid"), ("older", "invalid")):
        machine = encrypted(DIALBACK_IN_TLS, credentials=credentials)
        actions = feed(machine, HEADER + verify(key(secret)))
        assert f"id='417GAF25' type='{answer}'/>" in sent(actions)
        assert refused(actions) == ([] if answer == "valid" else ["key_not_ours"])
    machine = encrypted(DIALBACK_IN_TLS, credentials=Credentials("new", certificate=True))
    feed(machine, HEADER)
    machine.credentials = credentials
    assert "type='valid'" in sent(feed(machine, verify(key("old"))))


def test_a_stream_that_only_asks_about_keys_inside_tls() -> None:
    machine = encrypted(SASL_OR_DIALBACK, credentials=Credentials("secret", certificate=True))
    feed(machine, HEADER + verify(key("secret")))
    assert sent(machine.tick(60)) == "</stream:stream>"


def test_an_invalid_key_beside_a_pair_proven_by_sasl() -> None:
    machine = proven_by_sasl(SASL_OR_DIALBACK)
    other = Pair(ALSO_OURS, THEIRS)
    feed(machine, result("k", target=ALSO_OURS))
    actions = machine.verified(other, "id3", "invalid", None, 1)
    assert "type='error'><error type='cancel'><forbidden " in sent(actions)
    assert not only(actions, Closed)
    assert machine.pairs == {PAIR: "sasl_tls"}


def test_a_nameless_stranger_inside_tls() -> None:
    for element in (result("k", sender=STRANGER), verify("k", sender=STRANGER)):
        _machine, actions = both_ways(encrypted, NAMELESS + element)
        assert refused(actions) == ["not_a_partner"]
        assert closed(actions).condition == "policy-violation"


def _records() -> list[Partner]:
    found = []
    for level, sasl, by_dialback in product(
        ("required", "optional", "not_supported"), ("required", "optional", "not_supported"), (True, False)
    ):
        methods = auth_methods({"tls": level, "sasl": sasl, "dialback": by_dialback})
        found.append(Partner(THEIRS, tls=level, sasl=sasl, dialback=by_dialback, auth_methods=methods))
    return found


def _prove(machine: Inbound, method: str, stream_id: str) -> None:
    """Try to prove PAIR by this method, offered or not."""
    if method == "sasl_tls":
        feed(machine, AUTH)
        feed(machine, HEADER)
    else:
        feed(machine, result("k"))
        machine.verified(PAIR, stream_id, "valid", None, 0)


@pytest.mark.parametrize(
    "partner", _records(), ids=lambda partner: f"{partner.tls}-{partner.sasl}-{'dialback' if partner.dialback else ''}"
)
@pytest.mark.parametrize("layer", [None, tls(), tls(STRANGER), tls(THEIRS)], ids=["plain", "none", "other", "good"])
@pytest.mark.parametrize("header", [HEADER, NAMELESS], ids=["named", "nameless"])
def test_every_record_with_every_stream(partner: Partner, layer: object, header: str) -> None:
    """What is offered is what succeeds, what succeeds is in the record, and nothing else does."""
    for method in ("sasl_tls", "dialback"):
        machine = numbered(partner) if layer is None else encrypted(partner, layer)  # type: ignore[arg-type]
        stream_id = machine.stream_id
        offered = sent(feed(machine, header))
        offers = FEATURE["external" if method == "sasl_tls" else "dialback"] in offered
        _prove(machine, method, stream_id)
        if method == "dialback":
            expected = "tcp_dialback" if layer is None else "tls_dialback"
            may = expected in partner.auth_methods
        else:
            expected = method
            may = method in partner.auth_methods and layer is not None and layer.judge(THEIRS).trusted  # type: ignore[attr-defined]
            may = may and header is HEADER
        assert machine.pairs == ({PAIR: expected} if may else {})
        if header is HEADER:
            assert offers == may


def test_refused_requests_are_counted_over_everything() -> None:
    machine = encrypted(SASL_ONLY, settings=Settings(strikes=3))
    feed(machine, HEADER + result("k") + "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'/>")
    assert closed(feed(machine, verify("k"))).condition == "policy-violation"
