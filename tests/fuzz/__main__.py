# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fuzz all targets for a while, on all cores: ``python -m tests.fuzz [SECONDS [TARGET ...]]``.

Ends with an error when anything was found. What is found lies in tests/output/fuzz; ``python -m tests.fuzz.one TARGET
FILE`` runs it again. Inputs that reach something new are kept there from one run to the next.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from .seed import sow

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
OUTPUT = ROOT / "tests" / "output" / "fuzz"
# Whole streams and the parser have more to them than an element has.
SHARES = {
    "parser": 3,
    "inbound": 3,
    "outbound": 3,
    "pair": 3,
    "component": 1,
    "header": 1,
    "dialback": 1,
    "external": 1,
    "acks": 1,
    "features": 1,
    "forgery": 1,
    "jid": 1,
    "certificates": 1,
}
# A megabyte of input must not take more, nor an input of a few kilobytes seconds.
_LIMITS = ("-max_len=8192", "-len_control=20", "-timeout=20", "-rss_limit_mb=768")
_RUNS = re.compile(r"Done (\d+) runs in (\d+) second")
_COVERAGE = re.compile(r"cov: (\d+) ft: (\d+)")


@dataclass(frozen=True)
class Outcome:
    """What came of one target."""

    name: str
    found: bool
    runs: int
    seconds: int
    edges: str
    features: str
    log: Path


def fuzz(name: str, seconds: int) -> Outcome:
    """Fuzz one target for so long."""
    corpus = OUTPUT / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    log = OUTPUT / f"{name}.log"
    sow(name, corpus)
    command = [
        *(sys.executable, "-m", "tests.fuzz.one", name, str(corpus)),
        *_LIMITS,
        f"-max_total_time={seconds}",
        f"-dict={HERE / 'words.dict'}",
        f"-artifact_prefix={OUTPUT}/{name}-",
    ]
    with log.open("w") as stream:
        done = subprocess.run(command, cwd=ROOT, stdout=stream, stderr=subprocess.STDOUT, check=False)
    text = log.read_text(errors="replace")
    runs = _RUNS.search(text)
    coverage = _COVERAGE.findall(text) or [("?", "?")]
    found = done.returncode != 0 or runs is None
    return Outcome(name, found, *(map(int, runs.groups()) if runs else (0, 0)), *coverage[-1], log)


def main(arguments: list[str]) -> int:
    seconds = int(arguments[0]) if arguments else 600
    names = arguments[1:] or list(SHARES)
    cores = len(os.sched_getaffinity(0))
    share = seconds * cores / sum(SHARES[name] for name in names)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with ThreadPoolExecutor(cores) as pool:
        outcomes = list(pool.map(lambda name: fuzz(name, max(1, round(share * SHARES[name]))), names))
    print(f"{'target':12} {'executions':>11} {'per second':>11} {'edges':>7} {'features':>9}")
    for outcome in outcomes:
        rate = outcome.runs // max(1, outcome.seconds)
        print(f"{outcome.name:12} {outcome.runs:11} {rate:11} {outcome.edges:>7} {outcome.features:>9}", end="")
        print(f"   FOUND SOMETHING: {outcome.log.relative_to(ROOT)}" if outcome.found else "")
    found = [outcome for outcome in outcomes if outcome.found]
    total = sum(outcome.runs for outcome in outcomes)
    print(f"{total} executions in {time.monotonic() - began:.0f} seconds on {cores} cores, findings: {len(found)}")
    for outcome in found:
        print(f"\n{outcome.name}, the end of its log:")
        print("\n".join(outcome.log.read_text(errors="replace").splitlines()[-25:]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
