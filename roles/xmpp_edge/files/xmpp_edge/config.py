# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the records on disk to one immutable Snapshot, and the difference of two Snapshots.

A Snapshot is what everything else asks: the stream machines for domains and partners, the gates for policies, the
network side for addresses and limits. It never changes; a reload puts another in its place. Domains are U-labels here,
as they stand in addresses; A-labels appear again only where a name is looked up.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .records import desired
from .records import partner as partner_record
from .records import policy as policy_record
from .records.members import Sites
from .records.names import unicode_domain

_OWN_SECRET = secrets.token_hex(32)
"""Where none is recorded: keys made with it hold as long as this process, and nobody can guess them."""


@dataclass(frozen=True, slots=True)
class Partner:
    """One allowed partner, with every domain that stands in its record."""

    domain: str
    domains: tuple[str, ...]
    partner_type: str
    tls: str
    sasl: str
    dialback: bool
    keepalive: bool
    connection_limit: int | None
    proxy_fqdn: str | None
    proxy_port: int | None
    auth_methods: tuple[str, ...]
    ca_file: str | None = None
    """Who may have signed its certificate, in place of what counts for the edge as a whole."""
    pins: tuple[str, ...] = ()
    """Public keys, as lower-case hex of the SHA-256 of the SPKI: its own or one of its CAs', if there are any."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What the effective policy of one user opens."""

    name: str
    federation_access: bool
    xmpp_access: bool
    public_cloud_access: bool


CLOSED = Policy("global", federation_access=False, xmpp_access=False, public_cloud_access=False)


@dataclass(frozen=True, slots=True)
class Inside:
    """Where the inside server listens for us."""

    server: str
    host: str
    port: int
    tls: bool
    ca_file: str | None
    secret: str


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds and timers as the edge record states them."""

    connection_limit: int
    partner_connection_limit: int
    unauthenticated_limit: int
    keepalive_interval: int
    stream_establishment_timeout: int
    stream_inactivity_timeout: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that the service obeys, at one moment."""

    federation: bool
    domains: frozenset[str]
    partners: tuple[Partner, ...]
    policies: Mapping[str, Policy]
    grants: Mapping[str, str]
    grant_to_all: str | None
    sites: Sites
    listen: tuple[str, ...]
    listen_port: int
    inside: Inside
    limits: Limits
    resolvers: tuple[str, ...]
    log_message_bodies: bool
    dialback_secret: str
    digest: str
    by_domain: Mapping[str, Partner]
    config_dir: Path
    """Where the records are; certificates and CRLs stand beside them."""
    direct_tls_port: int | None = None
    ca_file: str | None = None
    """Who may have signed the certificate of a partner without one of its own; None for those the host trusts."""
    check_crls: str = "if_available"
    archiving_disclaimer: str | None = None
    """What users of partners are told ahead of a conversation."""

    def partner(self, domain: str) -> Partner | None:
        """The partner that a domain belongs to."""
        return self.by_domain.get(domain)

    def policy_of(self, bare: str) -> Policy:
        """The effective policy of a user, taken whole: own grant over grant to all over site over global."""
        name = self.grants.get(bare) or self.grant_to_all or self.sites.site_of(bare) or "global"
        return self.policies.get(name, CLOSED)

    def connection_limit_of(self, partner: Partner) -> int:
        """How many streams there may be with this partner, in and out together."""
        return partner.connection_limit or self.limits.partner_connection_limit


@dataclass(frozen=True, slots=True)
class Difference:
    """What a change of Snapshot means for what is running."""

    remote_domains: frozenset[str]
    """Domains of partners that came, went or changed: their streams are not left as they are."""
    gone_partners: frozenset[str]
    """Those of them that are no partner's any more."""
    gone_domains: frozenset[str]
    """Domains of ours that went."""
    federation_off: bool
    listen: bool
    """Addresses or ports of either listener."""
    inside: bool
    resolvers: bool
    dialback_secret: bool
    trust: bool
    """What a certificate of a partner has to be, for all that have no ``ca_file`` of their own."""


def load(directory: str | Path) -> Snapshot:
    """Read, check and freeze the records; raises RecordError with every problem in them."""
    wanted = desired.load(str(directory))
    partners = tuple(_partner(record) for record in wanted.partners)
    edge = wanted.edge
    return Snapshot(
        federation=edge["allow_federated_users"],
        domains=frozenset(unicode_domain(name) for name in edge["domains"]),
        partners=partners,
        policies={record["name"]: _policy(record) for record in wanted.policies},
        grants=dict(wanted.grants),
        grant_to_all=wanted.grant_to_all,
        sites=policy_record.sites(wanted.policies),
        listen=tuple(edge["listen"]),
        listen_port=edge["listen_port"],
        inside=_inside(edge["inside"], wanted.secrets),
        limits=Limits(**{name: edge[name] for name in Limits.__slots__}),
        resolvers=tuple(edge["resolvers"]),
        log_message_bodies=edge["log_message_bodies"],
        dialback_secret=wanted.secrets.get("dialback_secret") or _OWN_SECRET,
        digest=wanted.digest(),
        by_domain={domain: partner for partner in partners for domain in partner.domains},
        config_dir=Path(directory),
        direct_tls_port=edge["direct_tls_port"],
        ca_file=edge["ca_file"],
        check_crls=edge["check_crls"],
        archiving_disclaimer=edge["archiving_disclaimer"],
    )


def _partner(record: dict[str, Any]) -> Partner:
    domain = unicode_domain(record["domain"])
    others = tuple(unicode_domain(name) for name in record["additional_domains"])
    same = ("partner_type", "tls", "sasl", "dialback", "keepalive", "connection_limit", "proxy_fqdn", "proxy_port")
    return Partner(
        domain=domain,
        domains=(domain, *others),
        auth_methods=tuple(partner_record.auth_methods(record)),
        ca_file=record["ca_file"],
        pins=tuple(record["pins"]),
        **{name: record[name] for name in same},
    )


def _policy(record: dict[str, Any]) -> Policy:
    return Policy(**{name: record[name] for name in Policy.__slots__})


def _inside(record: dict[str, Any], hidden: dict[str, Any]) -> Inside:
    names = ("server", "host", "port", "tls", "ca_file")
    return Inside(secret=hidden.get("inside_secret") or "", **{name: record[name] for name in names})


def difference(old: Snapshot, new: Snapshot) -> Difference:
    """What has to be touched when ``new`` takes the place of ``old``; policies are asked anew anyway."""
    touched = {
        domain
        for partner in {*old.partners} ^ {*new.partners}
        for domain in partner.domains
        if old.by_domain.get(domain) != new.by_domain.get(domain)
    }
    return Difference(
        remote_domains=frozenset(touched),
        gone_partners=frozenset(old.by_domain.keys() - new.by_domain.keys()),
        gone_domains=old.domains - new.domains,
        federation_off=old.federation and not new.federation,
        listen=_listeners(old) != _listeners(new),
        inside=old.inside != new.inside,
        resolvers=old.resolvers != new.resolvers,
        dialback_secret=old.dialback_secret != new.dialback_secret,
        trust=(old.ca_file, old.check_crls) != (new.ca_file, new.check_crls),
    )


def _listeners(snapshot: Snapshot) -> tuple[object, ...]:
    return snapshot.listen, snapshot.listen_port, snapshot.direct_tls_port
