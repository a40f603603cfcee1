# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules for records share: argument specs from fields, lists with single options as sugar, errors, the run.

PRIVATE to the collection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Iterable, Mapping

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.validation import check_type_dict

from . import _store
from ._plan import Draft
from ._records import names
from ._records.errors import Problem, RecordError
from ._records.fields import Fields, similar

CONFIG_DIR = {"type": "path", "default": "/etc/xmpp-edge"}
OWN_DOMAINS = {"type": "list", "elements": "str"}


def spec_of(fields: Fields) -> dict[str, dict[str, Any]]:
    """The argument spec of a record. No defaults: an option that is left out leaves the record as it is."""
    return {name: _option(one) for name, one in fields.items()}


def _option(one: Any) -> dict[str, Any]:
    plain = {"bool": "bool", "int": "int", "list": "list", "dict": "dict", "path": "path"}
    option: dict[str, Any] = {"type": plain.get(one.kind, "str")}
    if one.kind == "list":
        option["elements"] = plain.get(one.elements, "str")
    if one.kind == "dict":
        option["options"] = spec_of(one.fields)
    if one.choices:
        option["choices"] = list(one.choices)
    if one.secret:
        option["no_log"] = True
    return option


def optional(spec: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The same options beside a list of them, where none can be required."""
    return {name: {key: value for key, value in one.items() if key != "required"} for name, one in spec.items()}


class RecordModule(AnsibleModule):
    """A module that tells every option which does not fit at once, in a list with the index of the entry."""

    def __init__(self, argument_spec: dict[str, dict[str, Any]], **rules: Any) -> None:
        self._accepted = False
        self._given: dict[str, Any] = {}
        super().__init__(argument_spec=argument_spec, supports_check_mode=True, **rules)
        self._accepted = True

    def _load_params(self) -> None:
        super()._load_params()
        # What is left of a list after Ansible has looked at it lacks the entries that do not fit.
        self._given = dict(self.params)

    def fail_json(self, msg: str, **kwargs: Any) -> None:
        if not self._accepted:
            # Ansible reports the first misfit only, and in a list not which entry it is in.
            given = {name: value for name, value in self._given.items() if not name.startswith("_ansible_")}
            problems = list(_misfits(self.argument_spec, given))
            if problems:
                msg, kwargs = told(problems), {**kwargs, "problems": [one.as_dict() for one in problems]}
        super().fail_json(msg, **kwargs)

    def exit_json(self, **kwargs: Any) -> None:
        # What Ansible adds by itself names every option of every entry that was left out, which is most of the text.
        super().exit_json(**{"invocation": {"module_args": _said(self.params)}, **kwargs})

    def fail_with(self, problems: Iterable[Problem]) -> None:
        found = list(problems)
        self.fail_json(told(found), problems=[one.as_dict() for one in found])


def _misfits(
    spec: Mapping[str, Any], params: Mapping[str, Any], where: str = "", prefix: str = ""
) -> Iterable[Problem]:
    for name, value in params.items():
        key = f"{prefix}{name}"
        if name not in spec:
            yield Problem(where, key, "there is no such option", similar(name, spec))
        elif value is None:
            continue
        elif "options" not in spec[name]:
            yield from _misfit(where, key, name, spec[name], value)
        elif spec[name]["type"] == "dict":
            options = _as_options(value)
            if options is None:
                yield Problem(where, key, _NO_OPTIONS, "give its options and their values")
            else:
                yield from _misfits(spec[name]["options"], options, where, f"{key}.")
        elif not isinstance(value, list):
            yield Problem(where, key, "this is not a list", "give a list, with [] for none")
        else:
            for index, entry in enumerate(value):
                yield from _misfit_entry(f"{key}[{index}]", spec[name]["options"], entry)
    yield from (
        Problem(where, f"{prefix}{name}", "this is missing", "give it")
        for name, one in spec.items()
        if one.get("required") and params.get(name) is None
    )


def _misfit_entry(where: str, spec: Mapping[str, Any], entry: Any) -> Iterable[Problem]:
    options = _as_options(entry)
    if options is None:
        yield Problem(where, "", _NO_OPTIONS, "give its options and their values")
    else:
        name = next((options[key] for key in ("domain", "name", "id") if options.get(key)), None)
        yield from _misfits(spec, options, labelled(where, name))


_NO_OPTIONS = "this is not a mapping of options to values"


def _as_options(value: Any) -> dict[str, Any] | None:
    """Options as Ansible reads them, which takes some texts for mappings too. They may hold secrets: never shown."""
    try:
        found = check_type_dict(value)
    except TypeError:
        return None
    return found if isinstance(found, dict) else None


def _misfit(where: str, key: str, name: str, one: Mapping[str, Any], value: Any) -> Iterable[Problem]:
    messages = ArgumentSpecValidator({name: one}).validate({name: value}).error_messages
    if not messages:
        return
    shown = "the value" if one.get("no_log") else repr(value)
    if "choices" in one:
        yield Problem(where, key, f"{shown} is not possible here", f"choose one of {', '.join(one['choices'])}")
    else:
        yield Problem(where, key, f"{shown} cannot be used here", f"give a value of type {one['type']}")


def labelled(where: str, name: Any) -> str:
    return f"{where} ({name})" if name else where


def told(problems: list[Problem]) -> str:
    """What is wrong, for a person."""
    if len(problems) == 1:
        text = str(problems[0])
        return f"{text}{'' if text.endswith('?') else '.'} Nothing was changed."
    lines = "\n".join(f"- {one}" for one in problems)
    return f"There are {len(problems)} problems, and nothing was changed.\n{lines}"


def run(module: RecordModule, make_draft: Callable[[dict[str, Any], Mapping[str, Any], bool], Draft]) -> None:
    """Plan, carry out, report."""
    try:
        plan = _store.apply(
            module.params["config_dir"],
            module.check_mode,
            lambda current: make_draft(module.params, current, module.check_mode),
        )
    except RecordError as exc:
        module.fail_with(exc.problems)
        return
    if plan.warnings:
        module.warn(". ".join(plan.warnings))
    outcome = {"changed": plan.changed, **plan.results}
    if module._diff:
        outcome["diff"] = plan.diff()
    module.exit_json(**outcome)


def _said(value: Any) -> Any:
    """The options that were given, those of entries too."""
    if isinstance(value, dict):
        return {key: _said(one) for key, one in value.items() if one is not None}
    return [_said(one) for one in value] if isinstance(value, list) else value


@dataclass(frozen=True)
class Entry:
    """One wanted record: where it stands, and the options that were given."""

    where: str
    options: dict[str, Any]

    def own(self, fields: Fields) -> dict[str, Any]:
        """The options that are keys of the record."""
        return {key: value for key, value in self.options.items() if key in fields}


def entries(
    params: Mapping[str, Any], many: str, spec: Mapping[str, Any], key: str, problems: list[Problem]
) -> list[Entry]:
    """The wanted records of a call: those of the list, or the one that the single options describe."""
    single = given({name: params[name] for name in spec})
    if params[many] is None:
        if params["purge"]:
            problems.append(Problem("", "purge", f"it needs the list {many}", f"give {many}, with [] for none"))
        if single:
            return [Entry(str(single.get(key) or ""), single)]
        if not params["purge"]:
            problems.append(Problem("", many, "nothing is asked for", f"give {many}, or {key} and its options"))
        return []
    if single:
        words = ", ".join(sorted(single))
        problems.append(
            Problem("", many, f"it is given beside {words}", f"put everything into {many}, or leave {many} out")
        )
    found = []
    for index, raw in enumerate(params[many]):
        options = given(raw)
        found.append(Entry(labelled(f"{many}[{index}]", options.get(key)), options))
    return found


def given(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Without the options that were left out."""
    return {name: value for name, value in raw.items() if value is not None}


def own_domains(params: Mapping[str, Any], edge: Mapping[str, Any], check_mode: bool) -> dict[str, str]:
    """Our own domains, each with where it stands: by the record, or in check mode as they are going to be."""
    if not check_mode or params["own_domains"] is None:
        return dict.fromkeys(edge["domains"], "see edge_config")
    found = {}
    problems = []
    for index, text in enumerate(params["own_domains"]):
        try:
            found[names.domain(text)] = "see own_domains"
        except ValueError as exc:
            problems.append(Problem("", f"own_domains[{index}]", str(exc), "write a domain name"))
    if problems:
        raise RecordError(problems)
    return found
