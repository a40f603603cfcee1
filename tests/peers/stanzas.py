# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stanzas as text going out and as small values coming in."""

from __future__ import annotations

import stringprep
import time
import unicodedata
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from .wire import STANZA_ERRORS, attributes, condition_of

PING = "urn:xmpp:ping"


def message(sender: str, to: str, body: str, *, id_: str | None = None, type_: str = "chat") -> str:
    return f"<message{attributes(from_=sender, to=to, type=type_, id=id_)}><body>{escape(body)}</body></message>"


def presence(sender: str, to: str, type_: str | None = None, *, status: str = "") -> str:
    inner = f"<status>{escape(status)}</status>" if status else ""
    return f"<presence{attributes(from_=sender, to=to, type=type_)}>{inner}</presence>"


def ping(sender: str, to: str, id_: str) -> str:
    return f"<iq{attributes(from_=sender, to=to, type='get', id=id_)}><ping xmlns='{PING}'/></iq>"


def result(asked: Stanza) -> str:
    return f"<iq{attributes(from_=asked.to, to=asked.sender, type='result', id=asked.id)}/>"


def error(asked: Stanza, type_: str, condition: str, text: str = "") -> str:
    """The error that answers a stanza."""
    words = f"<text xmlns='{STANZA_ERRORS}'>{escape(text)}</text>" if text else ""
    head = attributes(from_=asked.to, to=asked.sender, type="error", id=asked.id)
    return (
        f"<{asked.kind}{head}><error type='{type_}'>"
        f"<{condition} xmlns='{STANZA_ERRORS}'/>{words}</error></{asked.kind}>"
    )


@dataclass(frozen=True, slots=True)
class Stanza:
    """One stanza that came in, with what tests ask about most."""

    kind: str
    sender: str
    to: str
    type: str
    id: str | None
    body: str
    condition: str
    text: str
    element: ET.Element = field(repr=False, compare=False)
    at: float = field(default_factory=time.monotonic, compare=False)

    @classmethod
    def of(cls, element: ET.Element) -> Stanza:
        condition = text = body = ""
        for child in element:
            name = child.tag.rpartition("}")[2]
            if name == "error":
                condition, text = condition_of(child)
            elif name == "body" and not body:
                body = child.text or ""
        get = element.get
        kind = element.tag.rpartition("}")[2]
        return cls(kind, get("from", ""), get("to", ""), get("type", ""), get("id"), body, condition, text, element)

    @property
    def is_answer(self) -> bool:
        """Answers are never answered."""
        return self.type in ("error", "result")

    @property
    def is_ping(self) -> bool:
        return self.kind == "iq" and self.type == "get" and self.element.find(f"{{{PING}}}ping") is not None

    def as_dict(self) -> dict[str, object]:
        names = ("kind", "sender", "to", "type", "id", "body", "condition", "text", "at")
        return {name: getattr(self, name) for name in names}


def split(address: str) -> tuple[str, str, str]:
    """Local part, domain and resource, with nothing folded."""
    bare, _unused, resource = address.partition("/")
    local, at, domain = bare.partition("@")
    return (local, domain, resource) if at else ("", bare, resource)


def domain_of(address: str) -> str:
    return split(address)[1]


def fold(local: str) -> str:
    """A local part as servers compare it: case, width and invisible characters do not make another account."""
    kept = "".join(char for char in local if not stringprep.in_table_b1(char))
    return unicodedata.normalize("NFKC", "".join(map(stringprep.map_table_b2, kept)))
