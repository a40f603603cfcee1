# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS on connections from outside: how it is reached, what it proves, and what becomes of those who play with it."""

from __future__ import annotations

import asyncio
import gc
import socket
import weakref

import pytest
from OpenSSL import SSL
from peers.authority import self_signed
from peers.raw import RawPeer
from peers.tls import Options, TlsError, context
from xmpp_edge.current import Bounds

from .harness import (
    ALICE,
    BOB,
    OURS,
    PLAIN,
    THEIRS,
    TLS_OR_DIALBACK,
    Records,
    eventually,
    run,
    world,
)
from .tls_world import (
    HELLO,
    STARTTLS,
    direct,
    proceed,
    prove,
    secure,
    secured,
    speak,
)


@pytest.mark.parametrize("way", ["starttls", "direct"])
def test_external_proves_a_partner(way):
    async def test() -> None:
        async with world(change=secured()) as here:
            peer = await (secure(here) if way == "starttls" else direct(here))
            await prove(peer)
            await speak(here, peer)
            told = await here.audit.wait("authenticated", direction="in")
            assert {name: told[name] for name in ("method", "encrypted", "trusted")} == {
                "method": "sasl_tls",
                "encrypted": True,
                "trusted": True,
            }
            (stream,) = [each for each in here.service.streams() if each["direction"] == "in"]
            assert (stream["encrypted"], stream["authenticated"]) == (True, True)
            assert stream["tls"].startswith("TLSv1.3 TLS_")
            assert stream["pairs"] == [{"local": OURS, "remote": THEIRS, "method": "sasl_tls", "trusted": True}]
            assert peer.tls.alpn == (b"xmpp-server" if way == "direct" else b"")

    run(test)


def test_an_untrusted_certificate_encrypts_and_proves_nothing():
    async def test() -> None:
        async with world(change=secured(TLS_OR_DIALBACK)) as here:
            peer = await secure(here, self_signed(THEIRS))
            await peer.send(HELLO)
            features = (await peer.until(rb"<stream:features>.*</stream:features>"))[0]
            assert b"EXTERNAL" not in features
            assert b"dialback" in features
            (stream,) = here.service.streams()
            assert (stream["encrypted"], stream["authenticated"], stream["pairs"]) == (True, False, [])

    run(test)


def test_who_may_only_use_external_and_cannot_is_told_why():
    async def test() -> None:
        async with world(change=secured()) as here:
            peer = await secure(here, self_signed(THEIRS))
            await peer.send(HELLO)
            await peer.until_closed()
            line = await here.audit.wait("refused", remote=THEIRS)
            assert line["text"]
            assert len(here.audit.events("refused")) == 1

    run(test)


@pytest.mark.parametrize("behind", [b"<message xmlns='jabber:server'/>", b"\n", b"\0" * 1000])
def test_what_comes_in_plain_behind_starttls_is_thrown_away(behind):
    async def test() -> None:
        async with world(change=secured()) as here:
            peer = await secure(here, behind=behind)
            await prove(peer)
            await speak(here, peer)

    run(test)


def test_tls_within_tls_is_refused():
    async def test() -> None:
        async with world(change=secured()) as here:
            peer = await secure(here)
            await peer.send(HELLO)
            await peer.until(rb"</stream:features>")
            await peer.send(STARTTLS)
            assert b"<stream:error>" in await peer.until_closed()

    run(test)


def test_direct_tls_offers_no_second_tls():
    async def test() -> None:
        async with world(change=secured()) as here:
            peer = await direct(here, options=Options())
            await peer.send(HELLO)
            assert b"starttls" not in (await peer.until(rb"<stream:features>.*</stream:features>"))[0]

    run(test)


def test_another_protocol_on_the_direct_port_is_refused_with_an_alert():
    async def test() -> None:
        async with world(change=secured()) as here:
            with pytest.raises(TlsError, match="no application protocol"):
                await direct(here, options=Options(alpn=(b"h2",), sni=OURS))
            line = await here.audit.wait("refused", reason="tls_failed")
            assert "speak h2" in line["text"]
            await eventually(lambda: not here.service.incomings.strangers)

    run(test)


@pytest.mark.parametrize(
    "options",
    [
        Options(lowest=SSL.TLS1_VERSION, highest=SSL.TLS1_1_VERSION),
        Options(highest=SSL.TLS1_2_VERSION, ciphers=b"AES128-SHA:@SECLEVEL=0"),
    ],
)
@pytest.mark.parametrize("way", ["starttls", "direct"])
def test_old_tls_is_refused(options, way):
    async def test() -> None:
        async with world(change=secured()) as here:
            peer = await (proceed(here) if way == "starttls" else RawPeer.connect(here.direct_address))
            with pytest.raises(TlsError):
                await peer.start_tls(None, options)
            await here.audit.wait("refused", reason="tls_failed")
            await eventually(lambda: not here.service.incomings.strangers)

    run(test)


@pytest.mark.parametrize("garbage", [HELLO, b"GET / HTTP/1.1\r\n\r\n", b"\x80\x2e\x01\x03\x00\x01\0\0", b"\0" * 20_000])
@pytest.mark.parametrize("way", ["starttls", "direct"])
def test_what_is_not_tls_gets_no_word_in_plain(garbage, way):
    async def test() -> None:
        async with world(change=secured()) as here:
            peer = await (proceed(here) if way == "starttls" else RawPeer.connect(here.direct_address))
            await peer.send(garbage)
            rest = await peer.until_closed()
            assert b"<" not in rest
            assert len(rest) < 20
            line = await here.audit.wait("refused", reason="tls_failed")
            assert line["text"].startswith("TLS failed: ")
            assert not here.audit.events("connection_closed")

    run(test)


@pytest.mark.parametrize("part", [0, 1, 100])
def test_who_stalls_in_the_handshake_is_closed_when_the_time_is_over(part):
    def change(records: Records) -> None:
        secured()(records)
        records.edge["stream_establishment_timeout"] = 1

    async def test() -> None:
        async with world(change=change) as here:
            loop = asyncio.get_running_loop()
            began = loop.time()
            peer = await RawPeer.connect(here.direct_address)
            await asyncio.sleep(0.5)
            await peer.send(hello()[:part])
            assert await peer.until_closed() == b""
            assert loop.time() - began < 1.4
            await eventually(lambda: not here.service.incomings.strangers)

    run(test)


def hello() -> bytes:
    """The first bytes of a client."""
    tls = SSL.Connection(context(None, server=False), None)
    tls.set_connect_state()
    with pytest.raises(SSL.WantReadError):
        tls.do_handshake()
    return tls.bio_read(10_000)


@pytest.mark.parametrize("how", ["end", "reset", "close_notify"])
def test_who_leaves_in_the_handshake_leaves_nothing_behind(how):
    async def test() -> None:
        async with world(change=secured()) as here:
            peer = await RawPeer.connect(here.direct_address)
            await peer.send(hello())
            await peer.until(rb"\x16\x03\x03")
            if how == "end":
                peer.end()
            elif how == "reset":
                peer.reset()
            else:
                await peer.send(b"\x15\x03\x03\x00\x02\x01\x00")
            await here.audit.wait("refused", reason="tls_failed")
            await eventually(lambda: not here.service.incomings.strangers)

    run(test)


@pytest.mark.parametrize("how", ["close_notify", "end", "reset"])
def test_a_stream_that_breaks_under_tls_is_over(how):
    async def test() -> None:
        async with world(change=secured()) as here:
            peer = await secure(here)
            await prove(peer)
            if how == "close_notify":
                peer.end()
            else:
                _unused, writer = peer.tls.raw()
                writer.write_eof() if how == "end" else writer.transport.abort()
            assert (await here.audit.wait("stream_closed"))["by"] == "peer"
            assert not here.service.incomings.known

    run(test)


def test_the_end_of_the_stream_ends_tls_as_well():
    async def test() -> None:
        async with world(change=secured()) as here:
            peer = await secure(here)
            await prove(peer)
            await peer.send(b"</stream:stream>")
            assert (await peer.until_closed()).endswith(b"</stream:stream>")
            assert peer.tls.tls.get_shutdown() & SSL.RECEIVED_SHUTDOWN
            await here.audit.wait("stream_closed", direction="in")

    run(test)


def test_a_broken_record_ends_the_stream_with_an_alert():
    async def test() -> None:
        async with world(change=secured()) as here:
            peer = await secure(here)
            await prove(peer)
            _reader, writer = peer.tls.raw()
            writer.write(b"\x17\x03\x03\x00\x20" + b"x" * 32)
            await peer.until_closed()
            assert "bad record mac" in (await here.audit.wait("refused", reason="tls_failed"))["text"]
            await eventually(lambda: not here.service.incomings.known)

    run(test)


def test_long_and_many_stanzas_pass_whole():
    async def test() -> None:
        async with world(change=secured()) as here:
            peer = await direct(here)
            await prove(peer)
            long = "y" * 200_000
            bodies = [long if number == 50 else str(number) for number in range(100)]
            data = "".join(
                f"<message from='{BOB}' to='{ALICE}' id='n{number}'><body>{body}</body></message>"
                for number, body in enumerate(bodies)
            ).encode()
            await peer.send(data)
            got = await here.to_alice("n99")
            assert got.body == "99"

    run(test)


def test_stopping_says_goodbye_within_tls_and_waits_for_no_handshake():
    async def test() -> None:
        async with world(change=secured()) as here:
            peer, half, silent = await secure(here), await proceed(here), await RawPeer.connect(here.direct_address)
            await prove(peer)
            begun = await RawPeer.connect(here.direct_address)
            await begun.send(hello())
            await begun.until(rb"\x16\x03\x03")
            loop = asyncio.get_running_loop()
            began = loop.time()
            await here.service.stop()
            assert loop.time() - began < 2
            assert b"system-shutdown" in await peer.until_closed()
            for other in (half, silent, begun):
                assert b"stream" not in await other.until_closed()

    run(test)


# The bounds on strangers


def test_a_crowd_from_one_address_pushes_out_itself():
    def change(records: Records) -> None:
        records.partners[0] |= PLAIN
        records.edge |= {"unauthenticated_limit": 5}

    async def test() -> None:
        async with world(change=change) as here:
            loop = asyncio.get_running_loop()
            sock = socket.socket()
            sock.bind(("127.0.0.9", 0))
            sock.setblocking(False)
            await loop.sock_connect(sock, here.address)
            honest = RawPeer(*await asyncio.open_connection(sock=sock))
            await honest.send(HELLO)
            await honest.until(rb"<stream:features>")
            crowd = [await RawPeer.connect(here.address) for _unused in range(20)]
            await eventually(lambda: here.service.audit.counters["connections_in"] == 21)
            assert len(here.service.incomings.strangers) == 5
            for peer in crowd[:16]:
                assert await peer.until_closed() == b""
            assert any(each.connection.peer == "127.0.0.9" for each in here.service.incomings.strangers)

    run(test)


@pytest.mark.parametrize("way", ["starttls", "direct"])
def test_handshakes_of_one_address_have_a_pace(way):
    async def test() -> None:
        bounds = Bounds(handshakes=3, handshakes_per_second=4)
        async with world(change=secured(), bounds=bounds) as here:
            again = secure if way == "starttls" else direct
            for _unused in range(3):
                await again(here)
            with pytest.raises(TlsError):
                await asyncio.gather(again(here), again(here), again(here))
            reason = "tls_failed" if way == "starttls" else "too_many_handshakes"
            await here.audit.wait("refused", reason=reason)
            await asyncio.sleep(0.5)
            await prove(await again(here))

    run(test)


@pytest.mark.parametrize("proven", [True, False])
def test_what_tls_weighs_goes_with_the_connection_and_not_with_the_collector(proven):
    async def test() -> None:
        async with world(change=secured()) as here:
            incomings = here.service.incomings
            peer = await direct(here)
            if proven:
                await prove(peer)
            await eventually(lambda: bool(incomings.known if proven else incomings.strangers))
            connection = next(iter([*incomings.known, *incomings.strangers])).connection
            await eventually(lambda: connection.describe_tls()["encrypted"])
            engine = weakref.ref(connection.channel._ssl)
            gc.disable()
            try:
                peer.reset()
                await eventually(lambda: engine() is None)
            finally:
                gc.enable()

    run(test)
