# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may talk to whom: the six gates, one pure function (gate 3 stands in the stream machines, gate 6 needs contacts)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .jid import JID
from .stream.policy import GatePolicy


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gates say to a pair of addresses.

    ``gate`` is the number of the gate that is shut (0 when passed), ``reason`` a stable word for the audit; condition, error_type
    and text make the stanza error for the sender.
    """

    passed: bool
    gate: int = 0
    reason: str = ""
    condition: str = ""
    error_type: str = ""
    text: str = ""


def decide(policy: GatePolicy, direction: Literal["in", "out"], from_: JID, to: JID) -> Verdict:
    """Whether a stanza between these addresses may pass."""
    raise NotImplementedError
