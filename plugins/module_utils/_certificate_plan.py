# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps from what is there to the certificate that is wanted. Pure: no files, no cryptography, no clock.

Two rules hold in every plan. A key is never replaced: another key is another generation, beside the old one, which
stays in use until the new one has its certificate. And a generation that has its certificate keeps it and its request.

PRIVATE to the collection.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from ._certificate_facts import (
    TIME_FORMAT,
    About,
    CertificateFacts,
    Generation,
    KeyFacts,
    newest,
)
from ._certificate_judgement import describe, out_of_time, still_good, uncovered
from ._certificate_options import ISSUED_DAYS, Wanted
from ._certificate_previous import before
from ._certificate_request import request
from ._certificate_steps import (
    AdoptKey,
    Assign,
    Authority,
    CopyKey,
    Current,
    Given,
    Import,
    Issue,
    MakeKey,
    Note,
    Plan,
    Point,
    Remove,
    Step,
    Withdraw,
    WriteRequest,
    number_of,
)
from ._records.errors import Problem, RecordError


def plan(
    wanted: Wanted, current: Current, given: Given | None, authority: Authority | None, now: datetime
) -> Plan:  # fmt: skip
    if wanted.state == "absent":
        return _absent(wanted, current)
    return _Planner(wanted, current, given, now).run(given, authority)


def _absent(wanted: Wanted, current: Current) -> Plan:
    usages = tuple(sorted(usage for usage, name in current.assigned.items() if number_of(wanted.id, name) is not None))
    if not current.generations:
        return Plan((), None, None, "absent", False, None, None, {}, ())
    shown = current.generations[max(current.generations)]
    removed = Remove(tuple(current.generations), usages)
    return Plan((removed,), describe(shown, usages), None, "absent", False, None, None, {}, ())


class _Planner:
    """Walks through the wizard and notes each step; `generations` is what the disk will hold after the steps so far."""

    def __init__(self, wanted: Wanted, current: Current, given: Given | None, now: datetime) -> None:
        self.wanted, self.current, self.now = wanted, current, now
        self.generations = dict(current.generations)
        self.steps: list[Step] = []
        self.notes: list[str] = []
        self.issued: dict[int, str] = {}
        self.base = newest(self.generations)
        self.in_use = current.assigned.get(wanted.usage)
        self.going_back_to = before(wanted, current, now) if wanted.previous else None
        self.adopts = bool(given and given.key and given.key.public not in self._publics())
        base = self.base
        if given is not None and given.key is not None and self.adopts:
            # The key and the certificate that came together say what the options leave open.
            about = base.about._replace(effective=None, withdrawn="", asked=None) if base else About()
            base = Generation(0, given.key, None, given.facts, (), about)
        self.request = request(wanted, base)
        self.xmpp_domains = self.request.xmpp_domains

    def run(self, given: Given | None, authority: Authority | None) -> Plan:
        wanted, current = self.wanted, self.current
        if given is not None and given.key is not None and self.adopts:
            requested = self._adopt(given, given.key)
        else:
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
        if authority is None and self._runs_out(requested):
            requested = self._another(self.generations[requested])
        if current.pointed != requested:
            self.steps.append(Point(requested))
        holder, effective = self._put_to_use(holder)
        unsigned = not self.generations[requested].complete and requested not in self.issued
        pending = wanted.state != "requested" and unsigned
        stage = "requested"
        if holder is not None:
            stage = "assigned" if self.in_use == self._name(holder) else "imported"
        return Plan(
            tuple(self.steps),
            self._describe(self.base, current.pointed, current.assigned.get(wanted.usage)),
            self._describe(
                self.generations[requested if holder is None or pending else holder], requested, self.in_use
            ),
            stage,
            pending,
            requested,
            holder,
            self.generations,
            tuple(self.notes),
            effective,
        )

    def _describe(
        self, generation: Generation | None, pointed: int | None, in_use: str | None
    ) -> dict[str, Any] | None:
        if generation is None:
            return None
        number = number_of(self.wanted.id, in_use)
        usages = [] if in_use is None else [f"{self.wanted.usage} ({f'generation {number}' if number else in_use})"]
        shown = {**describe(generation, usages), "current_request": pointed}
        if generation.number in self.issued:
            shown["certificate"] = {"issuer": self.issued[generation.number], "days": ISSUED_DAYS}
        return shown

    def _name(self, number: int) -> str:
        return f"{self.wanted.id}.{number}"

    def _next(self) -> int:
        return max(self.generations, default=0) + 1

    def _publics(self) -> set[str]:
        return {item.key.public for item in self.generations.values()}

    def _refuse(self, key: str, message: str, remedy: str) -> RecordError:
        return RecordError([Problem(self.wanted.place, key, message, remedy)])

    # The request

    def _request(self) -> int:
        """The generation whose request says what is wanted, made where there is none."""
        base, wanted = self.base, self.wanted
        if base is None:
            return self._make_key()
        if wanted.regenerate == "always":
            return self._another(base)
        if wanted.regenerate == "never":
            self._note_what_never_ignores(base)
        fitting = self._newest_that_fits()
        if fitting is not None:
            self._note(fitting, self._about(self.generations[fitting]))
            return fitting
        if self.request.fits_key(base) and (not base.complete or base.request is None):
            self._write_request(base)
            return base.number
        if wanted.regenerate == "fail" and not self.request.fits_key(base):
            shown = f"{base.key.type}, {base.key.size} bits, {'' if base.about.exportable else 'not '}exportable"
            remedy = "ask for that key, or allow another one beside it with another level"
            raise self._refuse("regenerate", f"the key in hand is another one ({shown})", remedy)
        return self._another(base)

    def _note_what_never_ignores(self, base: Generation) -> None:
        held = (base.key.type, base.key.size, base.about.exportable)
        asked = (self.wanted.key_type, self.wanted.key_size, self.wanted.exportable)
        for option, have, want in zip(("key_type", "key_size", "exportable"), held, asked):
            if want is not None and want != have:
                self.notes.append(f"`{option}` is {have} and stays so, because `regenerate` is `never`.")

    def _newest_that_fits(self) -> int | None:
        return max((number for number, item in self.generations.items() if self.request.fits(item)), default=None)

    def _another(self, base: Generation) -> int:
        """Another generation beside those that are there: with a key of its own, or with the same one."""
        if self.wanted.regenerate != "never":
            return self._make_key()
        number = self._copy_key(base)
        if self.generations[number].request != self.request.facts(base.key.public):
            self._write_request(self.generations[number])
        return number

    def _make_key(self) -> int:
        wanted = self.request
        number = self._next()
        self.steps.append(MakeKey(number, wanted))
        # The public key is not known before it is made; its name only has to differ from every other.
        key = KeyFacts(wanted.key_type, wanted.key_size, f"the key of generation {number}")
        self.generations[number] = Generation(number, key, wanted.facts(key.public), None, (), wanted.about)
        return number

    def _copy_key(self, source: Generation) -> int:
        number = self._next()
        self.steps.append(CopyKey(number, source.number))
        about = source.about._replace(effective=None, withdrawn="")
        self.generations[number] = source._replace(number=number, certificate=None, chain=(), about=about)
        return number

    def _write_request(self, base: Generation) -> None:
        about = self._about(base)
        self.steps.append(WriteRequest(base.number, self.request._replace(about=about)))
        self.generations[base.number] = base._replace(request=self.request.facts(base.key.public), about=about)

    def _about(self, generation: Generation) -> About:
        """What is asked for, beside what the key has of its own."""
        held = generation.about
        return self.request.about._replace(
            exportable=held.exportable, effective=held.effective, withdrawn=held.withdrawn
        )  # fmt: skip

    def _note(self, number: int, about: About) -> None:
        held = self.generations[number].about
        if held.asked is None:
            # Which options an older request came from is noted with the next one.
            about = about._replace(asked=None)
        if held != about:
            self.steps.append(Note(number, about))
            self.generations[number] = self.generations[number]._replace(about=about)

    # The certificate

    def _adopt(self, given: Given, key: KeyFacts) -> int:
        """The key that came with its certificate, in a generation of its own."""
        if (key.type, key.size) != (self.request.key_type, self.request.key_size):
            option = "key_type" if key.type != self.request.key_type else "key_size"
            remedy = "leave the option out, or make a PFX with such a key"
            raise self._refuse(option, f"the key in the PFX is {key.type} with {key.size} bits", remedy)
        self._refuse_shortcomings(given)
        number = self._next()
        self.steps.append(AdoptKey(number, self.request))
        facts = self.request.facts(key.public)
        self.generations[number] = Generation(number, key, facts, None, (), self.request.about)
        return number

    def _issue(self, number: int, authority: Authority) -> int:
        held = self.generations[number].certificate
        if held is not None:
            same = self.generations[number].chain == authority.chain
            if (
                same
                and still_good(held, self.request, authority, self.now)
                and not self._worth_renewing(held, authority)
            ):
                self._refuse_too_late(held.not_after)
                self._stage(number)
                return number
            number = self._another(self.generations[number])
        self._refuse_too_late(min(self.now + timedelta(days=ISSUED_DAYS), authority.until))
        self._stage(number)
        self.steps.append(Issue(number, self.request, authority.name))
        self.issued[number] = authority.name
        return number

    def _worth_renewing(self, held: CertificateFacts, authority: Authority) -> bool:
        """A CA that ends soon gives nothing that lasts longer."""
        if not self._ends_within(held):
            return False
        longer = min(self.now + timedelta(days=ISSUED_DAYS), authority.until) > held.not_after + timedelta(days=1)
        if not longer:
            self.notes.append("A new certificate would not last longer, because the CA ends; see to a new CA.")
        return longer

    def _runs_out(self, number: int) -> bool:
        """Whether the newest certificate for the current request is to be renewed; what awaits one is new already."""
        held = self.generations[number].certificate
        return held is not None and not self.wanted.previous and self._ends_within(held)

    def _ends_within(self, held: CertificateFacts) -> bool:
        days = self.wanted.renew_before
        return days is not None and held.not_after - self.now < timedelta(days=days)

    def _import(self, given: Given) -> int:
        matching = [item for item in self.generations.values() if item.key.public == given.facts.public]
        for item in matching:
            held = item.certificate.fingerprint if item.certificate else None
            if (held, item.chain) == (given.facts.fingerprint, given.chain):
                self._refuse_too_late(given.facts.not_after)
                self._stage(item.number)
                self._note_shortcomings(given.facts)
                return item.number
        self._refuse_shortcomings(given)
        target = max(matching, key=lambda item: (not item.complete, item.number))
        number = self._copy_key(target) if target.complete else target.number
        self._stage(number)
        self.steps.append(Import(number, given.facts, given.chain))
        self.generations[number] = self.generations[number]._replace(certificate=given.facts, chain=given.chain)
        return number

    def _in_hand(self) -> int | None:
        """Without a new certificate: the newest in hand that will do, else the one in use, whatever it lacks."""
        in_use = number_of(self.wanted.id, self.in_use)
        if self.going_back_to is None:
            found = self._newest_that_will_do(staged=True)
            if found is not None:
                self._stage(found)
                return found
        certificate = self.generations[in_use].certificate if in_use in self.generations else None
        if certificate is not None:
            self._note_shortcomings(certificate)
            return in_use
        return None

    def _newest_that_will_do(self, staged: bool) -> int | None:
        for number in sorted(self.generations, reverse=True):
            item = self.generations[number]
            if item.certificate is None or self._out_of_use(item):
                continue
            at = self._effective(number)
            if (staged or at is None) and not self._shortcomings(item.certificate, at or self.now):
                return number
        return None

    def _out_of_use(self, item: Generation) -> bool:
        return bool(item.about.withdrawn) and self.wanted.previous is not False

    # Use

    def _effective(self, number: int) -> datetime | None:
        """From when on the generation is to be used, where that is still to come."""
        wanted = self.wanted
        if self._name(number) == self.in_use or wanted.at_once:
            return None
        at = wanted.effective or self.generations[number].about.effective
        return at if at is not None and at > self.now else None

    def _stage(self, number: int) -> None:
        """Noted before the certificate comes, so that nobody finds one that might be used at once."""
        at = self._effective(number)
        if at is not None:
            self._note(number, self.generations[number].about._replace(effective=at))

    def _put_to_use(self, holder: int | None) -> tuple[int | None, datetime | None]:
        """The generation to report, and from when on it is to be used where that is still to come."""
        wanted = self.wanted
        if wanted.state != "assigned":
            return holder, None
        if self.going_back_to is not None:
            self._go_back(self.going_back_to)
            return number_of(wanted.id, self.in_use), None
        if holder is None:
            return None, None
        item = self.generations[holder]
        if self._out_of_use(item):
            self.notes.append(f"{self._name(holder)} was taken out of use; `previous: false` puts it back.")
            in_use = number_of(wanted.id, self.in_use)
            return (in_use if in_use in self.generations else holder), None
        at = self._effective(holder)
        if at is None:
            # Otherwise a date that was taken back would count again after a way back.
            self._note(holder, item.about._replace(effective=None, withdrawn=""))
            self._assign(self._name(holder))
        elif self.in_use is None:
            # Until then, whatever will do.
            found = self._newest_that_will_do(staged=False)
            if found is not None:
                self._assign(self._name(found))
        return holder, at

    def _assign(self, name: str) -> None:
        if self.in_use != name:
            self.steps.append(Assign(self.wanted.usage, name))
            self.in_use = name

    def _go_back(self, name: str) -> None:
        if self.in_use != name and self.in_use is not None:
            # First the note: a run that breaks off here finds it, and goes on.
            number = number_of(self.wanted.id, self.in_use)
            if number in self.generations and self.generations[number].about.withdrawn != name:
                self.steps.append(Withdraw(self.in_use, name))
            self._assign(name)

    # What a certificate lacks

    def _shortcomings(self, facts: CertificateFacts, at: datetime) -> list[Problem]:
        found = [*out_of_time(facts, at, self.now), *uncovered(facts, self.xmpp_domains)]
        return [Problem(self.wanted.place, "certificate", *flaw) for flaw in found]

    def _refuse_too_late(self, until: datetime) -> None:
        at = self.wanted.effective
        if at is not None and at >= until:
            message = f"the certificate will have expired by then, at {until.strftime(TIME_FORMAT)}"
            raise self._refuse("effective_date", message, "give an earlier date")

    def _refuse_shortcomings(self, given: Given) -> None:
        problems = self._shortcomings(given.facts, max(self.now, self.wanted.effective or self.now))
        problems.extend(Problem(self.wanted.place, *flaw) for flaw in given.flaws)
        if problems:
            raise RecordError(problems)

    def _note_shortcomings(self, facts: CertificateFacts) -> None:
        problems = self._shortcomings(facts, self.now)
        self.notes.extend(f"The certificate in hand: {problem.message}." for problem in problems)
