# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the certificate of a peer proves a domain: the second of the three facts about a stream.

A ``Judge`` holds what counts at one moment, the CAs, the pins and the revocation lists, and never changes; a reload
makes another. What it judges comes from strangers, so nothing but a Trust ever comes out of it.

The order: bounds, the leaf by itself, a path to a CA, revocation, the names, the pins. A partner with a ``ca_file`` has
to come from that CA and no other is asked. Pins count beside the path: one of them has to be the key of the leaf or of
a CA of its validated path. Only a certificate that is signed by itself has no path; there, and where the record names
no CA, the pinned key stands in for it.

Trust is remembered for a moment, because a stream asks twice and a verdict costs 0.4 ms; distrust is not, or strangers
would fill the memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ..records.names import domain as ascii_domain
from ..stream.security import Trust
from . import anchors, identifiers, revocation
from .anchors import Anchors, AnchorsError
from .path import Chain, Distrust, bounded, leaf_fits, self_signed, validated

_REMEMBERED = timedelta(seconds=10)
_MOST_REMEMBERED = 256


class _Partner(Protocol):
    @property
    def ca_file(self) -> str | None: ...

    @property
    def pins(self) -> Sequence[str]: ...

    @property
    def auth_methods(self) -> Sequence[str]: ...


class TrustPolicy(Protocol):
    """What the records say about certificates."""

    @property
    def ca_file(self) -> str | None: ...

    @property
    def check_crls(self) -> str: ...

    @property
    def partners(self) -> Sequence[_Partner]: ...

    def partner(self, domain: str) -> _Partner | None:
        """The partner that a domain belongs to."""


def _now() -> datetime:
    return datetime.now(UTC)


class Judge:
    """Says of a chain, leaf first as presented, whether it proves a domain."""

    def __init__(
        self, policy: TrustPolicy, crl_directory: str | Path | None = None, now: Callable[[], datetime] = _now
    ) -> None:
        self._policy, self._now = policy, now
        self._revocations = revocation.Revocations()
        if policy.check_crls != "never":
            self._revocations = revocation.load(crl_directory)
        named = {policy.ca_file, *(partner.ca_file for partner in policy.partners)}
        self._trusted: dict[tuple[Chain, str], tuple[datetime, Trust]] = {}
        self._anchors: Mapping[str | None, Anchors | AnchorsError] = {path: _anchors(path) for path in named}

    @property
    def problems(self) -> tuple[str, ...]:
        """Files that are of no use as they are, each with the remedy."""
        broken = (
            f"{each}: no certificate is trusted by it; repair it and reload."
            for path, each in self._anchors.items()
            if isinstance(each, AnchorsError) and self._asked(path)
        )
        return (*broken, *self._revocations.problems, *self._revocations.stale(self._now()))

    def _asked(self, path: str | None) -> bool:
        """Somebody has to come from there. Where all go by dialback, it is no matter what the host trusts."""
        general = path == self._policy.ca_file
        return path is not None or any(
            partner.ca_file == path or (general and partner.ca_file is None)
            for partner in self._policy.partners
            if "sasl_tls" in partner.auth_methods
        )

    def trust(self, chain: Sequence[x509.Certificate], domain: str) -> Trust:
        """The verdict on a chain and a domain (a U-label)."""
        try:
            return self._remembered(tuple(chain), domain)
        except Distrust as refusal:
            return Trust(False, refusal.reason, refusal.text)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as problem:  # noqa: BLE001 - a panic below cryptography is no Exception
            return Trust(False, "malformed", f"the certificate cannot be read ({type(problem).__name__})")

    def _remembered(self, chain: Chain, domain: str) -> Trust:
        now = self._now()
        known = self._trusted.get((chain, domain))
        if known is not None and timedelta(0) <= now - known[0] < _REMEMBERED:
            return known[1]
        trust = self._judged(chain, domain, now)
        if len(self._trusted) >= _MOST_REMEMBERED:
            del self._trusted[next(iter(self._trusted))]
        self._trusted[chain, domain] = now, trust
        return trust

    def _judged(self, chain: Chain, domain: str, now: datetime) -> Trust:
        bounded(chain)
        leaf = chain[0]
        leaf_fits(leaf, now)
        partner = self._policy.partner(domain)
        pins = frozenset(partner.pins) if partner else frozenset[str]()
        path = self._path(chain, partner.ca_file if partner else None, pins, now)
        if self._policy.check_crls != "never":
            self._revocations.check(path, now, required=self._policy.check_crls == "always")
        _named(path, ascii_domain(domain), domain)
        if pins and not any(pin(each) in pins for each in path):
            raise Distrust("pin_mismatch", "neither the key of the certificate nor one of its CAs is pinned here")
        return Trust(True, "pinned" if len(path) == 1 and pins else "trusted")

    def _path(self, chain: Chain, ca_file: str | None, pins: frozenset[str], now: datetime) -> Chain:
        if pins and ca_file is None and pin(chain[0]) in pins and self_signed(chain[0]):
            return chain[:1]
        found = self._anchors[ca_file or self._policy.ca_file]
        if isinstance(found, AnchorsError):
            raise Distrust(
                "ca_file_unusable", "the trusted CAs cannot be read here; our administrator has to repair that"
            )
        return validated(chain, found, now, bound=ca_file is not None)


def pin(certificate: x509.Certificate) -> str:
    """The SHA-256 of its SubjectPublicKeyInfo, as partner records have it."""
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(key).hexdigest()


def _anchors(path: str | None) -> Anchors | AnchorsError:
    try:
        return anchors.load(path) if path else anchors.system()
    except AnchorsError as problem:
        return problem


def _named(path: Chain, domain: str, shown: str) -> None:
    if not identifiers.names(path[0], domain, shown):
        described = identifiers.described(path[0])
        if described:
            raise Distrust("name_mismatch", f"the certificate is for {described}, not for {shown}")
        raise Distrust(
            "name_mismatch", f"the certificate names no domain in its subjectAltName; it has to name {shown} there"
        )
    if identifiers.outside_constraints(path[1:], domain):
        raise Distrust("name_constraints", f"a CA in its path may not sign for {shown} (name constraints)")
