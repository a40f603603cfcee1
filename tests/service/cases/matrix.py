# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of each of the 18 records with each kind of peer, both ways; read by tests and for docs/security.md.

A cell is either a method by which the stream is proven, or how it ends:

    sasl_tls, tls_dialback, tcp_dialback
    policy-violation ...    inbound: the stream error that the peer gets; "dialback ..." and "sasl ..." are the errors
                            of these negotiations
    not-allowed ...         outbound: the stanza error that the waiting sender gets
"""

from __future__ import annotations

from dataclasses import dataclass

NEGOTIATION = {"R": "required", "O": "optional", "N": "not_supported"}

# The columns: what the peer that opens a stream can do.
INBOUND_PEERS = (
    "everything",  # TLS with a certificate that we trust, EXTERNAL, dialback
    "untrusted",  # the same with a certificate of an unknown CA
    "nothing",  # says a stanza at once
    "tls",  # TLS, then a stanza
    "external",  # EXTERNAL without TLS
    "dialback",  # dialback without TLS
    "tls+external",  # no dialback
    "tls+dialback",  # no certificate
)
# The columns: what the server offers to which we open a stream.
OUTBOUND_PEERS = (
    "everything",
    "untrusted",
    "nothing",
    "tls",
    "external",
    "dialback",
    "tls+external",
    "tls+dialback",
    "tls!+dialback",  # TLS is required by it, and dialback comes after
)


@dataclass(frozen=True)
class Row:
    """One record. ``inbound`` and ``outbound`` are None where the record itself is refused."""

    tls: str
    sasl: str
    dialback: bool
    inbound: tuple[str, ...] | None
    outbound: tuple[str, ...] | None

    @property
    def name(self) -> str:
        return f"{self.tls}{self.sasl}{'T' if self.dialback else 'F'}"

    @property
    def record(self) -> dict[str, object]:
        return {"tls": NEGOTIATION[self.tls], "sasl": NEGOTIATION[self.sasl], "dialback": self.dialback}


METHODS = ("sasl_tls", "tls_dialback", "tcp_dialback")
S, D, T = METHODS

# The stream error where TLS is demanded, where nothing is proven yet, where the peer lacks what the record wants.
_PV, _NA, _UF = "policy-violation", "not-authorized", "unsupported-feature"
# Errors within a negotiation, after which the peer may try something else.
_PLAIN_SASL, _NO_SASL, _PLAIN_DB, _NO_TLS = (
    "sasl encryption-required",
    "sasl invalid-mechanism",
    "dialback policy-violation",
    "starttls failure",
)

# By what is left of the methods; rows of the same methods are the same to a peer that opens a stream.
# everything, untrusted, nothing, tls, external, dialback, tls+external, tls+dialback
_IN = {
    (S,): (S, _NA, _PV, _NA, _PLAIN_SASL, _PLAIN_DB, S, _NA),
    (S, D): (S, D, _PV, _NA, _PLAIN_SASL, _PLAIN_DB, S, D),
    (D,): (D, D, _PV, _NA, _PLAIN_SASL, _PLAIN_DB, _NO_SASL, D),
    (S, D, T): (S, D, _NA, _NA, _PLAIN_SASL, T, S, D),
    (D, T): (D, D, _NA, _NA, _PLAIN_SASL, T, _NO_SASL, D),
    (T,): (T, T, _NA, _NO_TLS, _PLAIN_SASL, T, _NO_TLS, T),
}


def _away(condition: str) -> str:
    """What the server is told, and what the sender: whatever is amiss, it is the record that does not allow it."""
    return f"{condition}/not-allowed"


_PVX, _NAX, _UFX = _away(_PV), _away(_NA), _away(_UF)
# everything, untrusted, nothing, tls, external, dialback, tls+external, tls+dialback, tls!+dialback
_OUT = {
    (S,): (S, _NAX, _PVX, _UFX, _PVX, _PVX, S, _UFX, _UFX),
    (S, D): (S, D, _PVX, _UFX, _PVX, _PVX, S, D, D),
    (D,): (D, D, _PVX, _UFX, _PVX, _PVX, _UFX, D, D),
    (S, D, T): (S, D, _UFX, _UFX, _UFX, T, S, D, D),
    (D, T): (D, D, _UFX, _UFX, _UFX, T, _UFX, D, D),
    (T,): (T, T, _UFX, _UFX, _UFX, T, _UFX, T, _UFX),
}


def _row(tls: str, sasl: str, dialback: bool, *methods: str) -> Row:
    return Row(tls, sasl, dialback, _IN.get(methods), _OUT.get(methods))


ROWS = (
    _row("R", "R", True, S),
    _row("R", "R", False, S),
    _row("R", "O", True, S, D),
    _row("R", "O", False, S),
    _row("R", "N", True, D),
    _row("R", "N", False),
    _row("O", "R", True, S, D, T),
    _row("O", "R", False, S),
    _row("O", "O", True, S, D, T),
    _row("O", "O", False, S),
    _row("O", "N", True, D, T),
    _row("O", "N", False),
    # What Lync's matrix warns about and its Control Panel refuses, the record refuses.
    _row("N", "R", True),
    _row("N", "R", False),
    _row("N", "O", True),
    _row("N", "O", False),
    _row("N", "N", True, T),
    _row("N", "N", False),
)
