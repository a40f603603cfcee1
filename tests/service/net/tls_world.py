# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of TLS stand on: certificates, partners that call us by hand, and servers by script that we call."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from peers.authority import Authority, Pair
from peers.raw import RawPeer
from peers.scripted import Offer, Scripted
from peers.tls import DEFAULT, Options

from .harness import (
    ALICE,
    BOB,
    OURS,
    THEIRS,
    TLS,
    Records,
    World,
    world,
)
from .test_incoming import header

DESK = f"{ALICE}/desk"
FULL = Offer(starttls="optional", external="secure", dialback="all")
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


def secured(partner: dict[str, Any] | None = None, direct: bool = True) -> Callable[[Records], None]:
    """A change that certifies the edge, and gives the partner this record."""

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


async def speak(here: World, peer: RawPeer, number: int = 1) -> None:
    await peer.send(f"<message from='{BOB}' to='{ALICE}' id='m{number}'><body>hi</body></message>".encode())
    await here.inside.mailbox(ALICE).wait(lambda stanza: stanza.id == f"m{number}")
