# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of the module ``external_access_policy``.

PRIVATE to the collection.
"""

from __future__ import annotations

from typing import Any, Mapping

from ._module import CONFIG_DIR, OWN_DOMAINS, Entry, entries, optional, own_domains, spec_of
from ._plan import Change, Draft, compare, listed
from ._records import names, policy
from ._records.errors import Problem, RecordError


def entry_spec() -> dict[str, dict[str, Any]]:
    return {
        **spec_of(policy.FIELDS),
        "grant_to": {"type": "list", "elements": "str"},
        "grant_to_all": {"type": "bool"},
        "grant_mode": {"type": "str", "choices": ["add", "replace"]},
        "state": {"type": "str", "choices": ["present", "absent"]},
    }


def argument_spec() -> dict[str, dict[str, Any]]:
    return {
        **optional(entry_spec()),
        "policies": {"type": "list", "elements": "dict", "options": entry_spec()},
        "purge": {"type": "bool"},
        "own_domains": OWN_DOMAINS,
        "config_dir": CONFIG_DIR,
    }


def make_draft(params: Mapping[str, Any], current: Mapping[str, Any], check_mode: bool) -> Draft:
    """What the options make of the policies and grants that are there now."""
    problems: list[Problem] = []
    own = own_domains(params, current["edge"], check_mode, problems)
    # On a host where nothing exists yet nobody can tell which domains a task before this one is going to write.
    unknown = check_mode and params["own_domains"] is None and not current["edge"]["domains"]
    wanted = _Wanted(current["policies"], None if unknown else own, problems)
    found = entries(params, "policies", entry_spec(), "name", problems)
    for entry in found:
        wanted.take(entry)
    if params["purge"]:
        wanted.purge()
    for entry in found:
        wanted.grant(entry, "replace" if params["purge"] else "add")
    wanted.check(None in (params["policies"] or ()))
    if problems:
        raise RecordError(problems)
    return wanted.draft()


class _Wanted:
    """Policies and grants as they are going to be, entry by entry."""

    def __init__(self, current: Mapping[str, Any], own: Mapping[str, str] | None, problems: list[Problem]) -> None:
        self.own = own
        self.problems = problems
        self.before = {record["name"]: record for record in current["policies"]}
        self.after = dict(self.before)
        self.grants_before: Mapping[str, str] = current["grants"]
        self.grants = dict(self.grants_before)
        self.everyone_before: str | None = current["grant_to_all"]
        self.everyone = self.everyone_before
        self.named: dict[str, str] = {}
        self.granted: dict[str, str] = {}
        self.granted_to_all = ""
        self.purged: list[str] = []
        self.refused: set[str] = set()

    def report(self, where: str, key: str, message: str, remedy: str) -> None:
        self.problems.append(Problem(where, key, message, remedy))

    def take(self, entry: Entry) -> None:
        options = entry.options
        if "name" not in options and options.get("scope") == policy.GLOBAL:
            options["name"] = policy.GLOBAL
        if "name" not in options:
            self.report(entry.where, "name", "this is missing", "name the policy, or set scope to global")
            return
        if options["name"].lower().startswith("site:"):
            options.setdefault("scope", policy.SITE)
        options["name"] = name = policy.policy_name(options["name"])
        if name in self.named:
            self.report(entry.where, "name", f"{name} stands in {self.named[name]} already", "keep one of the two")
            return
        self.named[name] = entry.where or "this task"
        if options.get("state") == "absent":
            self.after.pop(name, None)
            return
        try:
            merged = {**self.before.get(name, {}), **entry.own(policy.FIELDS)}
            self.after[name] = policy.normalise(merged, entry.where)
        except RecordError as exc:
            self.problems.extend(exc.problems)
            self.refused.add(name)
            self.after.pop(name, None)
            return
        if "members" in options:
            self._check_ours(entry.where, self.after[name]["members"])

    def _check_ours(self, where: str, members: list[str]) -> None:
        for text in members:
            if self.own is not None and names.domain(text.partition("@")[2]) not in self.own:
                self._foreign(where, "members", text)

    def _foreign(self, where: str, key: str, address: str) -> None:
        remedy = "correct the address, or add its domain with edge_config first"
        self.report(where, key, f"{address} is not in one of our own domains", remedy)

    def purge(self) -> None:
        """What is not named goes, and the grants of it: the list is all that there is to be."""
        for name in self.before:
            if name not in self.named:
                del self.after[name]
                self.purged.append(name)
        self.grants = {address: name for address, name in self.grants.items() if name not in self.purged}
        if self.everyone in self.purged:
            self.everyone = None

    def grant(self, entry: Entry, usual_mode: str) -> None:
        options = entry.options
        name = options.get("name", "")
        absent = options.get("state") == "absent"
        asked = options.get("grant_to_all") or options.get("grant_to")
        if asked and (absent or name == policy.GLOBAL):
            key = "grant_to" if options.get("grant_to") else "grant_to_all"
            why = "it is removed" if absent else "the global policy holds for everybody who is granted no other"
            self.report(entry.where, key, f"{name} cannot be granted: {why}", "leave the grant out")
            return
        if "grant_mode" in options and "grant_to" not in options:
            self.report(entry.where, "grant_mode", "it has no effect without grant_to", "give grant_to as well")
        self._grant_to_all(entry, name)
        if "grant_to" in options:
            addresses = self._addresses(entry)
            if options.get("grant_mode", usual_mode) == "replace":
                # Somebody whom another entry has just taken over holds that entry's policy by now, and keeps it.
                self.grants = {who: held for who, held in self.grants.items() if held != name}
            for address in addresses:
                self._grant(address, name, entry)

    def _grant_to_all(self, entry: Entry, name: str) -> None:
        wanted = entry.options.get("grant_to_all")
        if wanted and self.granted_to_all:
            self.report(
                entry.where,
                "grant_to_all",
                f"{self.granted_to_all} is granted to all already",
                "grant one policy to all",
            )
        elif wanted:
            self.everyone = self.granted_to_all = name
        elif wanted is False and self.everyone == name:
            self.everyone = None

    def _addresses(self, entry: Entry) -> list[str]:
        found: dict[str, int] = {}
        for index, text in enumerate(entry.options["grant_to"]):
            key = f"grant_to[{index}]"
            try:
                address = names.bare_address(text)
            except ValueError as exc:
                self.report(entry.where, key, str(exc), "write an address such as alice@inside.example")
                continue
            domain = names.domain(address.partition("@")[2])
            if found.setdefault(address, index) != index:
                self.report(entry.where, key, f"{address} stands at {found[address]} already", "keep one of the two")
            elif self.own is not None and domain not in self.own:
                self._foreign(entry.where, key, address)
        return list(found)

    def _grant(self, address: str, name: str, entry: Entry) -> None:
        if address in self.granted:
            self.report(
                entry.where,
                "grant_to",
                f"{address} is granted {self.granted[address]} in the same call",
                "grant one policy to a user",
            )
        self.granted[address] = name
        self.grants[address] = name

    def check(self, partly: bool) -> None:
        """Rules between records; `partly` where entries were left out, which may change those not named here."""
        for name in () if partly else self.named:
            if name not in self.after and name not in self.refused:
                self._check_removed(name)
        judged = {name: record for name, record in self.after.items() if not partly or name in self.named}
        places = [(self._place(name), record) for name, record in judged.items()]
        # Who holds a policy that goes has been told; what is left are policies that may not be granted (any more).
        held = {who: (name, self._place(name)) for who, name in self.grants.items() if name in judged}
        everyone = (self.everyone, self._place(self.everyone)) if self.everyone in judged else None
        policy.check_all(places, held, everyone, self.problems)

    def _place(self, name: str) -> str:
        return self.named.get(name) or f"the policy {name}"

    def _check_removed(self, name: str) -> None:
        holders = [address for address, held in self.grants.items() if held == name]
        holders += ["all users (grant_to_all)"] if self.everyone == name else []
        if holders:
            self.report(
                self.named[name],
                "state",
                f"{name} is still granted to {listed(sorted(holders))}",
                "take it from them in the same entry: grant_to [] with grant_mode replace, and grant_to_all false",
            )

    def draft(self) -> Draft:
        before, after = self.before, self.after
        changes = compare("policy", before, after)
        moved = {
            who for who in {*self.grants_before, *self.grants} if self.grants_before.get(who) != self.grants.get(who)
        }
        if moved:
            changes.append(Change("grants", _only(self.grants_before, moved), _only(self.grants, moved)))
        if self.everyone != self.everyone_before:
            changes.append(Change("grant_to_all", self.everyone_before or "", self.everyone or ""))
        return Draft(
            changes=tuple(changes),
            values={
                "policies": {
                    "policies": sorted(after.values(), key=policy.sort_key),
                    "grants": self.grants,
                    "grant_to_all": self.everyone,
                }
            },
            results={
                "policies": sorted((after[name] for name in self.named if name in after), key=policy.sort_key),
                "created": sorted(name for name in after if name not in before),
                "updated": sorted(name for name in after if name in before and before[name] != after[name]),
                "removed": sorted(name for name in before if name not in after),
                "granted": sorted(who for who in moved if who in self.grants),
                "revoked": sorted(who for who in moved if who not in self.grants),
                "grant_to_all": self.everyone,
            },
            warnings=self._warnings(),
        )

    def _warnings(self) -> tuple[str, ...]:
        """Only about what this call changes."""
        found = []
        lost = sorted(who for who, name in self.grants_before.items() if name in self.purged and who not in self.grants)
        if self.everyone_before in self.purged and not self.everyone:
            back = "who fall back to the policies of their sites and the global one"
            found.append(f"{self.everyone_before} was granted to all, {back}")
        if lost:
            found.append(f"the purged policies were granted to {listed(lost)}, who fall back to the policy of all")
        useless = [
            name
            for name, record in sorted(self.after.items())
            if record != self.before.get(name) and record["federation_access"] and not record["xmpp_access"]
        ]
        if useless:
            found.append(f"{listed(useless)}: federation_access without xmpp_access lets nobody talk to XMPP partners")
        return tuple(found)


def _only(grants: Mapping[str, str], moved: set[str]) -> dict[str, str]:
    return {who: grants[who] for who in sorted(moved) if who in grants}
