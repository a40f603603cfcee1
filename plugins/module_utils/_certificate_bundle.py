# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates as authorities hand them out: PEM, DER, PKCS#7 and PFX, in any order, with more or less of their chain.

PRIVATE to the collection.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import ssl
from typing import Any, Callable, NamedTuple, Sequence

from . import _certificate_crypto as crypto
from ._records.material import STORES

try:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import pkcs7, pkcs12
except ImportError:
    # Whoever needs this has looked for the library first, and told the user what to install.
    pass

_PKCS7 = re.compile(rb"-----BEGIN PKCS7-----.+?-----END PKCS7-----", re.DOTALL)
_BASE64 = re.compile(r"MI[A-Za-z0-9+/=\s]{100,}\Z")
_PKCS7_OID = bytes.fromhex("06092a864886f70d010702")


class Bundle(NamedTuple):
    certificates: list[Any]
    key: Any = None


class Source(NamedTuple):
    content: bytes
    from_file: bool


def read(value: str) -> Source | None:
    """A text in PEM or base64 as it is, or what a file holds; None where there is no such file."""
    if "-----BEGIN" in value:
        return Source(value.encode(), False)
    if _BASE64.match(value):
        try:
            return Source(base64.b64decode(value), False)
        except binascii.Error:
            raise ValueError("it is neither a file nor base64") from None
    try:
        with open(os.path.expanduser(value), "rb") as stream:
            return Source(stream.read(), True)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as exc:
        raise ValueError(f"it cannot be read ({getattr(exc, 'strerror', None) or 'not a file name'})") from None


def load(source: Source | None, password: str | None) -> Bundle:
    """ValueError tells what is wrong, without a word of what is secret."""
    if source is None:
        raise ValueError("there is no such file")
    content = source.content
    if b"-----BEGIN" in content:
        return Bundle(_from_pem(content))
    if content[:1] != b"\x30":
        # Some tools keep base64 in files.
        text = content.decode("ascii", errors="replace").strip()
        if not _BASE64.match(text):
            raise ValueError("it holds no certificate in PEM, DER, PKCS#7 or PFX")
        content = base64.b64decode(text)
    if _PKCS7_OID in content[:32]:
        return Bundle(_tried(pkcs7.load_der_pkcs7_certificates, content, "it is PKCS#7 that cannot be read"))
    try:
        return Bundle([x509.load_der_x509_certificate(content)])
    except ValueError:
        pass
    if not source.from_file:
        raise ValueError("a PFX holds a key, so it is taken from a file on the host only, never from the task itself")
    return _from_pfx(content, password)


def _tried(parse: Callable[[bytes], Any], content: bytes, message: str) -> list[Any]:
    try:
        return list(parse(content))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError(message) from None


def _from_pem(content: bytes) -> list[Any]:
    found = []
    for part in _PKCS7.findall(content):
        found.extend(_tried(pkcs7.load_pem_pkcs7_certificates, part, "it is PKCS#7 that cannot be read"))
    for text in crypto.PEM.findall(content.decode("utf-8", errors="replace")):
        body = _tried(
            lambda part: [base64.b64decode(part)], b"".join(text.encode().splitlines()[1:-1]), "it is damaged"
        )
        if _PKCS7_OID in body[0][:32]:
            # Microsoft's CAs label it so.
            found.extend(_tried(pkcs7.load_der_pkcs7_certificates, body[0], "it is PKCS#7 that cannot be read"))
        else:
            found.append(x509.load_pem_x509_certificate(text.encode()))
    if not found:
        raise ValueError("it holds no certificate")
    return found


def _from_pfx(content: bytes, password: str | None) -> Bundle:
    try:
        pfx = pkcs12.load_pkcs12(content, password.encode() if password else None)
    except ValueError:
        wrong = "its password is wrong, or it is damaged" if password else "it needs a `password`, or it is damaged"
        raise ValueError(f"it looks like a PFX, but {wrong}") from None
    certificates = [item.certificate for item in (pfx.cert, *pfx.additional_certs) if item is not None]
    if not certificates:
        raise ValueError("it is a PFX without a certificate")
    if pfx.key is not None:
        crypto.key_facts(pfx.key)
    return Bundle(certificates, pfx.key)


# The chain


class Chain(NamedTuple):
    """What is to be sent behind a certificate, without the root; `open_at` is the issuer that nobody has."""

    certificates: list[Any]
    open_at: str | None
    flaws: list[str]


def chain(first: Any, others: Sequence[Any], roots: Sequence[Any], store: Callable[[], Sequence[Any]]) -> Chain:
    """From `first` upwards, by what was given, then by `roots`, then by what the host trusts.

    ValueError where some of the others have no place in it.
    """
    found: list[Any] = []
    flaws: list[str] = []
    last, ended = first, _self_signed(first)
    given = [item for item in dict.fromkeys(others) if item != first]
    while not ended:
        above = _issuer(last, given) or _issuer(last, [item for item in roots if item not in found])
        if above is None or above in found:
            break
        flaws.extend(_flaws(above))
        if _self_signed(above):
            ended = True
            break
        found.append(above)
        last = above
    issuers = [first, *found]
    strangers = [item for item in given if item not in found and not any(_names(low, item) for low in issuers)]
    if strangers:
        who = ", ".join(item.subject.rfc4514_string() for item in strangers)
        raise ValueError(f"no certificate of the chain was signed by {who}")
    if not ended:
        trusted = [*roots, *store()]
        ended = any(_same(item, anchor) for item in found for anchor in trusted) or _issuer(last, trusted) is not None
    return Chain(found, None if ended else last.issuer.rfc4514_string(), flaws)


def _issuer(certificate: Any, candidates: Sequence[Any]) -> Any:
    """A root rather than a CA of the same name and key that another one certifies: the shorter way."""
    signers = [item for item in candidates if item != certificate and crypto.signed_by(certificate, item)]
    return next((item for item in signers if _self_signed(item)), signers[0] if signers else None)


def _self_signed(certificate: Any) -> bool:
    return bool(crypto.signed_by(certificate, certificate))


def _names(low: Any, high: Any) -> bool:
    return bool(crypto.signed_by(low, high))


def _same(one: Any, other: Any) -> bool:
    return bool(one.subject == other.subject and one.public_key() == other.public_key())


def _flaws(authority: Any) -> list[str]:
    name = authority.subject.rfc4514_string()
    return [] if crypto.is_ca(authority) else [f"{name} signed it, but is no CA"]


def host_store() -> list[Any]:
    """The CAs that this host trusts; what cannot be read there is no CA that could help."""
    paths = [ssl.get_default_verify_paths().cafile, *STORES]
    path = next((path for path in paths if path and os.path.isfile(path)), None)
    if path is None:
        return []
    with open(path, encoding="utf-8", errors="replace") as stream:
        texts = crypto.PEM.findall(stream.read())
    found = []
    for text in texts:
        try:
            found.append(x509.load_pem_x509_certificate(text.encode()))
        except ValueError:
            continue
    return found
