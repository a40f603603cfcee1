# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The edge itself: our domains, the federation switch, listeners, the link to the inside server, limits and timers.

PRIVATE to the collection and to the service that it installs.
"""

from __future__ import annotations

from typing import Any, Mapping

from .fields import Field, Fields, Reader, normal_form

CHECK_CRLS = ("never", "if_available", "always")

_MANY = 1_000_000
_DAY = 86_400

INSIDE_FIELDS: Fields = {
    "server": Field("text", "prosody", choices=("prosody", "ejabberd", "other")),
    "host": Field("host", "127.0.0.1"),
    "port": Field("int", 5347, minimum=1, maximum=65535),
    "tls": Field("bool", False),
    "ca_file": Field("path", None, nullable=True),
}

FIELDS: Fields = {
    "domains": Field("list", (), elements="domain"),
    "allow_federated_users": Field("bool", False),
    "listen": Field("list", ("0.0.0.0", "::"), elements="ip", ordered=True),  # noqa: S104 - a public service
    "listen_port": Field("int", 5269, minimum=1, maximum=65535),
    "direct_tls_port": Field("int", None, minimum=1, maximum=65535, nullable=True),
    "inside": Field("dict", fields=INSIDE_FIELDS),
    "connection_limit": Field("int", 1000, minimum=1, maximum=_MANY),
    "partner_connection_limit": Field("int", 20, minimum=1, maximum=_MANY),
    "unauthenticated_limit": Field("int", 500, minimum=1, maximum=_MANY),
    "keepalive_interval": Field("int", 300, minimum=1, maximum=_DAY),
    "stream_establishment_timeout": Field("int", 60, minimum=1, maximum=_DAY),
    "stream_inactivity_timeout": Field("int", 600, minimum=1, maximum=_DAY),
    "resolvers": Field("list", (), elements="resolver", ordered=True),
    "ca_file": Field("path", None, nullable=True),
    "check_crls": Field("text", "if_available", choices=CHECK_CRLS),
    "log_message_bodies": Field("bool", False),
    "archiving_disclaimer": Field("text", None, nullable=True),
}


def normalise(raw: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """The full record in normal form; RecordError with everything that is wrong."""
    return normal_form(FIELDS, raw, where, _derive, _rules)


def _derive(_reader: Reader, record: dict[str, Any]) -> None:
    if record["archiving_disclaimer"]:
        record["archiving_disclaimer"] = record["archiving_disclaimer"].strip() or None


def _rules(reader: Reader, record: Mapping[str, Any]) -> None:
    inside = record["inside"]
    if reader.fine("listen") and not record["listen"]:
        reader.report("listen", "there is no address to listen on", "name at least one, 0.0.0.0 or :: for all")
    if reader.fine("direct_tls_port", "listen_port") and record["direct_tls_port"] == record["listen_port"]:
        reader.report(
            "direct_tls_port",
            f"port {record['listen_port']} is listen_port already, and one port cannot do both",
            "choose another, 5270 for one, or clear it with 0",
        )
    limits = reader.fine("partner_connection_limit", "connection_limit")
    if limits and record["partner_connection_limit"] > record["connection_limit"]:
        reader.report(
            "partner_connection_limit",
            f"one partner may have {record['partner_connection_limit']} connections, "
            f"but all partners together only {record['connection_limit']}",
            "lower it, or raise connection_limit",
        )
    if reader.fine("inside.tls", "inside.server") and inside["tls"] and inside["server"] == "prosody":
        reader.report(
            "inside.tls",
            "Prosody's component listener has no TLS",
            "set it to false and keep the link on the host itself, on a private network or in a tunnel",
        )
    if reader.fine("inside.ca_file", "inside.tls") and inside["ca_file"] and not inside["tls"]:
        reader.report(
            "inside.ca_file", "it has no effect without inside.tls", "set inside.tls, or clear it with an empty text"
        )


def warnings(record: Mapping[str, Any]) -> tuple[str, ...]:
    """What works, but probably not as meant."""
    found = []
    if record["keepalive_interval"] >= record["stream_inactivity_timeout"]:
        found.append(
            "keepalive_interval is not shorter than stream_inactivity_timeout: "
            "a silent stream is closed before a keep-alive is due"
        )
    if record["allow_federated_users"] and not record["domains"]:
        found.append("federation is on, but there are no domains of ours: nothing can pass")
    return tuple(found)
