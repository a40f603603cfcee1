# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How each element and attribute name is written, worked out once.

The parser writes canonical XML while it reads. For that it walks from scope to scope: a scope knows, for the children
of elements in one namespace, the text of their tags and the scope of their own children.
"""

from __future__ import annotations

from typing import TypeAlias

from . import namespaces
from .escape import escape_attribute

SEPARATOR = "\x0c"
"""Between namespace and local name in expat's names. No XML document can hold it, so no name can be forged with it."""

LANG = f"{namespaces.XML}{SEPARATOR}lang"
"""expat's name for ``xml:lang``, the one attribute in a namespace that stanzas have."""

# Bytes for all names together, and how many each takes beside its characters, generously.
_MOST = 4 << 20
_OVERHEAD = 600


class Scope(dict[str, tuple[str, "Frame"]]):
    """The elements seen so far below a parent in one namespace, by expat's names.

    Each has its tag as far as the attributes, and its frame.
    """

    __slots__ = ("namespace", "vocabulary")

    def __init__(self, vocabulary: Vocabulary, namespace: str) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.namespace = namespace

    def __missing__(self, name: str) -> tuple[str, Frame]:
        namespace, _unused, local = name.rpartition(SEPARATOR)
        declaration = "" if namespace == self.namespace else f" xmlns='{escape_attribute(namespace)}'"
        opening = f"<{local}{declaration}"
        self[name] = entry = opening, (f"{opening}>", f"{opening}/>", f"</{local}>", self.vocabulary.scope(namespace))
        self.vocabulary.remember(name)
        return entry


Frame: TypeAlias = tuple[str, str, str, Scope]
"""An element: the tag that opens it, the same for an empty one, the tag that closes it, the scope of its children."""


class Vocabulary:
    """All scopes; shared by all parsers, and emptied when peers have filled it with too many names."""

    def __init__(self) -> None:
        self._scopes: dict[str, Scope] = {}
        self._remembered = 0

    def scope(self, namespace: str) -> Scope:
        """The scope for the children of an element in this namespace."""
        scope = self._scopes.get(namespace)
        if scope is None:
            scope = self._scopes[namespace] = Scope(self, namespace)
            self.remember(namespace)
        return scope

    def remember(self, name: str) -> None:
        """One more name is in the scopes."""
        # An entry has four texts with the name in them, beside the name.
        self._remembered += 5 * len(name) + _OVERHEAD
        if self._remembered > _MOST:
            for scope in self._scopes.values():
                scope.clear()
            self._scopes.clear()
            self._remembered = 0


def attributes(found: dict[str, str]) -> str:
    """The attributes of an element, by expat's names, in their order."""
    written = ""
    declared: dict[str, str] = {}
    for name, value in found.items():
        if SEPARATOR not in name:
            written += f" {name}='{escape_attribute(value)}'"
            continue
        namespace, _unused, local = name.rpartition(SEPARATOR)
        if namespace == namespaces.XML:
            prefix = "xml"
        elif namespace in declared:
            prefix = declared[namespace]
        else:
            prefix = declared[namespace] = f"ns{len(declared)}"
            written += f" xmlns:{prefix}='{escape_attribute(namespace)}'"
        written += f" {prefix}:{local}='{escape_attribute(value)}'"
    return written


def plain_attributes(found: dict[str, str]) -> dict[str, str]:
    """The attributes without a namespace, and ``xml:lang``; the others mean nothing to us."""
    return {
        "xml:lang" if name == LANG else name: value
        for name, value in found.items()
        if SEPARATOR not in name or name == LANG
    }
