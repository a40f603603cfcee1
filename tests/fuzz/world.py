# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two domains and what a record may say of a partner: all rows of TLS, SASL and dialback that a record can have."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product

from xmpp_edge.records import partner as records
from xmpp_edge.stream.actions import Pair
from xmpp_edge.stream.security import Credentials, Tls, Trust

OURS, ALSO_OURS = "inside.example", "branch.example"
THEIRS, ALSO_THEIRS = "partner.example", "labs.partner.example"
STRANGER = "stranger.example"
PAIR = Pair(OURS, THEIRS)
SECRET = "s3cr3tf0rd14lb4ck"

_CHOICES = ("required", "optional", "not_supported")


@dataclass(frozen=True)
class Partner:
    """A partner's record."""

    domain: str
    tls: str
    sasl: str
    dialback: bool
    others: tuple[str, ...] = ()
    partner_type: str = "federated"
    keepalive: bool = True

    @property
    def domains(self) -> tuple[str, ...]:
        return (self.domain, *self.others)

    @property
    def auth_methods(self) -> tuple[str, ...]:
        return records.auth_methods({"tls": self.tls, "sasl": self.sasl, "dialback": self.dialback})


@dataclass
class Policy:
    """The configuration of one edge."""

    domains: frozenset[str]
    partners: tuple[Partner, ...]
    federation: bool = True

    def partner(self, domain: str) -> Partner | None:
        return next((partner for partner in self.partners if domain in partner.domains), None)


def rows(domain: str, *others: str) -> list[Partner]:
    """Every record by which somebody can be proven at all."""
    made = [
        Partner(domain, tls, sasl, dialback, others)
        for tls, sasl, dialback in product(_CHOICES, _CHOICES, (True, False))
    ]
    return [partner for partner in made if partner.auth_methods]


@dataclass
class Judge:
    """Trusts these domains; remembers whom it was asked about."""

    trusted: frozenset[str] = frozenset()
    asked: list[str] = field(default_factory=list)

    def __call__(self, domain: str) -> Trust:
        self.asked.append(domain)
        return Trust(True, "trusted") if domain in self.trusted else Trust(False, "unknown_ca", "nobody knows it")


def tls(*trusted: str, direct: bool = False) -> Tls:
    """An encrypted stream whose peer has shown a certificate for these domains, or none."""
    return Tls("TLSv1.3", "TLS_AES_256_GCM_SHA384", direct, bool(trusted), Judge(frozenset(trusted)))


def credentials(certificate: bool = True, secret: str = SECRET) -> Credentials:
    return Credentials(secret, certificate=certificate)
