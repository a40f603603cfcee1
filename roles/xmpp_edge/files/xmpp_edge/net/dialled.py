# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine of a stream on a connection that we have made."""

from __future__ import annotations

from ..stream.actions import Action
from ..stream.outbound import Outbound
from ..stream.security import Tls


class Dialled(Outbound):
    """Knows what direct TLS (XEP-0368) changes: the first word is due when TLS stands, and no <starttls/> fails."""

    direct = False

    @property
    def retry_without(self) -> str | None:
        if self.direct and self.tls is None:
            return "tls" if "tcp_dialback" in self._methods else None
        return super().retry_without

    def secured(self, tls: Tls, now: float) -> list[Action]:
        actions = super().secured(tls, now)
        return [*actions, *self.connected(now)] if tls.direct else actions
