# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A certificate authority that signs what it is given, well or badly, and what tests of edge_certificate look at."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.xmpp.federation.plugins.module_utils import _certificate_crypto as crypto
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.now(UTC).replace(microsecond=0)
PEM = serialization.Encoding.PEM
DOMAINS = ["a.example", "bücher.example"]
# Elliptic curves are made at once, long RSA keys are not.
QUICK = {"key_type": "ec_p256", "xmpp_domains": DOMAINS}
LATER_KEYS = {"csr", "fingerprint", "issuer", "serial", "not_before", "not_after", "days_left"}

_KINDS = (
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "encipher_only",
    "decipher_only",
)
_NONE = dict.fromkeys(_KINDS, False)
_SIGNS = x509.KeyUsage(digital_signature=False, key_cert_sign=True, crl_sign=True, **_NONE)
_SPEAKS = x509.KeyUsage(digital_signature=True, key_cert_sign=False, crl_sign=False, **_NONE)

Run = Callable[..., dict[str, Any]]


class Ca:
    def __init__(self, name: str, above: Ca | None = None, is_ca: bool = True) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        signer = above or self
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(signer.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(days=1))
            .not_valid_after(NOW + timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), True)
            .add_extension(_SIGNS if is_ca else _SPEAKS, True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()), False)
            .sign(signer.key, hashes.SHA256())
        )

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(PEM).decode()

    def key_pem(self, passphrase: str | None = None) -> str:
        how: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if passphrase:
            how = serialization.BestAvailableEncryption(passphrase.encode())
        return self.key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, how).decode()

    def sign(
        self,
        request: Path | str,
        names: Sequence[str] | None = None,
        start: datetime = NOW - timedelta(hours=1),
        end: datetime = NOW + timedelta(days=20),
        usages: Sequence[x509.ObjectIdentifier] | None = (ExtendedKeyUsageOID.SERVER_AUTH,),
    ) -> str:
        """A certificate for a request, with its names, or with these DNS names instead."""
        pem = request.read_text() if isinstance(request, Path) else request
        asked = x509.load_pem_x509_csr(pem.encode())
        san = asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        if names is not None:
            san = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = (
            x509.CertificateBuilder()
            .subject_name(asked.subject)
            .issuer_name(self.name)
            .public_key(asked.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(end)
            .add_extension(san, False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False)
        )
        if usages is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), False)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(PEM).decode()


def one(result: dict[str, Any]) -> dict[str, Any]:
    assert "certificates" in result, result
    (entry,) = result["certificates"]
    assert isinstance(entry, dict)
    return entry


def snapshot(directory: Path) -> dict[str, Any]:
    """Every file and link below, with content and mode."""
    return {
        str(path.relative_to(directory)): (
            os.readlink(path) if path.is_symlink() else path.read_bytes(),
            path.lstat().st_mode,
        )
        for path in directory.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def without_later(result: dict[str, Any]) -> dict[str, Any]:
    entries = [{**entry, **dict.fromkeys(LATER_KEYS)} for entry in result["certificates"]]
    return {**result, "certificates": entries}


def in_use(config_dir: Path) -> tuple[x509.Certificate, Any]:
    """Certificate and key that the service would load; they belong together, whatever happened before."""
    directory = config_dir / "assigned" / "external"
    certificate = x509.load_pem_x509_certificate((directory / "cert.pem").read_bytes())
    key = crypto.load_key((directory / "key.pem").read_bytes())
    assert certificate.public_key() == key.public_key()
    return certificate, key


# Fixtures: `run, ca = certificates.run, certificates.ca` in a file of tests makes them its own.


@pytest.fixture
def run(call: Any, config_dir: Path, tmp_path: Path, ca: Ca, monkeypatch: pytest.MonkeyPatch) -> Run:
    """On a host that trusts the test CA, and no other."""
    (tmp_path / "store.pem").write_text(ca.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "store.pem"))

    def with_directory(check: bool = False, **options: Any) -> dict[str, Any]:
        return call("edge_certificate", check=check, config_dir=str(config_dir), **options)  # type: ignore[no-any-return]

    return with_directory


@pytest.fixture(scope="module")
def ca() -> Ca:
    return Ca("Test CA")
