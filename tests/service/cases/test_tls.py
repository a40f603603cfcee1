# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cases 11 and 36 to 45, and 59: TLS, and everything that somebody might do to have none."""

from __future__ import annotations

import contextlib

import pytest
from net.harness import ALICE, BOB, OURS, THEIRS, eventually, run
from OpenSSL import SSL
from peers.raw import RawPeer
from peers.scripted import EVERYTHING, Offer, Scripted
from peers.tls import Options, TlsError

from .raw import STARTTLS, auth, authenticated, begin, ends_with, header, message, opened, result, secured
from .stage import EITHER, LAX, OLD, PAPERS, STRICT, edge
from .test_matrix import steps, told

DESK = f"{ALICE}/desk"
TLS = "urn:ietf:params:xml:ns:xmpp-tls"


@pytest.mark.parametrize("change", [{"sender": "other.example"}, {"target": "elsewhere.example"}, {"sender": None}])
def test_case_011_a_header_after_tls_is_that_of_before(change):
    async def test() -> None:
        async with edge() as here:
            peer = await opened(here)
            await peer.send(STARTTLS)
            await peer.until(rb"<proceed [^>]*/>")
            await peer.start_tls(PAPERS.theirs)
            await peer.send(header(**change))
            await ends_with(peer, "improper-addressing")

    run(test)


def test_case_011_a_header_after_sasl_is_that_of_before():
    async def test() -> None:
        async with edge() as here:
            peer = await secured(here, PAPERS.theirs)
            await peer.send(auth())
            await peer.until(rb"<success [^>]*/>")
            await peer.send(header("other.example"))
            await ends_with(peer, "improper-addressing")
            await eventually(lambda: here.service.streams() == [])

    run(test)


def test_case_036_a_stanza_before_tls():
    async def test() -> None:
        async with edge() as here:
            peer = await opened(here)
            await peer.send(message(BOB, ALICE))
            assert "TLS" in await ends_with(peer, "policy-violation")
            assert here.inside.mailbox(ALICE).history == []

    run(test)


@pytest.mark.parametrize("negotiation", [STRICT, EITHER])
def test_case_037_dialback_before_tls(negotiation):
    async def test() -> None:
        async with edge(negotiation) as here:
            peer = await opened(here)
            await peer.send(result())
            await peer.until(rb"<db:result [^>]*type='error'[^>]*><error [^>]*><policy-violation ")
            assert here.dns.queries() == []

    run(test)


@pytest.mark.parametrize("offer", [Offer(dialback="all"), Offer(dialback="all", external="plain"), Offer()])
def test_case_038_and_039_no_tls_no_stanza(offer):
    """An old server and one whose features somebody has cut down look the same, and get the same."""

    async def test() -> None:
        async with edge(STRICT) as here, Scripted(THEIRS, offer=offer) as server:
            here.lead_to(server.port)
            await here.inside.send_message(DESK, BOB, "secret words", id_="m")
            bounce = await here.inside.mailbox(ALICE).wait()
            assert (bounce.condition, "TLS" in bounce.text) == ("not-allowed", True)
            assert (await told(server))[0] == "policy-violation"
            sent = b"".join(bytes(session.wire.received) for session in server.sessions)
            assert b"secret" not in sent
            assert b"<db:result" not in sent

    run(test)


def test_case_040_plain_text_behind_proceed_is_not_of_the_stream():
    injected = (
        f"<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism>"
        f"</mechanisms></stream:features><message from='{BOB}' to='{ALICE}' id='injected'/>"
    )
    offer = Offer(starttls="required", external="secure", behind_proceed=injected)

    async def test() -> None:
        async with edge() as here, Scripted(THEIRS, offer=offer, identity=PAPERS.theirs) as server:
            here.lead_to(server.port)
            await here.inside.send_message(DESK, BOB, "x", id_="m")
            session = await server.session()
            # Discarded, or taken for a broken handshake: never for a part of the stream.
            await session.until("message m")
            assert session.steps[:5] == ["header*", "starttls*", "tls", "header", "auth"]
            assert here.inside.mailbox(ALICE).history == []

    run(test)


def test_case_040_plain_text_behind_starttls_is_not_of_the_stream():
    async def test() -> None:
        async with edge(LAX) as here:
            peer = await opened(here)
            await peer.send(STARTTLS + result() + message(BOB, ALICE, "injected"))
            await peer.until(rb"<proceed [^>]*/>")
            with contextlib.suppress(TlsError):
                await peer.start_tls(PAPERS.theirs)
                await begin(peer)
                await peer.send(auth())
                await peer.until(rb"<success [^>]*/>")
                await begin(peer)
                await peer.send(message(BOB, ALICE, "honest"))
                await here.to_alice("honest")
            assert [stanza.id for stanza in here.inside.mailbox(ALICE).history] in ([], ["honest"])
            assert here.dns.queries() == []

    run(test)


@pytest.mark.parametrize("answer", ["failure", f"<failure xmlns='{TLS}'/>", "<message/>"])
def test_case_041_no_proceed_no_stream(answer):
    async def test() -> None:
        offer = Offer(starttls="optional", dialback="all", external="plain", on_starttls=answer)
        async with edge(STRICT) as here, Scripted(THEIRS, offer=offer) as server:
            here.lead_to(server.port)
            await here.inside.send_message(DESK, BOB, "x", id_="m")
            assert (await here.inside.mailbox(ALICE).wait()).type == "error"
            await server.sessions[0].until("over")
            assert {step for step in steps(server) if not step.startswith(("over", "error"))} == {
                "header*",
                "starttls*",
            }

    run(test)


def test_case_042_starttls_within_tls():
    async def test() -> None:
        async with edge() as here:
            peer = await secured(here, PAPERS.theirs)
            await peer.send(STARTTLS)
            await ends_with(peer, "unsupported-stanza-type")

    run(test)


def test_case_042_starttls_where_the_record_has_none():
    async def test() -> None:
        async with edge(OLD) as here:
            peer = await opened(here)
            assert b"starttls" not in peer.received
            await peer.send(STARTTLS)
            await peer.until(rb"<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>.*</stream:stream>")
            await peer.until_closed()

    run(test)


WEAK = {
    "tls-1.0": Options(lowest=SSL.TLS1_VERSION, highest=SSL.TLS1_VERSION),
    "tls-1.1": Options(lowest=SSL.TLS1_1_VERSION, highest=SSL.TLS1_1_VERSION),
    "no-forward-secrecy": Options(highest=SSL.TLS1_2_VERSION, ciphers=b"AES128-GCM-SHA256:@SECLEVEL=0"),
    "cbc": Options(highest=SSL.TLS1_2_VERSION, ciphers=b"ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"),
    "no-encryption": Options(highest=SSL.TLS1_2_VERSION, ciphers=b"eNULL:@SECLEVEL=0"),
    "anonymous": Options(highest=SSL.TLS1_2_VERSION, ciphers=b"aNULL:@SECLEVEL=0"),
}


@pytest.mark.parametrize("options", WEAK.values(), ids=WEAK)
def test_case_043_what_is_weak_is_refused_by_us_who_accept(options):
    async def test() -> None:
        async with edge() as here:
            with pytest.raises(TlsError):
                await secured(here, PAPERS.theirs, options)
            await here.audit.wait("refused", reason="tls_failed")
            await eventually(lambda: not here.service.incomings.strangers)

    run(test)


@pytest.mark.parametrize("options", WEAK.values(), ids=WEAK)
def test_case_043_what_is_weak_is_refused_by_us_who_connect(options):
    async def test() -> None:
        async with (
            edge(LAX) as here,
            Scripted(THEIRS, offer=EVERYTHING, identity=PAPERS.theirs, options=options) as server,
        ):
            here.lead_to(server.port)
            await here.inside.send_message(DESK, BOB, "x", id_="m")
            await server.sessions[0].until("failed tls") if server.sessions else None
            session = await server.session()
            await session.until("failed tls")
            assert "tls" not in session.steps

    run(test)


def test_case_043_renegotiation_is_refused():
    async def test() -> None:
        async with edge() as here:
            peer = await authenticated(here, PAPERS.theirs, Options(highest=SSL.TLS1_2_VERSION))
            assert peer.tls is not None
            assert peer.tls.tls.get_session() is not None
            peer.tls.tls.renegotiate()
            with contextlib.suppress(SSL.Error):
                peer.tls.tls.do_handshake()
            await peer.tls._flush()
            assert await peer.until_closed() in (b"", b"</stream:stream>")
            assert peer.tls.tls.total_renegotiations() <= 1

    run(test)


def direct_port(records) -> None:
    records.edge["direct_tls_port"] = 5270


@pytest.mark.parametrize(("alpn", "taken"), [((b"h2",), False), ((b"h2", b"xmpp-server"), True), ((), True)])
def test_case_044_alpn_on_the_direct_port(alpn, taken):
    async def test() -> None:
        async with edge(change=direct_port) as here:
            peer = await RawPeer.connect(here.direct_address)
            if not taken:
                with pytest.raises(TlsError):
                    await peer.start_tls(PAPERS.theirs, Options(alpn=alpn, sni=OURS))
                return
            await peer.start_tls(PAPERS.theirs, Options(alpn=alpn, sni=OURS))
            assert peer.tls is not None
            assert peer.tls.alpn == (b"xmpp-server" if alpn else b"")
            features = await begin(peer)
            assert b"EXTERNAL" in features
            assert b"starttls" not in features

    run(test)


@pytest.mark.parametrize("name", [None, OURS, "elsewhere.example"])
def test_case_044_whoever_asks_for_another_name_gets_the_default_certificate(name):
    async def test() -> None:
        async with edge() as here:
            peer = await opened(here)
            await peer.send(STARTTLS)
            await peer.until(rb"<proceed [^>]*/>")
            tls = await peer.start_tls(PAPERS.theirs, Options(sni=name))
            assert tls.peer_chain[0] == PAPERS.ours.certificate

    run(test)


def test_case_045_external_offered_in_plain_is_not_used():
    async def test() -> None:
        offer = Offer(external="plain", dialback="all")
        async with edge(LAX) as here, Scripted(THEIRS, offer=offer) as server:
            here.lead_to(server.port)
            await here.inside.send_message(DESK, BOB, "x", id_="m")
            session = await server.session()
            await session.until("message m*")
            assert "auth*" not in session.steps
            assert session.proven == "tcp_dialback"

    run(test)


def test_case_045_external_asked_for_in_plain_is_not_given():
    async def test() -> None:
        async with edge(LAX) as here:
            peer = await opened(here)
            assert b"EXTERNAL" not in peer.received
            await peer.send(auth())
            await peer.until(rb"<failure |<stream:error>")
            assert b"<success" not in peer.received

    run(test)


@pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION], ids=["1.2", "1.3"])
def test_case_059_there_is_no_session_to_resume(version):
    async def test() -> None:
        async with edge() as here:
            first = await authenticated(here, PAPERS.theirs, Options(highest=version))
            await first.close()
            # What the certificate was good for then does not count now.
            here.records.edge["ca_file"] = str(PAPERS.stranger_ca.write(here.records.directory / "others.pem"))
            await here.reload()
            second = await opened(here)
            await second.send(STARTTLS)
            await second.until(rb"<proceed [^>]*/>")
            tls = await second.start_tls(options=Options(sni=OURS, again=first.tls.tls))
            assert not tls.resumed
            await second.send(header())
            assert "unknown_ca" in await ends_with(second, "not-authorized")

    run(test)
