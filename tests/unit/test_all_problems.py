# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All that is wrong is told by one run, whoever finds it: Ansible, a field, a rule within a record or between two.

Who corrects what one run has told must not learn of more mistakes from the next.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., dict[str, Any]]

MISTAKES: dict[str, tuple[str, dict[str, Any], set[tuple[str, str]]]] = {
    "partners": (
        "xmpp_partner",
        {
            "partners": [
                {"domain": "a b"},
                {"domain": "b.example", "tls": "x", "connection_limit": -1},
                {"domain": "c.example", "tls": "not_supported"},
                {"domain": "d.example", "connection_limit": "many", "proxy_port": 1},
                {"domain": "e.example", "additional_domains": ["f.example"]},
                {"domain": "f.example", "additional_domains": {"no": "list"}},
                {"domain": "ours.example"},
                {"domian": "g.example", "additional_domains": ["e.example"], "state": "present"},
                {"domain": "h.example", "state": "absnt", "tls": "not_supported"},
                "no mapping",
                {"domain": "i.example", "additional_domains": ["e.example"]},
            ],
            "prune": True,
        },
        {
            ("", "prune"),
            ("partners[0] (a b)", "domain"),
            ("partners[1] (b.example)", "tls"),
            ("partners[1] (b.example)", "connection_limit"),
            ("partners[2] (c.example)", "sasl"),
            ("partners[3] (d.example)", "connection_limit"),
            ("partners[3] (d.example)", "proxy_port"),
            ("partners[5] (f.example)", "additional_domains"),
            ("partners[6] (ours.example)", "domain"),
            ("partners[7]", "domian"),
            ("partners[7]", "domain"),
            ("partners[8] (h.example)", "state"),
            ("partners[9]", ""),
            ("partners[10] (i.example)", "additional_domains[0]"),
        },
    ),
    "policies": (
        "external_access_policy",
        {
            "policies": [
                {"name": "A", "xmpp_access": True, "federation_access": "maybe"},
                {"name": "B", "xmpp_access": True},
                {"name": "C", "scope": "pool", "grant_to": ["alice@theirs.example"]},
                {"name": "D", "grant_to": ["alice"]},
                {"name": "E", "scope": "site"},
                {"name": "b"},
                {"name": "global", "grant_to_all": True},
            ],
        },
        {
            ("policies[0] (A)", "federation_access"),
            ("policies[1] (B)", "xmpp_access"),
            ("policies[2] (C)", "scope"),
            ("policies[2] (C)", "grant_to[0]"),
            ("policies[3] (D)", "grant_to[0]"),
            ("policies[4] (E)", "members"),
            ("policies[6] (global)", "grant_to_all"),
        },
    ),
    "edge": (
        "edge_config",
        {
            "domains": ["theirs.example", "a b"],
            "listen": [],
            "listen_port": "many",
            "direct_tls_port": 5269,
            "connection_limit": 1,
            "check_crls": "sometimes",
            "inside": {"server": "prosody", "tls": True, "port": 0},
            "dialback_secret": "",
        },
        {
            ("", "domains[1]"),
            ("", "listen"),
            ("", "listen_port"),
            ("", "partner_connection_limit"),
            ("", "check_crls"),
            ("", "inside.tls"),
            ("", "inside.port"),
            ("", "dialback_secret"),
            ("the partner theirs.example", "domain"),
        },
    ),
    "certificates": (
        "edge_certificate",
        {
            "certificates": [
                {"id": "a/b", "key_size": "long", "country": "Germany"},
                {"id": "c", "digest": "md5"},
                {"id": "d", "state": "requested", "chain": "x"},
                {"id": "d", "issue": "own_ca", "renew_before": -1},
            ],
            "id": "e",
        },
        {
            ("certificates[0] (a/b)", "key_size"),
            ("certificates[0] (a/b)", "id"),
            ("certificates[0] (a/b)", "country"),
            ("certificates[1] (c)", "digest"),
            ("certificates[2] (d)", "chain"),
            ("certificates[3] (d)", "ca_cert"),
            ("certificates[3] (d)", "ca_key"),
            ("certificates[3] (d)", "renew_before"),
            ("certificates[3] (d)", "id"),
            ("certificates[3] (d)", "usage"),
            ("", "certificates"),
        },
    ),
    "records": (
        "srv_record",
        {
            "records": [
                {"domain": "a.example", "target": "192.0.2.1", "port": "x"},
                {"domain": "b.example", "target": "edge.example", "ttl": -1},
                {"domain": "c.example", "target": "edge.example", "service": "sip"},
                {"domain": "d.example", "target": "edge.example"},
                {"domain": "d.example", "target": "edge.example"},
            ],
            "target": "edge.example",
            "server": "192.0.2.53",
            "timeout": "long",
            "server_port": 0,
            "key_secret": "not to be used",
            "key_file": "/no/such/file",
        },
        {
            ("records[0] (a.example)", "port"),
            ("records[0] (a.example)", "target"),
            ("records[1] (b.example)", "ttl"),
            ("records[2] (c.example)", "service"),
            ("records[4] (d.example)", "domain"),
            ("", "records"),
            ("", "timeout"),
            ("", "server_port"),
            ("", "key_secret"),
        },
    ),
    "lists": (
        "edge_crl",
        {"crls": [{"name": "a"}, {"url": "ftp://x/y.crl"}, {"name": "b", "state": "gone"}], "timeout": 0, "name": "c"},
        {
            ("crls[0] (a)", "url"),
            ("crls[1]", "url"),
            ("crls[2] (b)", "state"),
            ("", "timeout"),
            ("", "crls"),
        },
    ),
}


@pytest.fixture
def current(call: Call, config_dir: Path) -> Path:
    call("edge_config", config_dir=str(config_dir), domains=["ours.example"])
    call("xmpp_partner", config_dir=str(config_dir), domain="theirs.example")
    return config_dir


@pytest.mark.parametrize(("module", "options", "expected"), MISTAKES.values(), ids=MISTAKES)
@pytest.mark.parametrize("check", [False, True])
def test_all_at_once(
    call: Call, current: Path, module: str, options: dict[str, Any], expected: set[tuple[str, str]], check: bool
) -> None:
    before = {path.name: path.read_bytes() for path in current.iterdir()}
    where = {} if module == "srv_record" else {"config_dir": str(current)}
    told = call(module, check=check, **options, **where)
    found = [(problem["where"], problem["key"]) for problem in told["problems"]]
    assert set(found) == expected
    assert len({str(problem) for problem in told["problems"]}) == len(found), "nothing is told twice"
    assert all(problem["message"] and problem["remedy"] for problem in told["problems"])
    assert told["msg"].startswith(f"There are {len(found)} problems, and nothing was changed.")
    assert {path.name: path.read_bytes() for path in current.iterdir()} == before


def test_what_is_refused_is_not_compared_with(call: Call, current: Path) -> None:
    """A record that is wrong says nothing about the others, neither as it was nor as it was to be."""
    where = {"config_dir": str(current)}
    call("xmpp_partner", domain="a.example", additional_domains=["x.example"], **where)
    told = call(
        "xmpp_partner",
        partners=[
            {"domain": "a.example", "additional_domains": [], "connection_limit": -1},
            {"domain": "b.example", "additional_domains": ["x.example"]},
        ],
        **where,
    )
    found = [(problem["where"], problem["key"]) for problem in told["problems"]]
    assert found == [("partners[0] (a.example)", "connection_limit")]


@pytest.mark.parametrize(
    ("module", "options"),
    [
        ("xmpp_partner", {"partners": [{"domain": "q.example", "dialback_secret": "hush-hush"}]}),
        ("xmpp_partner", {"domain": "x.example", "proxy_password": "hush-hush"}),
        ("xmpp_partner", {"domain": "x.example", "ca_key": "hush-hush"}),
        ("edge_config", {"inside": {"secret_key": "hush-hush", "port": 0}}),
        ("edge_config", {"inside": {"server_secret": "hush-hush"}}),
        ("edge_certificate", {"key": "hush-hush"}),
        ("srv_record", {"server": "192.0.2.1", "records": [], "key_value": "hush-hush"}),
    ],
)
def test_what_stands_under_a_wrong_name_is_not_shown(
    call: Call, current: Path, module: str, options: dict[str, Any]
) -> None:
    """It may be a secret, whatever option its name looks like."""
    told = call(module, **options, **({} if module == "srv_record" else {"config_dir": str(current)}))
    assert "there is no such option" in told["msg"]
    assert "hush-hush" not in str(told)


def test_who_is_left_out_is_not_held_against_others(call: Call, current: Path) -> None:
    """An entry that cannot be judged might take away what the others are in conflict with."""
    where = {"config_dir": str(current)}
    call("xmpp_partner", domain="x.example", additional_domains=["y.example"], **where)
    call("external_access_policy", name="A", scope="site", members=["alice@ours.example"], **where)
    call("external_access_policy", name="G", grant_to_all=True, **where)
    calls: list[tuple[str, dict[str, Any], list[str]]] = [
        (
            "xmpp_partner",
            {"partners": [{"domain": "x.example", "additional_domains": [], "state": "?"}, {"domain": "y.example"}]},
            ["state"],
        ),
        ("xmpp_partner", {"partners": [{"domain": "y.example"}], "purge": "?"}, ["purge"]),
        (
            "external_access_policy",
            {
                "policies": [
                    {"name": "A", "scope": "site", "members": ["x@ours.example"], "state": "?"},
                    {"name": "B", "scope": "site", "members": ["*@ours.example"]},
                ]
            },
            ["state"],
        ),
        (
            "external_access_policy",
            {"policies": [{"name": "G", "state": "absent", "grant_to_all": "?"}]},
            ["grant_to_all"],
        ),
    ]
    for module, options, keys in calls:
        told = call(module, **options, **where)
        assert [problem["key"] for problem in told["problems"]] == keys, told["msg"]
