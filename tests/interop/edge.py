# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service as a process, with records written by hand."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .server import Server, free_port, wait_port

FILES = Path(__file__).resolve().parents[2] / "roles/xmpp_edge/files"
DIALBACK_ONLY = {"tls": "not_supported", "sasl": "not_supported", "dialback": True, "keepalive": False}
OPEN = {
    "name": "FedPic",
    "scope": "user",
    "federation_access": True,
    "xmpp_access": True,
    "public_cloud_access": True,
}


class Edge(Server):
    """An edge for ``inside.example``: ``grants`` may federate, everybody else may not."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.port = free_port()
        self.config, self.run = directory / "config", directory / "run"
        self.config.mkdir()
        self.run.mkdir()
        self.environment = {**os.environ, "PYTHONPATH": str(FILES)}
        self.edge: dict[str, Any] = {
            "domains": ["inside.example"],
            "allow_federated_users": True,
            "listen": ["127.0.0.1"],
            "listen_port": self.port,
        }
        self.partners: list[dict[str, Any]] = []
        self.grants: dict[str, str] = {}
        self.secrets = {"dialback_secret": "d" * 64, "inside_secret": "inside"}

    def write(self) -> None:
        """The four record files; what is left out takes its default."""
        contents: Mapping[str, Mapping[str, Any]] = {
            "edge": {"edge": self.edge},
            "partners": {"partners": [{**DIALBACK_ONLY, **partner} for partner in self.partners]},
            "policies": {"policies": [OPEN], "grants": self.grants},
            "secrets": {"secrets": self.secrets},
        }
        for name, content in contents.items():
            (self.config / f"{name}.json").write_text(json.dumps({"schema": 1, **content}, ensure_ascii=False))

    def command(self, name: str, *arguments: str) -> list[str]:
        places = ["--config-dir", str(self.config), "--run-dir", str(self.run)]
        return [sys.executable, "-m", "xmpp_edge", name, *arguments, *places]

    def call(self, name: str, *arguments: str) -> dict[str, Any]:
        """One of the service's commands, its answer as JSON."""
        done = subprocess.run(
            self.command(name, "--json", *arguments), env=self.environment, capture_output=True, text=True, check=False
        )
        if not done.stdout.strip():
            raise AssertionError(f"{name}: exit {done.returncode}: {done.stderr}\n{self.logs()}")
        return json.loads(done.stdout)

    async def start(self) -> None:
        """Start it and wait until all its inside links are up."""
        self.write()
        await self.launch(*self.command("run"), PYTHONPATH=str(FILES))
        await wait_port(self.port, self)
        await self.wait_links()

    async def wait_links(self, timeout: float = 15.0) -> None:
        async with asyncio.timeout(timeout):
            while any(link["state"] != "up" for link in self.call("status")["inside"]):
                await asyncio.sleep(0.1)
