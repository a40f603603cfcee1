# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that hold the records: canonical JSON, read without mercy.

PRIVATE to the collection and to the service that it installs.
"""

from __future__ import annotations

import json
from typing import Any, Callable, Mapping

from . import edge, names, partner, policy, secrets
from .errors import Problem, RecordError

SCHEMA = 1
KINDS = ("edge", "partners", "policies", "secrets")
REMEDY = "restore the file, or take it away and apply the playbook again, which writes it anew"


def file_name(kind: str) -> str:
    return f"{kind}.json"


def empty(kind: str) -> Any:
    """What a missing file stands for: the defaults, nobody and nothing."""
    return _READERS[kind]({}, file_name(kind))


def encode(kind: str, value: Any) -> str:
    """The one text for a value in normal form."""
    body = value if kind == "policies" else {kind: value}
    return json.dumps({"schema": SCHEMA, **body}, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def decode(kind: str, text: str, where: str = "") -> Any:
    """The value in normal form; RecordError when the text is not such a file."""
    where = where or file_name(kind)
    try:
        document = json.loads(text, object_pairs_hook=_no_twins)
    except (ValueError, RecursionError) as exc:
        raise _error(where, "", f"this is not a complete JSON file ({exc})", REMEDY) from None
    if not isinstance(document, dict):
        raise _error(where, "", "this is not a JSON object", REMEDY)
    schema = document.pop("schema", None)
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise _error(where, "schema", f"{schema!r} is not a schema number", REMEDY)
    if schema > SCHEMA:
        raise _error(
            where,
            "schema",
            f"a newer release wrote this file (schema {schema})",
            f"use a release that knows schema {schema}",
        )
    return _READERS[kind](document, where)


def _no_twins(pairs: list[Any]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return result


def _error(where: str, key: str, message: str, remedy: str) -> RecordError:
    return RecordError([Problem(where, key, message, remedy)])


def _only(
    document: Mapping[str, Any], allowed: Mapping[str, Any], where: str, problems: list[Problem]
) -> dict[str, Any]:
    """The document with its missing keys filled in, every key of the type that its default has."""
    known = f"known keys are {', '.join(sorted(allowed))}"
    problems.extend(Problem(where, str(key), "there is no such key", known) for key in document if key not in allowed)
    found = dict(allowed)
    for key, wanted in allowed.items():
        value = document.get(key, wanted)
        if wanted is not None and not isinstance(value, type(wanted)):
            problems.append(Problem(where, key, f"this is not a {type(wanted).__name__}", REMEDY))
        else:
            found[key] = value
    return found


def _single(kind: str, normalise: Callable[..., dict[str, Any]]) -> Callable[[Mapping[str, Any], str], Any]:
    def read(document: Mapping[str, Any], where: str) -> Any:
        problems: list[Problem] = []
        record = _only(document, {kind: {}}, where, problems)[kind]
        result: dict[str, Any] = {}
        try:
            result = normalise(record, where)
        except RecordError as exc:
            problems.extend(exc.problems)
        if problems:
            raise RecordError(problems)
        return result

    return read


def _records(
    entries: list[Any], key: str, where: str, normalise: Callable[..., dict[str, Any]], problems: list[Problem]
) -> dict[str, dict[str, Any]]:
    """The entries by where they stand."""
    found: dict[str, dict[str, Any]] = {}
    for index, entry in enumerate(entries):
        name = entry.get("domain") or entry.get("name") if isinstance(entry, Mapping) else None
        place = f"{where}: {key}[{index}]" + (f" ({name})" if isinstance(name, str) and name else "")
        try:
            found[place] = normalise(entry, place)
        except RecordError as exc:
            problems.extend(exc.problems)
    return found


def _read_partners(document: Mapping[str, Any], where: str) -> list[dict[str, Any]]:
    problems: list[Problem] = []
    found = _records(
        _only(document, {"partners": []}, where, problems)["partners"], "partners", where, partner.normalise, problems
    )
    partner.check_all(found, {}, problems)
    if problems:
        raise RecordError(problems)
    return sorted(found.values(), key=lambda record: str(record["domain"]))


def _read_policies(document: Mapping[str, Any], where: str) -> dict[str, Any]:
    problems: list[Problem] = []
    content = _only(document, {"policies": [], "grants": {}, "grant_to_all": None}, where, problems)
    found = _records(content["policies"], "policies", where, policy.normalise, problems)
    grants = _read_grants(content["grants"], where, problems)
    everyone = content["grant_to_all"]
    if everyone is not None and not isinstance(everyone, str):
        problems.append(Problem(where, "grant_to_all", f"{everyone!r} is not a policy name", REMEDY))
    if not problems:
        pairs = {address: (name, where) for address, name in grants.items()}
        policy.check_all(list(found.items()), pairs, None if everyone is None else (everyone, where), problems)
    if problems:
        raise RecordError(problems)
    return {"policies": sorted(found.values(), key=policy.sort_key), "grants": grants, "grant_to_all": everyone}


def _read_grants(raw: Mapping[Any, Any], where: str, problems: list[Problem]) -> dict[str, str]:
    grants: dict[str, str] = {}
    for text, name in raw.items():
        try:
            address = names.bare_address(text)
        except ValueError as exc:
            problems.append(Problem(where, "grants", str(exc), "write an address such as alice@inside.example"))
            continue
        if not isinstance(name, str):
            problems.append(Problem(where, f"grants to {address}", f"{name!r} is not a policy name", REMEDY))
        elif grants.setdefault(address, name) != name:
            problems.append(
                Problem(where, f"grants to {address}", "two policies are granted", "grant one policy to a user")
            )
    return grants


_READERS: dict[str, Callable[[Mapping[str, Any], str], Any]] = {
    "edge": _single("edge", edge.normalise),
    "partners": _read_partners,
    "policies": _read_policies,
    "secrets": _single("secrets", secrets.normalise),
}
