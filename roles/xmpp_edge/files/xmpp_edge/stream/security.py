# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Three separate facts about a stream: that it is encrypted, that a certificate is trusted, that a pair is proven.

``Tls`` is the first, ``Trust`` the second. The third is only ever said by the action Authenticated, with its method.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trust:
    """Whether the peer's certificate proves one domain; ``reason`` is a stable word, ``text`` a sentence for people."""

    trusted: bool
    reason: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Tls:
    """The stream is encrypted; with whom is not said by that."""

    version: str
    cipher: str
    direct: bool
    """TLS from the first byte (XEP-0368)."""
    certificate: bool
    """The peer has presented a certificate, of whatever worth."""
    judge: Callable[[str], Trust]
    """Whether it proves this domain (a U-label), by the CA, the pins and the CRLs that count for its partner."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What we can prove ourselves by."""

    secret: str
    """The dialback secret (XEP-0185)."""
    previous: str | None = None
    """The dialback secret of a moment ago: keys made with it are on their way still, and ours."""
    certificate: bool = False
    """We have a certificate; without one TLS cannot be offered, and EXTERNAL not be chosen."""
