# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many objects in one call. Time is compared with a yardstick of the same moment, for machines differ."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.xmpp.federation.plugins.modules import xmpp_partner

Call = Callable[..., dict[str, Any]]

MANY = 1000


def _partners(keepalive: bool) -> list[dict[str, Any]]:
    return [
        {
            "domain": f"partner{number}.example",
            "additional_domains": [f"conference.partner{number}.example"],
            "tls": "optional",
            "sasl": "not_supported",
            "keepalive": keepalive,
        }
        for number in range(MANY)
    ]


def _timed(run: Callable[[], dict[str, Any]]) -> tuple[float, dict[str, Any]]:
    started = time.process_time()
    result = run()
    return time.process_time() - started, result


@pytest.fixture
def yardstick() -> float:
    """The time of some work of the same kind: parsing and writing plain JSON."""
    text = json.dumps([_partners(True)] * 10)
    started = time.process_time()
    for _turn in range(5):
        json.dumps(json.loads(text), sort_keys=True, indent=2)
    return time.process_time() - started


def test_a_thousand_partners(call: Call, config_dir: Path, yardstick: float) -> None:
    options = {"config_dir": str(config_dir), "purge": True}
    created, result = _timed(lambda: call("xmpp_partner", partners=_partners(True), **options))
    assert len(result["created"]) == len(result["partners"]) == MANY
    unchanged, result = _timed(lambda: call("xmpp_partner", partners=_partners(True), **options))
    assert result["changed"] is False
    changed, result = _timed(lambda: call("xmpp_partner", partners=_partners(False), **options))
    assert len(result["updated"]) == MANY
    # This is for gross slips, such as work that grows with the square of the list; it passes with a wide margin.
    assert max(created, unchanged, changed) < 5 * yardstick


def test_a_thousand_grants(call: Call, config_dir: Path, yardstick: float) -> None:
    call("edge_config", config_dir=str(config_dir), domains=["inside.example"])
    options: dict[str, Any] = {
        "config_dir": str(config_dir),
        "name": "A",
        "grant_to": [f"user{number}@inside.example" for number in range(MANY)],
    }
    first, result = _timed(lambda: call("external_access_policy", **options))
    assert len(result["granted"]) == MANY
    again, result = _timed(lambda: call("external_access_policy", **options))
    assert result["changed"] is False
    assert max(first, again) < 5 * yardstick


@pytest.mark.parametrize("check", [False, True])
def test_a_few_changes_among_many(call: Call, config_dir: Path, check: bool) -> None:
    """What is told is what changes, in an order that does not depend on that of the list."""
    options = {"config_dir": str(config_dir), "purge": True}
    before = _partners(True)
    call("xmpp_partner", partners=before, **options)
    after = [*before[3:], {"domain": "new.example"}]
    after[10] = {**after[10], "keepalive": False}
    after[5] = {**after[5], "description": "moved"}
    random.Random(1).shuffle(after)
    told = call("xmpp_partner", check=check, partners=after, **options)
    removed = [one["domain"] for one in before[:3]]
    assert told["created"] == ["new.example"]
    assert told["updated"] == ["partner13.example", "partner8.example"]
    assert told["removed"] == removed == sorted(removed)
    updated = [f"partner {domain}" for domain in told["updated"]]
    gone = [f"partner {domain}" for domain in removed]
    assert list(told["diff"]["before"]) == sorted([*updated, *gone])
    assert list(told["diff"]["after"]) == sorted([*updated, "partner new.example"])
    assert len(told["partners"]) == len(after)


def test_thousands_are_not_sent_back_as_they_came(config_dir: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What was given stands in the playbook; the answer is what came of it."""
    with patch_module_args({"config_dir": str(config_dir), "partners": _partners(True)}), pytest.raises(SystemExit):
        xmpp_partner.main()
    told = json.loads(capfd.readouterr().out)
    assert len(told["created"]) == MANY
    # From 2.21 on ansible-core itself leaves out what was given.
    assert told.get("invocation", {}).get("module_args", {}).get("partners", f"{MANY} entries") == f"{MANY} entries"


def test_an_order_is_no_change(call: Call, config_dir: Path) -> None:
    partners = _partners(True)
    call("xmpp_partner", config_dir=str(config_dir), partners=partners)
    assert call("xmpp_partner", config_dir=str(config_dir), partners=partners[::-1])["changed"] is False


def test_ten_times_as_many_requests_take_ten_times_as_long(call: Call, config_dir: Path) -> None:
    """Made, found unchanged, and taken away again: each looked at the directory of all for each of them once."""
    took: list[list[float]] = []
    for count in (100, 1000):
        entries = [{"id": f"c{number}", "xmpp_domains": [f"d{number}.example"]} for number in range(count)]
        turns = []
        for state, changed in (("requested", True), ("requested", False), ("absent", True)):
            options = {"config_dir": str(config_dir / str(count)), "state": state, "entries": entries}
            seconds, result = _timed(lambda options=options: _certificates(call, **options))  # type: ignore[misc]
            assert result["changed"] is changed
            assert len(result["certificates"]) == count
            turns.append(seconds)
        took.append(turns)
    for few, many in zip(*took, strict=True):
        assert many < 20 * few


def _certificates(call: Call, config_dir: str, state: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
    kept = [{"id": entry["id"]} if state == "absent" else {**entry, "key_type": "ec_p256"} for entry in entries]
    return call("edge_certificate", config_dir=config_dir, certificates=[{**one, "state": state} for one in kept])


def test_ten_times_as_many_take_ten_times_as_long(call: Call, config_dir: Path) -> None:
    """No work grows with the square: ten times the objects may take twice ten times the time, for the noise."""
    took = []
    for count in (MANY, 10 * MANY):
        partners = [{"domain": f"p{number}.example", "partner_type": "federated"} for number in range(count)]
        options = {"config_dir": str(config_dir / str(count)), "partners": partners, "purge": True}
        created, result = _timed(lambda options=options: call("xmpp_partner", **options))  # type: ignore[misc]
        assert len(result["created"]) == count
        unchanged, result = _timed(lambda options=options: call("xmpp_partner", **options))  # type: ignore[misc]
        assert result["changed"] is False
        assert result["diff"] == {"before": {}, "after": {}}
        took.append(created + unchanged)
    assert took[1] < 20 * took[0]


def test_a_thousand_policies(call: Call, config_dir: Path, yardstick: float) -> None:
    policies = [{"name": f"P{number}", "federation_access": True} for number in range(MANY)]
    options: dict[str, Any] = {"config_dir": str(config_dir), "purge": True}
    first, result = _timed(lambda: call("external_access_policy", policies=policies, **options))
    assert len(result["created"]) == MANY
    fewer = policies[: MANY // 2]
    again, result = _timed(lambda: call("external_access_policy", policies=fewer, **options))
    assert len(result["removed"]) == MANY // 2
    assert len(result["diff"]["before"]) == MANY // 2
    assert result["diff"]["after"] == {}
    assert max(first, again) < 5 * yardstick
