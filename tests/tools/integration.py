# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs ``ansible-test integration`` on a copy of the checkout: ``integration.py [target ...]``

The targets run on this machine against files and servers of their own in temporary directories.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import bootstrap_pip
import tree

# How a target says that it cannot do a part of its work here.
SKIPPED = re.compile(r'"msg": "SKIP: ([^"]*)"')
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def targets(home: Path, wanted: list[str]) -> list[str]:
    """Names of the targets to run; those that only prepare others are left to them."""
    found = sorted(item.name for item in (home / "tests/integration/targets").glob("*") if item.is_dir())
    runnable = [name for name in found if not name.startswith(("setup_", "prepare_"))]
    return [name for name in runnable if not wanted or name in wanted]


def run_target(home: Path, user_home: Path, name: str) -> bool:
    """Run one target; its output is shown only if it fails."""
    command = ["ansible-test", "integration", "--local", "--python", PYTHON, "--color", "no", "--allow-root", name]
    settings = {**os.environ, "ANSIBLE_LOCALHOST_WARNING": "false", "HOME": str(user_home)}
    start = time.monotonic()
    done = subprocess.run(
        command, cwd=home, env=settings, check=False, text=True, errors="replace",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    passed = done.returncode == 0
    print(f"{name:32} {'passed' if passed else 'failed'}  {time.monotonic() - start:6.1f} s", flush=True)
    for reason in SKIPPED.findall(done.stdout):
        print(f"{'':32} a part was skipped: {reason}", flush=True)
    if not passed:
        print(done.stdout, flush=True)
    return passed


def main(wanted: list[str]) -> int:
    user_home = bootstrap_pip.provide(tree.ROOT / "tests/output/home")
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="integration-") as directory:
        home = tree.copy_checkout(Path(directory))
        names = targets(home, wanted)
        if not names:
            print("No integration target found")
            return 1
        passed = [run_target(home, user_home, name) for name in names]
    failed = passed.count(False)
    counts = [f"{failed} failed"] * bool(failed) + [f"{passed.count(True)} passed"]
    print(f"==== {', '.join(counts)} in {time.monotonic() - start:.2f}s ====")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
