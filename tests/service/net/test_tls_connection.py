# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The driver with TLS under it, by itself: what TCP has confirmed, what never goes out in plain, who is held back."""

from __future__ import annotations

import asyncio
import fcntl
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from peers.authority import Authority
from peers.raw import Listener, RawPeer
from xmpp_edge.current import Bounds, Turn
from xmpp_edge.net.connection import Connection
from xmpp_edge.net.contexts import Contexts, load
from xmpp_edge.net.marks import Marks
from xmpp_edge.stream.actions import Closed, Send
from xmpp_edge.stream.security import Tls

from .harness import OURS, QUICK, THEIRS, eventually, quick, run

ROOT = Authority()
PARTNER = ROOT.issue(THEIRS)
WIDE = Bounds()


class Machine:
    """Keeps what it is told, and does nothing by itself."""

    deadline = None

    def __init__(self) -> None:
        self.heard = b""
        self.tls: Tls | None = None
        self.failure: str | None = None
        self.over = False
        self.after: list[Any] = []

    def receive(self, data: bytes, now: float) -> list[Any]:
        self.heard += data
        return []

    def tick(self, now: float) -> list[Any]:
        return []

    def eof(self, now: float) -> list[Any]:
        self.over = True
        return [Closed(None, "", "peer")]

    def close(self, condition: str | None, text: str, now: float) -> list[Any]:
        return [Send(b"last words"), Closed(condition, text, "us")]

    def secured(self, tls: Tls, now: float) -> list[Any]:
        self.tls = tls
        return self.after

    def tls_failed(self, text: str, now: float) -> list[Any]:
        self.failure = text
        return [Closed("tls_failed", text, "us")]


class Owner:
    """Whose connection it is."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.gone = asyncio.Event()
        self.held = 0

    def opened(self, connection: Connection) -> None:
        connection.start()

    def machine_for(self, connection: Connection) -> Machine:
        return self.machine

    def act(self, connection: Connection, action: Any) -> None:
        raise AssertionError(action)

    def writable(self, connection: Connection, ready: bool) -> None:
        self.held += not ready

    def closed(self, connection: Connection, closed: Closed | None) -> None:
        self.gone.set()


@asynccontextmanager
async def pair(timing=QUICK, bounds=WIDE) -> AsyncIterator[tuple[Connection, Owner, RawPeer]]:
    """A connection of ours to a raw peer, both before TLS."""
    current: Any = SimpleNamespace(timing=timing, bounds=bounds, turn=Turn(), judge=None)
    owner = Owner()
    async with Listener() as listener:
        connection = Connection(owner, current)
        await connection.loop.create_connection(lambda: connection, *listener.address)
        peer = await listener.accept()
        yield connection, owner, peer
        connection.abort()
        await owner.gone.wait()


async def secure(connection: Connection, owner: Owner, peer: RawPeer, own: Contexts | None = None) -> None:
    connection.start_tls((own or Contexts()).client(OURS, THEIRS))
    await peer.start_tls(PARTNER, server=True)
    await eventually(lambda: owner.machine.tls is not None)


async def all_read(peer: RawPeer, size: int) -> None:
    async with asyncio.timeout(20):
        while size > 0:
            size -= len(await peer.tls.read())


def test_what_was_written_before_goes_out_in_plain_and_what_comes_after_in_tls():
    async def test() -> None:
        async with pair() as (connection, owner, peer):
            connection.write(b"plain")
            connection.start_tls(Contexts().client(OURS, THEIRS))
            await peer.until(b"plain")
            connection.write(b"too early")
            assert owner.machine.tls is None

    run(test)


def test_tcp_tells_of_plain_bytes_below_and_above_the_start_of_tls():
    async def test() -> None:
        async with pair() as (connection, owner, peer):
            connection.write(b"x" * 100)
            await peer.until(b"x{100}")
            await eventually(lambda: connection.acknowledged() == 100)
            await secure(connection, owner, peer)
            for size in (1, 10, 20_000):
                connection.write(b"y" * size)
                await peer.until(b"y{%d}" % size)
                await eventually(lambda: connection.acknowledged() == connection.position)
            assert connection.position == 100 + 20_011

    run(test)


def test_what_the_peer_has_not_taken_is_not_confirmed_and_the_marks_are_few():
    async def test() -> None:
        async with pair(bounds=Bounds(write_buffer=1 << 30), timing=quick(write=60)) as (connection, owner, peer):
            await secure(connection, owner, peer)
            peer.stop_reading()
            positions = []
            for _unused in range(3000):
                connection.write(b"z" * 5000)
                connection.flush()
                positions.append(connection.position)
            assert len(connection._marks) <= 1024
            assert connection.buffered > 8_000_000
            confirmed = connection.acknowledged()
            assert confirmed is not None
            assert confirmed < connection.position - connection.buffered + 5000
            assert not connection.taken(connection.position)
            peer.tls.transport.resume_reading()
            await all_read(peer, 15_000_000)
            await eventually(lambda: connection.acknowledged() == connection.position)
            assert connection.taken(connection.position)

    run(test)


def test_writes_of_one_turn_are_one_record():
    async def test() -> None:
        async with pair() as (connection, owner, peer):
            await secure(connection, owner, peer)
            wire = connection._marks.wire
            for _unused in range(50):
                connection.write(b"a stanza of some length")
            await peer.until(b"(a stanza of some length){50}")
            assert connection._marks.wire - wire == 50 * len(b"a stanza of some length") + 22

    run(test)


def test_a_peer_that_reads_no_more_holds_back_the_writer_and_is_given_up():
    async def test() -> None:
        async with pair(timing=quick(write=0.3)) as (connection, owner, peer):
            await secure(connection, owner, peer)
            peer.stop_reading()
            async with asyncio.timeout(10):
                while not connection.paused:
                    connection.write(b"z" * 100_000)
                    await asyncio.sleep(0)
                await owner.gone.wait()
            assert owner.held == 1

    run(test)


@pytest.mark.parametrize("answer", [b"<stream:stream>", b"\x15\x03\x03\x00\x02\x02\x28", b"\0" * 100_000])
def test_last_words_do_not_go_out_in_plain_when_the_handshake_fails(answer):
    async def test() -> None:
        async with pair() as (connection, owner, peer):
            connection.start_tls(Contexts().client(OURS, THEIRS))
            await peer.until(b"\x16\x03\x01")
            await peer.send(answer)
            assert b"words" not in await peer.until_closed()
            assert owner.machine.failure.startswith("TLS failed: ")
            connection.close("system-shutdown", "")

    run(test)


def test_closing_within_the_handshake_says_nothing_in_plain():
    async def test() -> None:
        async with pair() as (connection, _owner, peer):
            connection.start_tls(Contexts().client(OURS, THEIRS))
            await peer.until(b"\x16\x03\x01")
            connection.close("system-shutdown", "")
            assert b"words" not in await peer.until_closed()

    run(test)


def test_a_peer_that_ends_in_the_handshake_is_a_failure_of_tls():
    async def test() -> None:
        async with pair() as (connection, owner, peer):
            connection.start_tls(Contexts().client(OURS, THEIRS))
            await peer.until(b"\x16\x03\x01")
            peer.end()
            await owner.gone.wait()
            assert "middle of the handshake" in owner.machine.failure
            assert not owner.machine.over

    run(test)


def test_what_the_stream_says_first_goes_out_as_soon_as_tls_stands():
    async def test() -> None:
        async with pair() as (connection, owner, peer):
            owner.machine.after = [Send(b"hello")]
            await secure(connection, owner, peer)
            await peer.until(b"hello")
            assert owner.machine.tls.certificate

    run(test)


def test_the_side_that_was_called_knows_what_is_confirmed_to_the_byte(tmp_path):
    """Our SYN counts for one byte, theirs for none."""
    ROOT.issue(OURS).write(tmp_path)
    own = Contexts(load(tmp_path)[0])

    async def test() -> None:
        current: Any = SimpleNamespace(timing=QUICK, bounds=Bounds(), turn=Turn(), judge=None)
        owner, loop = Owner(), asyncio.get_running_loop()
        connection = Connection(owner, current, accepted=True)
        server = await loop.create_server(lambda: connection, "127.0.0.1", 0)
        peer = await RawPeer.connect(server.sockets[0].getsockname())
        await eventually(lambda: connection.transport is not None)
        connection.write(b"x" * 7)
        await peer.until(b"x{7}")
        await eventually(lambda: connection.acknowledged() == 7)
        connection.start_tls(own.server())
        await peer.start_tls(PARTNER)
        await eventually(lambda: owner.machine.tls is not None)
        connection.write(b"y" * 7)
        await peer.until(b"y{7}")
        await eventually(lambda: connection.acknowledged() == 14)
        server.close()
        connection.abort()
        await owner.gone.wait()

    run(test)


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 30), st.booleans()), max_size=60), st.integers(0, 100))
def test_marks_never_confirm_what_is_not(steps, begin):
    marks, pairs, position, acked = Marks(begin), [(begin, begin)], begin, 0
    for plain, overhead, thin in steps:
        position += plain
        marks.wire += plain + overhead
        marks.note(position)
        pairs.append((marks.wire, position))
        if thin:
            marks.thin()
        acked = min(marks.wire, acked + plain)
        true = max((there for wire, there in pairs if wire <= acked), default=0)
        assert marks.confirmed(acked) <= true
    assert marks.confirmed(marks.wire) == position
    assert len(marks) == 0


def test_who_sends_much_does_not_make_others_wait():
    async def test() -> None:
        async with pair() as (many, much, flooder), pair() as (few, little, honest):
            for connection in (many, few):
                connection.hold("test")
            flood = asyncio.ensure_future(flooder.send(b" " * 1_000_000))
            await honest.send(b"x")
            sock = many.transport.get_extra_info("socket")
            await eventually(lambda: int.from_bytes(fcntl.ioctl(sock, termios.FIONREAD, bytes(4)), "little") > 40_000)
            heard: list[int] = []  # of the flood, when the other was heard
            little.machine.receive = lambda data, now: heard.append(len(much.machine.heard)) or []
            for connection in (many, few):
                connection.release("test")
            await eventually(lambda: bool(heard))
            assert heard[0] <= 32_768
            await flood
            await eventually(lambda: len(much.machine.heard) == 1_000_000)

    run(test)
