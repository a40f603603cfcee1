# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stanza from a partner says in our name, and may not.

Some payloads are marks that only the receiving side makes: the id in its archive (XEP-0359), the time at which it kept
a stanza (XEP-0203), the copy for a user's other devices (XEP-0280). Clients that believe such a mark without asking who
made it have been deceived by it more than once, so what a partner puts there in our name does not come in.
"""

from __future__ import annotations

import html
import re
from collections.abc import Container

from .jid import JIDError, parse

_CARBONS = "urn:xmpp:carbons:2"
# The mark, and the attribute that says who made it.
_MARKS = {("stanza-id", "urn:xmpp:sid:0"): "by", ("delay", "urn:xmpp:delay"): "from"}
_COPIES = frozenset((("received", _CARBONS), ("sent", _CARBONS)))
# In canonical XML every < and > is one of a tag, and values stand in single quotes.
_TAG = re.compile("<(/?)([^ />]+)([^>]*?)(/?)>")
_ATTRIBUTE = re.compile(" ([^ =]+)='([^']*)'")


def without_forged(payload: str, ours: Container[str]) -> str:
    """The canonical payload without the children that speak in the name of one of our domains (U-labels)."""
    if "<stanza-id" not in payload and "<delay" not in payload and _CARBONS not in payload:
        # As nearly every stanza is; elements of canonical XML have no prefixes.
        return payload
    kept: list[str] = []
    depth = begin = taken = 0
    forged = False
    for tag in _TAG.finditer(payload):
        closing, name, attributes, empty = tag.groups()
        if not closing:
            if not depth:
                begin, forged = tag.start(), _is_forged(name, dict(_ATTRIBUTE.findall(attributes)), ours)
            depth += 1
        if closing or empty:
            depth -= 1
            if not depth and forged:
                kept.append(payload[taken:begin])
                taken = tag.end()
    if not taken:
        return payload
    kept.append(payload[taken:])
    return "".join(kept)


def _is_forged(name: str, attributes: dict[str, str], ours: Container[str]) -> bool:
    kind = name, attributes.get("xmlns", "")
    if kind in _COPIES:
        # Copies come from the user's own server, and so never from a partner.
        return True
    maker = attributes.get(_MARKS.get(kind, ""))
    if maker is None:
        return False
    try:
        return parse(html.unescape(maker)).domain in ours
    except JIDError:
        # Whatever a client would make of it, no partner has such a name.
        return True
