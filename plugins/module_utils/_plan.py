# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans: what a run changes. ``changed``, the diff and the writes all come from one plan.

PRIVATE to the collection.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Iterable, Mapping

from ._records import files
from ._records.fields import Fields

HIDDEN = "********"
HIDDEN_NEW = "******** (another)"


@dataclass(frozen=True)
class Change:
    """One thing that becomes another; ``None`` stands for not being there. Secrets are hidden already."""

    subject: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Draft:
    """What a module makes of its options: changes to records, and the values that its files are to hold."""

    changes: tuple[Change, ...]
    values: Mapping[str, Any]
    results: Mapping[str, Any]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class FileState:
    """A record file as found: its text (None where it is missing) and what is wrong with its mode and owners."""

    path: str
    text: str | None
    found: Mapping[str, Any] = field(default_factory=dict)
    wanted: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """All that a run does, in order."""

    changes: tuple[Change, ...]
    writes: Mapping[str, str]
    results: Mapping[str, Any]
    warnings: tuple[str, ...]

    @property
    def changed(self) -> bool:
        return bool(self.changes)

    def diff(self) -> dict[str, Any]:
        return {
            "before": {change.subject: change.before for change in self.changes if change.before is not None},
            "after": {change.subject: change.after for change in self.changes if change.after is not None},
        }


def compare(
    subject: str, before: Mapping[str, Mapping[str, Any]], after: Mapping[str, Mapping[str, Any]]
) -> list[Change]:
    """The changes between two sets of records, by their keys in order."""
    return [
        Change(f"{subject} {key}", before.get(key), after.get(key))
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key)
    ]


def hide(fields: Fields, before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two records with their secrets out of sight; a secret that changes can still be seen to change."""
    shown_before, shown_after = dict(before), dict(after)
    for name, one in fields.items():
        if one.secret:
            same = before[name] == after[name]
            shown_before[name] = HIDDEN if before[name] else ""
            shown_after[name] = (HIDDEN if same or not before[name] else HIDDEN_NEW) if after[name] else ""
    return shown_before, shown_after


def complete(
    draft: Draft,
    current: Mapping[str, Any],
    directory: str,
    directory_exists: bool,
    found: Mapping[str, FileState],
) -> Plan:
    """Add what happens to the files themselves: a directory made, a mode or a form put right."""
    writes: dict[str, str] = {}
    repairs: list[Change] = []
    for kind in sorted(draft.values, key=write_order):
        state = found[kind]
        text = files.encode(kind, draft.values[kind])
        if state.text is None:
            if text != files.encode(kind, files.empty(kind)):
                writes[kind] = text
            continue
        if state.text != text:
            writes[kind] = text
            if current[kind] == draft.values[kind]:
                repairs.append(Change(f"form of {state.path}", "edited by hand", "canonical"))
        if state.found != state.wanted:
            writes[kind] = text
            repairs.append(Change(f"file {state.path}", dict(state.found), dict(state.wanted)))
    made = [Change(f"directory {directory}", None, {"mode": "0750"})] if writes and not directory_exists else []
    return Plan((*made, *repairs, *draft.changes), writes, draft.results, draft.warnings)


def write_order(kind: str) -> tuple[bool, str]:
    """Secrets first: an older record of the edge must find its secrets, a newer one as well."""
    return kind != "secrets", kind


def grouped(notes: Iterable[tuple[str, str]], separator: str = "; ") -> str:
    """One text for many notes: each said once, with whom it is about."""
    about: dict[str, list[str]] = {}
    for text, whom in notes:
        about.setdefault(text, []).append(whom)
    return separator.join(f"{listed(whom)}: {text}" for text, whom in about.items())


def listed(words: list[str], most: int = 5) -> str:
    """The first few words, and how many more there are."""
    shown = ", ".join(words[:most])
    return f"{shown} and {len(words) - most} more" if len(words) > most else shown
