# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many objects in one call. Time is compared with a yardstick of the same moment, for machines differ."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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
