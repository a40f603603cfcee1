# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The archive of wheels that travels to hosts without a package index. Private to this collection.

This runs on the control node. One archive serves hosts of several platforms and Python versions.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import typing as t

# The oldest C library that the wheels of our requirements are built for.
_OLDEST_GLIBC = 17


def wheels(archive: str) -> dict[str, bytes]:
    """Return the archive's wheels by name; none when there is no archive yet."""
    if not os.path.exists(archive):
        return {}
    found = {}
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                stream = tar.extractfile(member)
                if stream is not None:
                    found[member.name] = stream.read()
    except tarfile.TarError as exc:
        raise ValueError(f"{archive} is not a wheelhouse ({exc}); remove it, or name another file") from exc
    return found


def platforms(host: dict[str, t.Any]) -> list[str]:
    """Return the platform tags whose wheels this host can use, newest first."""
    libc, number = host["libc"]
    machine = str(host["platform"]).split("-", 1)[1].replace("-", "_").replace(".", "_")
    if libc != "glibc":
        raise ValueError(
            f"wheels can be downloaded for hosts with the GNU C library only; this one has {libc or 'another'}"
        )
    minor = int(number.split(".")[1])
    tags = [f"manylinux_2_{level}_{machine}" for level in range(minor, _OLDEST_GLIBC - 1, -1)]
    return [*tags, f"manylinux2014_{machine}"]


def missing(archive: str, pinned: list[str], host: dict[str, t.Any]) -> list[str]:
    """Return the requirements that the archive has no wheel of for this host."""
    present = wheels(archive)
    return [requirement for requirement in pinned if not any(_fits(name, requirement, host) for name in present)]


def add(archive: str, wanted: list[str], pinned: list[str], host: dict[str, t.Any]) -> None:
    """Download the wheels of the wanted requirements into the archive; wheels of versions no longer pinned leave it."""
    with tempfile.TemporaryDirectory() as directory:
        _download(directory, wanted, host)
        content = {name: data for name, data in wheels(archive).items() if any(_is_of(name, one) for one in pinned)}
        for name in os.listdir(directory):
            with open(os.path.join(directory, name), "rb") as stream:
                content[name] = stream.read()
    _write(archive, content)


def _download(directory: str, wanted: list[str], host: dict[str, t.Any]) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
    command += ["--only-binary=:all:", "--no-deps", "--implementation", "cp", "--dest", directory]
    command += ["--python-version", _short(host)]
    for tag in platforms(host):
        command += ["--platform", tag]
    done = subprocess.run(
        [*command, *wanted], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode:
        lines = done.stdout.decode("utf-8", "replace").strip().splitlines()
        raise ValueError("pip download failed on the control node: " + " / ".join(lines[-6:]))


def _write(archive: str, content: dict[str, bytes]) -> None:
    os.makedirs(os.path.dirname(os.path.abspath(archive)), exist_ok=True)
    fresh = f"{archive}.new"
    with tarfile.open(fresh, "w") as tar:
        for name in sorted(content):
            member = tarfile.TarInfo(name)
            member.size = len(content[name])
            tar.addfile(member, io.BytesIO(content[name]))
    os.replace(fresh, archive)


def _fits(name: str, requirement: str, host: dict[str, t.Any]) -> bool:
    """Tell whether a wheel of this name serves the requirement on the host."""
    if not _is_of(name, requirement):
        return False
    python, abi, platform = name[: -len(".whl")].split("-")[-3:]
    fits_platform = platform == "any" or bool(set(platform.split(".")) & set(platforms(host)))
    return fits_platform and any(_fits_python(tag, abi, host) for tag in python.split("."))


def _is_of(name: str, requirement: str) -> bool:
    """Tell whether a wheel of this name is of the required distribution and version, for whichever host."""
    parts = name[: -len(".whl")].split("-")
    wanted, number = requirement.split(";", maxsplit=1)[0].strip().split("==")
    return len(parts) >= 5 and (_plain(parts[0]), parts[1]) == (_plain(wanted), number.strip())


def _fits_python(tag: str, abi: str, host: dict[str, t.Any]) -> bool:
    own = "cp" + _short(host).replace(".", "")
    if tag in (own, "py3", "py" + own[2:]):
        return True
    # The stable ABI of an older version serves all later ones.
    return "abi3" in abi.split(".") and tag.startswith("cp3") and int(tag[3:]) <= int(own[3:])


def _short(host: dict[str, t.Any]) -> str:
    return ".".join(str(host["python_version"]).split(".")[:2])


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.split("[", maxsplit=1)[0].strip()).lower()
