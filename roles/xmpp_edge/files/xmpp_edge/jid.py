# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses in their one canonical form (RFC 6122), as values.

Whoever takes an address from outside makes a JID of it at once; gates, queues and the writer see only these. Two
spellings that an inside server would take for one account are equal here.
"""

from __future__ import annotations

from collections.abc import Callable

from .records import names
from .xml.escape import escape_attribute

_MOST_KEPT = 16384
# Longer ones are rare, and so many of them, made up one after the other, would fill a hundred megabytes.
_WORTH_KEEPING = 255
# Three parts of at most 1023 bytes each, and the two separators.
_LONGEST = 3071


class JIDError(ValueError):
    """The text is not an address; the message says why, for people."""


class JID:
    """One address; ``bare`` and ``full`` are its two written forms, ``attribute`` the full one between XML quotes.

    Do not change it: instances are shared.
    """

    __slots__ = ("attribute", "bare", "domain", "full", "local", "resource")

    def __init__(self, local: str | None, domain: str, resource: str | None = None) -> None:
        self.local = local
        self.domain = domain
        self.resource = resource
        self.bare = domain if local is None else f"{local}@{domain}"
        self.full = self.bare if resource is None else f"{self.bare}/{resource}"
        self.attribute = escape_attribute(self.full)

    @staticmethod
    def parse(text: str) -> JID:
        """The canonical address that a text names; raises JIDError."""
        return parse(text)

    def __str__(self) -> str:
        return self.full

    def __repr__(self) -> str:
        return f"JID({self.full!r})"

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, JID) and self.full == other.full)

    def __hash__(self) -> int:
        return hash(self.full)


class _Known(dict[str, JID]):
    """Addresses by the texts that name them; finding one takes no Python code."""

    def __missing__(self, text: str) -> JID:
        made = _parse(text)
        if len(text) <= _WORTH_KEEPING:
            if len(self) >= _MOST_KEPT:
                self.clear()
            self[text] = made
        return made


parse: Callable[[str], JID] = _Known().__getitem__
"""The canonical address that a text names; raises JIDError."""


def _parse(text: str) -> JID:
    if len(text) > _LONGEST:
        raise JIDError("the address is too long")
    # RFC 6122, section 2.1: the first / ends the bare address, so an @ behind it belongs to the resource.
    bare, slash, resource = text.partition("/")
    local, at, domain = bare.partition("@")
    if not at:
        local, domain = "", bare
    if (at and not local) or (slash and not resource):
        raise JIDError(f"{text!r} has an empty part")
    try:
        return JID(
            names.localpart(local) if at else None,
            names.unicode_domain(domain),
            names.resource(resource) if slash else None,
        )
    except ValueError as exc:
        raise JIDError(str(exc)) from None
