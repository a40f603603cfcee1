# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of the module ``xmpp_partner``.

PRIVATE to the collection.
"""

from __future__ import annotations

from typing import Any, Mapping

from ._module import CONFIG_DIR, OWN_DOMAINS, Entry, entries, optional, own_domains, spec_of
from ._plan import Draft, compare, grouped
from ._records import names, partner
from ._records.errors import Problem, RecordError
from ._records.fields import Reader


def entry_spec() -> dict[str, dict[str, Any]]:
    spec = spec_of(partner.FIELDS)
    spec["domain"]["required"] = True
    spec["additional_domains_mode"] = {"type": "str", "choices": ["replace", "add", "remove"]}
    spec["state"] = {"type": "str", "choices": ["present", "absent"]}
    return spec


def argument_spec() -> dict[str, dict[str, Any]]:
    return {
        **optional(entry_spec()),
        "partners": {"type": "list", "elements": "dict", "options": entry_spec()},
        "purge": {"type": "bool"},
        "own_domains": OWN_DOMAINS,
        "config_dir": CONFIG_DIR,
    }


def make_draft(params: Mapping[str, Any], current: Mapping[str, Any], check_mode: bool) -> Draft:
    """What the options make of the partners that are there now."""
    problems: list[Problem] = []
    wanted = _Wanted({record["domain"]: record for record in current["partners"]}, problems)
    for entry in entries(params, "partners", entry_spec(), "domain", problems):
        wanted.take(entry)
    if params["purge"]:
        wanted.purge()
    wanted.check(own_domains(params, current["edge"], check_mode, problems), None in (params["partners"] or ()))
    if problems:
        raise RecordError(problems)
    return wanted.draft(current["edge"])


class _Wanted:
    """The partners as they are going to be, entry by entry."""

    def __init__(self, current: Mapping[str, dict[str, Any]], problems: list[Problem]) -> None:
        self.before = current
        self.after = dict(current)
        self.named: dict[str, str] = {}
        self.listed: set[str] = set()
        self.refused: set[str] = set()
        self.problems = problems

    def report(self, where: str, key: str, message: str, remedy: str) -> None:
        self.problems.append(Problem(where, key, message, remedy))

    def take(self, entry: Entry) -> None:
        if "domain" not in entry.options:
            self.report(entry.where, "domain", "this is missing", "name the partner by its domain")
            return
        try:
            key = names.domain(entry.options["domain"])
        except ValueError as exc:
            self.report(entry.where, "domain", str(exc), "write a domain name such as partner.example")
            return
        if key in self.named:
            self.report(entry.where, "domain", f"{key} stands in {self.named[key]} already", "keep one of the two")
            return
        self.named[key] = entry.where or "this task"
        if entry.options.get("state") == "absent":
            self.after.pop(key, None)
        else:
            self._put(key, entry)

    def _put(self, key: str, entry: Entry) -> None:
        existing = self.before.get(key, {})
        merged = {**existing, **entry.own(partner.FIELDS), "domain": key}
        known = len(self.problems)
        self._merge_domains(merged, existing, entry)
        try:
            self.after[key] = partner.normalise(merged, entry.where)
        except RecordError as exc:
            told = {(one.where, one.key) for one in self.problems[known:]}
            self.problems.extend(one for one in exc.problems if (one.where, one.key) not in told)
        if len(self.problems) > known:
            # What it is going to be nobody knows, so nothing is compared with it.
            self.refused.add(key)
            self.after.pop(key, None)

    def _merge_domains(self, merged: dict[str, Any], existing: Mapping[str, Any], entry: Entry) -> None:
        mode = entry.options.get("additional_domains_mode")
        if "additional_domains" not in entry.options:
            if mode:
                self.report(
                    entry.where,
                    "additional_domains_mode",
                    "it has no effect without additional_domains",
                    "give additional_domains, or leave the mode out",
                )
            return
        field = {"additional_domains": partner.FIELDS["additional_domains"]}
        listed = Reader(entry.where, self.problems).record(field, entry.own(field))["additional_domains"]
        self.listed.update(listed)
        before = existing.get("additional_domains", [])
        if mode == "add":
            merged["additional_domains"] = sorted({*before, *listed})
        elif mode == "remove":
            merged["additional_domains"] = [name for name in before if name not in listed]

    def purge(self) -> None:
        for key in self.before:
            if key not in self.named:
                del self.after[key]

    def check(self, own: Mapping[str, str], partly: bool) -> None:
        """Rules between records; `partly` where entries were left out, which may change those not named here."""
        if partly:
            named = {self.named[key]: self.after[key] for key in self.named if key in self.after}
            partner.check_all(named, own, self.problems)
            return
        owners = {name: key for key, record in self.after.items() for name in record["additional_domains"]}
        for key, where in self.named.items():
            # Who removes a domain means to close it; where the same call gives it to another partner he knows better.
            gone = key not in self.after and key not in self.refused
            if gone and key in owners and key not in self.listed:
                self.report(
                    where,
                    "domain",
                    f"{key} is an additional domain of the partner {owners[key]}",
                    f"take it out there: additional_domains [{key}] with additional_domains_mode remove",
                )
        places = {self.named.get(key) or f"the partner {key}": record for key, record in self.after.items()}
        partner.check_all(places, own, self.problems)

    def draft(self, edge: Mapping[str, Any]) -> Draft:
        before, after = self.before, self.after
        named = [key for key in sorted(self.named) if key in after]
        return Draft(
            changes=tuple(compare("partner", before, after)),
            values={"partners": [after[key] for key in sorted(after)]},
            results={
                "partners": [{**after[key], "auth_methods": list(partner.auth_methods(after[key]))} for key in named],
                "created": sorted(key for key in after if key not in before),
                "updated": sorted(key for key in after if key in before and before[key] != after[key]),
                "removed": sorted(key for key in before if key not in after),
            },
            warnings=self._warnings(edge),
        )

    def _warnings(self, edge: Mapping[str, Any]) -> tuple[str, ...]:
        """Only about what this call changes, and each thing once."""
        notes: list[tuple[str, str]] = []
        for key, record in sorted(self.after.items()):
            old = self.before.get(key)
            if record != old:
                known = _warnings_of(old, edge) if old else ()
                notes.extend((text, key) for text in _warnings_of(record, edge) if text not in known)
        found = [grouped(notes)] if notes else []
        if self.before and not self.after:
            found.append("no partner is left, so all federation ends")
        return tuple(found)


def _warnings_of(record: Mapping[str, Any], edge: Mapping[str, Any]) -> tuple[str, ...]:
    found = partner.warnings(record)
    limit = record["connection_limit"]
    if limit is not None and limit > edge["connection_limit"]:
        found = (*found, f"connection_limit {limit} is above that of all partners together, {edge['connection_limit']}")
    return found
