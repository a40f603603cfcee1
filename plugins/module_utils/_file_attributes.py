# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mode, owner and group of what stands beside the records: keys, certificates, revocation lists.

PRIVATE to the collection.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import Any

from . import _store as store


def make_directory(path: str) -> None:
    """One that is not there yet, closed to all until it has its owner."""
    if not os.path.isdir(path):
        os.mkdir(path, 0o700)
        set_attributes(path)


def _wanted(path: str, mode: int | None = None) -> tuple[int, int, int]:
    """Mode, owner and group: those of the directory above, as far as they can be given and are passed on."""
    status, above = os.lstat(path), os.stat(os.path.dirname(path))
    inherits = bool(above.st_mode & stat.S_ISGID)
    if mode is None:
        mode = store.DIRECTORY_MODE if stat.S_ISDIR(status.st_mode) else store.FILE_MODE
    if inherits and stat.S_ISDIR(status.st_mode):
        mode |= stat.S_ISGID
    owner = above.st_uid if os.geteuid() == 0 else status.st_uid
    return mode, owner, above.st_gid if inherits else status.st_gid


def attributes_of(path: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Mode, owner and group by name, as they are and as they are to be."""
    status = os.lstat(path)
    found = (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
    return _shown(found), _shown(_wanted(path))


def _shown(attributes: tuple[int, int, int]) -> dict[str, Any]:
    mode, owner, group = attributes
    return {"mode": f"{mode:04o}", "owner": store._user(owner), "group": store._group(group)}


def set_attributes(path: str, mode: int | None = None) -> None:
    """Give it what it is to have; another mode only where one is said."""
    mode, owner, group = _wanted(path, mode)
    # Only root, or a member of the group, may do this; a file of the caller's own group still serves the caller.
    with contextlib.suppress(PermissionError):
        os.chown(path, owner, group)
    os.chmod(path, mode)
