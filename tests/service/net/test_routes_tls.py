# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways out through TLS: which stream comes about, what weaker one may follow, and what goes on it and back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from OpenSSL import SSL
from peers.authority import Authority, Pair, self_signed
from peers.raw import RawPeer
from peers.scripted import Offer, Scripted
from peers.tls import DEFAULT, Options

from .harness import (
    ALICE,
    BOB,
    OURS,
    QUICK,
    THEIRS,
    TLS,
    TLS_OR_DIALBACK,
    Records,
    World,
    error,
    eventually,
    run,
    world,
)

DESK = f"{ALICE}/desk"
ANY = {"tls": "optional", "sasl": "optional", "dialback": True}
FULL = Offer(starttls="optional", external="secure", dialback="all")
BROKEN_TLS = Options(lowest=SSL.TLS1_VERSION, highest=SSL.TLS1_1_VERSION, ciphers=b"ALL:@SECLEVEL=0")


class Authorities:
    """One for us and one for the partner, made once: keys take time."""

    ours = Authority("Our CA")
    theirs = Authority("Their CA")
    identity = ours.issue(OURS)
    partner = theirs.issue(THEIRS)


def secured(partner: dict[str, Any] | None = None) -> Callable[[Records], None]:
    def change(records: Records) -> None:
        records.certify(Authorities.identity, Authorities.theirs, **(partner or TLS))

    return change


@asynccontextmanager
async def facing(
    *offers: Offer, record: dict[str, Any] | None = None, options: Options = DEFAULT, **more: Any
) -> AsyncIterator[tuple[World, list[Scripted]]]:
    """An edge whose partner is reached at scripted servers, the first preferred."""
    identity = more.pop("identity", Authorities.partner)
    async with contextlib.AsyncExitStack() as stack:
        servers = [
            await stack.enter_async_context(Scripted(THEIRS, offer=offer, identity=identity, options=options))
            for offer in offers
        ]
        here = await stack.enter_async_context(world(change=secured(record), **more))
        lines = [
            f"_xmpp{'s' if server.offer.direct else ''}-server._tcp 60 IN SRV {number} 0 {server.port} xmpp"
            for number, server in enumerate(servers)
        ]
        here.publish({THEIRS: [*lines, "xmpp 60 IN A 127.0.0.1"]})
        yield here, servers


async def say(here: World, id_: str = "m", body: str = "x") -> None:
    await here.inside.send_message(DESK, BOB, body, id_=id_)


def outgoing(here: World) -> dict[str, Any]:
    (stream,) = [stream for stream in here.service.streams() if stream["direction"] == "out"]
    return stream


@pytest.mark.parametrize("direct", [False, True])
def test_sasl_over_tls_either_way(direct):
    async def test() -> None:
        offer = replace(FULL, direct=direct, starttls="" if direct else "required")
        options = Options(alpn=(b"xmpp-server",)) if direct else Options()
        async with facing(offer, options=options) as (here, (server,)):
            await say(here)
            session = await server.session()
            await session.until("message m")
            assert session.authzid == OURS
            assert session.tls is not None
            assert session.tls.sni == THEIRS
            assert session.tls.alpn == (b"xmpp-server" if direct else b"")
            stream = outgoing(here)
            assert stream["pairs"] == [{"local": OURS, "remote": THEIRS, "method": "sasl_tls", "trusted": True}]
            assert (stream["encrypted"], stream["authenticated"], stream["bidi"]) == (True, True, False)
            assert stream["tls"].startswith("TLSv1.3 TLS_")
            line = await here.audit.wait("authenticated", direction="out")
            told = {name: line[name] for name in ("method", "encrypted", "trusted", "tls")}
            assert told == {"method": "sasl_tls", "encrypted": True, "trusted": True, "tls": stream["tls"]}

    run(test)


def test_an_untrusted_certificate_encrypts_and_dialback_proves():
    async def test() -> None:
        record = TLS_OR_DIALBACK
        async with facing(FULL, record=record, identity=self_signed(THEIRS)) as (here, (server,)):
            await say(here)
            session = await server.session()
            await session.until("message m")
            assert session.proven == "tls_dialback"
            stream = outgoing(here)
            assert stream["pairs"][0]["method"] == "tls_dialback"
            assert (stream["encrypted"], stream["pairs"][0]["trusted"]) == (True, False)

    run(test)


@pytest.mark.parametrize(
    "offer",
    [
        replace(FULL, on_starttls="failure"),
        replace(FULL, on_starttls="<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>this is no TLS"),
    ],
    ids=["failure", "garbage"],
)
@pytest.mark.parametrize("record", [ANY, TLS, TLS_OR_DIALBACK], ids=["optional", "sasl", "either"])
def test_where_tls_fails_one_attempt_without_follows_if_the_record_leaves_that(offer, record):
    async def test() -> None:
        timing = replace(QUICK, first_retry=60, longest_retry=60)
        async with facing(offer, record=record, timing=timing) as (here, (server,)):
            await say(here)
            if record is ANY:
                await server.session()
                session = await server.session()
                await session.until("message m*")
                assert session.proven == "tcp_dialback"
                assert outgoing(here)["encrypted"] is False
            else:
                assert error(await here.to_alice("m")) == ("wait", "remote-server-timeout")
                (session,) = server.sessions
                assert "result*" not in session.steps
                assert session.stanzas == []
            await here.audit.wait("refused", reason="tls_failed")

    run(test)


def test_a_handshake_that_fails_is_a_failure_of_tls_too():
    async def test() -> None:
        async with facing(FULL, record=ANY, options=BROKEN_TLS) as (here, (server,)):
            await say(here)
            assert (await server.session()).steps is not None
            session = await server.session()
            await session.until("message m*")

    run(test)


def test_another_target_is_tried_before_anything_is_left_out():
    async def test() -> None:
        broken, sound = replace(FULL, on_starttls="failure"), replace(FULL, direct=True)
        async with facing(broken, sound, record=ANY) as (here, (first, second)):
            await say(here)
            session = await second.session()
            await session.until("message m")
            assert len(first.sessions) == 1

    run(test)


def test_a_server_that_hangs_after_it_took_the_connection_is_not_waited_for_to_the_end():
    async def test() -> None:
        async with facing(replace(FULL, on_starttls="silence"), FULL) as (here, (first, second)):
            await say(here)
            await (await first.session()).until("starttls*")
            session = await second.session()
            await session.until("message m")
            assert here.inside.mailbox(ALICE).history == []

    run(test)


def test_direct_tls_that_fails_leads_to_the_next_target_and_then_to_none_without_tls():
    async def test() -> None:
        offers = replace(FULL, direct=True), Offer(dialback="all")
        timing = replace(QUICK, first_retry=60, longest_retry=60)
        async with facing(*offers, options=BROKEN_TLS, timing=timing) as (here, (first, second)):
            await say(here)
            assert error(await here.to_alice("m"))[1] == "not-allowed"
            assert len(first.sessions) == 1
            assert [session.steps for session in second.sessions] == [["header*", "error*", "over"]]

    run(test)


def test_direct_tls_that_fails_is_left_out_where_the_record_allows():
    async def test() -> None:
        offers = replace(FULL, direct=True), replace(FULL, on_starttls="failure")
        async with facing(*offers, record=ANY, options=BROKEN_TLS) as (here, (first, second)):
            await say(here)
            await second.session()
            session = await second.session()
            await session.until("message m*")
            assert len(first.sessions) == 1

    run(test)


@pytest.mark.parametrize(("record", "proven"), [(TLS_OR_DIALBACK, "tls_dialback"), (TLS, "")])
def test_where_sasl_fails_dialback_follows_if_the_record_leaves_that(record, proven):
    async def test() -> None:
        timing = replace(QUICK, first_retry=60, longest_retry=60)
        async with facing(replace(FULL, on_auth="failure"), record=record, timing=timing) as (here, (server,)):
            await say(here)
            session = await server.session()
            if proven:
                await session.until("message m")
                assert session.proven == proven
            else:
                answer = await here.to_alice("m")
                assert error(answer) == ("cancel", "not-allowed")
                assert "not-authorized" in answer.text
            assert len(server.sessions) == 1

    run(test)


def test_a_server_that_hangs_up_on_sasl_is_asked_once_more_without():
    async def test() -> None:
        async with facing(replace(FULL, on_auth="failure"), record=TLS_OR_DIALBACK) as (here, (server,)):
            hang_up, server.offer = server._authenticate, replace(FULL)

            async def end(session, _element) -> None:
                session.wire.abort()

            server._authenticate = end
            await say(here)
            first = await server.session()
            await first.until("auth")
            session = await server.session()
            await session.until("message m")
            assert session.proven == "tls_dialback"
            assert "auth" not in session.steps
            assert hang_up is not None

    run(test)


def test_what_a_peer_says_is_too_large_for_it_is_given_back_and_nothing_else_is():
    async def test() -> None:
        async with facing(replace(FULL, max_bytes=10_000)) as (here, (server,)):
            await say(here, "first")
            session = await server.session()
            await session.until("message first")
            await say(here, "large", "x" * 20_000)
            answer = await here.to_alice("large")
            assert error(answer) == ("modify", "policy-violation")
            assert "10000" in answer.text
            await say(here, "last")
            await session.until("message last")
            assert len(server.sessions) == 1

    run(test)


def test_what_was_acknowledged_is_not_in_doubt_and_the_rest_is():
    async def test() -> None:
        async with facing(replace(FULL, acks=True)) as (here, (server,)):
            await say(here, "first")
            session = await server.session()
            await session.until("message first")
            route = here.service.relay.routes.between(OURS, THEIRS)
            machine = route.stream.machine
            await eventually(lambda: machine.acknowledging and not machine._sending.sent)
            # From here on the peer reads, and acknowledges nothing.
            take = server._take

            async def deaf(session_, element) -> bool:
                return True if element.tag.endswith("}r") else await take(session_, element)

            server._take = deaf
            await say(here, "second")
            await say(here, "third")
            await session.until("message third")
            session.wire.abort()
            assert error(await here.to_alice("second")) == ("wait", "remote-server-timeout")
            assert error(await here.to_alice("third")) == ("wait", "remote-server-timeout")
            assert [stanza.id for stanza in here.inside.mailbox(ALICE).history] == ["second", "third"]
            await say(here, "fourth")
            again = await server.session()
            await again.until("message fourth")
            assert len(again.stanzas) == 1

    run(test)


def test_without_acknowledgements_tcp_tells_what_is_in_doubt_under_tls_too():
    async def test() -> None:
        async with facing(FULL) as (here, (server,)):
            await say(here, "first")
            session = await server.session()
            await session.until("message first")
            session.wire.abort()
            assert error(await here.to_alice("first")) == ("wait", "remote-server-timeout")
            await say(here, "second")
            again = await server.session()
            await again.until("message second")
            assert len(again.stanzas) == 1

    run(test)


def test_a_stream_of_ours_that_goes_both_ways_is_listened_to():
    async def test() -> None:
        async with facing(replace(FULL, bidi=True, acks=True)) as (here, (server,)):
            await say(here)
            session = await server.session()
            await session.until("message m")
            assert outgoing(here)["bidi"] is True
            await session.wire.send(f"<message from='{BOB}/x' to='{ALICE}' id='back'><body>hello</body></message>")
            assert (await here.inside.mailbox(ALICE).wait()).id == "back"
            await here.audit.wait("passed", direction="in")
            await session.wire.send(f"<r xmlns='urn:xmpp:sm:3'/><message from='{BOB}' to='bob@{OURS}'/>")
            await session.until("a")
            await here.audit.wait("refused", direction="in")

    run(test)


def test_a_third_party_on_a_stream_of_ours_ends_it():
    async def test() -> None:
        async with facing(replace(FULL, bidi=True)) as (here, (server,)):
            await say(here)
            session = await server.session()
            await session.until("message m")
            await session.wire.send(f"<message from='eve@other.example' to='{ALICE}'><body>hello</body></message>")
            await session.until("error")
            assert session.error is not None
            assert session.error[0] == "invalid-from"

    run(test)


# Streams that the partner lends us


async def lend(here: World, local: str = OURS, remote: str = THEIRS, identity: Pair = Authorities.partner) -> RawPeer:
    """A stream of the partner's, proven, on which it takes stanzas of ours."""
    peer = await RawPeer.connect(here.address)
    hello = (
        "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'"
        f" from='{remote}' to='{local}' version='1.0'>"
    ).encode()
    await peer.send(hello)
    await peer.until(rb"<starttls .*</stream:features>")
    await peer.send(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    await peer.until(rb"<proceed [^>]*>")
    await peer.start_tls(identity, Options(sni=OURS))
    await peer.send(hello)
    await peer.until(rb"EXTERNAL.*<bidi [^>]*>.*</stream:features>")
    auth = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>"
    await peer.send(f"<bidi xmlns='urn:xmpp:bidi'/>{auth}".encode())
    await peer.until(rb"<success [^>]*>")
    await peer.send(hello)
    await peer.until(rb"<stream:features.*?(/>|</stream:features>)")
    await here.audit.wait("authenticated", direction="in", remote=remote, bidi=True)
    return peer


def test_a_stream_that_the_partner_lends_us_is_used_and_no_other_is_opened():
    async def test() -> None:
        async with facing(FULL) as (here, (server,)):
            peer = await lend(here)
            for number in range(3):
                await say(here, f"m{number}")
            await peer.until(rb"id='m0'.*id='m1'.*id='m2'")
            assert server.sessions == []
            assert [stream["direction"] for stream in here.service.streams()] == ["in"]

    run(test)


def test_when_what_was_lent_is_gone_its_doubts_are_told_and_a_stream_of_ours_follows():
    async def test() -> None:
        async with facing(FULL) as (here, (server,)):
            peer = await lend(here)
            await say(here, "first")
            await peer.until(rb"id='first'")
            peer.reset()
            assert error(await here.to_alice("first")) == ("wait", "remote-server-timeout")
            await say(here, "second")
            session = await server.session()
            await session.until("message second")
            assert len(session.stanzas) == 1

    run(test)


def test_a_lent_stream_that_ends_in_order_leaves_no_doubt():
    async def test() -> None:
        async with facing(FULL) as (here, (server,)):
            peer = await lend(here)
            await say(here, "first")
            await peer.until(rb"id='first'")
            await peer.send(b"</stream:stream>")
            await peer.until_closed()
            await here.audit.wait("stream_closed", direction="in")
            await say(here, "second")
            await (await server.session()).until("message second")
            assert here.inside.mailbox(ALICE).history == []

    run(test)


def test_what_waits_for_a_partner_that_cannot_be_reached_goes_when_it_calls():
    async def test() -> None:
        silent = Offer()
        async with facing(silent) as (here, (server,)):

            async def mute(_session) -> None:
                await asyncio.Event().wait()

            server._serve = mute
            for number in range(3):
                await say(here, f"m{number}")
            await server.session()
            peer = await lend(here)
            await peer.until(rb"id='m0'.*id='m1'.*id='m2'")
            assert here.inside.mailbox(ALICE).history == []

    run(test)


def test_a_stream_of_ours_that_the_partner_may_count_on_is_waited_for_before_what_it_lends_is_used():
    async def test() -> None:
        async with facing(FULL) as (here, (server,)):

            async def mute(_session, _element) -> None:
                await asyncio.Event().wait()

            server._authenticate = mute
            await say(here)
            await (await server.session()).until("auth")
            peer = await lend(here)
            await peer.silence(0.5)
            await peer.until(rb"id='m'", timeout=10)
            assert here.inside.mailbox(ALICE).history == []

    run(test)


def test_a_lent_stream_is_not_used_once_the_partner_has_changed():
    async def test() -> None:
        async with facing(FULL) as (here, (server,)):
            peer = await lend(here)
            await say(here, "first")
            await peer.until(rb"id='first'")
            here.records.partners[0]["keepalive"] = False
            await here.reload()
            await say(here, "second")
            session = await server.session()
            await session.until("message second")
            await peer.until(rb"<reset .*</stream:stream>")
            assert b"id='second'" not in peer.received

    run(test)


def test_what_was_lent_by_a_partner_that_is_removed_is_told_while_its_sender_can_be():
    async def test() -> None:
        async with facing(FULL) as (here, (_server,)):
            peer = await lend(here)
            peer.stop_reading()
            await say(here, "first", "x" * 100_000)
            await eventually(lambda: here.service.audit.counters["out"] == 1)
            here.records.partners.clear()
            await here.reload()
            assert error(await here.to_alice("first")) == ("wait", "remote-server-timeout")

    run(test)


def test_what_waits_on_a_lent_stream_goes_out_before_the_service_ends():
    async def test() -> None:
        async with facing(FULL) as (here, (server,)):
            peer = await lend(here)
            await say(here, "last", "x" * 200_000)
            await eventually(lambda: here.service.audit.counters["out"] == 1)
            stopping = asyncio.ensure_future(here.service.stop())
            await peer.until(rb"id='last'.*</message>.*<system-shutdown .*</stream:stream>")
            await peer.send(b"</stream:stream>")
            await stopping
            assert here.inside.mailbox(ALICE).history == []
            assert server.sessions == []

    run(test)


# How many there may be


def narrow(records: Records) -> None:
    secured(TLS_OR_DIALBACK)(records)
    records.edge["domains"] = [OURS, "second.example"]
    records.policies["grant_to_all"] = "FedPic"
    records.partners[0]["connection_limit"] = 1


def test_connections_that_the_partner_has_opened_count_when_we_want_one():
    async def test() -> None:
        async with Scripted(THEIRS, offer=FULL, identity=Authorities.partner) as server, world(change=narrow) as here:
            here.lead_to(server.port)
            peer = await lend(here, "second.example")
            await say(here, "one")
            assert error(await here.to_alice("one")) == ("wait", "resource-constraint")
            await here.audit.wait("refused", reason="partner_connection_limit", local=OURS)
            assert server.sessions == []
            await peer.close()
            await here.audit.wait("stream_closed", direction="in")
            here.service.relay.routes.between(OURS, THEIRS).forget_failure()
            await say(here, "two")
            await (await server.session()).until("message two")

    run(test)


def test_connections_that_we_have_opened_count_when_the_partner_wants_one():
    async def test() -> None:
        async with Scripted(THEIRS, offer=FULL, identity=Authorities.partner) as server, world(change=narrow) as here:
            here.lead_to(server.port)
            await say(here)
            session = await server.session()
            await session.until("message m")
            peer = await lend(here)
            await peer.until(rb"<resource-constraint ")
            await here.audit.wait("refused", reason="partner_connection_limit")
            session.wire.abort()
            await here.audit.wait("stream_closed", direction="out")
            await (await lend(here)).silence()

    run(test)
