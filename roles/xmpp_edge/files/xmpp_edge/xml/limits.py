# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much one child of the stream element may be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one stanza, or on any other top-level child of the stream. Units: bytes, elements, levels.

    ``size`` bounds what is received and what is written of it: a short prefix may stand for a long namespace, so that
    canonical XML may be longer. ``tag`` bounds a single tag, which is what expat reads again when it comes in pieces,
    and what multiplies by itself when a long namespace meets many attributes.
    """

    size: int
    elements: int
    depth: int
    tag: int
