# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one driver: moves bytes and time between a socket and a stream machine, through TLS where the stream wants that.

What a byte means is the machine's business, and what an action means beyond "send" and "closed" is the owner's. Here
are only the things that every connection needs: writes gathered to one a loop turn, a bound on what waits to be
written, a time limit on a peer that does not read, timers from the machine's deadline, and an end that lets the last
words arrive.
"""

from __future__ import annotations

import asyncio
from typing import Any

from ..current import Current
from ..stream.actions import Closed, Deliver, Send
from . import tcp
from .marks import Marks
from .sides import Machine, Owner
from .tls import Channel, TlsError

# What one connection has done in a turn of the loop, the others wait for: as much as asyncio reads by itself holds
# thousands of stanzas, and a partner may have many connections. Every piece is worked on before the next is read.
_READ = memoryview(bytearray(16_384))


class Connection(asyncio.BufferedProtocol):
    """One TCP connection with its stream machine."""

    def __init__(self, owner: Owner, current: Current, *, accepted: bool = False) -> None:
        self.owner = owner
        self.current = current
        self.accepted = accepted
        """The peer has opened it."""
        self.loop = asyncio.get_running_loop()
        self.began = self.loop.time()
        self.channel: Channel | None = None
        """TLS, once there is any on this connection."""
        self.transport: asyncio.Transport | None = None
        self.machine: Machine | None = None
        self.paused = False
        self.finished = False
        self.lost = False
        self.peer = ""
        self.position = 0
        """The offset that the next byte written will have."""
        self.broken = False
        """The connection ended before the stream did."""
        self._waiting: list[bytes] = []
        self._waiting_size = 0
        self._flush_due = False
        self._closed: Closed | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._holds: set[object] = set()
        self._marks: Marks | None = None

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.began = self.loop.time()
        transport.set_write_buffer_limits(high=self.current.bounds.write_buffer)
        peername = transport.get_extra_info("peername")
        self.peer = str(peername[0]) if isinstance(peername, tuple) else ""
        tcp.keep_alive(transport.get_extra_info("socket"))
        self.owner.opened(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return _READ

    def buffer_updated(self, nbytes: int) -> None:
        self._received(bytes(_READ[:nbytes]))

    def _received(self, data: bytes) -> None:
        if self.finished:
            return
        machine = self.machine or self.start()
        turn = self.current.turn
        turn.open = True
        try:
            if self.channel is None:
                self.perform(machine.receive(data, self.loop.time()))
            else:
                self._decrypt(machine, self.channel, data)
        finally:
            turn.open = False
            for connection in turn.written:
                connection.flush()
            turn.written.clear()

    def eof_received(self) -> bool:
        self._ended()
        self.flush()
        return False

    def pause_writing(self) -> None:
        self.paused = True
        self._write_timer = self.loop.call_later(self.current.timing.write, self.abort)
        self.owner.writable(self, False)

    def resume_writing(self) -> None:
        self.paused = False
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        if not self.lost:
            self.owner.writable(self, True)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        for timer in (self._timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        self._ended()
        self.finished = True
        self._waiting.clear()
        self.owner.closed(self, self._closed)
        self.transport = None
        if self.channel is not None:
            self.channel.drop()

    # the owner's side

    def start(self) -> Machine:
        """Make the machine if there is none yet."""
        if self.machine is None:
            self.machine = self.owner.machine_for(self)
            self._schedule()
        return self.machine

    def start_tls(self, channel: Channel) -> None:
        """What was written so far goes out as it is; from here on everything is TLS, both ways."""
        self.flush()
        self.channel = channel
        self._marks = Marks(self.position)
        if not channel.server:
            channel.start()
            self._put(channel.outgoing())

    def perform(self, actions: list[Any]) -> None:
        """Do what the machine wants; in order."""
        only_stanzas = bool(actions)
        for action in actions:
            kind = type(action)
            if kind is Deliver:
                self.owner.act(self, action)
                continue
            only_stanzas = False
            if kind is Send:
                self.write(action.data)
            elif kind is Closed:
                self._closed = action
                self._finish()
            else:
                self.owner.act(self, action)
        # Traffic only moves a machine's deadline later, and the timer that is set looks again by itself.
        if not only_stanzas or self._timer is None:
            self._schedule()

    def send(self, actions: list[Any]) -> None:
        """The short way for a stanza that the machine has written."""
        for action in actions:
            self.write(action.data)

    def write(self, data: bytes) -> None:
        """Queue bytes; all of one loop turn go out in one piece."""
        size = len(data)
        self._waiting.append(data)
        self._waiting_size += size
        self.position += size
        if not self._flush_due:
            self._flush_due = True
            if self.current.turn.open:
                self.current.turn.written.append(self)
            else:
                self.loop.call_soon(self.flush)

    def close(self, condition: str | None, text: str) -> None:
        """End the stream in order; without a stream there is nothing to say."""
        if self.finished:
            return
        if self.machine is None:
            self.abort()
            return
        self.perform(self.machine.close(condition, text, self.loop.time()))

    def abort(self) -> None:
        """End the connection at once."""
        if self.transport is not None:
            self.transport.abort()

    @property
    def ending(self) -> Closed | None:
        """How the stream ended, None while it has not."""
        return self._closed

    @property
    def buffered(self) -> int:
        """Bytes that the kernel has not taken yet."""
        if self.transport is None:
            return 0
        return self._waiting_size + self.transport.get_write_buffer_size()

    def acknowledged(self) -> int | None:
        """Bytes the peer's TCP has confirmed, of those that were given to ``write``; None when that cannot be known."""
        if self.transport is None or self.transport.get_extra_info("ssl_object") is not None:
            return None
        acked = tcp.acknowledged(self.transport.get_extra_info("socket"), accepted=self.accepted)
        if acked is None:
            return None
        return acked if self._marks is None else self._marks.confirmed(acked)

    def taken(self, position: int) -> bool:
        """The kernel has all bytes up to this position, or never will."""
        return self.lost or self.finished or self.position - self.buffered >= position

    def describe_tls(self) -> dict[str, Any]:
        """For `xmpp-edge streams` and the audit: whether this connection is encrypted, and how."""
        tls = self.channel.name if self.channel is not None else None
        return {"encrypted": tls is not None, "tls": tls}

    def hold(self, reason: object) -> None:
        """Read no more until every reason is released."""
        if not self._holds and self.transport is not None:
            self.transport.pause_reading()
        self._holds.add(reason)

    def release(self, reason: object) -> None:
        """Take one reason back."""
        self._holds.discard(reason)
        if not self._holds and self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    # inside

    def _ended(self) -> None:
        if self.machine is None or self.finished:
            return
        self.broken = True
        if self.channel is not None and not self.channel.done:
            text = "TLS failed: the peer ended the connection in the middle of the handshake."
            self.perform(self.machine.tls_failed(text, self.loop.time()))
        else:
            self.perform(self.machine.eof(self.loop.time()))

    def flush(self) -> None:
        """Hand on what was gathered."""
        self._flush_due = False
        if not self._waiting or self.transport is None:
            return
        data = self._waiting[0] if len(self._waiting) == 1 else b"".join(self._waiting)
        self._waiting.clear()
        self._waiting_size = 0
        if self.transport.is_closing():
            return
        if self.channel is None:
            self.transport.write(data)
        else:
            self._encrypt(self.channel, data)

    def _decrypt(self, machine: Machine, channel: Channel, data: bytes) -> None:
        shaking = not channel.done
        try:
            plain = channel.receive(data)
        except TlsError as problem:
            # The alert that tells the peer why.
            self._put(channel.outgoing())
            self.broken = True
            self.perform(machine.tls_failed(str(problem), self.loop.time()))
            return
        if shaking or not plain:
            # With content alone OpenSSL has nothing to say.
            self._put(channel.outgoing())
        if shaking and channel.done:
            self.perform(machine.secured(channel.facts(lambda: self.current.judge), self.loop.time()))
        if plain and not self.finished:
            self.perform(machine.receive(plain, self.loop.time()))
        if channel.ended:
            self._ended()

    def _encrypt(self, channel: Channel, data: bytes) -> None:
        if not channel.done or channel.failed:
            # The last words of a stream whose TLS never stood: they do not go out in plain.
            return
        try:
            self._put(channel.send(data))
        except TlsError:
            self.abort()
            return
        marks = self._marks
        if marks is not None:
            marks.note(self.position)
            if marks.crowded:
                self.acknowledged()
            if marks.crowded:
                marks.thin()

    def _put(self, data: bytes) -> None:
        """Cipher text, to the kernel."""
        if data and self.transport is not None and not self.transport.is_closing():
            if self._marks is not None:
                self._marks.wire += len(data)
            self.transport.write(data)

    def _finish(self) -> None:
        """The stream is over: what was said last goes out, what still comes in is thrown away."""
        self.finished = True
        self.flush()
        if self.transport is None or self.lost:
            return
        if self.channel is not None:
            self.channel.close()
            self._put(self.channel.outgoing())
        for timer in (self._timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        self._holds.clear()
        if self.transport.can_write_eof() and not self.transport.is_closing():
            # Closing with unread bytes would reset the connection and could swallow the last words.
            try:
                self.transport.write_eof()
            except OSError:
                # The peer has reset it, and we have not heard of that yet.
                self.abort()
                return
            self.transport.resume_reading()
        else:
            self.transport.close()
        self._timer = self.loop.call_later(self.current.timing.linger, self.abort)

    def _schedule(self) -> None:
        """Wake up at the machine's deadline; a timer that comes too early only looks again."""
        if self.machine is None or self.finished:
            return
        deadline = self.machine.deadline
        if deadline is None:
            return
        if self._timer is not None:
            if self._timer.when() <= deadline:
                return
            self._timer.cancel()
        self._timer = self.loop.call_at(deadline, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if self.machine is None or self.finished:
            return
        now = self.loop.time()
        deadline = self.machine.deadline
        if deadline is not None and deadline <= now:
            self.perform(self.machine.tick(now))
        else:
            self._schedule()
