# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a way leads from a certificate up to a CA that is trusted, and if none does, why.

The verifier of ``cryptography`` decides. It is given the rules of the Web PKI loosened where private CAs differ without
harm (a root without KeyUsage, a leaf without the identifiers of its keys), never on who is a CA, for how long and for
whom. Its leaf may be for servers, for anything, or not say: CAs of today sign for servers only, and a server is what a
certificate here has to prove, whoever opened the connection. Key sizes and hashes are checked besides, because it lets
a leaf of RSA-1024 pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, Policy, PolicyBuilder, VerificationError

from .anchors import Anchors
from .identifiers import printable
from .keys import is_slow

Chain = tuple[x509.Certificate, ...]

MAX_CERTIFICATES = 10
MAX_BYTES = 100 * 1024
_MAX_AUTHORITIES = 8
"""How many CAs may stand between a leaf and the one that is trusted."""
_MOST_WAYS = 64
"""How many signatures may have to be checked before it is sure that no way leads up."""
_FEW = 2
_RSA_BITS = 2048
_EC_BITS = 256
_SERVER_USAGES = frozenset({ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE})
_BROKEN_HASHES = frozenset({"md5", "sha1"})


class Distrust(Exception):
    """Why a certificate is not trusted: a stable word, and a sentence for the administrator who has to repair it."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason, self.text = reason, text


def bounded(chain: Chain) -> None:
    """What is too much is refused before any of it is read."""
    if not chain:
        raise Distrust("no_certificate", "no certificate was presented")
    if len(chain) > MAX_CERTIFICATES:
        raise Distrust(
            "chain_too_long", f"{len(chain)} certificates were presented, at most {MAX_CERTIFICATES} are read"
        )
    # What is signed is all but the signature; encoding the whole again would cost more than the bound spares.
    if sum(len(each.tbs_certificate_bytes) for each in chain) > MAX_BYTES:
        raise Distrust("chain_too_big", f"the certificates have more than {MAX_BYTES // 1024} KiB")
    if any(is_slow(each) for each in chain):
        raise Distrust("chain_too_big", "a certificate has an RSA key so large that its signatures take too long")
    if _ways(chain) > _MOST_WAYS:
        raise Distrust("chain_too_big", "the certificates name each other in too many ways; send one path only")


def _ways(chain: Chain) -> int:
    """How many steps upwards there are by names alone, in circles too: the verifier goes them all if it has to."""
    chain = tuple(dict.fromkeys(chain))
    if len(chain) <= _FEW:
        return 0
    issuers = [each.issuer for each in chain]
    above: dict[x509.Name, list[int]] = {}
    for index, each in enumerate(chain[1:], 1):
        above.setdefault(each.subject, []).append(index)
    steps, here = 0, {0: 1}
    for _unused in range(_MAX_AUTHORITIES + 1):
        following: dict[int, int] = {}
        for index, ways in here.items():
            for upper in above.get(issuers[index], ()):
                following[upper] = following.get(upper, 0) + ways
        here = following
        steps += sum(here.values())
    return steps


def leaf_fits(leaf: x509.Certificate, now: datetime) -> None:
    """What holds for every leaf, whoever vouches for it."""
    _in_time(leaf, now, "the certificate")
    _strong_key(leaf, "the certificate")
    usages = _usages(leaf)
    if usages is not None and not usages & _SERVER_USAGES:
        raise Distrust(
            "wrong_usage",
            "the certificate is not for servers (its extended key usage lacks serverAuth); get one that is",
        )
    if not _for_tls(leaf):
        raise Distrust(
            "wrong_usage", "the key of the certificate is not for TLS (its key usage lacks digitalSignature)"
        )


def validated(chain: Chain, anchors: Anchors, now: datetime, *, bound: bool) -> Chain:
    """The leaf, its CAs, and the trusted one at the end. ``bound``: only the CA of this one partner is trusted."""
    builder = PolicyBuilder().store(anchors.store).max_chain_depth(_MAX_AUTHORITIES).time(now)
    builder = builder.extension_policies(ca_policy=_AUTHORITY, ee_policy=ExtensionPolicy.permit_all())
    try:
        found = tuple(builder.build_client_verifier().verify(chain[0], list(dict.fromkeys(chain[1:]))).chain)
    except VerificationError as problem:
        raise _explained(chain, anchors, now, str(problem), bound=bound) from None
    for above in found[1:]:
        _strong_key(above, _named(above))
    for each in found[:-1]:
        _strong_signature(each)
    return found


def self_signed(certificate: x509.Certificate) -> bool:
    """Whether it is signed by its own key."""
    if certificate.issuer != certificate.subject:
        return False
    try:
        certificate.verify_directly_issued_by(certificate)
    except Exception:  # noqa: BLE001 - whatever is wrong with the signature, it is not this
        return False
    return True


def _key_usage(_policy: Policy, _certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("a CA may not sign certificates")


def _extended(_policy: Policy, _certificate: x509.Certificate, usages: x509.ExtendedKeyUsage | None) -> None:
    if usages is not None and not set(usages) & _SERVER_USAGES:
        raise ValueError("a CA may not sign for servers")


_AUTHORITY = (
    ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)
    .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _key_usage)
    .may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _extended)
    .may_be_present(x509.NameConstraints, Criticality.AGNOSTIC, None)
)


def _explained(chain: Chain, anchors: Anchors, now: datetime, said: str, *, bound: bool) -> Distrust:
    """The verifier says that no way was found; people want to know what is wrong with the one that was meant."""
    way = _meant(chain, anchors)
    top = way[-1]
    if top not in anchors:
        return _unknown(way, bound=bound)
    try:
        for above in way[1:]:
            _in_time(above, now, _named(above))
            _strong_key(above, _named(above))
        for each in way[:-1]:
            _strong_signature(each)
    except Distrust as refusal:
        return refusal
    if len(way) > _MAX_AUTHORITIES + 2:
        return Distrust(
            "chain_too_long", f"more than {_MAX_AUTHORITIES} CAs stand between the certificate and a trusted one"
        )
    if "name constraint" in said:
        return Distrust("name_constraints", "a CA in its path may not sign for these names (name constraints)")
    # What the verifier says behind the colon names no certificate and nothing of the peer's choice.
    detail = (
        said.removeprefix("validation failed: ").removeprefix("candidates exhausted: ").partition(" (encountered")[0]
    )
    return Distrust("invalid_path", f"no valid path leads to a trusted CA: {printable(detail, 160)}")


def _meant(chain: Chain, anchors: Anchors) -> list[x509.Certificate]:
    """Upwards by names alone, until a trusted CA or the end."""
    way = [chain[0]]
    while way[-1] not in anchors:
        issuer = way[-1].issuer
        candidates = (*anchors.by_subject.get(issuer, ()), *chain[1:])
        above = next((each for each in candidates if each.subject == issuer and each not in way), None)
        if above is None:
            break
        way.append(above)
    return way


def _unknown(way: Sequence[x509.Certificate], *, bound: bool) -> Distrust:
    top = way[-1]
    issuer = printable(top.issuer.rfc4514_string()) or "without a name"
    where = "in the CA file of this partner" if bound else "among the CAs that are trusted here"
    reason = "wrong_ca" if bound else "unknown_ca"
    if top.issuer == top.subject:
        if len(way) == 1:
            return Distrust("self_signed", "the certificate is signed by itself, and its key is not pinned")
        return Distrust(reason, f"its path ends at the CA {issuer}, which is not {where}")
    return Distrust(
        reason,
        f"its path ends at the issuer {issuer}, whose certificate was not presented and is not {where}; "
        "if that is an intermediate CA, the server has to send its certificate along",
    )


def _in_time(certificate: x509.Certificate, now: datetime, what: str) -> None:
    if now > (end := certificate.not_valid_after_utc):
        raise Distrust("expired", f"{what} has expired, on {end:%Y-%m-%d %H:%M} UTC")
    if now < (start := certificate.not_valid_before_utc):
        raise Distrust("not_yet_valid", f"{what} is not valid before {start:%Y-%m-%d %H:%M} UTC")


def _strong_key(certificate: x509.Certificate, what: str) -> None:
    try:
        key = certificate.public_key()
    except UnsupportedAlgorithm:
        raise Distrust("weak_key", f"{what} has a key of a kind that is not known here") from None
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < _RSA_BITS:
            raise Distrust("weak_key", f"{what} has an RSA key of {key.key_size} bits, at least {_RSA_BITS} are needed")
    elif isinstance(key, ec.EllipticCurvePublicKey):
        if key.curve.key_size < _EC_BITS:
            raise Distrust("weak_key", f"{what} has a key on the curve {key.curve.name}, P-256 or larger is needed")
    elif not isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        raise Distrust("weak_key", f"{what} has a key that is neither RSA nor on an elliptic curve")


def _strong_signature(certificate: x509.Certificate) -> None:
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        raise Distrust("weak_signature", f"{_named(certificate)} is signed in a way that is not known here") from None
    if algorithm is not None and algorithm.name in _BROKEN_HASHES:
        raise Distrust(
            "weak_signature", f"{_named(certificate)} is signed over {algorithm.name.upper()}, which is broken"
        )


def _usages(certificate: x509.Certificate) -> set[x509.ObjectIdentifier] | None:
    try:
        return set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return None


def _for_tls(certificate: x509.Certificate) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return usage.digital_signature or usage.key_encipherment or usage.key_agreement


def _named(certificate: x509.Certificate) -> str:
    subject = printable(certificate.subject.rfc4514_string())
    return f"the certificate of {subject}" if subject else "the certificate"
