# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The members of a site: users by address, or all users whose address fits a pattern such as ``*@branch.example``.

PRIVATE to the collection and to the service that it installs.
"""

from __future__ import annotations

from typing import Iterable, NamedTuple

from . import names

ANY = "*"


class Pattern(NamedTuple):
    """What stands before and after the star; an address without a star is the pattern of itself alone."""

    before: str
    after: str
    domain: str
    whole: bool
    """There is no star: ``before`` is the whole local part."""

    def fits(self, local: str) -> bool:
        """Whether a local part of this domain is meant."""
        if self.whole:
            return local == self.before
        long_enough = len(local) >= len(self.before) + len(self.after)
        return long_enough and local.startswith(self.before) and local.endswith(self.after)

    def meets(self, other: Pattern) -> bool:
        """Whether there can be an address that both mean."""
        if self.domain != other.domain:
            return False
        if self.whole:
            return other.fits(self.before)
        if other.whole:
            return self.fits(other.before)
        begins = self.before.startswith(other.before) or other.before.startswith(self.before)
        return begins and (self.after.endswith(other.after) or other.after.endswith(self.after))


def member(text: str) -> str:
    """The canonical text of a member; raises ValueError."""
    local, separator, host = text.partition("@")
    before, star, after = local.partition(ANY)
    if not star:
        return names.bare_address(text)
    if not separator or not host or "/" in text:
        raise ValueError(f"{text!r} is not a pattern of addresses")
    if ANY in after or ANY in host:
        raise ValueError(f"{text!r} has a star too many, or in the domain")
    parts = [names.localpart(part) if part else "" for part in (before, after)]
    return f"{parts[0]}{ANY}{parts[1]}@{names.unicode_domain(host)}"


def read(text: str) -> Pattern:
    """The pattern of a canonical member."""
    local, _unused, domain = text.partition("@")
    before, star, after = local.partition(ANY)
    return Pattern(before, after, domain, not star)


class Sites:
    """Which site an address belongs to. No two share one: where ``rival`` names another, the records are refused."""

    def __init__(self) -> None:
        self._whole: dict[str, str] = {}
        self._patterns: dict[str, list[tuple[Pattern, str]]] = {}

    def add(self, site: str, members: Iterable[str]) -> None:
        """Canonical members, addresses and patterns."""
        for text in members:
            pattern = read(text)
            if pattern.whole:
                self._whole[text] = site
            else:
                self._patterns.setdefault(pattern.domain, []).append((pattern, site))

    def site_of(self, address: str) -> str | None:
        """The site of a canonical bare address, None where it belongs to none."""
        site = self._whole.get(address)
        if site is not None or not self._patterns:
            return site
        local, _unused, domain = address.partition("@")
        return next((name for pattern, name in self._patterns.get(domain, ()) if pattern.fits(local)), None)

    def rival(self, text: str) -> str | None:
        """A site that has a member which may mean the same user as this one."""
        pattern = read(text)
        if pattern.whole:
            return self.site_of(text)
        for other, name in self._patterns.get(pattern.domain, ()):
            if pattern.meets(other):
                return name
        return next((name for other, name in self._whole.items() if pattern.meets(read(other))), None)
