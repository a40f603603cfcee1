# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The managed host's part of edge_release. Private to this collection.

The action plugin hands this text to the Python that will run the service, which need not be the one that runs
modules, as C(python -c TEXT COMMAND JSON). The answer is one line of JSON. Only the standard library is used.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import typing as t

MARKER = "release.json"


def probe(install_dir: str) -> dict[str, object]:
    """Tell what a release for this host depends on, and which ones are there."""
    libc, libc_version = platform.libc_ver()
    return {
        "python": sys.executable,
        "python_version": platform.python_version(),
        "platform": sysconfig.get_platform(),
        "libc": [libc, libc_version],
        "uid": os.geteuid(),
        "systemd": os.path.isdir("/run/systemd/system"),
        "writable": _writable(install_dir),
        "current": current(install_dir),
        "complete": complete(install_dir),
    }


def current(install_dir: str) -> str | None:
    """Return the name of the release in use."""
    try:
        return os.path.basename(os.readlink(os.path.join(install_dir, "current")))
    except OSError:
        return None


def complete(install_dir: str) -> list[str]:
    """Return the names of the releases whose making was finished and whose Python is still there, oldest first."""
    releases = os.path.join(install_dir, "releases")
    found = []
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(releases):
            marker = os.path.join(releases, name, MARKER)
            if os.path.isfile(marker) and os.path.exists(os.path.join(releases, name, "bin", "python")):
                found.append((os.stat(marker).st_mtime, name))
    return [name for dummy, name in sorted(found)]


def install(
    install_dir: str, release: str, wheel: str, requirements: str, wheelhouse: str | None, keep: int
) -> dict[str, object]:
    """Make the release unless it is there, put it in use, and remove the oldest ones."""
    os.umask(0o022)  # the service's user has to read what root makes, whatever root's own habit is
    os.makedirs(os.path.join(install_dir, "releases"), exist_ok=True)
    with open(os.path.join(install_dir, ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        previous = current(install_dir)
        if release not in complete(install_dir):
            _make(os.path.join(install_dir, "releases", release), wheel, requirements, wheelhouse)
        _switch(install_dir, release)
        return {"previous": previous, "removed": _prune(install_dir, (release, previous), keep)}


def _make(target: str, wheel: str, requirements: str, wheelhouse: str | None) -> None:
    shutil.rmtree(target, ignore_errors=True)
    try:
        _run([sys.executable, "-I", "-m", "venv", target], "making the virtual environment")
        with tempfile.TemporaryDirectory() as wheels:
            source = []
            if wheelhouse:
                with tarfile.open(wheelhouse) as archive:
                    _unpack(archive, wheels)
                source = ["--no-index", "--find-links", wheels]
            _pip(target, [*source, "-r", requirements], "installing the pinned requirements")
        _pip(target, ["--no-index", "--no-deps", wheel], "installing the service")
        _run([os.path.join(target, "bin", "python"), "-I", "-c", "import xmpp_edge.cli"], "loading the service")
        with open(os.path.join(target, MARKER), "w") as marker:
            json.dump({"python": platform.python_version(), "wheel": os.path.basename(wheel)}, marker)
            marker.flush()
            os.fsync(marker.fileno())
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise


def _unpack(archive: tarfile.TarFile, directory: str) -> None:
    for member in archive:
        # Plain wheels only: no path and no link in the archive leads out of the directory.
        stream = archive.extractfile(member) if member.isreg() else None
        if stream is None or os.path.basename(member.name) != member.name or not member.name.endswith(".whl"):
            raise Failed(f"the wheelhouse holds {member.name}, which is not a wheel")
        with open(os.path.join(directory, member.name), "wb") as target:
            shutil.copyfileobj(stream, target)


def _pip(target: str, arguments: list[str], purpose: str) -> None:
    options = ["--no-input", "--disable-pip-version-check", "--no-cache-dir", "--no-warn-script-location", "--quiet"]
    _run([os.path.join(target, "bin", "python"), "-m", "pip", "install", *options, *arguments], purpose)


def _run(command: list[str], purpose: str) -> None:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode:
        lines = done.stdout.decode("utf-8", "replace").strip().splitlines()
        raise Failed(f"{purpose} failed: " + " / ".join(lines[-6:]))


def _switch(install_dir: str, release: str) -> None:
    link = os.path.join(install_dir, "current")
    fresh = link + ".new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(fresh)
    os.symlink(os.path.join("releases", release), fresh)
    os.rename(fresh, link)


def _prune(install_dir: str, needed: tuple[str | None, ...], keep: int) -> list[str]:
    old = [name for name in complete(install_dir) if name not in needed]
    # The release that was in use until now is one of those to keep.
    spare = max(keep - sum(1 for name in needed[1:] if name and name != needed[0]), 0)
    removed = old[: max(len(old) - spare, 0)]
    for name in removed:
        shutil.rmtree(os.path.join(install_dir, "releases", name), ignore_errors=True)
    return removed


def _writable(directory: str) -> bool:
    while not os.path.isdir(directory):
        directory = os.path.dirname(directory) or "/"
    return os.access(directory, os.W_OK | os.X_OK)


class Failed(Exception):
    """A step of the installation did not work."""


def main() -> None:
    """Run one command and print its answer."""
    command, arguments = sys.argv[1], json.loads(sys.argv[2])
    try:
        commands: dict[str, t.Callable[..., dict[str, object]]] = {"probe": probe, "install": install}
        answer = commands[command](**arguments)
    except (Failed, OSError, tarfile.TarError) as exc:
        answer = {"error": str(exc)}
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
