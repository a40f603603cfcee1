# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The user's list of records, checked and brought into canonical form; everything that is wrong is told at once.

PRIVATE to the collection.
"""

from __future__ import annotations

import ipaddress
from typing import Any, Callable, Mapping, Sequence

from ._dns_update_plan import Entry
from ._module_misfits import labelled
from ._records import names
from ._records.errors import Problem, RecordError

LONGEST_NAME = 253
NUMBERS = {"port": (1, 65535), "priority": (0, 65535), "weight": (0, 65535), "ttl": (0, 2147483647)}


class _Checker:
    """Collects what is wrong while the values are read."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def add(self, place: str, key: str, message: str, remedy: str) -> None:
        self.problems.append(Problem(place, key, message, remedy))

    def read(self, place: str, key: str, value: Any, parse: Callable[[str], str], remedy: str) -> str | None:
        try:
            return parse(value)
        except ValueError as exc:
            self.add(place, key, str(exc), remedy)
            return None

    def number(self, place: str, key: str, value: int | None) -> None:
        low, high = NUMBERS[key]
        if value is not None and not low <= value <= high:
            self.add(place, key, f"{value} is out of range", f"give a number from {low} to {high}")


def address(text: str) -> str:
    """The one spelling of an IP address; raises ValueError, for those of one link only (`%eth0`) too."""
    if "%" in text:
        raise ValueError
    return str(ipaddress.ip_address(text))


def is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True


def entries(records: Sequence[Mapping[str, Any]], single: bool = False) -> list[Entry]:
    """Canonical entries, or RecordError with every problem of every record and between records."""
    check = _Checker()
    found = [
        _entry(check, "" if single else labelled(f"records[{index}]", raw.get("domain")), raw)
        for index, raw in enumerate(records)
        if raw is not None  # else it has been found not to fit
    ]
    complete = [entry for entry in found if entry is not None]
    _repeats(check, complete)
    _shared(check, complete)
    if check.problems:
        raise RecordError(check.problems)
    return complete


def _entry(check: _Checker, place: str, raw: Mapping[str, Any]) -> Entry | None:
    state = raw.get("state") or "present"
    before = len(check.problems)
    if not raw.get("domain"):
        check.add(place, "domain", "it is missing", "name the domain that the record is for")
    domain = raw.get("domain") and check.read(
        place, "domain", raw["domain"], names.domain, "give the bare domain, such as example.org"
    )
    target = _target(check, place, state, raw)
    for key in NUMBERS:
        check.number(place, key, raw.get(key))
    addresses = _addresses(check, place, state, raw)
    if len(check.problems) > before:
        return None
    entry = Entry(
        place=place,
        state=state,
        domain=str(domain),
        service=raw.get("service") or "xmpp-server",
        target=target,
        port=raw.get("port"),
        priority=raw.get("priority"),
        weight=raw.get("weight"),
        ttl=raw.get("ttl"),
        addresses=addresses,
    )
    if len(entry.owner.name) > LONGEST_NAME:
        message = f"{entry.owner.name} is longer than {LONGEST_NAME} characters"
        check.add(place, "domain", message, "no such record can exist; leave it out")
    return entry


def _target(check: _Checker, place: str, state: str, raw: Mapping[str, Any]) -> str | None:
    target = raw.get("target")
    if target is None:
        if state == "present":
            check.add(place, "target", "it is missing", "name the host that takes the connections")
        return None
    if is_address(target):
        remedy = "give a host name, and its addresses as `addresses`"
        check.add(place, "target", f"{target} is an address, and SRV leads to host names only", remedy)
        return None
    return check.read(place, "target", target, names.domain, "give the full name of the host")


def _addresses(check: _Checker, place: str, state: str, raw: Mapping[str, Any]) -> tuple[str, ...] | None:
    listed = raw.get("addresses")
    if listed is None:
        return None
    if raw.get("target") is None and state == "absent":
        check.add(place, "addresses", "they belong to a target, and there is none", "give `target` too")
    if not listed and state == "present":
        check.add(
            place, "addresses", "the target would be left without an address", "list one, or leave the option out"
        )
    found = []
    for text in listed:
        try:
            found.append(address(text))
        except ValueError:
            check.add(place, "addresses", f"{text!r} is not an IP address", "give IPv4 or IPv6 addresses")
    return tuple(sorted(set(found), key=lambda text: (":" in text, text)))


def _repeats(check: _Checker, found: Sequence[Entry]) -> None:
    first: dict[tuple[str, str | None], Entry] = {}
    everything = {entry.owner.name: entry for entry in found if entry.target is None}
    for entry in found:
        key = (entry.owner.name, entry.target)
        if key in first:
            what = f"{entry.owner.name} to {entry.target}" if entry.target else entry.owner.name
            check.add(entry.place, "domain", f"{what} is listed in {first[key].place} already", "drop one of the two")
        first.setdefault(key, entry)
        whole = everything.get(entry.owner.name)
        if whole is not None and entry.target is not None:
            message = f"{whole.place} takes away every record of {entry.owner.name}"
            check.add(entry.place, "domain", message, "give that entry a target, or use `purge`")


def _shared(check: _Checker, found: Sequence[Entry]) -> None:
    """A record set has one time to live, and a target has one list of addresses."""
    times: dict[tuple[str, str], Entry] = {}
    lists: dict[str, Entry] = {}
    for entry in found:
        if entry.state != "present":
            continue
        owners = [entry.owner.name] + ([str(entry.target)] if entry.addresses is not None else [])
        for kind, name in zip(("SRV", "address"), owners):
            if entry.ttl is None:
                continue
            other = times.setdefault((kind, name), entry)
            if other.ttl != entry.ttl:
                message = f"the {kind} records of {name} share one time to live, and {other.place} says {other.ttl}"
                check.add(entry.place, "ttl", message, "give both the same")
        if entry.addresses is not None and entry.target is not None:
            other = lists.setdefault(entry.target, entry)
            if other.addresses != entry.addresses:
                message = f"{other.place} lists other addresses for {entry.target}"
                check.add(entry.place, "addresses", message, "give both the same, or leave them out of one")
    for entry in found:
        stated = lists.get(entry.target or "")
        if (
            entry.state == "absent"
            and entry.addresses
            and stated
            and set(entry.addresses) & set(stated.addresses or ())
        ):
            check.add(entry.place, "addresses", f"{stated.place} wants them present", "leave them out of one")
