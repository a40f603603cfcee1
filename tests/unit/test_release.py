# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The artifact that edge_release brings to a host: the same sources give the same bytes and the same name."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

# The action plugin and what it packs need a control node; module_utils of modules are tested without.
from ansible_collections.xmpp.federation.plugins.plugin_utils import _release

ROOT = Path(__file__).resolve().parents[2]
FILES = ROOT / "roles/xmpp_edge/files"
PINNED = ["dnspython==2.9.2"]


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A small service, with one of its modules behind a link as the records are."""
    package = tmp_path / "here" / "xmpp_edge"
    (package / "records").mkdir(parents=True)
    (tmp_path / "shared.py").write_text("SHARED = 1\n")
    (package / "__init__.py").write_text('__version__ = "1.2.3"\n')
    (package / "cli.py").write_text("def main() -> int:\n    return 0\n")
    (package / "records" / "shared.py").symlink_to(os.path.relpath(tmp_path / "shared.py", package / "records"))
    return tmp_path / "here"


def pack(root: Path) -> bytes:
    return _release.wheel(_release.sources(str(root)), PINNED)


def test_the_same_sources_give_the_same_bytes(sources: Path, tmp_path: Path) -> None:
    first = pack(sources)
    copy = tmp_path / "elsewhere"
    shutil.copytree(sources, copy, symlinks=False)
    for number, path in enumerate(sorted(copy.rglob("*.py"))):
        path.chmod(0o600 if number % 2 else 0o755)
        os.utime(path, (number * 1000, number * 1000))
    assert pack(copy) == first


def test_what_python_and_editors_leave_behind_does_not_count(sources: Path) -> None:
    first = pack(sources)
    cache = sources / "xmpp_edge" / "__pycache__"
    cache.mkdir()
    (cache / "cli.cpython-311.pyc").write_bytes(b"x")
    for name in (".cli.py.swp", "cli.py~", "notes.txt", ".hidden.py"):
        (sources / "xmpp_edge" / name).write_text("x")
    assert pack(sources) == first


def test_a_change_behind_a_link_changes_the_hash(sources: Path, tmp_path: Path) -> None:
    before = _release.sources_hash(pack(sources), PINNED)
    (tmp_path / "shared.py").write_text("SHARED = 2\n")
    assert _release.sources_hash(pack(sources), PINNED) != before


def test_entries_are_stored_plain_files_without_times(sources: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(pack(sources))) as archive:
        entries = archive.infolist()
    assert {entry.compress_type for entry in entries} == {zipfile.ZIP_STORED}
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {entry.external_attr >> 16 for entry in entries} == {0o100644}
    assert [entry.filename for entry in entries] == sorted(entry.filename for entry in entries)


@pytest.mark.parametrize(
    ("python", "platform"), [("3.12", "linux-x86_64"), ("3.11", "linux-aarch64")], ids=["python", "architecture"]
)
def test_python_and_architecture_name_the_release_too(python: str, platform: str) -> None:
    assert _release.release_hash("abc", python, platform) != _release.release_hash("abc", "3.11", "linux-x86_64")


def test_requirements_name_the_release_too(sources: Path) -> None:
    files = _release.sources(str(sources))
    hashes = {
        _release.sources_hash(_release.wheel(files, pinned), pinned) for pinned in ([], PINNED, ["dnspython==2.9.1"])
    }
    assert len(hashes) == 3


def test_requirements_have_to_be_pinned() -> None:
    text = "# a comment\nfoo==1  # why\n\nbar>=2\n"
    with pytest.raises(ValueError, match="not pinned to one version: bar>=2"):
        _release.requirements(text)


def test_our_own_requirements_are_pinned() -> None:
    assert len(_release.requirements((FILES / "requirements.txt").read_text())) >= 2


def test_a_directory_without_the_service_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"__init__\.py is missing"):
        _release.sources(str(tmp_path))


def test_pip_takes_our_own_wheel_and_its_command_runs(tmp_path: Path) -> None:
    files = _release.sources(str(FILES))
    wheel = tmp_path / _release.wheel_name(files)
    wheel.write_bytes(_release.wheel(files, _release.requirements((FILES / "requirements.txt").read_text())))
    target = tmp_path / "target"
    # Without its requirements: what is tested is the wheel, and the tests' own environment has them.
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile"]
    subprocess.run([*command, "--disable-pip-version-check", "--target", str(target), str(wheel)], check=True)
    done = subprocess.run(
        [sys.executable, "-m", "xmpp_edge", "--version"],
        env={**os.environ, "PYTHONPATH": str(target)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == f"xmpp-edge {_release.version(files)}"
    assert not any(path.is_symlink() for path in target.rglob("*"))
