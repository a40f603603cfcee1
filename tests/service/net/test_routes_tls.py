# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways out through TLS: which stream comes about, what weaker one may follow, and what goes on it and back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from OpenSSL import SSL
from peers.authority import self_signed
from peers.scripted import Offer
from peers.tls import Options

from .harness import (
    ALICE,
    BOB,
    OURS,
    QUICK,
    THEIRS,
    TLS,
    TLS_OR_DIALBACK,
    error,
    eventually,
    run,
)
from .tls_world import (
    FULL,
    facing,
    outgoing,
    say,
)

ANY = {"tls": "optional", "sasl": "optional", "dialback": True}
BROKEN_TLS = Options(lowest=SSL.TLS1_VERSION, highest=SSL.TLS1_1_VERSION, ciphers=b"ALL:@SECLEVEL=0")


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


def test_when_time_runs_out_it_is_told_how_far_the_stream_had_come():
    async def test() -> None:
        silent = replace(FULL, external="", on_result="silence")
        async with facing(silent, record=TLS_OR_DIALBACK) as (here, _unused):
            await say(here)
            assert error(await here.to_alice("m")) == ("wait", "remote-server-timeout")
            failed = await here.audit.wait("stream_failed")
            assert f"TLS is up, and {THEIRS} has not answered our dialback key" in failed["text"]
            assert "127.0.0.1" in failed["text"]

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
