# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that we connect to and that are not what they should be, after TLS and SASL have gone well."""

from __future__ import annotations

import pytest
from net.harness import ALICE, BOB, CAROL, OURS, THEIRS, Records, error, eventually, run
from peers.scripted import Offer, Scripted, Session
from peers.wire import header, stream_error

from .stage import PAPERS, STRICT, edge

DESK = f"{ALICE}/desk"
EXTERNAL = Offer(starttls="required", external="secure", bidi=True)


class Liar(Scripted):
    """Says another header within TLS, or behind SASL."""

    where = "tls"
    said: dict[str, str | None]

    async def _begin(self, session: Session) -> None:
        now = "sasl" if session.proven else "tls" if session.tls is not None else "plain"
        if now != self.where:
            await super()._begin(session)
            return
        await session.wire.header()
        await session.add("header")
        head = header("jabber:server", **{"from_": THEIRS, "to": OURS, "id": "i", "version": "1.0", **self.said})
        await session.wire.send(head + self.offer.features(session.tls is not None, bool(session.proven)))


@pytest.mark.parametrize("where", ["tls", "sasl"])
@pytest.mark.parametrize(
    ("said", "condition"),
    [
        ({"from_": "other.example"}, "invalid-from"),
        ({"from_": OURS}, "invalid-from"),
        ({"id": None}, "undefined-condition"),
        ({"id": "a b"}, "undefined-condition"),
        ({"version": "2.0"}, "unsupported-version"),
    ],
    ids=["from-another", "from-us", "no-id", "id-with-space", "version-2"],
)
def test_case_011_a_server_says_another_header(where, said, condition):
    async def test() -> None:
        async with edge(STRICT) as here, Liar(THEIRS, offer=EXTERNAL, identity=PAPERS.theirs) as server:
            server.where, server.said = where, said
            here.lead_to(server.port)
            await here.inside.send_message(DESK, BOB, "x", id_="m")
            session = await server.session()
            await session.until("error")
            assert session.error is not None
            assert session.error[0] == condition
            assert session.error[1]
            bounce = await here.inside.mailbox(ALICE).wait()
            assert (bounce.id, bounce.type) == ("m", "error")
            assert not any("message" in step for step in session.steps)

    run(test)


@pytest.mark.parametrize(
    ("stanza", "condition"),
    [
        (f"<message from='x@other.example' to='{ALICE}' id='s'/>", "invalid-from"),
        (f"<message from='{CAROL}' to='{ALICE}' id='s'/>", "invalid-from"),
        (f"<message from='{BOB}' to='x@branch.example' id='s'/>", "not-authorized"),
        (f"<message from='{BOB}' to='x@third.example' id='s'/>", "not-authorized"),
        (f"<message to='{ALICE}' id='s'/>", "improper-addressing"),
        (f"<message from='{BOB}' id='s'/>", "improper-addressing"),
    ],
    ids=["another-domain", "ours", "another-of-ours", "a-third", "no-from", "no-to"],
)
def test_a_server_that_may_send_on_our_stream_sends_for_its_pair_only(stanza, condition):
    def two(records: Records) -> None:
        records.edge["domains"] = [OURS, "branch.example"]

    async def test() -> None:
        async with edge(STRICT, change=two) as here, Scripted(THEIRS, offer=EXTERNAL, identity=PAPERS.theirs) as server:
            here.lead_to(server.port)
            await here.inside.send_message(DESK, BOB, "x", id_="m")
            session = await server.session()
            await session.until("message m")
            assert "bidi" in session.steps
            await session.wire.send(f"<message from='{BOB}' to='{ALICE}' id='good'/>")
            assert (await here.inside.mailbox(ALICE).wait()).id == "good"
            await session.wire.send(stanza)
            await session.until("error")
            assert session.error is not None
            assert session.error[0] == condition
            assert [each.id for each in here.inside.mailbox(ALICE).history if each.type != "error"] == ["good"]

    run(test)


def test_a_server_that_sends_us_elsewhere_is_not_followed():
    class Elsewhere(Scripted):
        async def _begin(self, session: Session) -> None:
            if session.tls is None:
                await super()._begin(session)
                return
            await session.wire.header()
            where = "<see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>127.0.0.1:{}</see-other-host>"
            head = header("jabber:server", from_=THEIRS, to=OURS, id="i", version="1.0")
            said = f"<stream:error>{where.format(self.elsewhere)}</stream:error></stream:stream>"
            await session.wire.send(head + said)

    async def test() -> None:
        async with (
            edge(STRICT) as here,
            Scripted(THEIRS, offer=EXTERNAL, identity=PAPERS.theirs) as other,
            Elsewhere(THEIRS, offer=EXTERNAL, identity=PAPERS.theirs) as server,
        ):
            server.elsewhere = other.port
            here.lead_to(server.port)
            await here.inside.send_message(DESK, BOB, "x", id_="m")
            bounce = await here.inside.mailbox(ALICE).wait()
            assert "see-other-host" in bounce.text
            assert other.sessions == []

    run(test)


@pytest.mark.parametrize("how", ["no-features", "no-header", "no-proceed", "no-success"])
def test_a_server_that_falls_silent_is_given_up_in_time(how):
    class Mute(Scripted):
        async def _begin(self, session: Session) -> None:
            if how == "no-header" and session.tls is not None:
                return
            if how == "no-features" and session.tls is not None:
                await session.wire.header()
                await session.wire.send(header("jabber:server", from_=THEIRS, to=OURS, id="i", version="1.0"))
                return
            await super()._begin(session)

        async def _authenticate(self, session, element) -> None:
            if how != "no-success":
                await super()._authenticate(session, element)

    def soon(records: Records) -> None:
        records.edge["stream_establishment_timeout"] = 1

    async def test() -> None:
        offer = Offer(
            starttls="required", external="secure", on_starttls="silence" if how == "no-proceed" else "proceed"
        )
        async with edge(STRICT, change=soon) as here, Mute(THEIRS, offer=offer, identity=PAPERS.theirs) as server:
            here.lead_to(server.port)
            await here.inside.send_message(DESK, BOB, "x", id_="m")
            assert error(await here.inside.mailbox(ALICE).wait()) == ("wait", "remote-server-timeout")
            await eventually(lambda: all(session.over for session in server.sessions))

    run(test)


def test_an_error_of_theirs_is_quoted_to_the_sender_and_bounded():
    class Refusing(Scripted):
        async def _begin(self, session: Session) -> None:
            await super()._begin(session)
            if session.proven:
                await session.wire.send(stream_error("policy-violation", "x" * 5000 + "\u202e"))

    async def test() -> None:
        async with edge(STRICT) as here, Refusing(THEIRS, offer=EXTERNAL, identity=PAPERS.theirs) as server:
            here.lead_to(server.port)
            await here.inside.send_message(DESK, BOB, "x", id_="m")
            bounce = await here.inside.mailbox(ALICE).wait()
            assert "policy-violation" in bounce.text
            assert len(bounce.text) < 2000

    run(test)
