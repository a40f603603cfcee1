# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What TLS needs from disk at one moment: our certificates, and what those of others are judged by.

Read at the start and anew at each reload, whole; nothing of it changes afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from .config import Snapshot
from .net import contexts
from .net.contexts import CertificateError, Contexts
from .net.identity import Judge
from .records.names import domain as ascii_domain

_SOON = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class Protection:
    """Both, and which of our certificates are of no use."""

    tls: Contexts
    judge: Judge
    problems: tuple[str, ...]


def load(snapshot: Snapshot) -> Protection:
    """Everything beside the records of this Snapshot; raises nothing."""
    good, problems = contexts.load(snapshot.config_dir)
    return Protection(Contexts(good), Judge(snapshot, snapshot.config_dir / "crls"), tuple(problems))


def load_whole(snapshot: Snapshot) -> Protection:
    """The same, but raises CertificateError if one of our certificates is of no use."""
    loaded = load(snapshot)
    if loaded.problems:
        raise CertificateError(" ".join(loaded.problems))
    return loaded


def warnings(snapshot: Snapshot, protection: Protection) -> Iterator[str]:
    """What an administrator should see to, each with the remedy."""
    yield from protection.problems
    yield from protection.judge.problems
    now = datetime.now(UTC)
    for certificate in protection.tls.certificates:
        leaf = certificate.leaf
        what = f"The certificate assigned to {certificate.usage}"
        if leaf.not_valid_after_utc <= now:
            yield f"{what} expired on {leaf.not_valid_after_utc:%Y-%m-%d}: partners that check it refuse us; renew it."
        elif leaf.not_valid_after_utc <= now + _SOON:
            yield f"{what} expires on {leaf.not_valid_after_utc:%Y-%m-%d}; renew it."
        elif leaf.not_valid_before_utc > now:
            yield f"{what} is valid only from {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on; is the clock right?"
    if protection.tls.has_certificate():
        for domain in sorted(snapshot.domains):
            if not protection.tls.has_certificate(domain):
                yield f"No certificate names {ascii_domain(domain)}: partners that check names refuse it; issue one."
    elif snapshot.direct_tls_port is not None or any(
        "tcp_dialback" not in each.auth_methods for each in snapshot.partners
    ):
        yield "There is no certificate, so TLS is not offered; assign one for the usage `external`."
