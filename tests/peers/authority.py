# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A certificate authority that signs what it is told to, well or badly.

    ca = Authority("Partner CA")
    pair = ca.issue("partner.example", xmpp_addr("partner.example"))
    pair.write(config_dir)                 # <config_dir>/assigned/external/{key,cert,chain}.pem
    ca.intermediate("Issuing CA").issue("partner.example", usages=[SERVER], days=(-30, -1))

Plain names are dNSNames; everything else is a GeneralName. What is wrong with a certificate is always said by the
caller, nothing is by accident.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SERVER = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
ANY = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE
BOTH = (SERVER, CLIENT)

_SRV_NAME = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.7")
_XMPP_ADDR = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.5")
_UTF8_STRING, _IA5_STRING = 0x0C, 0x16
_SHA256_WITH_RSA = bytes.fromhex("06092a864886f70d01010b")
_SHA1_WITH_RSA = bytes.fromhex("06092a864886f70d010105")

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | dsa.DSAPrivateKey
Name = str | x509.GeneralName
Days = tuple[float, float]
"""From when until when, in days from now."""

VALID: Days = (-1, 30)
EXPIRED: Days = (-30, -1)
NOT_YET: Days = (1, 30)


def moment(days: float) -> datetime:
    """So many days from now, in whole seconds as certificates have them."""
    return datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)


def make_key(kind: str = "ec") -> Key:
    """``ec`` (P-256), ``p192``, ``ed25519``, ``slow``, or ``rsa`` with its bits, as in ``rsa1024``."""
    if kind == "ec":
        return ec.generate_private_key(ec.SECP256R1())
    if kind == "p192":
        return ec.generate_private_key(ec.SECP192R1())
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind == "slow":
        return _slow_key()
    return rsa.generate_private_key(public_exponent=65537, key_size=int(kind.removeprefix("rsa")))


def _slow_key() -> rsa.RSAPrivateKey:
    """A public exponent as long as the modulus: whoever checks a signature has as much work as who makes it."""
    usual = rsa.generate_private_key(public_exponent=65537, key_size=3072).private_numbers()
    p, q = usual.p, usual.q
    size = (p - 1) * (q - 1)
    e = usual.d | 1
    while math.gcd(e, size) != 1 or e == usual.d:
        e -= 2
    d = pow(e, -1, size)
    public = rsa.RSAPublicNumbers(e, p * q)
    return rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public).private_key()


def srv_name(domain: str, service: str = "_xmpp-server") -> x509.OtherName:
    """An SRVName (RFC 4985)."""
    return x509.OtherName(_SRV_NAME, _der(_IA5_STRING, f"{service}.{domain}".encode()))


def xmpp_addr(address: str) -> x509.OtherName:
    """An xmppAddr (RFC 6120, 13.7.1.4)."""
    return x509.OtherName(_XMPP_ADDR, _der(_UTF8_STRING, address.encode()))


def _der(tag: int, content: bytes) -> bytes:
    if len(content) < 0x80:
        return bytes((tag, len(content))) + content
    length = len(content).to_bytes(4, "big").lstrip(b"\0")
    return bytes((tag, 0x80 | len(length))) + length + content


@dataclass(frozen=True)
class Pair:
    """A certificate, its key, and the intermediates between it and the root."""

    key: Key
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...] = ()

    @property
    def presented(self) -> tuple[x509.Certificate, ...]:
        """What a peer with this pair sends: the leaf first."""
        return (self.certificate, *self.chain)

    @property
    def pin(self) -> str:
        return pin(self.certificate)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @property
    def cert_pem(self) -> bytes:
        return pem(self.certificate)

    @property
    def chain_pem(self) -> bytes:
        return pem(*self.chain)

    def without_chain(self) -> Pair:
        """The same, by an administrator who forgot the intermediates."""
        return Pair(self.key, self.certificate)

    def write(self, config_dir: Path, usage: str = "external") -> Path:
        """Assign it for a usage as the module does: staged beside, then put in place by one rename."""
        name = format(self.certificate.serial_number, "x")
        staged = self.write_files(config_dir / "certificates" / name)
        assigned = config_dir / "assigned" / usage
        assigned.parent.mkdir(parents=True, exist_ok=True)
        fresh = assigned.with_name(f".{usage}.{name}")
        fresh.symlink_to(os.path.relpath(staged, assigned.parent))
        fresh.rename(assigned)
        return assigned

    def write_files(self, directory: Path) -> Path:
        """key.pem, cert.pem, chain.pem, and for the servers that want one file, full.pem."""
        directory.mkdir(parents=True, exist_ok=True)
        for name, content in {
            "key.pem": self.key_pem,
            "cert.pem": self.cert_pem,
            "chain.pem": self.chain_pem,
            "full.pem": self.cert_pem + self.chain_pem,
        }.items():
            (directory / name).write_bytes(content)
        return directory


class Authority:
    """A root, or with ``above`` an intermediate."""

    def __init__(
        self,
        name: str = "Test CA",
        above: Authority | None = None,
        *,
        key: str = "ec",
        days: Days = VALID,
        key_usage: bool = True,
        is_ca: bool = True,
        path_length: int | None = None,
        permitted: Sequence[Name] = (),
        excluded: Sequence[Name] = (),
        sha1: bool = False,
    ) -> None:
        self.key = make_key(key)
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        signer = above or self
        builder = _builder(self.name, signer.name, self.key, days).add_extension(
            x509.BasicConstraints(ca=is_ca, path_length=path_length if is_ca else None), critical=True
        )
        if key_usage:
            builder = builder.add_extension(_key_usage("digital_signature", "key_cert_sign", "crl_sign"), critical=True)
        if permitted or excluded:
            constraints = x509.NameConstraints(_general(permitted) or None, _general(excluded) or None)
            builder = builder.add_extension(constraints, critical=True)
        self.certificate = signer._sign(_identified(builder, self.key, signer.key), sha1)
        self.chain: tuple[x509.Certificate, ...] = (self.certificate, *above.chain) if above else ()
        """From this one up to below the root."""

    @property
    def pem(self) -> bytes:
        return pem(self.certificate)

    @property
    def pin(self) -> str:
        return pin(self.certificate)

    def write(self, path: Path) -> Path:
        """As a file that ``ca_file`` may name."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.pem)
        return path

    def intermediate(self, name: str = "Issuing CA", **flaws: object) -> Authority:
        return Authority(name, self, **flaws)  # type: ignore[arg-type]

    def deeper(self, levels: int) -> Authority:
        """The last of so many intermediates, each below the one before."""
        lowest = self
        for level in range(levels):
            lowest = lowest.intermediate(f"Level {level + 1}")
        return lowest

    def issue(
        self,
        *names: Name,
        common_name: str | None = None,
        usages: Iterable[x509.ObjectIdentifier] | None = BOTH,
        days: Days = VALID,
        key: str | Key = "ec",
        sha1: bool = False,
        identifiers: bool = True,
        key_usage: Sequence[str] | None = None,
    ) -> Pair:
        """A leaf. ``None`` leaves an extension out; ``identifiers`` are those of the keys."""
        own = make_key(key) if isinstance(key, str) else key
        builder = _leaf(own, self.name, names, common_name, usages, days)
        if key_usage is not None:
            builder = builder.add_extension(_key_usage(*key_usage), critical=True)
        if identifiers:
            builder = _identified(builder, own, self.key)
        return Pair(own, self._sign(builder, sha1), self.chain)

    def crl(
        self,
        revoked: Iterable[Pair | Authority] = (),
        *,
        days: Days = VALID,
        signer: Authority | None = None,
    ) -> bytes:
        """A list in the name of this authority, by its own key or by that of another ``signer``."""
        last, following = days
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.name)
        builder = builder.last_update(moment(last)).next_update(moment(following))
        for each in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(each.certificate.serial_number)
            builder = builder.add_revoked_certificate(entry.revocation_date(moment(last)).build())
        key = (signer or self).key
        return builder.sign(key, _digest(key)).public_bytes(serialization.Encoding.PEM)

    def _sign(self, builder: x509.CertificateBuilder, sha1: bool) -> x509.Certificate:
        certificate = builder.sign(self.key, _digest(self.key))
        return _weaken(certificate, self.key) if sha1 else certificate


def self_signed(
    *names: Name,
    common_name: str | None = None,
    usages: Iterable[x509.ObjectIdentifier] | None = BOTH,
    days: Days = VALID,
    key: str = "ec",
    is_ca: bool | None = None,
) -> Pair:
    """A leaf that vouches for itself; ``is_ca`` as openssl's ``req -x509`` says it (True), or without (None)."""
    own = make_key(key)
    issuer = _common_name(common_name or next((name for name in names if isinstance(name, str)), "self-signed"))
    builder = _leaf(own, issuer, names, common_name, usages, days, subject=issuer)
    if is_ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
    return Pair(own, _identified(builder, own, own).sign(own, _digest(own)))


def pin(certificate: x509.Certificate) -> str:
    """As a partner record has it: SHA-256 over the SubjectPublicKeyInfo, in hex."""
    digest = hashes.Hash(hashes.SHA256())
    digest.update(
        certificate.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return digest.finalize().hex()


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(each.public_bytes(serialization.Encoding.PEM) for each in certificates)


def _key_usage(*purposes: str) -> x509.KeyUsage:
    every = (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
        *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    return x509.KeyUsage(**{purpose: purpose in purposes for purpose in every})


def _general(names: Iterable[Name]) -> list[x509.GeneralName]:
    return [x509.DNSName(name) if isinstance(name, str) else name for name in names]


def _common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(subject: x509.Name, issuer: x509.Name, key: Key, days: Days) -> x509.CertificateBuilder:
    start, end = days
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment(start))
        .not_valid_after(moment(end))
    )


def _leaf(
    key: Key,
    issuer: x509.Name,
    names: Sequence[Name],
    common_name: str | None,
    usages: Iterable[x509.ObjectIdentifier] | None,
    days: Days,
    subject: x509.Name | None = None,
) -> x509.CertificateBuilder:
    if subject is None:
        subject = _common_name(common_name) if common_name else x509.Name([])
    builder = _builder(subject, issuer, key, days)
    if names:
        # RFC 5280: critical where the subject is empty.
        builder = builder.add_extension(x509.SubjectAlternativeName(_general(names)), critical=not list(subject))
    if usages is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(list(usages)), critical=False)
    return builder


def _identified(builder: x509.CertificateBuilder, own: Key, signer: Key) -> x509.CertificateBuilder:
    subject = x509.SubjectKeyIdentifier.from_public_key(own.public_key())
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    return builder.add_extension(subject, critical=False).add_extension(authority, critical=False)


def _digest(key: Key) -> hashes.SHA256 | None:
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()


def _weaken(certificate: x509.Certificate, key: Key) -> x509.Certificate:
    """The same certificate signed over SHA-1, which no library of today signs by itself; the issuer's key is RSA.

    The two names of the algorithm are of one length, so nothing else moves.
    """
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError("SHA-1 only by an RSA issuer")
    tbs = certificate.tbs_certificate_bytes.replace(_SHA256_WITH_RSA, _SHA1_WITH_RSA)
    signature = key.sign(tbs, padding.PKCS1v15(), hashes.SHA1())
    algorithm = _der(0x30, _SHA1_WITH_RSA + b"\x05\x00")
    whole = _der(0x30, tbs + algorithm + _der(0x03, b"\x00" + signature))
    return x509.load_der_x509_certificate(whole)
