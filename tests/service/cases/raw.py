# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Byte by byte up to where a case begins: the steps that a raw peer takes before it does what it should not."""

from __future__ import annotations

import base64
import re
from dataclasses import replace

from net.harness import OURS, THEIRS, World
from peers.raw import RawPeer
from peers.tls import DEFAULT, Identity, Options

DECLARED = "xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback'"
STARTTLS = b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
FEATURES = rb"<stream:features(?:/>|>.*?</stream:features>)"


def header(sender: str | None = THEIRS, target: str | None = OURS, **more: str) -> bytes:
    attrs = {"from": sender, "to": target, **more, "version": "1.0"}
    written = "".join(f" {name}='{value}'" for name, value in attrs.items() if value is not None)
    return f"<?xml version='1.0'?><stream:stream {DECLARED}{written}>".encode()


def auth(text: str = THEIRS, mechanism: str = "EXTERNAL") -> bytes:
    """The text goes out in base64; "=" as it is."""
    said = text if text == "=" else base64.b64encode(text.encode()).decode()
    return f"<auth xmlns='{SASL}' mechanism='{mechanism}'>{said}</auth>".encode()


def result(key: str = "k", sender: str = THEIRS, target: str = OURS, more: str = "") -> bytes:
    return f"<db:result from='{sender}' to='{target}'{more}>{key}</db:result>".encode()


def message(sender: str, target: str, id_: str = "m", inner: str = "<body>x</body>") -> bytes:
    return f"<message from='{sender}' to='{target}' id='{id_}' type='chat'>{inner}</message>".encode()


async def opened(here: World, sender: str | None = THEIRS, target: str | None = OURS) -> RawPeer:
    """A connection with headers and features exchanged; its ``features`` and ``id`` are those that came last."""
    peer = await RawPeer.connect(here.address)
    await begin(peer, sender, target)
    return peer


async def begin(peer: RawPeer, sender: str | None = THEIRS, target: str | None = OURS) -> bytes:
    """A new header on a connection that stands; gives the features. The id is kept at the peer."""
    await peer.send(header(sender, target))
    peer.id = (await peer.until(rb"<stream:stream [^>]*?id='([^']+)'[^>]*>"))[1].decode()  # type: ignore[attr-defined]
    return (await peer.until(FEATURES))[0]


async def secured(here: World, identity: Identity | None = None, options: Options = DEFAULT) -> RawPeer:
    """Through STARTTLS to the features within."""
    peer = await opened(here)
    await peer.send(STARTTLS)
    await peer.until(rb"<proceed [^>]*/>")
    await peer.start_tls(identity, options if options.sni else replace(options, sni=OURS))
    await begin(peer)
    return peer


async def authenticated(here: World, identity: Identity, options: Options = DEFAULT) -> RawPeer:
    """Through EXTERNAL to the features behind it."""
    peer = await secured(here, identity, options)
    await peer.send(auth())
    await peer.until(rb"<success [^>]*/>")
    await begin(peer)
    return peer


async def ends_with(peer: RawPeer, condition: str) -> str:
    """The stream error with which the edge closes; gives its text."""
    found = await peer.until(rb"<stream:error><([a-z-]+) [^>]*/>(?:<text [^>]*>([^<]*)</text>)?.*</stream:stream>")
    assert found[1].decode() == condition, found[0]
    # Without this the edge would wait for it as long as we wait for the edge.
    await peer.send(b"</stream:stream>")
    await peer.until_closed()
    return (found[2] or b"").decode()


def inner(text: bytes, name: str) -> bool:
    """Whether a feature of this name is among them."""
    return re.search(rf"<{name}[ />]".encode(), text) is not None
