# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS on connections from outside: how it is reached, what it proves, and what becomes of those who play with it."""

from __future__ import annotations

import asyncio
import base64
import gc
import socket
import weakref
from collections.abc import Callable

import pytest
from OpenSSL import SSL
from peers.authority import Authority, Pair, self_signed
from peers.raw import RawPeer
from peers.tls import Options, SecureStream, TlsError, context
from xmpp_edge.current import Bounds
from xmpp_edge.net.listener import ListenError

from .harness import (
    ALICE,
    BOB,
    OURS,
    PLAIN,
    THEIRS,
    TLS,
    TLS_OR_DIALBACK,
    Records,
    World,
    error,
    eventually,
    quick,
    run,
    world,
)
from .test_incoming import header

HELLO = header(**{"from": THEIRS, "to": OURS})
STARTTLS = b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
EXTERNAL = (
    b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>"
    + base64.b64encode(THEIRS.encode())
    + b"</auth>"
)
ALPN = Options(alpn=(b"xmpp-server",), sni=OURS)


class Authorities:
    """One for us and one for the partner, made once: keys take time."""

    ours = Authority("Our CA")
    theirs = Authority("Their CA")
    identity = ours.issue(OURS, common_name="first")
    partner = theirs.issue(THEIRS)


def secured(partner: dict | None = None, direct: bool = True) -> Callable[[Records], None]:
    def change(records: Records) -> None:
        records.certify(Authorities.identity, Authorities.theirs, **(partner or TLS))
        if direct:
            records.edge["direct_tls_port"] = 5270

    return change


async def proceed(here: World, behind: bytes = b"") -> RawPeer:
    """A connection that is about to speak TLS."""
    peer = await RawPeer.connect(here.address)
    await peer.send(HELLO)
    await peer.until(rb"<starttls .*</stream:features>")
    await peer.send(STARTTLS + behind)
    await peer.until(rb"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    return peer


async def secure(here: World, identity: Pair | None = Authorities.partner, behind: bytes = b"") -> RawPeer:
    peer = await proceed(here, behind)
    await peer.start_tls(identity, Options(sni=OURS))
    return peer


async def direct(here: World, identity: Pair | None = Authorities.partner, options: Options = ALPN) -> RawPeer:
    peer = await RawPeer.connect(here.direct_address)
    await peer.start_tls(identity, options)
    return peer


async def prove(peer: RawPeer) -> None:
    """SASL EXTERNAL, to the features of the proven stream."""
    await peer.send(HELLO)
    await peer.until(rb"EXTERNAL.*</stream:features>")
    await peer.send(EXTERNAL)
    await peer.until(rb"<success")
    await peer.send(HELLO)
    await peer.until(rb"<stream:features.*?(/>|</stream:features>)")


async def say(here: World, peer: RawPeer, number: int = 1) -> None:
    await peer.send(f"<message from='{BOB}' to='{ALICE}' id='m{number}'><body>hi</body></message>".encode())
    await here.inside.mailbox(ALICE).wait(lambda stanza: stanza.id == f"m{number}")


@pytest.mark.parametrize("way", ["starttls", "direct"])
def test_external_proves_a_partner(way):
    async def test() -> None:
        async with world(change=secured()) as here:
            peer = await (secure(here) if way == "starttls" else direct(here))
            await prove(peer)
            await say(here, peer)
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
            await say(here, peer)

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


# Certificates of ours


def shown(peer: RawPeer) -> str:
    return peer.tls.peer_chain[0].subject.rfc4514_string()


def test_the_name_asked_for_gets_its_certificate_and_others_the_default():
    def change(records: Records) -> None:
        secured()(records)
        Authorities.ours.issue("second.example", common_name="second").write(records.directory, "second")
        records.edge["domains"].append("second.example")

    async def test() -> None:
        async with world(change=change) as here:
            for name, certificate in (
                (OURS, "first"),
                ("second.example", "second"),
                ("wrong.example", "first"),
                (None, "first"),
            ):
                peer = await direct(here, options=Options(sni=name))
                assert shown(peer) == f"CN={certificate}"
            status = here.service.status()
            assert [each["usage"] for each in status["certificates"]] == ["external", "second"]
            assert status["warnings"] == []

    run(test)


def test_a_new_certificate_is_shown_to_new_connections_and_leaves_streams_alone():
    async def test() -> None:
        async with world(change=secured()) as here:
            old = await secure(here)
            await prove(old)
            half = await proceed(here)
            Authorities.ours.issue(OURS, common_name="renewed").write(here.records.directory)
            assert (await here.reload())["changed"]
            assert shown(await secure(here)) == "CN=renewed"
            await half.start_tls(Authorities.partner, Options(sni=OURS))
            await prove(half)
            await say(here, old)
            assert (await here.audit.wait("certificates"))["certificates"][0]["names"] == [OURS]

    run(test)


def test_a_certificate_that_changes_within_a_handshake_does_not_disturb_it():
    async def test() -> None:
        async with world(change=secured()) as here:
            tls = SSL.Connection(context(Authorities.partner, server=False), None)
            tls.set_connect_state()
            reader, writer = await asyncio.open_connection(*here.direct_address)
            with pytest.raises(SSL.WantReadError):
                tls.do_handshake()
            first = tls.bio_read(10_000)
            writer.write(first[:50])
            await eventually(lambda: bool(here.service.incomings.strangers))
            Authorities.ours.issue(OURS, common_name="renewed").write(here.records.directory)
            await here.reload()
            writer.write(first[50:])
            stream = await SecureStream(reader, writer, tls)._shaken()
            assert stream.peer_chain[0].subject.rfc4514_string() == "CN=first"
            writer.close()

    run(test)


@pytest.mark.parametrize("flaw", ["other key", "no certificate", "weak"])
def test_a_certificate_of_no_use_makes_the_reload_fail_and_the_old_stays(flaw):
    async def test() -> None:
        async with world(change=secured()) as here:
            fresh = Authorities.ours.issue(OURS, common_name="renewed", key="rsa1024" if flaw == "weak" else "ec")
            place = fresh.write(here.records.directory).resolve()
            if flaw == "other key":
                (place / "key.pem").write_bytes(Authorities.identity.key_pem)
            elif flaw == "no certificate":
                (place / "cert.pem").write_bytes(b"")
            answer = await here.reload()
            assert "The certificate assigned to external" in answer["error"]
            assert "old configuration stays" in answer["error"]
            assert shown(await secure(here)) == "CN=first"

    run(test)


def test_without_a_certificate_there_is_no_tls_until_there_is_one():
    async def test() -> None:
        async with world(change=lambda records: records.edge.update(direct_tls_port=5270)) as here:
            peer = await RawPeer.connect(here.address)
            await peer.send(HELLO)
            assert b"starttls" not in (await peer.until(rb"<stream:features>.*</stream:features>"))[0]
            assert here.service.direct_listener.addresses == []
            assert ["no certificate" in text for text in here.service.status()["warnings"]] == [True]
            secured()(here.records)
            assert (await here.reload())["changed"]
            await prove(await direct(here))
            await prove(await secure(here))
            assert here.service.status()["warnings"] == []
            assert [each["direct_tls"] for each in here.service.status()["listening"]] == [False, True]
            here.records.edge["direct_tls_port"] = None
            await here.reload()
            assert here.service.direct_listener.addresses == []

    run(test)


def test_a_direct_port_that_cannot_be_had_leaves_all_as_it_was(monkeypatch):
    async def test() -> None:
        async with world(change=secured(direct=False)) as here:
            before = here.service.listener.addresses

            async def taken(*_unused: object) -> None:
                raise ListenError("127.0.0.1", 5270, OSError(98, "Address already in use"), "direct_tls_port")

            monkeypatch.setattr(here.service.direct_listener, "bind", taken)
            here.records.edge |= {"direct_tls_port": 5270, "listen": ["127.0.0.1", "127.0.0.2"]}
            answer = await here.reload()
            assert "Check `listen` and `direct_tls_port`." in answer["error"]
            assert here.service.listener.addresses == before
            await secure(here)

    run(test)


def test_a_certificate_of_no_use_at_the_start_keeps_nobody_away_who_needs_none():
    def change(records: Records) -> None:
        place = Authorities.identity.write(records.directory).resolve()
        (place / "key.pem").unlink()

    async def test() -> None:
        async with world(change=change) as here:
            await here.partner.send_message(BOB, ALICE, "in")
            await here.inside.mailbox(ALICE).wait(lambda stanza: stanza.body == "in")
            assert "key.pem" in (await here.audit.wait("warning"))["text"]

    run(test)


def test_what_expires_soon_is_warned_of():
    def change(records: Records) -> None:
        secured()(records)
        Authorities.ours.issue(OURS, days=(-30, -2)).write(records.directory, "old")
        Authorities.ours.issue(OURS, days=(-30, 5)).write(records.directory, "soon")
        Authorities.ours.issue(OURS, days=(2, 30)).write(records.directory, "later")
        records.edge["domains"].append("third.example")

    async def test() -> None:
        async with world(change=change) as here:
            texts = here.service.status()["warnings"]
            words = ["later is valid only from", "old expired on", "soon expires on", "names third.example"]
            assert [word for word in words if any(word in text for text in texts)] == words
            assert len(texts) == 4
            for text in texts:
                await here.audit.wait("warning", text=text)

    run(test)


def test_a_ca_that_changes_counts_for_the_next_stream_and_for_those_that_are_open():
    async def test() -> None:
        async with world(change=secured()) as here:
            old = await secure(here)
            await prove(old)
            Authority("Another CA").write(here.records.directory / "partner-ca.pem")
            await here.reload()
            late = await secure(here)
            await late.send(HELLO)
            assert b"<stream:error>" in await late.until_closed()
            await old.until(rb"<stream:error><reset ")

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


# Both ways on one stream (XEP-0288), and acknowledgements (XEP-0198)

ACKS = b"xmlns='urn:xmpp:sm:3'"


async def prove_bidi(peer: RawPeer) -> None:
    await peer.send(HELLO)
    await peer.until(rb"<bidi xmlns='urn:xmpp:features:bidi'/>.*</stream:features>")
    await peer.send(b"<bidi xmlns='urn:xmpp:bidi'/>" + EXTERNAL)
    await peer.until(rb"<success")
    await peer.send(HELLO)
    await peer.until(rb"<stream:features.*?(/>|</stream:features>)")


def test_a_stream_of_the_partner_takes_our_stanzas_too():
    async def test() -> None:
        async with world(change=secured()) as here:
            peer = await secure(here)
            await prove_bidi(peer)
            await say(here, peer)
            assert (await here.audit.wait("authenticated", direction="in"))["bidi"]
            for number in range(20):
                await here.inside.send_message(f"{ALICE}/desk", BOB, "out", id_=f"o{number}")
            await peer.until(rb"id='o0'.*id='o19'")
            assert [stream["bidi"] for stream in here.service.streams()] == [True]
            assert not here.dns.queries()

    run(test)


def test_what_a_lent_stream_did_not_take_goes_back_to_its_sender():
    async def test() -> None:
        async with world(change=secured()) as here:
            peer = await secure(here)
            await prove_bidi(peer)
            peer.stop_reading()
            await here.inside.send_message(f"{ALICE}/desk", BOB, "out", id_="lost")
            await eventually(lambda: here.service.audit.counters["out"] == 1)
            peer.reset()
            answer = await here.to_alice("lost")
            assert error(answer) == ("wait", "remote-server-timeout")

    run(test)


def test_stanzas_are_acknowledged_when_they_have_left():
    async def test() -> None:
        async with world(change=secured(), bounds=Bounds(write_buffer=20_000), timing=quick(write=20)) as here:
            peer = await secure(here)
            await prove(peer)
            await peer.send(b"<enable " + ACKS + b"/>")
            await peer.until(rb"<enabled ")
            await say(here, peer)
            await peer.send(b"<r " + ACKS + b"/>")
            await peer.until(rb"<a xmlns='urn:xmpp:sm:3' h='1'/>")
            transport = here.inside.links[THEIRS]._reader._transport
            transport.pause_reading()
            link = here.service.relay.links.links[THEIRS].connection
            stanza = f"<message from='{BOB}' to='{ALICE}'><body>{'x' * 200_000}</body></message>".encode()
            flood = asyncio.create_task(peer.send(stanza * 60 + b"<r " + ACKS + b"/>", chunk=100_000))
            await eventually(lambda: link.paused)
            await peer.silence(0.3)
            transport.resume_reading()
            await peer.until(rb"<a xmlns='urn:xmpp:sm:3' h='61'/>")
            await flood

    run(test)


def test_a_refusal_that_is_not_the_end_does_not_hide_the_end():
    async def test() -> None:
        async with world(change=secured(TLS_OR_DIALBACK)) as here:
            peer = await secure(here, None)
            await peer.send(HELLO)
            await peer.until(rb"</stream:features>")
            refused = await here.audit.wait("refused", reason="not_trusted")
            assert refused["remote"] == THEIRS
            await peer.send(b"<!-- -->")
            ended = await here.audit.wait("connection_closed")
            assert (ended["condition"], ended["by"]) == ("restricted-xml", "us")

    run(test)


def test_a_refusal_that_is_the_end_is_told_once():
    async def test() -> None:
        async with world(change=secured(TLS)) as here:
            peer = await secure(here, None)
            await peer.send(HELLO)
            assert b"<not-authorized " in await peer.until_closed()
            await here.audit.wait("refused", reason="not_trusted")
            await eventually(lambda: not here.service.incomings.strangers)
            assert not here.audit.events("connection_closed")

    run(test)
