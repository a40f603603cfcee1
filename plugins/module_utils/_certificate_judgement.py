# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a certificate lacks, as message and remedy, and how a diff shows one. Pure.

PRIVATE to the collection.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Sequence

from ._certificate_facts import TIME_FORMAT, About, CertificateFacts, Generation, Request, covers, in_time
from ._certificate_steps import Authority


def out_of_time(facts: CertificateFacts, at: datetime, now: datetime) -> list[tuple[str, str]]:
    """What keeps it from being used `at` a time, whatever it names."""
    found = []
    until, since = (facts.shown()[name] for name in ("not_after", "not_before"))
    if facts.not_after < at:
        message = f"it has expired at {until}" if facts.not_after < now else f"it will have expired by then, at {until}"
        found.append((message, "have the request signed again"))
    if facts.not_before > at:
        remedy = "import it from then on, or set `effective_date` to then"
        found.append((f"it is not valid before {since}", remedy))
    if not facts.server_auth:
        message = "it is not for servers (extended key usage serverAuth is missing)"
        found.append((message, "ask the CA for a server certificate"))
    return found


def still_good(held: CertificateFacts, wanted: Request, authority: Authority, now: datetime) -> bool:
    """Whether a certificate that was issued here says what one would say that is issued now."""
    usages = (wanted.key_usage, wanted.issued_extended_key_usage)
    return (
        held.fingerprint in authority.issued
        and in_time(held, now)
        and (held.subject, held.names, held.digest) == (wanted.subject, wanted.names, wanted.digest)
        and (held.key_usage, held.extended_key_usage) == usages
    )


def uncovered(facts: CertificateFacts, domains: Sequence[str]) -> list[tuple[str, str]]:
    remedy = "have the current request signed; it names the domain"
    return [
        (f"it does not cover the XMPP domain {domain}", remedy)
        for domain in domains
        if not covers(facts.names, domain)
    ]  # fmt: skip


def describe(generation: Generation, usages: Sequence[str]) -> dict[str, Any]:
    """What a diff shows: nothing secret, and nothing that could not be known before the run."""
    request, about = generation.request, generation.about
    return {
        "generation": generation.number,
        "friendly_name": about.friendly_name,
        "key": {"type": generation.key.type, "size": generation.key.size, "exportable": about.exportable},
        "subject": dict(request.subject) if request else None,
        "names": list(request.names) if request else None,
        "xmpp_domains_by_dns_name_only": None if about.dns_only is None else list(about.dns_only),
        "names_asked_for": about.asked._asdict() if about.asked else None,
        "digest": request.digest if request else None,
        "key_usage": list(request.key_usage) if request else None,
        "extended_key_usage": list(request.extended_key_usage) if request else None,
        "usages_asked_for": _asked(about),
        "certificate": generation.certificate.shown() if generation.certificate else None,
        "chain": list(generation.chain),
        "effective_date": about.effective.strftime(TIME_FORMAT) if about.effective else None,
        "assigned_to": list(usages),
    }


def _asked(about: About) -> dict[str, list[str]]:
    """Those that were left to what is usual do not show."""
    asked = {"key_usage": about.key_usage, "extended_key_usage": about.extended_key_usage}
    return {option: list(usages) for option, usages in asked.items() if usages is not None}
