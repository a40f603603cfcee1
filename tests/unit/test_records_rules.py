# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.xmpp.federation.plugins.module_utils._records import edge, partner, policy, secrets
from ansible_collections.xmpp.federation.plugins.module_utils._records.errors import Problem, RecordError
from ansible_collections.xmpp.federation.plugins.module_utils._records.fields import TEXT_KINDS, Field

R, O, N = "required", "optional", "not_supported"  # noqa: E741
SASL, TLS, TCP = "sasl_tls", "tls_dialback", "tcp_dialback"
PLAIN = {"tls": N, "sasl": N, "dialback": True}
PIN = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

# All of TLS, SASL and dialback: the methods left, and "" (fine), a word of the warning, or the refused key.
MATRIX: list[tuple[str, str, bool, tuple[str, ...], str]] = [
    (R, R, True, (SASL,), "never used"),
    (R, R, False, (SASL,), ""),
    (R, O, True, (SASL, TLS), ""),
    (R, O, False, (SASL,), ""),
    (R, N, True, (TLS,), ""),
    (R, N, False, (), "dialback"),
    (O, R, True, (SASL, TLS, TCP), "can fail"),
    (O, R, False, (SASL,), "can fail"),
    (O, O, True, (SASL, TLS, TCP), "can fail"),
    (O, O, False, (SASL,), "can fail"),
    (O, N, True, (TLS, TCP), ""),
    (O, N, False, (), "dialback"),
    (N, R, True, (), "sasl"),
    (N, R, False, (), "dialback"),
    (N, O, True, (), "sasl"),
    (N, O, False, (), "dialback"),
    (N, N, True, (TCP,), ""),
    (N, N, False, (), "dialback"),
]


@pytest.mark.parametrize(("tls", "sasl", "dialback", "methods", "word"), MATRIX)
def test_matrix(tls: str, sasl: str, dialback: bool, methods: tuple[str, ...], word: str) -> None:
    raw = {"domain": "partner.example", "tls": tls, "sasl": sasl, "dialback": dialback}
    if not methods:
        with pytest.raises(RecordError) as caught:
            partner.normalise(raw)
        assert [problem.key for problem in caught.value.problems] == [word]
        return
    record = partner.normalise(raw)
    assert partner.auth_methods(record) == methods
    warnings = partner.warnings(record)
    assert len(warnings) == bool(word)
    assert word in " ".join(warnings)


def test_the_matrix_is_whole() -> None:
    assert len({row[:3] for row in MATRIX}) == 18
    assert sum(not row[3] for row in MATRIX) == 7


@pytest.mark.parametrize(("tls", "sasl", "dialback"), [(R, R, False), (R, O, True), (O, R, True), (N, N, True)])
def test_dialback_follows_from_the_rest(tls: str, sasl: str, dialback: bool) -> None:
    assert partner.normalise({"domain": "partner.example", "tls": tls, "sasl": sasl})["dialback"] is dialback


def test_a_partner_in_full() -> None:
    assert partner.normalise({"domain": "Partner.Example."}) == {
        "domain": "partner.example",
        "additional_domains": [],
        "partner_type": "public_unverified",
        "tls": "required",
        "sasl": "required",
        "dialback": False,
        "keepalive": True,
        "connection_limit": None,
        "proxy_fqdn": None,
        "proxy_port": None,
        "ca_file": None,
        "pins": [],
        "description": "",
    }


def test_a_pin_has_one_form() -> None:
    colons = ":".join(PIN[index : index + 2] for index in range(0, 64, 2))
    for spelling in (PIN, PIN.upper(), f"sha256:{PIN}", f"SHA256:{colons.upper()}", colons):
        assert partner.normalise({"domain": "a.example", "pins": [spelling]})["pins"] == [PIN]


@pytest.mark.parametrize(
    ("tls", "sasl", "dialback", "word"),
    [(R, R, False, ""), (R, O, True, "dialback"), (R, O, False, ""), (R, N, True, "without effect")],
)
def test_what_a_pin_is_worth_is_told(tls: str, sasl: str, dialback: bool, word: str) -> None:
    raw = {"domain": "a.example", "tls": tls, "sasl": sasl, "dialback": dialback, "pins": [PIN], "ca_file": "/ca.pem"}
    warnings = partner.warnings(partner.normalise(raw))
    assert len(warnings) == bool(word)
    assert word in " ".join(warnings)
    assert all(text.startswith("ca_file and pins ") for text in warnings)


def _keys(caught: pytest.ExceptionInfo[RecordError]) -> list[str]:
    return [problem.key for problem in caught.value.problems]


def test_everything_wrong_with_a_partner_is_told_at_once() -> None:
    raw = {
        "domain": "no domain",
        "additional_domains": ["b.example", "B.example.", 3],
        "partner_type": "friend",
        "tls": "maybe",
        "sasl": None,
        "dialback": "yes",
        "keepalive": 1,
        "connection_limit": -1,
        "proxy_port": 65536,
        "descriptoin": "",
    }
    with pytest.raises(RecordError) as caught:
        partner.normalise(raw, "partners[7]")
    assert sorted(_keys(caught)) == [
        "additional_domains[1]",
        "additional_domains[2]",
        "connection_limit",
        "descriptoin",
        "dialback",
        "domain",
        "keepalive",
        "partner_type",
        "proxy_port",
        "sasl",
        "tls",
    ]
    assert all(problem.where == "partners[7]" and problem.remedy for problem in caught.value.problems)
    assert "partners[7]: descriptoin: there is no such key; did you mean description?" in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        ({}, "domain"),
        ({"domain": "a.example", "additional_domains": ["A.example"]}, "additional_domains"),
        ({"domain": "a.example", "proxy_port": 5270}, "proxy_port"),
        ({"domain": "a.example", "proxy_fqdn": "not a host"}, "proxy_fqdn"),
        ({"domain": "a.example", "description": "a\x00b"}, "description"),
        ({"domain": "a.example", "description": "\ud800"}, "description"),
        ({"domain": "a.example", "connection_limit": True}, "connection_limit"),
        ({"domain": "a.example", "additional_domains": "b.example"}, "additional_domains"),
        ({"domain": "a.example", "ca_file": "ca.pem"}, "ca_file"),
        ({"domain": "a.example", "pins": PIN}, "pins"),
        ({"domain": "a.example", "pins": [PIN, f"sha256:{PIN.upper()}"]}, "pins[1]"),
        ({"domain": "a.example", "pins": [PIN[1:]]}, "pins[0]"),
        ({"domain": "a.example", "pins": [f"sha1:{PIN}"]}, "pins[0]"),
        ({"domain": "a.example", "pins": [f"{PIN}\n"]}, "pins[0]"),
        ({"domain": "a.example", "pins": ["n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg="]}, "pins[0]"),
        ({"domain": "a.example", "pins": [7]}, "pins[0]"),
        ({"domain": "a.example", **PLAIN, "pins": [PIN]}, "pins"),
        ({"domain": "a.example", **PLAIN, "ca_file": "/ca.pem"}, "ca_file"),
        ("a.example", ""),
    ],
)
def test_partner_refused(raw: Any, key: str) -> None:
    with pytest.raises(RecordError) as caught:
        partner.normalise(raw)
    assert key in _keys(caught)


def test_empty_text_and_zero_clear_what_may_be_missing() -> None:
    record = partner.normalise({"domain": "a.example", "proxy_fqdn": "", "proxy_port": 0, "connection_limit": 0})
    assert (record["proxy_fqdn"], record["proxy_port"], record["connection_limit"]) == (None, None, None)


def test_partners_share_no_domain_and_have_none_of_ours() -> None:
    partners = {
        "first": partner.normalise({"domain": "a.example", "additional_domains": ["b.example"]}),
        "second": partner.normalise({"domain": "c.example", "additional_domains": ["B.example", "ours.example"]}),
    }
    problems: list[Problem] = []
    partner.check_all(partners, {"ours.example": "edge.json"}, problems)
    assert [(problem.where, problem.key) for problem in problems] == [
        ("second", "additional_domains[0]"),
        ("second", "additional_domains[1]"),
    ]
    assert "first" in problems[0].message
    assert "edge.json" in problems[1].message


def test_edge_in_normal_form() -> None:
    record = edge.normalise(
        {
            "domains": ["Ours.example", "bücher.example"],
            "listen": ["2001:DB8:0::1", "192.0.2.1"],
            "resolvers": ["192.0.2.53:53", "[2001:db8::53]:5353", "[2001:db8::54]", "2001:DB8::55", "192.0.2.54:5353"],
            "inside": {"host": "INSIDE.example.", "server": "ejabberd", "tls": True, "ca_file": "/etc/ssl/ca.pem"},
        }
    )
    assert record["domains"] == ["ours.example", "xn--bcher-kva.example"]
    assert record["listen"] == ["2001:db8::1", "192.0.2.1"]
    assert record["resolvers"] == [
        "192.0.2.53",
        "[2001:db8::53]:5353",
        "2001:db8::54",
        "2001:db8::55",
        "192.0.2.54:5353",
    ]
    assert record["inside"]["host"] == "inside.example"
    assert set(record) == set(edge.FIELDS)


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        ({"partner_connection_limit": 1001}, "partner_connection_limit"),
        ({"connection_limit": 19}, "partner_connection_limit"),
        ({"connection_limit": 0}, "connection_limit"),
        ({"listen": []}, "listen"),
        ({"listen": ["inside.example"]}, "listen[0]"),
        ({"listen": ["::1", "0:0::1"]}, "listen[1]"),
        ({"listen_port": 0}, "listen_port"),
        ({"listen_port": "5269"}, "listen_port"),
        ({"direct_tls_port": 5269}, "direct_tls_port"),
        ({"direct_tls_port": 65536}, "direct_tls_port"),
        ({"direct_tls_port": False}, "direct_tls_port"),
        ({"ca_file": "ca.pem"}, "ca_file"),
        ({"check_crls": "sometimes"}, "check_crls"),
        ({"check_crls": None}, "check_crls"),
        ({"inside": {"tls": True}}, "inside.tls"),
        ({"inside": {"ca_file": "/ca.pem"}}, "inside.ca_file"),
        ({"inside": {"server": "ejabberd", "tls": True, "ca_file": "ca.pem"}}, "inside.ca_file"),
        ({"inside": {"port": 0}}, "inside.port"),
        ({"inside": {"secret": "x"}}, "inside.secret"),
        ({"inside": None}, "inside"),
        ({"resolvers": ["192.0.2.1:0"]}, "resolvers[0]"),
        ({"resolvers": ["192.0.2.1:65536"]}, "resolvers[0]"),
        ({"resolvers": ["ns.example"]}, "resolvers[0]"),
        ({"resolvers": ["2001:db8::1:"]}, "resolvers[0]"),
        ({"domains": ["a.example", "A.EXAMPLE."]}, "domains[1]"),
        ({"keepalive_interval": 0}, "keepalive_interval"),
    ],
)
def test_edge_refused(raw: dict[str, Any], key: str) -> None:
    with pytest.raises(RecordError) as caught:
        edge.normalise(raw)
    assert _keys(caught) == [key]


def test_edge_warns_of_what_cannot_be_meant() -> None:
    assert edge.warnings(edge.normalise({})) == ()
    assert "keepalive_interval" in edge.warnings(edge.normalise({"keepalive_interval": 600}))[0]
    assert "nothing can pass" in edge.warnings(edge.normalise({"allow_federated_users": True}))[0]


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": " A"}, "name"),
        ({"name": "site:Berlin"}, "members"),
        ({"name": "Berlin:1"}, "name"),
        ({"name": "Global"}, "name"),
        ({"name": "A", "scope": "global"}, "name"),
        ({"name": "global", "scope": "user"}, "name"),
        ({"name": "A", "scope": "site"}, "members"),
        ({"name": "A", "scope": "site", "members": ["*"]}, "members[0]"),
        ({"name": "A", "scope": "pool"}, "scope"),
        ({"name": "A", "xmpp_access": True}, "xmpp_access"),
        ({"name": "A" * 257}, "name"),
    ],
)
def test_policy_refused(raw: dict[str, Any], key: str) -> None:
    with pytest.raises(RecordError) as caught:
        policy.normalise(raw)
    assert _keys(caught) == [key]


def test_the_global_policy_needs_one_word_only() -> None:
    assert policy.normalise({"scope": "global"}) == policy.normalise({"name": "global"}) == policy.closed()


def test_a_policy_decides_whole() -> None:
    policies = {
        name: policy.normalise({"name": name, "federation_access": True, **flags})
        for name, flags in {"All": {"xmpp_access": True}, "Few": {"public_cloud_access": True}}.items()
    }
    members = policy.sites(policies.values())
    decided = policy.effective("a@b.example", policies, {"a@b.example": "Few"}, "All", members)
    assert decided == (policies["Few"], "grant")
    other = policy.effective("c@b.example", policies, {"a@b.example": "Few"}, "All", members)
    assert other == (policies["All"], "grant_to_all")
    assert policy.effective("c@b.example", policies, {}, None, members) == (policy.closed(), "global")


def test_a_refused_secret_is_not_told() -> None:
    for value in ("hush\nhush", "hush\x00", "hush" * 300, "hush\ud800", ["hush"]):
        with pytest.raises(RecordError) as caught:
            secrets.normalise({"dialback_secret": value})
        assert "hush" not in str(caught.value)
        assert _keys(caught) == ["dialback_secret"]


def _all_fields(fields: Any) -> list[Field]:
    return [
        one for field in fields.values() for one in ([field] if field.kind != "dict" else _all_fields(field.fields))
    ]


@pytest.mark.parametrize("module", [edge, partner, policy, secrets])
def test_fields_are_well_formed(module: Any) -> None:
    for field in _all_fields(module.FIELDS):
        kind = field.elements if field.kind == "list" else field.kind
        assert kind in {"bool", "int", *TEXT_KINDS}
        assert (kind == "int") == (field.minimum is not None) == (field.maximum is not None)
