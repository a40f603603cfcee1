# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two legal values for an option, and what has to come out when one takes the place of the other.

The options themselves come from the argument specs, so that an option without values is a test that fails.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

# Every secret in the tables contains this, so that it can be looked for wherever nothing secret may be.
SECRET = "hush-hush-hush-hush"

Steps = tuple[tuple[str, dict[str, Any]], ...]


class Option(NamedTuple):
    """What an option is set to first and then; a text may name ``{tmp}``, a directory of the test's own.

    ``beside`` is given along with it where the option alone means nothing, ``then`` along with the second value only.
    ``base`` stands instead of the options that all calls of the table have. ``before`` are calls that come first.
    ``shown`` is what the diff names; without it, the option itself in the subject of the table.
    """

    first: Any
    second: Any
    beside: Mapping[str, Any] = {}
    then: Mapping[str, Any] = {}
    base: Mapping[str, Any] | None = None
    before: Steps = ()
    shown: frozenset[str] | None = None


def shown(*paths: str) -> frozenset[str]:
    return frozenset(paths)


def options_of(spec: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """All options; those of a list's entries are those of a single call again."""
    for name, one in spec.items():
        if one["type"] == "dict" and "options" in one:
            yield from options_of(one["options"], f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def given(option: str, value: Any) -> dict[str, Any]:
    """The option with its value, ``inside.port`` as ``{"inside": {"port": ...}}``."""
    outer, _dot, inner = option.partition(".")
    return {outer: given(inner, value)} if inner else {outer: value}


def merged(*parts: Mapping[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for part in parts:
        for key, value in part.items():
            old = result.get(key)
            result[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def placed(value: Any, directory: Path) -> Any:
    if isinstance(value, str):
        return value.replace("{tmp}", str(directory))
    if isinstance(value, Mapping):
        return {key: placed(one, directory) for key, one in value.items()}
    return [placed(one, directory) for one in value] if isinstance(value, list) else value


def differences(diff: Mapping[str, Any]) -> frozenset[str]:
    """What a diff names: subjects, and within records that stand on both sides the keys that differ."""
    before, after = diff["before"], diff["after"]
    found: set[str] = set()
    for subject in {*before, *after}:
        old, new = before.get(subject), after.get(subject)
        assert old != new, f"{subject} does not change, and has no place in the diff"
        found.update(f"{subject}{path}" for path in _paths(old, new))
    return frozenset(found)


def _paths(old: Any, new: Any, separator: str = "/") -> Iterator[str]:
    if not (isinstance(old, dict) and isinstance(new, dict)):
        yield ""
        return
    for key in {*old, *new}:
        if old.get(key) != new.get(key):
            yield from (f"{separator}{key}{path}" for path in _paths(old.get(key), new.get(key), "."))


def change(
    lawful: Callable[..., dict[str, Any]],
    module: str,
    option: str,
    one: Option,
    base: Mapping[str, Any],
    directory: Path,
    wrap: Callable[[dict[str, Any]], dict[str, Any]] = dict,
) -> dict[str, Any]:
    """Set the first value and then the second, each time as somebody does who looks first; what the second did."""
    where = {"config_dir": str(directory / "etc")}
    for name, options in one.before:
        lawful(name, **{**where, **placed(options, directory)})
    base = base if one.base is None else one.base
    done: dict[str, Any] = {}
    for value, more in ((one.first, {}), (one.second, one.then)):
        options = placed(merged(base, one.beside, given(option, value), more), directory)
        done = lawful(module, **{**where, **wrap(options)})
        assert "failed" not in done, done
        assert SECRET not in json.dumps(done)
    assert done["changed"] is True
    return done
