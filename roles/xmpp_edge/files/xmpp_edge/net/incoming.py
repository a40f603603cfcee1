# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections that partners, and strangers, open to us.

Until a stream is authenticated it costs as little as possible and counts against its address and against all; only
after that does it count against its partner, because a name in a header is free to forge.
"""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any

from ..config import Difference
from ..current import Current
from ..stream.actions import Authenticated, Closed, Deliver, Pair, Refused, Verify
from ..stream.inbound import Inbound
from ..xml.stanza import Stanza
from .connection import Connection, Machine
from .verify import Verifiers

DeliverTo = Callable[[Stanza, Pair, Connection], None]


class Incomings:
    """All of them, and the bounds on their number."""

    def __init__(
        self, current: Current, verifiers: Verifiers, deliver: DeliverTo, heard_from: Callable[[Pair], None]
    ) -> None:
        self.current = current
        self.verifiers = verifiers
        self.deliver = deliver
        self.heard_from = heard_from
        self.strangers: OrderedDict[Incoming, None] = OrderedDict()
        self.known: dict[Incoming, str] = {}
        self.per_address: Counter[str] = Counter()
        self.emptier = asyncio.Event()

    def accept(self) -> Connection:
        """The protocol factory of the listener."""
        return Incoming(self).connection

    def count(self, partner: str) -> int:
        """Authenticated streams of one partner (its record's main domain)."""
        return sum(1 for name in self.known.values() if name == partner)

    def has_stream(self, stream_id: str) -> bool:
        """Whether we gave this id to a stream that is open now."""
        return any(
            incoming.machine is not None and incoming.machine.stream_id == stream_id
            for incoming in [*reversed(self.strangers), *self.known]
        )

    def apply(self, change: Difference) -> None:
        """Close what a new Snapshot does not allow as it is; leave everything else alone."""
        snapshot = self.current.snapshot
        for incoming in [*self.known, *self.strangers]:
            machine = incoming.machine
            if machine is None:
                continue
            machine.policy = snapshot
            # Partners ask here about keys of streams that we open from now on.
            machine.credentials = self.current.credentials()
            remotes = {pair.remote for pair in machine.pairs} | ({machine.remote} if machine.remote else set())
            locals_ = {pair.local for pair in machine.pairs}
            if change.federation_off:
                incoming.connection.close("policy-violation", "Federation has been switched off here.")
            elif remotes & change.gone_partners:
                incoming.connection.close("policy-violation", "This domain is no longer a partner here.")
            elif locals_ & change.gone_domains:
                incoming.connection.close("host-gone", "This domain is no longer served here.")
            elif remotes & change.remote_domains:
                incoming.connection.close("reset", "The settings for this partner have changed; connect again.")

    async def close(self, condition: str, text: str, seconds: float) -> None:
        """End every stream; with the peer's consent, or without it after a moment."""
        for incoming in [*self.known, *self.strangers]:
            incoming.connection.close(condition, text)
        try:
            async with asyncio.timeout(seconds):
                while self.known or self.strangers:
                    self.emptier.clear()
                    await self.emptier.wait()
        except TimeoutError:
            for incoming in [*self.known, *self.strangers]:
                incoming.connection.abort()


class Incoming:
    """One connection; the owner of its driver and its machine."""

    def __init__(self, everyone: Incomings) -> None:
        self.everyone = everyone
        self.current = everyone.current
        self.connection = Connection(self, everyone.current)
        self.machine: Inbound | None = None
        self.since = time.time()
        self.received = 0
        self._address = ""
        self._unused: asyncio.TimerHandle | None = None
        self._told = False
        """The audit has a line that says why this connection ends."""

    def opened(self, connection: Connection) -> None:
        everyone, current = self.everyone, self.current
        self._address = address_key(connection.peer)
        everyone.per_address[self._address] += 1
        everyone.strangers[self] = None
        current.audit.counters["connections_in"] += 1
        if everyone.per_address[self._address] > current.bounds.per_address:
            self._turn_away("too_many_from_address")
            return
        if len(everyone.strangers) > current.snapshot.limits.unauthenticated_limit:
            next(iter(everyone.strangers))._turn_away("too_many_unauthenticated")
        self._unused = connection.loop.call_later(
            current.snapshot.limits.stream_establishment_timeout, self._drop_unused
        )

    def machine_for(self, connection: Connection) -> Machine:
        current = self.current
        self.machine = Inbound(
            policy=current.snapshot,
            credentials=current.credentials(),
            make_id=_new_id,
            settings=current.settings,
            now=connection.loop.time(),
            peer_address=connection.peer,
        )
        return self.machine

    def act(self, connection: Connection, action: Any) -> None:
        if isinstance(action, Deliver):
            self.received += 1
            assert action.pair is not None
            self.everyone.deliver(action.stanza, action.pair, connection)
        elif isinstance(action, Verify):
            self._verify(action)
        elif isinstance(action, Authenticated):
            self._authenticated(action)
        elif isinstance(action, Refused):
            self._told = True
            self.current.audit.refused(
                action.reason,
                known=self in self.everyone.known,
                local=action.local,
                remote=action.remote,
                text=action.text,
                address=connection.peer,
            )

    def writable(self, connection: Connection, ready: bool) -> None:
        """Answers are small; a peer that takes none gets no more questions answered either."""
        if ready:
            connection.release(self)
        else:
            connection.hold(self)

    def closed(self, connection: Connection, closed: Closed | None) -> None:
        everyone = self.everyone
        if self._unused is not None:
            self._unused.cancel()
        self._no_stranger()
        partner = everyone.known.pop(self, None)
        everyone.emptier.set()
        if partner is not None:
            self.current.audit.partner(
                "stream_closed",
                direction="in",
                partner=partner,
                address=connection.peer,
                condition=closed.condition if closed else None,
                text=closed.text if closed else None,
                by=closed.by if closed else "peer",
            )
        elif closed is not None and closed.condition is not None and not self._told:
            self.current.audit.stranger(
                "connection_closed",
                address=connection.peer,
                condition=closed.condition,
                text=closed.text,
                by=closed.by,
            )

    def describe(self) -> dict[str, Any]:
        """For `xmpp-edge streams`."""
        pairs = self.machine.pairs if self.machine is not None else {}
        return {
            "direction": "in",
            "address": self.connection.peer,
            "since": int(self.since),
            "pairs": [{"local": pair.local, "remote": pair.remote, "method": how} for pair, how in pairs.items()],
            "state": "up" if pairs else "negotiating",
            "stanzas": self.received,
        }

    def _drop_unused(self) -> None:
        if self.machine is None:
            self.current.audit.refused("nothing_sent", known=False, address=self.connection.peer)
            self.connection.abort()

    def _turn_away(self, reason: str) -> None:
        self.current.audit.refused(reason, known=False, address=self.connection.peer)
        # Its end is told one turn of the loop later; until then the next that is too many must not find it again.
        self._no_stranger()
        self.connection.abort()

    def _no_stranger(self) -> None:
        if self not in self.everyone.strangers:
            return
        del self.everyone.strangers[self]
        per_address = self.everyone.per_address
        per_address[self._address] -= 1
        if per_address[self._address] <= 0:
            del per_address[self._address]

    def _verify(self, action: Verify) -> None:
        def answer(outcome: str, condition: str | None) -> None:
            machine, connection = self.machine, self.connection
            if machine is not None and not connection.finished:
                connection.perform(
                    machine.verified(action.pair, action.stream_id, outcome, condition, connection.loop.time())
                )

        self.everyone.verifiers.ask(action.pair, action.key, action.stream_id, answer)

    def _authenticated(self, action: Authenticated) -> None:
        everyone, snapshot = self.everyone, self.current.snapshot
        pair = action.pair
        partner = snapshot.partner(pair.remote)
        if partner is None or pair.local not in snapshot.domains:
            self.connection.close("policy-violation", "This domain is not a partner here.")
            return
        self.current.audit.partner(
            "authenticated",
            direction="in",
            local=pair.local,
            remote=pair.remote,
            method=action.method,
            address=self.connection.peer,
        )
        everyone.heard_from(pair)
        if self in everyone.known:
            return
        self._no_stranger()
        reason = None
        if len(everyone.known) >= snapshot.limits.connection_limit:
            reason = "connection_limit"
        elif everyone.count(partner.domain) >= snapshot.connection_limit_of(partner):
            reason = "partner_connection_limit"
        if reason is not None:
            self.current.audit.refused(reason, local=pair.local, remote=pair.remote, address=self.connection.peer)
            self.connection.close("resource-constraint", "Too many streams are open; use those that there are.")
            return
        everyone.known[self] = partner.domain


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


def _new_id() -> str:
    return secrets.token_hex(16)
