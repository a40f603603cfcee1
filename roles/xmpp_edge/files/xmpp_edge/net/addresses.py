# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses that DNS gives: in which order they are tried, and which of them no partner has.

Whoever writes a partner's zone chooses where we connect to, and a forged request for dialback makes us do it. So what
leads back into this host, or to what only this host sees, is not taken from DNS. Private addresses (RFC 1918, unique
local ones) are: federation inside closed networks is a use of its own, and there DNS is in good hands.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from itertools import chain, zip_longest

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def parsed(text: str) -> Address | None:
    """An address, without its zone; what is mapped into IPv6 counts as what it is."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def interleaved(addresses: Iterable[str]) -> list[str]:
    """IPv6 and IPv4 by turns, IPv6 first (RFC 8305, 4), each address once."""
    each = list(dict.fromkeys(addresses))
    six = [address for address in each if ":" in address]
    four = [address for address in each if ":" not in address]
    return [address for address in chain.from_iterable(zip_longest(six, four)) if address is not None]


def kind_of_no_partner(text: str) -> str | None:
    """In a word what makes an address one that no partner on another host has, or None."""
    address = parsed(text)
    if address is None:
        return "invalid"
    if address.is_unspecified or address.is_loopback:
        return "this host itself"
    if address.is_link_local:
        # Where clouds keep the service that tells a host its secrets, too.
        return "link-local"
    if address.is_multicast:
        return "multicast"
    if isinstance(address, ipaddress.IPv4Address) and address.is_reserved:
        return "reserved"
    return None


def is_loopback(text: str) -> bool:
    address = parsed(text)
    return address is not None and address.is_loopback


def is_ours(text: str) -> bool:
    """Whether this host has the address: the kernel would call it from the same one. Nothing is sent."""
    address = parsed(text)
    if address is None:
        return False
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 9))
            return parsed(probe.getsockname()[0]) == address
    except OSError:
        return False
