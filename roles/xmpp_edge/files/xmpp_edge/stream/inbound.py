# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stream that a partner's server opens to us."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..xml.stanza import Stanza
from .actions import Action, Pair
from .policy import StreamPolicy
from .settings import Settings


class Inbound:
    """Receiving and authoritative server of XEP-0220 in one machine.

    ``make_id`` gives stream ids (unique, not to be guessed, no white space); ``policy`` may be replaced while it runs.
    Times are those of one monotonic clock.
    """

    def __init__(
        self,
        policy: StreamPolicy,
        secret: str,
        make_id: Callable[[], str],
        settings: Settings,
        now: float,
        peer_address: str = "",
    ) -> None:
        self.policy = policy
        self.deadline: float | None = None
        """When ``tick`` is needed next; look again after every call."""
        self.remote: str | None = None
        """The partner's domain in the stream header; proven only by what is in ``pairs``."""
        self.stream_id: str = ""
        self.pairs: Mapping[Pair, str] = {}
        """The proven pairs, each with its method."""

    def receive(self, data: bytes, now: float) -> list[Action]:
        raise NotImplementedError

    def tick(self, now: float) -> list[Action]:
        raise NotImplementedError

    def verified(self, pair: Pair, stream_id: str, outcome: str, condition: str | None, now: float) -> list[Action]:
        """The authoritative server's answer to a Verify; anything that was not asked is ignored."""
        raise NotImplementedError

    def close(self, condition: str | None, text: str, now: float) -> list[Action]:
        """Close in order, with a stream error if there is a condition; Closed follows when the peer has closed too."""
        raise NotImplementedError

    def eof(self, now: float) -> list[Action]:
        """The connection is gone."""
        raise NotImplementedError
