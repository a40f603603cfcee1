# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server process with its scratch directory and its ports."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
from pathlib import Path


def free_port() -> int:
    """A port that is free now, below the range that the kernel gives to outgoing connections."""
    while True:
        port = random.randrange(10000, 30000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Server:
    """Where ``registers``, users make their accounts themselves when they log in for the first time."""

    registers = False

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.c2s = free_port()
        self.components = 0
        self.process: asyncio.subprocess.Process | None = None

    async def launch(self, *command: str, **environment: str) -> None:
        self._launched = command, environment
        with (self.directory / "output.log").open("ab") as out:
            self.process = await asyncio.create_subprocess_exec(
                *command,
                cwd=self.directory,
                env={**os.environ, **environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )

    async def start_again(self) -> None:
        """Start it as before, and wait until users can log in."""
        command, environment = self._launched
        await self.launch(*command, **environment)
        await wait_port(self.c2s, self)

    async def stop(self) -> None:
        if self.process is None or self.process.returncode is not None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await self.process.wait()
                return

    def everything(self, name: str) -> str:
        """All of one log so far."""
        return (self.directory / name).read_text(errors="replace")

    def logs(self) -> str:
        """What to show when something went wrong."""
        paths = sorted(self.directory.glob("*.log"))
        return "\n".join(f"--- {path}\n{path.read_text(errors='replace')[-4000:]}" for path in paths)


async def wait_port(port: int, server: Server, timeout: float = 20.0) -> None:
    """Wait until somebody listens on a port of loopback."""
    async with asyncio.timeout(timeout):
        while True:
            with contextlib.suppress(OSError):
                _unused, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            if server.process is None or server.process.returncode is not None:
                raise RuntimeError(f"the server ended\n{server.logs()}")
            await asyncio.sleep(0.05)
