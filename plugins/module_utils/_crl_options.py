# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of ``edge_crl``, checked: which lists are wanted, and under which names.

PRIVATE to the collection.
"""

from __future__ import annotations

import os
import re
from typing import Any, Mapping, NamedTuple
from urllib.parse import unquote, urlsplit

from ._module import CONFIG_DIR, Entry, entries, optional
from ._records.errors import Problem, RecordError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")
_ENTRY: dict[str, dict[str, Any]] = {
    "name": {"type": "str"},
    "url": {"type": "str"},
    "src": {"type": "path"},
    "state": {"type": "str", "choices": ["present", "absent"]},
}


class Wanted(NamedTuple):
    """One list: where the user has written it, the name of its file, and where it comes from."""

    where: str
    name: str
    url: str | None
    src: str | None
    state: str

    @property
    def source(self) -> str:
        return self.url or self.src or ""


def argument_spec() -> dict[str, dict[str, Any]]:
    return {
        **optional(_ENTRY),
        "crls": {"type": "list", "elements": "dict", "options": _ENTRY},
        "purge": {"type": "bool"},
        "strict": {"type": "bool"},
        "timeout": {"type": "int", "default": 20},
        "config_dir": CONFIG_DIR,
    }


def wanted(params: Mapping[str, Any]) -> list[Wanted]:
    """The lists of this call; RecordError with everything that is wrong."""
    problems: list[Problem] = []
    if not 1 <= params["timeout"] <= 600:
        problems.append(
            Problem("", "timeout", f"{params['timeout']} is out of range", "choose a number from 1 to 600 seconds")
        )
    found: dict[str, Wanted] = {}
    for entry in entries(params, "crls", _ENTRY, "name", problems):
        one = _one(entry, problems)
        if one is None:
            continue
        if one.name in found:
            message = f"{one.name} is the name of {found[one.name].where or 'another'} already"
            problems.append(Problem(one.where, "name", message, "give one of the two another name"))
        found.setdefault(one.name, one)
    if problems:
        raise RecordError(problems)
    return list(found.values())


def _one(entry: Entry, problems: list[Problem]) -> Wanted | None:
    options = entry.options
    before = len(problems)
    state, url, src = options.get("state", "present"), options.get("url"), options.get("src")

    def report(key: str, message: str, remedy: str) -> None:
        problems.append(Problem(entry.where, key, message, remedy))

    if state == "present" and (url is None) == (src is None):
        report("url", "url and src are both given" if url else "neither url nor src is given", "give one of the two")
    if url is not None:
        _check_url(url, report)
    if src is not None and not os.path.isabs(src):
        report("src", f"{src!r} is not an absolute path", "write a path that begins with /")
    name = options.get("name") or _name_of(url or src or "")
    remedy = "give a name of letters, digits, hyphens, underscores and dots"
    if name and not _NAME.match(name):
        report("name", f"{name!r} cannot be the name of a file here", remedy)
    elif not name and len(problems) == before:
        what = f"this is missing, and {url or src} ends in none" if url or src else "this is missing"
        report("name", what, remedy)
    return Wanted(entry.where, name, url, src, state) if len(problems) == before else None


def _check_url(url: str, report: Any) -> None:
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        secret = parts.username is not None or parts.password is not None
    except ValueError:
        fits = secret = False
    if secret:
        report("url", "it holds a name or a password, which everybody would get to see", "write it without")
    elif not fits:
        shown = "this" if "@" in url else repr(url)
        report("url", f"{shown} is not an address that lists are fetched from", "write one with http:// or https://")


def _name_of(source: str) -> str:
    """The last part of where it comes from."""
    try:
        path = urlsplit(source).path
    except ValueError:
        path = ""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", unquote(path.rstrip("/").rpartition("/")[2])).lstrip("._-")[:100]
