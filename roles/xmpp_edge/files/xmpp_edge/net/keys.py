# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of others that cost too much: to check an RSA signature takes as long as its author has chosen the key to be."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

_RSA_BITS = 8192
_RSA_EXPONENT_BITS = 32
"""All keys that are made have 65537 or less; one as long as the modulus makes each check take ten milliseconds."""


def is_slow(certificate: x509.Certificate) -> bool:
    """Whether a signature by this key takes long to be checked."""
    try:
        key = certificate.public_key()
    except Exception:  # noqa: BLE001 - it is never used, and whoever wants to use it says why not
        return False
    if not isinstance(key, rsa.RSAPublicKey):
        return False
    return key.key_size > _RSA_BITS or key.public_numbers().e.bit_length() > _RSA_EXPONENT_BITS
