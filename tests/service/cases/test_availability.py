# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cases 13, 91, 94, 95, 99 and 100: whatever a peer, the inside server or the machine does, over TLS as well."""

from __future__ import annotations

import contextlib
import gc
import re
import signal
import socket
import time
import tracemalloc
from dataclasses import replace

from net.harness import ALICE, BOB, OURS, QUICK, THEIRS, Records, error, eventually, run, zones
from net.test_cli import running
from peers.dns_server import DnsServer
from peers.initiator import Ability
from peers.inside import Inside
from peers.raw import RawPeer
from peers.scripted import EVERYTHING, Offer, Scripted
from xmpp_edge.current import Bounds

from .raw import authenticated, ends_with, header, message
from .stage import PAPERS, STRICT, edge, open_to, record

DESK = f"{ALICE}/desk"


def test_case_013_a_long_header_leaves_the_memory_flat():
    async def test() -> None:
        async with edge() as here:
            text = header().replace(b" version=", b" x='" + b"x" * 65_536 + b"' version=")
            for _unused in range(5):
                await ends_with(await sent(here.address, text), "policy-violation")
            tracemalloc.start()
            gc.collect()
            before, _unused = tracemalloc.get_traced_memory()
            for _unused in range(50):
                await ends_with(await sent(here.address, text), "policy-violation")
            gc.collect()
            after, _unused = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert after - before < 50 * 2000, "audit lines and little else"
            await eventually(lambda: not here.service.incomings.strangers)

    run(test, 60)


async def sent(address: tuple[str, int], text: bytes) -> RawPeer:
    peer = await RawPeer.connect(address)
    await peer.send(text)
    return peer


def test_case_091_a_peer_that_reads_no_more_within_tls():
    async def test() -> None:
        timing = replace(QUICK, write=0.3, linger=0.2)
        offer = Offer(starttls="required", external="secure")
        async with (
            edge(bounds=Bounds(write_buffer=10_000), timing=timing) as here,
            Scripted(THEIRS, offer=offer, identity=PAPERS.theirs) as server,
        ):
            here.lead_to(server.port)
            await here.inside.send_message(DESK, BOB, "first")
            session = await server.session()
            await session.until("message")
            session.wire._writer.transport.pause_reading()
            for number in range(60):
                await here.inside.send_message(DESK, BOB, "x" * 200_000, id_=f"n{number}")
            everything = {f"n{number}" for number in range(60)}

            def told() -> list[str | None]:
                return [stanza.id for stanza in here.inside.mailbox(ALICE).history if stanza.id in everything]

            def arrived() -> list[str | None]:
                return [stanza.get("id") for other in server.sessions[1:] for stanza in other.stanzas]

            # What was not begun goes out on the next stream; what was is in doubt, and its sender is told.
            await eventually(lambda: everything <= {*told(), *arrived()})
            assert len(told()) + len(arrived()) == len(everything), "each is answered for once, or sent"
            assert told()
            await here.audit.wait("stream_closed", direction="out")

    run(test, 60)


def test_case_094_the_inside_server_is_down():
    async def test() -> None:
        async with (
            edge(negotiation=STRICT) as here,
            Scripted(THEIRS, offer=EVERYTHING, identity=PAPERS.theirs) as server,
        ):
            here.lead_to(server.port)
            peer = await authenticated(here, PAPERS.theirs)
            here.inside._server.close()
            await here.inside.drop(THEIRS)
            await here.audit.wait("inside_link_down")
            await peer.send(message(BOB, ALICE, "lost"))
            session = await server.session()
            await session.until("message lost")
            answer = session.stanzas[0]
            assert answer.get("type") == "error"
            assert b"remote-server-timeout" in bytes(session.wire.received)
            # The partner's stream stays, and is good again when the inside server is.
            await peer.send(b" ")
            assert [entry["direction"] for entry in here.service.streams()].count("in") == 1

    run(test)


def test_case_095_a_partner_is_taken_away_and_the_other_notices_nothing():
    def two(records: Records) -> None:
        records.partners.append(record(STRICT, "other.example"))

    async def test() -> None:
        async with edge(STRICT, change=two, domains=(THEIRS, "other.example")) as here:
            other = Ability(tls=True, external=True, identity=PAPERS.ca.issue("other.example"))
            staying = await open_to(here, other, local="other.example")
            going = await authenticated(here, PAPERS.theirs)
            del here.records.partners[0]
            await here.reload()
            await ends_with(going, "policy-violation")
            await staying.wire.send(message("ann@other.example", ALICE, "still").decode())
            assert (await here.inside.mailbox(ALICE).wait()).id == "still"
            back = await sent(here.address, header())
            await ends_with(back, "policy-violation")

    run(test)


def test_case_099_the_clock_jumps(monkeypatch):
    async def test() -> None:
        async with edge() as here:
            peer = await authenticated(here, PAPERS.theirs)
            honest = time.time
            for years in (-10, 10):
                monkeypatch.setattr(time, "time", lambda years=years: honest() + years * 31_536_000)
                await peer.send(message(BOB, ALICE, f"after-{years}"))
                await here.inside.mailbox(ALICE).wait(lambda stanza, years=years: stanza.id == f"after-{years}")
            await peer.silence(0.1)
            assert len(here.service.streams()) == 1

    run(test)


def test_case_100_killed_while_draining(tmp_path):
    """What the partner got it got once, and a sender whose stanza is neither there nor bounced is one of the killed."""

    async def test() -> None:
        records = Records(tmp_path)
        PAPERS.install(records)
        records.partners = [record(STRICT)]
        secret = records.secrets["inside_secret"]
        offer = Offer(starttls="required", external="secure")
        inside = Inside(OURS, users=[ALICE], components=[THEIRS], secret=secret)
        async with inside, Scripted(THEIRS, offer=offer, identity=PAPERS.theirs) as server:
            with DnsServer(zones(gmail=server.port)) as dns:
                records.edge |= {"inside": {"port": inside.port}, "resolvers": [f"127.0.0.1:{dns.address[1]}"]}
                async with running(records) as process:
                    await inside.wait_linked()
                    await inside.send_message(DESK, BOB, "x", id_="n0")
                    session = await server.session()
                    await session.until("message n0")
                    session.wire._writer.transport.pause_reading()
                    for number in range(1, 200):
                        await inside.send_message(DESK, BOB, "x" * 5000, id_=f"n{number}")
                    process.send_signal(signal.SIGTERM)
                    # Draining: the listener is closed, the queue is not empty.
                    await eventually(lambda: not listening(records.edge["listen_port"]))
                    process.kill()
                    await process.wait()
                session.wire._writer.transport.resume_reading()
                await session.until("over")
                (tmp_path / "notify").unlink()
                async with running(records):
                    await inside.wait_linked()
                    await inside.send_message(DESK, BOB, "x", id_="later")
                    again = await server.session()
                    await again.until("message later")
                arrived = [stanza.get("id") for each in server.sessions for stanza in each.stanzas]
                assert len(arrived) == len(set(arrived)), "nothing is sent twice, not even by the next process"
                numbers = [int(found[1]) for id_ in arrived if (found := re.fullmatch(r"n(\d+)", id_ or ""))]
                assert numbers == list(range(len(numbers))), "in order, without a gap up to where it ended"
                assert {error(stanza)[0] for stanza in inside.mailbox(ALICE).history} <= {"wait"}

    run(test, 90)


def listening(port: int) -> bool:
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.connect(("127.0.0.1", port))
        return True
    return False
