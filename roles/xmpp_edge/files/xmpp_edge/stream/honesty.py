# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gate 4 on a stream: why a stanza cannot be from where it says, to where it says."""

from __future__ import annotations

from collections.abc import Collection, Container

from ..jid import JIDError
from ..xml.stanza import Stanza
from .actions import Pair
from .errors import StreamError
from .machine import Refusal


def dishonest(
    stanza: Stanza, exc: Exception, pairs: Collection[Pair], served: Container[str] | None = None
) -> StreamError:
    """The stream error for a stanza whose addresses are not those of a proven pair.

    ``exc`` is what came of looking: JIDError, or KeyError. ``served`` are the domains that we serve, where the stream
    may be for more than one of them.
    """
    if not pairs:
        return StreamError("not-authorized", f"a {stanza.kind} before any domain is proven on this stream")
    if isinstance(exc, JIDError):
        return StreamError("improper-addressing", str(exc))
    if stanza.from_ is None or stanza.to is None:
        return StreamError("improper-addressing", f"a {stanza.kind} between servers needs 'from' and 'to'")
    local, remote = stanza.to.domain, stanza.from_.domain
    if all(pair.remote != remote for pair in pairs):
        return Refusal("from_not_proven", "invalid-from", f"{remote} is not proven on this stream", local, remote)
    if served is not None and local not in served:
        return Refusal("no_relay", "host-unknown", f"{local} is not served here", local, remote)
    text = f"{remote} is not proven towards {local} on this stream"
    return Refusal("pair_not_proven", "not-authorized", text, local, remote)
