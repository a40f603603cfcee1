# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What edge_release does on the managed host: one directory a release, one rename, and the way back kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from ansible_collections.xmpp.federation.plugins.plugin_utils import _release, _release_host


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Releases without a virtual environment, each a little older than the one after it."""
    made = 0

    def make(target: str, *_more: object) -> None:
        nonlocal made
        made += 1
        python = Path(target, "bin", "python")
        python.parent.mkdir(parents=True)
        python.touch()
        marker = Path(target, _release_host.MARKER)
        marker.touch()
        os.utime(marker, (made, made))

    monkeypatch.setattr(_release_host, "_make", make)


def put(directory: Path, release: str, keep: int = 2) -> list[str]:
    answer = _release_host.install(str(directory), release, "unused", "unused", None, keep)
    assert isinstance(answer["removed"], list)
    return answer["removed"]


@pytest.mark.usefixtures("quick")
def test_the_link_names_the_release_in_use(tmp_path: Path) -> None:
    put(tmp_path, "aaaa")
    put(tmp_path, "bbbb")
    assert os.readlink(tmp_path / "current") == "releases/bbbb"
    assert _release_host.complete(str(tmp_path)) == ["aaaa", "bbbb"]


@pytest.mark.usefixtures("quick")
def test_an_older_release_is_put_back_without_being_made_again(tmp_path: Path) -> None:
    put(tmp_path, "aaaa")
    put(tmp_path, "bbbb")
    kept = (tmp_path / "releases/aaaa" / _release_host.MARKER).stat().st_mtime
    put(tmp_path, "aaaa")
    assert _release_host.current(str(tmp_path)) == "aaaa"
    assert (tmp_path / "releases/aaaa" / _release_host.MARKER).stat().st_mtime == kept


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("keep", "left"), [(1, ["cccc", "dddd"]), (2, ["bbbb", "cccc", "dddd"])])
def test_only_so_many_older_releases_are_kept(tmp_path: Path, keep: int, left: list[str]) -> None:
    for release in ("aaaa", "bbbb", "cccc"):
        put(tmp_path, release, keep=9)
    removed = put(tmp_path, "dddd", keep)
    assert sorted(removed + left) == ["aaaa", "bbbb", "cccc", "dddd"]
    assert _release_host.complete(str(tmp_path)) == left


@pytest.mark.usefixtures("quick")
def test_the_release_that_still_runs_is_never_removed(tmp_path: Path) -> None:
    for release in ("aaaa", "bbbb", "cccc"):
        put(tmp_path, release, keep=9)
    put(tmp_path, "aaaa", keep=9)
    assert "aaaa" not in put(tmp_path, "dddd", keep=1)


@pytest.mark.parametrize("missing", [_release_host.MARKER, "bin/python"])
@pytest.mark.usefixtures("quick")
def test_half_a_release_does_not_count(tmp_path: Path, missing: str) -> None:
    put(tmp_path, "aaaa")
    (tmp_path / "releases/aaaa" / missing).unlink()
    assert _release_host.complete(str(tmp_path)) == []


def test_a_blank_host_has_nothing(tmp_path: Path) -> None:
    found = _release_host.probe(str(tmp_path / "not" / "there"))
    assert (found["current"], found["complete"], found["writable"]) == (None, [], True)


def test_a_wheelhouse_holds_wheels_only(tmp_path: Path) -> None:
    archive = tmp_path / "wheelhouse.tar"
    with tarfile.open(archive, "w") as tar:
        tar.addfile(tarfile.TarInfo("../outside.whl"))
    with tarfile.open(archive) as tar, pytest.raises(_release_host.Failed, match=r"outside\.whl, which is not a wheel"):
        _release_host._unpack(tar, str(tmp_path))


def test_a_release_is_made_for_real_and_a_bad_one_leaves_it_alone(tmp_path: Path) -> None:
    package = tmp_path / "source" / "xmpp_edge"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('__version__ = "0.0.1"\n')
    (package / "cli.py").write_text("def main() -> int:\n    print('at work')\n    return 0\n")
    files = _release.sources(str(tmp_path / "source"))
    wheel = tmp_path / _release.wheel_name(files)
    wheel.write_bytes(_release.wheel(files, []))
    bad = tmp_path / "bad" / wheel.name
    bad.parent.mkdir()
    bad.write_bytes(_release.wheel({**files, "xmpp_edge/cli.py": b"import not_there\n"}, []))
    (tmp_path / "requirements.txt").write_text("")

    def ask(release: str, wheel: Path) -> dict[str, object]:
        asked = {"install_dir": str(tmp_path / "opt"), "release": release, "wheel": str(wheel), "keep": 1}
        asked |= {"requirements": str(tmp_path / "requirements.txt"), "wheelhouse": None}
        script = Path(_release_host.__file__).read_text()
        command = [sys.executable, "-I", "-c", script, "install", json.dumps(asked)]
        return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert ask("aaaa", wheel) == {"previous": None, "removed": []}
    command = tmp_path / "opt/current/bin/xmpp-edge"
    assert subprocess.run([command], capture_output=True, text=True, check=True).stdout == "at work\n"
    assert "loading the service failed" in str(ask("bbbb", bad)["error"])
    assert _release_host.current(str(tmp_path / "opt")) == "aaaa"
    assert not (tmp_path / "opt/releases/bbbb").exists()
