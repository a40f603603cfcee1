# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stream machine tells its driver, as small frozen values.

Machines return lists of these, in the order in which they are to be carried out. Domains are in the form that they have
inside addresses (U-labels). Conditions are element names: of stream errors in `Closed`, of stanza errors elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from ..xml.stanza import Stanza


@dataclass(frozen=True, slots=True)
class Pair:
    """A domain of ours and a partner's domain: what dialback proves, and what routes are kept by."""

    local: str
    remote: str


@dataclass(frozen=True, slots=True)
class Send:
    """Write these bytes to this connection."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Authenticated:
    """The pair is proven on this stream. Methods: ``tcp_dialback``."""

    pair: Pair
    method: str


@dataclass(slots=True)
class Deliver:
    """A stanza has come in. From a partner its pair is proven, and both addresses are canonical and belong to the pair.

    From the inside server there is no pair: the gates have yet to look at it.
    """

    # Made once a stanza, so not frozen: that would more than double the time it takes to make one.
    stanza: Stanza
    pair: Pair | None = None


@dataclass(frozen=True, slots=True)
class Verify:
    """Inbound: ask the authoritative server of ``pair.remote`` about this key.

    The answer goes to ``Inbound.verified`` of the same machine; ``stream_id`` tells it from one for another stream.
    """

    pair: Pair
    key: str
    stream_id: str


@dataclass(frozen=True, slots=True)
class Verified:
    """Outbound: the authoritative server has answered, or never will on this stream.

    Outcome ``valid``, ``invalid`` or ``error``; with ``error``, ``condition`` is what the dialback error is to say.
    """

    pair: Pair
    stream_id: str
    outcome: str
    condition: str | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """Outbound: the pair cannot be proven on this stream.

    ``condition`` and ``text`` are for the errors to the senders of waiting stanzas.
    """

    pair: Pair
    condition: str
    text: str


@dataclass(frozen=True, slots=True)
class Refused:
    """For the audit: something was turned away. ``reason`` is a stable word, ``text`` a sentence for people."""

    reason: str
    local: str | None
    remote: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Ready:
    """Component: the inside server has accepted us; stanzas may flow."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The stream is over: flush what was sent before, then close the connection. Always the last action of a machine.

    ``condition`` is the stream error, None where there was none; ``by`` is ``us`` or ``peer``.
    """

    condition: str | None
    text: str
    by: str


Action: TypeAlias = Send | Authenticated | Deliver | Verify | Verified | Failed | Refused | Ready | Closed
