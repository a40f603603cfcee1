# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The administrator's chair: a control node with an inventory, the built collection and SSH to the hosts."""

from __future__ import annotations

import base64
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from tools import tree

HERE = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent

EDGE, INSIDE, PARTNER, SECURE = (f"{name}.lab.example" for name in ("edge1", "inside", "gtalk", "secure"))
ADDRESSES = {EDGE: "198.51.100.10", INSIDE: "198.51.100.20", PARTNER: "198.51.100.30", SECURE: "198.51.100.40"}
CONTROL, RESOLVER = "198.51.100.1", "198.51.100.53"


@dataclass(frozen=True)
class Event:
    """One task on one host."""

    host: str
    task: str
    status: str
    changed: bool
    diff: Any = None
    msg: str = ""


@dataclass
class Run:
    """What a playbook did."""

    command: str
    rc: int
    output: str
    seconds: float
    events: list[Event] = field(default_factory=list)

    @property
    def changes(self) -> list[tuple[str, str]]:
        return [(event.host, event.task) for event in self.events if event.changed]

    @property
    def failures(self) -> list[Event]:
        return [event for event in self.events if event.status in ("failed", "unreachable")]

    def must_succeed(self) -> Run:
        assert self.rc == 0, f"{self.command}\nends with {self.rc}\n{self.output}"
        return self


class Lab:
    def __init__(self, directory: Path, scratch: Path) -> None:
        self.directory = directory
        self.scratch = scratch
        self.inventory = scratch / "inventory"
        self._runs = 0
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "LAB_DIR": str(directory),
            # Only what was installed from the tarball may be found.
            "ANSIBLE_HOME": str(scratch / "home"),
            "ANSIBLE_COLLECTIONS_PATH": str(scratch / "collections"),
            "ANSIBLE_SSH_ARGS": f"-F {directory}/ssh/config -o ControlMaster=auto -o ControlPersist=60s",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(scratch / "cp"),
            "ANSIBLE_CALLBACK_PLUGINS": str(HERE / "callback_plugins"),
            "ANSIBLE_CALLBACKS_ENABLED": "lab_events",
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_NOCOLOR": "1",
        }

    def call(self, *command: str | Path, cwd: Path = HERE, timeout: float = 600) -> str:
        done = subprocess.run(
            [str(word) for word in command], cwd=cwd, env=self.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=timeout,
        )  # fmt: skip
        assert done.returncode == 0, f"{shlex.join(map(str, command))}\nends with {done.returncode}\n{done.stdout}"
        return done.stdout

    # The hosts

    def create(self, inside_server: str = "prosody") -> None:
        start = time.monotonic()
        self.call("ansible-playbook", "create.yml", "-e", f"lab_inside_server={inside_server}", timeout=900)
        print(f"\n  the hosts, with {inside_server} inside: {time.monotonic() - start:.0f} s", flush=True)

    def destroy(self) -> None:
        self.call("ansible-playbook", "destroy.yml")

    def ssh(self, host: str, command: str, timeout: float = 60) -> str:
        """Run a shell command as root and return what it says."""
        ssh = ["ssh", "-F", str(self.directory / "ssh/config"), "-o", "ConnectTimeout=5", host]
        return self.call(*ssh, f"sudo sh -euc {shlex.quote(command)}", timeout=timeout).strip()

    def put(self, host: str, path: str, content: bytes) -> None:
        """Write a small file on a host, readable to all."""
        self.ssh(host, f"echo {base64.b64encode(content).decode()} | base64 -d >{shlex.quote(path)}")

    def main_pid(self, host: str, unit: str) -> int:
        return int(self.ssh(host, f"systemctl show --property=MainPID --value {unit}"))

    def edge_status(self) -> dict[str, Any]:
        return json.loads(self.ssh(EDGE, "xmpp-edge status --json"))

    def edge_streams(self) -> Any:
        return json.loads(self.ssh(EDGE, "xmpp-edge streams --json"))

    # The control node

    def install_collection(self) -> None:
        tarball = tree.build(self.scratch / "build", str(BIN / "ansible-galaxy"))
        self.call("ansible-galaxy", "collection", "install", "--offline", "--force", tarball)

    def take_inventory(self) -> None:
        """A fresh copy of the inventory, with the secrets that the administrator keeps beside it."""
        shutil.rmtree(self.inventory, ignore_errors=True)
        shutil.copytree(HERE / "inventory", self.inventory)
        (self.inventory / "secrets").mkdir(mode=0o700)
        (self.inventory / "secrets/inside").write_text("between edge and inside\n")
        shutil.copy(self.directory / "edge-update.key", self.inventory / "secrets/edge-update.key")

    def edit(self, group: str, change: Callable[[dict[str, Any]], None]) -> None:
        """Change the variables of a group, as an administrator does in an editor."""
        path = self.inventory / "group_vars" / f"{group}.yml"
        variables = yaml.safe_load(path.read_text())
        change(variables)
        path.write_text(yaml.safe_dump(variables))

    def play(self, playbook: str | Path, *options: str) -> Run:
        self._runs += 1
        events = self.scratch / f"events-{self._runs}"
        command = ["ansible-playbook", "-i", str(self.inventory / "hosts.yml"), str(playbook), *options]
        events.unlink(missing_ok=True)
        start = time.monotonic()
        done = subprocess.run(
            command, cwd=self.scratch, env={**self.environment, "LAB_EVENTS": str(events)}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=600,
        )  # fmt: skip
        seconds = time.monotonic() - start
        lines = events.read_text().splitlines() if events.exists() else []
        noted = [Event(**json.loads(line)) for line in lines]
        run = Run(shlex.join(command), done.returncode, done.stdout, seconds, noted)
        name = shlex.join([Path(str(playbook)).name, *options])
        print(f"  {name}: {seconds:.0f} s, {len(run.changes)} changed", flush=True)
        return run

    def site(self, *options: str) -> Run:
        return self.play("xmpp.federation.site", *options)

    def apply(self, *options: str) -> Run:
        return self.site(*options).must_succeed()
