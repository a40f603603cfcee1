# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stream features: one form for what we offer and for what we make of theirs."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..xml import namespaces
from ..xml.element import Element

EXTERNAL = "EXTERNAL"
_NUMBER = re.compile(r"[0-9]{1,15}\Z")


@dataclass(frozen=True, slots=True)
class Features:
    """What a receiving server offers."""

    tls: bool = False
    tls_required: bool = False
    mechanisms: tuple[str, ...] = ()
    dialback: bool = False
    dialback_errors: bool = False
    """It understands dialback answers of type error (XEP-0220, section 2.4)."""
    bidi: bool = False
    acks: bool = False
    max_bytes: int | None = None
    """The largest stanza that it takes (XEP-0478)."""
    idle_seconds: int | None = None
    """The longest silence that it takes."""


def write(offered: Features) -> Element:
    """The features element; an empty one is an answer too."""
    content: list[Element | str] = []
    if offered.tls:
        required: list[Element | str] = [Element("required", namespaces.TLS)] if offered.tls_required else []
        content.append(Element("starttls", namespaces.TLS, content=required))
    if offered.mechanisms:
        names: list[Element | str] = [Element("mechanism", namespaces.SASL, {}, [name]) for name in offered.mechanisms]
        content.append(Element("mechanisms", namespaces.SASL, content=names))
    if offered.dialback:
        errors: list[Element | str] = []
        if offered.dialback_errors:
            errors.append(Element("errors", namespaces.DIALBACK_FEATURE))
        content.append(Element("dialback", namespaces.DIALBACK_FEATURE, content=errors))
    if offered.bidi:
        content.append(Element("bidi", namespaces.BIDI_FEATURE))
    if offered.acks:
        content.append(Element("sm", namespaces.ACKS))
    content += _limits(offered.max_bytes, offered.idle_seconds)
    return Element("features", namespaces.STREAMS, content=content)


def bidi(max_bytes: int | None = None, idle_seconds: int | None = None) -> Element:
    """Ask for stanzas both ways (XEP-0288). Our limits are in it, because only the other side has features to say."""
    return Element("bidi", namespaces.BIDI, content=_limits(max_bytes, idle_seconds))


def _limits(max_bytes: int | None, idle_seconds: int | None) -> list[Element | str]:
    limits: list[Element | str] = [
        Element(name, namespaces.LIMITS, {}, [str(value)])
        for name, value in (("max-bytes", max_bytes), ("idle-seconds", idle_seconds))
        if value is not None
    ]
    return [Element("limits", namespaces.LIMITS, content=limits)] if limits else []


def read(element: Element) -> Features:
    """The features in a features element; those that we do not know are passed over."""
    tls = element.child("starttls", namespaces.TLS)
    dialback = element.child("dialback", namespaces.DIALBACK_FEATURE)
    mechanisms = element.child("mechanisms", namespaces.SASL)
    limits = element.child("limits", namespaces.LIMITS)
    return Features(
        tls=tls is not None,
        tls_required=tls is not None and tls.child("required", namespaces.TLS) is not None,
        mechanisms=tuple(
            child.text.strip()
            for child in (mechanisms.children if mechanisms is not None else ())
            if (child.name, child.namespace) == ("mechanism", namespaces.SASL)
        ),
        dialback=dialback is not None,
        dialback_errors=dialback is not None and dialback.child("errors", namespaces.DIALBACK_FEATURE) is not None,
        bidi=element.child("bidi", namespaces.BIDI_FEATURE) is not None,
        acks=element.child("sm", namespaces.ACKS) is not None,
        max_bytes=_number(limits, "max-bytes"),
        idle_seconds=_number(limits, "idle-seconds"),
    )


def _number(parent: Element | None, name: str) -> int | None:
    child = parent.child(name, namespaces.LIMITS) if parent is not None else None
    text = child.text.strip() if child is not None else ""
    return int(text) if _NUMBER.match(text) else None
