# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One link to the inside server (XEP-0114), kept up for as long as it is wanted.

A link that is down says so at once: its stanzas go back to their senders with an error that invites another try. What
would make an inside server drop the link never gets here: addresses are canonical, the sender's domain is one that the
link carries, and a stanza that is too large is refused.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from time import monotonic
from typing import Any

from ..current import Current
from ..net.connection import Connection
from ..net.ledger import Ledger, is_clean
from ..net.sides import Machine
from ..net.tasks import watched
from ..stream.actions import Closed, Deliver, Ready, Refused, Send
from ..stream.component import Component
from ..xml.stanza import Stanza

FromInside = Callable[[Stanza, "Link"], None]
InDoubt = Callable[[Stanza], None]

_REMEDIES = {
    "not-authorized": "it refused the secret: `inside.secret` differs from the one of the component there",
    "conflict": "another connection for this name is open: another edge, or a dead one not noticed yet",
    "host-unknown": "it has no component of this name: apply the front end role, or activate the component",
    "host-gone": "the component has been taken away there",
    "system-shutdown": "it is shutting down",
    "invalid-from": "it did not accept a sender: the names of its components do not match the partner domains",
}


class Link:
    """A component connection for a set of partner domains."""

    def __init__(
        self,
        current: Current,
        name: str,
        domains: frozenset[str],
        turn: asyncio.Semaphore,
        from_inside: FromInside,
        in_doubt: InDoubt,
        after: asyncio.Task[None] | None = None,
    ) -> None:
        self.current = current
        self.name = name
        self.domains = domains
        self.state = "connecting"
        self.error: str | None = None
        self._told: str | None = None
        self.since = time.time()
        self.sent = 0
        self.received = 0
        self.attempted = asyncio.Event()
        self._stopped = False
        self._wake = asyncio.Event()
        self.connection: Connection | None = None
        self._machine: Component | None = None
        self._turn = turn
        self._from_inside = from_inside
        self._in_doubt = in_doubt
        self._ledger = Ledger()
        self._held: set[Connection] = set()
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._task = watched(self._run(after), self._broken)

    def send(self, stanza: Stanza, source: Connection | None) -> str | None:
        """Write a stanza; the condition of an error when that cannot be. Holds back the source of a slow link."""
        connection, machine = self.connection, self._machine
        if self.state != "up" or connection is None or machine is None:
            return "remote-server-timeout"
        now = monotonic()
        try:
            data = b"".join([action.data for action in machine.send(stanza, now) if isinstance(action, Send)])
        except RuntimeError:
            # The link is closing.
            return "remote-server-timeout"
        if len(data) > self.current.bounds.inside_stanza:
            # Not handed on, so as if it had never been written.
            return "policy-violation"
        if connection.paused:
            if connection.buffered > self.current.bounds.hard_write_buffer:
                return "resource-constraint"
            if source is not None:
                source.hold(self)
                self._held.add(source)
        connection.write(data)
        self._ledger.note(connection, stanza, now)
        self.sent += 1
        return None

    async def stop(self, condition: str | None, text: str) -> None:
        """Close for good."""
        self._stopped = True
        self._task.cancel()
        connection = self.connection
        if connection is not None and not connection.lost:
            connection.close(condition, text)
            await asyncio.wait([self._gone], timeout=self.current.timing.linger)
            connection.abort()

    async def settled(self) -> None:
        """Wait for the outcome of an attempt; a link that pauses tries again at once."""
        if self.state == "up":
            return
        if self.state == "down":
            # Cleared here as well, because the attempt begins only in a later turn of the loop.
            self.attempted.clear()
            self._wake.set()
        await self.attempted.wait()

    def retry(self) -> None:
        """Pause no longer: what was in the way may be gone."""
        self._wake.set()

    def describe(self) -> dict[str, Any]:
        """For `xmpp-edge status`."""
        return {"domains": sorted(self.domains), "state": self.state, "error": self.error}

    # Owner of a Connection

    def opened(self, connection: Connection) -> None:
        if self._stopped:
            connection.abort()
            return
        self.connection = connection
        connection.start()
        assert self._machine is not None
        connection.perform(self._machine.connected(connection.loop.time()))

    def machine_for(self, connection: Connection) -> Machine:
        self._machine = Component(
            domain=self.name,
            secret=self.current.snapshot.inside.secret,
            settings=self.current.settings,
            now=connection.loop.time(),
        )
        return self._machine

    def act(self, connection: Connection, action: Any) -> None:
        if isinstance(action, Deliver):
            self.received += 1
            self._from_inside(action.stanza, self)
        elif isinstance(action, Ready):
            if not self._ready.done():
                self._ready.set_result(None)
        elif isinstance(action, Refused):
            self.current.audit.refused(
                action.reason, direction="out", local=action.local, link=self.name, text=action.text
            )

    def writable(self, connection: Connection, ready: bool) -> None:
        if ready:
            self._let_go()

    def closed(self, connection: Connection, closed: Closed | None) -> None:
        was_up, self.state = self.state == "up", "down"
        self.error = self._explain(closed)
        self._let_go()
        doubtful = self._ledger.in_doubt(connection, self._loop.time(), clean=is_clean(connection, closed))
        self.connection, self._machine = None, None
        if not self._gone.done():
            self._gone.set_result(None)
        if was_up:
            self.current.audit.event("inside_link_down", link=self.name, text=self.error)
        for stanza in doubtful:
            self._in_doubt(stanza)

    # inside

    def _let_go(self) -> None:
        held, self._held = self._held, set()
        for source in held:
            source.release(self)

    def _explain(self, closed: Closed | None) -> str:
        where = self._where()
        if closed is None:
            return f"The inside server {where} broke the link of {self.name}."
        remedy = _REMEDIES.get(closed.condition or "")
        said = (
            f" ({closed.condition}: {closed.text})" if closed.condition else f" ({closed.text})" if closed.text else ""
        )
        if remedy:
            return f"The inside server {where} closed the link of {self.name}: {remedy}{said}."
        return f"The link of {self.name} to the inside server {where} was closed{said}."

    def _where(self) -> str:
        inside = self.current.snapshot.inside
        return f"[{inside.host}]:{inside.port}" if ":" in inside.host else f"{inside.host}:{inside.port}"

    async def _run(self, after: asyncio.Task[None] | None) -> None:
        """Up, wait for the end, wait a little, up again; begins when its predecessor of the same name is gone."""
        if after is not None:
            await asyncio.wait([after])
        timing = self.current.timing
        failures = 0
        while True:
            self._ready, self._gone = self._loop.create_future(), self._loop.create_future()
            self.state = "connecting"
            self.attempted.clear()
            self._wake.clear()
            async with self._turn:
                up = await self._connect()
            self.attempted.set()
            if up:
                failures = 0
                started = self._loop.time()
                # Whoever stops this task waits for the same future, so the task must not take it along.
                await asyncio.wait([self._gone])
                # A server that lets us in and throws us out at once is not to be asked in a tight loop.
                failures = 0 if self._loop.time() - started > timing.first_retry else 1
            else:
                failures += 1
            self.state = "down"
            pause = min(timing.longest_link_retry, timing.first_retry * 2 ** min(max(failures - 1, 0), 20))
            await self._sleep(self.current.jitter(pause) if failures else 0)

    def _broken(self) -> None:
        self.state, self.error = "down", "An internal error; the audit has a line about it."
        if self.connection is not None:
            self.connection.abort()
        self._loop.call_later(self.current.timing.longest_link_retry, self._again)

    def _again(self) -> None:
        if not self._stopped:
            self._task = watched(self._run(None), self._broken)

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _connect(self) -> bool:
        inside = self.current.snapshot.inside
        deadline = self.current.settings.stream_establishment_timeout
        try:
            async with asyncio.timeout(min(deadline, self.current.timing.connect)):
                await self._loop.create_connection(
                    lambda: Connection(self, self.current),
                    inside.host,
                    inside.port,
                    ssl=_context(inside.ca_file) if inside.tls else None,
                    server_hostname=inside.host if inside.tls else None,
                )
                await asyncio.wait([self._ready, self._gone], return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            return self._failed(f"The inside server {self._where()} did not answer in time; is it up and reachable?")
        except ssl.SSLCertVerificationError as problem:
            return self._failed(
                f"The certificate of the inside server {self._where()} is not trusted ({problem.verify_message});"
                " check `inside.ca_file` and that `inside.host` stands in the certificate."
            )
        except ssl.SSLError as problem:
            return self._failed(
                f"TLS with the inside server {self._where()} failed ({problem.reason}); does it speak TLS there?"
            )
        except OSError as problem:
            reason = problem.strerror or str(problem)
            return self._failed(
                f"The inside server {self._where()} cannot be reached ({reason});"
                " does it run, and listen there for components?"
            )
        if not self._ready.done():
            self._tell_failure()
            return False
        self.state, self.error, self.since = "up", None, time.time()
        self._told = None
        self.current.audit.event("inside_link_up", link=self.name, domains=len(self.domains))
        return True

    def _failed(self, text: str) -> bool:
        if self.connection is not None:
            self.connection.abort()
        self.state, self.error = "down", text
        self._tell_failure()
        return False

    def _tell_failure(self) -> None:
        """Once a reason: the same one comes back every few seconds."""
        if self.error != self._told:
            self._told = self.error
            self.current.audit.partner("inside_link_failed", link=self.name, text=self.error)


def _context(ca_file: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
