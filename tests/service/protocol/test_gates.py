# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every gate, both ways."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xmpp_edge.gates import decide, make_alike
from xmpp_edge.jid import JID
from xmpp_edge.xml.stanza import Stanza, error_reply
from xmpp_edge.xml.writer import write_stanza

from .support import OURS, STRANGER, THEIRS, Access, Partner, Policy

ROMEO = JID.parse(f"romeo@{OURS}")
JULIET = JID.parse(f"juliet@{THEIRS}/balcony")


def _policy(partner_type: str = "federated", federation: bool = True, **access: bool) -> Policy:
    return Policy(
        federation=federation,
        partners=(Partner(THEIRS, partner_type=partner_type),),
        access={ROMEO.bare: Access("FedPic", **access)} if access else {},
    )


CASES = [
    ("open", _policy(), ROMEO, JULIET, 0, ""),
    ("public and allowed", _policy("public_unverified"), ROMEO, JULIET, 0, ""),
    ("server to user", _policy(xmpp_access=False), JID.parse(OURS), JULIET, 0, ""),
    ("federation off", _policy(federation=False), ROMEO, JULIET, 1, "federation_off"),
    ("stranger", _policy(), ROMEO, JID.parse(f"x@{STRANGER}"), 2, "not_a_partner"),
    ("subdomain of a partner", _policy(), ROMEO, JID.parse(f"x@sub.{THEIRS}"), 2, "not_a_partner"),
    ("not our domain", _policy(), JID.parse(f"x@{STRANGER}"), JULIET, 4, "not_our_domain"),
    ("no federation access", _policy(federation_access=False), ROMEO, JULIET, 5, "no_federation_access"),
    ("no xmpp access", _policy(xmpp_access=False), ROMEO, JULIET, 5, "no_xmpp_access"),
    (
        "no public access",
        _policy("public_verified", public_cloud_access=False),
        ROMEO,
        JULIET,
        5,
        "no_public_cloud_access",
    ),
    (
        "no public access, not needed",
        _policy("federated", public_cloud_access=False),
        ROMEO,
        JULIET,
        0,
        "",
    ),
    (
        "a policy without any access, towards a stranger: the first shut gate answers",
        _policy(federation_access=False),
        ROMEO,
        JID.parse(STRANGER),
        2,
        "not_a_partner",
    ),
]


@pytest.mark.parametrize("direction", ["in", "out"])
@pytest.mark.parametrize(
    ("policy", "ours", "theirs", "gate", "reason"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_gates(policy: Policy, ours: JID, theirs: JID, gate: int, reason: str, direction: str) -> None:
    verdict = decide(policy, "in", theirs, ours) if direction == "in" else decide(policy, "out", ours, theirs)
    assert (verdict.passed, verdict.gate, verdict.reason) == (not gate, gate, reason)
    if verdict.passed:
        assert (verdict.condition, verdict.text) == ("", None)
    elif direction == "in":
        # Whatever the reason, a remote user sees what a user who does not exist would answer.
        assert (verdict.condition, verdict.error_type, verdict.text) == ("service-unavailable", "cancel", None)
    else:
        assert verdict.condition in ("not-allowed", "forbidden")
        assert verdict.text is not None
        assert f"gate {gate}" in verdict.text


def test_the_refused_user_learns_which_policy_it_was() -> None:
    verdict = decide(_policy(xmpp_access=False), "out", ROMEO, JULIET)
    assert verdict.text == f"gate 5: the external access policy 'FedPic' of {ROMEO.bare} has no xmpp_access"
    assert verdict.error_type == "auth"


STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
TEXT = f"<text xmlns='{STANZAS}' xml:lang='en'>User session not found</text>"


@pytest.mark.parametrize(
    "inside",
    [
        # As Prosody and ejabberd say it.
        f"<error type='cancel'><service-unavailable xmlns='{STANZAS}'/></error>",
        f"<body>hi</body><error code='503' type='cancel'><service-unavailable xmlns='{STANZAS}'/>{TEXT}</error>",
        f"<body>hi</body><error type='wait'><recipient-unavailable xmlns='{STANZAS}'/></error>",
        f"<error type='cancel'><item-not-found xmlns='{STANZAS}'/></error>",
        f"<error code='407' type='auth'><subscription-required xmlns='{STANZAS}'/>{TEXT}</error>",
    ],
)
@pytest.mark.parametrize("kind", ["message", "iq"])
def test_no_such_user_and_no_access_are_one_answer(inside: str, kind: str) -> None:
    asked = Stanza(kind, {"id": "1", "type": "get", "xml:lang": "en"}, "<body>hi</body>", 0, JULIET, ROMEO)
    verdict = decide(_policy(xmpp_access=False), "in", JULIET, ROMEO)
    refusal = error_reply(asked, verdict.condition, verdict.error_type, verdict.text)
    assert refusal is not None
    answer = Stanza(kind, {"id": "1", "xml:lang": "en", "type": "error"}, inside, 0, ROMEO, JULIET)
    make_alike(answer)
    assert write_stanza(answer) == write_stanza(refusal)


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("iq", f"<error type='cancel'><feature-not-implemented xmlns='{STANZAS}'/></error>"),
        ("message", f"<error type='wait'><resource-constraint xmlns='{STANZAS}'/></error>"),
        ("message", f"<x xmlns='urn:x'><service-unavailable xmlns='{STANZAS}'/></x>"),
        ("presence", f"<error type='cancel'><item-not-found xmlns='{STANZAS}'/></error>"),
        ("message", ""),
    ],
)
def test_other_errors_are_left_alone(kind: str, payload: str) -> None:
    answer = Stanza(kind, {"type": "error", "id": "1", "xml:lang": "en"}, payload, 0, ROMEO, JULIET)
    before = write_stanza(answer)
    make_alike(answer)
    assert write_stanza(answer) == before


def test_only_an_iq_that_is_a_result_goes_unanswered() -> None:
    alice, bob = JID.parse("alice@inside.example"), JID.parse("bob@partner.example")
    for kind, answered in (("message", True), ("presence", True), ("iq", False)):
        asked = Stanza(kind, {"type": "result", "id": "1"}, "", 0, bob, alice)
        assert (error_reply(asked, "forbidden", "auth") is not None) is answered


users = st.sampled_from([None, "romeo", "juliet"])
domains = st.sampled_from([OURS, THEIRS, STRANGER, f"sub.{THEIRS}", f"sub.{OURS}"])
addresses = st.builds(JID, users, domains, st.none() | st.just("r"))


@given(
    st.booleans(),
    st.sampled_from(["federated", "public_verified", "public_unverified"]),
    st.builds(Access, st.just("p"), st.booleans(), st.booleans(), st.booleans()),
    st.sampled_from(["in", "out"]),
    addresses,
    addresses,
)
def test_the_first_gate_that_is_shut_is_the_answer(
    federation: bool, partner_type: str, access: Access, direction: Literal["in", "out"], from_: JID, to: JID
) -> None:
    policy = Policy(
        federation=federation,
        domains=frozenset((OURS,)),
        partners=(Partner(THEIRS, partner_type=partner_type),),
        access={f"{user}@{OURS}": access for user in ("romeo", "juliet")},
    )
    ours, theirs = (to, from_) if direction == "in" else (from_, to)
    shut = [
        number
        for number, is_shut in [
            (1, not federation),
            (2, theirs.domain != THEIRS),
            (4, ours.domain != OURS),
            (5, ours.local is not None and not (access.federation_access and access.xmpp_access)),
            (5, ours.local is not None and partner_type != "federated" and not access.public_cloud_access),
        ]
        if is_shut
    ]
    verdict = decide(policy, direction, from_, to)
    assert (verdict.passed, verdict.gate) == (not shut, shut[0] if shut else 0)
    if shut and direction == "in":
        # Whatever it was, somebody outside cannot tell.
        assert (verdict.condition, verdict.error_type, verdict.text) == ("service-unavailable", "cancel", None)
    elif shut:
        assert verdict.text is not None
        assert verdict.text.startswith(f"gate {shut[0]}: ")


@given(
    st.sampled_from(["romeo", "ROMEO", "ro\u00admeo", "\uff52omeo", "Ro\u200bmeo"]),
    st.sampled_from([OURS, "Inside.EXAMPLE."]),
)
def test_no_other_writing_of_an_address_is_a_way_round_a_gate(user: str, domain: str) -> None:
    policy = Policy(access={ROMEO.bare: Access("closed", False, False, False)})
    assert decide(policy, "in", JULIET, JID.parse(f"{user}@{domain}")).gate == 5
    assert decide(policy, "out", JID.parse(f"{user}@{domain}/r"), JULIET).gate == 5
