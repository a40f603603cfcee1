# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""External access policies: who of our users may federate, and how policies are granted.

PRIVATE to the collection and to the service that it installs.
"""

from __future__ import annotations

from typing import Any, Iterable, Mapping, Sequence

from .errors import Problem
from .fields import Field, Fields, Reader, normal_form
from .members import Sites

GLOBAL, SITE, USER = "global", "site", "user"
SCOPES = (GLOBAL, SITE, USER)

FIELDS: Fields = {
    "name": Field("text", "", required=True),
    "scope": Field("text", USER, choices=SCOPES),
    "members": Field("list", (), elements="member"),
    "federation_access": Field("bool", False),
    "xmpp_access": Field("bool", False),
    "public_cloud_access": Field("bool", False),
    "description": Field("text", ""),
}

_TAGS = ("tag:", "site:")


def policy_name(text: str) -> str:
    """The name without the ``tag:`` or ``site:`` that Lync puts before it."""
    tag = next((tag for tag in _TAGS if text.lower().startswith(tag)), "")
    return text[len(tag) :]


def normalise(raw: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """The full record in normal form; RecordError with everything that is wrong."""
    if isinstance(raw, Mapping):
        raw = dict(raw)
        if raw.get("scope") == GLOBAL:
            raw.setdefault("name", GLOBAL)
        if raw.get("name") == GLOBAL:
            raw.setdefault("scope", GLOBAL)
        elif str(raw.get("name")).lower().startswith("site:"):
            raw.setdefault("scope", SITE)
    return normal_form(FIELDS, raw, where, _derive, _rules)


def _derive(_reader: Reader, record: dict[str, Any]) -> None:
    record["name"] = policy_name(record["name"])


def _rules(reader: Reader, record: Mapping[str, Any]) -> None:
    if reader.fine("name", "scope"):
        _check_name(reader, record)
    if reader.fine("scope", "members"):
        _check_scope(reader, record)
    if reader.fine("federation_access", "xmpp_access") and record["xmpp_access"] and not record["federation_access"]:
        reader.report(
            "xmpp_access", "it needs federation_access", "set federation_access to true, or xmpp_access to false"
        )


def _check_name(reader: Reader, record: Mapping[str, Any]) -> None:
    name = record["name"]
    if not name or name != name.strip() or any(char in name for char in ":\n\t") or len(name) > 256:
        reader.report(
            "name", f"{name!r} is not a policy name", "write one line without a colon, 256 characters at most"
        )
    elif (record["scope"] == GLOBAL) != (name == GLOBAL) or (name != GLOBAL and name.lower() == GLOBAL):
        reader.report(
            "name",
            f"{name!r} cannot have scope {record['scope']}",
            "the one policy of scope global is called global, and no other",
        )


def _check_scope(reader: Reader, record: Mapping[str, Any]) -> None:
    if record["scope"] == SITE and not record["members"]:
        reader.report(
            "members", "a policy of scope site needs members", "list addresses, or patterns such as *@branch.example"
        )
    if record["members"] and record["scope"] != SITE:
        reader.report(
            "members",
            f"a policy of scope {record['scope']} has none",
            "set scope to site, or clear members with an empty list",
        )


def closed() -> dict[str, Any]:
    """What holds where no policy is written: nothing is allowed."""
    return normalise({"name": GLOBAL})


def sort_key(record: Mapping[str, Any]) -> tuple[int, str]:
    return SCOPES.index(record["scope"]), record["name"]


def effective(
    address: str,
    policies: Mapping[str, Mapping[str, Any]],
    grants: Mapping[str, str],
    grant_to_all: str | None,
    members: Sites,
) -> tuple[Mapping[str, Any], str]:
    """The one policy that decides about a user, taken whole, and why it is that one: user over site over global.

    ``members`` are the ``sites`` of these policies.
    """
    if address in grants:
        return policies[grants[address]], "grant"
    if grant_to_all is not None:
        return policies[grant_to_all], "grant_to_all"
    site = members.site_of(address)
    if site is not None:
        return policies[site], SITE
    return policies.get(GLOBAL) or closed(), GLOBAL


def sites(policies: Iterable[Mapping[str, Any]]) -> Sites:
    """Which policy of scope site a user belongs to, by its name."""
    found = Sites()
    for record in policies:
        found.add(record["name"], record["members"])
    return found


def check_all(
    policies: Sequence[tuple[str, Mapping[str, Any]]],
    grants: Mapping[str, tuple[str, str]],
    grant_to_all: tuple[str, str] | None,
    problems: list[Problem],
) -> None:
    """Rules between policies, and between policies and grants.

    ``policies`` are records, each behind where it stands; ``grants`` maps an address to the policy's name and to
    where the grant stands; ``grant_to_all`` is such a pair too.
    """
    names: dict[str, str] = {}
    spelled: dict[str, str] = {}
    for where, record in policies:
        name = record["name"]
        if name.casefold() in spelled:
            problems.append(
                Problem(
                    where,
                    "name",
                    f"{name!r} is taken by {spelled[name.casefold()]}",
                    "give every policy a name of its own",
                )
            )
        spelled.setdefault(name.casefold(), where)
        names[name] = record["scope"]
    _check_members(policies, problems)
    for address, (name, where) in grants.items():
        _check_grant(f"grants to {address}", name, where, names, problems)
    if grant_to_all is not None:
        _check_grant("grant_to_all", grant_to_all[0], grant_to_all[1], names, problems)


def _check_members(policies: Sequence[tuple[str, Mapping[str, Any]]], problems: list[Problem]) -> None:
    """A user belongs to one site at most: which of two counts would depend on nothing that anybody wrote."""
    before = Sites()
    for where, record in policies:
        for text in record["members"]:
            rival = before.rival(text)
            if rival is not None:
                message = f"{text} may mean a user who is a member of {rival!r} already"
                problems.append(Problem(where, "members", message, "put each user into one site only"))
        before.add(record["name"], record["members"])


def _check_grant(key: str, name: str, where: str, names: Mapping[str, str], problems: list[Problem]) -> None:
    if name not in names:
        problems.append(
            Problem(where, key, f"there is no policy {name!r}", "write the policy, or grant another or none")
        )
    elif names[name] != "user":
        problems.append(
            Problem(
                where,
                key,
                f"{name!r} is not a policy of scope user",
                "grant a policy of scope user; those of other scopes need no grant",
            )
        )
