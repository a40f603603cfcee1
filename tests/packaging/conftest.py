# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection as a user gets it: built, unpacked, and stripped of all that a user may not have."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[1] / "tools"
sys.path.insert(0, str(TOOLS))

import tree  # noqa: E402

NEEDED = {"meta", "plugins", "roles", "playbooks"}


@dataclass(frozen=True)
class Installed:
    """A collections path that holds this collection only."""

    root: Path
    tarball: Path

    @property
    def home(self) -> Path:
        return self.root / tree.INSIDE

    def run(self, *command: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run one of Ansible's commands, as installed beside this Python, in an empty directory."""
        program = Path(sys.executable).with_name(command[0])
        environment = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(self.root),
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            "ANSIBLE_NOCOLOR": "1",
            # Facts are ansible_facts[...] here; the variables beside it are on their way out.
            "ANSIBLE_INJECT_FACT_VARS": "false",
            **settings,
        }
        work = self.root / "work"
        work.mkdir(exist_ok=True)
        return subprocess.run(
            [str(program), *command[1:]], cwd=work, env=environment, check=False, text=True,
            stdin=subprocess.DEVNULL, capture_output=True,
        )  # fmt: skip


@pytest.fixture(scope="session")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tree.build(tmp_path_factory.mktemp("build"), str(Path(sys.executable).with_name("ansible-galaxy")))


@pytest.fixture(scope="session")
def installed(tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The tarball unpacked, and everything deleted that must not be needed at run time."""
    found = Installed(tmp_path_factory.mktemp("installed"), tarball)
    found.home.mkdir(parents=True)
    with tarfile.open(tarball) as archive:
        archive.extractall(found.home, filter="data")
    for entry in found.home.iterdir():
        if entry.name in NEEDED:
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    return found
