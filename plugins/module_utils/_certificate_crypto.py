# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keys, requests and certificates: made, read and issued. The only code here that touches `cryptography`.

Use it only where the library is known to be there.

PRIVATE to the collection.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from datetime import datetime, timedelta, timezone
from typing import Any, Iterable, NamedTuple, Sequence, cast

from ._certificate_facts import (
    EXTENDED_KEY_USAGES,
    KEY_USAGES,
    SUBJECT,
    CertificateFacts,
    KeyFacts,
    Request,
    RequestFacts,
)
from ._records import names

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ImportError:
    # Whoever needs this has looked for the library first, and told the user what to install.
    AVAILABLE = False
else:
    AVAILABLE = True
    OIDS = {
        "country": NameOID.COUNTRY_NAME,
        "state_or_province": NameOID.STATE_OR_PROVINCE_NAME,
        "city": NameOID.LOCALITY_NAME,
        "organization": NameOID.ORGANIZATION_NAME,
        "organizational_unit": NameOID.ORGANIZATIONAL_UNIT_NAME,
        "common_name": NameOID.COMMON_NAME,
    }
    CURVE_TYPES: dict[str, Any] = {"ec_p256": ec.SECP256R1, "ec_p384": ec.SECP384R1, "ec_p521": ec.SECP521R1}
    DIGESTS: dict[str, Any] = {"sha256": hashes.SHA256, "sha384": hashes.SHA384, "sha512": hashes.SHA512}
    SRV_NAME = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.7")
    XMPP_ADDR = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.5")
    # DER tags: SRVName is an IA5String (RFC 4985), XmppAddr a UTF8String (RFC 6120).
    TAGS = {SRV_NAME: 0x16, XMPP_ADDR: 0x0C}

# In the order of KEY_USAGES.
_KEY_USAGE_ATTRIBUTES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)
PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
# Clocks of partners may be a little behind.
SLACK = timedelta(minutes=5)


class Authority(NamedTuple):
    """Who signs; a self-signed certificate has none."""

    certificate: x509.Certificate
    key: Any


def public_digest(key: Any) -> str:
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()


def certificate_digest(certificate: x509.Certificate) -> str:
    """The same of a certificate; empty where its key is of a kind that the library does not know."""
    try:
        return public_digest(certificate.public_key())
    except (UnsupportedAlgorithm, ValueError):
        return ""


# Keys


def make_key(request: Request) -> Any:
    if request.key_type == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=request.key_size)
    return ec.generate_private_key(CURVE_TYPES[request.key_type]())


def key_pem(key: Any) -> bytes:
    pem: bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem


def load_key(pem: bytes, passphrase: str | None = None) -> Any:
    """ValueError tells what is wrong, without a word of the key."""
    try:
        return serialization.load_pem_private_key(pem, passphrase.encode() if passphrase else None)
    except TypeError:
        raise ValueError(
            "it is encrypted" if passphrase is None else "it is not encrypted, and a passphrase is given"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError(
            "it is not a private key in PEM" + (", or the passphrase is wrong" if passphrase else "")
        ) from None


def key_facts(key: Any) -> KeyFacts:
    public = public_digest(key.public_key())
    if isinstance(key, rsa.RSAPrivateKey):
        return KeyFacts("rsa", key.key_size, public)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        for name, curve in CURVE_TYPES.items():
            if key.curve.name == curve.name:
                return KeyFacts(name, key.curve.key_size, public)
    raise ValueError("keys of this type are not supported")


# Names


def _der(tag: int, text: str) -> bytes:
    value = text.encode("ascii" if tag == 0x16 else "utf-8")
    if len(value) < 0x80:
        length = bytes([len(value)])
    else:
        digits = len(value).to_bytes(2, "big").lstrip(b"\0")
        length = bytes([0x80 | len(digits)]) + digits
    return bytes([tag]) + length + value


def _from_der(value: bytes) -> str:
    """The text of a short string type; the tag has been looked at."""
    skip = 2 if value[1] < 0x80 else 2 + (value[1] & 0x7F)
    return value[skip:].decode("utf-8")


def _general_name(name: str) -> x509.GeneralName:
    kind, _separator, value = name.partition(":")
    if kind == "IP":
        return x509.IPAddress(ipaddress.ip_address(value))
    if kind == "SRVName":
        return x509.OtherName(SRV_NAME, _der(TAGS[SRV_NAME], value))
    if kind == "xmppAddr":
        # Addresses have domains in U-labels.
        return x509.OtherName(XMPP_ADDR, _der(TAGS[XMPP_ADDR], names.unicode_domain(value)))
    return x509.DNSName(value)


def _name_text(name: x509.GeneralName) -> str:
    if isinstance(name, x509.DNSName):
        return f"DNS:{name.value.lower()}"
    if isinstance(name, x509.IPAddress):
        return f"IP:{name.value}"
    if isinstance(name, x509.OtherName) and name.type_id in TAGS and name.value[:1] == bytes([TAGS[name.type_id]]):
        text = _from_der(name.value)
        if name.type_id == SRV_NAME:
            return f"SRVName:{text.lower()}"
        try:
            return f"xmppAddr:{names.domain(text)}"
        except ValueError:
            return f"xmppAddr:{text}"
    return f"other:{getattr(name, 'value', name)!r}"


def _alternative_names(extensions: x509.Extensions) -> tuple[str, ...]:
    try:
        found = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(sorted({_name_text(name) for name in found}))


def _subject(subject: Sequence[tuple[str, str]]) -> x509.Name:
    return x509.Name([x509.NameAttribute(OIDS[option], value) for option, value in subject])


def _subject_facts(name: x509.Name) -> tuple[tuple[str, str], ...]:
    """In the order of the options; attributes that no option makes come last, so that they are not overlooked."""
    known = {oid: option for option, oid in OIDS.items()}
    found = [(known.get(item.oid, item.oid.dotted_string), str(item.value)) for item in name]
    order = list(SUBJECT)
    return tuple(sorted(found, key=lambda pair: order.index(pair[0]) if pair[0] in order else len(order)))


# Requests


def make_request(key: Any, request: Request) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(_subject(request.subject))
    for value, critical in _extensions(request, issued=False):
        builder = builder.add_extension(value, critical)
    return builder.sign(key, DIGESTS[request.digest]()).public_bytes(serialization.Encoding.PEM)


def _extensions(request: Request, issued: bool) -> list[tuple[Any, bool]]:
    usages = request.issued_extended_key_usage if issued else request.extended_key_usage
    found: list[tuple[Any, bool]] = [
        (x509.SubjectAlternativeName([_general_name(name) for name in request.names]), False)
    ]
    if request.key_usage:
        flags = {attribute: name in request.key_usage for name, attribute in zip(KEY_USAGES, _KEY_USAGE_ATTRIBUTES)}
        found.append((x509.KeyUsage(**flags), True))
    if usages:
        oids = [x509.ObjectIdentifier(EXTENDED_KEY_USAGES.get(name, name)) for name in usages]
        found.append((x509.ExtendedKeyUsage(oids), False))
    return found


def _key_usage(extensions: x509.Extensions) -> tuple[str, ...]:
    try:
        found = extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return ()
    held = []
    for name, attribute in zip(KEY_USAGES, _KEY_USAGE_ATTRIBUTES):
        # These two raise where there is no key agreement.
        if attribute in ("encipher_only", "decipher_only") and not found.key_agreement:
            continue
        if getattr(found, attribute):
            held.append(name)
    return tuple(held)


def _extended_key_usage(extensions: x509.Extensions) -> tuple[str, ...]:
    """In the order of the options: names first, other OIDs after them."""
    try:
        found = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return ()
    oids = {usage.dotted_string for usage in found}
    named = [name for name, oid in EXTENDED_KEY_USAGES.items() if oid in oids]
    return (*named, *sorted(oids.difference(EXTENDED_KEY_USAGES.values())))


def request_facts(pem: bytes) -> RequestFacts | None:
    """None where it cannot be used any more; a request can always be made again."""
    try:
        found = x509.load_pem_x509_csr(pem)
        if not found.is_signature_valid or found.signature_hash_algorithm is None:
            return None
        return RequestFacts(
            public_digest(found.public_key()),
            _subject_facts(found.subject),
            _alternative_names(found.extensions),
            found.signature_hash_algorithm.name,
            _key_usage(found.extensions),
            _extended_key_usage(found.extensions),
        )
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension):
        return None


# Certificates


def load_certificates(text: str) -> list[x509.Certificate]:
    """All certificates of a PEM text; ValueError where there is none, or one that cannot be read."""
    found = [x509.load_pem_x509_certificate(part.encode()) for part in PEM.findall(text)]
    if not found:
        raise ValueError("it holds no certificate in PEM")
    return found


def certificates_pem(certificates: Iterable[x509.Certificate]) -> bytes:
    return b"".join(item.public_bytes(serialization.Encoding.PEM) for item in certificates)


def fingerprint(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex()


def certificate_facts(found: x509.Certificate) -> CertificateFacts:
    return CertificateFacts(
        fingerprint=fingerprint(found),
        public=certificate_digest(found),
        subject=_subject_facts(found.subject),
        issuer=found.issuer.rfc4514_string(),
        names=_alternative_names(found.extensions),
        digest=found.signature_hash_algorithm.name if found.signature_hash_algorithm else "",
        not_before=_utc(found, "not_valid_before"),
        not_after=_utc(found, "not_valid_after"),
        server_auth=_server_auth(found),
        serial=f"{found.serial_number:x}",
        key_usage=_key_usage(found.extensions),
        extended_key_usage=_extended_key_usage(found.extensions),
    )


def until(certificate: x509.Certificate) -> datetime:
    return _utc(certificate, "not_valid_after")


def is_ca(certificate: x509.Certificate) -> bool:
    try:
        return bool(certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except x509.ExtensionNotFound:
        return False


def utc(found: Any, name: str) -> datetime | None:
    """A time of a certificate or of a revocation list, None where it has none.

    cryptography before 42 has naive times only, later versions warn about them.
    """
    if hasattr(found, f"{name}_utc"):
        aware: datetime | None = getattr(found, f"{name}_utc")
        return aware
    naive: datetime | None = getattr(found, name)
    return naive.replace(tzinfo=timezone.utc) if naive is not None else None


def _utc(certificate: x509.Certificate, name: str) -> datetime:
    return cast("datetime", utc(certificate, name))


def _server_auth(certificate: x509.Certificate) -> bool:
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return any(
        usage in usages for usage in (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)
    )


def signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    if certificate.issuer != issuer.subject or certificate.signature_hash_algorithm is None:
        return False
    key: Any = issuer.public_key()
    signed = (certificate.signature, certificate.tbs_certificate_bytes)
    # cryptography before 41 does not tell the padding; it is this one nearly everywhere.
    how = getattr(certificate, "signature_algorithm_parameters", padding.PKCS1v15())
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(*signed, how, certificate.signature_hash_algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(*signed, ec.ECDSA(certificate.signature_hash_algorithm))
        else:
            return False
    except InvalidSignature:
        return False
    return True


# Issuing


def authority_problem(authority: Authority, now: datetime) -> str | None:
    if public_digest(authority.certificate.public_key()) != public_digest(authority.key.public_key()):
        return "the key is not the one of the CA's certificate"
    if not is_ca(authority.certificate):
        return "the certificate is not one of a CA"
    if not _utc(authority.certificate, "not_valid_before") <= now <= _utc(authority.certificate, "not_valid_after"):
        return "the certificate of the CA is not valid now"
    return None


def issue(key: Any, request: Request, authority: Authority | None, now: datetime, days: int) -> x509.Certificate:
    """Sign with the CA, or without one with the key itself. Good for both roles that a server has in federation."""
    subject = _subject(request.subject)
    public = key.public_key()
    ends = now + timedelta(days=days)
    issuer_key, issuer_public, issuer = key, public, subject
    if authority is not None:
        issuer_key, issuer = authority.key, authority.certificate.subject
        issuer_public = authority.certificate.public_key()
        ends = min(ends, _utc(authority.certificate, "not_valid_after"))
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before((now - SLACK).replace(microsecond=0, tzinfo=None))
        .not_valid_after(ends.replace(microsecond=0, tzinfo=None))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_public), False)
    )
    for value, critical in _extensions(request, issued=True):
        builder = builder.add_extension(value, critical)
    return builder.sign(issuer_key, DIGESTS[request.digest]())
