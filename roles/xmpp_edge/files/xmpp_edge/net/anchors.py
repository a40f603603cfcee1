# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CAs whose word counts: files of certificates, read once and asked often."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.x509.verification import Store

from ..records.material import STORES

_BLOCK = re.compile(rb"-----BEGIN (?:TRUSTED )?CERTIFICATE-----.*?-----END (?:TRUSTED )?CERTIFICATE-----", re.DOTALL)


class AnchorsError(Exception):
    """There is nothing to trust in a file, and why."""


@dataclass(frozen=True, slots=True)
class Anchors:
    """Certificates that are trusted because the administrator says so."""

    store: Store
    by_subject: Mapping[x509.Name, tuple[x509.Certificate, ...]]

    def __contains__(self, certificate: x509.Certificate) -> bool:
        return certificate in self.by_subject.get(certificate.subject, ())


def load(path: str | Path) -> Anchors:
    """The certificates of one file; those that cannot be read do not spoil the rest."""
    try:
        content = Path(path).read_bytes()
    except OSError as problem:
        raise AnchorsError(f"{path} cannot be read: {problem.strerror}") from None
    found = [each for block in _BLOCK.findall(content) if (each := _certificate(block))]
    if not found:
        raise AnchorsError(f"{path} holds no certificate in PEM form")
    return of(found)


def system() -> Anchors:
    """Those that the host trusts."""
    named = os.environ.get("SSL_CERT_FILE")
    for path in (named,) if named else STORES:
        if os.path.exists(path):
            return load(path)
    raise AnchorsError("this host has no file of trusted CAs; install ca-certificates or set ca_file")


def of(certificates: Iterable[x509.Certificate]) -> Anchors:
    """Anchors that are these."""
    by_subject: dict[x509.Name, tuple[x509.Certificate, ...]] = {}
    for each in certificates:
        by_subject[each.subject] = (*by_subject.get(each.subject, ()), each)
    return Anchors(Store([each for same in by_subject.values() for each in same]), by_subject)


def _certificate(block: bytes) -> x509.Certificate | None:
    try:
        with warnings.catch_warnings(action="ignore"):  # CAs of long ago have odd serial numbers
            certificate = x509.load_pem_x509_certificate(block)
        hash(certificate.subject)  # what is read late has to be readable too
    except Exception:  # noqa: BLE001 - cryptography has many words for what it cannot read
        return None
    return certificate
