# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""edge_release as a task runs it: what is wrong is told before anything is written."""

from __future__ import annotations

import json
import shutil
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import tree
import yaml

if TYPE_CHECKING:
    from conftest import Installed


def release(installed: Installed, *flags: str, **options: Any) -> tuple[bool, dict[str, Any]]:
    """Run the task against this machine; whether it went well, and its result."""
    task = ["-m", "xmpp.federation.edge_release", "-a", json.dumps(options)]
    done = installed.run("ansible", "localhost", *task, *flags)
    assert "=> " in done.stdout, done.stdout + done.stderr
    head, body = done.stdout.split("=> ", 1)
    result = json.loads(body[: body.rindex("}") + 1])
    return "FAILED" not in head, result


def imitation(directory: Path, says: str) -> Path:
    """A Python that fits nothing, and says so of itself when asked why."""
    path = directory / "python"
    path.write_text(f"""#!/bin/sh
case "$*" in
  *"import sys, venv, ensurepip"*) exit 1;;
  *) echo "{path} {says}";;
esac
""")
    path.chmod(0o755)
    return path


def test_check_mode_names_the_release_of_a_blank_host(installed: Installed, tmp_path: Path) -> None:
    well, told = release(installed, "--check", install_dir=str(tmp_path / "opt"), python=sys.executable)
    assert well
    assert told["changed"] is True
    assert told["previous"] is None
    assert told["path"] == str(tmp_path / "opt" / "releases" / told["release"])
    assert list(tmp_path.iterdir()) == []


def test_no_python_is_told_with_what_was_looked_for(installed: Installed, tmp_path: Path) -> None:
    well, told = release(installed, install_dir=str(tmp_path / "opt"), python=str(tmp_path / "nowhere"))
    assert not well
    assert "version 3.11 or later was not found" in told["msg"]
    assert str(tmp_path / "nowhere") in told["msg"]
    assert list(tmp_path.iterdir()) == []


def test_a_python_that_is_too_old_is_told(installed: Installed, tmp_path: Path) -> None:
    python = imitation(tmp_path, "is Python 3.10")
    well, told = release(installed, install_dir=str(tmp_path / "opt"), python=str(python))
    assert not well
    assert "is Python 3.10" in told["msg"]
    assert not (tmp_path / "opt").exists()


def test_a_python_without_venv_is_told_with_the_package(installed: Installed, tmp_path: Path) -> None:
    python = imitation(tmp_path, "(Python 3.11) has no ensurepip")
    well, told = release(installed, install_dir=str(tmp_path / "opt"), python=str(python))
    assert not well
    assert "apt install python3-venv" in told["msg"]
    assert not (tmp_path / "opt").exists()


@pytest.mark.parametrize("flags", [(), ("--check",)], ids=["run", "check"])
def test_a_wheelhouse_that_is_not_there_is_told(installed: Installed, tmp_path: Path, flags: tuple[str, ...]) -> None:
    options = {"install_dir": str(tmp_path / "opt"), "python": sys.executable}
    well, told = release(installed, *flags, **options, wheelhouse=str(tmp_path / "none.tar"))
    assert not well
    assert "xmpp.federation.wheelhouse" in told["msg"]
    assert not (tmp_path / "opt").exists()


def test_the_running_release_is_never_one_of_none(installed: Installed, tmp_path: Path) -> None:
    well, told = release(installed, "--check", install_dir=str(tmp_path / "opt"), keep=0)
    assert not well
    assert told["msg"].startswith("keep:")


def test_sources_of_ones_own_have_to_be_there(installed: Installed, tmp_path: Path) -> None:
    shutil.copy(installed.home / "roles/xmpp_edge/files/requirements.txt", tmp_path)
    well, told = release(installed, "--check", install_dir=str(tmp_path / "opt"), source=str(tmp_path))
    assert not well
    assert told["msg"].startswith("source:")


def test_a_wheelhouse_without_what_the_host_needs_is_told(installed: Installed, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "wheelhouse.tar", "w"):
        pass
    options = {"install_dir": str(tmp_path / "opt"), "python": sys.executable}
    well, told = release(installed, **options, wheelhouse=str(tmp_path / "wheelhouse.tar"))
    assert not well
    assert "has no wheel of aiohappyeyeballs==" in told["msg"]
    assert not (tmp_path / "opt").exists()


def test_results_are_the_documented_ones(installed: Installed, tmp_path: Path) -> None:
    """A release without requirements needs no index: made for real, and compared with what check mode tells."""
    source = tmp_path / "source"
    (source / "xmpp_edge").mkdir(parents=True)
    (source / "requirements.txt").write_text("")
    (source / "xmpp_edge/__init__.py").write_text('__version__ = "0.0.1"\n')
    (source / "xmpp_edge/cli.py").write_text("def main() -> int:\n    return 0\n")
    options = {"install_dir": str(tmp_path / "opt"), "python": sys.executable, "source": str(source)}
    foreseen = release(installed, "--check", **options)[1]
    well, done = release(installed, **options)
    assert well, done
    documented = (tree.ROOT / "plugins/modules/edge_release.py").read_text(encoding="utf-8")
    told = yaml.safe_load(documented.partition('RETURN = r"""')[2].partition('"""')[0])
    mine = {name: one for name, one in told.items() if "downloaded" not in one["returned"]}
    for result in (foreseen, done):
        assert set(result) - {"changed", "diff", "warnings"} == set(mine)
        for key, value in result.items():
            if key in mine:
                assert value is None or type(value).__name__ == mine[key]["type"], key
    assert foreseen["release"] == done["release"]
    assert not release(installed, **options)[1]["changed"]
