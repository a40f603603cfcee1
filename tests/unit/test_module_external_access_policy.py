# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., dict[str, Any]]

MODULE = "external_access_policy"
OPEN = {"federation_access": True, "xmpp_access": True}


@pytest.fixture
def where(call: Call, config_dir: Path) -> dict[str, Any]:
    """An edge with a domain of its own."""
    call("edge_config", config_dir=str(config_dir), domains=["inside.example", "bücher.example"])
    return {"config_dir": str(config_dir)}


def _stored(config_dir: Path) -> dict[str, Any]:
    document = json.loads((config_dir / "policies.json").read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return document


def test_the_policy_of_the_walkthrough(lawful: Call, where: dict[str, Any], config_dir: Path) -> None:
    record = {
        "name": "FedPic",
        "scope": "user",
        "members": [],
        "federation_access": True,
        "xmpp_access": True,
        "public_cloud_access": True,
        "description": "",
    }
    done = lawful(MODULE, name="tag:FedPic", public_cloud_access=True, grant_to_all=True, **OPEN, **where)
    assert done == {
        "changed": True,
        "policies": [record],
        "created": ["FedPic"],
        "updated": [],
        "removed": [],
        "granted": [],
        "revoked": [],
        "grant_to_all": "FedPic",
        "diff": {
            "before": {"grant_to_all": ""},
            "after": {"policy FedPic": record, "grant_to_all": "FedPic"},
        },
        "warnings": [],
    }
    assert _stored(config_dir) == {"schema": 1, "policies": [record], "grants": {}, "grant_to_all": "FedPic"}


def test_the_trap_of_the_walkthrough_is_pointed_out(lawful: Call, where: dict[str, Any]) -> None:
    done = lawful(MODULE, name="FedPic", federation_access=True, public_cloud_access=True, **where)
    assert done["warnings"] == ["FedPic: federation_access without xmpp_access lets nobody talk to XMPP partners"]
    assert lawful(MODULE, name="FedPic", xmpp_access=True, **where)["warnings"] == []


def test_grants_add_and_replace(lawful: Call, where: dict[str, Any], config_dir: Path) -> None:
    users = ["ALICE@inside.example", "bob@bücher.example"]
    done = lawful(MODULE, name="A", grant_to=users, **where)
    assert done["granted"] == ["alice@inside.example", "bob@bücher.example"]
    assert done["diff"]["after"]["grants"] == {"alice@inside.example": "A", "bob@bücher.example": "A"}

    done = lawful(MODULE, name="A", grant_to=["carol@inside.example", "alice@INSIDE.example."], **where)
    assert (done["granted"], done["revoked"]) == (["carol@inside.example"], [])

    done = lawful(MODULE, name="B", grant_to=["bob@xn--bcher-kva.example"], **where)
    assert done["diff"]["before"]["grants"] == {"bob@bücher.example": "A"}
    assert done["diff"]["after"]["grants"] == {"bob@bücher.example": "B"}

    done = lawful(MODULE, name="A", grant_to=["dave@inside.example"], grant_mode="replace", **where)
    assert done["revoked"] == ["alice@inside.example", "carol@inside.example"]
    assert _stored(config_dir)["grants"] == {"bob@bücher.example": "B", "dave@inside.example": "A"}


def test_grant_to_all_is_one_policy(call: Call, lawful: Call, where: dict[str, Any]) -> None:
    lawful(MODULE, name="A", grant_to_all=True, **where)
    assert lawful(MODULE, name="B", grant_to_all=True, **where)["grant_to_all"] == "B"
    assert lawful(MODULE, name="A", grant_to_all=False, **where)["grant_to_all"] == "B"
    assert lawful(MODULE, name="B", grant_to_all=False, **where)["grant_to_all"] is None
    both = [{"name": "A", "grant_to_all": True}, {"name": "B", "grant_to_all": True}]
    assert call(MODULE, policies=both, **where)["problems"][0]["key"] == "grant_to_all"


def test_the_global_policy(lawful: Call, where: dict[str, Any], config_dir: Path) -> None:
    done = lawful(MODULE, scope="global", **OPEN, **where)
    assert (done["created"], done["policies"][0]["name"]) == (["global"], "global")
    assert lawful(MODULE, name="global", xmpp_access=False, **where)["updated"] == ["global"]
    assert lawful(MODULE, name="global", state="absent", **where)["removed"] == ["global"]
    assert _stored(config_dir)["policies"] == []


def test_a_granted_policy_is_not_removed_in_passing(call: Call, lawful: Call, where: dict[str, Any]) -> None:
    lawful(MODULE, name="A", grant_to=["alice@inside.example"], grant_to_all=True, **where)
    told = [call(MODULE, check=check, name="A", state="absent", **where) for check in (True, False)]
    assert told[0] == told[1]
    assert "A is still granted to alice@inside.example, all users (grant_to_all)" in told[0]["msg"]
    assert "grant_mode replace" in told[0]["problems"][0]["remedy"]
    options = {"grant_to": [], "grant_mode": "replace", "grant_to_all": False}
    done = lawful(MODULE, name="A", state="absent", **options, **where)
    assert (done["removed"], done["revoked"], done["grant_to_all"]) == (["A"], ["alice@inside.example"], None)


def test_a_list_with_purge_is_the_whole_truth(
    call: Call, lawful: Call, where: dict[str, Any], config_dir: Path
) -> None:
    policies: list[dict[str, Any]] = [
        {"scope": "global", **OPEN},
        {"name": "A", "grant_to": ["alice@inside.example", "bob@inside.example"]},
        {"name": "B", "grant_to": ["carol@inside.example"], "grant_to_all": True},
    ]
    lawful(MODULE, policies=policies, purge=True, **where)
    # Whoever is taken out of grant_to loses the policy; a policy that is taken out goes with its grants.
    options = {"policies": [{"name": "A", "grant_to": ["alice@inside.example"]}], "purge": True, **where}
    told = call(MODULE, check=True, **options)
    carol = "the purged policies were granted to carol@inside.example, who fall back to the policy of all"
    assert told["warnings"] == [
        "B was granted to all, who fall back to the policies of their sites and the global one. " + carol
    ]
    done = lawful(MODULE, **options)
    assert done["removed"] == ["B", "global"]
    assert done["revoked"] == ["bob@inside.example", "carol@inside.example"]
    assert _stored(config_dir)["grants"] == {"alice@inside.example": "A"}
    assert _stored(config_dir)["grant_to_all"] is None
    # Grants that the entry does not speak of stay.
    assert not lawful(MODULE, policies=[{"name": "A"}], purge=True, **where)["changed"]
    lawful(MODULE, policies=[], purge=True, **where)
    assert _stored(config_dir) == {"schema": 1, "policies": [], "grants": {}, "grant_to_all": None}


def test_users_move_within_one_call(lawful: Call, where: dict[str, Any], config_dir: Path) -> None:
    alice, bob = ["alice@inside.example"], ["bob@inside.example"]
    lawful(MODULE, policies=[{"name": "A", "grant_to": alice}, {"name": "B", "grant_to": bob}], purge=True, **where)
    done = lawful(
        MODULE, policies=[{"name": "A", "grant_to": bob}, {"name": "B", "grant_to": alice}], purge=True, **where
    )
    assert (done["granted"], done["revoked"]) == ([*alice, *bob], [])
    assert _stored(config_dir)["grants"] == {alice[0]: "B", bob[0]: "A"}


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({}, "policies"),
        ({"federation_access": True}, "name"),
        ({"name": "A", "xmpp_access": True}, "xmpp_access"),
        ({"name": "A", "scope": "global"}, "name"),
        ({"name": "A", "grant_mode": "add"}, "grant_mode"),
        ({"name": "A", "grant_to": ["alice"]}, "grant_to[0]"),
        ({"name": "A", "grant_to": ["alice@inside.example", "Alice@inside.example"]}, "grant_to[1]"),
        ({"name": "A", "grant_to": ["joe@partner.example"]}, "grant_to[0]"),
        ({"name": "A", "grant_to": ["a@inside.example/phone"]}, "grant_to[0]"),
        ({"name": "A", "grant_to": ["alice@inside.example"], "state": "absent"}, "grant_to"),
        ({"name": "global", "grant_to_all": True}, "grant_to_all"),
        ({"policies": [{"name": "A"}, {"name": "tag:A"}]}, "name"),
        ({"policies": [{"name": "A"}, {"name": "a"}]}, "name"),
        (
            {"policies": [{"name": name, "grant_to": ["alice@inside.example"]} for name in "AB"]},
            "grant_to",
        ),
        ({"policies": [], "name": "A"}, "policies"),
        ({"purge": True}, "purge"),
        ({"name": "A", "scope": "pool"}, "scope"),
        ({"name": "A", "scope": "site"}, "members"),
        ({"name": "site:A"}, "members"),
        ({"name": "A", "members": ["*@inside.example"]}, "members"),
        ({"name": "global", "members": ["*@inside.example"]}, "members"),
        ({"name": "site:A", "members": ["*@partner.example"]}, "members"),
        ({"name": "site:A", "members": ["a*b*@inside.example"]}, "members[0]"),
        ({"name": "site:A", "members": ["alice@*.example"]}, "members[0]"),
        ({"name": "site:A", "members": ["*@inside.example", "*@Inside.example."]}, "members[1]"),
        (
            {"name": "site:A", "members": ["*@inside.example"], "grant_to": ["alice@inside.example"]},
            "grants to alice@inside.example",
        ),
        ({"name": "site:A", "members": ["*@inside.example"], "grant_to_all": True}, "grant_to_all"),
    ],
)
def test_refused(call: Call, where: dict[str, Any], options: dict[str, Any], key: str, config_dir: Path) -> None:
    told = [call(MODULE, check=check, **options, **where) for check in (True, False)]
    assert told[0] == told[1]
    assert [problem["key"] for problem in told[0]["problems"]] == [key]
    assert told[0]["problems"][0]["remedy"]
    assert not (config_dir / "policies.json").exists()


def test_every_bad_entry_is_told(call: Call, where: dict[str, Any]) -> None:
    policies = [{"name": "A", "xmpp_access": True}, {"name": "a:b"}, {"name": "C", "grant_to": ["x", "y@z.example"]}]
    told = call(MODULE, policies=policies, **where)
    assert [(problem["where"], problem["key"]) for problem in told["problems"]] == [
        ("policies[0] (A)", "xmpp_access"),
        ("policies[1] (a:b)", "name"),
        ("policies[2] (C)", "grant_to[0]"),
        ("policies[2] (C)", "grant_to[1]"),
    ]


def test_check_mode_on_a_blank_host(call: Call, config_dir: Path) -> None:
    """The task before has only told what it would write; grants have to be judged by what it is going to be."""
    options = {"config_dir": str(config_dir), "name": "A", "grant_to": ["alice@inside.example"]}
    assert call(MODULE, check=True, **options)["changed"]
    assert call(MODULE, check=True, own_domains=["Inside.example."], **options)["changed"]
    assert call(MODULE, check=True, own_domains=["other.example"], **options)["failed"]
    assert call(MODULE, **options)["failed"]
    assert not config_dir.exists()


def _site(name: str, *members: str) -> dict[str, Any]:
    return {"name": name, "scope": "site", "members": list(members), **OPEN}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("alice@inside.example", "ALICE@inside.example"),
        ("a*@inside.example", "alice@inside.example"),
        ("alice@inside.example", "*@inside.example"),
        ("a*@inside.example", "*e@inside.example"),
        ("al*@inside.example", "a*e@inside.example"),
        ("*@bücher.example", "zoë@xn--bcher-kva.example"),
    ],
)
def test_nobody_belongs_to_two_sites(call: Call, where: dict[str, Any], one: str, other: str) -> None:
    told = call(MODULE, policies=[_site("A", one), _site("B", other)], **where)
    assert [(problem["where"], problem["key"]) for problem in told["problems"]] == [("policies[1] (B)", "members")]
    assert "'A'" in told["problems"][0]["message"]


def test_members_of_a_site(lawful: Call, call: Call, where: dict[str, Any], config_dir: Path) -> None:
    policies = [
        _site("Branch", "*@bücher.example", "sales-*@inside.example"),
        _site("Desk", "a*z@inside.example", "alice@inside.example"),
        {"name": "Closed", "grant_to": ["sales-2@inside.example"]},
    ]
    done = lawful(MODULE, policies=policies, purge=True, **where)
    assert [record["name"] for record in done["policies"]] == ["Branch", "Desk", "Closed"]
    assert done["policies"][0]["members"] == ["*@bücher.example", "sales-*@inside.example"]
    users = {
        "zoë@BÜCHER.example": ("Branch", "site"),
        "Sales-1@inside.example": ("Branch", "site"),
        "sales-2@inside.example": ("Closed", "grant"),
        "alice@inside.example": ("Desk", "site"),
        "az@inside.example": ("Desk", "site"),
        "a@inside.example": ("global", "global"),
        "bob@inside.example": ("global", "global"),
    }
    shown = call("edge_info", config_dir=str(config_dir), users=list(users))
    assert [(entry["policy"]["name"], entry["reason"]) for entry in shown["effective"]] == list(users.values())
    # Granted to all goes before sites, and a site that goes leaves its members to the global policy.
    lawful(MODULE, name="Closed", grant_to_all=True, **where)
    shown = call("edge_info", config_dir=str(config_dir), users=["az@inside.example"])
    assert shown["effective"][0]["reason"] == "grant_to_all"


def test_a_granted_policy_does_not_become_a_site(call: Call, where: dict[str, Any]) -> None:
    call(MODULE, name="A", grant_to=["alice@inside.example"], **where)
    told = call(MODULE, **_site("A", "*@inside.example"), **where)
    assert [problem["key"] for problem in told["problems"]] == ["grants to alice@inside.example"]
