# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules that every file of the repository keeps."""

from __future__ import annotations

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import tree
import yaml

HEADER = re.compile(r"SPDX-License-Identifier: GPL-3\.0-or-later")
PINNED = re.compile(r"^[A-Za-z0-9_.-]+==[^ ]+$")


def annotated() -> list[str]:
    """Patterns of files whose licence stands in REUSE.toml because they cannot say it themselves."""
    data = tomllib.loads((tree.ROOT / "REUSE.toml").read_text())
    return [pattern for entry in data["annotations"] for pattern in entry["path"]]


def test_every_file_states_its_licence() -> None:
    patterns = annotated()
    silent = [
        name
        for name in tree.checkout_files()
        if not (tree.ROOT / name).is_symlink()
        and (tree.ROOT / name).stat().st_size
        and not name.startswith(("LICENSES/", "COPYING"))
        and not any(fnmatch(name, pattern) for pattern in patterns)
        and not HEADER.search((tree.ROOT / name).read_text(encoding="utf-8", errors="replace")[:2000])
    ]
    assert not silent, "\n".join(silent)


def requirement_files() -> list[Path]:
    ours = (tree.ROOT / "requirements").glob("*.txt")
    roles = (tree.ROOT / "roles").rglob("requirements*.txt")
    return sorted([*ours, *roles])


def pins(path: Path) -> dict[str, str]:
    lines = [line.partition(" #")[0].strip() for line in path.read_text().splitlines()]
    wanted = [line for line in lines if line and not line.startswith(("#", "-", "\\"))]
    entries = [line.partition(";")[0].partition("\\")[0].strip() for line in wanted]
    loose = [entry for entry in entries if not PINNED.match(entry)]
    assert loose == [], f"{path} does not pin {loose}"
    return {name.lower().replace("_", "-"): version for name, version in (entry.split("==") for entry in entries)}


def test_everything_is_pinned_and_agrees() -> None:
    constraints = pins(tree.ROOT / "requirements/constraints.txt")
    for path in requirement_files():
        if path.name == "versions.txt":
            # Others on purpose.
            continue
        for name, version in pins(path).items():
            assert constraints.get(name, version) == version, f"{path.name} and constraints.txt differ in {name}"


def test_versions_agree() -> None:
    galaxy = yaml.safe_load((tree.ROOT / "galaxy.yml").read_text())
    service = (tree.ROOT / "roles/xmpp_edge/files/xmpp_edge/__init__.py").read_text()
    assert re.search(r'__version__ = "([^"]+)"', service)[1] == galaxy["version"]
    changes = yaml.safe_load((tree.ROOT / "changelogs/changelog.yaml").read_text())
    assert galaxy["version"] in changes["releases"]
