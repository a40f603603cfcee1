# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table knows all cases, and every proof that it names is a test."""

from __future__ import annotations

import os
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

from .table import AREAS, CASES

SERVICE = Path(__file__).resolve().parents[1]


def collected() -> list[str]:
    """The ids of all tests of the service."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    places = [str(SERVICE / name) for name in ("cases", "net", "protocol")]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run([*command, *places], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    return [line.removeprefix("tests/service/") for line in done.stdout.splitlines() if "::" in line]


def test_each_number_stands_once() -> None:
    assert [case.number for case in CASES] == list(range(1, 102))
    assert {case.area for case in CASES} == set(AREAS)


def test_each_case_is_proven() -> None:
    ids = collected()
    without = [
        case.number
        for case in CASES
        if not case.proof and not any(fnmatchcase(name, pattern) for name in ids for pattern in case.own)
    ]
    assert without == [], "no test carries these numbers, and none is named"
    known = set(ids) | {name.partition("[")[0] for name in ids}
    assert [proof for case in CASES for proof in case.proof if proof not in known] == []
