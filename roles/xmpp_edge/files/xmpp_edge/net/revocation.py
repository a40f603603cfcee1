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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography import x509

from .identifiers import printable
from .path import Chain, Distrust

_MAX_FILES = 1000
_MAX_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class List:
    """One list of one CA."""

    path: Path
    content: x509.CertificateRevocationList
    revoked: Mapping[int, datetime]
    _signers: dict[x509.Certificate, bool] = field(default_factory=dict, compare=False)
    """Checking the signature of a long list takes milliseconds, and its CAs are few: all of them are trusted here."""

    def signed_by(self, issuer: x509.Certificate) -> bool:
        known = self._signers.get(issuer)
        if known is None:
            known = self._signers[issuer] = _may_sign_lists(issuer) and self._verified(issuer)
        return known

    def _verified(self, issuer: x509.Certificate) -> bool:
        try:
            return self.content.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]
        except Exception:  # noqa: BLE001
            return False  # a key or a signature of a kind that is not known is none


@dataclass(frozen=True, slots=True)
class Revocations:
    """All lists at one moment, by the name of their issuer."""

    lists: Mapping[x509.Name, tuple[List, ...]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    """Files that are no lists, for the audit."""

    def check(self, path: Chain, now: datetime, *, required: bool) -> None:
        """``path`` is validated, leaf first; raises Distrust. ``required``: a list in force of every CA is needed."""
        for certificate, issuer in itertools.pairwise(path):
            self._one(certificate, issuer, now, required=required)

    def stale(self, now: datetime) -> Iterator[str]:
        """Lists whose time is over while no newer one of their CA is there, each with the remedy."""
        for issuer, lists in self.lists.items():
            if not any(_in_force(each.content, now) for each in lists):
                paths = ", ".join(str(each.path) for each in lists)
                yield f"The revocation list of {_name(issuer)} is out of date: replace {paths} and reload."

    def _one(self, certificate: x509.Certificate, issuer: x509.Certificate, now: datetime, *, required: bool) -> None:
        own = [each for each in self.lists.get(certificate.issuer, ()) if each.signed_by(issuer)]
        listed = [since for each in own if (since := each.revoked.get(certificate.serial_number)) is not None]
        if listed:
            since = min(listed)
            raise Distrust("revoked", f"{_whose(certificate)} was revoked by its CA on {since:%Y-%m-%d}")
        if not required:
            return
        covering = [each for each in own if _covers(each.content, certificate)]
        if not covering:
            raise Distrust(
                "no_crl", f"there is no revocation list here of {_name(certificate.issuer)}, and one is required"
            )
        if not any(_in_force(each.content, now) for each in covering):
            raise Distrust("crl_expired", f"the revocation list of {_name(certificate.issuer)} is out of date")


def load(directory: str | Path | None) -> Revocations:
    """Every list in a directory, PEM or DER; a directory that is not there holds none."""
    lists: dict[x509.Name, tuple[List, ...]] = {}
    problems: list[str] = []
    for path in _files(directory, problems):
        try:
            found = _read(path)
        except Exception as problem:  # noqa: BLE001 - cryptography has many words for what it cannot read
            problems.append(f"{path} is no revocation list that can be read ({problem}): replace it and reload.")
            continue
        issuer = found.content.issuer
        lists[issuer] = (*lists.get(issuer, ()), found)
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
        problems.append(f"{directory} cannot be read ({problem.strerror}): no revocation list is in force.")
        return ()
    if len(found) > _MAX_FILES:
        problems.append(f"{directory} has {len(found)} files, and only the first {_MAX_FILES} are read: clear it up.")
    return found[:_MAX_FILES]


def _read(path: Path) -> List:
    if path.stat().st_size > _MAX_BYTES:
        raise ValueError(f"it has more than {_MAX_BYTES // 1024 // 1024} MiB")
    content = path.read_bytes()
    pem = content.lstrip().startswith(b"-----BEGIN")
    found = x509.load_pem_x509_crl(content) if pem else x509.load_der_x509_crl(content)
    # What is read late has to be readable too.
    hash(found.issuer), found.extensions, found.next_update_utc
    return List(path, found, _entries(found))


def _entries(one: x509.CertificateRevocationList) -> dict[int, datetime]:
    """Serial numbers and since when; looking one up in the list itself takes as long as the list is."""
    point = _point(one)
    if point is not None and point.indirect_crl:
        return {}  # of other issuers
    if _is_delta(one):
        return {each.serial_number: each.revocation_date_utc for each in one if not _is_removed(each)}
    return {each.serial_number: each.revocation_date_utc for each in one}


def _is_removed(entry: x509.RevokedCertificate) -> bool:
    try:
        reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    except x509.ExtensionNotFound:
        return False
    return reason is x509.ReasonFlags.remove_from_crl


def _may_sign_lists(issuer: x509.Certificate) -> bool:
    try:
        return issuer.extensions.get_extension_for_class(x509.KeyUsage).value.crl_sign
    except x509.ExtensionNotFound:
        return True


def _is_delta(one: x509.CertificateRevocationList) -> bool:
    return any(isinstance(extension.value, x509.DeltaCRLIndicator) for extension in one.extensions)


def _covers(one: x509.CertificateRevocationList, certificate: x509.Certificate) -> bool:
    """Whether the certificate would stand in this list, were it revoked."""
    if _is_delta(one):
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
