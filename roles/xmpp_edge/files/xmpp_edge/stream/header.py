# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of the stream header (RFC 6120, section 4.7)."""

from __future__ import annotations

import re

from ..jid import JID, JIDError
from ..xml.namespaces import STREAMS
from ..xml.parser import StreamStart
from .errors import StreamError

_VERSION = re.compile(r"([0-9]{1,4})\.[0-9]{1,4}\Z")
_WHITE_SPACE = re.compile(r"\s")


def check(start: StreamStart, content: str) -> None:
    """Whether it opens a stream at all, and one with this content namespace."""
    if start.namespace != STREAMS:
        raise StreamError("invalid-namespace", f"the stream namespace is {STREAMS}")
    if start.name != "stream":
        raise StreamError("bad-format", "a stream begins with <stream:stream>")
    if start.declared.get("stream") != STREAMS:
        # RFC 6120 leaves other prefixes to us; every server writes this one, and errors have to be found by it.
        raise StreamError("bad-namespace-prefix", "the prefix of the stream namespace is 'stream'")
    if start.declared.get("") != content:
        raise StreamError("invalid-namespace", f"the content namespace here is {content}")


def version(start: StreamStart) -> int:
    """The major version: 1, or 0 for a server from before RFC 3920, which sends none and knows no features."""
    text = start.attrs.get("version")
    if text is None:
        return 0
    found = _VERSION.match(text)
    if found is None or int(found[1]) > 1:
        raise StreamError("unsupported-version", "this server speaks version 1.0")
    return int(found[1])


def domain(text: str, name: str) -> str:
    """The canonical domain in an attribute of the header or of a dialback element."""
    if "@" in text or "/" in text:
        # Not even looked at: what strangers put before the @ would take longer to prepare than a domain can.
        raise StreamError("improper-addressing", f"'{name}' is an address within a domain, and has to be a domain")
    try:
        return JID.parse(text).domain
    except JIDError as exc:
        raise StreamError("improper-addressing", f"'{name}': {exc}") from None


def optional_domain(start: StreamStart, name: str) -> str | None:
    """The canonical domain in an attribute, None when it is missing."""
    text = start.attrs.get(name)
    return None if text is None else domain(text, name)


def stream_id(start: StreamStart) -> str:
    """The id that the receiving server gave the stream.

    Dialback keys join it to domains with spaces between, so an id with white space might make two meanings of one key.
    """
    text = start.attrs.get("id", "")
    if not text or _WHITE_SPACE.search(text):
        raise StreamError("undefined-condition", "the stream header has no usable id")
    return text
