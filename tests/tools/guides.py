# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the guides in docs/guides hold that can be tried: files, snippets of an inventory, commands.

A file has its name in a comment before it: ``<!-- file partner.yml -->``. YAML without a name is part of an
inventory. A line that is indented by four spaces and begins with ``ansible`` is a command; all such lines in a row are
what a reader types into a shell.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs/guides").glob("*.md"))

_BLOCK = re.compile(r"(?:<!-- file (\S+) -->\n)?```(?:yaml|jinja)\n(.*?)```", re.DOTALL)
_FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_INDENTED = re.compile(r"(?:^    .*\n)+", re.MULTILINE)
_COMMAND = re.compile(r"^    (ansible\S* .*)$", re.MULTILINE)


def files(page: Path) -> dict[str, str]:
    """The files of a guide by name."""
    return {name: text for name, text in _BLOCK.findall(page.read_text(encoding="utf-8")) if name}


def write(page: Path, directory: Path) -> None:
    """Write the files of a guide, as a reader of it would."""
    for name, text in files(page).items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text, encoding="utf-8")


def variables(page: Path) -> list[dict[str, Any]]:
    """The parts of an inventory that a guide shows."""
    return [yaml.safe_load(text) for name, text in _BLOCK.findall(page.read_text(encoding="utf-8")) if not name]


def commands(page: Path) -> list[list[str]]:
    """Ansible's commands in a guide, without what stands behind a pipe."""
    found = [shlex.split(line.partition(" | ")[0]) for line in _COMMAND.findall(page.read_text(encoding="utf-8"))]
    return [command for command in found if command[0] != "ansible-galaxy"]


def shell(page: Path) -> list[str]:
    """The lines of a guide that are indented, each run of them as one text."""
    plain = _FENCED.sub("", page.read_text(encoding="utf-8"))
    return [textwrap.dedent(block) for block in _INDENTED.findall(plain)]


def run(script: str, directory: Path, collections: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run lines of a guide in a shell that finds Ansible and the collection."""
    settings = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "ANSIBLE_COLLECTIONS_PATH": str(collections),
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        **environment,
    }
    return subprocess.run(
        ["bash", "-c", script], cwd=directory, env=settings, check=False, text=True,
        stdin=subprocess.DEVNULL, capture_output=True,
    )  # fmt: skip


def tasks(playbook: str) -> list[dict[str, Any]]:
    """All tasks of a playbook, those in blocks too."""
    found: list[dict[str, Any]] = []
    waiting = [
        task
        for play in yaml.safe_load(playbook)
        for part in ("pre_tasks", "tasks", "post_tasks", "handlers")
        for task in play.get(part) or []
    ]
    while waiting:
        task = waiting.pop()
        inner = [one for part in ("block", "rescue", "always") for one in task.get(part) or []]
        waiting.extend(inner)
        found.extend([] if inner else [task])
    return found
