# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stream features: what we offer, and what we make of theirs."""

from __future__ import annotations

from dataclasses import dataclass

from ..xml import namespaces
from ..xml.element import Element


@dataclass(frozen=True, slots=True)
class Features:
    """What a receiving server offers."""

    tls_required: bool
    dialback: bool


def offer() -> Element:
    """What we offer on a stream without TLS: dialback, and that errors of it are understood (XEP-0220, section 2.4)."""
    errors = Element("errors", namespaces.DIALBACK_FEATURE)
    dialback = Element("dialback", namespaces.DIALBACK_FEATURE, content=[errors])
    return Element("features", namespaces.STREAMS, content=[dialback])


def read(element: Element) -> Features:
    """The features in a features element; those that we do not know are passed over."""
    tls = element.child("starttls", namespaces.TLS)
    return Features(
        tls_required=tls is not None and tls.child("required", namespaces.TLS) is not None,
        dialback=element.child("dialback", namespaces.DIALBACK_FEATURE) is not None,
    )
