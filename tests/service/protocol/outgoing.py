# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams that we open, led to where a test begins; and what the partner's server says on them."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field

from xmpp_edge.jid import JID
from xmpp_edge.stream.actions import Authenticated
from xmpp_edge.stream.outbound import Outbound
from xmpp_edge.stream.security import Credentials, Tls, Trust
from xmpp_edge.stream.settings import Settings
from xmpp_edge.xml.stanza import Stanza

from .support import PAIR, SECRET, THEIR_HEADER, THEIRS, Partner, feed, only

OPENING = (
    "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'"
    " xmlns:db='jabber:server:dialback' from='inside.example' to='partner.example' version='1.0'>"
)
AFTER_TLS = THEIR_HEADER.replace("417GAF25", "after-tls")
AFTER_SASL = THEIR_HEADER.replace("417GAF25", "after-sasl")
NO_DB = " xmlns:db='jabber:server:dialback'"

OFFER_TLS = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
DEMAND_TLS = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"
EXTERNAL = "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms>"
PLAIN = "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms>"
DIALBACK = "<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>"
BIDI = "<bidi xmlns='urn:xmpp:features:bidi'/>"
ACKS = "<sm xmlns='urn:xmpp:sm:3'/>"

STARTTLS = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
PROCEED = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
# base64 of inside.example
AUTH = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>aW5zaWRlLmV4YW1wbGU=</auth>"
SUCCESS = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"
FAILURE = (
    "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/>"
    "<text>your certificate has expired</text></failure>"
)
ASK_BIDI = (
    "<bidi xmlns='urn:xmpp:bidi'><limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>262144</max-bytes></limits></bidi>"
)
VALID = "<db:result from='partner.example' to='inside.example' type='valid'/>"

ALL_METHODS = ("sasl_tls", "tls_dialback", "tcp_dialback")
STRICT = Partner(THEIRS, tls="required", sasl="required", dialback=False, auth_methods=("sasl_tls",))
OVER_TLS = Partner(THEIRS, tls="required", sasl="optional", auth_methods=("sasl_tls", "tls_dialback"))
DIALBACK_OVER_TLS = Partner(THEIRS, tls="required", sasl="not_supported", auth_methods=("tls_dialback",))
LAX = Partner(THEIRS, tls="optional", sasl="optional", auth_methods=ALL_METHODS)


def features(*offers: str) -> str:
    return f"<stream:features>{''.join(offers)}</stream:features>" if offers else "<stream:features/>"


def limits(max_bytes: object = None, idle_seconds: object = None) -> str:
    inner = "" if max_bytes is None else f"<max-bytes>{max_bytes}</max-bytes>"
    inner += "" if idle_seconds is None else f"<idle-seconds>{idle_seconds}</idle-seconds>"
    return f"<limits xmlns='urn:xmpp:stream-limits:0'>{inner}</limits>"


@dataclass
class Judge:
    """Trusts what it is told to, and remembers what it was asked about."""

    trusts: Container[str] = (THEIRS,)
    asked: list[str] = field(default_factory=list)

    def __call__(self, domain: str) -> Trust:
        self.asked.append(domain)
        if domain in self.trusts:
            return Trust(True, "ca")
        return Trust(False, "expired", "it was valid until 2026-01-31")


def tls(judge: Judge | None = None, *, direct: bool = False, certificate: bool = True) -> Tls:
    return Tls("TLSv1.3", "TLS_AES_256_GCM_SHA384", direct, certificate, judge or Judge())


def outgoing(
    partner: Partner = LAX,
    purpose: str = "stanzas",
    *,
    certificate: bool = True,
    avoid: Container[str] = (),
    settings: Settings | None = None,
) -> Outbound:
    """A stream whose header has been sent."""
    machine = Outbound(
        PAIR, purpose, partner, Credentials(SECRET, certificate=certificate), settings or Settings(), 0, avoid
    )
    machine.connected(0)
    return machine


def secured(
    partner: Partner = LAX,
    purpose: str = "stanzas",
    judge: Judge | None = None,
    *,
    certificate: bool = True,
    avoid: Container[str] = (),
    settings: Settings | None = None,
) -> Outbound:
    """A stream under which TLS stands since STARTTLS; our second header has been sent."""
    machine = outgoing(partner, purpose, certificate=certificate, avoid=avoid, settings=settings)
    feed(machine, THEIR_HEADER + features(OFFER_TLS))
    feed(machine, PROCEED)
    machine.secured(tls(judge), 0)
    return machine


def proven(
    *offers: str, before: str = "", partner: Partner = LAX, settings: Settings | None = None, judge: Judge | None = None
) -> Outbound:
    """A stream proven by SASL at time 0, with these features after it, and those before it besides EXTERNAL."""
    machine = secured(partner, judge=judge, settings=settings)
    feed(machine, AFTER_TLS + features(EXTERNAL, before) + SUCCESS)
    (said,) = only(feed(machine, AFTER_SASL + features(*offers)), Authenticated)
    assert isinstance(said, Authenticated)
    assert said.method == "sasl_tls"
    return machine


def message(body: str = "hi", sender: str = "r@inside.example", target: str = "j@partner.example/x") -> Stanza:
    return Stanza("message", {"type": "chat"}, f"<body>{body}</body>", 0, JID.parse(sender), JID.parse(target))


def written(body: str = "hi") -> str:
    return f"<message from='r@inside.example' to='j@partner.example/x' type='chat'><body>{body}</body></message>"
