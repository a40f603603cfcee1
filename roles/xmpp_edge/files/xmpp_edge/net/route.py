# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A way out: where stanzas go that one of our domains has for one of a partner's.

A thousand waiting stanzas cause one attempt. What waits is bounded in number and bytes; what cannot be sent is given
back with a reason, in order, once. After a failure the way stays shut for a while that grows, and until then whoever
tries it gets the same answer at once. Where the partner lends us a stream of its own (XEP-0288), none is opened.
"""

from __future__ import annotations

import asyncio
from collections.abc import Container
from typing import TYPE_CHECKING, Any

from ..config import Partner
from ..stream.actions import Authenticated, Closed, Pair
from ..stream.opening import said
from ..xml.stanza import Stanza
from .attempt import establish
from .carrier import Carrier, Sender
from .connection import Connection
from .dial import Candidate, DialFailed
from .facts import Facts
from .outgoing import Outgoing
from .queue import Queue
from .resolve import NOT_FOUND, TIMEOUT
from .tasks import watched

if TYPE_CHECKING:
    from .routes import Routes

_SETTLED = 5.0
"""Seconds a stream must have lasted for its end not to count as a failure."""
_PEACEFUL = (None, "system-shutdown", "reset")
"""Ends after which the partner is to be called again at once."""
_NOTHING = {"address": "", "encrypted": False, "tls": None, "authenticated": False, "bidi": False}


class Route:
    """One way out: a queue, at most one stream of ours, and what the partner lends us."""

    def __init__(self, everyone: Routes, pair: Pair) -> None:
        self.everyone = everyone
        self.current = everyone.current
        self.pair = pair
        self.stream: Outgoing | None = None
        """Ours, being opened or open."""
        self.borrowed: dict[Connection, Carrier] = {}
        """The partner's own, which take stanzas of ours too."""
        self.carrier: Carrier | None = None
        """Where the next stanza goes; one at a time, or order would be lost."""
        self._failed: Facts | None = None
        """What the last attempt came to, where it failed."""
        self.sent = 0
        self._queue = Queue(everyone.current.bounds, everyone.waiting)
        self._task: asyncio.Task[None] | None = None
        self._counted: str | None = None
        """The partner under whose name our stream counts."""
        self._failure: DialFailed | None = None
        self._failures = 0
        self._retry_at = 0.0
        self._tried: Outgoing | None = None
        """The last one of an attempt under way, which may be over by now."""
        self._loop = asyncio.get_running_loop()
        self._idle = asyncio.Event()

    @property
    def up(self) -> bool:
        """Stanzas flow."""
        return self.carrier is not None

    @property
    def established(self) -> bool:
        """There is a stream of ours, and stanzas can flow on it."""
        return self.stream is not None and self.stream.carrier is not None

    # from the relay

    def send(self, stanza: Stanza) -> None:
        """In order: whatever waits goes first."""
        carrier = self.carrier
        if carrier is not None and not self._queue and carrier.ready:
            if carrier.write(stanza):
                self.sent += 1
                return
            # The stream is closing; what it has not answered for is told when it is gone, and this goes on a new one.
            self._worn()
        if self.current.draining and self.carrier is None:
            self._give_back(stanza, TIMEOUT, "The edge is shutting down.")
            return
        if (
            self._failure is not None
            and self._loop.time() < self._retry_at
            and self._task is None
            and self.carrier is None
        ):
            self._give_back(stanza, self._failure.condition, self._failure.text)
            return
        if not self._queue.put(stanza):
            self.current.audit.refused(
                "queue_full", cause=self.pair.remote, local=self.pair.local, remote=self.pair.remote
            )
            self._give_back(stanza, "resource-constraint", "Too much is waiting for this domain; try again later.")
            return
        self.drain()
        self.open()

    def open(self) -> None:
        """Open a stream, if there is none and none is being opened."""
        if self.carrier is None and self._task is None:
            self._task = watched(self._run(), self._broken)

    async def outcome(self) -> DialFailed | None:
        """Wait for an attempt under way; None when the stream is up."""
        if self._task is not None:
            await asyncio.wait([self._task])
        return None if self.up else self._failure

    async def flushed(self) -> None:
        """Wait until nothing waits here."""
        while self.carrier is not None and (self._queue or self.carrier.connection.buffered):
            self._idle.clear()
            self._loop.call_later(0.05, self._idle.set)
            await self._idle.wait()

    def shut(self, condition: str, error: str, text: str) -> None:
        """Close for good; what waits is given back."""
        self._stop(condition, text)
        self._empty(error, text)
        self.everyone.last_errors.pop(self.pair.remote, None)
        self.everyone.forget(self)

    def renew(self) -> None:
        """Open a new stream under the new settings; what waits, waits for that one."""
        self._stop("reset", "The settings for this partner have changed.")
        self.forget_failure()
        self.everyone.last_errors.pop(self.pair.remote, None)
        if self._queue:
            self.open()
        else:
            self.everyone.forget(self)

    def forget_failure(self) -> None:
        """Let the next stanza try at once."""
        self._failure, self._failures, self._retry_at = None, 0, 0.0
        self._failed = None

    @property
    def why(self) -> str:
        """Why no stanzas flow: what the attempt under way waits for, or why the last one failed."""
        if self._task is not None:
            waits = self.stream.phase if self.stream is not None else "no address has been found yet"
            return f"The stream is still being opened: {waits}."
        return self._failure.text if self._failure is not None else "The stream was closed."

    @property
    def facts(self) -> Facts | None:
        """What the diagnosis wants to know of our stream, or of the last that did not come about."""
        return self.stream.facts() if self.stream is not None else self._failed

    def describe(self) -> dict[str, Any] | None:
        """For `xmpp-edge streams`; None where there is nothing but what the partner lends us."""
        if self.stream is None and self._task is None and not self._queue and self._failure is None:
            return None
        stream = self.stream
        proven = stream.proven if stream is not None and self.established else None
        return {
            "direction": "out",
            **(stream.describe() if stream is not None else _NOTHING),
            "since": int(stream.since) if stream is not None and proven is not None else None,
            "pairs": [
                {
                    "local": self.pair.local,
                    "remote": self.pair.remote,
                    "method": proven.method if proven is not None else None,
                    "trusted": proven is not None and proven.trusted,
                }
            ],
            "state": "up" if proven is not None else "opening" if self._task is not None else "down",
            "stanzas": self.sent,
            "queued": len(self._queue),
            "error": self._failure.text if self._failure is not None else None,
        }

    # from the partner's own streams

    def lend(self, connection: Connection, machine: Sender) -> None:
        """The partner takes stanzas of ours on a stream of its own."""
        self.borrowed[connection] = Carrier(connection, machine, self.everyone.undeliverable)
        self.forget_failure()
        if self._task is not None and (self.stream is None or not self.stream.greeted):
            # The partner has not heard of the one that is being opened. Later it may count on it: were both sides
            # to give up their own stream for the other's, there would be none.
            self._cancel()
            self._drop(None, "")
        self._choose()
        self.drain()

    def take_back(self, connection: Connection, closed: Closed | None) -> None:
        """A stream of the partner's is gone."""
        carrier = self.borrowed.pop(connection, None)
        if carrier is None:
            return
        carrier.broken(closed)
        self._choose()
        self._go_on()

    # from our stream

    def established_by(self, stream: Outgoing, action: Authenticated) -> None:
        """Its pair is proven."""
        self.forget_failure()
        self.everyone.last_errors.pop(self.pair.remote, None)
        self._tell(
            "authenticated",
            direction="out",
            method=action.method,
            encrypted=action.encrypted,
            trusted=action.trusted,
            bidi=action.bidi,
            tls=stream.connection.describe_tls()["tls"],
            address=stream.endpoint,
        )
        self._choose()
        self.drain()

    def ended(self, stream: Outgoing, closed: Closed | None, text: str) -> None:
        """It is over, and has told what may not have arrived."""
        self._forget_stream()
        self._tell_closed(closed.condition if closed else None, text, closed.by if closed else "peer")
        self._choose()
        short = self._loop.time() - stream.up_at < _SETTLED
        useless = not stream.useful or (closed is not None and closed.condition not in _PEACEFUL)
        if self.carrier is None and self._task is None and short and useless:
            self._fail(DialFailed(TIMEOUT, _last_words(closed) or text))
        else:
            self._go_on()

    def distrusted(self, text: str) -> None:
        """Its certificate proves the partner no longer, and it is being closed; what waits goes on another."""
        self._tell_closed("reset", text, "us")
        self._drop(None, "")
        self._go_on()

    def drain(self) -> None:
        """Write what waits, as far as the carrier takes it."""
        carrier = self.carrier
        while self._queue and carrier is not None and carrier.ready:
            if not carrier.write(self._queue.first):
                self._worn()
                self._go_on()
                break
            self._queue.pop()
            self.sent += 1
            if carrier.connection.buffered > self.current.bounds.write_buffer:
                # More would only be a second queue: the rest goes when the kernel has taken this.
                self._loop.call_soon(self.drain)
                break

    # inside

    def _tell_closed(self, condition: str | None, text: str, by: str) -> None:
        self._tell("stream_closed", direction="out", condition=condition, text=text, by=by)

    def _tell(self, event: str, **values: object) -> None:
        local, remote = self.pair.local, self.pair.remote
        self.current.audit.partner(event, cause=remote, local=local, remote=remote, **values)

    def _choose(self) -> None:
        """Ours if there is one or may soon be, else the first that is lent to us and takes stanzas."""
        own = self.stream.carrier if self.stream is not None else None
        lent = (carrier for carrier in self.borrowed.values() if not carrier.spent and self._task is None)
        self.carrier = own if own is not None and not own.spent else next(lent, None)

    def _worn(self) -> None:
        """The carrier takes no more: go on without it."""
        if self.stream is not None and self.stream.carrier is self.carrier:
            self._drop(None, "")
        self._choose()

    def _go_on(self) -> None:
        """After the end of a stream: what waits goes on the next."""
        if self.carrier is not None:
            self.drain()
        elif self._queue and not self.current.draining:
            self.open()
        elif not self._queue and self._task is None:
            self.everyone.forget(self)

    async def _run(self) -> None:
        failure: DialFailed | None = None
        try:
            partner = self._admitted()
            await establish(
                self.everyone.dialer,
                partner,
                self.pair.remote,
                lambda candidate, avoid: self._try(partner, candidate, avoid),
                self.current.settings.stream_establishment_timeout,
            )
        except DialFailed as problem:
            failure = problem
        if self._task is asyncio.current_task():
            self._task = None
        tried, self._tried = self._tried, None
        if failure is not None:
            self._failed = self.stream.facts() if self.stream is not None else None
            self._drop(None, "")
        self._choose()
        if self.carrier is not None:
            self.drain()
        elif failure is not None or self._queue:
            words = _last_words(tried.connection.ending) if tried is not None else ""
            text = f"{self.pair.remote} ended the stream as soon as it was open ({words or 'without a word'})."
            self._fail(failure or DialFailed(TIMEOUT, text))
        else:
            self.everyone.forget(self)

    def _try(self, partner: Partner, candidate: Candidate, avoid: Container[str]) -> Outgoing:
        self.stream = self._tried = stream = Outgoing(self, partner, candidate, avoid)
        return stream

    def _admitted(self) -> Partner:
        """The partner, if there is room for a stream to it."""
        snapshot = self.current.snapshot
        partner = snapshot.partner(self.pair.remote)
        if partner is None:
            raise DialFailed(NOT_FOUND, f"{self.pair.remote} is not a partner.")
        reason = self.everyone.census.refusal(snapshot, partner)
        if reason is not None:
            self.current.audit.refused(reason, cause=partner.domain, local=self.pair.local, remote=self.pair.remote)
            raise DialFailed("resource-constraint", "The limit of connections to this partner is reached.")
        self._counted = partner.domain
        self.everyone.census.enter(partner.domain)
        return partner

    def _broken(self) -> None:
        self._task = None
        self._drop(None, "")
        self._fail(DialFailed(TIMEOUT, "An internal error; the audit has a line about it."))

    def _fail(self, failure: DialFailed) -> None:
        self._failures += 1
        timing = self.current.timing
        pause = min(timing.longest_retry, timing.first_retry * 2 ** min(self._failures - 1, 20))
        self._retry_at = self._loop.time() + self.current.jitter(pause)
        self._failure = failure
        self.everyone.last_errors[self.pair.remote] = failure.text
        self._tell("stream_failed", condition=failure.condition, text=failure.text, waiting=len(self._queue))
        self._empty(failure.condition, failure.text)

    def _empty(self, condition: str, text: str) -> None:
        for stanza in self._queue.empty():
            self._give_back(stanza, condition, text)

    def _give_back(self, stanza: Stanza, condition: str, text: str) -> None:
        self.everyone.undeliverable(stanza, condition, text)

    def _stop(self, condition: str, text: str) -> None:
        """Use no stream that there is any longer; those that are lent to us are closed by their owner."""
        self._cancel()
        if self.established:
            self._tell_closed(condition, text, "us")
        self._drop(condition, text)
        for carrier in self.borrowed.values():
            carrier.spend()
        self.carrier = None

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _drop(self, condition: str | None, text: str) -> None:
        """Let go of our stream; it closes by itself, and what it says from now on is no longer ours."""
        stream = self.stream
        self._forget_stream()
        if stream is not None:
            stream.let_go(condition, text)
        self._choose()

    def _forget_stream(self) -> None:
        self.stream = None
        if self._counted is not None:
            self.everyone.census.leave(self._counted)
            self._counted = None


def _last_words(closed: Closed | None) -> str:
    """The stream error with which a stream ended, if it was one."""
    if closed is None or closed.condition is None:
        return ""
    return said(closed.condition, closed.text)
