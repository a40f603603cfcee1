# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import fcntl
import grp
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.xmpp.federation.plugins.module_utils import _store
from ansible_collections.xmpp.federation.plugins.module_utils._plan import Change, Draft
from ansible_collections.xmpp.federation.plugins.module_utils._records import desired, edge, files, partner
from ansible_collections.xmpp.federation.plugins.module_utils._records.errors import RecordError

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def _port(number: int) -> _store.MakeDraft:
    def make(current: Mapping[str, Any]) -> Draft:
        after = edge.normalise({**current["edge"], "listen_port": number})
        same = after == current["edge"]
        return Draft(() if same else (Change("edge", current["edge"], after),), {"edge": after}, {})

    return make


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_missing_directory_is_made_when_there_is_something_to_write(tmp_path: Path) -> None:
    directory = tmp_path / "a" / "b"
    assert not _store.apply(str(directory), False, _port(5269)).changed
    assert not directory.exists()
    told = _store.apply(str(directory), True, _port(5270))
    assert not directory.exists()
    done = _store.apply(str(directory), False, _port(5270))
    assert told == done
    assert [change.subject for change in done.changes] == [f"directory {directory}", "edge"]
    assert _mode(directory) == 0o750
    assert _mode(directory / "edge.json") == 0o640
    assert os.listdir(directory) == ["edge.json"]
    assert not _store.apply(str(directory), False, _port(5270)).changed


def test_mode_and_form_are_put_right(tmp_path: Path) -> None:
    path = tmp_path / "edge.json"
    _store.apply(str(tmp_path), False, _port(5270))
    text = path.read_text(encoding="utf-8")

    path.chmod(0o644)
    told = _store.apply(str(tmp_path), True, _port(5270))
    assert _mode(path) == 0o644
    assert told == _store.apply(str(tmp_path), False, _port(5270))
    assert _mode(path) == 0o640
    assert told.diff()["before"][f"file {path}"]["mode"] == "0644"
    assert told.diff()["after"][f"file {path}"]["mode"] == "0640"

    path.write_text(text.replace("  ", "\t"), encoding="utf-8")
    done = _store.apply(str(tmp_path), False, _port(5270))
    assert done.diff()["before"] == {f"form of {path}": "edited by hand"}
    assert path.read_text(encoding="utf-8") == text
    assert not _store.apply(str(tmp_path), False, _port(5270)).changed


@as_root
def test_group_comes_from_a_setgid_directory_and_is_repaired(tmp_path: Path) -> None:
    group = grp.getgrgid(1)
    os.chown(tmp_path, -1, group.gr_gid)
    tmp_path.chmod(0o2750)
    path = tmp_path / "edge.json"
    _store.apply(str(tmp_path), False, _port(5270))
    assert path.stat().st_gid == group.gr_gid
    os.chown(path, 2, 0)
    done = _store.apply(str(tmp_path), False, _port(5270))
    assert done.changed
    assert (path.stat().st_uid, path.stat().st_gid) == (0, group.gr_gid)
    assert not _store.apply(str(tmp_path), False, _port(5270)).changed


@as_root
def test_without_setgid_the_group_of_the_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "edge.json"
    _store.apply(str(tmp_path), False, _port(5270))
    os.chown(path, -1, 1)
    _store.apply(str(tmp_path), False, _port(5271))
    assert path.stat().st_gid == 1


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("edge.json", '{"schema": 1, "edge": {"domains', "not a complete JSON file"),
        ("partners.json", '{"schema": 2, "partners": []}', "newer release"),
        ("secrets.json", '{"schema": 1, "secrets": {"dialback": "hush"}}', "no such key"),
    ],
)
def test_damaged_files_stop_the_run_and_stay(tmp_path: Path, name: str, text: str, words: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    for check in (True, False):
        with pytest.raises(RecordError, match=words) as caught:
            _store.apply(str(tmp_path), check, _port(5270))
        assert str(tmp_path / name) in str(caught.value)
        assert "hush" not in str(caught.value)
    assert (tmp_path / name).read_text(encoding="utf-8") == text
    assert os.listdir(tmp_path) == [name]


def test_only_plain_files_and_directories_will_do(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("{}", encoding="utf-8")
    (tmp_path / "edge.json").symlink_to("elsewhere")
    with pytest.raises(RecordError, match="not a regular file"):
        _store.apply(str(tmp_path), False, _port(5270))
    with pytest.raises(RecordError, match="not a directory"):
        _store.apply(str(tmp_path / "elsewhere"), False, _port(5270))


def test_what_a_crashed_run_left_is_swept_away(tmp_path: Path) -> None:
    (tmp_path / ".edge.json.0123456789abcdef.tmp").write_text('{"sch', encoding="utf-8")
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    _store.apply(str(tmp_path), False, _port(5270))
    assert sorted(os.listdir(tmp_path)) == ["edge.json", "notes.txt"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _store.apply(str(tmp_path), False, _port(5270))
    text = (tmp_path / "edge.json").read_text(encoding="utf-8")

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RecordError, match="No space left"):
        _store.apply(str(tmp_path), False, _port(5271))
    assert (tmp_path / "edge.json").read_text(encoding="utf-8") == text
    assert os.listdir(tmp_path) == ["edge.json"]


def test_a_secret_is_never_readable_by_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    watched = os.fchmod

    def watch(handle: int, mode: int) -> None:
        seen.append(stat.S_IMODE(os.fstat(handle).st_mode))
        watched(handle, mode)

    monkeypatch.setattr(os, "fchmod", watch)
    mask = os.umask(0)
    try:
        _store.write_file(str(tmp_path / "secrets.json"), b"{}", 0o640)
    finally:
        os.umask(mask)
    assert seen == [0o600]
    assert _mode(tmp_path / "secrets.json") == 0o640


def test_secrets_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = []
    renamed = os.rename

    def watch(old: str, new: str) -> None:
        order.append(os.path.basename(new))
        renamed(old, new)

    monkeypatch.setattr(os, "rename", watch)

    def make(current: Mapping[str, Any]) -> Draft:
        values = {
            "edge": {**current["edge"], "listen_port": 1},
            "secrets": {"dialback_secret": "a", "inside_secret": "b"},
        }
        return Draft((Change("x", 1, 2),), values, {})

    _store.apply(str(tmp_path), False, make)
    assert order == ["secrets.json", "edge.json"]


def test_runs_stand_in_line(tmp_path: Path) -> None:
    """Many runs at once, in threads and from a directory that is not there yet: nobody's change is lost."""
    directory = str(tmp_path / "etc")

    def add(domain: str) -> _store.MakeDraft:
        def make(current: Mapping[str, Any]) -> Draft:
            record = partner.normalise({"domain": domain})
            others = [one for one in current["partners"] if one["domain"] != domain]
            after = sorted([*others, record], key=lambda one: str(one["domain"]))
            return Draft((Change(domain, None, record),), {"partners": after}, {})

        return make

    domains = [f"partner{number}.example" for number in range(12)]
    threads = [threading.Thread(target=_store.apply, args=(directory, False, add(domain))) for domain in domains]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [record["domain"] for record in desired.load(directory).partners] == sorted(domains)


def test_patience_with_another_run_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_store, "LOCK_PATIENCE", 0.0)
    handle = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(RecordError, match="another run"):
            _store.apply(str(tmp_path), False, _port(5270))
        assert _store.apply(str(tmp_path), True, _port(5270)).changed
    finally:
        os.close(handle)


def test_a_killed_run_leaves_a_whole_file(tmp_path: Path) -> None:
    """The process dies at the rename, after everything else: the old file stands, and the next run goes on."""
    _store.apply(str(tmp_path), False, _port(5270))
    text = (tmp_path / "edge.json").read_text(encoding="utf-8")
    program = f"""
import os, sys
sys.path[:0] = {sys.path!r}
from ansible_collections.xmpp.federation.plugins.module_utils import _store
os.rename = lambda old, new: os._exit(9)
_store.write_file({str(tmp_path / "edge.json")!r}, b"new", 0o640)
"""
    done = subprocess.run([sys.executable, "-c", program], check=False, cwd=tmp_path)
    assert done.returncode == 9
    assert (tmp_path / "edge.json").read_text(encoding="utf-8") == text
    assert len(os.listdir(tmp_path)) == 2
    _store.apply(str(tmp_path), False, _port(5271))
    assert os.listdir(tmp_path) == ["edge.json"]
    assert files.decode("edge", (tmp_path / "edge.json").read_text(encoding="utf-8"))["listen_port"] == 5271
