# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the parts of `make test` one after the other: ``parts.py lint unit ...``

A line says how each part went while the whole is still running; its full output is in ``tests/output/<part>.log`` and
is shown where the part failed. The last line sums up all parts in the manner of pytest.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "tests/output"
SUMMARY = re.compile(r"^=+ (?:.*\d+ (?:passed|failed|skipped|error|errors|deselected|xfailed)\b.*) =+$")
COUNT = re.compile(r"(\d+) (passed|failed|skipped|error)")
# What a failed part shows of its output.
TAIL = 150
# While a part runs that takes long, a sign of life.
PATIENCE = 60.0
# No part takes this long; one that does hangs, and the others are still to have their turn.
LIMIT = 2700.0


@dataclass
class Result:
    part: str
    seconds: float
    counts: Counter[str]
    reasons: list[str] = field(default_factory=list)
    output: list[str] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        return bool(self.counts["failed"] or self.counts["error"])

    def line(self) -> str:
        counts = ", ".join(f"{number} {word}" for word, number in self.counts.items() if number)
        verdict = "FAILED" if self.failed else "ok"
        return f"{self.part:12} {verdict:7} {counts}, {self.seconds:.0f} s"


def read_counts(lines: list[str], succeeded: bool) -> Counter[str]:
    """Counts of the last pytest-like summary; a part without one counts as one test."""
    counts: Counter[str] = Counter()
    for line in reversed(lines):
        if SUMMARY.match(line):
            counts.update({word: int(number) for number, word in COUNT.findall(line)})
            break
    if not counts:
        counts["passed" if succeeded else "failed"] = 1
    elif not succeeded and not counts["failed"] and not counts["error"]:
        counts["error"] = 1
    return counts


def run(part: str) -> Result:
    """Run `make <part>`, its output into a file."""
    target = part if part == "lint" else f"test-{part}"
    log = OUTPUT / f"{part}.log"
    start = time.monotonic()
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["make", "--no-print-directory", target],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, "NO_COLOR": "1", "PY_COLORS": "0"},
        )  # fmt: skip
        try:
            wait(process, part, start)
        except BaseException:
            end(process)
            raise
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    counts = read_counts(lines, process.returncode == 0)
    reasons = [line for line in lines if line.startswith("SKIPPED")]
    return Result(part, time.monotonic() - start, counts, reasons, lines)


def wait(process: subprocess.Popen[bytes], part: str, start: float) -> None:
    while True:
        try:
            process.wait(timeout=PATIENCE)
            return
        except subprocess.TimeoutExpired:
            seconds = time.monotonic() - start
            print(f"{part:12} running {seconds:.0f} s", flush=True)
            if seconds > LIMIT:
                print(f"{part:12} takes too long and is stopped", flush=True)
                end(process)
                return


def end(process: subprocess.Popen[bytes]) -> None:
    """Stop a part with all that it started; first as a user would, so that it can clean up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=30)
            return


def main(parts: list[str]) -> int:
    OUTPUT.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    total: Counter[str] = Counter()
    failed: list[str] = []
    for number, part in enumerate(parts, 1):
        print(f"{part:12} started, part {number} of {len(parts)}", flush=True)
        result = run(part)
        total.update(result.counts)
        print(result.line(), flush=True)
        for reason in result.reasons:
            print(f"{'':12} {reason}", flush=True)
        if result.failed:
            failed.append(part)
            print("\n".join(f"    {line}" for line in result.output[-TAIL:]), flush=True)
    for part in failed:
        print(f"FAILED {part}: see tests/output/{part}.log")
    words = [f"{total[word]} {word}" for word in ("failed", "passed", "skipped", "error") if total[word]]
    print(f"===== {', '.join(words)} in {time.monotonic() - start:.2f}s =====", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
