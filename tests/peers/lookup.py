# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a domain's server is: SRV, then the address, asked of one given DNS server."""

from __future__ import annotations

import dns.asyncresolver
import dns.exception
import dns.resolver

Address = tuple[str, int]


class NotFound(Exception):
    """No server can be found for a domain."""


async def locate(domain: str, resolver: Address) -> Address:
    """Host and port of the most preferred SRV target of ``domain``, or port 5269 of its own address."""
    ask = dns.asyncresolver.Resolver(configure=False)
    ask.nameservers = [resolver[0]]
    ask.port = resolver[1]
    ask.lifetime = 5.0
    name = domain.encode("idna").decode()
    target, port = name, 5269
    try:
        found = await ask.resolve(f"_xmpp-server._tcp.{name}.", "SRV")
        best = min(found, key=lambda record: (record.priority, -record.weight))
        target, port = best.target.to_text().rstrip("."), best.port
        if not target:
            raise NotFound(f"{domain} says that it has no XMPP server")
    except (dns.resolver.NoAnswer, dns.resolver.NXDOMAIN):
        pass
    except dns.exception.DNSException as problem:
        raise NotFound(f"SRV of {domain}: {problem}") from problem
    for kind in ("A", "AAAA"):
        try:
            return (await ask.resolve(f"{target}.", kind))[0].address, port
        except dns.exception.DNSException:
            continue
    raise NotFound(f"no address for {target}")
