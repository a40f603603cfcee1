# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cases 60 to 67: SASL EXTERNAL by a partner whose certificate is good, and by those who go beyond it."""

from __future__ import annotations

import pytest
from net.harness import ALICE, BOB, OURS, THEIRS, eventually, run
from peers.initiator import Ability
from peers.raw import RawPeer
from peers.scripted import SASL, Offer, Scripted

from .raw import auth, authenticated, begin, ends_with, header, message, result, secured
from .stage import EITHER, PAPERS, STRICT, edge, open_to
from .test_dialback import answer

SUCCESS = rb"<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"


async def fails_with(peer: RawPeer, condition: str) -> None:
    """The SASL failure; the stream goes on."""
    found = await peer.until(
        rb"<failure [^>]*><([a-z-]+)/>(?:<text [^>]*>[^<]+</text>)?</failure>|<success |<stream:error"
    )
    assert found[1] == condition.encode(), found[0]


@pytest.mark.parametrize("authzid", [None, THEIRS, THEIRS.upper()], ids=["empty", "the-domain", "in-capitals"])
def test_case_060_an_authzid_that_is_the_streams_own(authzid):
    async def test() -> None:
        async with edge() as here:
            peer = await secured(here, PAPERS.theirs)
            await peer.send(auth(authzid or "="))
            await peer.until(SUCCESS)

    run(test)


@pytest.mark.parametrize("authzid", ["other.example", f"x@{THEIRS}", f"a.{THEIRS}", OURS, "not a domain @@"])
def test_case_060_an_authzid_that_is_not_the_streams_own(authzid):
    async def test() -> None:
        async with edge() as here:
            peer = await secured(here, PAPERS.theirs)
            await peer.send(auth(authzid))
            await fails_with(peer, "invalid-authzid")
            await here.audit.wait("refused", reason="sasl_failed")
            # Who erred may try again, as who it is.
            await peer.send(auth())
            await peer.until(SUCCESS)

    run(test)


def test_case_061_an_authzid_that_the_certificate_has_and_the_list_has_not():
    papers = PAPERS.ca.issue(THEIRS, "other.example")

    async def test() -> None:
        async with edge() as here:
            peer = await secured(here, papers)
            await peer.send(auth("other.example"))
            await fails_with(peer, "invalid-authzid")
            stranger = await RawPeer.connect(here.address)
            await stranger.send(header("other.example"))
            await ends_with(stranger, "policy-violation")
            assert not here.audit.events("authenticated")

    run(test)


def test_case_061_another_domain_of_the_partner_is_proven_by_its_own_name():
    """One record, two domains: the certificate of the one is none for the other."""
    labs = f"labs.{THEIRS}"
    both = PAPERS.ca.issue(THEIRS, labs)

    async def test() -> None:
        async with edge(STRICT | {"additional_domains": [labs]}) as here:
            only_one = await open_to(here, Ability(tls=True, external=True, identity=PAPERS.theirs), local=labs)
            assert (only_one.method, only_one.refusal) == ("", "not-authorized")
            as_the_other = Ability(tls=True, external=True, identity=both, authzid=THEIRS)
            assert (await open_to(here, as_the_other, local=labs)).refusal == "sasl invalid-authzid"
            opened = await open_to(here, Ability(tls=True, external=True, identity=both), local=labs)
            assert opened.method == "sasl_tls"
            await opened.wire.send(message(BOB, ALICE).decode())
            assert (await opened.wire.element())[0].tag.endswith("}invalid-from")
            assert here.inside.mailbox(ALICE).history == []

    run(test)


@pytest.mark.parametrize("mechanism", ["PLAIN", "ANONYMOUS", "external", ""])
def test_case_062_another_mechanism(mechanism):
    async def test() -> None:
        async with edge() as here:
            peer = await secured(here, PAPERS.theirs)
            await peer.send(auth(THEIRS, mechanism))
            await fails_with(peer, "invalid-mechanism")

    run(test)


@pytest.mark.parametrize("text", ["%%%", "Z21haWw", "Z21h\nWwuZXhhbXBsZQ==x", "===="])
def test_case_063_bad_base64(text):
    async def test() -> None:
        async with edge() as here:
            peer = await secured(here, PAPERS.theirs)
            await peer.send(f"<auth xmlns='{SASL}' mechanism='EXTERNAL'>{text}</auth>".encode())
            await fails_with(peer, "incorrect-encoding")

    run(test)


def test_case_064_external_without_a_certificate():
    async def test() -> None:
        async with edge(EITHER) as here:
            peer = await secured(here)
            assert b"EXTERNAL" not in peer.received
            await peer.send(auth())
            await fails_with(peer, "not-authorized")
            line = await here.audit.wait("refused", reason="not_trusted")
            assert "no_certificate" in line["text"]

    run(test)


def test_case_064_external_without_a_certificate_where_nothing_else_is_left():
    async def test() -> None:
        async with edge(STRICT) as here:
            with pytest.raises(AssertionError, match="not-authorized"):
                await secured(here)

    run(test)


def test_case_065_failure_after_failure():
    async def test() -> None:
        async with edge() as here:
            peer = await secured(here, PAPERS.theirs)
            await peer.send(auth("other.example") * 11)
            await ends_with(peer, "policy-violation")
            assert peer.received.count(b"<failure ") == 10
            await eventually(lambda: not here.service.incomings.strangers)

    run(test)


def test_case_066_a_stanza_without_a_new_header():
    async def test() -> None:
        async with edge() as here:
            together = await secured(here, PAPERS.theirs)
            await together.send(auth() + message(BOB, ALICE, "together"))
            await together.until(SUCCESS)
            await begin(together)
            await together.send(message(BOB, ALICE, "honest"))
            await here.inside.mailbox(ALICE).wait()
            later = await secured(here, PAPERS.theirs)
            await later.send(auth())
            await later.until(SUCCESS)
            await later.send(message(BOB, ALICE, "later"))
            await ends_with(later, "not-authorized")
            assert [stanza.id for stanza in here.inside.mailbox(ALICE).history] == ["honest"]

    run(test)


def test_case_067_success_that_nobody_asked_for():
    class Eager(Scripted):
        """Says that all is well before it was asked."""

        async def _begin(self, session):
            await super()._begin(session)
            if session.tls is not None:
                await session.wire.send(f"<success xmlns='{SASL}'/>")

    async def test() -> None:
        offer = Offer(starttls="required")
        async with edge() as here, Eager(THEIRS, offer=offer, identity=PAPERS.theirs) as server:
            here.lead_to(server.port)
            await here.inside.send_message(f"{ALICE}/desk", BOB, "x", id_="m")
            assert (await here.inside.mailbox(ALICE).wait()).condition == "not-allowed"
            assert not any("message" in step for session in server.sessions for step in session.steps)
            assert not here.audit.events("authenticated")

    run(test)


def test_case_067_success_behind_a_failure():
    class Fickle(Scripted):
        async def _authenticate(self, session, element):
            await session.wire.send(f"<failure xmlns='{SASL}'><not-authorized/></failure><success xmlns='{SASL}'/>")

    async def test() -> None:
        offer = Offer(starttls="required", external="secure")
        async with edge() as here, Fickle(THEIRS, offer=offer, identity=PAPERS.theirs) as server:
            here.lead_to(server.port)
            await here.inside.send_message(f"{ALICE}/desk", BOB, "x", id_="m")
            assert (await here.inside.mailbox(ALICE).wait()).type == "error"
            assert not any("message" in step for session in server.sessions for step in session.steps)

    run(test)


def test_dialback_for_another_pair_is_not_given_for_the_certificate():
    """What EXTERNAL proves is the pair of the header; a further one has to be proven for itself."""

    async def test() -> None:
        async with edge(STRICT) as here:
            peer = await authenticated(here, PAPERS.theirs)
            await peer.send(result(target="branch.example"))
            await peer.until(answer("item-not-found"))

    run(test)
