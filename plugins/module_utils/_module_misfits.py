# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that Ansible itself refuses: all of them, with the entry each stands in, and what is left to be judged.

Ansible reports the first misfit only, in a list not which entry it is in, and nothing of what else is wrong.

PRIVATE to the collection.
"""

from __future__ import annotations

from typing import Any, Collection, Iterable, Mapping

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.validation import check_type_dict

from ._records.errors import Problem
from ._records.fields import closest, similar

Spec = Mapping[str, Any]

_NO_OPTIONS = "this is not a mapping of options to values"


def misfits(spec: Spec, params: Mapping[str, Any], where: str = "", prefix: str = "") -> Iterable[Problem]:
    """Unknown options, those that are missing, and values of the wrong kind."""
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
                yield from misfits(spec[name]["options"], options, where, f"{key}.")
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


def _misfit_entry(where: str, spec: Spec, entry: Any) -> Iterable[Problem]:
    options = _as_options(entry)
    if options is None:
        yield Problem(where, "", _NO_OPTIONS, "give its options and their values")
    else:
        name = next((options[key] for key in ("domain", "name", "id") if options.get(key)), None)
        yield from misfits(spec, options, labelled(where, name))


def _misfit(where: str, key: str, name: str, one: Mapping[str, Any], value: Any) -> Iterable[Problem]:
    if not _validated(name, one, value)[1]:
        return
    shown = "the value" if one.get("no_log") else repr(value)
    if "choices" in one:
        yield Problem(where, key, f"{shown} is not possible here", f"choose one of {', '.join(one['choices'])}")
    else:
        yield Problem(where, key, f"{shown} cannot be used here", f"give a value of type {one['type']}")


def fitting(spec: Spec, params: Mapping[str, Any], kept: Collection[str]) -> dict[str, Any] | None:
    """The options as a module gets them, as far as they fit, for the module to judge the rest; None where that is vain.

    A misfit stays as it is where its name is `kept`, because the module judges such values itself; a module that keeps
    none does without numbers and truth values. Otherwise, and where an option is misspelt, the rest may mean something
    else: the entry is left out, and None takes its place, so that the others keep their numbers. Where that happens to
    an option beside a list, the list gets such an end.
    """
    result: dict[str, Any] = {}
    complete = not any(closest(name, spec) for name in params if name not in spec)
    for name, one in spec.items():
        value = params.get(name)
        if value is None:
            result[name] = one.get("default")
        elif "options" not in one:
            result[name], wrong = _validated(name, one, value)
            if wrong and name in kept:
                result[name] = value
            elif wrong:
                result[name] = one.get("default")
                complete = complete and not kept and one["type"] in ("int", "bool")
        elif one["type"] == "dict":
            inner = _as_options(value)
            # Its options are keys of the record, each of which stands for itself.
            result[name] = None if inner is None else fitting(one["options"], inner, one["options"])
        elif isinstance(value, list):
            entries = (_as_options(entry) for entry in value)
            result[name] = [None if entry is None else fitting(one["options"], entry, kept) for entry in entries]
        else:
            return None
    lists = [value for name, value in result.items() if isinstance(value, list) and "options" in spec[name]]
    for entries_of in lists:
        entries_of.extend([] if complete else [None])
    return result if complete or lists else None


def _validated(name: str, one: Mapping[str, Any], value: Any) -> tuple[Any, bool]:
    """The value in the type of its option (None where it does not fit), and whether it does not fit."""
    found = ArgumentSpecValidator({name: one}).validate({name: value})
    wrong = bool(found.error_messages)
    return (None if wrong else found.validated_parameters[name]), wrong


def _as_options(value: Any) -> dict[str, Any] | None:
    """Options as Ansible reads them, which takes some texts for mappings too. They may hold secrets: never shown."""
    try:
        found = check_type_dict(value)
    except TypeError:
        return None
    return found if isinstance(found, dict) else None


def labelled(where: str, name: Any) -> str:
    return f"{where} ({name})" if name else where
