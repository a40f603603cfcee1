# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams a second: TCP, STARTTLS, TLS 1.3 with certificates of both sides, EXTERNAL, and the end again.

As many as eight at once, from several addresses of the loopback: what one address may cause is bounded. CPU time is
that of the server's process alone.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import secure
import test_relay as relay
from interop import prosody
from peers.authority import Authority
from peers.dns_server import DnsServer

STREAMS, AT_ONCE, PER_ADDRESS = 800, 8, 100


@dataclass(frozen=True)
class Result:
    server: str
    per_second: float
    cost: float  # milliseconds of CPU
    memory: float  # MiB

    def row(self) -> str:
        return f"| {self.server} | {self.per_second:,.0f} | {self.cost:.2f} | {self.memory:.0f} |"


async def handshakes(port: int, context: secure.ssl.SSLContext, first: int, count: int) -> None:
    """Open and close so many streams."""
    numbers = iter(range(first, first + count))

    async def work() -> None:
        for number in numbers:
            source = f"127.0.1.{1 + number // PER_ADDRESS}"
            reader, writer = await secure.open_stream(port, relay.THEIRS, relay.OURS, context, source)
            writer.write(b"</stream:stream>")
            while await reader.read(4096):
                pass
            writer.close()

    async with asyncio.TaskGroup() as group:
        for _unused in range(AT_ONCE):
            group.create_task(work())


async def measure(kind: str, directory: Path) -> Result:
    async with AsyncExitStack() as stack:
        sink, ca = relay.Sink(), Authority("Benchmark CA")
        dns = stack.enter_context(DnsServer({relay.THEIRS: ["xmpp 60 IN A 127.0.0.1"]}))
        server, port = await relay.START[kind](stack, directory, sink, dns, ca)
        await asyncio.wait_for(sink.connected.wait(), 20)
        ca.issue(relay.THEIRS).write_files(directory / "theirs")
        context = secure.client_context(directory / "theirs")
        await handshakes(port, context, 0, PER_ADDRESS)
        before, began = relay.cpu(server.process.pid), time.monotonic()
        await handshakes(port, context, PER_ADDRESS, STREAMS)
        seconds, cost = time.monotonic() - began, relay.cpu(server.process.pid) - before
        return Result(kind, STREAMS / seconds, cost / STREAMS * 1e3, relay.memory(server.process.pid))


def test_handshakes_against_a_peer(capsys: pytest.CaptureFixture[str]) -> None:
    if prosody.MISSING:
        pytest.skip(prosody.MISSING)
    results = []
    for kind in relay.START:
        with tempfile.TemporaryDirectory(prefix="bench-") as place:
            results.append(asyncio.run(measure(kind, Path(place) / "server")))
    with capsys.disabled():
        print("\n| server | streams/s | CPU ms a stream | memory MiB |")
        print("| --- | --- | --- | --- |")
        print("\n".join(result.row() for result in results))
    ours, peer = results
    assert ours.cost < 2 * peer.cost
