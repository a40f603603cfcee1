# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first steps of a stream that a stand-in opens: headers, features, and TLS where it has that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from .security import SASL, TLS, Security
from .tls import Options
from .wire import STREAMS, PeerClosed, Wire, header

SERVER = "jabber:server"
FEATURES, ERROR = f"{{{STREAMS}}}features", f"{{{STREAMS}}}error"


class Party(Protocol):
    """Who opens it."""

    version: str | None
    security: Security | None


@dataclass(frozen=True)
class Opened:
    """A stream that stands, and what the other side offers on it."""

    id: str
    offered: frozenset[str]


async def exchange_headers(wire: Wire, party: Party, local: str, remote: str) -> Opened:
    await wire.send("<?xml version='1.0'?>" + header(SERVER, from_=local, to=remote, version=party.version))
    answer = await wire.header()
    if not answer.get("version"):
        return Opened(answer["id"], frozenset())
    features = await wire.expect(FEATURES)
    names = {child.tag.rpartition("}")[2] for child in features}
    names |= {mechanism.text or "" for mechanism in features.iter(f"{{{SASL}}}mechanism")}
    return Opened(answer["id"], frozenset(names))


async def open_stream(wire: Wire, party: Party, local: str, remote: str) -> Opened:
    """Headers, and TLS where the server has it: then it takes no stream without."""
    opened = await exchange_headers(wire, party, local, remote)
    if party.security is None:
        return opened
    if "starttls" not in opened.offered:
        raise PeerClosed("it does not offer TLS")
    await wire.send(f"<starttls xmlns='{TLS}'/>")
    await wire.expect(f"{{{TLS}}}proceed")
    tls = await wire.start_tls(party.security.identity, Options(sni=remote))
    if not party.security.dialback and not party.security.trusts(tls.peer_chain, remote):
        raise PeerClosed(f"its certificate does not prove {remote}")
    return await exchange_headers(wire, party, local, remote)
