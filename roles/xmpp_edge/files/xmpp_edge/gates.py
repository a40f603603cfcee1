# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may talk to whom: one pure function over the six gates.

Gate 3 (the stream is proven as the partner's record demands) stands in the stream machines. For what comes from a
partner they decide gates 1, 2 and 4 as well; what comes from inside meets those here for the first time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from .jid import JID
from .stream.policy import GatePolicy, PartnerView, PolicyView
from .xml.namespaces import STANZA_ERRORS
from .xml.stanza import Stanza

# By these, and by the texts beside them, an inside server tells that there is no such user, or none for the sender.
_TELLING = re.compile(
    f"<(?:service-unavailable|item-not-found|recipient-unavailable|subscription-required) xmlns='{STANZA_ERRORS}'"
)
# What a remote user is told instead, and what the gates tell: condition and type, no text.
_NOBODY = ("service-unavailable", "cancel")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gates say to a pair of addresses.

    ``gate`` is the number of the gate that is shut (0 when passed), ``reason`` a stable word for the audit,
    ``explanation`` a sentence for it. Condition, error_type and text make the stanza error for the sender; a remote
    sender learns no reason.
    """

    passed: bool
    gate: int = 0
    reason: str = ""
    explanation: str = ""
    condition: str = ""
    error_type: str = ""
    text: str | None = None


PASSED = Verdict(passed=True)


def decide(policy: GatePolicy, direction: Literal["in", "out"], from_: JID, to: JID) -> Verdict:
    """Whether a stanza between these addresses may pass."""
    ours, theirs = (to, from_) if direction == "in" else (from_, to)
    refused = _refused_in if direction == "in" else _refused_out
    if not policy.federation:
        return refused(1, "federation_off", "federation is switched off on this edge", "not-allowed")
    partner = policy.partner(theirs.domain)
    if partner is None:
        return refused(2, "not_a_partner", f"{theirs.domain} is not a partner of this edge", "not-allowed")
    if ours.domain not in policy.domains:
        return refused(4, "not_our_domain", f"{ours.domain} is not served by this edge", "forbidden")
    if ours.local is None:
        # A server speaks for itself (pings, discovery); policies are granted to users.
        return PASSED
    granted = policy.policy_of(ours.bare)
    missing = _missing(granted, partner)
    if missing is None:
        return PASSED
    text = f"the external access policy '{granted.name}' of {ours.bare} has no {missing}"
    return refused(5, f"no_{missing}", text, "forbidden")


def _missing(granted: PolicyView, partner: PartnerView) -> str | None:
    if not granted.federation_access:
        return "federation_access"
    if not granted.xmpp_access:
        return "xmpp_access"
    if partner.partner_type != "federated" and not granted.public_cloud_access:
        return "public_cloud_access"
    return None


def _refused_in(gate: int, reason: str, explanation: str, condition: str) -> Verdict:  # noqa: ARG001
    # One answer for "no such user", "no access" and "not added", so that nobody can find out who is here.
    return Verdict(False, gate, reason, explanation, *_NOBODY, None)


def _refused_out(gate: int, reason: str, explanation: str, condition: str) -> Verdict:
    error_type = "auth" if condition == "forbidden" else "cancel"
    return Verdict(False, gate, reason, explanation, condition, error_type, f"gate {gate}: {explanation}")


def make_alike(error: Stanza) -> None:
    """Bring an error from inside to the form of the gates' own answer, where the two must not be told apart.

    For a remote user "no such user" and "no access" are one answer; servers word theirs each in its own way, and echo
    the payload. Errors of other conditions are left alone: they come from users who have access, or from services.
    """
    inner = error.child("error")
    if error.kind == "presence" or inner is None or not _TELLING.search(inner):
        return
    condition, error_type = _NOBODY
    error.payload = f"<error type='{error_type}'><{condition} xmlns='{STANZA_ERRORS}'/></error>"
    identifier = error.id
    # In the order in which the writer of errors has them.
    error.attrs = {"type": "error"} if identifier is None else {"type": "error", "id": identifier}
