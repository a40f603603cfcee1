# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SASL EXTERNAL between servers (RFC 6120, section 6, XEP-0178): its elements, read and written."""

from __future__ import annotations

import binascii

from ..jid import JIDError, parse
from ..xml import namespaces
from ..xml.element import Element
from . import conditions
from .features import EXTERNAL

EMPTY = "="
"""A response that is there and says nothing (RFC 6120, section 6.4.2): the authority is the stream's ``from``."""

_LONGEST = 1364
"""Of a domain of at most 1023 bytes."""


class SaslFailure(Exception):
    """The negotiation has failed, not the stream: ``condition`` is for the failure element, ``text`` beside it."""

    def __init__(self, condition: str, text: str) -> None:
        super().__init__(condition, text)
        self.condition = condition
        self.text = text


def auth(authzid: str | None = None) -> Element:
    """Choose EXTERNAL, with the domain that we want to act for; None leaves that to the stream header.

    XEP-0178 would have it left out, and asks to say it all the same, for the sake of older servers.
    """
    return Element("auth", namespaces.SASL, {"mechanism": EXTERNAL}, [encode(authzid)])


def response(authzid: str | None = None) -> Element:
    """The answer to a challenge."""
    return Element("response", namespaces.SASL, {}, [encode(authzid)])


def success() -> Element:
    return Element("success", namespaces.SASL)


def failure(condition: str, text: str = "") -> Element:
    return Element("failure", namespaces.SASL, content=conditions.write(condition, text, namespaces.SASL))


def failure_of(element: Element) -> tuple[str, str]:
    """Condition and text of a failure; the condition is not-authorized when it names none."""
    condition, text = conditions.read(element, namespaces.SASL)
    return condition.name if condition is not None else "not-authorized", text


def encode(authzid: str | None) -> str:
    """The text of a response."""
    return binascii.b2a_base64(authzid.encode(), newline=False).decode() if authzid else EMPTY


def decode(text: str) -> str:
    """The authorization identity in the text of a response, '' when it has none; raises SaslFailure.

    No text at all means the same as ``=``: to ask for it by a challenge would bring no more.
    """
    if text in ("", EMPTY):
        return ""
    if len(text) > _LONGEST:
        raise SaslFailure("malformed-request", "the authorization identity is longer than a domain can be")
    try:
        return _strictly(text).decode()
    except UnicodeDecodeError:
        raise SaslFailure("malformed-request", "the authorization identity is not UTF-8") from None


def names(authzid: str, domain: str) -> bool:
    """Whether it is this domain, in whatever form that is written."""
    if "@" in authzid or "/" in authzid:
        return False
    try:
        return parse(authzid).domain == domain
    except JIDError:
        return False


def _strictly(text: str) -> bytes:
    try:
        data = binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except ValueError:
        data = b""
    if binascii.b2a_base64(data, newline=False).decode() != text:
        # Bits beyond the last byte would be another writing of the same, which only one of two readers might take.
        raise SaslFailure("incorrect-encoding", "the response is not base64 (RFC 4648, section 4)")
    return data
