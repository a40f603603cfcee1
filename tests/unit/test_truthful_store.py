# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules share: files that drifted, two runs at once, and a run that is killed at any of its system calls."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.xmpp.federation.plugins.module_utils import _store
from ansible_collections.xmpp.federation.plugins.module_utils._records import desired, files

Call = Callable[..., dict[str, Any]]

PACKAGE = "ansible_collections.xmpp.federation.plugins"
# What each module that writes records is called with, and with what then, and the files that it writes.
MODULES: dict[str, tuple[dict[str, Any], dict[str, Any], tuple[str, ...]]] = {
    "edge_config": ({"domains": ["a.example"]}, {"domains": ["b.example"]}, ("edge.json", "secrets.json")),
    "xmpp_partner": ({"domain": "p.example"}, {"domain": "p.example", "keepalive": False}, ("partners.json",)),
    "external_access_policy": ({"name": "P"}, {"name": "P", "description": "new"}, ("policies.json",)),
}
CASES = [(module, name) for module, (_first, _then, names) in MODULES.items() for name in names]

# The real main() in a process of its own. It says when it is ready, and begins when it is told.
RUN = f"""
import importlib, json, os, signal, sys
name, arguments, at = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
from ansible.module_utils.testing import patch_module_args
module = importlib.import_module("{PACKAGE}.modules." + name)
store = importlib.import_module("{PACKAGE}.module_utils._store")

class Killed:
    '''The system as the store sees it, which kills the process before one of the calls that change something.'''

    def __init__(self, real, calls):
        self.real, self.calls, self.seen = real, calls, 0
    def __getattr__(self, name):
        found = getattr(self.real, name)
        if name not in self.calls:
            return found
        def call(*given, **named):
            self.seen += 1
            if self.seen == at:
                os.kill(os.getpid(), signal.SIGKILL)
            return found(*given, **named)
        return call

if at:
    calls = ("mkdir", "makedirs", "chmod", "open", "fdopen", "fchown", "fchmod", "fsync", "rename", "unlink", "close")
    store.os = Killed(os, calls)
print("ready", flush=True)
sys.stdin.readline()
with patch_module_args(arguments):
    module.main()
"""


def _start(module: str, options: Mapping[str, Any], at: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", RUN, module, json.dumps({**options, "_ansible_diff": True}), str(at)]
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
    )


def _told(text: str) -> dict[str, Any]:
    found = json.loads(next(line for line in text.splitlines() if line.startswith("{")))
    assert isinstance(found, dict)
    return found


def _contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(directory.glob("*"))} if directory.is_dir() else {}


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def written(request: pytest.FixtureRequest, call: Call, config_dir: Path) -> tuple[str, dict[str, Any], Path]:
    """A module, the options that it has just been called with, and one of the files that it wrote."""
    module, name = request.param
    options = {"config_dir": str(config_dir), **MODULES[module][0]}
    call(module, **options)
    return module, options, config_dir / name


# Drift


def _mode(path: Path) -> None:
    path.chmod(0o600)


def _form(path: Path) -> None:
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8"))), encoding="utf-8")


def _gone(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("drift", [_mode, _form, _gone])
def test_drift_is_told_and_repaired(
    lawful: Call, written: tuple[str, dict[str, Any], Path], drift: Callable[[Path], None]
) -> None:
    module, options, path = written
    before = json.loads(path.read_text(encoding="utf-8"))
    drift(path)
    done = lawful(module, **options)
    assert done["changed"] is True
    assert path.stat().st_mode & 0o777 == 0o640
    after = json.loads(path.read_text(encoding="utf-8"))
    # A secret that nobody knows any more is made anew.
    assert after.keys() == before.keys() if path.name == "secrets.json" else after == before


@pytest.mark.parametrize("module", MODULES)
def test_content_that_drifted_is_repaired(lawful: Call, call: Call, config_dir: Path, module: str) -> None:
    first, then, _unused = MODULES[module]
    lawful(module, config_dir=str(config_dir), **first)
    before = _contents(config_dir)
    # Somebody edits the files by hand, to what another call would make of them, and in a form of their own.
    call(module, config_dir=str(config_dir), **then)
    for path in config_dir.glob("*.json"):
        path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8"))), encoding="utf-8")
    assert _contents(config_dir) != before
    if module == "external_access_policy":
        first = {**first, "description": ""}
    if module == "xmpp_partner":
        first = {**first, "keepalive": True}
    assert lawful(module, config_dir=str(config_dir), **first)["changed"] is True
    assert _contents(config_dir) == before


def _half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _binary(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x00")


def _foreign(path: Path) -> None:
    path.write_text('{"servers": ["mine"]}\n', encoding="utf-8")


def _newer(path: Path) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**document, "schema": files.SCHEMA + 1, "more": 1}), encoding="utf-8")


def _unknown_key(path: Path) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**document, "more": 1}), encoding="utf-8")


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


@pytest.mark.parametrize("damage", [_half, _empty, _binary, _foreign, _newer, _unknown_key, _directory, _link])
@pytest.mark.parametrize("module", MODULES)
def test_a_file_that_is_not_ours_to_mend_is_refused_untouched(
    call: Call, written: tuple[str, dict[str, Any], Path], damage: Callable[[Path], None], module: str
) -> None:
    """By every module, also by those that would write other files only."""
    _unused, options, path = written
    damage(path)
    before = _tree(path.parent)
    for check in (True, False):
        told = call(module, check=check, config_dir=options["config_dir"], **MODULES[module][1])
        assert told["failed"] is True
        assert str(path) in told["msg"]
    assert _tree(path.parent) == before


def _tree(directory: Path) -> dict[str, tuple[int, Any]]:
    return {
        path.name: (
            path.lstat().st_mode,
            os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None,
        )
        for path in directory.iterdir()
    }


# Two at once


@pytest.mark.parametrize("blank", [True, False])
def test_runs_at_once_lose_nothing(call: Call, config_dir: Path, blank: bool) -> None:
    """Several processes, each with a partner of its own, and two with the same one: only one of these makes it."""
    if not blank:
        call("edge_config", config_dir=str(config_dir), domains=["ours.example"])
    domains = ["a.example", "b.example", "same.example", "same.example"]
    with ExitStack() as stack:
        runs = [
            stack.enter_context(_start("xmpp_partner", {"config_dir": str(config_dir), "domain": domain}))
            for domain in domains
        ]
        for run in runs:
            assert run.stdout is not None
            assert run.stdout.readline() == "ready\n"
        for run in runs:
            assert run.stdin is not None
            run.stdin.write("\n")
            run.stdin.flush()
        told = [_told(run.communicate()[0]) for run in runs]
    assert [one["changed"] for one in told[:2]] == [True, True]
    assert sorted(one["changed"] for one in told[2:]) == [False, True]
    assert [record["domain"] for record in desired.load(str(config_dir)).partners] == sorted(set(domains))
    assert not list(config_dir.glob(".*"))


# Killed


def _killed(module: str, options: Mapping[str, Any], at: int) -> bool:
    """Whether a run that dies before its system call of this number got that far."""
    with _start(module, options, at) as run:
        run.communicate("\n")
    assert run.returncode in (0, -signal.SIGKILL)
    return run.returncode != 0


def _steps() -> Iterator[int]:
    # More than any run has: the loop ends with the first run that is not killed.
    yield from range(1, 100)


@pytest.mark.parametrize("blank", [True, False])
@pytest.mark.parametrize("module", ["edge_config", "xmpp_partner"])
def test_killed_at_any_step_leaves_whole_files(call: Call, tmp_path: Path, module: str, blank: bool) -> None:
    """Before and after each system call that changes something: every file is the old or the new one, and the next run
    ends what was begun. One module writes two files, the other one."""
    first, then, names = MODULES[module]
    steps = 0
    for steps in _steps():
        directory = tmp_path / str(steps)
        options = {"config_dir": str(directory)}
        if not blank:
            call(module, **options, **first)
        before = _contents(directory)
        if not _killed(module, {**options, **then}, steps):
            break
        here = {name: content for name, content in _contents(directory).items() if not name.startswith(".")}
        assert set(before) <= set(here) <= set(names)
        loaded = desired.load(str(directory))
        for name, content in here.items():
            if content != before.get(name):
                kind = name.removesuffix(".json")
                assert content.decode() == files.encode(kind, loaded.part(kind))
        call(module, **options, **then)
        after = _contents(directory)
        # What the dead one left behind is swept away by the next that writes; nothing half stands anywhere.
        if after != here:
            assert set(after) == set(names)
        assert call(module, **options, **then)["changed"] is False
        for path in directory.glob("*.json"):
            assert path.stat().st_mode & 0o777 == 0o640
    # Opened, written, owned, its mode set, synced, closed, renamed, and the directory synced: at the least.
    assert steps > 8


def test_every_call_that_changes_something_is_a_step() -> None:
    """The store uses nothing of the system that the test above does not know about."""
    used = set(_store._make_directory.__code__.co_names) | set(_store.write_file.__code__.co_names)
    used |= set(_store._own.__code__.co_names) | set(_store._sweep.__code__.co_names)
    used |= set(_store._sync_directory.__code__.co_names) | set(_store._lock.__code__.co_names)
    changing = {
        "mkdir",
        "makedirs",
        "chmod",
        "open",
        "fdopen",
        "fchown",
        "fchmod",
        "fsync",
        "rename",
        "unlink",
        "close",
    }
    known = {"remove", "replace", "write", "truncate", "ftruncate", "chown", "link", "symlink", "rmdir", "removedirs"}
    # stream.write is the one that goes through none of these: it is followed by flush and fsync before the rename.
    assert used & known <= {"write"}
    assert used & changing
