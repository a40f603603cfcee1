# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What docs/architecture.md says about the service is so: its modules, and who imports whom."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import tree

PACKAGE = tree.ROOT / "roles" / "xmpp_edge" / "files" / "xmpp_edge"
TEXT = (tree.ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
WITHOUT_IO = ("gates", "jid", "records", "stream", "xml")
OF_IO = {"asyncio", "net", "OpenSSL", "select", "socket", "ssl"}


def modules(folder: Path) -> set[str]:
    return {path.stem for path in folder.glob("*.py") if not path.stem.startswith("__")}


def test_each_module_stands_in_the_text_and_no_other() -> None:
    named = {}
    for section in TEXT.split("\n### ")[1:]:
        title, _unused, body = section.partition("\n")
        listed = "".join(re.findall(r"^(?:- |  ).*\n", body.partition("\n## ")[0], re.MULTILINE))
        package = re.match(r"`(\w+)`", title)
        named[package[1] if package else ""] = set(re.findall(r"`(\w+)`", listed))
    there = {path.parent.name: modules(path.parent) for path in PACKAGE.glob("*/__init__.py")} | {"": modules(PACKAGE)}
    assert named == there


def imports(path: Path) -> Iterator[str]:
    """The parts of all names that a module imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (part for alias in node.names for part in alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            yield from (node.module or "").split(".")
            yield from (alias.name for alias in node.names)


def test_the_protocol_knows_nothing_of_sockets() -> None:
    guilty = [
        f"{path.relative_to(PACKAGE)}: {name}"
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).with_suffix("").parts[0] in WITHOUT_IO
        for name in imports(path)
        if name in OF_IO
    ]
    assert not guilty


def test_only_the_command_line_imports_the_service() -> None:
    assert [path.name for path in PACKAGE.rglob("*.py") if "service" in imports(path)] == ["cli.py"]
