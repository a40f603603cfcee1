# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What edge_certificate does: read, plan, carry out, report.

PRIVATE to the collection.
"""

from __future__ import annotations

import os
from datetime import datetime, timezone
from typing import Any, NamedTuple, Sequence

from . import _certificate_crypto as crypto
from . import _store as store
from ._certificate_facts import CertificateFacts, Generation
from ._certificate_files import CERTIFICATE, CHAIN, KEY, REQUEST, Files, Material
from ._certificate_options import Wanted
from ._certificate_options import wanted as read_options
from ._certificate_plan import Assign, Authority, Current, Given, Plan, plan
from ._plan import Change
from ._plan import Plan as Changes
from ._records.errors import Problem, RecordError


class Job(NamedTuple):
    """One certificate: what is wanted, what is there, and what to do."""

    entry: Wanted
    current: Current
    plan: Plan
    repairs: tuple[Change, ...]
    material: Material
    missing_file: str | None

    @property
    def changed(self) -> bool:
        return bool(self.plan.steps or self.repairs)

    def changes(self) -> list[Change]:
        listed = list(self.repairs)
        if self.plan.steps:
            listed.append(Change(f"certificate {self.entry.id}", self.plan.before, self.plan.after))
        return listed


def can_do_without(check_mode: bool, config_dir: str) -> bool:
    """What a blank host is going to get can be told before the library is installed there."""
    return check_mode and not Files(config_dir).anything()


def run(module: Any) -> None:
    try:
        entries = read_options(module.params)
        files = Files(module.params["config_dir"])
        existed = os.path.isdir(files.config_dir)
        jobs = _carry_out(files, entries, existed, module.check_mode)
        now_there = jobs if module.check_mode else _jobs(files, entries)
    except RecordError as exc:
        module.fail_json(msg=str(exc), problems=[problem.as_dict() for problem in exc.problems])
    except OSError as exc:
        hint = (
            "run the task as the owner of the directory (become)" if isinstance(exc, PermissionError) else "see to it"
        )
        module.fail_json(msg=f"{exc.filename or module.params['config_dir']}: {exc.strerror or exc}; {hint}")
    changes = [change for job in jobs for change in job.changes()]
    if changes and not existed:
        changes.insert(0, Change(f"directory {files.config_dir}", None, {"mode": f"{store.DIRECTORY_MODE:04o}"}))
    results = [_result(files, job, later) for job, later in zip(jobs, now_there)]
    warning = " ".join(note for job in jobs if job.changed for note in _notes(files, job))
    if warning:
        module.warn(warning)
    outcome: dict[str, Any] = {"changed": bool(changes), "certificates": results}
    if module._diff:
        outcome["diff"] = Changes(tuple(changes), {}, {}, ()).diff()
    module.exit_json(**outcome)


def _carry_out(files: Files, entries: Sequence[Wanted], existed: bool, check_mode: bool) -> list[Job]:
    """Plan, and act on a plan that was made under the lock."""
    if check_mode or not existed:
        jobs = _jobs(files, entries)
        if check_mode or not any(job.changed for job in jobs):
            return jobs
        store._make_directory(files.config_dir)
    with files.lock():
        jobs = _jobs(files, entries)
        # What goes away goes last: another certificate may take its place first.
        for job in sorted(jobs, key=lambda job: job.entry.state == "absent"):
            for repair in job.repairs:
                files.repair(repair)
            if job.plan.steps:
                files.apply(job.entry.id, job.plan.steps, job.material)
    return jobs


def _jobs(files: Files, entries: Sequence[Wanted]) -> list[Job]:
    now = datetime.now(timezone.utc)
    jobs: list[Job] = []
    problems: list[Problem] = []
    for entry in entries:
        try:
            jobs.append(_job(files, entry, now))
        except RecordError as exc:
            problems.extend(exc.problems)
    if problems:
        raise RecordError(problems)
    return jobs


def _job(files: Files, entry: Wanted, now: datetime) -> Job:
    current = files.read(entry.id, entry.place, usable=entry.state != "absent")
    given, missing_file = _given(files, entry, current)
    signer, issuer_chain = _signer(entry, now)
    authority = None
    if entry.issue != "none":
        authority = _authority(files, entry, current, signer, issuer_chain)
    facts = None
    if given:
        chain = tuple(crypto.fingerprint(item) for item in given[1:])
        facts = Given(crypto.certificate_facts(given[0]), chain)
    planned = plan(entry, current, facts, authority, now)
    kept = () if entry.state == "absent" else tuple(current.generations)
    material = Material(given, signer, issuer_chain, now)
    return Job(entry, current, planned, tuple(files.drift(entry.id, kept)), material, missing_file)


# What comes from outside


def _text(value: str) -> str | None:
    """PEM text as it is, or that of a file; None where there is no such file."""
    if "-----BEGIN" in value:
        return value
    try:
        with open(os.path.expanduser(value), encoding="utf-8") as stream:
            return stream.read()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as exc:
        raise ValueError(f"it cannot be read ({getattr(exc, 'strerror', None) or exc})") from None


def _there(text: str | None) -> str:
    if text is None:
        raise ValueError("there is no such file")
    return text


def _given(files: Files, entry: Wanted, current: Current) -> tuple[list[Any], str | None]:
    """The certificates from the options, ours first; or the name of the file that is still awaited."""
    if entry.certificate is None:
        return [], None
    keys = {generation.key.public for generation in current.generations.values()}
    found: list[Any] = []
    for option in ("certificate", "chain"):
        value = getattr(entry, option)
        if value is None:
            continue
        try:
            text = _text(value)
            if text is None and option == "certificate":
                return [], value
            if not keys:
                raise _not_ours(files, entry, "has no key yet that it could belong to", "make the request first")
            found.extend(crypto.load_certificates(_there(text)))
        except ValueError as exc:
            remedy = "give the certificate in PEM, as text or as a file on the host"
            raise RecordError([Problem(entry.place, option, str(exc), remedy)]) from None
    ours = [item for item in found if crypto.public_digest(item.public_key()) in keys]
    if not ours:
        raise _not_ours(files, entry, "has no key that it belongs to", "leave this certificate out")
    try:
        return [ours[0], *crypto.in_order(ours[0], found)], None
    except ValueError as exc:
        raise RecordError([Problem(entry.place, "chain", str(exc), "leave out what does not belong there")]) from None


def _not_ours(files: Files, entry: Wanted, message: str, remedy: str) -> RecordError:
    request = os.path.join(files.certificates, entry.id, REQUEST)
    return RecordError(
        [Problem(entry.place, "certificate", f"{entry.id} {message}", f"{remedy}, and have {request} signed")]
    )


def _signer(entry: Wanted, now: datetime) -> tuple[crypto.Authority | None, list[Any]]:
    """Our own CA, and what of its chain has to be sent along: all but roots, which whoever trusts them has."""
    if entry.issue != "own_ca":
        return None, []
    certificates, key = [], None
    problems = []
    for option, remedy in (("ca_cert", "give the CA's certificate in PEM"), ("ca_key", "give the CA's key in PEM")):
        try:
            text = _there(_text(getattr(entry, option)))
            if not crypto.AVAILABLE:
                continue
            if option == "ca_cert":
                certificates = crypto.load_certificates(text)
            else:
                key = crypto.load_key(text.encode(), entry.ca_key_passphrase)
                crypto.key_facts(key)
        except ValueError as exc:
            problems.append(Problem(entry.place, option, str(exc), remedy))
    if problems:
        raise RecordError(problems)
    if not crypto.AVAILABLE:
        return None, []
    signer = crypto.Authority(certificates[0], key)
    wrong = crypto.authority_problem(signer, now)
    if wrong:
        raise RecordError([Problem(entry.place, "ca_cert", wrong, "give a CA certificate and its own key")])
    return signer, [item for item in certificates if not crypto.signed_by(item, item)]


def _authority(
    files: Files, entry: Wanted, current: Current, signer: crypto.Authority | None, chain: Sequence[Any]
) -> Authority:
    """Which of the certificates in hand come from whom would issue now."""
    issued = set()
    for number in current.generations:
        certificate = files.certificate(entry.id, number)
        if certificate and crypto.signed_by(certificate, signer.certificate if signer else certificate):
            issued.add(crypto.fingerprint(certificate))
    if entry.issue == "self_signed":
        name = "itself"
    else:
        name = signer.certificate.subject.rfc4514_string() if signer else "the CA"
    return Authority(name, frozenset(issued), tuple(crypto.fingerprint(item) for item in chain))


# The report


def _notes(files: Files, job: Job) -> list[str]:
    step = _next_step(files, job)
    return [*job.plan.notes, *([step] if step else [])]


def _next_step(files: Files, job: Job) -> str | None:
    if not job.plan.pending:
        return None
    request = os.path.join(files.certificates, job.entry.id, REQUEST)
    if job.missing_file:
        return f"Have {request} signed, and put the certificate at {job.missing_file}."
    return f"Have {request} signed, and give the answer as `certificate`."


def _result(files: Files, job: Job, later: Job) -> dict[str, Any]:
    """`later` is the same job looked at after the run; in check mode it is the plan itself."""
    entry, planned = job.entry, job.plan
    held = planned.generations if later is job else later.current.generations
    request = _shown_generation(held, planned.request_in)
    holder = _shown_generation(held, planned.certificate_in)
    certificate = holder.certificate if holder else None
    folder = os.path.join(files.certificates, entry.id)
    home = files.home(entry.id, planned.certificate_in) if planned.certificate_in is not None else None
    return {
        "id": entry.id,
        "usage": entry.usage,
        "state": entry.state,
        "stage": planned.stage,
        "pending": planned.pending,
        "next_step": _next_step(files, job),
        "changed": job.changed,
        "friendly_name": request.friendly_name if request else None,
        "key_type": request.key.type if request else None,
        "key_size": request.key.size if request else None,
        "exportable": request.exportable if request else None,
        **_request_facts(request),
        "csr_path": os.path.join(folder, REQUEST) if request else None,
        "csr": _request_pem(files, job, foreseen=later is job),
        "key_path": os.path.join(home or folder, KEY) if request else None,
        "certificate_path": os.path.join(home, CERTIFICATE) if home else None,
        "chain_path": os.path.join(home, CHAIN) if home else None,
        **_certificate_facts(certificate),
        "previous": _previous(job),
    }


def _shown_generation(held: Any, number: int | None) -> Generation | None:
    return None if number is None else held.get(number)


def _request_facts(generation: Generation | None) -> dict[str, Any]:
    request = generation.request if generation else None
    return {
        "subject": dict(request.subject) if request else None,
        "names": list(request.names) if request else None,
        "digest": request.digest if request else None,
    }


def _certificate_facts(certificate: CertificateFacts | None) -> dict[str, Any]:
    keys = ("fingerprint", "issuer", "serial", "not_before", "not_after")
    return certificate.shown() if certificate else dict.fromkeys(keys)


def _request_pem(files: Files, job: Job, foreseen: bool) -> str | None:
    """What is on disk, unless check mode only foresees that it is going to be written."""
    number = job.plan.request_in
    if number is None:
        return None
    if foreseen:
        found, planned = job.current.generations.get(number), job.plan.generations.get(number)
        if found is None or planned is None or found.request != planned.request:
            return None
    return files.request_pem(job.entry.id, number)


def _previous(job: Job) -> str | None:
    """What was assigned before; a plan that assigns anew moves what is assigned now there."""
    usage = job.entry.usage
    if any(isinstance(step, Assign) for step in job.plan.steps) and usage in job.current.assigned:
        return job.current.assigned[usage]
    return job.current.previous.get(usage)
