# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of streams whose certificate loses its worth while they are open: they go, and nothing else does."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from xml.etree.ElementTree import Element

import pytest
from peers.scripted import Scripted, Session

from .harness import ALICE, BOB, OURS, THEIRS, TLS_OR_DIALBACK, World, error, eventually, quick, run, world
from .tls_world import EXTERNAL, FULL, HELLO, Authorities, facing, lend, prove, say, secure, secured

DESK = f"{ALICE}/desk"
OTHER = "other.example"
PATIENT = quick(first_retry=60, longest_retry=60)
RESET = rb"<reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"


def revoke(here: World) -> None:
    """The partner's CA takes its certificate back."""
    lists = here.records.directory / "crls"
    lists.mkdir(exist_ok=True)
    (lists / "theirs.pem").write_bytes(Authorities.theirs.crl([Authorities.partner]))


def replace_ca(here: World) -> None:
    """The same file has other CAs in it from now on."""
    (here.records.directory / "partner-ca.pem").write_bytes(Authorities.ours.pem)


def demand_lists(here: World) -> None:
    here.records.edge["check_crls"] = "always"


async def opened(here: World, server: Scripted) -> Session:
    """A stream of ours, on which a stanza has gone."""
    await say(here, "first")
    session = await server.session()
    await session.until("message first")
    return session


@pytest.mark.parametrize(
    ("change", "reason"), [(revoke, "revoked"), (replace_ca, "wrong_ca"), (demand_lists, "no_crl")]
)
def test_a_stream_of_ours_ends_when_its_proof_does_and_what_follows_goes_back(change, reason):
    async def test() -> None:
        async with facing(FULL, timing=PATIENT) as (here, (server,)):
            session = await opened(here, server)
            change(here)
            assert (await here.reload())["reloaded"]
            await session.until("error")
            assert session.error is not None
            assert session.error[0] == "reset"
            assert f"does not prove {THEIRS} here ({reason})" in session.error[1]
            line = await here.audit.wait("stream_closed", direction="out")
            assert (line["condition"], line["text"], line["by"]) == ("reset", session.error[1], "us")
            await say(here, "second")
            answer = await here.to_alice("second")
            assert error(answer) == ("cancel", "not-allowed")
            assert reason in answer.text
            assert len(here.audit.events("stream_closed", direction="out")) == 1

    run(test)


def test_what_follows_goes_by_dialback_where_the_record_has_it():
    async def test() -> None:
        async with facing(FULL, record=TLS_OR_DIALBACK) as (here, (server,)):
            session = await opened(here, server)
            assert session.proven == "sasl_tls"
            revoke(here)
            await here.reload()
            await say(here, "second")
            again = await server.session()
            await again.until("message second")
            assert again.proven == "tls_dialback"
            assert here.inside.mailbox(ALICE).history == []

    run(test)


def test_what_waits_when_the_proof_is_gone_goes_to_a_new_attempt():
    async def test() -> None:
        async with facing(FULL, record=TLS_OR_DIALBACK) as (here, (server,)):
            await opened(here, server)
            route = here.service.relay.routes.between(OURS, THEIRS)
            connection = route.stream.connection
            # As if the peer read nothing for a moment.
            connection.paused = True
            await say(here, "waits")
            await eventually(lambda: route.describe()["queued"] == 1)
            revoke(here)
            await here.reload()
            again = await server.session()
            await again.until("message waits")

    run(test)


@pytest.mark.parametrize(
    ("change", "reason"), [(revoke, b"revoked"), (replace_ca, b"wrong_ca"), (demand_lists, b"no_crl")]
)
def test_a_stream_of_the_partner_ends_when_its_proof_does(change, reason):
    async def test() -> None:
        async with world(change=secured()) as here:
            peer = await secure(here, Authorities.partner)
            await prove(peer)
            change(here)
            await here.reload()
            await peer.until(RESET + rb"<text [^>]*>[^<]*does not prove gmail\.example here \(" + reason + rb"\)")
            # Whoever it is that speaks there now is not listened to.
            await peer.send(f"<message from='{BOB}' to='{ALICE}'><body>late</body></message></stream:stream>".encode())
            line = await here.audit.wait("stream_closed", direction="in")
            assert line["condition"] == "reset"
            assert reason.decode() in line["text"]
            assert here.service.audit.counters["in"] == 0
            assert len(here.audit.events("stream_closed")) == 1
            assert here.service.streams() == []

    run(test)


def test_what_was_lent_is_used_no_more():
    async def test() -> None:
        async with facing(FULL, record=TLS_OR_DIALBACK) as (here, (server,)):
            peer = await lend(here)
            await say(here, "first")
            await peer.until(rb"id='first'")
            revoke(here)
            await here.reload()
            await say(here, "second")
            session = await server.session()
            await session.until("message second")
            assert session.proven == "tls_dialback"
            await peer.until(RESET)
            assert b"id='second'" not in peer.received

    run(test)


def test_others_keep_their_streams():
    async def test() -> None:
        identity = Authorities.theirs.issue(OTHER)
        async with (
            facing(FULL, domains=(THEIRS, OTHER)) as (here, (server,)),
            Scripted(OTHER, offer=FULL, identity=identity) as another,
        ):
            here.records.partners.append(here.records.partners[0] | {"domain": OTHER})
            await here.reload()
            place = {"proxy_fqdn": "127.0.0.1", "proxy_port": another.port}
            here.records.partners[1] |= place
            await here.reload()
            await here.audit.wait("inside_link_up", link=OTHER)
            session = await opened(here, server)
            await here.inside.send_message(DESK, f"ann@{OTHER}", "x", id_="one")
            kept = await another.session()
            await kept.until("message one")
            peer = await lend(here)
            friend = await lend(here, remote=OTHER, identity=identity)
            routes = here.service.relay.routes
            before = [*here.service.incomings.known], routes.between(OURS, OTHER).stream

            revoke(here)
            await here.reload()
            await session.until("over")
            await peer.until(RESET)
            await peer.send(b"</stream:stream>")
            await peer.until_closed()
            await eventually(lambda: len(here.service.streams()) == 2)
            assert [*here.service.incomings.known] == [before[0][1]]
            assert routes.between(OURS, OTHER).stream is before[1]
            await friend.send(f"<message from='ann@{OTHER}' to='{ALICE}' id='two'><body>x</body></message>".encode())
            await here.to_alice("two")
            await here.inside.send_message(DESK, f"ann@{OTHER}", "x", id_="three")
            await kept.until("message three")
            assert here.audit.events("stream_closed", remote=OTHER) == []
            assert here.audit.events("stream_closed", partner=OTHER) == []

    run(test)


def test_a_proof_by_dialback_does_not_depend_on_a_certificate():
    async def test() -> None:
        offer = replace(FULL, external="")
        async with facing(offer, record=TLS_OR_DIALBACK) as (here, (server,)):
            session = await opened(here, server)
            revoke(here)
            await here.reload()
            await say(here, "second")
            await session.until("message second")

    run(test)


def test_a_file_of_ours_that_cannot_be_read_says_nothing_about_a_partner():
    async def test() -> None:
        async with facing(FULL) as (here, (server,)):
            session = await opened(here, server)
            (here.records.directory / "partner-ca.pem").write_bytes(b"")
            await here.reload()
            await say(here, "second")
            await session.until("message second")
            await here.audit.wait("warning")

    run(test)


def test_a_certificate_that_expires_is_noticed_without_a_reload():
    async def test() -> None:
        async with facing(FULL, timing=quick(rejudge=0.05, first_retry=60, longest_retry=60)) as (here, (server,)):
            session = await opened(here, server)
            peer = await lend(here)
            here.service.protection.judge._now = lambda: datetime.now(UTC) + timedelta(days=4000)
            await session.until("error")
            assert session.error is not None
            assert session.error[0] == "reset"
            assert "expired" in session.error[1]
            await peer.until(RESET + rb"<text [^>]*>[^<]*\(expired\)[^<]*has expired")

    run(test)


def test_a_reload_between_the_verdict_on_a_partner_and_our_proof_is_not_too_late():
    async def test() -> None:
        async with facing(FULL, timing=PATIENT) as (here, (server,)):
            authenticate, go_on = server._authenticate, asyncio.Event()

            async def slowly(session: Session, element: Element) -> None:
                await go_on.wait()
                await authenticate(session, element)

            server._authenticate = slowly
            await say(here)
            await (await server.session()).until("auth")
            revoke(here)
            await here.reload()
            go_on.set()
            answer = await here.to_alice("m")
            assert error(answer) == ("cancel", "not-allowed")
            assert "revoked" in answer.text
            assert here.audit.events("authenticated") == []

    run(test)


def test_a_reload_between_success_and_the_stream_behind_it_is_not_too_late():
    async def test() -> None:
        async with world(change=secured()) as here:
            peer = await secure(here, Authorities.partner)
            await peer.send(HELLO)
            await peer.until(rb"EXTERNAL.*</stream:features>")
            await peer.send(EXTERNAL)
            await peer.until(rb"<success")
            revoke(here)
            await here.reload()
            await peer.send(HELLO)
            await peer.until(RESET)
            await peer.send(f"<message from='{BOB}' to='{ALICE}'><body>x</body></message></stream:stream>".encode())
            await peer.until_closed()
            assert here.audit.events("authenticated") == []
            assert here.service.audit.counters["in"] == 0

    run(test)
