# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything that can be said about the collection without running it: ``lint.py [step ...]``.

Each step prints one line, and what it found where it found something.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import bootstrap_pip
import tree

SERVICE = "roles/xmpp_edge/files"
# The modules' Python: what the control node runs decides which versions ansible-test may use here.
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
# Looks like words of a tool's own, and is none of our findings.
PATHS = re.compile(r"^/.*/ansible_collections/xmpp/federation/", re.MULTILINE)


class Failed(Exception):
    """A step found something; the argument is what it said."""


class Place:
    """The copies that the steps work on, made when first wanted."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.root = base / "checkout"
        # What the user has installed elsewhere must not matter.
        self.user_home = bootstrap_pip.provide(tree.ROOT / "tests/output/home")
        self._home: Path | None = None
        self._tarball: Path | None = None

    @property
    def home(self) -> Path:
        if self._home is None:
            self._home = tree.copy_checkout(self.root)
        return self._home

    @property
    def tarball(self) -> Path:
        if self._tarball is None:
            self._tarball = tree.build(self.base)
        return self._tarball

    def run(self, *command: str, cwd: Path | None = None, **environment: str) -> str:
        """Run a tool in the copy; its output, or Failed with it."""
        settings = {
            **os.environ,
            "HOME": str(self.user_home),
            "ANSIBLE_COLLECTIONS_PATH": str(self.root),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "NO_COLOR": "1",
            "TERM": "dumb",
            **environment,
        }
        done = subprocess.run(
            command, cwd=cwd or self.home, env=settings, check=False, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        output = PATHS.sub("", done.stdout)
        if done.returncode:
            raise Failed(output)
        return output


def ruff(place: Place) -> None:
    """Style, likely mistakes and import order."""
    said = []
    for command in (["check"], ["format", "--check"]):
        try:
            place.run("ruff", *command, "--output-format=concise", "--no-cache", ".")
        except Failed as failure:
            said.append(str(failure))
    if said:
        raise Failed("\n".join(said))


def mypy(place: Place) -> None:
    """Types, strictly: the service, and what the modules are made of."""
    config = str(place.home / "pyproject.toml")
    cache = str(tree.ROOT / ".mypy_cache")
    checks: list[tuple[Path, str]] = []
    if (place.home / SERVICE / "xmpp_edge").is_dir():
        checks.append((place.home / SERVICE, "xmpp_edge"))
    if (place.home / "plugins").is_dir():
        checks.append((place.root, str(tree.INSIDE / "plugins")))
    said = []
    for where, what in checks:
        try:
            place.run("mypy", "--config-file", config, "--cache-dir", cache, what, cwd=where, MYPYPATH=str(where))
        except Failed as failure:
            said.append(str(failure))
    if said:
        raise Failed("\n".join(said))


def ansible_lint(place: Place) -> None:
    """Roles and playbooks, profile production."""
    place.run("ansible-lint", "--offline", "--strict", "--nocolor", "-q", "--format=pep8")


def sanity(place: Place) -> None:
    """ansible-test sanity, without any ignore file."""
    ignored = list((place.home / "tests/sanity").glob("ignore*"))
    if ignored:
        raise Failed(f"Findings are mended, not ignored: {', '.join(item.name for item in ignored)}")
    command = ["ansible-test", "sanity", "--python", PYTHON, "--color", "no", "--requirements"]
    for name in _beyond_the_index():
        print(f"SKIPPED [1] ansible-test sanity {name}: it wants a package that no index has", flush=True)
        command += ["--skip-test", name]
    try:
        place.run(*command)
    except Failed as failure:
        # Most of what it prints is about the packages that it installs.
        said = [line for line in str(failure).splitlines() if line.startswith(("ERROR", "FATAL"))]
        raise Failed("\n".join(said) or str(failure)) from failure


def _beyond_the_index() -> list[str]:
    """Sanity tests for which a pre-release of ansible-core pins what nobody has published yet."""
    package = importlib.util.find_spec("ansible_test")
    assert package is not None
    places = [Path(path) / "_data/requirements" for path in package.submodule_search_locations or []]
    files = [file for place in places for file in place.glob("sanity.*.txt")]
    return sorted(file.suffixes[0][1:] for file in files if "://" in file.read_text(encoding="utf-8"))


def galaxy(place: Place) -> None:
    """What the Galaxy's importer says about the built tarball."""
    output = place.run(sys.executable, "-m", "galaxy_importer.main", str(place.tarball), cwd=place.base)
    if "Importer processing completed successfully" not in output:
        raise Failed(output)
    wrong = [line for line in output.splitlines() if line.startswith(("WARNING", "ERROR"))]
    if wrong:
        raise Failed("\n".join(wrong))


def docs(place: Place) -> None:
    """The documentation of modules and roles, with its links."""
    place.run(
        "antsibull-docs", "lint-collection-docs", "--plugin-docs", "--skip-rstcheck",
        "--validate-collection-refs", "self", str(place.home),
    )  # fmt: skip


def changelog(place: Place) -> None:
    """Changelog and its fragments."""
    place.run("antsibull-changelog", "lint")


STEPS: dict[str, Callable[[Place], None]] = {
    "ruff": ruff,
    "mypy": mypy,
    "ansible-lint": ansible_lint,
    "galaxy": galaxy,
    "docs": docs,
    "changelog": changelog,
    "sanity": sanity,
}


def results(place: Place, names: list[str]) -> Iterator[bool]:
    for name in names:
        start = time.monotonic()
        try:
            STEPS[name](place)
        except Failed as failure:
            print(f"{name:14} failed  {time.monotonic() - start:6.1f} s\n{str(failure).rstrip()}\n", flush=True)
            yield False
        else:
            print(f"{name:14} passed  {time.monotonic() - start:6.1f} s", flush=True)
            yield True


def main(arguments: list[str]) -> int:
    names = arguments or list(STEPS)
    unknown = [name for name in names if name not in STEPS]
    if unknown:
        print(f"Unknown step: {', '.join(unknown)}. There are: {', '.join(STEPS)}")
        return 2
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="lint-") as directory:
        outcome = list(results(Place(Path(directory)), names))
    failed = outcome.count(False)
    counts = [f"{failed} failed"] * bool(failed) + [f"{outcome.count(True)} passed"]
    print(f"==== {', '.join(counts)} in {time.monotonic() - start:.2f}s ====")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
