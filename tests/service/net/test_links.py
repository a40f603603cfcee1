# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Links to the inside server: which carry what, and what happens while one is down."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from peers.raw import Listener, RawPeer
from xmpp_edge import config
from xmpp_edge.current import Bounds
from xmpp_edge.inside.links import layout

from .harness import ALICE, BOB, OURS, PLAIN, QUICK, THEIRS, Records, error, eventually, run, world

DESK = f"{ALICE}/desk"
ACCEPT = (
    b"<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept'"
    b" xmlns:stream='http://etherx.jabber.org/streams' from='gmail.example' id='i1'>"
)


def second_partner(records: Records) -> None:
    records.partners[0] |= {"additional_domains": ["google.example"]}
    records.partners.append({"domain": "other.example", **PLAIN})


def by_hand(listener: Listener):
    """The inside server is a raw listener."""

    def change(records: Records) -> None:
        records.edge["inside"] = {"server": "other", "port": listener.port}

    return change


async def accept(listener: Listener) -> RawPeer:
    peer = await listener.accept()
    await peer.until(rb"<stream:stream [^>]*to='[^']*'[^>]*>")
    await peer.send(ACCEPT)
    await peer.until(rb"<handshake>[0-9a-f]{40}</handshake>")
    await peer.send(b"<handshake/>")
    return peer


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ("ejabberd", {THEIRS: {THEIRS, "google.example", "other.example"}}),
        ("prosody", {name: {name} for name in (THEIRS, "google.example", "other.example")}),
        ("other", {name: {name} for name in (THEIRS, "google.example", "other.example")}),
    ],
)
def test_domains_are_laid_out_as_the_server_wants_them(tmp_path: Path, server, expected):
    records = Records(tmp_path)
    second_partner(records)
    records.edge["inside"] = {"server": server}
    found = layout(config.load(records.write()))
    assert {name: set(domains) for name, domains in found.items()} == expected


def test_one_link_carries_all_domains_of_ejabberd():
    async def test() -> None:
        domains = (THEIRS, "google.example", "other.example")
        async with world(change=second_partner, style="ejabberd", domains=domains) as here:
            assert [link["domains"] for link in here.service.status()["inside"]] == [sorted(domains)]
            await here.partner.send_message(BOB, ALICE, "x")
            assert (await here.inside.mailbox(ALICE).wait()).body == "x"
            await here.inside.send_message(DESK, BOB, "y")
            assert (await here.partner.mailbox(BOB).wait()).body == "y"

    run(test)


def test_links_are_opened_a_few_at_a_time():
    def many(records: Records) -> None:
        records.partners = [{"domain": f"p{number}.example", **PLAIN} for number in range(10)]

    async def test() -> None:
        async with Listener() as listener:

            def change(records: Records) -> None:
                many(records)
                by_hand(listener)(records)

            async with world(change=change, bounds=Bounds(links_at_once=3), start=False) as here:
                starting = asyncio.ensure_future(here.service.start())
                peers = [await listener.accept() for _unused in range(3)]
                await peers[0].until(rb"<stream:stream")
                assert listener.waiting == 0
                for done in range(10):
                    await peers[done].send(ACCEPT + b"<handshake/>")
                    if len(peers) < 10:
                        peers.append(await listener.accept())
                await starting
                assert {link["state"] for link in here.service.status()["inside"]} == {"up"}

    run(test)


def test_while_a_link_is_down_partners_get_an_error_and_afterwards_it_works():
    async def test() -> None:
        async with world(timing=replace(QUICK, first_retry=0.3)) as here:
            await here.partner.send_message(BOB, ALICE, "before")
            await here.inside.mailbox(ALICE).wait()
            await here.inside.drop(THEIRS)
            await here.audit.wait("inside_link_down", link=THEIRS)
            await here.partner.send_message(BOB, ALICE, "lost", id_="lost")
            answer = await here.partner.mailbox(BOB).wait(lambda stanza: stanza.id == "lost")
            assert error(answer) == ("wait", "remote-server-timeout")
            await here.inside.wait_linked(THEIRS)
            await eventually(lambda: here.service.status()["inside"][0]["state"] == "up")
            await here.partner.send_message(BOB, ALICE, "after")
            assert (await here.inside.mailbox(ALICE).wait()).body == "after"

    run(test)


def test_what_was_written_to_a_link_that_breaks_is_in_doubt():
    async def test() -> None:
        async with Listener() as listener, world(change=by_hand(listener), start=False) as here:
            starting = asyncio.ensure_future(here.service.start())
            peer = await accept(listener)
            await starting
            here.partner.routes[OURS] = here.address
            await here.partner.send_message(BOB, ALICE, "x", id_="doubt")
            await peer.until(rb"id='doubt'")
            peer.reset()
            answer = await here.partner.mailbox(BOB).wait(lambda stanza: stanza.id == "doubt")
            assert error(answer) == ("wait", "remote-server-timeout")

    run(test)


@pytest.mark.parametrize(
    ("condition", "hint"),
    [("not-authorized", "secret"), ("conflict", "another"), ("host-unknown", "component"), (None, "broke|ended")],
)
def test_a_refused_link_says_what_to_do_and_the_service_goes_on(condition, hint):
    async def test() -> None:
        async with Listener() as listener, world(change=by_hand(listener), start=False) as here:
            starting = asyncio.ensure_future(here.service.start())
            peer = await listener.accept()
            await peer.until(rb"<stream:stream [^>]*>")
            await peer.send(ACCEPT)
            await peer.until(rb"</handshake>")
            if condition is not None:
                refusal = f"<stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
                await peer.send(f"{refusal}</stream:stream>".encode())
            await peer.close()
            await starting
            found = await here.audit.wait("inside_link_failed")
            assert any(word in found["text"] for word in hint.split("|")), found["text"]
            await accept(listener)
            await here.audit.wait("inside_link_up")

    run(test)


def test_an_unreachable_inside_server_is_told_and_the_service_goes_on():
    def nowhere(records: Records) -> None:
        records.edge["inside"] = {"port": 1}

    async def test() -> None:
        async with world(change=nowhere) as here:
            link = here.service.status()["inside"][0]
            assert "127.0.0.1:1" in link["error"]
            assert "cannot be reached" in link["error"]
            link = here.service.relay.links.links[THEIRS]
            for _unused in range(3):
                await link.settled()
            # A thread writes the lines, in its own time.
            await here.audit.wait("inside_link_failed")
            assert len(here.audit.events("inside_link_failed")) == 1
            await here.partner.send_message(BOB, ALICE, "x", id_="m")
            answer = await here.partner.mailbox(BOB).wait(lambda stanza: stanza.id == "m")
            assert error(answer) == ("wait", "remote-server-timeout")

    run(test)


def test_a_stanza_over_the_inside_servers_limit_is_refused_and_the_link_lives():
    async def test() -> None:
        async with world(bounds=Bounds(inside_stanza=5000)) as here:
            await here.partner.send_message(BOB, ALICE, "x" * 6000, id_="big")
            answer = await here.partner.mailbox(BOB).wait(lambda stanza: stanza.id == "big")
            assert answer.condition == "policy-violation"
            await here.partner.send_message(BOB, ALICE, "small")
            assert (await here.inside.mailbox(ALICE).wait()).body == "small"
            assert here.inside.noted("link broken") == []

    run(test)


def test_the_inside_server_cannot_send_for_others_nor_to_strangers():
    async def test() -> None:
        async with Listener() as listener, world(change=by_hand(listener), start=False) as here:
            starting = asyncio.ensure_future(here.service.start())
            peer = await accept(listener)
            await starting
            for sender, target, reason in (
                (f"eve@{THEIRS}", BOB, "not_our_domain"),
                (DESK, "x@stranger.example", "not_a_partner"),
                (f"dave@{OURS}", BOB, "no_federation_access"),
            ):
                await peer.send(
                    f"<message from='{sender}' to='{target}' id='{reason}'><body>x</body></message>".encode()
                )
                await here.audit.wait("refused", reason=reason, direction="out")
            answer = await peer.until(rb"<message [^>]*id='no_federation_access'[^>]*>.*?</message>")
            assert b"gate 5" in answer[0]
            assert b"id='not_our_domain'" not in peer.received
            assert here.partner.accepted == []

    run(test)


def test_a_slow_inside_server_holds_partners_back_and_nothing_is_lost():
    async def test() -> None:
        bounds = Bounds(write_buffer=10_000)
        async with Listener() as listener, world(change=by_hand(listener), bounds=bounds, start=False) as here:
            starting = asyncio.ensure_future(here.service.start())
            peer = await accept(listener)
            await starting
            peer.stop_reading()
            here.partner.routes[OURS] = here.address
            body = "x" * 50_000

            async def flood() -> None:
                for number in range(200):
                    await here.partner.send_message(BOB, ALICE, body, id_=f"n{number}")

            sending = asyncio.ensure_future(flood())
            link = here.service.relay.links.links[THEIRS]
            await eventually(lambda: bool(link._held))
            assert link.connection.buffered < 3_000_000
            peer._writer.transport.resume_reading()
            for number in range(200):
                await peer.until(rf"id='n{number}'".encode())
            await sending

    run(test)


def certificate(directory: Path, name: str) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = directory / f"{name}.pem", directory / f"{name}.key"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


@pytest.mark.parametrize(("name", "trusted"), [("localhost", True), ("elsewhere.example", False)])
def test_tls_inside_is_checked(tmp_path, name, trusted):
    async def test() -> None:
        cert, key = certificate(tmp_path, name)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        inside = asyncio.Queue()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await inside.put(RawPeer(reader, writer))

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)

        def change(records: Records) -> None:
            port = server.sockets[0].getsockname()[1]
            records.edge["inside"] = {
                "server": "ejabberd",
                "host": "localhost",
                "port": port,
                "tls": True,
                "ca_file": str(cert),
            }

        async with world(change=change, start=False) as here:
            starting = asyncio.ensure_future(here.service.start())
            if trusted:
                peer = await inside.get()
                await peer.until(rb"<stream:stream [^>]*>")
                await peer.send(ACCEPT + b"<handshake/>")
                await here.audit.wait("inside_link_up")
                await starting
                here.partner.routes[OURS] = here.address
                await here.partner.send_message(BOB, ALICE, "x", id_="secret")
                await peer.until(rb"id='secret'")
            else:
                found = await here.audit.wait("inside_link_failed")
                assert "certificate" in found["text"]
                assert "ca_file" in found["text"]
                await starting
        server.close()

    run(test)
