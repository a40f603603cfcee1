# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole desired state of one edge, as the service and the modules read it from its directory.

PRIVATE to the collection and to the service that it installs.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from typing import Any

from . import files, material, partner
from .errors import Problem, RecordError


@dataclass(frozen=True)
class Desired:
    """Everything in normal form. The global policy is there only where it was written; missing means closed."""

    edge: dict[str, Any]
    partners: list[dict[str, Any]]
    policies: list[dict[str, Any]]
    grants: dict[str, str]
    grant_to_all: str | None
    secrets: dict[str, Any]
    material: dict[str, str] = field(default_factory=dict)
    """The certificates and lists that count beside the records, as hashes by path; filled where a directory is read."""

    def digest(self) -> str:
        """A hash of all that the service goes by, the same for every way to write the records down."""
        total = hashlib.sha256()
        for kind in files.KINDS:
            total.update(files.encode(kind, self.part(kind)).encode("utf-8"))
        for path, content in sorted(self.material.items()):
            total.update(f"{path}\0{content}\0".encode("utf-8", "surrogateescape"))
        return total.hexdigest()

    def part(self, kind: str) -> Any:
        if kind == "policies":
            return {"policies": self.policies, "grants": self.grants, "grant_to_all": self.grant_to_all}
        return getattr(self, kind)


def path_of(directory: str, kind: str) -> str:
    return os.path.join(directory, files.file_name(kind))


def read_text(path: str) -> str | None:
    """The text of a record file, None where there is no such file."""
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise RecordError([Problem(path, "", "this is not a UTF-8 text", files.REMEDY)]) from None
    except OSError as exc:
        raise RecordError(
            [Problem(path, "", f"it cannot be read ({exc.strerror})", "make it a file that may be read")]
        ) from None


def load(directory: str) -> Desired:
    """Read the four files; RecordError with all that is wrong in any of them or between them."""
    state = assemble({kind: read_text(path_of(directory, kind)) for kind in files.KINDS}, directory)
    state.material.update(material.read(directory, state.edge, state.partners))
    return state


def decode_all(texts: dict[str, str | None], directory: str) -> dict[str, Any]:
    """What each of these texts says by itself (None for a missing file), by kind."""
    problems: list[Problem] = []
    parts: dict[str, Any] = {}
    for kind, text in texts.items():
        try:
            parts[kind] = files.empty(kind) if text is None else files.decode(kind, text, path_of(directory, kind))
        except RecordError as exc:
            problems.extend(exc.problems)
    if problems:
        raise RecordError(problems)
    return parts


def assemble(texts: dict[str, str | None], directory: str) -> Desired:
    """The state that these texts of the four files make together."""
    parts = decode_all(texts, directory)
    problems: list[Problem] = []
    where = {f"{path_of(directory, 'partners')}: {entry['domain']}": entry for entry in parts["partners"]}
    # Grants to users of a domain that is no longer ours stay harmless: such an address is refused before its policy is
    # looked at. Two files cannot change at one moment, so this state has to be loadable.
    partner.check_all(where, {name: path_of(directory, "edge") for name in parts["edge"]["domains"]}, problems)
    if problems:
        raise RecordError(problems)
    policies = parts.pop("policies")
    return Desired(**parts, **policies)


def digest(directory: str) -> str:
    """The hash of what the directory says now."""
    return load(directory).digest()
