# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of a partner through the whole service, and through Prosody in the same place: s2s in, component out.

One stream, 230-byte messages, on loopback: plain TCP with dialback, or TLS 1.3 with SASL EXTERNAL. CPU time is that of
the relay's process alone, so that a busy machine blurs it little; messages a second are those of the whole arrangement,
sender and receiver included.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from interop import prosody
from interop.edge import Edge
from interop.server import Server, free_port, wait_port
from peers.authority import Authority
from peers.dns_server import DnsServer
from peers.partner import Partner

sys.path.insert(0, str(Path(__file__).resolve().parent))

import secure

OURS, THEIRS, SECRET = "inside.example", "gmail.example", "inside"
SIZE, WARM, RATE, SECONDS = 230, 10_000, 1_000, 10
MANY = {"xmpp-edge": 200_000, "Prosody": 40_000}
TICK = os.sysconf("SC_CLK_TCK")
TLS_ONLY = {"tls": "required", "sasl": "required", "dialback": False}
STAMP = re.compile(rb"<body>(\d+)")
COMPONENT_HEADER = (
    "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept'"
    " xmlns:stream='http://etherx.jabber.org/streams' {}='{}' id='bench'>"
)
PROSODY = """
{security}
s2s_ports = {{ {s2s} }}
component_ports = {{ {components} }}
component_interfaces = {{ "127.0.0.1" }}
unbound = {{ resolvconf = false; hoststxt = false; forward = {{ "{dns_host}@{dns_port}" }};
  options = {{ ["do-not-query-localhost:"] = "no"; ["module-config:"] = "iterator" }} }}
VirtualHost "nobody.example"
modules_enabled = {{ {modules} }}
Component "inside.example"
component_secret = "inside"
modules_enabled = {{ {modules} }}
"""
PLAIN = """
modules_disabled = {{ "tls" }}
s2s_require_encryption = false
s2s_secure_auth = false
"""
SECURE = """
s2s_require_encryption = true
s2s_secure_auth = true
ssl = {{ key = "{directory}/key.pem", certificate = "{directory}/full.pem", cafile = "{directory}/ca.pem" }}
"""


@dataclass(frozen=True)
class Result:
    relay: str
    per_second: float
    saturated: float  # microseconds of CPU a message
    at_rate: float  # the same at RATE messages a second
    p99: float  # milliseconds at RATE
    memory: float  # MiB

    def row(self) -> str:
        return (
            f"| {self.relay} | {self.per_second:,.0f} | {self.saturated:.1f} | {self.at_rate:.0f} "
            f"| {self.p99:.2f} | {self.memory:.0f} |"
        )


def message(stamp: int) -> bytes:
    """A chat message of SIZE bytes that says when it was sent."""
    head = f"<message from='bob@{THEIRS}/phone' to='alice@{OURS}' type='chat' id='m1'><body>{stamp}"
    tail = "</body></message>"
    return (head + " " + "x" * (SIZE - len(head) - len(tail) - 1) + tail).encode()


class Sink:
    """The inside server's end of the link: counts messages, and tells how old they are."""

    def __init__(self) -> None:
        self.count = 0
        self.ages: list[float] | None = None
        self.connected = asyncio.Event()
        self._wanted, self._reached = 0, asyncio.Event()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """As a server for the edge's component link."""
        await reader.readuntil(b">")
        await reader.readuntil(b">")
        writer.write(COMPONENT_HEADER.format("from", THEIRS).encode())
        await reader.readuntil(b"</handshake>")
        writer.write(b"<handshake/>")
        await self._read(reader)

    async def connect(self, port: int) -> None:
        """As a component of a server."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(COMPONENT_HEADER.format("to", OURS).encode())
        header = await reader.readuntil(b">") + await reader.readuntil(b">")
        found = re.search(rb"id=['\"]([^'\"]+)", header)
        digest = hashlib.sha1((found[1].decode() + SECRET).encode()).hexdigest()
        writer.write(f"<handshake>{digest}</handshake>".encode())
        await reader.readuntil(b"<handshake/>")
        await self._read(reader)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        self.connected.set()
        rest = b""
        while data := await reader.read(262_144):
            whole = rest + data
            self.count += whole.count(b"</message>")
            end = whole.rfind(b"</message>") + 10
            if self.ages is not None:
                now = time.monotonic_ns()
                self.ages += [(now - int(stamp)) / 1e6 for stamp in STAMP.findall(whole[:end])]
            rest = whole[end:] if end > 9 else whole
            if self.count >= self._wanted:
                self._reached.set()

    async def wait(self, count: int) -> None:
        self._wanted = count
        self._reached.clear()
        if self.count < count:
            await asyncio.wait_for(self._reached.wait(), 120)


def cpu(pid: int) -> float:
    """Seconds that a process has had so far, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def memory(pid: int) -> float:
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024


async def flood(writer: asyncio.StreamWriter, sink: Sink, count: int) -> float:
    """Send as fast as it is taken; seconds until the last has arrived."""
    block = message(0) * 200
    target, began = sink.count + count, time.monotonic()
    for _unused in range(count // 200):
        writer.write(block)
        await writer.drain()
    await sink.wait(target)
    return time.monotonic() - began


async def trickle(writer: asyncio.StreamWriter, sink: Sink, seconds: int) -> None:
    """RATE messages a second, each on its own."""
    target, start, sent = sink.count + RATE * seconds, time.monotonic(), 0
    while sent < RATE * seconds:
        due = min(int((time.monotonic() - start) * RATE) + 1, RATE * seconds)
        for _unused in range(due - sent):
            writer.write(message(time.monotonic_ns()))
        sent = due
        await asyncio.sleep(0.001)
    await sink.wait(target)


async def measure(name: str, server: Server, writer: asyncio.StreamWriter, sink: Sink, many: int) -> Result:
    pid = server.process.pid
    await flood(writer, sink, WARM)
    before = cpu(pid)
    seconds = await flood(writer, sink, many)
    saturated = (cpu(pid) - before) / many * 1e6
    sink.ages, before = [], cpu(pid)
    await trickle(writer, sink, SECONDS)
    at_rate = (cpu(pid) - before) / (RATE * SECONDS) * 1e6
    p99 = statistics.quantiles(sink.ages, n=100)[98]
    return Result(name, many / seconds, saturated, at_rate, p99, memory(pid))


async def start_edge(
    stack: AsyncExitStack, directory: Path, sink: Sink, dns: DnsServer, ca: Authority | None
) -> tuple[Server, int]:
    listener = await asyncio.start_server(sink.accept, "127.0.0.1", 0)
    edge = Edge(directory)
    edge.partners = [{"domain": THEIRS, **(TLS_ONLY if ca is not None else {})}]
    edge.grants = {f"alice@{OURS}": "FedPic"}
    edge.edge |= {
        "resolvers": ["{}:{}".format(*dns.address)],
        "inside": {"server": "prosody", "host": "127.0.0.1", "port": listener.sockets[0].getsockname()[1]},
    }
    if ca is not None:
        edge.edge["ca_file"] = str(ca.write(directory / "ca.pem"))
        ca.issue(OURS).write(edge.config)
    stack.push_async_callback(edge.stop)
    await edge.start()
    return edge, edge.port


async def start_prosody(
    stack: AsyncExitStack, directory: Path, sink: Sink, dns: DnsServer, ca: Authority | None
) -> tuple[Server, int]:
    server, port, components = prosody.Prosody(directory), free_port(), free_port()
    if ca is not None:
        ca.issue(OURS).write_files(directory)
        ca.write(directory / "ca.pem")
    config = prosody.COMMON.replace("debug =", "warn =").format(directory=directory, c2s=server.c2s)
    config += PROSODY.format(
        s2s=port,
        components=components,
        dns_host=dns.address[0],
        dns_port=dns.address[1],
        security=(PLAIN if ca is None else SECURE).format(directory=directory),
        modules='"dialback"' if ca is None else '"tls", "saslauth"',
    )
    stack.push_async_callback(server.stop)
    await server.start(config, "nobody.example", {})
    await wait_port(port, server)
    await wait_port(components, server)
    reading = asyncio.create_task(sink.connect(components))
    stack.callback(reading.cancel)
    return server, port


START = {"xmpp-edge": start_edge, "Prosody": start_prosody}


async def through(kind: str, directory: Path, tls: bool) -> Result:
    async with AsyncExitStack() as stack:
        sink = Sink()
        ca = Authority("Benchmark CA") if tls else None
        partner = await stack.enter_async_context(Partner(THEIRS))
        zones = {THEIRS: [f"_xmpp-server._tcp 60 IN SRV 0 0 {partner.port} xmpp", "xmpp 60 IN A 127.0.0.1"]}
        dns = stack.enter_context(DnsServer(zones))
        server, port = await START[kind](stack, directory, sink, dns, ca)
        await asyncio.wait_for(sink.connected.wait(), 20)
        if ca is not None:
            ca.issue(THEIRS).write_files(directory / "theirs")
            context = secure.client_context(directory / "theirs")
            _reader, writer = await secure.open_stream(port, THEIRS, OURS, context)
        else:
            partner.routes[OURS] = ("127.0.0.1", port)
            link = await partner.verified_stream(THEIRS, OURS)
            # The stream's socket itself: a stand-in keeps all that it sends, which is right for tests and wrong here.
            writer = link.wire._writer
        return await measure(f"{kind}, {'TLS' if tls else 'plain'}", server, writer, sink, MANY[kind])


def test_relay_against_a_peer(capsys: pytest.CaptureFixture[str]) -> None:
    if prosody.MISSING:
        pytest.skip(prosody.MISSING)
    results = {}
    for tls in (False, True):
        for kind in START:
            with tempfile.TemporaryDirectory(prefix="bench-") as place:
                results[kind, tls] = asyncio.run(through(kind, Path(place) / "relay", tls))
    with capsys.disabled():
        print(f"\n| relay | messages/s | CPU us, saturated | CPU us at {RATE}/s | p99 ms at {RATE}/s | memory MiB |")
        print("| --- | --- | --- | --- | --- | --- |")
        print("\n".join(result.row() for result in results.values()))
    for tls in (False, True):
        assert results["xmpp-edge", tls].saturated < results["Prosody", tls].saturated / 2
        assert results["xmpp-edge", tls].memory < 64
    # Records are 16 KiB at most, and what one read brings is decrypted, parsed and passed on together.
    assert results["xmpp-edge", True].saturated < 2 * results["xmpp-edge", False].saturated
