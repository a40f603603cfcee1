# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service manager for places without one: containers, and a demo without root.

It does for the service what systemd does for a unit of Type=notify: it waits for READY=1, starts the service again when
it dies or gives no sign of life, and stops it with SIGTERM. Its commands (``python -m xmpp_edge.standalone start``,
``stop``, ``restart``, ``status``) may be given again, and answer with one line of JSON.

A lock on the pid file, held as long as the supervisor lives, says whether it runs. A pid alone would not: another
process may have got it.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import pwd
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

READY_WITHIN = 60.0
STOP_WITHIN = 30.0
WATCHDOG = 60.0
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
# A service that lived this long had nothing wrong with its start.
SETTLED = 60.0


class ManagerError(Exception):
    """A command cannot be done; the text is for the administrator."""


@dataclass(frozen=True)
class Place:
    """Where the service's files are, and as whom it runs."""

    config_dir: str
    run_dir: str
    log_file: str
    user: str | None
    generation: str

    @property
    def pid_file(self) -> Path:
        return Path(self.run_dir, "standalone.pid")

    @property
    def notify_socket(self) -> Path:
        return Path(self.run_dir, "notify.sock")


def running(place: Place) -> int | None:
    """Return the supervisor's pid if it runs."""
    try:
        with place.pid_file.open("r+") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(stream.read().strip() or 0)
    except FileNotFoundError:
        pass
    return None


def start(place: Place) -> bool:
    """Start the supervisor and wait until the service is ready; False when it was running."""
    if running(place) is not None:
        return False
    _prepare(place)
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(told)
        _become_supervisor(place, tell)
    os.close(tell)
    os.waitpid(child, 0)
    with os.fdopen(told, "rb") as pipe:
        answer = pipe.read().decode("utf-8", "replace")
    if answer != "ready":
        why = answer or "its supervisor ended"
        raise ManagerError(f"the service did not start: {why}\n{_tail(place.log_file)}".strip())
    return True


def stop(place: Place) -> bool:
    """Stop service and supervisor, and wait until both are gone; False when neither was there."""
    pid = running(place)
    if pid is None:
        return False
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_WITHIN + 5
    while running(place) is not None:
        if time.monotonic() > deadline:
            raise ManagerError(f"the supervisor (pid {pid}) does not stop")
        time.sleep(0.05)
    return True


def _prepare(place: Place) -> None:
    """Make what the service writes to, and give it to its user: another one may have run it before."""
    for directory in (place.run_dir, os.path.dirname(place.log_file)):
        os.makedirs(directory, mode=0o755, exist_ok=True)
    if os.geteuid() == 0 and place.user:
        account = pwd.getpwnam(place.user)
        for path in (place.run_dir, place.log_file):
            if os.path.exists(path):
                os.chown(path, account.pw_uid, account.pw_gid)


def _become_supervisor(place: Place, tell: int) -> None:
    """Leave the caller's session, become the service's user, and never return."""
    status = 1
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        if os.geteuid() == 0 and place.user:
            account = pwd.getpwnam(place.user)
            os.initgroups(place.user, account.pw_gid)
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
        os.umask(0o027)
        os.chdir("/")
        log = os.open(place.log_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for number, source in enumerate((nothing, log, log)):
            os.dup2(source, number)
        with place.pid_file.open("a+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            lock.truncate(0)
            lock.write(f"{os.getpid()}\n")
            lock.flush()
            status = Supervisor(place, tell).run()
            place.pid_file.unlink()
    except BaseException as exc:  # noqa: BLE001 - whatever it was, the waiting parent is to hear it
        with contextlib.suppress(OSError):
            os.write(tell, str(exc).encode())
    finally:
        os._exit(status)


class Supervisor:
    """Keeps one service process running until it is told to stop."""

    def __init__(self, place: Place, tell: int) -> None:
        self.place = place
        self.tell: int | None = tell
        self.stopping = False
        self.process: subprocess.Popen[bytes] | None = None
        self.last_sign = 0.0

    def run(self) -> int:
        """Start the service again and again; the value is the supervisor's exit status."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGHUP, self._reload)
        with contextlib.suppress(FileNotFoundError):
            self.place.notify_socket.unlink()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.bind(str(self.place.notify_socket))
            channel.settimeout(0.5)
            pause = FIRST_PAUSE
            while not self.stopping:
                began = time.monotonic()
                ended = self._one_life(channel)
                if self.stopping:
                    break
                if self.tell is not None:
                    self._answer(f"it ended with status {ended}")
                    return 1
                pause = FIRST_PAUSE if time.monotonic() - began > SETTLED else min(pause * 2, LONGEST_PAUSE)
                self._say(f"the service ended with status {ended}; starting it again in {pause:.0f} s")
                self._sleep(pause)
        self.place.notify_socket.unlink(missing_ok=True)
        return 0

    def _one_life(self, channel: socket.socket) -> int:
        environment = {
            **os.environ,
            "NOTIFY_SOCKET": str(self.place.notify_socket),
            "WATCHDOG_USEC": str(int(WATCHDOG * 1_000_000)),
            "XMPP_EDGE_GENERATION": self.place.generation,
        }
        where = ["--config-dir", self.place.config_dir, "--run-dir", self.place.run_dir]
        self.process = subprocess.Popen([sys.executable, "-P", "-m", "xmpp_edge", "run", *where], env=environment)
        self.last_sign = time.monotonic()
        while self.process.poll() is None:
            self._listen(channel)
            if self.stopping:
                self._end(self.process)
            elif self.tell is not None and time.monotonic() - self.last_sign > READY_WITHIN:
                self._answer(f"it was not ready within {READY_WITHIN:.0f} s")
                self.stopping = True
            elif time.monotonic() - self.last_sign > WATCHDOG:
                self._say("the service gave no sign of life")
                self.process.kill()
        return self.process.wait()

    def _listen(self, channel: socket.socket) -> None:
        try:
            word = channel.recv(4096)
        except TimeoutError:
            return
        self.last_sign = time.monotonic()
        if b"READY=1" in word.split(b"\n") and self.tell is not None:
            self._answer("ready")

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        try:
            process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()

    def _answer(self, text: str) -> None:
        if self.tell is not None:
            os.write(self.tell, text.encode())
            os.close(self.tell)
            self.tell = None

    def _say(self, text: str) -> None:
        sys.stdout.write(json.dumps({"event": "supervisor", "text": text}) + "\n")
        sys.stdout.flush()

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self.stopping and time.monotonic() < end:
            time.sleep(0.1)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stopping = True

    def _reload(self, _number: int, _frame: FrameType | None) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGHUP)


def _tail(path: str, lines: int = 5) -> str:
    try:
        return "\n".join(Path(path).read_text("utf-8", "replace").splitlines()[-lines:])
    except OSError:
        return ""


def _do(command: str, place: Place, dry_run: bool) -> dict[str, Any]:
    pid = running(place)
    if command == "status" or dry_run:
        changes = {"status": False, "start": pid is None, "stop": pid is not None, "restart": True}
        return {"running": pid is not None, "pid": pid, "changed": changes[command]}
    changed = False
    if command in ("stop", "restart"):
        changed = stop(place)
    if command in ("start", "restart"):
        changed = start(place) or changed
    pid = running(place)
    return {"running": pid is not None, "pid": pid, "changed": changed}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command of the standalone manager."""
    parser = argparse.ArgumentParser(prog="xmpp-edge standalone", description="Run the service without systemd.")
    parser.add_argument("command", choices=["start", "stop", "restart", "status"])
    parser.add_argument("--config-dir", default="/etc/xmpp-edge")
    parser.add_argument("--run-dir", default="/run/xmpp-edge")
    parser.add_argument("--log-file", default="/var/lib/xmpp-edge/xmpp-edge.log")
    parser.add_argument("--user", help="become this user when started as root")
    parser.add_argument("--generation", default="", help="a word that 'xmpp-edge status' gives back")
    parser.add_argument("--dry-run", action="store_true", help="tell what would be done")
    given = parser.parse_args(arguments)
    place = Place(given.config_dir, given.run_dir, given.log_file, given.user, given.generation)
    try:
        sys.stdout.write(json.dumps(_do(given.command, place, given.dry_run)) + "\n")
    except (ManagerError, OSError, KeyError) as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
