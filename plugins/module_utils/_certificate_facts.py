# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What there is to know about keys, requests and certificates, without anything secret. Pure.

A certificate is known by an id. Each key that was ever made for it lives in a directory of its own, the
generation ``<id>.<number>``, together with the request and the certificate for this very key. A generation that
has its certificate is never changed again, so a key and a certificate beside each other always belong together.

PRIVATE to the collection.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Iterable, Mapping, NamedTuple

# Options that make the subject, in the order in which the subject has them, with their names in it.
SUBJECT = {
    "country": "C",
    "state_or_province": "ST",
    "city": "L",
    "organization": "O",
    "organizational_unit": "OU",
    "common_name": "CN",
}
CURVES = {"ec_p256": 256, "ec_p384": 384, "ec_p521": 521}
DEFAULT_KEY_SIZE = 2048
TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


class KeyFacts(NamedTuple):
    """`public` is the SHA-256 of the public key: what a request and a certificate have in common with their key."""

    type: str
    size: int
    public: str


class RequestFacts(NamedTuple):
    """`names` are subject alternative names as text, `DNS:`, `IP:`, `SRVName:` or `xmppAddr:` in front; sorted."""

    public: str
    subject: tuple[tuple[str, str], ...]
    names: tuple[str, ...]
    digest: str


class CertificateFacts(NamedTuple):
    fingerprint: str
    public: str
    subject: tuple[tuple[str, str], ...]
    issuer: str
    names: tuple[str, ...]
    digest: str
    not_before: datetime
    not_after: datetime
    server_auth: bool
    serial: str

    def shown(self) -> dict[str, Any]:
        return {
            "fingerprint": self.fingerprint,
            "issuer": self.issuer,
            "serial": self.serial,
            "not_before": self.not_before.strftime(TIME_FORMAT),
            "not_after": self.not_after.strftime(TIME_FORMAT),
        }


class Generation(NamedTuple):
    """One key and what belongs to it; None is what is not there (yet). `chain` holds fingerprints."""

    number: int
    key: KeyFacts
    request: RequestFacts | None
    certificate: CertificateFacts | None
    chain: tuple[str, ...]
    friendly_name: str
    exportable: bool

    @property
    def complete(self) -> bool:
        return self.certificate is not None


class Request(NamedTuple):
    """What a request is to say, complete and canonical."""

    key_type: str
    key_size: int
    exportable: bool
    friendly_name: str
    digest: str
    subject: tuple[tuple[str, str], ...]
    names: tuple[str, ...]

    def fits_key(self, generation: Generation) -> bool:
        key = generation.key
        return (key.type, key.size, generation.exportable) == (self.key_type, self.key_size, self.exportable)

    def fits(self, generation: Generation) -> bool:
        """Whether the generation is what is wanted; its friendly name can be changed at any time and does not count."""
        request = generation.request
        return (
            self.fits_key(generation)
            and request is not None
            and (request.public, request.subject, request.names, request.digest)
            == (generation.key.public, self.subject, self.names, self.digest)
        )


def domain_names(names: Iterable[str]) -> dict[str, list[str]]:
    """Sort the alternative names of a request back to the options that made them."""
    by_kind: dict[str, list[str]] = {"DNS": [], "IP": [], "SRVName": [], "xmppAddr": []}
    for name in names:
        kind, _separator, value = name.partition(":")
        by_kind.setdefault(kind, []).append(value)
    return by_kind


def covers(names: Iterable[str], domain: str) -> bool:
    """Whether a certificate with these names is good for an XMPP domain, given in A-labels (RFC 6120, 13.7.2.1)."""
    wildcard = "DNS:*." + domain.partition(".")[2]
    return bool({f"DNS:{domain}", wildcard, f"SRVName:_xmpp-server.{domain}", f"xmppAddr:{domain}"}.intersection(names))


def in_time(certificate: CertificateFacts, now: datetime) -> bool:
    return certificate.not_before <= now <= certificate.not_after


def newest(generations: Mapping[int, Generation]) -> Generation | None:
    return generations[max(generations)] if generations else None
