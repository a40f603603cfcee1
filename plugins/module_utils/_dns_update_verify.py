# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Looks whether an update has arrived: at the primary server, at every other server of its zone, and at a resolver.

The primary has to show what it took. The others follow in their own time, so they are given a while, and what they show
then is told and not judged: the update has been made.

PRIVATE to the collection.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Iterable, Mapping, NamedTuple, Sequence

from ._dns_update_client import Answer, Client, elsewhere, resolve
from ._dns_update_plan import ADDRESS_TYPES, Change, Key, RecordSet, lines
from ._dns_update_wildcards import synthesised
from ._dns_update_wire import DnsError

PORT = 53
# A zone has thirteen servers at most that anybody has seen; a zone with more is no reason to ask for ever.
MOST_SERVERS = 26
AT_ONCE = 8
PAUSE = 0.5

SHOWN, BEHIND, SILENT = "shown", "behind", "unreachable"


class Seen(NamedTuple):
    """What one server shows: all of it, something else (yet), or nothing at all."""

    name: str
    zone: str | None
    state: str
    text: str

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name, "zone": self.zone, "state": self.state, "text": self.text}


Look = Callable[[Sequence[Change]], "str | None"]
"""What is seen instead of what was written, None where all of it is there; raises DnsError."""


def primary(client: Client, changes: Sequence[Change], patience: float) -> None:
    """The server said yes; see whether it also did. Raises DnsError.

    A server that signs what it takes in (BIND with `inline-signing`) shows it a moment later.
    """
    until = time.monotonic() + patience
    while True:
        other = _at(client, changes)
        if not other:
            return
        if time.monotonic() + PAUSE >= until:
            raise DnsError(f"{client}, looking at the records after the update", "MISMATCH", other)
        time.sleep(PAUSE)


def has_arrived(client: Client, changes: Sequence[Change]) -> bool:
    """Whether an update without an answer was made, as far as the server tells now."""
    try:
        return _at(client, changes) is None
    except DnsError:
        return False


def followers(
    client: Client,
    changes: Sequence[Change],
    zones: Mapping[str, str],
    timeout: float,
    resolver: tuple[str, int] | None,
) -> list[Seen]:
    """What the other servers of the zones show, and the resolver if there is one, at the latest after the timeout."""
    until = time.monotonic() + timeout
    by_zone: dict[str, list[Change]] = {}
    for change in changes:
        by_zone.setdefault(zones[change.key.name], []).append(change)
    tasks: list[tuple[str, str | None, Sequence[Change], list[Look]]] = []
    own = _addresses_of(client.server)
    for zone, inside in sorted(by_zone.items()):
        for name, addresses in list(_servers(client, zone, timeout).items())[:MOST_SERVERS]:
            if not own.intersection(addresses):
                tasks.append((name, zone, inside, [_authority(address, until) for address in addresses]))
    if resolver is not None:
        tasks.append((resolver[0], None, changes, [_resolver(resolver, until)]))
    if not tasks:
        return []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        watched = [pool.submit(_watch, *task, until) for task in tasks]
        return [task.result() for task in watched]


def warnings(seen: Iterable[Seen]) -> list[str]:
    """Sentences about those that do not show the update."""
    return [f"{entry.name}: {entry.text}" for entry in seen if entry.state != SHOWN]


def _watch(name: str, zone: str | None, changes: Sequence[Change], looks: Sequence[Look], until: float) -> Seen:
    """Look until it is there or the time is over; any address of a server will do."""
    if not looks:
        return Seen(name, zone, SILENT, "this name server of the zone has no address, so nobody can ask it.")
    state, text = SILENT, "there was no time left to ask it."
    while time.monotonic() < until:
        state, text = SILENT, "it gives no usable answer."
        for look in looks:
            try:
                other = look(changes)
            except DnsError as exc:
                if state == SILENT:
                    text = f"{exc}."
                continue
            if other is None:
                return Seen(name, zone, SHOWN, "")
            state, text = BEHIND, f"{other} there, so far."
        if time.monotonic() + PAUSE >= until:
            break
        time.sleep(PAUSE)
    return Seen(name, zone, state, text)


def _authority(address: str, until: float) -> Look:
    def look(changes: Sequence[Change]) -> str | None:
        left = max(PAUSE, until - time.monotonic())
        client = Client(address, PORT, None, left, time.monotonic() + left)
        try:
            return _at(client, changes)
        finally:
            client.close()

    return look


def _resolver(resolver: tuple[str, int], until: float) -> Look:
    def look(changes: Sequence[Change]) -> str | None:
        for change in changes:
            found = resolve(change.key, resolver, max(PAUSE, until - time.monotonic()))
            # A cache counts the time to live down.
            if (found.values if found else ()) != (change.after.values if change.after else ()):
                return _shown(change.key, found)
        return None

    return look


def _at(client: Client, changes: Sequence[Change]) -> str | None:
    answers = client.ask([change.key for change in changes])
    found = {key: answer.found if answer else None for key, answer in answers.items()}
    other = [change for change in changes if found[change.key] != change.after]
    # Where a set has been taken away, a wildcard may answer.
    away = {change.key: answers[change.key] for change in other if change.after is None}
    wild = synthesised(client, {key: answer for key, answer in away.items() if answer}) if away else set()
    return next((_shown(change.key, found[change.key]) for change in other if change.key not in wild), None)


def _shown(key: Key, found: RecordSet | None) -> str:
    return f"{key.name} is {lines(key, found).strip() or 'nothing'}"


def _servers(client: Client, zone: str, timeout: float) -> dict[str, list[str]]:
    """The name servers of a zone, each with its addresses."""
    answer = client.ask([Key(zone, "NS")])[Key(zone, "NS")]
    names = sorted(str(value).rstrip(".").lower() for value in answer.found.values) if answer and answer.found else []
    answers = client.ask([Key(name, kind) for name in names for kind in ADDRESS_TYPES], outside=True)
    result: dict[str, list[str]] = {}
    for name in names:
        known: list[Answer | None] = [answers[Key(name, kind)] for kind in ADDRESS_TYPES]
        if None in known:
            known = [elsewhere(name, timeout)]
        found = [entry.found for entry in known if entry is not None and entry.found is not None]
        result[name] = [str(value) for records in found for value in records.values]
    return result


def _addresses_of(server: str) -> set[str]:
    try:
        rows = socket.getaddrinfo(server, None, type=socket.SOCK_STREAM)
    except OSError:
        return set()
    return {str(ipaddress.ip_address(str(row[4][0]).partition("%")[0])) for row in rows}
