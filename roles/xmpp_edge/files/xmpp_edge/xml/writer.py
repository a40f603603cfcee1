# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one writer: everything that leaves a stream is made here."""

from __future__ import annotations

from . import namespaces
from .element import Element
from .escape import escape_attribute, escape_text, legal
from .stanza import Stanza

CLOSE = b"</stream:stream>"
KEEP_ALIVE = b" "

# Old servers know these prefixes by heart and take no others; every header of ours declares them.
_PREFIXES = {namespaces.STREAMS: "stream:", namespaces.DIALBACK: "db:"}


def write_stanza(stanza: Stanza) -> bytes:
    """The stanza, for a stream of either content namespace."""
    kind = stanza.kind
    opening = f"<{kind}"
    if stanza.from_ is not None:
        opening += f" from='{stanza.from_.attribute}'"
    if stanza.to is not None:
        opening += f" to='{stanza.to.attribute}'"
    for name, value in stanza.attrs.items():
        # Types and most ids are letters and digits, and to see that takes a third of the time.
        opening += f" {name}='{value if value.isalnum() else escape_attribute(value)}'"
    payload = stanza.payload
    if payload:
        return f"{opening}>{payload}</{kind}>".encode()
    return f"{opening}/>".encode()


def write_element(element: Element, content: str = namespaces.SERVER) -> bytes:
    """An element for a stream with this content namespace."""
    return legal(_element(element, content)).encode()


def _element(element: Element, default: str) -> str:
    prefix = _PREFIXES.get(element.namespace, "")
    opening = prefix + element.name
    tag = opening
    if not prefix and element.namespace != default:
        opening += f" xmlns='{escape_attribute(element.namespace)}'"
        default = element.namespace
    for name, value in element.attrs.items():
        opening += f" {name}='{escape_attribute(value)}'"
    content = "".join(
        escape_text(part) if isinstance(part, str) else _element(part, default) for part in element.content
    )
    return f"<{opening}>{content}</{tag}>" if content else f"<{opening}/>"


def stream_header(content: str, attrs: dict[str, str | None]) -> bytes:
    """The opening of a stream; attributes that are None are left out."""
    known = "".join(f" {name}='{escape_attribute(legal(value))}'" for name, value in attrs.items() if value is not None)
    dialback = f" xmlns:db='{namespaces.DIALBACK}'" if content == namespaces.SERVER else ""
    opening = f"<stream:stream xmlns='{content}' xmlns:stream='{namespaces.STREAMS}'{dialback}{known}>"
    return f"<?xml version='1.0'?>{opening}".encode()
