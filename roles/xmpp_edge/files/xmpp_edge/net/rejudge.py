# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A second look at the certificates that open streams are proven by.

Streams live for weeks. What one was proven by may expire or be revoked meanwhile, or its CA may be struck off, so a
stream stays only as long as a new one would be let in by the same certificate.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..stream.actions import Pair
from ..stream.admission import distrust
from ..stream.security import Tls

_OURS = frozenset(("ca_file_unusable", "no_judge"))
"""That we cannot judge at the moment says nothing about what was judged before."""


def no_longer(tls: Tls | None, proven: Iterable[tuple[Pair, str]]) -> str | None:
    """Why one of these pairs, each with its method, is proven no longer; None while all are."""
    for pair, method in proven:
        if tls is not None and method == "sasl_tls":
            trust = tls.judge(pair.remote)
            if not trust.trusted and trust.reason not in _OURS:
                return distrust(pair.remote, trust)
    return None
