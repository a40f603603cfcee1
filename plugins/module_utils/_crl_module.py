# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``edge_crl`` does: fetch, compare, put in place, report.

A list that cannot be had, or that is none, never takes the place of one that is there.

PRIVATE to the collection.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple, Sequence

from . import _crl_lists as lists
from . import _store as store
from ._crl_options import Wanted, wanted
from ._file_attributes import attributes_of, make_directory, set_attributes
from ._plan import Change, Plan
from ._records.errors import Problem, RecordError
from ._records.material import CRLS


class Job(NamedTuple):
    """One list: what is there, what came, and what is wrong with that."""

    entry: Wanted
    path: str
    before: lists.List | None
    there: bool
    after: lists.List | None
    error: str | None
    notes: tuple[str, ...] = ()

    @property
    def writes(self) -> bool:
        return self.after is not None and (self.before is None or self.before.der != self.after.der)

    @property
    def foreseen(self) -> bool:
        """In check mode, where nothing here can read a list yet."""
        return self.entry.state == "present" and self.after is None and self.error is None

    @property
    def change(self) -> Change | None:
        subject = f"revocation list {self.entry.name}"
        shown = self.before.shown() if self.before else {"unreadable": True} if self.there else None
        if self.entry.state == "absent":
            return Change(subject, shown, None) if self.there else None
        if self.foreseen:
            return None if self.there else Change(subject, None, {"source": self.entry.source})
        return Change(subject, shown, self.after.shown()) if self.writes and self.after else None


def directory_of(config_dir: str) -> str:
    return os.path.join(config_dir, CRLS)


def can_do_without(check_mode: bool, config_dir: str) -> bool:
    """A blank host gets its lists in the real run, by which time the library is there."""
    return check_mode and not _names(directory_of(config_dir))


def run(module: Any) -> None:
    """Plan, carry out, report."""
    try:
        entries = wanted(module.params)
        jobs = [_job(module, entry) for entry in (*entries, *_unlisted(module.params, entries))]
        changes = _changes(module.params["config_dir"], jobs)
        if changes and not module.check_mode:
            _carry_out(module.params["config_dir"], jobs)
    except RecordError as exc:
        module.fail_with(exc)
        return
    except OSError as exc:
        module.fail_json(msg=f"{exc.filename or module.params['config_dir']}: {exc.strerror or exc}; see to it")
        return
    failed = [f"{job.entry.name}: {job.entry.source}: {job.error}" for job in jobs if job.error]
    notes = [f"{job.entry.name}: {note}" for job in jobs for note in job.notes]
    outcome = {
        "changed": bool(changes),
        "crls": [_result(job) for job in jobs if job.entry.state == "present"],
        "removed": sorted(job.entry.name for job in jobs if job.entry.state == "absent" and job.there),
    }
    if module._diff:
        outcome["diff"] = Plan(tuple(changes), {}, {}, ()).diff()
    if failed and module.params["strict"]:
        module.fail_json(msg=f"Not all lists could be had. {'. '.join([*failed, *notes])}.", **outcome)
    if failed or notes:
        module.warn(". ".join([*failed, *notes]))
    module.exit_json(**outcome)


def _names(directory: str) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            # A directory is no list, whoever made it.
            lists_there = (one for one in entries if not one.is_dir(follow_symlinks=False))
            return sorted(one.name for one in lists_there if not one.name.startswith("."))
    except FileNotFoundError:
        return []


def _unlisted(params: dict[str, Any], entries: Sequence[Wanted]) -> list[Wanted]:
    if not params["purge"]:
        return []
    listed = {entry.name for entry in entries}
    names = _names(directory_of(params["config_dir"]))
    return [Wanted("", name, None, None, "absent") for name in names if name not in listed]


def _job(module: Any, entry: Wanted) -> Job:
    path = os.path.join(directory_of(module.params["config_dir"]), entry.name)
    there = os.path.lexists(path)
    if os.path.isdir(path) and not os.path.islink(path):
        raise RecordError(
            [Problem(entry.where, "name", f"{path} is a directory", "move it away, or choose another name")]
        )
    before = _present(path) if there and lists.AVAILABLE else None
    if entry.state == "absent" or not lists.AVAILABLE:
        return Job(entry, path, before, there, None, None)
    if module.check_mode and entry.src and not os.path.exists(entry.src):
        # An earlier task may be about to bring it.
        return Job(entry, path, before, there, None, None)
    try:
        data = lists.fetch(entry.url, module.params["timeout"]) if entry.url else lists.read_file(entry.src or "")
        after = lists.parse(data)
    except ValueError as exc:
        return Job(entry, path, before, there, None, f"{exc}{_kept(before)}")
    return _compared(Job(entry, path, before, there, after, None))


def _present(path: str) -> lists.List | None:
    try:
        return lists.parse(lists.read_file(path))
    except ValueError:
        return None


def _kept(before: lists.List | None) -> str:
    if before is None:
        return ", and there is no earlier one"
    return f", so the one of {before.shown()['this_update']} stays"


def _compared(job: Job) -> Job:
    """An older list says less than the one in use: somebody may want a certificate to be valid again."""
    before, after = job.before, job.after
    if after is None:
        return job
    if before and before.issuer == after.issuer and after.this_update < before.this_update:
        return job._replace(after=None, error=f"what came is older than what is there{_kept(before)}")
    if after.out_of_date(lists.now()):
        return job._replace(notes=(f"it is out of date since {after.shown()['next_update']}",))
    return job


def _changes(config_dir: str, jobs: Sequence[Job]) -> list[Change]:
    changes = [job.change for job in jobs if job.change is not None]
    for job in jobs:
        if job.there and job.change is None:
            before, after = attributes_of(job.path)
            if before != after:
                changes.append(Change(f"file {job.path}", before, after))
    if os.path.isdir(directory_of(config_dir)):
        found, wanted = attributes_of(directory_of(config_dir))
        if found != wanted:
            changes.insert(0, Change(f"directory {directory_of(config_dir)}", found, wanted))
    for directory in (directory_of(config_dir), config_dir):
        if changes and not os.path.isdir(directory):
            changes.insert(0, Change(f"directory {directory}", None, {"mode": f"{store.DIRECTORY_MODE:04o}"}))
    return changes


def _carry_out(config_dir: str, jobs: Sequence[Job]) -> None:
    if not os.path.isdir(config_dir):
        store._make_directory(config_dir)
    with store._lock(config_dir):
        directory = directory_of(config_dir)
        make_directory(directory)
        set_attributes(directory)
        for job in jobs:
            store._sweep(directory, job.entry.name)
            if job.entry.state == "absent":
                if job.there:
                    os.unlink(job.path)
            elif job.writes and job.after:
                store.write_file(job.path, job.after.der, store.FILE_MODE)
            elif job.there:
                set_attributes(job.path)


def _result(job: Job) -> dict[str, Any]:
    """What is in place after the call."""
    held = job.after or job.before
    return {
        "name": job.entry.name,
        "path": job.path,
        "source": job.entry.source,
        "changed": job.change is not None,
        "error": job.error,
        **(held.shown() if held else lists.NOTHING),
    }
