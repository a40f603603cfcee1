# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's scratch directory and its processes: started, found again, and ended, and never anybody else's."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
PREFIX = "xmpp-demo-"
LONGEST_PARENT = 70
MARK = "XMPP_DEMO_STAGE"


def free_port() -> int:
    """A port that is free for TCP and UDP, below the range that the kernel gives to outgoing connections."""
    while True:
        port = random.randrange(10000, 30000)
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            try:
                tcp.bind(("127.0.0.1", port))
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class StageError(Exception):
    """A part of the demo did not start or did not do what it should."""


class Stage:
    """A directory, and the processes that carry its name in their environment."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.logs = directory / "logs"

    @classmethod
    def make(cls) -> Stage:
        if len(tempfile.gettempdir()) > LONGEST_PARENT:
            raise StageError(f"{tempfile.gettempdir()} is too long a name for unix sockets in it: set TMPDIR=/tmp")
        stage = cls(Path(tempfile.mkdtemp(prefix=PREFIX)))
        stage.logs.mkdir()
        return stage

    @classmethod
    def kept(cls) -> Stage:
        """The demo that KEEP=1 left running, the youngest when there are several; never one that still plays."""
        notes = Path(tempfile.gettempdir()).glob(f"{PREFIX}*/kept.json")
        found = [path.parent for path in notes if path.stat().st_uid == os.getuid()]
        if not found:
            raise StageError("No demo was left running. Start one with: make demo KEEP=1")
        return cls(max(found, key=lambda path: path.stat().st_mtime))

    def control(self, name: str) -> Path:
        return self.directory / f"{name}.sock"

    def write(self, name: str, content: Any) -> Path:
        path = self.directory / name
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        return path

    def keep(self) -> None:
        """Mark this stage as one that its user looks after."""
        self.write("kept.json", {})

    async def start(self, name: str, *command: str) -> dict[str, Any]:
        """Start a stand-in in a session of its own, and return what it says when it is ready."""
        output = self.logs / f"{name}.out"
        with output.open("wb") as out, (self.logs / f"{name}.log").open("wb") as err:
            process = subprocess.Popen(  # noqa: ASYNC220 - it outlives the event loop where KEEP=1 says so
                [sys.executable, *command],
                cwd=TESTS,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and process.poll() is None:
            if b"\n" in (text := output.read_bytes()):
                return json.loads(text.partition(b"\n")[0])
            await asyncio.sleep(0.02)
        raise StageError(f"{name} did not start:\n{(self.logs / f'{name}.log').read_text()}")

    @property
    def environment(self) -> dict[str, str]:
        """What every process of this stage has in its environment, and hands on to its children."""
        return {**os.environ, MARK: str(self.directory)}

    def _is_ours(self, process: Path) -> bool:
        """By its mark, or because it runs from inside the directory; a child may have dropped its environment."""
        try:
            marked = f"{MARK}={self.directory}".encode() in process.joinpath("environ").read_bytes().split(b"\0")
            program = process.joinpath("cmdline").read_bytes().partition(b"\0")[0]
        except OSError:
            return False
        return bool(program) and (marked or program.startswith(os.fsencode(self.directory) + b"/"))

    def processes(self) -> list[int]:
        running = [path for path in Path("/proc").iterdir() if path.name.isdigit()]
        return [int(path.name) for path in running if path.name != str(os.getpid()) and self._is_ours(path)]

    def end(self, *, keep_logs: bool = False) -> None:
        """End all processes of this stage, politely first, and remove its files."""
        number, polite_until = signal.SIGTERM, time.monotonic() + 8
        told: set[int] = set()
        while running := self.processes():
            if time.monotonic() > polite_until and number == signal.SIGTERM:
                number, told = signal.SIGKILL, set()
            for pid in set(running) - told:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            told.update(running)
            time.sleep(0.05)
        for path in self.directory.iterdir():
            if path.is_dir() and not path.is_symlink() and path != self.logs:
                shutil.rmtree(path, ignore_errors=True)
            elif path != self.logs:
                path.unlink(missing_ok=True)
        if not keep_logs:
            shutil.rmtree(self.directory, ignore_errors=True)
