# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules for records share: argument specs from fields, lists with single options as sugar, errors, the run.

PRIVATE to the collection.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Callable, Collection, Iterable, Mapping, Sequence

from ansible.module_utils.basic import AnsibleModule

from . import _store
from ._module_misfits import fitting, labelled, misfits
from ._plan import HIDDEN, Draft
from ._records import names
from ._records.errors import Problem, RecordError
from ._records.fields import Fields

CONFIG_DIR = {"type": "path", "default": "/etc/xmpp-edge"}
_USERINFO = re.compile(r"([a-z][a-z0-9+.-]*://)\S*@", re.IGNORECASE)
MOST_SHOWN = 100
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
    """A module that tells everything that is wrong at once, in a list with the index of the entry.

    ``judge`` takes options as the module gets them, raises RecordError, and changes nothing; ``kept`` are the options
    whose values it judges whatever they are.
    """

    params: dict[str, Any]

    def __init__(
        self,
        argument_spec: dict[str, dict[str, Any]],
        judge: Callable[[Mapping[str, Any]], object] | None = None,
        kept: Collection[str] = (),
    ) -> None:
        self._accepted = False
        self._given: dict[str, Any] = {}
        self._judge, self._kept = judge, kept
        super().__init__(argument_spec=argument_spec, supports_check_mode=True)
        self._accepted = True
        config_dir = self.params.get("config_dir", "/")
        if not config_dir.startswith("/"):
            message, remedy = f"{config_dir!r} is not an absolute path", "write a path that begins with /"
            self.fail_with(RecordError([Problem("", "config_dir", message, remedy)]))

    def _load_params(self) -> None:
        super()._load_params()
        # Null is what YAML has for an option that is left out, whatever its type.
        self.params = _said(self.params)
        # What is left of a list after Ansible has looked at it lacks the entries that do not fit.
        self._given = dict(self.params)

    def fail_json(self, msg: str, **kwargs: Any) -> None:
        if not self._accepted:
            given = {name: value for name, value in self._given.items() if not name.startswith("_ansible_")}
            problems = self._all_problems(given)
            if problems:
                msg, kwargs = told(problems), {**kwargs, "problems": [one.as_dict() for one in problems]}
            # What stands under a wrong name may be a secret, and Ansible does not know.
            kwargs["invocation"] = {"module_args": {}}
        super().fail_json(msg, **{"invocation": {"module_args": _shown(self.params)}, **kwargs})

    def _all_problems(self, given: Mapping[str, Any]) -> list[Problem]:
        problems = list(misfits(self.argument_spec, given))
        if self._judge is None:
            return problems
        rest = fitting(self.argument_spec, given, self._kept)
        if rest is not None:
            try:
                self._judge(rest)
            except RecordError as exc:
                problems += [one for one in exc.problems if not any(_same(one, other) for other in problems)]
        return problems

    def exit_json(self, **kwargs: Any) -> None:
        # What Ansible adds by itself names every option of every entry that was left out, which is most of the text.
        super().exit_json(**{"invocation": {"module_args": _shown(self.params)}, **kwargs})

    def fail_with(self, error: RecordError) -> None:
        problems = [one.as_dict() for one in error.problems]
        self.fail_json(told(error.problems, error.written), problems=problems, changed=bool(error.written))


def _same(one: Problem, other: Problem) -> bool:
    """Options that stand alone are nowhere for Ansible, and with the record for the module."""
    return one.key == other.key and other.where in (one.where, one.where.partition(" (")[0], "")


def told(problems: Sequence[Problem], written: Sequence[str] = ()) -> str:
    """What is wrong, for a person."""
    done = f"{', '.join(written)} had been changed before" if written else "nothing was changed"
    if len(problems) == 1:
        text = str(problems[0])
        return f"{text}{'' if text.endswith('?') else '.'} {done[0].upper()}{done[1:]}."
    lines = "\n".join(f"- {one}" for one in problems)
    return f"There are {len(problems)} problems, and {done}.\n{lines}"


Make = Callable[[Mapping[str, Any], Mapping[str, Any], bool], Draft]


def record_module(argument_spec: dict[str, dict[str, Any]], make_draft: Make, fields: Fields) -> RecordModule:
    """A module for records, judged by what it would make of them."""

    def judge(params: Mapping[str, Any]) -> None:
        _store.apply(params["config_dir"], True, lambda current: make_draft(params, current, True))

    return RecordModule(argument_spec, judge, fields)


def run(module: RecordModule, make_draft: Make) -> None:
    """Plan, carry out, report."""
    try:
        plan = _store.apply(
            module.params["config_dir"],
            module.check_mode,
            lambda current: make_draft(module.params, current, module.check_mode),
        )
    except RecordError as exc:
        module.fail_with(exc)
        return
    if plan.warnings:
        module.warn(". ".join(plan.warnings))
    outcome = {"changed": plan.changed, **plan.results}
    if module._diff:
        outcome["diff"] = plan.diff()
    module.exit_json(**outcome)


def _shown(value: Any) -> Any:
    """What was given, without what is secret although no option for secrets holds it."""
    if isinstance(value, str):
        return HIDDEN if "PRIVATE KEY-----" in value else _USERINFO.sub(r"\1", value)
    if isinstance(value, dict):
        return {key: _shown(one) for key, one in value.items() if one is not None}
    if isinstance(value, list):
        # Nobody reads thousands, and on their way back they cost as much as the work itself.
        return [_shown(one) for one in value] if len(value) <= MOST_SHOWN else f"{len(value)} entries"
    return value


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
    problems.extend(beside(many, single))
    found = []
    for index, raw in enumerate(params[many]):
        if raw is None:
            continue  # has been found not to fit
        options = given(raw)
        found.append(Entry(labelled(f"{many}[{index}]", options.get(key)), options))
    return found


def beside(many: str, single: Iterable[str]) -> list[Problem]:
    """Single options are another way to write a list of one; both at once could mean anything."""
    words = ", ".join(sorted(single))
    remedy = f"put everything into {many}, or leave {many} out"
    return [Problem("", many, f"it is given beside {words}", remedy)] if words else []


def given(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Without the options that were left out."""
    return {name: value for name, value in raw.items() if value is not None}


def own_domains(
    params: Mapping[str, Any], edge: Mapping[str, Any], check_mode: bool, problems: list[Problem]
) -> dict[str, str]:
    """Our own domains, each with where it stands: by the record, or in check mode as they are going to be."""
    if not check_mode or params["own_domains"] is None:
        return dict.fromkeys(edge["domains"], "see edge_config")
    found = {}
    for index, text in enumerate(params["own_domains"]):
        try:
            found[names.domain(text)] = "see own_domains"
        except ValueError as exc:
            problems.append(Problem("", f"own_domains[{index}]", str(exc), "write a domain name"))
    return found
