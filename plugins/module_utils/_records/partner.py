# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A partner: a domain, or several of one owner, that we federate with, and how it has to prove itself.

PRIVATE to the collection and to the service that it installs.
"""

from __future__ import annotations

from typing import Any, Mapping

from .errors import Problem
from .fields import Field, Fields, Reader, normal_form

_NEGOTIATION = ("required", "optional", "not_supported")

FIELDS: Fields = {
    "domain": Field("domain", "", required=True),
    "additional_domains": Field("list", (), elements="domain"),
    "partner_type": Field("text", "public_unverified", choices=("federated", "public_verified", "public_unverified")),
    "tls": Field("text", "required", choices=_NEGOTIATION),
    "sasl": Field("text", "required", choices=_NEGOTIATION),
    # The default follows from tls and sasl, see dialback_default.
    "dialback": Field("bool", None),
    "keepalive": Field("bool", True),
    "connection_limit": Field("int", None, minimum=1, maximum=1_000_000, nullable=True),
    "proxy_fqdn": Field("host", None, nullable=True),
    "proxy_port": Field("int", None, minimum=1, maximum=65535, nullable=True),
    "ca_file": Field("path", None, nullable=True),
    "pins": Field("list", (), elements="pin"),
    "description": Field("text", ""),
}


def dialback_default(tls: Any, sasl: Any) -> bool:
    """Where TLS and SASL are both required dialback could never be used, so it is off there."""
    return not (tls == "required" and sasl == "required")


def auth_methods(record: Mapping[str, Any]) -> tuple[str, ...]:
    """The ways to prove itself that are left to this partner: one rule for all 18 combinations."""
    tls, sasl = record["tls"], record["sasl"]
    methods = []
    if sasl != "not_supported" and tls != "not_supported":
        methods.append("sasl_tls")
    if record["dialback"] and dialback_default(tls, sasl):
        if tls != "not_supported":
            methods.append("tls_dialback")
        if tls != "required":
            methods.append("tcp_dialback")
    return tuple(methods)


def normalise(raw: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """The full record in normal form; RecordError with everything that is wrong."""
    return normal_form(FIELDS, raw, where, _derive, _rules)


def _derive(_reader: Reader, record: dict[str, Any]) -> None:
    if record["dialback"] is None:
        record["dialback"] = dialback_default(record["tls"], record["sasl"])


def _rules(reader: Reader, record: Mapping[str, Any]) -> None:
    if reader.fine("domain", "additional_domains") and record["domain"] in record["additional_domains"]:
        reader.report(
            "additional_domains", f"{record['domain']} is the partner's first domain already", "leave it out here"
        )
    if reader.fine("proxy_port", "proxy_fqdn") and record["proxy_port"] is not None and record["proxy_fqdn"] is None:
        reader.report("proxy_port", "it has no effect without proxy_fqdn", "set proxy_fqdn, or clear it with 0")
    if reader.fine("tls", "ca_file", "pins") and record["tls"] == "not_supported":
        for key, clear in (("ca_file", "an empty text"), ("pins", "an empty list")):
            if record[key]:
                reader.report(
                    key,
                    "it says which certificate to trust, but with tls not_supported the partner shows none",
                    f"set tls to required or optional, or clear it with {clear}",
                )
    if reader.fine("tls", "sasl", "dialback"):
        _check_methods(reader, record)


def _check_methods(reader: Reader, record: Mapping[str, Any]) -> None:
    if not auth_methods(record):
        reader.report(
            "dialback",
            f"with tls {record['tls']}, sasl {record['sasl']} and dialback off the partner has no way to prove itself",
            _way_out(record["tls"], record["sasl"]),
        )
    elif record["tls"] == "not_supported" and record["sasl"] != "not_supported":
        reader.report(
            "sasl",
            f"sasl {record['sasl']} needs TLS, which this partner does not support",
            "set sasl to not_supported, or tls to required or optional",
        )


def _way_out(tls: str, sasl: str) -> str:
    """What makes a combination possible that leaves no way: never a step into the next refusal."""
    if tls != "not_supported":
        return "set dialback to true, or sasl to required or optional"
    if sasl != "not_supported":
        return "set dialback to true and sasl to not_supported, or tls to required or optional"
    return "set dialback to true"


def warnings(record: Mapping[str, Any]) -> tuple[str, ...]:
    """What works, but weaker or otherwise than its author may think."""
    found = []
    if record["tls"] == "required" and record["sasl"] == "required" and record["dialback"]:
        found.append("dialback is on but never used, because tls and sasl are both required")
    if record["tls"] == "optional" and record["sasl"] != "not_supported":
        found.append(
            f"sasl {record['sasl']} needs TLS, but tls is optional: the negotiation can fail where TLS is left out"
        )
    if record["ca_file"] or record["pins"]:
        found.extend(_trust_warnings(record))
    if record["partner_type"] == "public_verified":
        found.append("partner_type public_verified lets strangers of a public provider write to our users unasked")
    return tuple(found)


def _trust_warnings(record: Mapping[str, Any]) -> list[str]:
    """A certificate is judged for SASL alone; who counts on a pin has to know what goes round it."""
    named = " and ".join(key for key in ("ca_file", "pins") if record[key])
    methods = auth_methods(record)
    if "sasl_tls" not in methods:
        return [f"{named} without effect, because sasl is not_supported and dialback asks for no certificate"]
    if len(methods) > 1:
        return [f"{named} can be gone round by dialback; only with sasl required and dialback off do they bind"]
    return []


def check_all(
    partners: Mapping[str, Mapping[str, Any]], own_domains: Mapping[str, str], problems: list[Problem]
) -> None:
    """Rules between partners, and between partners and our own domains.

    ``partners`` maps where a record stands to the record; ``own_domains`` maps each of our domains to where it stands.
    """
    owners: dict[str, str] = {}
    for where, record in partners.items():
        for index, name in enumerate([record["domain"], *record["additional_domains"]]):
            key = f"additional_domains[{index - 1}]" if index else "domain"
            if name in own_domains:
                problems.append(
                    Problem(
                        where,
                        key,
                        f"{name} is one of our own domains ({own_domains[name]})",
                        "a domain is ours or a partner's: take it out of one of the two",
                    )
                )
            if owners.setdefault(name, where) != where:
                problems.append(
                    Problem(where, key, f"{name} belongs to {owners[name]} already", "keep it in one record only")
                )
