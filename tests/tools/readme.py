# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The parts of the READMEs that come from elsewhere: ``readme.py --write`` or ``readme.py --check``.

The tables of role variables are written from the roles' argument specs, between marks of the form
``<!-- variables xmpp_edge: begin -->`` and ``<!-- variables xmpp_edge: end -->``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
MARKED = re.compile(r"(<!-- variables (\w+): begin -->\n).*?(<!-- variables \2: end -->)", re.DOTALL)
MARKUP = re.compile(r"\b[CEOVMP]\(([^()]*)\)")


def plain(text: str | list[str]) -> str:
    """A description without Ansible's markup, fit for a table's cell."""
    whole = text if isinstance(text, str) else " ".join(text)
    return MARKUP.sub(lambda found: f"`{found[1].partition('#')[0]}`", whole).replace("|", "\\|").replace("\n", " ")


def options_of(role: str) -> dict[str, dict[str, Any]]:
    """Every variable of a role, whichever of its entry points takes it."""
    specs = yaml.safe_load((ROOT / "roles" / role / "meta/argument_specs.yml").read_text(encoding="utf-8"))
    merged: dict[str, dict[str, Any]] = {}
    for entry in specs["argument_specs"].values():
        for name, option in (entry.get("options") or {}).items():
            known = merged.setdefault(name, option)
            if known is not option and known != option:
                # One entry point may insist on what another does without.
                merged[name] = {**known, "required": bool(known.get("required") and option.get("required"))}
    return merged


def kind(option: dict[str, Any]) -> str:
    """Type of an option, with the values that it knows."""
    if option.get("choices"):
        return " or ".join(f"`{choice}`" for choice in option["choices"])
    name = option.get("type", "str")
    return f"list of {option['elements']}" if name == "list" and option.get("elements") else str(name)


def default(option: dict[str, Any], nested: bool) -> str:
    if option.get("required"):
        return "required"
    if "default" not in option:
        # A key of an entry has the default of the module that it is handed to.
        return "" if nested else "not managed"
    value = option["default"]
    shown = str(value).lower() if isinstance(value, bool) else str(value).replace("|", "\\|")
    return "empty" if value in ("", [], {}) else f"`{shown}`"


def rows(options: dict[str, dict[str, Any]], leaves: bool, prefix: str = "") -> Iterator[str]:
    for name, option in sorted(options.items(), key=lambda item: item[0]):
        cells = [f"`{prefix}{name}`", kind(option), default(option, bool(prefix)), plain(option["description"])]
        yield f"| {' | '.join(cells)} |"
        inner = option.get("options")
        if inner and leaves:
            mark = "[]." if option.get("type") == "list" else "."
            yield from rows(inner, leaves, f"{prefix}{name}{mark}")


def table(role: str, leaves: bool) -> str:
    head = ["| variable | type | default | meaning |", "| --- | --- | --- | --- |"]
    return "\n".join([*head, *rows(options_of(role), leaves)]) + "\n"


def render(path: Path) -> str:
    """A page with its tables as the roles are now; the keys of a variable are on the page of its role alone."""
    leaves = path != README
    return MARKED.sub(lambda found: found[1] + table(found[2], leaves) + found[3], path.read_text(encoding="utf-8"))


def pages() -> list[Path]:
    return [README, *sorted(ROOT.glob("roles/*/README.md"))]


def main(arguments: list[str]) -> int:
    stale = []
    for path in pages():
        wanted = render(path)
        if arguments == ["--write"]:
            path.write_text(wanted, encoding="utf-8")
        elif wanted != path.read_text(encoding="utf-8"):
            stale.append(str(path.relative_to(ROOT)))
    if stale:
        print(f"{', '.join(stale)}: not the variables as they are; run `make docs`")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
