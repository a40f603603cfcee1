# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A configuration to decide by, and ways to feed machines and to read what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from xmpp_edge.stream import dialback
from xmpp_edge.stream.actions import Action, Authenticated, Closed, Deliver, Pair, Refused, Send, Verify
from xmpp_edge.stream.inbound import Inbound
from xmpp_edge.stream.machine import Machine
from xmpp_edge.stream.outbound import Outbound
from xmpp_edge.stream.security import Credentials, Tls, Trust
from xmpp_edge.stream.settings import Settings

OURS = "inside.example"
ALSO_OURS = "branch.example"
THEIRS = "partner.example"
ALSO_THEIRS = "labs.partner.example"
STRICT = "strict.example"
STRANGER = "stranger.example"
SECRET = "s3cr3tf0rd14lb4ck"
CREDENTIALS = Credentials(SECRET)
CERTIFIED = Credentials(SECRET, certificate=True)
STREAM_ID = "D60000229F"
PAIR = Pair(local=OURS, remote=THEIRS)

HEADER = (
    "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'"
    " xmlns:db='jabber:server:dialback' from='partner.example' to='inside.example' version='1.0'>"
)
OUR_HEADER = (
    "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'"
    " xmlns:db='jabber:server:dialback' from='inside.example' to='partner.example' id='D60000229F' version='1.0'"
    " xml:lang='en'>"
)
FEATURES = "<stream:features><dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback></stream:features>"
LIMITS = (
    "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>262144</max-bytes><idle-seconds>300</idle-seconds></limits>"
)
OUR_FEATURES = FEATURES.replace("</stream:features>", LIMITS + "</stream:features>")
THEIR_HEADER = (
    "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'"
    " xmlns:db='jabber:server:dialback' from='partner.example' to='inside.example' id='417GAF25' version='1.0'>"
)
MESSAGE = "<message from='juliet@partner.example/b' to='romeo@inside.example' type='chat'><body>hi</body></message>"
END = "</stream:stream>"


@dataclass(frozen=True)
class Partner:
    domain: str
    others: tuple[str, ...] = ()
    partner_type: str = "federated"
    tls: str = "not_supported"
    sasl: str = "not_supported"
    dialback: bool = True
    keepalive: bool = True
    auth_methods: tuple[str, ...] = ("tcp_dialback",)

    @property
    def domains(self) -> tuple[str, ...]:
        return (self.domain, *self.others)


@dataclass(frozen=True)
class Access:
    name: str = "open"
    federation_access: bool = True
    xmpp_access: bool = True
    public_cloud_access: bool = True


@dataclass
class Policy:
    federation: bool = True
    domains: frozenset[str] = frozenset((OURS, ALSO_OURS))
    partners: tuple[Partner, ...] = (
        Partner(THEIRS, (ALSO_THEIRS,)),
        Partner(STRICT, tls="required", sasl="required", dialback=False, auth_methods=("sasl_tls",)),
    )
    access: dict[str, Access] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def partner(self, domain: str) -> Partner | None:
        self.asked.append(domain)
        return next((partner for partner in self.partners if domain in partner.domains), None)

    def policy_of(self, bare: str) -> Access:
        return self.access.get(bare, Access())


def inbound(
    policy: Policy | None = None,
    settings: Settings | None = None,
    now: float = 0,
    credentials: Credentials = CREDENTIALS,
) -> Inbound:
    return Inbound(policy or Policy(), credentials, lambda: STREAM_ID, settings or Settings(), now, "192.0.2.1")


def tls(*proven: str, direct: bool = False, reason: str = "unknown_ca", text: str = "nobody knows its CA") -> Tls:
    """TLS with a certificate that proves these domains, or none at all where there are none."""

    def judge(domain: str) -> Trust:
        return Trust(True, "trusted") if domain in proven else Trust(False, reason, text)

    return Tls("TLSv1.3", "TLS_AES_256_GCM_SHA384", direct, bool(proven), judge)


def outbound(
    purpose: str = "stanzas", partner: Partner | None = None, settings: Settings | None = None, now: float = 0
) -> Outbound:
    return Outbound(PAIR, purpose, partner or Partner(THEIRS), CREDENTIALS, settings or Settings(), now)


def proven_inbound(policy: Policy | None = None, settings: Settings | None = None) -> Inbound:
    """An inbound stream on which PAIR is proven, at time 0."""
    machine = inbound(policy, settings)
    machine.receive((HEADER + result("key")).encode(), 0)
    machine.verified(PAIR, STREAM_ID, "valid", None, 0)
    assert machine.pairs == {PAIR: "tcp_dialback"}
    return machine


def established_outbound(partner: Partner | None = None, settings: Settings | None = None) -> Outbound:
    """An outbound stream on which PAIR is proven, at time 0."""
    machine = outbound(partner=partner, settings=settings)
    machine.connected(0)
    answer = "<db:result from='partner.example' to='inside.example' type='valid'/>"
    machine.receive((THEIR_HEADER + FEATURES + answer).encode(), 0)
    assert machine.established
    return machine


def result(key: str, sender: str = THEIRS, target: str = OURS) -> str:
    return f"<db:result from='{sender}' to='{target}'>{key}</db:result>"


def our_key(receiving: str = THEIRS, originating: str = OURS, stream_id: str = "417GAF25") -> str:
    return dialback.key(SECRET, receiving, originating, stream_id)


def feed(machine: Machine, text: str | bytes, now: float = 0, step: int = 0) -> list[Action]:
    """All actions, when the text comes in pieces of this many bytes (0: in one)."""
    data = text.encode() if isinstance(text, str) else text
    step = step or max(len(data), 1)
    return [
        action for begin in range(0, len(data), step) for action in machine.receive(data[begin : begin + step], now)
    ]


def joined(actions: list[Action]) -> list[Action]:
    """The actions with neighbouring Sends put together, so that chunk borders do not show."""
    merged: list[Action] = []
    for action in actions:
        if isinstance(action, Send) and merged and isinstance(merged[-1], Send):
            merged[-1] = Send(merged[-1].data + action.data)
        else:
            merged.append(action)
    return merged


def shape(actions: list[Action]) -> list[str]:
    """What the actions are and say, without the times and objects in them; for comparing."""
    return [_shape(action) for action in joined(actions)]


def _shape(action: Action) -> str:
    if isinstance(action, Deliver):
        stanza = action.stanza
        return f"Deliver({stanza.kind} {stanza.from_} {stanza.to} {stanza.attrs} {stanza.payload} {action.pair})"
    return repr(action)


def sent(actions: list[Action]) -> str:
    return b"".join(action.data for action in actions if isinstance(action, Send)).decode()


def closed(actions: list[Action]) -> Closed:
    """The Closed that ends these actions; that it ends them is asserted."""
    last = actions[-1]
    assert isinstance(last, Closed)
    assert not any(isinstance(action, Closed) for action in actions[:-1])
    return last


def refused(actions: list[Action]) -> list[str]:
    return [action.reason for action in actions if isinstance(action, Refused)]


def only(actions: list[Action], kind: type) -> list[Action]:
    return [action for action in actions if isinstance(action, kind)]


def both_ways(make: Callable[[], Machine], text: str | bytes) -> tuple[Machine, list[Action]]:
    """Feed one machine the text at once and another byte by byte: the same must come of it."""
    machine, slow = make(), make()
    actions = feed(machine, text)
    assert shape(feed(slow, text, step=1)) == shape(actions)
    return machine, actions


def kinds(actions: list[Action]) -> Iterator[str]:
    return (type(action).__name__ for action in actions)


__all__ = ["Authenticated", "Closed", "Deliver", "Refused", "Send", "Verify"]
