# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of the module ``edge_config``.

PRIVATE to the collection.
"""

from __future__ import annotations

import secrets as randomness
from typing import Any, Mapping

from ._module import CONFIG_DIR, given, spec_of
from ._plan import Change, Draft, hide, listed
from ._records import edge, names, partner, secrets
from ._records.errors import Problem, RecordError
from ._records.fields import Reader

SECRET_BYTES = 32
SHORT_SECRET = 16


def argument_spec() -> dict[str, dict[str, Any]]:
    spec = spec_of(edge.FIELDS)
    hidden = spec_of(secrets.FIELDS)
    spec["inside"]["options"].update(secret=hidden["inside_secret"], secret_file={"type": "path"})
    return {
        **spec,
        "dialback_secret": hidden["dialback_secret"],
        "dialback_secret_file": {"type": "path"},
        "state": {"type": "str", "choices": ["present", "default"]},
        "config_dir": CONFIG_DIR,
    }


def make_draft(params: Mapping[str, Any], current: Mapping[str, Any], check_mode: bool) -> Draft:
    """What the options make of the record of the edge and of its secrets."""
    problems: list[Problem] = []
    warnings: list[str] = []
    after = _edge(params, current["edge"], problems)
    hidden = _secrets(params, current["secrets"], check_mode, problems, warnings)
    places = {f"the partner {record['domain']}": record for record in current["partners"]}
    partner.check_all(places, dict.fromkeys(after["domains"], "see edge_config"), problems)
    if problems:
        raise RecordError(problems)
    warnings.extend(_warnings(current, after))
    return Draft(
        changes=_changes(current, after, hidden),
        values={"edge": after, "secrets": hidden},
        results={"edge": after, "secrets_set": sorted(name for name, value in hidden.items() if value)},
        warnings=tuple(warnings),
    )


def _edge(params: Mapping[str, Any], before: Mapping[str, Any], problems: list[Problem]) -> dict[str, Any]:
    base = {} if params["state"] == "default" else dict(before)
    options = given({name: params[name] for name in edge.FIELDS})
    inside = {name: value for name, value in given(params["inside"] or {}).items() if name in edge.INSIDE_FIELDS}
    merged = {**base, **options, "inside": {**base.get("inside", {}), **inside}}
    try:
        return edge.normalise(merged)
    except RecordError as exc:
        problems.extend(exc.problems)
        field = {"domains": edge.FIELDS["domains"]}
        return {**before, **Reader("", []).record(field, {name: merged[name] for name in field if name in merged})}


def _secrets(
    params: Mapping[str, Any],
    before: Mapping[str, Any],
    check_mode: bool,
    problems: list[Problem],
    warnings: list[str],
) -> dict[str, Any]:
    after = dict(before)
    inside = params["inside"] or {}
    by_file = []
    for name, value, path, key in (
        ("dialback_secret", params["dialback_secret"], params["dialback_secret_file"], "dialback_secret"),
        ("inside_secret", inside.get("secret"), inside.get("secret_file"), "inside.secret"),
    ):
        if value is not None and path is not None:
            problems.append(Problem("", key, f"it is given beside {key}_file", "give one of the two"))
        elif value == "":
            problems.append(Problem("", key, "the secret is empty", "give one, or leave the option out"))
        else:
            read = value if path is None else _read_secret(path, f"{key}_file", check_mode, problems, warnings)
            by_file += [name] if path is not None else []
            after[name] = read or before[name]
    if not after["dialback_secret"]:
        after["dialback_secret"] = randomness.token_hex(SECRET_BYTES)
    elif len(after["dialback_secret"]) < SHORT_SECRET and after["dialback_secret"] != before["dialback_secret"]:
        warnings.append(f"dialback_secret is shorter than {SHORT_SECRET} characters: who guesses it can pose as us")
    try:
        return secrets.normalise(after)
    except RecordError as exc:
        options = {"dialback_secret": "dialback_secret", "inside_secret": "inside.secret"}
        for one in exc.problems:
            option = options[one.key] + ("_file" if one.key in by_file else "")
            problems.append(Problem("", option, one.message, one.remedy))
        return after


def _read_secret(path: str, key: str, check_mode: bool, problems: list[Problem], warnings: list[str]) -> str | None:
    if not path.startswith("/"):
        problems.append(Problem("", key, f"{path!r} is not an absolute path", "write a path that begins with /"))
        return None
    try:
        with open(path, encoding="utf-8") as stream:
            value = stream.read().rstrip("\r\n")
    except FileNotFoundError:
        if check_mode:
            warnings.append(f"{key} {path} does not exist yet, so what it changes cannot be told")
        else:
            problems.append(Problem("", key, f"{path} does not exist", "write the secret to this file first"))
        return None
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8 text"
        problems.append(Problem("", key, f"{path} cannot be read: {reason}", "give a text file that can be read"))
        return None
    if not value:
        problems.append(Problem("", key, f"{path} is empty", "write the secret to this file first"))
        return None
    return value


def _changes(current: Mapping[str, Any], after: Mapping[str, Any], hidden: Mapping[str, Any]) -> tuple[Change, ...]:
    changes = []
    if hidden != current["secrets"]:
        changes.append(Change("secrets", *hide(secrets.FIELDS, current["secrets"], hidden)))
    if after != current["edge"]:
        changes.append(Change("edge", current["edge"], after))
    return tuple(changes)


def _warnings(current: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Only about what this call changes."""
    before = current["edge"]
    known = edge.warnings(before)
    found = [text for text in edge.warnings(after) if text not in known]
    if before["allow_federated_users"] and not after["allow_federated_users"]:
        found.append("federation is switched off, which closes the streams of all partners")
    gone = {names.unicode_domain(name) for name in before["domains"] if name not in after["domains"]}
    stranded = [address for address in current["policies"]["grants"] if address.partition("@")[2] in gone]
    if stranded:
        found.append(f"policies stay granted, without effect, to users of domains given up: {listed(sorted(stranded))}")
    return found
