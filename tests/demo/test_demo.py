# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo, as a new user runs it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

RUN = Path(__file__).with_name("run")
ROWS = {
    "site.yml, first run": r"changed=[1-9]\d*",
    "DNS, written by the playbook": r"_xmpp-server\._tcp\.inside\.example SRV 0 0 \d+ edge1\.inside\.example\.",
    "xmpp-edge test gmail.example": r"passed: .*own_srv.*, ping",
    "alice@inside.example -> bob@gmail.example": r"delivered",
    "bob@gmail.example -> alice@inside.example": r"delivered",
    "eve@stranger.example -> alice@inside.example": r"refused: .*policy-violation.*",
    "DNS questions about stranger.example": r"0",
    "carol@inside.example -> bob@gmail.example": r"refused: \S+: .+",
    "bob@gmail.example -> carol@inside.example": r"refused: service-unavailable.*",
    "bob@gmail.example -> nobody@inside.example": r"refused: service-unavailable.*",
    "site.yml, second run": r"changed=0",
}


def start(scratch: Path) -> subprocess.Popen[str]:
    """The demo with its scratch directory below ``scratch``, where nobody else's is."""
    environment = {**os.environ, "DEMO_PYTHON": sys.executable, "TMPDIR": str(scratch)}
    # A test run in the background of a shell inherits that an interrupt is ignored, and a user's terminal does not.
    command = ["env", "--default-signal=INT", str(RUN)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def read_table(output: str) -> dict[str, str]:
    """The results by what they are about, their wrapped lines put together."""
    rows: dict[str, str] = {}
    for line in output.partition("What happened")[2].splitlines()[2:]:
        if found := re.match(r" {0,2}(\S.*?) {2,}(.*?)(?: {2,}[\d.]+ m?s)?$", line):
            rows[found.group(1)] = found.group(2)
        elif line.startswith("    "):
            rows[[*rows][-1]] += f" {line.strip()}"
    return rows


def left_behind(directory: Path) -> list[str]:
    """Command lines of processes that know of the directory by their arguments or by their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            line = path.joinpath("cmdline").read_bytes()
            known = line + path.joinpath("environ").read_bytes().replace(f"TMPDIR={directory}\0".encode(), b"")
        except OSError:
            continue
        if str(directory).encode() in known and int(path.name) != os.getpid():
            found.append(line.replace(b"\0", b" ").decode(errors="replace"))
    return found


@pytest.fixture
def scratch() -> Iterator[Path]:
    """Names of unix sockets are short, so this is not below the long path of a test."""
    with tempfile.TemporaryDirectory(prefix="xd-") as directory:
        yield Path(directory)


def test_the_demo_tells_what_happened_and_cleans_up(scratch: Path):
    process = start(scratch)
    output, _unused = process.communicate(timeout=400)
    assert process.returncode == 0, output
    table = read_table(output)
    for what, result in ROWS.items():
        assert re.fullmatch(result, table.get(what, "")), f"{what}\n{output}"
    assert list(scratch.iterdir()) == []
    assert left_behind(scratch) == []


@pytest.mark.parametrize(
    ("started", "number"), [("inside.json", signal.SIGINT), ("install/releases/*", signal.SIGTERM)]
)
def test_interrupted_it_cleans_up_too(scratch: Path, started: str, number: signal.Signals):
    """``started`` is a file that tells how far it has come: stand-ins are starting, the release is being installed."""
    process = start(scratch)
    while process.poll() is None and not list(scratch.glob(f"*/{started}")):
        time.sleep(0.05)
    process.send_signal(number)
    output, _unused = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert list(scratch.iterdir()) == []
    assert left_behind(scratch) == []
