# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Role variables: what tasks use, what the specs promise, and what the modules take are one and the same."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import readme
import tree
import yaml

if TYPE_CHECKING:
    from conftest import Installed

ROLES = ["xmpp_edge", "xmpp_front_end"]
NAME = re.compile(r"(?<![\w.-])(xmpp_(?:edge|front_end)_\w+)")
# Group names and what the playbooks, not the roles, look at.
OF_PLAYBOOKS = {"xmpp_edge_hosts", "xmpp_front_end_hosts", "xmpp_edge_serial"}
# How a variable's entries are called where a module takes them.
ENTRIES = {
    "xmpp_edge_partners": ("xmpp_partner", "partners"),
    "xmpp_edge_policies": ("external_access_policy", "policies"),
    "xmpp_edge_crls": ("edge_crl", "crls"),
}


@lru_cache
def defaults(role: str) -> dict[str, Any]:
    return yaml.safe_load((tree.ROOT / "roles" / role / "defaults/main.yml").read_text()) or {}


def own_names(path: Path) -> set[str]:
    """Role variables that a file mentions, without those that it makes itself."""
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    return {name for name in NAME.findall("\n".join(lines)) if not name.endswith("_")}


@pytest.mark.parametrize("role", ROLES)
def test_every_variable_in_use_is_specified(role: str) -> None:
    home = tree.ROOT / "roles" / role
    files = [path for kind in ("tasks", "templates", "handlers", "vars") for path in (home / kind).rglob("*.*")]
    used = {name for path in files if path.is_file() for name in own_names(path)}
    specified = {name for other in ROLES for name in readme.options_of(other)}
    assert sorted(used - specified - OF_PLAYBOOKS) == []


@pytest.mark.parametrize("role", ROLES)
def test_defaults_are_those_of_the_spec(role: str) -> None:
    specified = readme.options_of(role)
    assert sorted(set(defaults(role)) - set(specified)) == []
    for name, value in defaults(role).items():
        if "{{" in str(value):
            # Worked out from others: the spec says in words what comes out.
            assert specified[name].get("default"), name
        else:
            assert specified[name].get("default") == value, name
    promised = {name for name, option in specified.items() if "default" in option and name.startswith(f"{role}_")}
    assert sorted(promised - set(defaults(role))) == []


@pytest.fixture(scope="module")
def module_options(installed: Installed) -> dict[str, dict[str, Any]]:
    names = ["edge_config", *(module for module, _list in ENTRIES.values())]
    done = installed.run("ansible-doc", "--json", *(f"xmpp.federation.{name}" for name in names))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return {name: found[f"xmpp.federation.{name}"]["doc"]["options"] for name in names}


def shape(options: dict[str, Any]) -> dict[str, Any]:
    """Types and choices of options, all the way down."""
    return {
        name: {
            "type": option.get("type", "str"),
            "elements": option.get("elements"),
            "choices": sorted(option.get("choices") or []),
            "inner": shape(option.get("suboptions") or option.get("options") or {}),
        }
        for name, option in options.items()
    }


@pytest.mark.parametrize("variable", sorted(ENTRIES))
def test_entries_are_those_of_the_module(module_options: dict[str, dict[str, Any]], variable: str) -> None:
    module, option = ENTRIES[variable]
    ours = shape(readme.options_of("xmpp_edge")[variable]["options"])
    theirs = shape(module_options[module][option]["suboptions"])
    assert ours == theirs


def test_every_option_of_edge_config_is_a_variable(module_options: dict[str, dict[str, Any]]) -> None:
    ours = shape(readme.options_of("xmpp_edge"))
    theirs = shape(module_options["edge_config"])
    theirs.pop("state", None)
    assert {name: ours.get(f"xmpp_edge_{name}") for name in theirs} == theirs


def test_both_roles_take_the_same_partners() -> None:
    ours, theirs = (readme.options_of(role)["xmpp_edge_partners"]["options"] for role in ROLES)
    assert ours == theirs


def test_the_trial_before_a_run_is_that_run() -> None:
    """What preflight tries in check mode has to be what federation then writes, option by option."""
    home = tree.ROOT / "roles/xmpp_edge/tasks"
    tried, written = (
        {
            key: value
            for task in yaml.safe_load((home / name).read_text())
            for key, value in task.items()
            if key.rpartition(".")[2] in ("edge_config", "xmpp_partner", "external_access_policy")
        }
        for name in ("preflight.yml", "federation.yml")
    )
    assert len(written) == 3
    assert tried == written
