# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our link to the inside server: a component in its eyes (XEP-0114)."""

from __future__ import annotations

from ..xml.stanza import Stanza
from .actions import Action
from .settings import Settings


class Component:
    """The connecting side of XEP-0114. What it delivers comes from the inside server, addresses canonical, gates not asked yet."""

    def __init__(self, domain: str, secret: str, settings: Settings, now: float) -> None:
        self.domain = domain
        self.deadline: float | None = None
        self.established = False

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
