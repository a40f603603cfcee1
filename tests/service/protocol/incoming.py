# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inbound streams with TLS: partners of every kind, and the bytes of both sides."""

from __future__ import annotations

from itertools import count

from xmpp_edge.stream.inbound import Inbound
from xmpp_edge.stream.security import Credentials, Tls
from xmpp_edge.stream.settings import Settings

from .support import (
    ALSO_THEIRS,
    CERTIFIED,
    HEADER,
    LIMITS,
    PAIR,
    THEIRS,
    Partner,
    Policy,
    feed,
    tls,
)

TLS = "urn:ietf:params:xml:ns:xmpp-tls"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
STARTTLS = f"<starttls xmlns='{TLS}'/>"
PROCEED = f"<proceed xmlns='{TLS}'/>"
AUTH = f"<auth xmlns='{SASL}' mechanism='EXTERNAL'>=</auth>"
SUCCESS = f"<success xmlns='{SASL}'/>"
NAMELESS = HEADER.replace(" from='partner.example'", "")

ALL = ("sasl_tls", "tls_dialback", "tcp_dialback")
SASL_ONLY = Partner(THEIRS, (ALSO_THEIRS,), tls="required", sasl="required", auth_methods=("sasl_tls",))
SASL_OR_DIALBACK = Partner(
    THEIRS, (ALSO_THEIRS,), tls="required", sasl="optional", auth_methods=("sasl_tls", "tls_dialback")
)
DIALBACK_IN_TLS = Partner(THEIRS, (ALSO_THEIRS,), tls="required", auth_methods=("tls_dialback",))
ANYTHING = Partner(THEIRS, (ALSO_THEIRS,), tls="optional", sasl="optional", auth_methods=ALL)
NO_TLS = Partner(THEIRS, (ALSO_THEIRS,))

FEATURE = {
    "tls": f"<starttls xmlns='{TLS}'/>",
    "tls!": f"<starttls xmlns='{TLS}'><required/></starttls>",
    "external": f"<mechanisms xmlns='{SASL}'><mechanism>EXTERNAL</mechanism></mechanisms>",
    "dialback": "<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>",
    "bidi": "<bidi xmlns='urn:xmpp:features:bidi'/>",
    "sm": "<sm xmlns='urn:xmpp:sm:3'/>",
    "limits": LIMITS,
}


def features(names: str) -> str:
    """The features element that offers these, in their order."""
    return f"<stream:features>{''.join(FEATURE[name] for name in names.split())}</stream:features>"


def our_header(number: int, remote: str | None = THEIRS) -> str:
    """The header with which we answer for the stream of this number on a connection."""
    to = "" if remote is None else f" to='{remote}'"
    return (
        "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'"
        f" xmlns:db='jabber:server:dialback' from='inside.example'{to} id='id{number}' version='1.0' xml:lang='en'>"
    )


def numbered(
    partner: Partner = ANYTHING,
    *,
    credentials: Credentials = CERTIFIED,
    settings: Settings | None = None,
    others: tuple[Partner, ...] = (),
) -> Inbound:
    """An inbound stream whose ids are id1, id2, ..."""
    number = count(1)
    policy = Policy(partners=(partner, *others))
    return Inbound(policy, credentials, lambda: f"id{next(number)}", settings or Settings(), 0, "192.0.2.1")


def encrypted(partner: Partner = ANYTHING, layer: Tls | None = None, **more: object) -> Inbound:
    """Inside TLS from the first byte, with a certificate that proves partner.example where nothing else is said."""
    machine = numbered(partner, **more)  # type: ignore[arg-type]
    assert machine.secured(layer or tls(THEIRS, direct=True), 0) == []
    return machine


def proven_by_sasl(partner: Partner = ANYTHING, before: str = "", **more: object) -> Inbound:
    """PAIR is proven by EXTERNAL, and its new stream is open; ``before`` comes before that."""
    machine = encrypted(partner, **more)  # type: ignore[arg-type]
    feed(machine, HEADER + before)
    feed(machine, AUTH)
    feed(machine, HEADER)
    assert machine.pairs == {PAIR: "sasl_tls"}
    return machine
