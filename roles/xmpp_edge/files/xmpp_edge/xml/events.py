# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of a stream, as the parser tells them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from ..stream.errors import StreamError
from .element import Element
from .stanza import Stanza


@dataclass(frozen=True, slots=True)
class StreamStart:
    """The stream header. ``declared`` are its namespace declarations; the default namespace has the prefix ''."""

    name: str
    namespace: str
    attrs: dict[str, str]
    declared: dict[str, str]


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """The closing tag of the stream; whatever follows it is not read."""


@dataclass(frozen=True, slots=True)
class TooBig:
    """From a forgiving parser: a stanza without its payload, which was beyond a limit."""

    stanza: Stanza
    what: str


Event: TypeAlias = StreamStart | Stanza | Element | TooBig | StreamEnd | StreamError
