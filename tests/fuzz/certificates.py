# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates with any bytes at all as one of their extensions, in the leaf or in the CA above it.

They are signed anew each time by a CA that is trusted, so that what is wrong with them is met behind the signature. The
first byte says which extension it is, and where; the rest is its content.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from xmpp_edge.net.identity import Judge

# As the tests of the service have it.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from peers.authority import Authority, moment

DOMAIN = "partner.example"
ROOT = Authority("Root CA")
KEY = Authority("Issuing CA", ROOT)
_NAME = "2.5.29.17"
_OIDS = (
    _NAME,
    "2.5.29.37",  # extended key usage
    "2.5.29.15",  # key usage
    "2.5.29.19",  # basic constraints
    "2.5.29.30",  # name constraints
    "2.5.29.31",  # where revocation lists are
    "2.5.29.35",  # key of the issuer
    "1.2.3.4",
)


@dataclass
class _Records:
    ca_file: str
    check_crls: str = "if_available"
    partners: tuple[()] = ()

    def partner(self, _domain: str) -> None:
        return None


def _judge() -> Judge:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "crls").mkdir()
        (directory / "crls" / "root.pem").write_bytes(ROOT.crl())
        (directory / "crls" / "issuing.pem").write_bytes(KEY.crl())
        return Judge(_Records(str(ROOT.write(directory / "ca.pem"))), directory / "crls")


_JUDGE = _judge()


def certificates(data: bytes) -> None:
    """A verdict on every certificate, soon, in printable words; and trust only where the domain stands in it."""
    choice, content = (data[0], data[1:]) if data else (0, b"")
    oid, critical, above = _OIDS[choice & 7], bool(choice & 8), bool(choice & 16)
    extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), content), critical
    try:
        chain = [_leaf(None if above else extension), _issuing(extension if above else None)]
    except Exception:  # noqa: BLE001 - what cannot be written, or read at all, never comes to be judged
        return
    began = time.process_time()
    trust = _JUDGE.trust(chain, DOMAIN)
    assert time.process_time() - began < 2
    assert trust.reason.isidentifier(), trust
    assert trust.text.isprintable(), trust
    if trust.trusted and oid == _NAME and not above:
        assert DOMAIN.encode() in content.lower()


def _built(subject: x509.Name, issuer: Authority, key: Authority) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.name)
        .public_key(key.key.public_key())
        .serial_number(7)
        .not_valid_before(moment(-1))
        .not_valid_after(moment(1))
    )


def _leaf(extension: tuple[x509.ExtensionType, bool] | None) -> x509.Certificate:
    builder = _built(x509.Name([]), KEY, KEY)
    if extension is not None:
        builder = builder.add_extension(*extension)
    if extension is None or extension[0].oid.dotted_string != _NAME:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(DOMAIN)]), critical=True)
    return builder.sign(KEY.key, hashes.SHA256())


def _issuing(extension: tuple[x509.ExtensionType, bool] | None) -> x509.Certificate:
    builder = _built(KEY.name, ROOT, KEY)
    if extension is not None:
        builder = builder.add_extension(*extension)
    if extension is None or extension[0].oid.dotted_string != "2.5.29.19":
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return builder.sign(ROOT.key, hashes.SHA256())
