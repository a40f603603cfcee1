# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections that have proven nothing yet, by the address that they come from.

When there are too many, one has to go from whoever has most of them: a flood from one address pushes out itself, not
the partner that has just connected. Every step takes the same time however many there are.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Generic, TypeVar

Each = TypeVar("Each")


class Strangers(Generic[Each]):
    """All of them, oldest first."""

    def __init__(self) -> None:
        self._all: dict[Each, str] = {}
        self._by_address: dict[str, dict[Each, None]] = {}
        self._by_number: dict[int, dict[str, None]] = {}
        """Which addresses have so many; in the order in which they came to have them."""
        self._most = 0

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Each]:
        return iter(self._all)

    def __reversed__(self) -> Iterator[Each]:
        return reversed(self._all)

    def __contains__(self, one: object) -> bool:
        return one in self._all

    @property
    def addresses(self) -> int:
        """How many addresses they come from."""
        return len(self._by_address)

    def add(self, one: Each, address: str) -> int:
        """How many there are from its address, with this one."""
        self._all[one] = address
        same = self._by_address.setdefault(address, {})
        same[one] = None
        number = len(same)
        self._move(address, number - 1, number)
        self._most = max(self._most, number)
        return number

    def remove(self, one: Each) -> None:
        """It is gone, or has proven itself; without effect for one that is not here."""
        address = self._all.pop(one, None)
        if address is None:
            return
        same = self._by_address[address]
        del same[one]
        number = len(same)
        if not number:
            del self._by_address[address]
        self._move(address, number + 1, number)
        if self._most not in self._by_number:
            # Numbers change by one, so what is next is here, or nobody is.
            self._most -= 1

    def first_to_go(self) -> Each:
        """The oldest of the address that has most of them."""
        address = next(iter(self._by_number[self._most]))
        return next(iter(self._by_address[address]))

    def _move(self, address: str, before: int, after: int) -> None:
        if before:
            others = self._by_number[before]
            del others[address]
            if not others:
                del self._by_number[before]
        if after:
            self._by_number.setdefault(after, {})[address] = None


def address_key(peer: str) -> str:
    """What counts as one address: an IPv4 address, or a /64 of IPv6."""
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return peer
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.IPv6Network((address, 64), strict=False))
    return str(address)
