# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What srv_record does: read, plan, update, look again.

PRIVATE to the collection.
"""

from __future__ import annotations

import os
from typing import Any, Iterator, Mapping, NamedTuple, Sequence

from . import _dns_update_key as tsig
from . import _dns_update_verify as verify
from ._dns_update_client import Answer, Client, ConflictError, batches, elsewhere
from ._dns_update_entries import entries as read_entries
from ._dns_update_plan import ADDRESS_TYPES, Change, Entry, Key, Plan, RecordSet, diff, merged, needed, plan, stranded
from ._dns_update_wildcards import synthesised
from ._dns_update_wire import DnsError, UncertainError
from ._module import beside, given
from ._records import fields, names
from ._records.errors import Problem, RecordError

# A plan is made anew when another editor was faster; whoever is beaten three times in a row gives up.
ATTEMPTS = 3
LONGEST_PATIENCE = 3600

RECORD: dict[str, dict[str, Any]] = {
    "domain": {"type": "str"},
    "service": {"type": "str", "choices": ["xmpp-server", "xmpps-server"]},
    "target": {"type": "str"},
    "port": {"type": "int"},
    "priority": {"type": "int"},
    "weight": {"type": "int"},
    "ttl": {"type": "int"},
    "addresses": {"type": "list", "elements": "str"},
    "state": {"type": "str", "choices": ["present", "absent"]},
}
OPTIONS: dict[str, dict[str, Any]] = {
    **RECORD,
    "records": {"type": "list", "elements": "dict", "options": {**RECORD, "domain": {"type": "str", "required": True}}},
    "purge": {"type": "bool", "default": False},
    "server": {"type": "str", "required": True},
    "server_port": {"type": "int", "default": 53},
    "zone": {"type": "str"},
    "key_name": {"type": "str", "no_log": False},
    "key_algorithm": {"type": "str", "choices": list(tsig.ALGORITHMS), "no_log": False},
    "key_secret": {"type": "str", "no_log": True},
    "key_file": {"type": "path", "no_log": False},
    "timeout": {"type": "int", "default": 10},
    "verify": {"type": "bool", "default": True},
    "resolver": {"type": "str"},
}


class Asked(NamedTuple):
    """The options, read."""

    entries: list[Entry]
    key: tsig.TsigKey | None
    zone: str | None
    resolver: tuple[str, int] | None


class Read(NamedTuple):
    """What the server said of every name that matters."""

    sets: dict[Key, RecordSet | None]
    zones: dict[str, str]
    warnings: tuple[str, ...]


def run(module: Any) -> None:
    options = module.params
    try:
        asked = read_options(options)
    except RecordError as exc:
        module.fail_with(exc)
    client = Client(options["server"], options["server_port"], asked.key, options["timeout"])
    done: list[Change] = []
    try:
        result = _converge(module, client, asked, done)
    except RecordError as exc:
        module.fail_with(RecordError(exc.problems, _applied(done)))
    except (DnsError, ConflictError) as exc:
        applied = _applied(done)
        module.fail_json(
            msg=str(exc), rcode=getattr(exc, "rcode", "CONFLICT"), changed=bool(applied), applied=applied
        )  # fmt: skip
    finally:
        client.close()
    module.exit_json(**result)


def _applied(done: Sequence[Change]) -> list[str]:
    return [f"{change.key.name} {change.key.type}" for change in merged(done)]


def read_options(options: Mapping[str, Any]) -> Asked:
    """What is asked for; RecordError with everything that is wrong."""
    problems: list[Problem] = []
    wanted: list[Entry] = []
    key, zone, resolver = None, None, None
    single = options["records"] is None
    alone = given({name: options[name] for name in RECORD})
    if single and not alone and not options["purge"]:
        problems.append(Problem("", "records", "nothing is asked for", "give records, or domain and its options"))
    elif not single:
        problems.extend(beside("records", alone))
    if alone or not single:
        try:
            wanted = read_entries([options] if single else options["records"], single)
        except RecordError as exc:
            problems.extend(exc.problems)
    if options["purge"] and single:
        problems.append(Problem("", "purge", "it removes what a list leaves out", "give the list `records`"))
    if not 1 <= options["server_port"] <= 65535:
        problems.append(Problem("", "server_port", "it is out of range", "give a number from 1 to 65535"))
    if not 1 <= options["timeout"] <= LONGEST_PATIENCE:
        remedy = f"give a number of seconds from 1 to {LONGEST_PATIENCE}"
        problems.append(Problem("", "timeout", "it is out of range", remedy))
    try:
        key = tsig.from_options(options, os.environ)
    except RecordError as exc:
        problems.extend(exc.problems)
    try:
        zone = names.domain(options["zone"]) if options["zone"] else None
    except ValueError as exc:
        problems.append(Problem("", "zone", str(exc), "give the name of the zone, or leave it out"))
    try:
        resolver = fields.resolver(options["resolver"]) if options["resolver"] else None
    except ValueError as exc:
        problems.append(Problem("", "resolver", str(exc), "give its address, with :port where that is not 53"))
    if problems:
        raise RecordError(problems)
    return Asked(wanted, key, zone, resolver)


def _converge(module: Any, client: Client, asked: Asked, done: list[Change]) -> dict[str, Any]:
    wanted, zone, resolver = asked.entries, asked.zone, asked.resolver
    for attempt in range(ATTEMPTS):
        now = read(client, wanted, zone, module.params["timeout"] if module.params["verify"] else None)
        planned = plan(now.sets, wanted, module.params["purge"])
        if module.check_mode or attempt == 1 or stranded(now.sets, planned, wanted):
            # A conflict may be a wildcard's answer that was taken for a set; check mode cannot wait for one.
            now = _without_wildcards(client, now, planned)
            planned = plan(now.sets, wanted, module.params["purge"])
        _check_stranded(now, planned, wanted)
        sent = list(updates(planned, now))
        for zone_of, batch in sent:
            client.see_that_it_fits(zone_of, batch)
        if module.check_mode:
            break
        try:
            _apply(client, sent, done)
            break
        except ConflictError:
            if attempt == ATTEMPTS - 1:
                raise
    made = planned.changes if module.check_mode else merged(done)
    seen: list[verify.Seen] = []
    if done and module.params["verify"]:
        verify.primary(client, made, module.params["timeout"])
        seen = verify.followers(client, made, now.zones, module.params["timeout"], resolver)
    told = [*now.warnings, *verify.warnings(seen)] if made else []
    if told:
        module.warn(" ".join(told))
    touched = {change.key for change in made}
    results = [
        {**result, "zone": now.zones.get(entry.owner.name), "changed": bool(touched.intersection(entry.record_sets()))}
        for entry, result in zip(wanted, planned.results)
    ]
    servers = [entry.as_dict() for entry in seen]
    result: dict[str, Any] = {"changed": bool(made), "records": results, "servers": servers}
    if module._diff:
        result["diff"] = {"before_header": str(client), "after_header": str(client), **diff(made)}
    return result


def read(client: Client, wanted: Sequence[Entry], zone: str | None, patience: float | None) -> Read:
    """Ask for everything; what cannot work is told before anything is written.

    A target that the server knows nothing about is looked up elsewhere, as long as there is `patience`.
    """
    keys = needed(wanted)
    targets = dict.fromkeys(entry.target for entry in wanted if entry.target and entry.state == "present")
    managed = {key.name for entry in wanted for key in entry.address_keys()}
    checked = [Key(target, rdtype) for target in targets if target not in managed for rdtype in ADDRESS_TYPES]
    answers = client.ask(keys)
    aliases = {key: answer for key, answer in answers.items() if answer is not None and answer.alias}
    for key in synthesised(client, aliases) if aliases else ():
        answers[key] = aliases[key]._replace(alias=None)
    answers.update(client.ask(checked, outside=True))
    problems, warnings = _check_targets(wanted, answers, patience)
    problems += _check_owners(wanted, answers)
    zones, more = _zones(client, wanted, keys, answers, zone)
    problems += more
    if problems:
        raise RecordError(list(dict.fromkeys(problems)))
    return Read({key: _known(answers[key]).found for key in keys}, zones, tuple(warnings))


def _known(answer: Answer | None) -> Answer:
    return answer or Answer(None, None, None)


def _zones(
    client: Client,
    wanted: Sequence[Entry],
    keys: Sequence[Key],
    answers: Mapping[Key, Answer | None],
    zone: str | None,
) -> tuple[dict[str, str], list[Problem]]:
    """The zone of each name. Most answers tell it by the way; the others are asked for once more."""
    if zone is not None:
        outside = [key for key in keys if not (key.name == zone or key.name.endswith("." + zone))]
        problems = [_no_zone(wanted, key, zone) for key in outside]
        held = _known(client.ask([Key(zone, "SOA")])[Key(zone, "SOA")]).zone
        if held != zone:
            message = f"{zone} is no zone of this server" + (f"; it belongs to {held}" if held else "")
            problems.insert(0, Problem("", "zone", message, "leave `zone` out, and the right one is found"))
        for key in keys:
            belongs = _known(answers[key]).zone
            if belongs is not None and belongs != zone and key not in outside:
                problems.append(_no_zone(wanted, key, zone, belongs))
        return {key.name: zone for key in keys}, problems
    found = {key.name: _known(answers[key]).zone for key in keys}
    missing = [Key(name, "SOA") for name, known in found.items() if known is None]
    found.update({key.name: _known(answer).zone for key, answer in client.ask(missing).items()})
    problems = [_no_zone(wanted, key, zone) for key in keys if found[key.name] is None]
    return {name: known for name, known in found.items() if known is not None}, problems


def _no_zone(wanted: Sequence[Entry], key: Key, zone: str | None, belongs: str | None = None) -> Problem:
    place = next(entry.place for entry in wanted if key in entry.record_sets())
    if zone is None:
        return Problem(place, "zone", f"the server names no zone for {key.name}", "give `zone`")
    where = f"belongs to the zone {belongs}" if belongs else f"lies outside of {zone}"
    return Problem(place, "zone", f"{key.name} {where}", "leave `zone` out, and the right one is found")


def _check_owners(wanted: Sequence[Entry], answers: Mapping[Key, Answer | None]) -> list[Problem]:
    problems = []
    for entry in wanted:
        answer = answers[entry.owner]
        if answer is not None and answer.alias is not None:
            message = f"{entry.owner.name} is an alias (CNAME) of {answer.alias}"
            problems.append(Problem(entry.place, "domain", message, "remove the alias first"))
    return problems


def _check_targets(
    wanted: Sequence[Entry], answers: Mapping[Key, Answer | None], patience: float | None
) -> tuple[list[Problem], list[str]]:
    """RFC 2782: the target must be a host with addresses, and must not be an alias."""
    problems: list[Problem] = []
    warnings: list[str] = []
    outside: dict[str, Answer | None] = {}
    given = {entry.target for entry in wanted if entry.state == "present" and entry.addresses}
    for entry in wanted:
        if entry.target is None or entry.state != "present":
            continue
        found = [answers[Key(entry.target, rdtype)] for rdtype in ADDRESS_TYPES]
        if None in found:
            if patience is None:
                continue
            if entry.target not in outside:
                outside[entry.target] = elsewhere(entry.target, patience)
                if outside[entry.target] is None:
                    warnings.append(
                        f"It could not be checked whether {entry.target} has an address: no resolver knows."
                    )
            found = [outside[entry.target]]
        known = [answer for answer in found if answer is not None]
        alias = next((answer.alias for answer in known if answer.alias), None)
        if alias:
            message = f"{entry.target} is an alias (CNAME) of {alias}, which SRV forbids"
            problems.append(Problem(entry.place, "target", message, f"give {alias} instead"))
        elif known and entry.target not in given and not any(answer.found for answer in known):
            remedy = "publish its addresses first, or give them as `addresses`"
            problems.append(Problem(entry.place, "target", f"{entry.target} has no address", remedy))
    return problems, warnings


def _without_wildcards(client: Client, now: Read, planned: Plan) -> Read:
    found = {
        change.key: Answer(change.before, None, now.zones[change.key.name])
        for change in planned.changes
        if change.before is not None
    }
    gone = synthesised(client, found) if found else set()
    return now._replace(sets={key: None if key in gone else held for key, held in now.sets.items()})


def _check_stranded(now: Read, planned: Plan, wanted: Sequence[Entry]) -> None:
    remedy = "leave it an address, or take the record away too"
    message = "another entry takes its last address away"
    found = stranded(now.sets, planned, wanted)
    if found:
        raise RecordError([Problem(entry.place, "target", f"{entry.target}: {message}", remedy) for entry in found])


def _apply(client: Client, sent: Sequence[tuple[str, Sequence[Change]]], done: list[Change]) -> None:
    for zone, batch in sent:
        try:
            client.update(zone, batch)
        except UncertainError:
            if not verify.has_arrived(client, batch):
                raise
        done.extend(batch)


def updates(planned: Plan, now: Read) -> Iterator[tuple[str, list[Change]]]:
    """One update a zone where it fits. A zone that gets addresses goes before one whose services lead to them."""
    by_zone: dict[str, list[Change]] = {}
    for change in planned.changes:
        by_zone.setdefault(now.zones[change.key.name], []).append(change)
    for zone in sorted(by_zone, key=lambda name: min(map(_order, by_zone[name]))):
        for batch in batches(sorted(by_zone[zone], key=_order)):
            yield zone, batch


def _order(change: Change) -> int:
    if change.key.type == "SRV":
        return 1
    return 0 if change.after is not None else 2
