# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The standalone manager with the real service: ready means ready, one at a time, started again when it dies."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from xmpp_edge.observe.control import ControlError, call
from xmpp_edge.records import edge, files

SOURCES = Path(__file__).resolve().parents[2] / "roles/xmpp_edge/files"


class Manager:
    """Its command line, as the role uses it."""

    def __init__(self, base: Path) -> None:
        self.config, self.run, self.log = base / "etc", base / "run", base / "log" / "xmpp-edge.log"
        self.config.mkdir()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.write(listen=["127.0.0.1"], listen_port=self.port)

    def write(self, **record: Any) -> None:
        (self.config / "edge.json").write_text(files.encode("edge", edge.normalise(record)))

    def do(self, command: str, *options: str, fails: bool = False) -> dict[str, Any]:
        places = ["--config-dir", str(self.config), "--run-dir", str(self.run), "--log-file", str(self.log)]
        done = subprocess.run(
            [sys.executable, "-P", "-m", "xmpp_edge.standalone", command, *places, *options],
            env={**os.environ, "PYTHONPATH": str(SOURCES)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode != 0) is fails, done.stderr
        return {"error": done.stderr} if fails else json.loads(done.stdout)

    def status(self) -> dict[str, Any]:
        return call(self.run, {"command": "status"})


@pytest.fixture
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Manager]:
    # A directory with a short name: the path of a socket has to fit into 107 bytes.
    found = Manager(tmp_path_factory.mktemp("alone"))
    yield found
    found.do("stop")


def until(wanted: Callable[[], Any], seconds: float = 20) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if answer := wanted():
                return answer
        except (ControlError, OSError):
            pass
        time.sleep(0.05)
    raise AssertionError("it did not come to that")


def test_started_means_ready_and_is_done_once(manager: Manager) -> None:
    assert manager.do("start", "--dry-run") == {"running": False, "pid": None, "changed": True}
    first = manager.do("start", "--generation", "abc")
    assert first["changed"]
    assert manager.status()["generation"] == "abc"
    again = manager.do("start")
    assert again == {"running": True, "pid": first["pid"], "changed": False}
    assert manager.do("status") == again
    assert manager.do("start", "--dry-run")["changed"] is False


def test_stopped_means_gone_and_is_done_once(manager: Manager) -> None:
    manager.do("start")
    pid = manager.status()["pid"]
    assert manager.do("stop") == {"running": False, "pid": None, "changed": True}
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert list(manager.run.iterdir()) == []
    assert manager.do("stop")["changed"] is False


def test_a_restart_takes_other_processes_and_words(manager: Manager) -> None:
    manager.do("start", "--generation", "one")
    before = manager.status()["pid"]
    assert manager.do("restart", "--generation", "two")["changed"]
    after = manager.status()
    assert after["pid"] != before
    assert after["generation"] == "two"


def test_a_service_that_dies_is_started_again(manager: Manager) -> None:
    supervisor = manager.do("start")["pid"]
    first = manager.status()["pid"]
    os.kill(first, signal.SIGKILL)
    assert until(lambda: manager.status()["pid"] not in (None, first))
    assert manager.do("status")["pid"] == supervisor


def test_a_service_that_cannot_start_is_told_with_its_own_words(manager: Manager) -> None:
    (manager.config / "edge.json").write_text("{")
    error = manager.do("start", fails=True)["error"]
    assert "the service did not start" in error
    assert "edge.json" in error
    assert manager.do("status")["running"] is False


def test_a_signal_to_reload_is_passed_on(manager: Manager) -> None:
    supervisor = manager.do("start")["pid"]
    before = manager.status()["records_hash"]
    manager.write(listen=["127.0.0.1"], listen_port=manager.port, domains=["inside.example"])
    os.kill(supervisor, signal.SIGHUP)
    assert until(lambda: manager.status()["records_hash"] != before)


def test_a_pid_that_another_process_got_is_not_taken_for_ours(manager: Manager) -> None:
    manager.run.mkdir()
    (manager.run / "standalone.pid").write_text(f"{os.getpid()}\n")
    assert manager.do("status")["running"] is False
    assert manager.do("start")["changed"]
