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
# Key usages in the spelling of RFC 5280, in its order.
KEY_USAGES = (
    "digitalSignature",
    "nonRepudiation",
    "keyEncipherment",
    "dataEncipherment",
    "keyAgreement",
    "keyCertSign",
    "cRLSign",
    "encipherOnly",
    "decipherOnly",
)
SERVER_AUTH, CLIENT_AUTH = "serverAuth", "clientAuth"
EXTENDED_KEY_USAGES = {
    SERVER_AUTH: "1.3.6.1.5.5.7.3.1",
    CLIENT_AUTH: "1.3.6.1.5.5.7.3.2",
    "codeSigning": "1.3.6.1.5.5.7.3.3",
    "emailProtection": "1.3.6.1.5.5.7.3.4",
    "timeStamping": "1.3.6.1.5.5.7.3.8",
    "OCSPSigning": "1.3.6.1.5.5.7.3.9",
    "anyExtendedKeyUsage": "2.5.29.37.0",
}


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
    key_usage: tuple[str, ...] = ()
    extended_key_usage: tuple[str, ...] = ()


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
    key_usage: tuple[str, ...] = ()
    extended_key_usage: tuple[str, ...] = ()

    def shown(self) -> dict[str, Any]:
        return {
            "fingerprint": self.fingerprint,
            "issuer": self.issuer,
            "serial": self.serial,
            "not_before": self.not_before.strftime(TIME_FORMAT),
            "not_after": self.not_after.strftime(TIME_FORMAT),
        }


class Asked(NamedTuple):
    """Names of a request that do not tell by themselves which option they come from.

    `common_name` is empty where the request took the first of the other names.
    """

    common_name: str
    sip_domains: tuple[str, ...]
    extra_sans: tuple[str, ...]


class About(NamedTuple):
    """What is noted beside a key because neither key, request nor certificate can say it.

    `dns_only` are the XMPP domains where the request has them as DNS names only; elsewhere the request tells. `asked`
    says which options the other names come from, None where an older version or somebody else made the request.

    Usages are those that were asked for; None asks for what is usual. `effective` is when a staged certificate is to be
    put to use. `withdrawn` is what came back into use in place of a certificate that did not prove good.
    """

    friendly_name: str = ""
    exportable: bool = True
    key_usage: tuple[str, ...] | None = None
    extended_key_usage: tuple[str, ...] | None = None
    dns_only: tuple[str, ...] | None = None
    asked: Asked | None = None
    effective: datetime | None = None
    withdrawn: str = ""


class Generation(NamedTuple):
    """One key and what belongs to it; None is what is not there (yet). `chain` holds fingerprints."""

    number: int
    key: KeyFacts
    request: RequestFacts | None
    certificate: CertificateFacts | None
    chain: tuple[str, ...]
    about: About = About()

    @property
    def complete(self) -> bool:
        return self.certificate is not None

    @property
    def readable(self) -> bool:
        return bool(self.key.public)


class Request(NamedTuple):
    """What a request is to say, complete and canonical."""

    key_type: str
    key_size: int
    digest: str
    subject: tuple[tuple[str, str], ...]
    names: tuple[str, ...]
    about: About

    @property
    def xmpp_domains(self) -> tuple[str, ...]:
        return xmpp_domains(self.names, self.about)

    @property
    def key_usage(self) -> tuple[str, ...]:
        if self.about.key_usage is not None:
            return self.about.key_usage
        return ("digitalSignature", "keyEncipherment") if self.key_type == "rsa" else ("digitalSignature",)

    @property
    def extended_key_usage(self) -> tuple[str, ...]:
        """Public CAs refuse to certify clients, so a request asks for it only where it was told to."""
        return (SERVER_AUTH,) if self.about.extended_key_usage is None else self.about.extended_key_usage

    @property
    def issued_extended_key_usage(self) -> tuple[str, ...]:
        """Who issues here can give both roles that a server has in federation."""
        usual = (SERVER_AUTH, CLIENT_AUTH)
        return usual if self.about.extended_key_usage is None else self.about.extended_key_usage

    def facts(self, public: str) -> RequestFacts:
        return RequestFacts(
            public, self.subject, self.names, self.digest, self.key_usage, self.extended_key_usage
        )  # fmt: skip

    def fits_key(self, generation: Generation) -> bool:
        key = generation.key
        exportable = generation.about.exportable
        return (key.type, key.size, exportable) == (self.key_type, self.key_size, self.about.exportable)

    def fits(self, generation: Generation) -> bool:
        """Whether the generation is what is wanted; what is noted beside it can be changed at any time."""
        return self.fits_key(generation) and generation.request == self.facts(generation.key.public)


def domain_names(names: Iterable[str]) -> dict[str, list[str]]:
    """Sort the alternative names of a request back to the options that made them."""
    by_kind: dict[str, list[str]] = {"DNS": [], "IP": [], "SRVName": [], "xmppAddr": []}
    for name in names:
        kind, _separator, value = name.partition(":")
        by_kind.setdefault(kind, []).append(value)
    return by_kind


def xmpp_domains(names: Iterable[str], about: About) -> tuple[str, ...]:
    return tuple(domain_names(names)["xmppAddr"]) if about.dns_only is None else about.dns_only


def covers(names: Iterable[str], domain: str) -> bool:
    """Whether a certificate with these names is good for an XMPP domain, given in A-labels (RFC 6120, 13.7.2.1)."""
    wildcard = "DNS:*." + domain.partition(".")[2]
    return bool({f"DNS:{domain}", wildcard, f"SRVName:_xmpp-server.{domain}", f"xmppAddr:{domain}"}.intersection(names))


def in_time(certificate: CertificateFacts, now: datetime) -> bool:
    return certificate.not_before <= now <= certificate.not_after


def newest(generations: Mapping[int, Generation]) -> Generation | None:
    """The newest generation that can be used."""
    return max((item for item in generations.values() if item.readable), key=lambda item: item.number, default=None)
