# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the service reads beside the records: certificates in use, CA files that a record names, revocation lists.

They are part of the hash of what the service runs. So whoever compares that hash with the disk sees that one of them is
another now, no matter who has put it there or whether anybody was told.

PRIVATE to the collection and to the service that it installs.
"""

from __future__ import annotations

import hashlib
import os
import stat
from typing import Any, Iterator, Mapping, Sequence

ASSIGNED, CRLS = "assigned", "crls"
PREVIOUS = ".previous"
# The key goes without: it never changes beside a certificate, and whoever looks at a hash need not be able to read it.
CERTIFICATE_FILES = ("cert.pem", "chain.pem")
# Where systems keep the CAs that they trust.
STORES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # RHEL
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)
LARGEST = 64 * 1024 * 1024
_CHUNK = 1024 * 1024


def read(directory: str, edge: Mapping[str, Any], partners: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The hash of each such file by its path, which is relative where it stands in the directory of the records."""
    return {
        path: content_hash(os.path.join(directory, path))
        for path in sorted({*_named(edge, partners), *_own(directory)})
    }


def _named(edge: Mapping[str, Any], partners: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    named = (edge["ca_file"], edge["inside"]["ca_file"], *(record["ca_file"] for record in partners))
    return (path for path in named if path)


def _own(directory: str) -> Iterator[str]:
    for usage in assigned(directory):
        yield from (os.path.join(ASSIGNED, usage, name) for name in CERTIFICATE_FILES)
    for path in revocation_lists(directory):
        yield os.path.join(CRLS, os.path.basename(path))


def assigned(directory: str) -> list[str]:
    """The usages that have a certificate; what was in use before is no candidate."""
    above = os.path.join(directory, ASSIGNED)
    return [
        name for name in _visible(above) if not name.endswith(PREVIOUS) and os.path.isdir(os.path.join(above, name))
    ]


def revocation_lists(directory: str) -> list[str]:
    """The paths of all revocation lists."""
    above = os.path.join(directory, CRLS)
    return [path for path in (os.path.join(above, name) for name in _visible(above)) if os.path.isfile(path)]


def content_hash(path: str) -> str:
    """The SHA-256 of the content; a word where there is none, because that too is a state that can change."""
    total = hashlib.sha256()
    try:
        # Not to be held up by a pipe that somebody has put there.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST:
                return "unfit"
            for chunk in iter(lambda: stream.read(_CHUNK), b""):
                total.update(chunk)
    except FileNotFoundError:
        return "missing"
    except OSError:
        return "unreadable"
    return total.hexdigest()


def _visible(directory: str) -> list[str]:
    """Names without those of files that are only being written."""
    try:
        return sorted(name for name in os.listdir(directory) if not name.startswith("."))
    except OSError:
        return []
