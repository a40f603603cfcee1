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

from . import _certificate_sources as sources
from . import _store as store
from ._certificate_facts import TIME_FORMAT, CertificateFacts, Generation
from ._certificate_files import CERTIFICATE, CHAIN, KEY, REQUEST, Files, Material, Names
from ._certificate_options import Wanted
from ._certificate_options import read as read_options
from ._certificate_plan import plan
from ._certificate_steps import Assign, Current, Plan, number_of
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
        entries, problems = read_options(module.params)
        files = Files(module.params["config_dir"])
        if problems:
            _jobs(files, entries, True, problems)
        existed = os.path.isdir(files.config_dir)
        above, jobs = _carry_out(files, entries, existed, module.check_mode)
        done = not module.check_mode and any(job.changed for job in jobs)
        now_there = _jobs(files, entries, False) if done else jobs
    except RecordError as exc:
        module.fail_with(exc)
    except sources.LibraryMissingError as exc:
        module.fail_json(msg=f"{exc}; it comes with the installed proxy")
    except OSError as exc:
        hint = (
            "run the task as the owner of the directory (become)" if isinstance(exc, PermissionError) else "see to it"
        )
        module.fail_json(msg=f"{exc.filename or module.params['config_dir']}: {exc.strerror or exc}; {hint}")
    changes = [*above, *(change for job in jobs for change in job.changes())]
    if changes and not existed:
        changes.insert(0, Change(f"directory {files.config_dir}", None, {"mode": f"{store.DIRECTORY_MODE:04o}"}))
    results = [_result(files, job, later) for job, later in zip(jobs, now_there)]
    notes = [note for job in jobs if job.changed for note in _notes(files, job)]
    # A service that has read it whole goes on with it, until it is started again.
    # What a run replaces is no news; in check mode nobody knows more than that it is going to.
    seen = [later for job, later in zip(jobs, now_there) if later is not job or not job.changed]
    damaged = [path for job in seen for path in files.damaged(job.current, job.entry)]
    warning = " ".join([*notes, *(f"{path} is in use, and cannot be read." for path in damaged)])
    if warning:
        module.warn(warning)
    outcome: dict[str, Any] = {"changed": bool(changes), "certificates": results}
    if module._diff:
        outcome["diff"] = Changes(tuple(changes), {}, {}, ()).diff()
    module.exit_json(**outcome)


def _carry_out(
    files: Files, entries: Sequence[Wanted], existed: bool, check_mode: bool
) -> tuple[list[Change], list[Job]]:  # fmt: skip
    """Plan, and act on a plan that was made under the lock: what was put right for all, and what for each."""
    if check_mode or not existed:
        above, jobs = files.drift_above(), _jobs(files, entries, check_mode)
        if check_mode or not any(job.changed for job in jobs):
            return above, jobs
        store._make_directory(files.config_dir)
    with files.lock():
        above, jobs = files.drift_above(), _jobs(files, entries, False)
        for repair in above:
            files.repair(repair)
        if any(job.plan.steps for job in jobs):
            files.prepare()
        # What goes away goes last: another certificate may take its place first.
        for job in sorted(jobs, key=lambda job: job.entry.state == "absent"):
            for repair in job.repairs:
                files.repair(repair)
            if job.plan.steps:
                files.apply(job.entry.id, job.plan.steps, job.material)
    return above, jobs


def _jobs(files: Files, entries: Sequence[Wanted], check_mode: bool, known: Sequence[Problem] = ()) -> list[Job]:
    """What to do for each; RecordError with what is wrong with any, beside what is `known` of others."""
    now = datetime.now(timezone.utc)
    names = files.names()
    jobs: list[Job] = []
    problems = list(known)
    for entry in entries:
        try:
            jobs.append(_job(files, names, entry, now, check_mode))
        except RecordError as exc:
            problems.extend(exc.problems)
    if problems:
        raise RecordError(problems)
    return jobs


def _job(files: Files, names: Names, entry: Wanted, now: datetime, check_mode: bool) -> Job:
    forgiving = entry.regenerate == "full_idempotence"
    current = files.read(names, entry.id, entry.place, usable=entry.state != "absent", forgiving=forgiving)
    given = sources.given(files, entry, current, now)
    signer, issuer_chain = sources.signer(entry, now, check_mode)
    authority = None
    if entry.issue != "none":
        authority = sources.authority(files, entry, current, signer, issuer_chain, now)
    planned = plan(entry, current, given.facts, authority, now)
    kept = () if entry.state == "absent" else tuple(current.generations)
    material = Material(given.certificates, given.key, signer, issuer_chain, now)
    return Job(entry, current, planned, tuple(files.drift(entry.id, kept)), material, given.missing_file)


# The report


def _notes(files: Files, job: Job) -> list[str]:
    step = _next_step(files, job)
    return [*job.plan.notes, *([step] if step else [])]


def _next_step(files: Files, job: Job) -> str | None:
    at = job.plan.effective
    if at is not None and not job.plan.pending:
        return f"Run this again at {at.strftime(TIME_FORMAT)} or later, which puts the certificate to use."
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
        "friendly_name": request.about.friendly_name if request else None,
        "key_type": request.key.type if request else None,
        "key_size": request.key.size if request else None,
        "exportable": request.about.exportable if request else None,
        **_request_facts(request),
        "csr_path": os.path.join(folder, REQUEST) if request else None,
        "csr": _request_pem(files, job, foreseen=later is job),
        "key_path": os.path.join(home or folder, KEY) if request else None,
        "certificate_path": os.path.join(home, CERTIFICATE) if home else None,
        "chain_path": os.path.join(home, CHAIN) if home else None,
        **_certificate_facts(certificate, job.material.now),
        "effective_date": planned.effective.strftime(TIME_FORMAT) if planned.effective else None,
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
        "key_usage": list(request.key_usage) if request else None,
        "extended_key_usage": list(request.extended_key_usage) if request else None,
    }


def _certificate_facts(certificate: CertificateFacts | None, now: datetime) -> dict[str, Any]:
    keys = ("fingerprint", "issuer", "serial", "not_before", "not_after", "days_left")
    if certificate is None:
        return dict.fromkeys(keys)
    return {**certificate.shown(), "days_left": (certificate.not_after - now).days}


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
    if job.entry.state == "absent" and number_of(job.entry.id, job.current.previous.get(usage)) is not None:
        return None
    if any(isinstance(step, Assign) for step in job.plan.steps) and usage in job.current.assigned:
        return job.current.assigned[usage]
    return job.current.previous.get(usage)
