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
    """The pair is proven on this stream. Methods: ``sasl_tls``, ``tls_dialback``, ``tcp_dialback``.

    ``encrypted`` and ``trusted`` say what else is known of the stream; neither follows from the method alone.
    """

    pair: Pair
    method: str
    encrypted: bool = False
    trusted: bool = False
    """The peer's certificate proves the pair's remote domain."""
    bidi: bool = False
    """Stanzas may go both ways on this stream (XEP-0288)."""


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
class StartTls:
    """Put TLS under this connection: what was sent before goes out plain, and the next bytes to come are TLS.

    The driver answers with ``secured`` or ``tls_failed``.
    """

    local: str | None
    remote: str | None


@dataclass(slots=True)
class Unsent:
    """A stanza handed to ``send`` was not written, because the peer takes none like it; its sender gets this error."""

    stanza: Stanza
    condition: str
    text: str


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """Inbound: the peer asks what has arrived (XEP-0198); ``acknowledge(count)`` follows when that is handed on."""

    count: int


@dataclass(frozen=True, slots=True)
class Room:
    """So much was unacknowledged that stanzas had to wait; now they may be sent again."""


@dataclass(frozen=True, slots=True)
class Doubtful:
    """The stream is over, and these were never acknowledged by a peer that does acknowledge; in the order sent."""

    stanzas: tuple[Stanza, ...]


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


Action: TypeAlias = (
    Send
    | Authenticated
    | Deliver
    | Verify
    | Verified
    | Failed
    | StartTls
    | Unsent
    | Acknowledge
    | Room
    | Doubtful
    | Refused
    | Ready
    | Closed
)
