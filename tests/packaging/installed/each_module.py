# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run by ``test_installed_modules.py`` against the installed collection."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(os.environ["ANSIBLE_COLLECTIONS_PATH"])
HOME = ROOT / "ansible_collections/xmpp/federation"

# What a call without any server or record behind it answers.
CALLS: dict[str, dict[str, object]] = {
    "edge_config": {"domains": ["inside.example"]},
    "xmpp_partner": {"domain": "gmail.example", "tls": "not_supported", "sasl": "not_supported"},
    "external_access_policy": {"name": "FedPic", "scope": "user", "federation_access": True},
    "edge_certificate": {
        "common_name": "edge.inside.example",
        "xmpp_domains": ["inside.example"],
        "state": "requested",
    },
    "edge_crl": {"name": "none.crl", "state": "absent"},
    "edge_info": {},
}


def call(host: object, module: str, **options: object) -> dict[str, object]:
    results = getattr(host, f"xmpp.federation.{module}")(**options)
    return dict(results["localhost"])


@pytest.mark.parametrize("name", sorted(CALLS))
def test_does_it_once(localhost: object, tmp_path: Path, name: str) -> None:
    options = {**CALLS[name], "config_dir": str(tmp_path / "xmpp-edge")}
    first = call(localhost, name, **options)
    again = call(localhost, name, **options)
    assert not first.get("failed"), first
    assert not again.get("failed"), again
    assert again["changed"] is False
    assert first["changed"] is (name not in ("edge_info", "edge_crl"))


def test_srv_record_says_when_nobody_answers(localhost: object) -> None:
    nobody = {"server": "127.0.0.1", "server_port": 1, "zone": "inside.example"}
    result = call(localhost, "srv_record", domain="inside.example", target="edge.inside.example", **nobody)
    assert result["failed"]
    assert "127.0.0.1" in str(result["msg"])


def test_every_module_is_tried_here_or_with_a_running_edge() -> None:
    with_an_edge = {"edge_release", "federation_check"}
    known = set(CALLS) | {"srv_record"} | with_an_edge
    assert {path.stem for path in (HOME / "plugins/modules").glob("*.py")} == known
