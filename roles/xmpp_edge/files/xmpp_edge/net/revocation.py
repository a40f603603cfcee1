# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificate revocation lists: files that the administrator, or a timer of the role, puts beside the records.

A list counts where the issuer of the certificate has signed it. What stands in a list stays revoked even when the list
is out of date; that something does not stand in it says something only while it is in force and if it is meant to hold
such certificates at all (issuingDistributionPoint).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography import x509

from .identifiers import printable
from .path import Chain, Distrust

_MAX_FILES = 1000
_MAX_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Revocations:
    """All lists at one moment, by the name of their issuer."""

    lists: Mapping[x509.Name, tuple[x509.CertificateRevocationList, ...]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    """Files that are no lists, for the audit."""

    def check(self, path: Chain, now: datetime, *, required: bool) -> None:
        """``path`` is validated, leaf first; raises Distrust. ``required``: a list in force of every CA is needed."""
        for certificate, issuer in itertools.pairwise(path):
            self._one(certificate, issuer, now, required=required)

    def _one(self, certificate: x509.Certificate, issuer: x509.Certificate, now: datetime, *, required: bool) -> None:
        own = [each for each in self.lists.get(certificate.issuer, ()) if _signed(each, issuer)]
        listed = [entry for each in own if (entry := _entry(each, certificate)) is not None]
        if listed:
            since = min(entry.revocation_date_utc for entry in listed)
            raise Distrust("revoked", f"{_whose(certificate)} was revoked by its CA on {since:%Y-%m-%d}")
        if not required:
            return
        covering = [each for each in own if _covers(each, certificate)]
        if not covering:
            raise Distrust(
                "no_crl", f"there is no revocation list here of {_name(certificate.issuer)}, and one is required"
            )
        if not any(_in_force(each, now) for each in covering):
            raise Distrust("crl_expired", f"the revocation list of {_name(certificate.issuer)} is out of date")


def load(directory: str | Path | None) -> Revocations:
    """Every list in a directory, PEM or DER; a directory that is not there holds none."""
    lists: dict[x509.Name, tuple[x509.CertificateRevocationList, ...]] = {}
    problems: list[str] = []
    for path in _files(directory, problems):
        try:
            found = _read(path)
        except (OSError, ValueError) as problem:
            problems.append(f"{path} is no revocation list that can be read: {problem}")
            continue
        lists[found.issuer] = (*lists.get(found.issuer, ()), found)
    return Revocations(lists, tuple(problems))


def _files(directory: str | Path | None, problems: list[str]) -> Sequence[Path]:
    if directory is None:
        return ()
    try:
        # What begins with a dot is being written still.
        found = sorted(path for path in Path(directory).iterdir() if path.is_file() and not path.name.startswith("."))
    except FileNotFoundError:
        return ()
    except OSError as problem:
        problems.append(f"{directory} cannot be read: {problem.strerror}")
        return ()
    if len(found) > _MAX_FILES:
        problems.append(f"{directory} has {len(found)} files, the first {_MAX_FILES} are read")
    return found[:_MAX_FILES]


def _read(path: Path) -> x509.CertificateRevocationList:
    if path.stat().st_size > _MAX_BYTES:
        raise ValueError(f"it has more than {_MAX_BYTES // 1024 // 1024} MiB")
    content = path.read_bytes()
    pem = content.lstrip().startswith(b"-----BEGIN")
    found = x509.load_pem_x509_crl(content) if pem else x509.load_der_x509_crl(content)
    # What is read late has to be readable too.
    hash(found.issuer), found.extensions, found.next_update_utc
    return found


def _signed(one: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    try:
        usage = issuer.extensions.get_extension_for_class(x509.KeyUsage).value
        if not usage.crl_sign:
            return False
    except x509.ExtensionNotFound:
        pass
    try:
        return one.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]
    except Exception:  # noqa: BLE001 - a kind of key or signature that is not known: no signature
        return False


def _entry(one: x509.CertificateRevocationList, certificate: x509.Certificate) -> x509.RevokedCertificate | None:
    point = _point(one)
    if point is not None and point.indirect_crl:
        return None  # its entries are of other issuers
    entry = one.get_revoked_certificate_by_serial_number(certificate.serial_number)
    if entry is None:
        return None
    try:
        reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    except x509.ExtensionNotFound:
        return entry
    return None if reason is x509.ReasonFlags.remove_from_crl else entry


def _covers(one: x509.CertificateRevocationList, certificate: x509.Certificate) -> bool:
    """Whether the certificate would stand in this list, were it revoked."""
    if any(True for extension in one.extensions if isinstance(extension.value, x509.DeltaCRLIndicator)):
        return False
    point = _point(one)
    if point is None:
        return True
    if point.indirect_crl or point.only_contains_attribute_certs or point.only_some_reasons:
        return False
    authority = _is_authority(certificate)
    if (point.only_contains_ca_certs and not authority) or (point.only_contains_user_certs and authority):
        return False
    return not point.full_name or bool({*point.full_name} & _distribution(certificate))


def _point(one: x509.CertificateRevocationList) -> x509.IssuingDistributionPoint | None:
    try:
        return one.extensions.get_extension_for_class(x509.IssuingDistributionPoint).value
    except x509.ExtensionNotFound:
        return None


def _distribution(certificate: x509.Certificate) -> set[x509.GeneralName]:
    try:
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except x509.ExtensionNotFound:
        return set()
    return {name for point in points for name in point.full_name or ()}


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _in_force(one: x509.CertificateRevocationList, now: datetime) -> bool:
    following = one.next_update_utc
    return one.last_update_utc <= now and following is not None and now <= following


def _name(name: x509.Name) -> str:
    return f"the CA {printable(name.rfc4514_string())}"


def _whose(certificate: x509.Certificate) -> str:
    subject = printable(certificate.subject.rfc4514_string())
    return f"the certificate of {subject}" if subject else "the certificate"
