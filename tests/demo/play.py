# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Building and installing the collection, and running its playbooks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from .screen import Screen
from .stage import ROOT, Stage, StageError

TASK = re.compile(r"^TASK \[(?:xmpp\.federation\.)?(.*)\] \*+$")
RECAP = re.compile(r"^\S+ +: ok=\d+ +changed=(\d+) +unreachable=(\d+) +failed=(\d+)")
TOOLS = Path(sys.executable).parent


@dataclass(frozen=True)
class Played:
    changed: int
    seconds: float


def environment(stage: Stage) -> dict[str, str]:
    """Nothing of the user's own Ansible configuration may change what the demo does."""
    kept = {name: value for name, value in stage.environment.items() if not name.startswith(("ANSIBLE_", "PYTHON"))}
    settings = stage.directory / "ansible.cfg"
    settings.write_text("[defaults]\n", encoding="utf-8")
    return {
        **kept,
        "ANSIBLE_CONFIG": str(settings),
        "ANSIBLE_HOME": str(stage.directory / "ansible"),
        "ANSIBLE_COLLECTIONS_PATH": str(stage.directory / "collections"),
        "ANSIBLE_LOCAL_TEMP": str(stage.directory / "ansible/tmp"),
        "ANSIBLE_REMOTE_TEMP": str(stage.directory / "ansible/tmp"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_DEPRECATION_WARNINGS": "0",
        "LC_ALL": "C.UTF-8",
    }


async def _run(stage: Stage, screen: Screen, log: str, *command: str) -> list[str]:
    """Run a tool, its output into a log, and tell where it is. Interrupted, it takes its children with it."""
    process = await asyncio.create_subprocess_exec(
        str(TOOLS / command[0]),
        *command[1:],
        cwd=ROOT,
        env=environment(stage),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    lines: list[str] = []
    path = stage.logs / log
    doing = asyncio.create_task(_keep_telling(screen, lines))
    try:
        with path.open("w", encoding="utf-8") as out:
            while raw := await process.stdout.readline():
                lines.append(raw.decode(errors="replace").rstrip())
                out.write(lines[-1] + "\n")
        await process.wait()
    finally:
        doing.cancel()
        screen.clear()
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            await process.wait()
    if process.returncode:
        raise StageError("\n".join(["", *lines[-40:], "", f"{command[0]} failed ({process.returncode}): {path}"]))
    return lines


async def _keep_telling(screen: Screen, lines: list[str]) -> None:
    """Show the task that is being done, also while it takes its time."""
    while True:
        await asyncio.sleep(0.2)
        task = next((found.group(1) for line in reversed(lines) if (found := TASK.match(line))), "starting")
        screen.sign_of_life(task)


async def install_collection(stage: Stage, screen: Screen) -> str:
    """Build the collection as it would be published, install it, and return its file name."""
    built = stage.directory / "build"
    await _run(stage, screen, "build.log", "ansible-galaxy", "collection", "build", "--output-path", str(built))
    archive = next(built.glob("xmpp-federation-*.tar.gz"))
    target = str(stage.directory / "collections")
    await _run(
        stage, screen, "install.log", "ansible-galaxy", "collection", "install", "--offline", "-p", target, str(archive)
    )
    return archive.name


async def play(stage: Stage, screen: Screen, playbook: str, log: str, *inventories: Path) -> Played:
    """Run a playbook of the installed collection, by its full name."""
    start = time.monotonic()
    sources = [word for path in inventories for word in ("-i", str(path))]
    lines = await _run(stage, screen, log, "ansible-playbook", *sources, f"xmpp.federation.{playbook}")
    recaps = [found for line in lines if (found := RECAP.match(line))]
    if not recaps:
        raise StageError(f"{playbook} did nothing: {stage.logs / log}")
    return Played(sum(int(found.group(1)) for found in recaps), time.monotonic() - start)
