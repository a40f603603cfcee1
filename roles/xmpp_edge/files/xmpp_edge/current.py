# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every running part shares: the Snapshot in force, the audit, and the bounds that no record sets."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from .config import Snapshot
from .net.census import Census
from .net.contexts import Contexts
from .net.tls import Judging
from .observe.audit import Audit
from .stream.security import Credentials
from .stream.settings import Settings


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. The records hold the timers an administrator may want to change; these are the rest."""

    connect: float = 10.0
    write: float = 30.0
    linger: float = 2.0
    first_retry: float = 2.0
    longest_retry: float = 120.0
    longest_link_retry: float = 15.0
    verify_retry: float = 5.0
    drain: float = 10.0
    first_links: float = 5.0
    previous_secret: float = 600.0
    """How long the dialback secret before a change still holds."""
    reminder: float = 86_400.0
    """Between two warnings of the same thing."""
    rejudge: float = 3_600.0
    """Between two looks at the certificates by which open streams are proven."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Sizes and numbers that no record sets."""

    write_buffer: int = 256 * 1024
    """Bytes waiting to be written on one connection before its sources are held back."""
    hard_write_buffer: int = 8 * 1024 * 1024
    """Bytes beyond which a stanza is refused, because holding back did not help."""
    route_stanzas: int = 1000
    route_bytes: int = 2 * 1024 * 1024
    inside_stanza: int = 448 * 1024
    """The largest stanza an inside server is given: more than a partner may send, even where canonical XML is longer,
    and less than the 512 KiB at which Prosody drops the link."""
    partner_stanza: int = 480 * 1024
    """The largest payload a partner is sent; Prosody drops a stream at 512 KiB."""
    per_address: int = 50
    """Unauthenticated connections of one address."""
    handshakes: int = 200
    """TLS handshakes of one address at once, which cost a millisecond each, and no stranger has to prove anything."""
    handshakes_per_second: float = 20
    verifications: int = 64
    """Dialback questions waiting at one partner domain."""
    links_at_once: int = 4
    pings: int = 64


class Flushable(Protocol):
    """What can be written to during a turn."""

    def flush(self) -> None:
        """Hand on what was gathered."""


@dataclass(slots=True)
class Turn:
    """While the bytes of one read are worked on: what was written meanwhile goes out together at its end.

    That spares one turn of the loop, and its system calls, for each message that comes alone.
    """

    open: bool = False
    written: list[Flushable] = field(default_factory=list)


@dataclass(slots=True)
class Current:
    """The one mutable place; a reload replaces ``snapshot``, ``settings``, ``tls`` and ``judge``."""

    snapshot: Snapshot
    audit: Audit
    settings: Settings
    timing: Timing = field(default_factory=Timing)
    bounds: Bounds = field(default_factory=Bounds)
    jitter: Callable[[float], float] = field(default=lambda seconds: seconds * random.uniform(0.5, 1.0))  # noqa: S311
    draining: bool = False
    turn: Turn = field(default_factory=Turn)
    census: Census = field(default_factory=Census)
    """How many streams are open, in and out."""
    tls: Contexts = field(default_factory=Contexts)
    """Our own certificates; without any, TLS is not offered."""
    judge: Judging | None = None
    """What the certificates of others are worth."""
    previous_secret: str | None = None
    """The dialback secret before the last change, for as long as keys made with it may be on their way."""

    def credentials(self, local: str | None = None) -> Credentials:
        """What proves a domain of ours on a new stream."""
        return Credentials(
            self.snapshot.dialback_secret, previous=self.previous_secret, certificate=self.tls.has_certificate(local)
        )
