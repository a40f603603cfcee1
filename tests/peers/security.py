# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stand-in has for TLS and SASL EXTERNAL, and its own way to judge a certificate.

It shares nothing with the service under test but the library of certificates, and is stricter than it has to be: one
CA, dNSNames only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from .authority import Pair
from .tls import Identity

TLS = "urn:ietf:params:xml:ns:xmpp-tls"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"


@dataclass(frozen=True)
class Security:
    """With this a server offers TLS, and wants it of others; ``dialback`` is what it has besides EXTERNAL."""

    identity: Identity
    ca: x509.Certificate
    external: bool = True
    dialback: bool = False

    @classmethod
    def load(cls, place: Path, ca: Path, **how: Any) -> Self:
        """From the files key.pem, cert.pem and chain.pem of a directory, and the file of a CA."""
        chain_file = place / "chain.pem"
        text = chain_file.read_bytes() if chain_file.exists() else b""
        chain = x509.load_pem_x509_certificates(text) if text.strip() else []
        leaf = x509.load_pem_x509_certificate((place / "cert.pem").read_bytes())
        key = load_pem_private_key((place / "key.pem").read_bytes(), None)
        return cls(Pair(key, leaf, tuple(chain)), x509.load_pem_x509_certificate(ca.read_bytes()), **how)  # type: ignore[arg-type]

    def trusts(self, chain: Sequence[x509.Certificate], domain: str) -> bool:
        """Whether this chain, leaf first, proves the domain."""
        if not chain or not domain:
            return False
        name = x509.DNSName(domain.encode("idna").decode())
        verifier = PolicyBuilder().store(Store([self.ca])).build_server_verifier(name)
        try:
            verifier.verify(chain[0], list(chain[1:]))
        except VerificationError:
            return False
        return True
