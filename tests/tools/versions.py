# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs what depends on ansible-core with the versions in requirements/versions.txt: ``versions.py [step ...]``

Without a step these are the USUAL ones, which fit into `make test`. Each version has a virtual environment of its own
below ``.venv/versions``, with the newest Python here that it runs on. Where there is none, a line says that it is left
out.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import tree

REQUIREMENTS = tree.ROOT / "requirements"
VERSION = re.compile(r'^(ansible-core==(\S+)) ; python_version >= "3\.(\d+)"$', re.MULTILINE)
# Where Pythons are beside those on the path.
PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
NEWEST = 14
# What a step runs with the Python of a version.
PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2")
STEPS = {
    "unit": (*PYTEST, "tests/unit"),
    "packaging": (*PYTEST, "tests/packaging"),
    "sanity": ("tests/tools/lint.py", "sanity"),
    "integration": ("tests/tools/integration.py",),
}
USUAL = ("unit", "sanity")
USUAL_OF_NEWEST = ("unit", "packaging", "sanity")


class Failed(Exception):
    """A command went wrong; the argument is what it said."""


class Version(NamedTuple):
    """A version of ansible-core, and the Python that runs it: None where there is none here."""

    requirement: str
    number: str
    python: str | None

    @property
    def home(self) -> Path:
        return tree.ROOT / ".venv/versions" / self.number

    def run(self, *command: str | Path) -> str:
        path = f"{self.home / 'bin'}:{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "NO_COLOR": "1", "ANSIBLE_COLLECTIONS_PATH": ""}
        done = subprocess.run(
            command, cwd=tree.ROOT, env=environment, check=False, text=True, errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        if done.returncode:
            raise Failed(done.stdout)
        return done.stdout


def versions() -> list[Version]:
    text = (REQUIREMENTS / "versions.txt").read_text(encoding="utf-8")
    return [Version(whole, number, python(int(minor))) for whole, number, minor in VERSION.findall(text)]


def python(oldest: int) -> str | None:
    """The newest Python here that can make a virtual environment."""
    for minor in range(NEWEST, oldest - 1, -1):
        name = f"python3.{minor}"
        places = [shutil.which(name), *sorted(map(str, PYENV.glob(f"3.{minor}.*/bin/{name}")), reverse=True)]
        for place in filter(None, places):
            # pyenv has a shim on the path for versions that are switched off, too.
            tried = subprocess.run([place, "-c", "import ensurepip, venv"], check=False, capture_output=True)
            if tried.returncode == 0:
                return place
    return None


def prepare(version: Version, found: str) -> None:
    """All that the tests need, and in it this version in place of the pinned one."""
    files = [REQUIREMENTS / f"{name}.txt" for name in ("constraints", "demo", "test")]
    texts = [found, version.requirement, *(file.read_text(encoding="utf-8") for file in files)]
    wanted = hashlib.sha256("".join(texts).encode()).hexdigest()
    stamp = version.home / ".requirements"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return
    shutil.rmtree(version.home, ignore_errors=True)
    version.run(found, "-m", "venv", version.home)
    pip = (version.home / "bin/python", "-m", "pip", "--disable-pip-version-check", "--no-input")
    version.run(*pip, "install", "-qq", "-r", REQUIREMENTS / "test.txt")
    version.run(*pip, "install", "-qq", "--no-deps", version.requirement)
    version.run(*pip, "check")
    stamp.write_text(wanted, encoding="utf-8")


def results(version: Version, steps: list[str]) -> Iterator[str]:
    """`passed`, `failed` or `skipped`, once for each step; it prints a line for each."""
    if version.python is None:
        print(f"SKIPPED [1] ansible-core {version.number}: no Python here that it runs on", flush=True)
        yield "skipped"
        return
    try:
        prepare(version, version.python)
    except Failed as failure:
        print(f"{version.number} cannot be installed\n{failure}", flush=True)
        yield "failed"
        return
    for step in steps:
        began = time.monotonic()
        verdict = "passed"
        try:
            said = version.run(version.home / "bin/python", *STEPS[step])
        except Failed as failure:
            verdict, said = "failed", str(failure)
        print(f"{version.number:10} {step:12} {verdict}  {time.monotonic() - began:6.1f} s", flush=True)
        for line in said.splitlines():
            if verdict == "failed" or line.startswith("SKIPPED"):
                print(line, flush=True)
        yield verdict


def main(wanted: list[str]) -> int:
    unknown = sorted(set(wanted) - set(STEPS))
    if unknown:
        print(f"No such step: {', '.join(unknown)}. There are: {', '.join(STEPS)}")
        return 2
    start = time.monotonic()
    *others, newest = versions()
    planned = [*((version, wanted or list(USUAL)) for version in others), (newest, wanted or list(USUAL_OF_NEWEST))]
    counts = Counter(verdict for version, steps in planned for verdict in results(version, steps))
    told = [f"{counts[word]} {word}" for word in ("failed", "passed", "skipped") if counts[word]]
    print(f"==== {', '.join(told)} in {time.monotonic() - start:.2f}s ====")
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
