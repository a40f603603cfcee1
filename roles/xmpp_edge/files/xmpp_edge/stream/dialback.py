# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Server Dialback (XEP-0220): its keys (XEP-0185) and its elements."""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache

from ..xml import namespaces
from ..xml.element import Element
from . import conditions
from .errors import StreamError
from .header import domain
from .security import Credentials

LONGEST_KEY = 1024


@lru_cache(maxsize=16)
def _hashed(secret: str) -> bytes:
    # The key of the HMAC is the digest in hexadecimal letters, not its bytes: the test vectors of XEP-0185 say so.
    return hashlib.sha256(secret.encode()).hexdigest().encode()


def key(secret: str, receiving: str, originating: str, stream_id: str) -> str:
    """The key by which the originating domain proves itself to the receiving one on this stream."""
    return hmac.new(_hashed(secret), f"{receiving} {originating} {stream_id}".encode(), hashlib.sha256).hexdigest()


def is_key(text: str, credentials: Credentials, receiving: str, originating: str, stream_id: str) -> bool:
    """Whether a key is ours, by the secret or by the previous one; takes the same time whatever the answer."""
    if any(char.isspace() for char in stream_id):
        # The parts of the key are joined by spaces; this would move the borders between them (CVE-2016-0756).
        return False
    found = False
    for secret in (credentials.secret, credentials.previous):
        if secret is not None:
            made = key(secret, receiving, originating, stream_id)
            found |= hmac.compare_digest(made.encode(), text.encode())
    return found


def addresses(element: Element) -> tuple[str, str]:
    """Its ``from`` and ``to``, both required."""
    try:
        return domain(element.attrs["from"], "from"), domain(element.attrs["to"], "to")
    except KeyError as exc:
        raise StreamError("improper-addressing", f"a dialback element without '{exc.args[0]}'") from None


def result(sender: str, target: str, key: str = "") -> Element:
    """A ``db:result`` from sender to target; an answer gets its type from whoever gives it."""
    return Element("result", namespaces.DIALBACK, {"from": sender, "to": target}, [key] if key else [])


def verify(sender: str, target: str, stream_id: str, key: str = "") -> Element:
    """A ``db:verify`` from sender to target about a stream."""
    attrs = {"from": sender, "to": target, "id": stream_id}
    return Element("verify", namespaces.DIALBACK, attrs, [key] if key else [])


def failure(answer: Element, condition: str, text: str = "") -> Element:
    """The answer, made a dialback error."""
    content = conditions.write(condition, text, namespaces.STANZA_ERRORS)
    answer.attrs["type"] = "error"
    answer.content = [Element("error", namespaces.SERVER, {"type": "cancel"}, content)]
    return answer


def failure_of(answer: Element) -> tuple[str, str]:
    """Condition and text of a dialback error; the condition is undefined-condition when it names none."""
    condition, text = conditions.read(answer.child("error", namespaces.SERVER), namespaces.STANZA_ERRORS)
    return condition.name if condition is not None else "undefined-condition", text
