# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine of a stream on a connection that we have made."""

from __future__ import annotations

from ..stream.actions import Action
from ..stream.opening import Step
from ..stream.outbound import Outbound
from ..stream.security import Tls

_UNANSWERED = {
    Step.FEATURES: "has not sent a stream header and features",
    Step.PROCEED: "has not answered <starttls/>",
    Step.HANDSHAKE: "has not finished the TLS handshake",
    Step.SASL: "has not answered SASL EXTERNAL",
    Step.AGAIN: "has taken SASL EXTERNAL and not begun the stream anew",
    Step.DIALBACK: "has not answered our dialback key; it asks us back for that: see whether it reaches this edge,"
    " and refusals of it in the audit",
    Step.DONE: "has answered just now",
}


class Dialled(Outbound):
    """Knows what direct TLS (XEP-0368) changes: the first word is due when TLS stands, and no <starttls/> fails."""

    direct = False

    @property
    def retry_without(self) -> str | None:
        if self.direct and self.tls is None:
            return "tls" if "tcp_dialback" in self._methods else None
        return super().retry_without

    @property
    def phase(self) -> str:
        """How far it has come and what it waits for, for whoever has to find out why in vain."""
        step = Step.HANDSHAKE if self.direct and self.tls is None else self._step
        so_far = "TLS is up, and " if self.tls is not None else ""
        return f"{so_far}{self.pair.remote} {_UNANSWERED[step]}"

    def secured(self, tls: Tls, now: float) -> list[Action]:
        actions = super().secured(tls, now)
        return [*actions, *self.connected(now)] if tls.direct else actions
