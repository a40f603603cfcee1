# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copies of the collection as Ansible wants to see them.

Ansible's own tools insist on a path that ends in ``ansible_collections/xmpp/federation`` and refuse a link there, so
they get a copy of what the checkout holds: everything that git knows or would know, and nothing that it ignores.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INSIDE = Path("ansible_collections", "xmpp", "federation")


def checkout_files() -> list[str]:
    """Paths of the checkout's files, relative to its root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout.decode()
    return sorted(name for name in set(listed.split("\0")) if name and os.path.lexists(ROOT / name))


def copy_checkout(destination: Path) -> Path:
    """Copy the checkout below `destination`; returns the path of the collection there."""
    home = destination / INSIDE
    for name in checkout_files():
        target = home / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target, follow_symlinks=False)
    return home


def build(destination: Path, galaxy: str = "ansible-galaxy") -> Path:
    """Build the collection's tarball from a copy of the checkout; returns its path."""
    source = copy_checkout(destination / "source")
    command = [galaxy, "collection", "build", "--force", "--output-path", str(destination), str(source)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (tarball,) = destination.glob("xmpp-federation-*.tar.gz")
    return tarball
