# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pack the service into one wheel. Private to this collection.

This runs on the control node. The same sources give the same bytes, whatever the checkout's times, modes,
umask or order of directory entries are, because the bytes name the release.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import zipfile

PACKAGE = "xmpp_edge"
SCRIPT = "xmpp-edge"

# Raise it when a release that is made in another way has to replace one of the same sources.
LAYOUT = "1"

_CARRIED = (".py", ".json", ".typed")
_EPOCH = (1980, 1, 1, 0, 0, 0)
_VERSION = re.compile(r"""^__version__ *(?:: *[\w.]+ *)?= *["']([0-9][^"']*)["']""", re.MULTILINE)


def sources(root: str) -> dict[str, bytes]:
    """Return the service's files, by their name in the wheel; links to files are followed."""
    found = {}
    top = os.path.join(root, PACKAGE)
    for directory, subdirectories, names in os.walk(top):
        subdirectories[:] = [name for name in subdirectories if name != "__pycache__" and not name.startswith(".")]
        for name in names:
            if name.startswith(".") or not name.endswith(_CARRIED):
                continue
            path = os.path.join(directory, name)
            with open(path, "rb") as stream:
                found[os.path.relpath(path, root).replace(os.sep, "/")] = stream.read()
    if f"{PACKAGE}/__init__.py" not in found:
        raise ValueError(f"{top} does not hold the service: its __init__.py is missing")
    return found


def version(files: dict[str, bytes]) -> str:
    """Return the version that the sources state of themselves."""
    match = _VERSION.search(files[f"{PACKAGE}/__init__.py"].decode("utf-8"))
    return match.group(1) if match else "0"


def requirements(text: str) -> list[str]:
    """Return the requirements in a pinned file, without comments; anything that is not pinned is an error."""
    lines = [line.split("#", 1)[0].strip() for line in text.splitlines()]
    pinned = [line for line in lines if line]
    loose = [line for line in pinned if "==" not in line]
    if loose:
        raise ValueError(f"not pinned to one version: {', '.join(loose)}")
    return pinned


def wheel_name(files: dict[str, bytes]) -> str:
    """Return the file name under which pip takes the wheel."""
    return f"{PACKAGE}-{version(files)}-py3-none-any.whl"


def wheel(files: dict[str, bytes], pinned: list[str]) -> bytes:
    """Return the wheel as bytes."""
    info = f"{PACKAGE}-{version(files)}.dist-info"
    content = dict(files)
    content[f"{info}/METADATA"] = _metadata(version(files), pinned)
    content[f"{info}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: xmpp.federation\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    content[f"{info}/entry_points.txt"] = f"[console_scripts]\n{SCRIPT} = {PACKAGE}.cli:main\n".encode()
    record = f"{info}/RECORD"
    content[record] = _record(content, record)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(content):
            archive.writestr(_entry(name), content[name])
    return buffer.getvalue()


def sources_hash(packed: bytes, pinned: list[str]) -> str:
    """Return the hash of all that the control node has a say in; the host adds its Python and architecture."""
    digest = hashlib.sha256()
    for part in (LAYOUT.encode(), "\n".join(pinned).encode(), packed):
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


def release_hash(of_sources: str, python: str, platform: str) -> str:
    """Return the name of the release of these sources for this Python (such as C(3.11)) and platform."""
    return hashlib.sha256(f"{of_sources}\n{python}\n{platform}".encode()).hexdigest()[:16]


def _metadata(number: str, pinned: list[str]) -> bytes:
    lines = ["Metadata-Version: 2.1", f"Name: {PACKAGE.replace('_', '-')}", f"Version: {number}"]
    lines += ["Requires-Python: >=3.11", "License: GPL-3.0-or-later"]
    lines += [f"Requires-Dist: {requirement}" for requirement in pinned]
    return ("\n".join(lines) + "\n").encode()


def _record(content: dict[str, bytes], own_name: str) -> bytes:
    lines = []
    for name in sorted(content):
        digest = base64.urlsafe_b64encode(hashlib.sha256(content[name]).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(content[name])}")
    return ("\n".join([*lines, f"{own_name},,"]) + "\n").encode()


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.create_system = 3
    entry.external_attr = 0o100644 << 16
    return entry
