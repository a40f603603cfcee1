# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the demo shows while it works, and the table at its end."""

from __future__ import annotations

import shutil
import sys
import textwrap
import time
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Row:
    what: str
    result: str
    took: str
    as_expected: bool


@dataclass
class Screen:
    """Steps with the time since the start; below a running step, where it is (rewritten on a terminal)."""

    start: float = field(default_factory=time.monotonic)
    rows: list[Row] = field(default_factory=list)
    _shown: bool = False
    _last_sign: float = 0.0

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.start

    def step(self, text: str) -> None:
        self.clear()
        print(f"[{self.elapsed:5.1f} s] {text}", flush=True)
        self._last_sign = self.elapsed

    def sign_of_life(self, text: str) -> None:
        """Where a long step is. Without a terminal a line every five seconds is enough."""
        if sys.stdout.isatty():
            width = shutil.get_terminal_size().columns - 12
            print(f"\r\x1b[K          {text[:width]}", end="", flush=True)
            self._shown = True
        elif self.elapsed - self._last_sign > 5:
            self.step(f"... {text}")

    def clear(self) -> None:
        if self._shown:
            print("\r\x1b[K", end="", flush=True)
            self._shown = False

    def row(self, what: str, result: str, took: float | None = None, *, as_expected: bool = True) -> None:
        seconds = "" if took is None else f"{took * 1000:.1f} ms" if took < 1 else f"{took:.1f} s"
        self.rows.append(Row(what, result, seconds, as_expected))
        self.step(f"{what}: {result}" + (f" ({seconds})" if seconds else ""))

    @property
    def good(self) -> bool:
        return all(row.as_expected for row in self.rows)

    def table(self) -> str:
        left = max(len(row.what) for row in self.rows) + 2
        middle = min(46, max(len(row.result) for row in self.rows) + 2)
        lines = ["", "What happened", "=" * (left + middle + 10)]
        for row in self.rows:
            mark = "" if row.as_expected else "   <-- not as expected"
            first, *rest = textwrap.wrap(row.result, middle - 2) or [""]
            lines.append(f"{row.what:{left}}{first:{middle}}{row.took:>10}{mark}".rstrip())
            lines += [" " * left + line for line in rest]
        return "\n".join([*lines, ""])
