# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways in which a partner and the edge can prove themselves to each other over TLS."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

STRICT = {"tls": "required", "sasl": "required", "dialback": False}
EITHER = {"tls": "required", "sasl": "optional", "dialback": True}
DIALBACK = {"tls": "required", "sasl": "not_supported", "dialback": True}


@dataclass(frozen=True)
class Mode:
    """One partner server, the edge's record of it, and what has to come of the two."""

    id: str
    server: str
    record: dict[str, Any]
    outbound: str | None
    """How our domain and the partner's are proven on the stream that the edge opens; None where there is none."""
    inbound: str | None
    """How on the one that the partner opens."""
    certificate: str = "issued"
    """The partner's: ``issued`` by the CA that all trust, with an SRVName (``srv_name``) or an xmppAddr (``xmpp_addr``)
    as its only name, by a CA that only its record names (``own_ca``), ``self_signed``, or that and ``pinned`` there.
    """
    ours: str = "both"
    """The edge's: for ``both`` ends of a connection, or as public CAs issue them now, for the ``server`` alone."""
    dialback: bool = False
    """The partner takes part in dialback."""
    only_trusted: bool = True
    """The partner turns away whom it has no trusted certificate of."""
    direct: bool = False
    """TLS from the first byte, in both directions."""
    features: tuple[str, ...] = field(default=())
    """Further modules of Prosody."""


BIDI, ACKS = "s2s_bidi", "smacks"

MODES = [
    Mode("prosody-external", "prosody", STRICT, "sasl_tls", "sasl_tls"),
    Mode("prosody-external-server-certificate", "prosody", STRICT, "sasl_tls", "sasl_tls", ours="server"),
    Mode("prosody-external-srv-name", "prosody", STRICT, "sasl_tls", "sasl_tls", "srv_name"),
    Mode("prosody-external-xmpp-addr", "prosody", STRICT, "sasl_tls", "sasl_tls", "xmpp_addr"),
    Mode("prosody-external-own-ca", "prosody", STRICT, "sasl_tls", "sasl_tls", "own_ca"),
    Mode("prosody-external-pinned", "prosody", STRICT, "sasl_tls", "sasl_tls", "pinned"),
    Mode("prosody-direct-tls", "prosody", STRICT, "sasl_tls", "sasl_tls", direct=True),
    Mode("prosody-acks", "prosody", STRICT, "sasl_tls", "sasl_tls", features=(ACKS,)),
    Mode("prosody-bidi", "prosody", STRICT, "sasl_tls", "sasl_tls", features=(BIDI,)),
    Mode("prosody-bidi-acks", "prosody", STRICT, "sasl_tls", "sasl_tls", features=(BIDI, ACKS)),
    Mode(
        *("prosody-tls-dialback", "prosody", DIALBACK, "tls_dialback", "tls_dialback"),
        certificate="self_signed",
        dialback=True,
        only_trusted=False,
    ),
    Mode(
        *("prosody-self-signed-either", "prosody", EITHER, "tls_dialback", "tls_dialback"),
        certificate="self_signed",
        dialback=True,
        only_trusted=False,
    ),
    Mode("ejabberd-external", "ejabberd", STRICT, "sasl_tls", "sasl_tls"),
    Mode("ejabberd-direct-tls", "ejabberd", STRICT, "sasl_tls", "sasl_tls", direct=True),
    Mode(
        *("ejabberd-tls-dialback", "ejabberd", DIALBACK, "tls_dialback", "tls_dialback"),
        certificate="self_signed",
        dialback=True,
    ),
    # Before 25.07 ejabberd takes no certificate from a connecting server that is for servers alone.
    Mode(
        *("ejabberd-server-certificate-either", "ejabberd", EITHER, "tls_dialback", "sasl_tls"),
        ours="server",
        dialback=True,
    ),
]
