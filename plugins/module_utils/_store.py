# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The directory of record files: lock, read, plan, write.

A crash at any moment leaves every file as it was or as it was to become, never half of one.

PRIVATE to the collection.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import grp
import os
import pwd
import secrets
import stat
import time
from dataclasses import replace
from typing import Any, Callable, Iterator, Mapping

from ._plan import Change, Draft, FileState, Plan, complete, write_order
from ._records import desired, files
from ._records.errors import Problem, RecordError

FILE_MODE = 0o640
DIRECTORY_MODE = 0o750
LOCK_PATIENCE = 30.0

MakeDraft = Callable[[Mapping[str, Any]], Draft]


def apply(directory: str, check_mode: bool, make_draft: MakeDraft) -> Plan:
    """Plan on what the directory says now, and carry the plan out unless in check mode.

    ``make_draft`` gets the parsed content of the files by kind. It may be called twice, so it must not act.
    """
    existed = _is_directory(directory)
    if check_mode or not existed:
        plan = _plan(directory, existed, make_draft)
        if check_mode or not plan.writes:
            return plan
        _make_directory(directory)
    with _lock(directory):
        plan = _plan(directory, existed, make_draft)
        closed = _closed(directory)
        if closed is not None:
            try:
                os.chmod(directory, closed[1])
            except OSError as exc:
                raise _trouble(directory, exc) from None
        _write(directory, plan.writes)
    return plan


def _plan(directory: str, existed: bool, make_draft: MakeDraft) -> Plan:
    found = _found(directory)
    current = desired.decode_all({kind: state.text for kind, state in found.items()}, directory)
    plan = complete(make_draft(current), current, directory, existed, found)
    closed = _closed(directory) if existed else None
    if closed is None:
        return plan
    modes = ({"mode": f"{mode:04o}"} for mode in closed)
    return replace(plan, changes=(Change(f"directory {directory}", *modes), *plan.changes))


def _closed(directory: str) -> tuple[int, int] | None:
    """The mode of a directory that others may write to, who could put files of theirs in place, and a better one."""
    mode = stat.S_IMODE(os.stat(directory).st_mode)
    return (mode, mode & ~stat.S_IWOTH) if mode & stat.S_IWOTH else None


def _found(directory: str) -> dict[str, FileState]:
    return {kind: _state(desired.path_of(directory, kind), directory) for kind in files.KINDS}


def _state(path: str, directory: str) -> FileState:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return FileState(path, None)
    except OSError as exc:
        raise _trouble(path, exc) from None
    if not stat.S_ISREG(status.st_mode):
        raise _problem(path, "this is not a regular file", "take it away; records are plain files")
    text = desired.read_text(path)
    above = os.stat(directory)
    found: dict[str, Any] = {"mode": f"{stat.S_IMODE(status.st_mode):04o}"}
    wanted: dict[str, Any] = {"mode": f"{FILE_MODE:04o}"}
    if above.st_mode & stat.S_ISGID:
        found["group"], wanted["group"] = _group(status.st_gid), _group(above.st_gid)
    if os.geteuid() == 0:
        found["owner"], wanted["owner"] = _user(status.st_uid), _user(above.st_uid)
    return FileState(path, text, found, wanted)


# One look-up in the user database would otherwise stand for each of thousands of files.
@functools.lru_cache(maxsize=None)
def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


@functools.lru_cache(maxsize=None)
def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _problem(where: str, message: str, remedy: str) -> RecordError:
    return RecordError([Problem(where, "", message, remedy)])


def _trouble(where: str, exc: OSError) -> RecordError:
    remedy = "run the task as the owner of the directory (become)" if isinstance(exc, PermissionError) else "see to it"
    return _problem(where, f"the system says: {exc.strerror or exc}", remedy)


def _is_directory(directory: str) -> bool:
    try:
        mode = os.stat(directory).st_mode
    except FileNotFoundError:
        return False
    except OSError as exc:
        raise _trouble(directory, exc) from None
    if not stat.S_ISDIR(mode):
        raise _problem(directory, "this is not a directory", "take it away, or name another config_dir")
    return True


def _make_directory(directory: str) -> None:
    try:
        os.makedirs(os.path.dirname(os.path.abspath(directory)), exist_ok=True)
        os.mkdir(directory, 0o700)
        os.chmod(directory, DIRECTORY_MODE)
    except FileExistsError:
        # Another run was quicker; the lock puts us in a row.
        return
    except OSError as exc:
        raise _trouble(directory, exc) from None


@contextlib.contextmanager
def _lock(directory: str) -> Iterator[None]:
    """Hold the directory itself: that needs no lock file, which would have to be owned, watched and cleaned up."""
    try:
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as exc:
        raise _trouble(directory, exc) from None
    try:
        deadline = time.monotonic() + LOCK_PATIENCE
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise _problem(
                        directory,
                        f"another run has held it for {LOCK_PATIENCE:.0f} seconds",
                        "wait for that run, or end it if it hangs",
                    ) from None
                time.sleep(0.05)
            except OSError as exc:
                raise _trouble(directory, exc) from None
        yield
    finally:
        os.close(handle)


def _write(directory: str, writes: Mapping[str, str]) -> None:
    written: list[str] = []
    for kind in sorted(writes, key=write_order):
        path = desired.path_of(directory, kind)
        try:
            _sweep(directory, files.file_name(kind))
            write_file(path, writes[kind].encode("utf-8"), FILE_MODE)
        except OSError as exc:
            raise RecordError(_trouble(path, exc).problems, written) from None
        written.append(path)


def _temporary(name: str) -> str:
    return f".{name}.{secrets.token_hex(8)}.tmp"


def _sweep(directory: str, name: str) -> None:
    """Take away what a crashed run left behind; under the lock nobody else is writing."""
    for entry in os.listdir(directory):
        if entry.startswith(f".{name}.") and entry.endswith(".tmp"):
            os.unlink(os.path.join(directory, entry))


def write_file(path: str, content: bytes, mode: int) -> None:
    """Put a file in place in one step, at no moment readable to more than its final mode allows.

    The group comes from a setgid directory; elsewhere the file that is replaced passes its group on. Root leaves the
    file to the owner of the directory.
    """
    directory = os.path.dirname(path)
    temporary = os.path.join(directory, _temporary(os.path.basename(path)))
    try:
        _write_new(temporary, content, mode, path)
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    _sync_directory(directory)


def write_files(directory: str, contents: Mapping[str, bytes], mode: int) -> None:
    """Fill a new directory that nobody looks into yet; it is on disk when this returns."""
    for name, content in contents.items():
        path = os.path.join(directory, name)
        _write_new(path, content, mode, path)
    _sync_directory(directory)


def _write_new(path: str, content: bytes, mode: int, replaced: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as stream:
        stream.write(content)
        stream.flush()
        _own(handle, replaced, os.stat(os.path.dirname(path)))
        os.fchmod(handle, mode)
        os.fsync(handle)


def _own(handle: int, path: str, above: os.stat_result) -> None:
    group = above.st_gid if above.st_mode & stat.S_ISGID else -1
    if group == -1:
        with contextlib.suppress(FileNotFoundError):
            group = os.lstat(path).st_gid
    owner = above.st_uid if os.geteuid() == 0 else -1
    # Only root, or a member of the group, may do this; a file of the caller's own group still serves the caller.
    with contextlib.suppress(PermissionError):
        os.fchown(handle, owner, group)


def _sync_directory(directory: str) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
