# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stream that we open to a partner's server."""

from __future__ import annotations

from ..xml.stanza import Stanza
from .actions import Action, Pair
from .policy import PartnerView
from .settings import Settings


class Outbound:
    """Originating server of XEP-0220 (purpose ``stanzas``), or the receiving server's question to the authoritative one (``verify``).

    ``pair`` names both ends of the stream header. Make it when the connection attempt begins, then call ``connected``.
    """

    def __init__(
        self, pair: Pair, purpose: str, partner: PartnerView, secret: str, settings: Settings, now: float
    ) -> None:
        self.pair = pair
        self.purpose = purpose
        self.deadline: float | None = None
        self.established = False
        """Stanzas can be sent (purpose ``stanzas``), or questions go out at once (``verify``)."""

    def connected(self, now: float) -> list[Action]:
        raise NotImplementedError

    def receive(self, data: bytes, now: float) -> list[Action]:
        raise NotImplementedError

    def tick(self, now: float) -> list[Action]:
        raise NotImplementedError

    def eof(self, now: float) -> list[Action]:
        raise NotImplementedError

    def close(self, condition: str | None, text: str, now: float) -> list[Action]:
        raise NotImplementedError

    def send(self, stanza: Stanza, now: float) -> list[Action]:
        """Write a stanza; only when ``established``."""
        raise NotImplementedError

    def verify(self, pair: Pair, key: str, stream_id: str, now: float) -> list[Action]:
        """Ask whether the partner has sent this key; asked when the stream is open. Each is answered by one Verified."""
        raise NotImplementedError
