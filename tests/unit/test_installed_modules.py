# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every module as Ansible ships it to a host: packed with what it imports, and run by a Python of its own.

This takes the fixtures of pytest-ansible; the other tests do without them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

MODULES = sorted(path.stem for path in (Path(__file__).resolve().parents[2] / "plugins/modules").glob("*.py"))
# What is asked for before unknown options are noticed.
REQUIRED = {"srv_record": {"server": "192.0.2.1", "records": []}}

pytestmark = [
    pytest.mark.filterwarnings("ignore:Host management is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:AnsibleCollectionFinder has already been configured:UserWarning"),
]


@pytest.fixture
def here(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """This machine as a managed host."""
    if not request.config.pluginmanager.hasplugin("ansible"):
        pytest.skip("pytest-ansible is not active")
    monkeypatch.setenv("ANSIBLE_PYTHON_INTERPRETER", sys.executable)
    return request.getfixturevalue("localhost")


def _run(host: Any, module: str, **options: Any) -> dict[str, Any]:
    result = dict(getattr(host, f"xmpp.federation.{module}")(**options).contacted["localhost"])
    assert "deserialization" not in str(result.get("msg")), result
    return result


@pytest.mark.parametrize("module", MODULES)
def test_a_module_arrives_whole(here: Any, module: str) -> None:
    """It is refused by its own words, so everything that it imports has come along."""
    result = _run(here, module, no_such_option=1, **REQUIRED.get(module, {}))
    assert result["failed"]
    assert "no_such_option" in result["msg"]


def test_records_written_and_read(here: Any, tmp_path: Path) -> None:
    where = {"config_dir": str(tmp_path / "xmpp-edge")}
    for module, options in {
        "edge_config": {"domains": ["inside.example"], "allow_federated_users": True},
        "xmpp_partner": {"domain": "partner.example"},
        "external_access_policy": {"name": "A", "federation_access": True, "grant_to_all": True, "xmpp_access": True},
    }.items():
        assert _run(here, module, **where, **options)["changed"]
        assert not _run(here, module, **where, **options)["changed"]
    told = _run(here, "edge_info", **where, users=["alice@inside.example"])
    assert told["desired"]["partners"][0]["domain"] == "partner.example"
    assert told["effective"][0]["policy"]["name"] == "A"
