# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which record sets must change so that DNS says what is wanted. Pure: no network, no DNS library.

The unit is the record set, everything of one type below one name, because that is what DNS replaces as a whole
and what carries the time to live.

PRIVATE to the collection.
"""

from __future__ import annotations

from typing import Any, Iterable, Mapping, NamedTuple, Optional, Sequence, Union, cast

DEFAULT_PORT = {"xmpp-server": 5269, "xmpps-server": 5270}
DEFAULT_TTL = 3600
# As a target it says that there is no such service (RFC 2782), and it stands alone.
NOWHERE = "."
ADDRESS_TYPES = ("A", "AAAA")


class Srv(NamedTuple):
    """The data of one SRV record; the target is canonical, without a trailing dot."""

    priority: int
    weight: int
    port: int
    target: str

    def __str__(self) -> str:
        target = self.target if self.target == NOWHERE else f"{self.target}."
        return f"{self.priority} {self.weight} {self.port} {target}"


Value = Union[Srv, str]


class RecordSet(NamedTuple):
    """Values sorted, so that equal sets are equal objects."""

    ttl: int
    values: tuple[Value, ...]


class Key(NamedTuple):
    """What names a record set; the name is canonical, without a trailing dot."""

    name: str
    type: str


Sets = Mapping[Key, Optional[RecordSet]]


class Entry(NamedTuple):
    """One record as the user wants it, canonical; None is what was left open."""

    place: str
    state: str
    domain: str
    service: str
    target: str | None
    port: int | None
    priority: int | None
    weight: int | None
    ttl: int | None
    addresses: tuple[str, ...] | None

    @property
    def owner(self) -> Key:
        return Key(f"_{self.service}._tcp.{self.domain}", "SRV")

    def record_sets(self) -> list[Key]:
        """The record sets that the entry speaks about."""
        return [self.owner, *self.address_keys()]

    def address_keys(self) -> list[Key]:
        if self.target is None or self.addresses is None:
            return []
        return [Key(self.target, rdtype) for rdtype in ADDRESS_TYPES]


class Change(NamedTuple):
    """One record set before and after; None stands for a set that is not there."""

    key: Key
    before: RecordSet | None
    after: RecordSet | None


class Plan(NamedTuple):
    changes: tuple[Change, ...]
    results: tuple[dict[str, Any], ...]


def merged(changes: Iterable[Change]) -> tuple[Change, ...]:
    """One change a record set, in order; a set that changed twice, because others came between, did so as a whole."""
    found: dict[Key, Change] = {}
    for change in changes:
        first = found.get(change.key, change)
        found[change.key] = Change(change.key, first.before, change.after)
    return tuple(found[key] for key in sorted(found))


def diff(changes: Sequence[Change]) -> dict[str, str]:
    return {
        "before": "".join(lines(change.key, change.before) for change in changes),
        "after": "".join(lines(change.key, change.after) for change in changes),
    }


def lines(key: Key, records: RecordSet | None) -> str:
    """A record set the way a zone file has it."""
    if records is None:
        return ""
    return "".join(f"{key.name}. {records.ttl} IN {key.type} {value}\n" for value in records.values)


def record_set(ttl: int, values: Iterable[Value]) -> RecordSet | None:
    ordered = tuple(sorted(set(values), key=lambda value: (isinstance(value, str), value)))
    return RecordSet(ttl, ordered) if ordered else None


def needed(entries: Sequence[Entry]) -> list[Key]:
    """The record sets that a plan wants to see, without repeats and in the order of the entries."""
    keys: dict[Key, None] = {}
    for entry in entries:
        keys.update(dict.fromkeys(entry.record_sets()))
    return list(keys)


def plan(current: Sets, entries: Sequence[Entry], purge: bool) -> Plan:
    """The ordered changes from what the zones hold to what is wanted, and one result for each entry."""
    wanted: dict[Key, RecordSet | None] = {}
    by_owner: dict[Key, list[Entry]] = {}
    for entry in entries:
        by_owner.setdefault(entry.owner, []).append(entry)
    for owner, group in by_owner.items():
        wanted[owner] = _services(current.get(owner), group, purge)
    for entry in entries:
        for key in entry.address_keys():
            wanted[key] = _addresses(current.get(key), wanted.get(key, current.get(key)), key, entry)
    changes = sorted(
        Change(key, current.get(key), after) for key, after in wanted.items() if after != current.get(key)
    )  # fmt: skip
    return Plan(tuple(changes), tuple(_result(entry, current, wanted) for entry in entries))


def stranded(current: Sets, planned: Plan, entries: Iterable[Entry]) -> list[Entry]:
    """Entries whose target would be left without an address by what others take away from it."""
    after = {**current, **{change.key: change.after for change in planned.changes}}
    found = []
    for entry in entries:
        keys = [Key(entry.target or "", kind) for kind in ADDRESS_TYPES]
        had = any(current.get(key) for key in keys)
        if entry.state == "present" and had and not any(after.get(key) for key in keys):
            found.append(entry)
    return found


def _services(before: RecordSet | None, entries: Sequence[Entry], purge: bool) -> RecordSet | None:
    """The SRV set of one owner name after all of its entries."""
    existing = [value for value in (before.values if before else ()) if isinstance(value, Srv)]
    kept = [] if purge else list(existing)
    for entry in entries:
        kept = [srv for srv in kept if entry.target is not None and srv.target != entry.target]
        if entry.state == "present":
            kept = [srv for srv in kept if srv.target != NOWHERE]
            kept.append(_merged(existing, entry))
    said = [entry.ttl for entry in entries if entry.ttl is not None and entry.state == "present"]
    ttl = said[0] if said else before.ttl if before else DEFAULT_TTL
    return record_set(ttl, kept)


def _merged(existing: Sequence[Srv], entry: Entry) -> Srv:
    """What the entry says; where it is silent, what is there; where nothing is there, the defaults."""
    target = cast("str", entry.target)  # an entry without one has been refused
    same = [srv for srv in existing if srv.target == target]
    # Two records for one target differ in their ports: the one that was meant goes first.
    same.sort(key=lambda srv: srv.port != entry.port)
    base = same[0] if same else Srv(0, 0, DEFAULT_PORT[entry.service], target)
    return Srv(
        base.priority if entry.priority is None else entry.priority,
        base.weight if entry.weight is None else entry.weight,
        base.port if entry.port is None else entry.port,
        target,
    )


def _addresses(
    before: RecordSet | None, meanwhile: RecordSet | None, key: Key, entry: Entry
) -> RecordSet | None:  # fmt: skip
    """An entry that is present states all addresses of its target; one that is absent takes its own away.

    `meanwhile` is what the entries before this one have left of the set.
    """
    listed = [address for address in entry.addresses or () if (":" in address) == (key.type == "AAAA")]
    held = list(meanwhile.values) if meanwhile else []
    ttl = (meanwhile or before or RecordSet(DEFAULT_TTL, ())).ttl
    if entry.state == "absent":
        return record_set(ttl, [value for value in held if value not in listed])
    return record_set(ttl if entry.ttl is None else entry.ttl, listed)


def _result(entry: Entry, current: Sets, wanted: Sets) -> dict[str, Any]:
    """The entry as it stands in DNS after the plan, or stood before it where the entry is absent."""
    source = wanted if entry.state == "present" else current
    found = source.get(entry.owner)
    values = [value for value in (found.values if found else ()) if isinstance(value, Srv)]
    srv = next((value for value in values if value.target == entry.target), None)
    addresses = [str(value) for key in entry.address_keys() for value in getattr(source.get(key), "values", ())]
    if entry.state == "absent":
        addresses = [address for address in addresses if address in (entry.addresses or ())]
    return {
        "name": entry.owner.name,
        "domain": entry.domain,
        "service": entry.service,
        "state": entry.state,
        "target": entry.target,
        "port": srv.port if srv else None,
        "priority": srv.priority if srv else None,
        "weight": srv.weight if srv else None,
        "ttl": found.ttl if found and (srv or entry.target is None) else None,
        "addresses": addresses if entry.addresses is not None else None,
    }
