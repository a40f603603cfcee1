# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A partner's end of a stream with TLS, as cheap as the standard library makes it: the other end is measured."""

from __future__ import annotations

import asyncio
import re
import ssl
from pathlib import Path

HEADER = (
    "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'"
    " xmlns:db='jabber:server:dialback' from='{}' to='{}' version='1.0'>"
)
STARTTLS = b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
AUTH = b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>"
FEATURES = re.compile(rb"<stream:features\s*/>|</stream:features>")
PROCEED = re.compile(rb"<proceed[^>]*>")
SUCCESS = re.compile(rb"<success[^>]*>")


def client_context(directory: Path) -> ssl.SSLContext:
    """Shows the certificate in this directory; believes anybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(directory / "full.pem", directory / "key.pem")
    return context


async def _until(reader: asyncio.StreamReader, wanted: re.Pattern[bytes]) -> bytes:
    data = b""
    while not wanted.search(data):
        more = await asyncio.wait_for(reader.read(4096), 20)
        assert more, data
        data += more
    return data


async def open_stream(
    port: int, local: str, remote: str, context: ssl.SSLContext, source: str = "127.0.0.1"
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A stream with STARTTLS, proven by SASL EXTERNAL, from this address of the loopback."""
    header = HEADER.format(local, remote).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    writer.write(header)
    await _until(reader, FEATURES)
    writer.write(STARTTLS)
    await _until(reader, PROCEED)
    await writer.start_tls(context, server_hostname=remote)
    writer.write(header)
    offered = await _until(reader, FEATURES)
    assert b"EXTERNAL" in offered, offered
    writer.write(AUTH)
    await _until(reader, SUCCESS)
    writer.write(header)
    await _until(reader, FEATURES)
    return reader, writer
