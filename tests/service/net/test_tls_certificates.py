# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates of ours: which is shown to whom, what a reload does, and what is said of those that are of no use."""

from __future__ import annotations

import asyncio

import pytest
from OpenSSL import SSL
from peers.authority import Authority
from peers.raw import RawPeer
from peers.tls import Options, SecureStream, context
from xmpp_edge.net.listener import ListenError

from .harness import (
    ALICE,
    BOB,
    OURS,
    Records,
    eventually,
    run,
    world,
)
from .tls_world import (
    HELLO,
    Authorities,
    direct,
    proceed,
    prove,
    secure,
    secured,
    speak,
)


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
            await speak(here, old)
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
