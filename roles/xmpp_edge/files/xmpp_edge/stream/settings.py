# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Times and bounds of a stream. Times are seconds."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..xml.limits import Limits


@dataclass(frozen=True, slots=True)
class Settings:
    """What the edge record sets comes first; the rest has one value everywhere but in tests."""

    keepalive_interval: float = 300
    """How long an inbound stream may be silent where its partner is expected to send keep-alives."""
    stream_establishment_timeout: float = 60
    """From the connection to the first proven pair; also for one dialback verification."""
    stream_inactivity_timeout: float = 600
    """How long a proven stream is kept without a stanza. Keep-alives do not count, or no idle stream would ever end."""
    close_timeout: float = 5
    """How long we wait for the peer's half of the close handshake."""
    verify_idle_timeout: float = 10
    """How long an outbound stream that only verifies is kept with nothing left to verify."""
    acknowledgement_timeout: float = 30
    """How long the peer may leave stanzas unacknowledged after we have asked (XEP-0198)."""
    before: Limits = field(default=Limits(size=10_000, elements=32, depth=8, tag=10_000))
    """For peers that have proven nothing yet."""
    after: Limits = field(default=Limits(size=262_144, elements=10_000, depth=100, tag=32_768))
    """For partners."""
    inside: Limits = field(default=Limits(size=1_048_576, elements=50_000, depth=1_000, tag=1_048_576))
    """For the inside server: beyond them a stanza is lost to its sender, not the link."""
    pairs: int = 100
    """Proven pairs on one inbound stream."""
    verifications: int = 10
    """Verifications in flight for one inbound stream."""
    queued_verifications: int = 100
    """Verifications waiting for one outbound stream."""
    strikes: int = 10
    """Refused requests and answers to nothing after which a stream is closed."""
    unproven: int = 262_144
    """Bytes on one inbound stream while no pair is proven: some hundred questions about keys, but no flood."""
    foreign_keys: int = 100
    """Keys not ours about which one stream may ask. More, because it is the asker who is being lied to."""
