# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One XMPP stream over TCP as a stand-in sees it.

What is sent goes out exactly as written, and both directions are kept as bytes, so that a test can state what
crossed the wire. What comes in is cut into top-level elements by the standard library's own parser: nothing here is
shared with the service under test.
"""

from __future__ import annotations

import asyncio
import contextlib
import xml.etree.ElementTree as ET
from collections import deque
from xml.sax.saxutils import escape, quoteattr

from .tls import DEFAULT, Identity, Options, SecureStream

STREAMS = "http://etherx.jabber.org/streams"
DIALBACK = "jabber:server:dialback"
STREAM_ERRORS = "urn:ietf:params:xml:ns:xmpp-streams"
STANZA_ERRORS = "urn:ietf:params:xml:ns:xmpp-stanzas"


class PeerClosed(Exception):
    """The other side ended the stream while something else was expected."""


def attributes(**values: str | None) -> str:
    """XML attributes in the given order; ``from_`` gives ``from``, and None leaves one out."""
    return "".join(f" {name.rstrip('_')}={quoteattr(value)}" for name, value in values.items() if value is not None)


def header(namespace: str, *, dialback: bool = True, **values: str | None) -> str:
    """An opening stream tag of the given content namespace."""
    declared = f" xmlns:db='{DIALBACK}'" if dialback else ""
    return f"<stream:stream xmlns='{namespace}' xmlns:stream='{STREAMS}'{declared}{attributes(**values)}>"


def stream_error(condition: str, text: str | None = None) -> str:
    """A stream error and the end of the stream."""
    words = f"<text xmlns='{STREAM_ERRORS}'>{escape(text)}</text>" if text else ""
    return f"<stream:error><{condition} xmlns='{STREAM_ERRORS}'/>{words}</stream:error></stream:stream>"


def condition_of(error: ET.Element) -> tuple[str, str]:
    """Condition and text of a stream error or of the error child of a stanza."""
    condition, words = "undefined-condition", ""
    for child in error:
        namespace, _unused, name = child.tag.rpartition("}")
        if name == "text":
            words = child.text or ""
        elif namespace.lstrip("{") in (STREAM_ERRORS, STANZA_ERRORS):
            condition = name
    return condition, words


class Wire:
    """A stream with its two transcripts, ``sent`` and ``received``."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader: asyncio.StreamReader | SecureStream = reader
        self._writer: asyncio.StreamWriter | SecureStream = writer
        self.tls: SecureStream | None = None
        self.sent = bytearray()
        self.received = bytearray()
        self.ended: str | None = None  # "tag" after a closing tag, "eof" after a bare end of the connection
        self._items: deque[ET.Element | dict[str, str]] = deque()
        self.restart()

    @classmethod
    async def connect(cls, host: str, port: int) -> Wire:
        return cls(*await asyncio.open_connection(host, port))

    def restart(self) -> None:
        """Expect a new stream header on the same connection."""
        self._parser = ET.XMLPullParser(("start-ns", "start", "end"))
        self._open: list[ET.Element] = []
        self.prefixes: dict[str, str] = {}

    async def start_tls(
        self, identity: Identity | None = None, options: Options = DEFAULT, *, server: bool = False
    ) -> SecureStream:
        """Put TLS under the stream, which begins anew on it; TlsError when the other side will not have it."""
        self.tls = await SecureStream.start(self._reader, self._writer, identity, options, server=server)
        self._reader = self._writer = self.tls
        self.restart()
        return self.tls

    @property
    def peer_address(self) -> tuple[str, int]:
        return self._writer.get_extra_info("peername")[:2]

    async def send(self, data: str | bytes) -> None:
        """Write as it stands. A connection that is gone shows up when something is read from it."""
        octets = data.encode() if isinstance(data, str) else data
        self.sent += octets
        self._writer.write(octets)
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()

    async def header(self) -> dict[str, str]:
        """The attributes of the other side's stream header."""
        item = await self._next()
        if not isinstance(item, dict):
            raise PeerClosed("the stream ended before its header" if item is None else f"no header but {item.tag}")
        return item

    async def element(self) -> ET.Element | None:
        """The next top-level element, or None when the stream is over."""
        item = await self._next()
        if isinstance(item, dict):
            raise PeerClosed("a second stream header")
        return item

    async def expect(self, tag: str) -> ET.Element:
        """The next element, which must be this one (``{namespace}name``)."""
        item = await self.element()
        if item is None:
            raise PeerClosed(f"the stream ended where {tag} was expected")
        if item.tag == f"{{{STREAMS}}}error":
            raise PeerClosed("stream error {}: {}".format(*condition_of(item)))
        if item.tag != tag:
            raise PeerClosed(f"{item.tag} came where {tag} was expected")
        return item

    async def wait_end(self) -> None:
        """Read and drop until the other side is done."""
        while await self._next() is not None:
            pass

    async def _next(self) -> ET.Element | dict[str, str] | None:
        while not self._items:
            if self.ended:
                return None
            try:
                data = await self._reader.read(65536)
            except ConnectionError:
                data = b""
            if not data:
                self.ended = "eof"
                return None
            self.received += data
            self._parser.feed(data)
            self._collect()
        return self._items.popleft()

    def _collect(self) -> None:
        for event, value in self._parser.read_events():
            if event == "start-ns":
                self.prefixes[value[0]] = value[1]
            elif event == "start":
                if not self._open:
                    namespace = value.tag.rpartition("}")[0].lstrip("{")
                    self._items.append({**value.attrib, "{}": namespace, "{content}": self.prefixes.get("", "")})
                self._open.append(value)
            else:
                self._open.pop()
                if len(self._open) == 1:
                    self._items.append(value)
                    self._open[0].remove(value)  # the root must not grow with the stream
                elif not self._open:
                    self.ended = "tag"

    async def close(self, last: str = "</stream:stream>") -> None:
        """Say goodbye (or, with an empty text, do not) and close the socket."""
        if last and not self._writer.is_closing() and not self.sent.endswith(b"</stream:stream>"):
            await self.send(last)
        self._writer.close()
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await self._writer.wait_closed()

    def abort(self) -> None:
        """Reset the connection, as a crashed host would."""
        self._writer.transport.abort()
