# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in several places is held equal: records, argument specs, documentation, the links of the service."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.xmpp.federation.plugins.module_utils import (
    _crl_options,
    _module_edge,
    _module_info,
    _module_partner,
    _module_policy,
)
from ansible_collections.xmpp.federation.plugins.module_utils._records import edge, partner, policy
from ansible_collections.xmpp.federation.plugins.module_utils._records.fields import Fields

Call = Callable[..., dict[str, Any]]

PACKAGE = "ansible_collections.xmpp.federation.plugins"
ROOT = Path(__file__).resolve().parents[2]
SPECS: dict[str, dict[str, Any]] = {
    "edge_config": _module_edge.argument_spec(),
    "edge_crl": _crl_options.argument_spec(),
    "edge_info": _module_info.argument_spec(),
    "external_access_policy": _module_policy.argument_spec(),
    "xmpp_partner": _module_partner.argument_spec(),
}
FIELDS: list[tuple[str, Fields, str | None]] = [
    ("edge_config", edge.FIELDS, None),
    ("xmpp_partner", partner.FIELDS, "partners"),
    ("external_access_policy", policy.FIELDS, "policies"),
]


def _document(module: str, name: str) -> dict[str, Any]:
    found = yaml.safe_load(getattr(importlib.import_module(f"{PACKAGE}.modules.{module}"), name))
    assert isinstance(found, dict)
    return found


def _documented(module: str) -> dict[str, Any]:
    """The options of a module, those of its fragments included."""
    document = _document(module, "DOCUMENTATION")
    options: dict[str, Any] = {}
    for fragment in document["extends_documentation_fragment"]:
        name, _dot, part = fragment.removeprefix("xmpp.federation.").partition(".")
        source = importlib.import_module(f"{PACKAGE}.doc_fragments.{name}").ModuleDocFragment
        options.update(yaml.safe_load(getattr(source, (part or "documentation").upper()))["options"])
    return {**options, **document["options"]}


def _differences(spec: Mapping[str, Any], documented: Mapping[str, Any], path: str = "") -> Iterator[str]:
    if set(spec) != set(documented):
        yield f"{path}: {sorted(set(spec) ^ set(documented))}"
        return
    for name, one in spec.items():
        told = documented[name]
        for key in ("type", "elements", "choices", "default", "required"):
            if one.get(key) != told.get(key):
                yield f"{path}{name}.{key}: {one.get(key)!r} is documented as {told.get(key)!r}"
        yield from _differences(one.get("options", {}), told.get("suboptions", {}), f"{path}{name}.")


@pytest.mark.parametrize("module", SPECS)
def test_documentation_says_what_the_spec_says(module: str) -> None:
    assert list(_differences(SPECS[module], _documented(module))) == []


@pytest.mark.parametrize(("module", "fields", "many"), FIELDS)
def test_every_field_is_an_option(module: str, fields: Fields, many: str | None) -> None:
    types = {"bool": "bool", "int": "int", "list": "list", "dict": "dict", "path": "path"}
    for spec in [SPECS[module]] + ([SPECS[module][many]["options"]] if many else []):
        for name, field in fields.items():
            assert spec[name]["type"] == types.get(field.kind, "str")
            assert tuple(spec[name].get("choices", ())) == field.choices
            # An option that is left out must leave the record alone.
            assert "default" not in spec[name]


@pytest.mark.parametrize(("module", "many"), [("xmpp_partner", "partners"), ("external_access_policy", "policies")])
def test_single_options_are_those_of_a_list_entry(module: str, many: str) -> None:
    spec = SPECS[module]
    for name, one in spec[many]["options"].items():
        assert spec[name] == {key: value for key, value in one.items() if key != "required"}
    assert set(spec) - set(spec[many]["options"]) == {many, "purge", "own_domains", "config_dir"}
    suboptions = _document(module, "DOCUMENTATION")["options"][many]["suboptions"]
    assert all(one["description"] == f"See O({name})." for name, one in suboptions.items())


def test_documented_defaults_of_settings_hold() -> None:
    options = _document("edge_config", "DOCUMENTATION")["options"]
    options.update(options["inside"]["suboptions"])
    for name, field in {**edge.FIELDS, **edge.INSIDE_FIELDS}.items():
        if field.default is not None and (field.kind in ("int", "host") or field.choices):
            assert str(field.default) in " ".join(options[name]["description"]), name


def test_returned_keys_are_the_documented_ones(call: Call, config_dir: Path) -> None:
    options: dict[str, dict[str, Any]] = {
        "edge_config": {"domains": ["inside.example"]},
        "xmpp_partner": {"domain": "partner.example"},
        "external_access_policy": {"name": "A", "grant_to": ["alice@inside.example"], "grant_to_all": True},
        "edge_info": {"users": ["alice@inside.example"], "run_dir": str(config_dir)},
    }
    for module, given in options.items():
        told = _document(module, "RETURN")
        refused = call(module, config_dir=str(config_dir), unknown=1)
        done = call(module, config_dir=str(config_dir), **given)
        for result in (refused, done):
            for key in ("changed", "failed", "diff", "warnings", "msg"):
                result.pop(key, None)
        assert set(done) | set(refused) == set(told), module
        for key, value in {**done, **refused}.items():
            _check_returned(f"{module}.{key}", told[key], value)


def _check_returned(path: str, told: Mapping[str, Any], value: Any) -> None:
    types = {"str": str, "bool": bool, "int": int, "list": list, "dict": dict}
    assert value is None or isinstance(value, types[told["type"]]), path
    if "contains" in told:
        for entry in value if isinstance(value, list) else [value]:
            assert set(entry) == set(told["contains"]), path
            for key, one in entry.items():
                _check_returned(f"{path}.{key}", told["contains"][key], one)
    if "sample" in told and isinstance(value, dict):
        assert set(told["sample"]) == set(value), path


# What edge_crl and edge_info show they take from elsewhere.
@pytest.mark.parametrize("module", sorted({*SPECS} - {"edge_crl", "edge_info"}))
def test_examples_are_accepted(module: str, call: Call, config_dir: Path) -> None:
    for task in yaml.safe_load(importlib.import_module(f"{PACKAGE}.modules.{module}").EXAMPLES):
        options = json.loads(json.dumps(task[f"xmpp.federation.{module}"]))
        result = call(module, check=True, config_dir=str(config_dir), **options)
        assert "failed" not in result, result


def test_the_service_has_a_link_to_every_file_of_the_records() -> None:
    source = ROOT / "plugins/module_utils/_records"
    links = ROOT / "roles/xmpp_edge/files/xmpp_edge/records"
    assert sorted(path.name for path in links.glob("*.py")) == sorted(path.name for path in source.glob("*.py"))
    for path in links.glob("*.py"):
        assert path.resolve() == (source / path.name).resolve()
        if path.is_symlink():
            assert not os.path.isabs(os.readlink(path))


@pytest.mark.parametrize(
    ("variable", "module", "path"),
    [
        ("xmpp_edge_partners", "xmpp_partner", "partners"),
        ("xmpp_edge_policies", "external_access_policy", "policies"),
        ("xmpp_edge_inside", "edge_config", "inside"),
        ("xmpp_edge_crls", "edge_crl", "crls"),
    ],
)
def test_the_role_takes_what_the_modules_take(variable: str, module: str, path: str) -> None:
    specs = yaml.safe_load((ROOT / "roles/xmpp_edge/meta/argument_specs.yml").read_text(encoding="utf-8"))
    found = [
        one["options"][variable]
        for name, one in specs["argument_specs"].items()
        # The trial leaves lists of entries to the modules, which name the entry that does not fit.
        if variable in one.get("options", {}) and (name != "preflight" or variable == "xmpp_edge_inside")
    ]
    assert found
    for one in found:
        told = SPECS[module][path]
        assert one["type"] == told["type"]
        assert one.get("elements") == told.get("elements")
        assert list(_role_differences(told["options"], one["options"])) == []


def test_the_trial_lets_the_modules_name_the_entry() -> None:
    """A check of arguments comes first, and says neither which entry it refuses nor what to do."""
    specs = yaml.safe_load((ROOT / "roles/xmpp_edge/meta/argument_specs.yml").read_text(encoding="utf-8"))
    options = specs["argument_specs"]["preflight"]["options"]
    for variable in ("xmpp_edge_partners", "xmpp_edge_policies"):
        assert "options" not in options[variable]


def test_the_role_takes_every_setting() -> None:
    specs = yaml.safe_load((ROOT / "roles/xmpp_edge/meta/argument_specs.yml").read_text(encoding="utf-8"))
    options = specs["argument_specs"]["main"]["options"]
    for name, one in SPECS["edge_config"].items():
        if name not in ("state", "config_dir"):
            told = options[f"xmpp_edge_{name}"]
            assert (told["type"], told.get("elements")) == (one["type"], one.get("elements")), name


def _role_differences(spec: Mapping[str, Any], told: Mapping[str, Any]) -> Iterator[str]:
    if set(spec) != set(told):
        yield str(sorted(set(spec) ^ set(told)))
        return
    for name, one in spec.items():
        for key in ("type", "elements", "choices", "required"):
            if one.get(key) != told[name].get(key):
                yield f"{name}.{key}: {one.get(key)!r} in the module, {told[name].get(key)!r} in the role"
