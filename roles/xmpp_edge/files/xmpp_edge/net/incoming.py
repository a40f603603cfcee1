# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections that partners, and strangers, open to us.

Until a stream is authenticated it costs as little as possible and counts against its address and against all; only
after that does it count against its partner, because a name in a header is free to forge.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import Any, Protocol

from ..config import Difference, Partner
from ..current import Current
from ..stream.actions import (
    Acknowledge,
    Authenticated,
    Closed,
    Deliver,
    Doubtful,
    Pair,
    Refused,
    Room,
    StartTls,
    Verify,
)
from ..stream.inbound import Inbound
from ..xml.stanza import Stanza
from .connection import Connection
from .handover import HandingOn, Handover
from .pace import Pace
from .rejudge import no_longer
from .sides import Machine
from .strangers import Strangers, address_key
from .verify import Verifiers

DeliverTo = Callable[[Stanza, Pair, Connection], None]


class Borrower(Protocol):
    """Who sends stanzas of ours on streams that partners have opened (XEP-0288)."""

    def lend(self, pair: Pair, stream: Incoming) -> None:
        """The pair is proven on this stream, and the peer takes stanzas there."""

    def writable(self, stream: Incoming, ready: bool) -> None:
        """Its write buffer filled up or drained."""

    def doubtful(self, stream: Incoming, stanzas: tuple[Stanza, ...]) -> None:
        """The stream is about to end, and the peer never acknowledged these."""

    def take_back(self, stream: Incoming, closed: Closed | None) -> None:
        """The stream is gone."""


class Incomings:
    """All of them, and the bounds on their number."""

    def __init__(
        self,
        current: Current,
        verifiers: Verifiers,
        deliver: DeliverTo,
        heard_from: Callable[[Pair], None],
        handing_on: HandingOn,
        borrower: Borrower,
    ) -> None:
        self.current = current
        self.verifiers = verifiers
        self.deliver = deliver
        self.heard_from = heard_from
        self.handing_on = handing_on
        self.borrower = borrower
        self.strangers: Strangers[Incoming] = Strangers()
        self.known: dict[Incoming, str] = {}
        self.pace = Pace(current.bounds.handshakes, current.bounds.handshakes_per_second)
        self.emptier = asyncio.Event()

    def accept(self) -> Connection:
        """The protocol factory of the listener."""
        return Incoming(self).connection

    def accept_direct(self) -> Connection:
        """That of the listener for TLS from the first byte (XEP-0368)."""
        return Incoming(self, direct=True).connection

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
        self.renew_credentials()
        for incoming in [*self.known, *self.strangers]:
            machine = incoming.machine
            if machine is None:
                continue
            machine.policy = snapshot
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

    def renew_credentials(self) -> None:
        """Partners ask on any stream about keys of streams that we open from now on."""
        credentials = self.current.credentials()
        for incoming in [*self.known, *self.strangers]:
            if incoming.machine is not None:
                incoming.machine.credentials = credentials

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

    def __init__(self, everyone: Incomings, *, direct: bool = False) -> None:
        self.everyone = everyone
        self.current = everyone.current
        self.direct = direct
        self.connection = Connection(self, everyone.current, accepted=True)
        self.machine: Inbound | None = None
        self.since = time.time()
        self.received = 0
        self._trusted: dict[Pair, bool] = {}
        self._lent = False
        self._handover: Handover | None = None
        self._unused: asyncio.TimerHandle | None = None
        self._told = ""
        """What the audit says of the last refusal; the connection may end by it, or go on."""

    def opened(self, connection: Connection) -> None:
        everyone, current = self.everyone, self.current
        number = everyone.strangers.add(self, address_key(connection.peer))
        current.audit.counters["connections_in"] += 1
        if number > current.bounds.per_address:
            self._turn_away("too_many_from_address")
            return
        if len(everyone.strangers) > current.snapshot.limits.unauthenticated_limit:
            first = everyone.strangers.first_to_go()
            first._turn_away("too_many_unauthenticated")
            if first is self:
                return
        if self.direct and not self._start_tls():
            self._turn_away("too_many_handshakes")
            return
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
            # Who is slow with the first byte has less time for the rest.
            now=connection.began,
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
        elif isinstance(action, Acknowledge):
            self._acknowledge(action.count)
        elif isinstance(action, Authenticated):
            self._authenticated(action)
        elif isinstance(action, StartTls):
            self._start_tls()
        elif isinstance(action, Room):
            self.everyone.borrower.writable(self, True)
        elif isinstance(action, Doubtful):
            if self._lent:
                self.everyone.borrower.doubtful(self, action.stanzas)
        elif isinstance(action, Refused):
            self._told = action.text
            self.current.audit.refused(
                action.reason,
                known=self in self.everyone.known,
                cause=self.everyone.known.get(self),
                local=action.local,
                remote=action.remote,
                text=action.text,
                address=connection.peer,
            )

    def writable(self, connection: Connection, ready: bool) -> None:
        """Answers are small; a peer that takes none gets no more questions answered either.

        One that gets our stanzas as well is read on: were it to do the same, nobody would ever read again.
        """
        if self._lent:
            self.everyone.borrower.writable(self, ready)
        if ready:
            connection.release(self)
        elif not self._lent:
            connection.hold(self)

    def closed(self, connection: Connection, closed: Closed | None) -> None:
        everyone = self.everyone
        if self._unused is not None:
            self._unused.cancel()
        everyone.strangers.remove(self)
        partner = everyone.known.pop(self, None)
        if partner is not None:
            self.current.census.leave(partner)
        everyone.emptier.set()
        if self._lent:
            everyone.borrower.take_back(self, closed)
        if partner is not None:
            self.current.audit.partner(
                "stream_closed",
                cause=partner,
                direction="in",
                partner=partner,
                address=connection.peer,
                condition=closed.condition if closed else None,
                text=closed.text if closed else None,
                by=closed.by if closed else "peer",
            )
        elif closed is not None and closed.condition is not None and closed.text != self._told:
            self.current.audit.stranger(
                "connection_closed",
                address=connection.peer,
                condition=closed.condition,
                text=closed.text,
                by=closed.by,
            )

    def judge_again(self) -> bool:
        """Whether the certificate still proves what it has proven; the stream is closed where it does not."""
        machine, connection = self.machine, self.connection
        if machine is None or connection.finished:
            return False
        text = no_longer(machine.tls, machine.pairs.items())
        if text is not None:
            connection.perform(machine.distrust(text, connection.loop.time()))
        return text is None

    def describe(self) -> dict[str, Any]:
        """For `xmpp-edge streams`."""
        pairs = self.machine.pairs if self.machine is not None else {}
        return {
            "direction": "in",
            "address": self.connection.peer,
            "since": int(self.since),
            **self.connection.describe_tls(),
            "authenticated": bool(pairs),
            "bidi": self._lent,
            "pairs": [
                {"local": pair.local, "remote": pair.remote, "method": how, "trusted": self._trusted.get(pair, False)}
                for pair, how in pairs.items()
            ],
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
        self.everyone.strangers.remove(self)
        self.connection.abort()

    def _start_tls(self) -> bool:
        connection, tls = self.connection, self.current.tls
        problem = ""
        if not self.everyone.pace.allows(address_key(connection.peer), connection.loop.time()):
            problem = "Too many TLS handshakes from this address; its server has to keep streams open for longer."
        elif not tls.has_certificate():
            # It went with a reload that came in between.
            problem = "There is no certificate any more; assign one for the usage `external`."
        if not problem:
            connection.start_tls(tls.server(direct=self.direct))
            return True
        if self.machine is not None:
            connection.perform(self.machine.tls_failed(problem, connection.loop.time()))
        return False

    def _acknowledge(self, count: int) -> None:
        assert self.machine is not None
        if self._handover is None:
            self._handover = Handover(self.connection, self.machine, self.everyone.handing_on)
        self._handover.asked(count, {pair.remote for pair in self.machine.pairs})

    def _verify(self, action: Verify) -> None:
        def answer(outcome: str, condition: str | None) -> None:
            machine, connection = self.machine, self.connection
            if machine is not None and not connection.finished:
                connection.perform(
                    machine.verified(action.pair, action.stream_id, outcome, condition, connection.loop.time())
                )

        asker = address_key(self.connection.peer)
        self.everyone.verifiers.ask(action.pair, action.key, action.stream_id, answer, asker)

    def _authenticated(self, action: Authenticated) -> None:
        everyone, snapshot = self.everyone, self.current.snapshot
        pair = action.pair
        partner = snapshot.partner(pair.remote)
        if partner is None or pair.local not in snapshot.domains:
            self.connection.close("policy-violation", "This domain is not a partner here.")
            return
        if not self.judge_again():
            # A reload came between the proof and this.
            return
        self.current.audit.partner(
            "authenticated",
            cause=partner.domain,
            direction="in",
            local=pair.local,
            remote=pair.remote,
            method=action.method,
            encrypted=action.encrypted,
            trusted=action.trusted,
            bidi=action.bidi,
            tls=self.connection.describe_tls()["tls"],
            address=self.connection.peer,
        )
        self._trusted[pair] = action.trusted
        everyone.heard_from(pair)
        if self in everyone.known or self._counted(partner, pair):
            self._lend(action)

    def _lend(self, action: Authenticated) -> None:
        if action.bidi:
            self._lent = True
            self.everyone.borrower.lend(action.pair, self)

    def _counted(self, partner: Partner, pair: Pair) -> bool:
        """From now on it counts against its partner; False when that is too much."""
        everyone, census = self.everyone, self.current.census
        everyone.strangers.remove(self)
        reason = census.refusal(self.current.snapshot, partner)
        if reason is not None:
            self.current.audit.refused(
                reason, cause=partner.domain, local=pair.local, remote=pair.remote, address=self.connection.peer
            )
            self.connection.close("resource-constraint", "Too many streams are open; use those that there are.")
            return False
        everyone.known[self] = partner.domain
        census.enter(partner.domain)
        return True


def _new_id() -> str:
    return secrets.token_hex(16)
