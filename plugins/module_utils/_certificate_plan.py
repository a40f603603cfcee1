# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps from what is there to the certificate that is wanted. Pure: no files, no cryptography, no clock.

Two rules hold in every plan. A key is never replaced: another key is another generation, beside the old one, which
stays in use until the new one has its certificate. And a generation that has its certificate is never changed.

PRIVATE to the collection.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Mapping, NamedTuple, Sequence, Union

from ._certificate_facts import (
    CertificateFacts,
    Generation,
    KeyFacts,
    Request,
    RequestFacts,
    covers,
    domain_names,
    in_time,
    newest,
)
from ._certificate_options import Wanted, request
from ._records.errors import Problem, RecordError

# What an own CA and a self-signed certificate promise; public CAs give less.
ISSUED_DAYS = 365


class MakeKey(NamedTuple):
    """A new generation: key, request and what is noted about them."""

    number: int
    request: Request


class CopyKey(NamedTuple):
    """A new generation for another certificate of a key that has one already."""

    number: int
    source: int


class WriteRequest(NamedTuple):
    number: int
    request: Request


class Rename(NamedTuple):
    """Only the friendly name."""

    number: int
    request: Request


class Import(NamedTuple):
    """Certificates that the user gave, by their place in what was given; the first is our own."""

    number: int
    facts: CertificateFacts
    chain: tuple[str, ...]


class Issue(NamedTuple):
    number: int
    request: Request
    issuer: str


class Point(NamedTuple):
    """certificates/<id> names the generation with the current request."""

    number: int


class Assign(NamedTuple):
    usage: str
    number: int


class Remove(NamedTuple):
    """All generations, and what they are assigned to."""

    usages: tuple[str, ...]


Step = Union[MakeKey, CopyKey, WriteRequest, Rename, Import, Issue, Point, Assign, Remove]


class Current(NamedTuple):
    """What is on disk for one id. `assigned` and `previous` are the links as they are, `external` -> `external.1`."""

    generations: Mapping[int, Generation]
    pointed: int | None
    assigned: Mapping[str, str]
    previous: Mapping[str, str]

    def number_in_use(self, id: str, usage: str) -> int | None:
        return number_of(id, self.assigned.get(usage))


class Given(NamedTuple):
    """Certificates that the user gave: ours (the one with one of our keys) and the chain behind it, in order."""

    facts: CertificateFacts
    chain: tuple[str, ...]


class Authority(NamedTuple):
    """Who would issue and the chain it would add, and which of the certificates in hand it did issue."""

    name: str
    issued: frozenset[str]
    chain: tuple[str, ...]


class Plan(NamedTuple):
    """The steps in order, and what things are before and after them."""

    steps: tuple[Step, ...]
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    stage: str
    pending: bool
    request_in: int | None
    certificate_in: int | None
    generations: Mapping[int, Generation]
    notes: tuple[str, ...]


def number_of(id: str, generation: str | None) -> int | None:
    """The number of a generation of this id from its directory's name."""
    name, _dot, number = (generation or "").rpartition(".")
    return int(number) if name == id and number.isdigit() else None


def plan(
    wanted: Wanted, current: Current, given: Given | None, authority: Authority | None, now: datetime
) -> Plan:  # fmt: skip
    if wanted.state == "absent":
        return _absent(wanted, current)
    return _Planner(wanted, current, now).run(given, authority)


def _absent(wanted: Wanted, current: Current) -> Plan:
    usages = tuple(sorted(usage for usage, name in current.assigned.items() if number_of(wanted.id, name) is not None))
    if not current.generations:
        return Plan((), None, None, "absent", False, None, None, {}, ())
    shown = current.generations[max(current.generations)]
    return Plan((Remove(usages),), describe(shown, usages), None, "absent", False, None, None, {}, ())


class _Planner:
    """Walks through the wizard and notes each step; `generations` is what the disk will hold after the steps so far."""

    def __init__(self, wanted: Wanted, current: Current, now: datetime) -> None:
        self.wanted, self.current, self.now = wanted, current, now
        self.generations = dict(current.generations)
        self.steps: list[Step] = []
        self.notes: list[str] = []
        self.issued: dict[int, str] = {}
        self.base = newest(self.generations)
        self.request = request(wanted, self.base)
        self.xmpp_domains = domain_names(self.request.names)["xmppAddr"]

    def run(self, given: Given | None, authority: Authority | None) -> Plan:
        wanted, current = self.wanted, self.current
        requested = self._request()
        holder: int | None = None
        if authority is not None:
            requested = holder = self._issue(requested, authority)
        elif given is not None:
            holder = self._import(given)
            # A copy of the key has a copy of the request too.
            requested = self._newest_that_fits() or requested
        elif wanted.state != "requested":
            holder = self._in_hand()
        if current.pointed != requested:
            self.steps.append(Point(requested))
        in_use = current.number_in_use(wanted.id, wanted.usage)
        if wanted.state == "assigned" and holder is not None and in_use != holder:
            self.steps.append(Assign(wanted.usage, holder))
            in_use = holder
        unsigned = not self.generations[requested].complete and requested not in self.issued
        pending = wanted.state != "requested" and unsigned
        stage = "requested"
        if holder is not None:
            stage = "assigned" if in_use == holder else "imported"
        return Plan(
            tuple(self.steps),
            self._describe(self.base, current.pointed, current.number_in_use(wanted.id, wanted.usage)),
            self._describe(self.generations[requested if holder is None or pending else holder], requested, in_use),
            stage,
            pending,
            requested,
            holder,
            self.generations,
            tuple(self.notes),
        )

    def _describe(
        self, generation: Generation | None, pointed: int | None, in_use: int | None
    ) -> dict[str, Any] | None:
        if generation is None:
            return None
        usages = [] if in_use is None else [f"{self.wanted.usage} (generation {in_use})"]
        shown = {**describe(generation, usages), "current_request": pointed}
        if generation.number in self.issued:
            shown["certificate"] = {"issuer": self.issued[generation.number], "days": ISSUED_DAYS}
        return shown

    def _next(self) -> int:
        return max(self.generations, default=0) + 1

    # The request

    def _request(self) -> int:
        """The generation whose request says what is wanted, made where there is none."""
        fitting = self._newest_that_fits()
        if fitting is not None:
            self._rename(fitting)
            return fitting
        base = self.base
        rewrite = base is not None and self.request.fits_key(base) and (not base.complete or base.request is None)
        if base is not None and rewrite:
            self.steps.append(WriteRequest(base.number, self.request))
            facts = RequestFacts(base.key.public, self.request.subject, self.request.names, self.request.digest)
            self.generations[base.number] = base._replace(request=facts, friendly_name=self.request.friendly_name)
            return base.number
        return self._make_key()

    def _newest_that_fits(self) -> int | None:
        return max((number for number, item in self.generations.items() if self.request.fits(item)), default=None)

    def _make_key(self) -> int:
        wanted = self.request
        number = self._next()
        self.steps.append(MakeKey(number, wanted))
        # The public key is not known before it is made; its name only has to differ from every other.
        key = KeyFacts(wanted.key_type, wanted.key_size, f"the key of generation {number}")
        facts = RequestFacts(key.public, wanted.subject, wanted.names, wanted.digest)
        self.generations[number] = Generation(number, key, facts, None, (), wanted.friendly_name, wanted.exportable)
        return number

    def _rename(self, number: int) -> None:
        if self.generations[number].friendly_name != self.request.friendly_name:
            self.steps.append(Rename(number, self.request))
            self.generations[number] = self.generations[number]._replace(friendly_name=self.request.friendly_name)

    # The certificate

    def _issue(self, number: int, authority: Authority) -> int:
        held = self.generations[number].certificate
        if held is not None:
            if self._still_good(held, authority) and self.generations[number].chain == authority.chain:
                return number
            number = self._make_key()
        self.steps.append(Issue(number, self.request, authority.name))
        self.issued[number] = authority.name
        return number

    def _still_good(self, held: CertificateFacts, authority: Authority) -> bool:
        wanted = (self.request.subject, self.request.names, self.request.digest)
        return (
            held.fingerprint in authority.issued
            and in_time(held, self.now)
            and (held.subject, held.names, held.digest) == wanted
        )

    def _import(self, given: Given) -> int:
        matching = [item for item in self.generations.values() if item.key.public == given.facts.public]
        for item in matching:
            held = item.certificate.fingerprint if item.certificate else None
            if (held, item.chain) == (given.facts.fingerprint, given.chain):
                self._note_shortcomings(given.facts)
                return item.number
        problems = self._shortcomings(given.facts)
        if problems:
            raise RecordError(problems)
        target = max(matching, key=lambda item: (not item.complete, item.number))
        number = target.number
        if target.complete:
            number = self._next()
            self.steps.append(CopyKey(number, target.number))
        self.steps.append(Import(number, given.facts, given.chain))
        self.generations[number] = target._replace(number=number, certificate=given.facts, chain=given.chain)
        return number

    def _in_hand(self) -> int | None:
        """Without a new certificate: the newest in hand that will do, else the one in use, whatever it lacks."""
        for number in sorted(self.generations, reverse=True):
            certificate = self.generations[number].certificate
            if certificate is not None and not self._shortcomings(certificate):
                return number
        in_use = self.current.number_in_use(self.wanted.id, self.wanted.usage)
        if in_use is not None and in_use in self.generations:
            certificate = self.generations[in_use].certificate
            if certificate is not None:
                self._note_shortcomings(certificate)
                return in_use
        return None

    def _shortcomings(self, facts: CertificateFacts) -> list[Problem]:
        place, problems = self.wanted.place, []
        until, since = (facts.shown()[key] for key in ("not_after", "not_before"))
        if facts.not_after < self.now:
            problems.append(
                Problem(place, "certificate", f"it has expired at {until}", "have the request signed again")
            )
        if facts.not_before > self.now:
            problems.append(Problem(place, "certificate", f"it is not valid before {since}", "import it from then on"))
        if not facts.server_auth:
            message = "it is not for servers (extended key usage serverAuth is missing)"
            problems.append(Problem(place, "certificate", message, "ask the CA for a server certificate"))
        for domain in self.xmpp_domains:
            if not covers(facts.names, domain):
                remedy = "have the current request signed; it names the domain"
                problems.append(Problem(place, "certificate", f"it does not cover the XMPP domain {domain}", remedy))
        return problems

    def _note_shortcomings(self, facts: CertificateFacts) -> None:
        self.notes.extend(f"The certificate in hand: {problem.message}" for problem in self._shortcomings(facts))


def describe(generation: Generation, usages: Sequence[str]) -> dict[str, Any]:
    """What a diff shows: nothing secret, and nothing that could not be known before the run."""
    request = generation.request
    return {
        "generation": generation.number,
        "friendly_name": generation.friendly_name,
        "key": {"type": generation.key.type, "size": generation.key.size, "exportable": generation.exportable},
        "subject": dict(request.subject) if request else None,
        "names": list(request.names) if request else None,
        "digest": request.digest if request else None,
        "certificate": generation.certificate.shown() if generation.certificate else None,
        "chain": list(generation.chain),
        "assigned_to": list(usages),
    }
