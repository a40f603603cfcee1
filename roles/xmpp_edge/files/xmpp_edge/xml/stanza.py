# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stanza: what is known of it without making a tree of its payload."""

from __future__ import annotations

import html
import re

from ..jid import JID
from .escape import escape_text, legal
from .namespaces import STANZA_ERRORS

# In canonical XML every < and > is one of a tag, so that tags can be told apart by sight.
_TAG = re.compile("<(/?)([^ />]+)([^>]*?)(/?)>")
_DECLARATION = re.compile(" xmlns='([^']*)'")


class Stanza:
    """A message, presence or iq.

    ``attrs`` are the attributes as received. A stream machine takes ``from`` and ``to`` out of them and puts them,
    canonical, in ``from_`` and ``to``. ``payload`` is the canonical inner XML. Elements of the content namespace carry
    no namespace declaration in it, so that it can be written to ``jabber:server`` and ``jabber:component:accept``
    alike. ``size`` is the length as received, in bytes.
    """

    __slots__ = ("attrs", "from_", "kind", "payload", "size", "to")

    def __init__(
        self,
        kind: str,
        attrs: dict[str, str],
        payload: str = "",
        size: int = 0,
        from_: JID | None = None,
        to: JID | None = None,
    ) -> None:
        self.kind = kind
        self.attrs = attrs
        self.payload = payload
        self.size = size
        self.from_ = from_
        self.to = to

    @property
    def type(self) -> str | None:
        return self.attrs.get("type")

    @property
    def id(self) -> str | None:
        return self.attrs.get("id")

    def child(self, name: str, namespace: str = "") -> str | None:
        """The inner XML of its first child of this name, None without one. '' is the content namespace."""
        if f"<{name}" not in self.payload:
            return None
        depth = begin = 0
        found = False
        for tag in _TAG.finditer(self.payload):
            closing, tag_name, attributes, empty = tag.groups()
            if closing:
                depth -= 1
                if found and not depth:
                    return self.payload[begin : tag.start()]
                continue
            if not depth and tag_name == name and _namespace(attributes) == namespace:
                if empty:
                    return ""
                found = True
                begin = tag.end()
            depth += not empty
        return None

    def body(self) -> str | None:
        """The text of a message."""
        inner = self.child("body")
        return None if inner is None else html.unescape(_TAG.sub("", inner))

    def __repr__(self) -> str:
        return f"Stanza({self.kind!r}, {self.attrs!r}, from_={self.from_!s}, to={self.to!s}, size={self.size})"


def _namespace(attributes: str) -> str:
    declaration = _DECLARATION.match(attributes)
    return html.unescape(declaration[1]) if declaration else ""


def error_reply(stanza: Stanza, condition: str, error_type: str, text: str | None = None) -> Stanza | None:
    """The error to its sender; None for an error or a result, which are never answered. The payload is not echoed.

    Only an iq can be a result: a message that calls itself one is a message (RFC 6121, section 5.2.2).
    """
    if stanza.type == "error" or (stanza.type == "result" and stanza.kind == "iq"):
        return None
    attrs = {"type": "error"}
    if stanza.id is not None:
        attrs["id"] = stanza.id
    content = f"<{condition} xmlns='{STANZA_ERRORS}'/>"
    if text:
        content += f"<text xmlns='{STANZA_ERRORS}' xml:lang='en'>{escape_text(legal(text))}</text>"
    return Stanza(stanza.kind, attrs, f"<error type='{error_type}'>{content}</error>", 0, stanza.to, stanza.from_)
