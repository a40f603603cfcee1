# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for any input at all."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from xmpp_edge.jid import JID
from xmpp_edge.stream import features
from xmpp_edge.stream.actions import Authenticated, Closed, Deliver, Failed, Pair, Send, Verified, Verify
from xmpp_edge.stream.component import Component
from xmpp_edge.stream.errors import StreamError
from xmpp_edge.stream.features import Features
from xmpp_edge.stream.inbound import Inbound
from xmpp_edge.stream.machine import Machine
from xmpp_edge.stream.outbound import Outbound
from xmpp_edge.stream.security import Credentials
from xmpp_edge.stream.settings import Settings
from xmpp_edge.xml import namespaces
from xmpp_edge.xml.element import Element
from xmpp_edge.xml.escape import escape_attribute, escape_text
from xmpp_edge.xml.limits import Limits
from xmpp_edge.xml.parser import Parser, StreamStart
from xmpp_edge.xml.stanza import Stanza, error_reply
from xmpp_edge.xml.writer import stream_header, write_element, write_stanza

from .support import (
    FEATURES,
    HEADER,
    MESSAGE,
    OURS,
    PAIR,
    SECRET,
    THEIR_HEADER,
    THEIRS,
    Partner,
    Policy,
    inbound,
    outbound,
    proven_inbound,
    result,
    shape,
)

LIMITS = Limits(100_000, 1_000, 100, 50_000)
OPEN = stream_header(namespaces.SERVER, {})
OPEN_COMPONENT = stream_header(namespaces.COMPONENT, {})

names = st.sampled_from(["body", "x", "message", "a-b", "é", "_1"])
spaces = st.sampled_from(["", "urn:a", "urn:b", "jabber:server", "jabber:client", "it's & <this>"])
texts = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff") | st.sampled_from("\t\n\r<>&'\""),
    max_size=20,
)


def _elements(children: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds(_element, names, st.none() | spaces, st.dictionaries(names, texts, max_size=3), st.lists(children))


def _element(name: str, space: str | None, attrs: dict[str, str], content: list[str]) -> str:
    declaration = "" if space is None else f' xmlns="{escape_attribute(space)}"'
    written = "".join(f"\n{key} = '{escape_attribute(value)}'" for key, value in attrs.items())
    return f"<{name}{declaration}{written}>{''.join(content)}</{name}\t>"


payloads = st.recursive(texts.map(escape_text), _elements, max_leaves=12)


def read(data: bytes, step: int = 0, opening: bytes = OPEN) -> Stanza:
    component = opening is OPEN_COMPONENT
    parser = Parser(LIMITS, namespaces.COMPONENT if component else namespaces.SERVER)
    step = step or len(data)
    parser.feed(opening)
    (stanza,) = [event for begin in range(0, len(data), step) for event in parser.feed(data[begin : begin + step])]
    assert isinstance(stanza, Stanza), stanza
    return stanza


@given(payloads, st.dictionaries(st.sampled_from(["type", "id", "xml:lang"]), texts, max_size=3), st.integers(1, 40))
def test_what_is_written_is_canonical_and_stable(payload: str, attrs: dict[str, str], step: int) -> None:
    opening = "".join(f" {name}='{escape_attribute(value)}'" for name, value in attrs.items())
    stanza = read(f"<message{opening}>{payload}</message>".encode())
    written = write_stanza(stanza)
    again = read(written, step)
    assert write_stanza(again) == written
    assert (again.kind, again.attrs, again.payload, again.size) == (
        stanza.kind,
        stanza.attrs,
        stanza.payload,
        len(written),
    )
    if "jabber:server" not in payload:
        # The same bytes mean the same on the other kind of stream.
        other = read(written, step, OPEN_COMPONENT)
        assert (other.attrs, other.payload) == (stanza.attrs, stanza.payload)


@given(texts, texts)
def test_elements_come_back_as_they_were(text: str, value: str) -> None:
    element = Element("e", "urn:e", {"a": value}, [text] if text else [])
    element.content.append(Element("f", namespaces.SERVER, {}, [Element("g", namespaces.DIALBACK)]))
    parser = Parser(LIMITS)
    parser.feed(OPEN)
    (back,) = parser.feed(write_element(element))
    assert isinstance(back, Element)
    assert (back.attrs, back.text, back.children) == (element.attrs, element.text, element.children)


offers = st.builds(
    Features,
    tls=st.booleans(),
    tls_required=st.booleans(),
    mechanisms=st.lists(st.sampled_from(["EXTERNAL", "PLAIN", "X-É", "a<b"]), max_size=3).map(tuple),
    dialback=st.booleans(),
    dialback_errors=st.booleans(),
    bidi=st.booleans(),
    acks=st.booleans(),
    max_bytes=st.none() | st.integers(0, 10**15 - 1),
    idle_seconds=st.none() | st.integers(0, 10**15 - 1),
)


@given(offers, st.integers(1, 40))
def test_features_come_back_as_they_were_offered(offered: Features, step: int) -> None:
    parser = Parser(LIMITS)
    parser.feed(OPEN)
    data = write_element(features.write(offered))
    (back,) = [event for begin in range(0, len(data), step) for event in parser.feed(data[begin : begin + step])]
    assert isinstance(back, Element)
    # Details of what is not offered at all are not offered either.
    assert features.read(back) == replace(
        offered,
        tls_required=offered.tls and offered.tls_required,
        dialback_errors=offered.dialback and offered.dialback_errors,
    )


@given(st.text(), st.text(), texts)
def test_errors_to_senders_are_xml_whatever_their_text(text: str, name: str, identifier: str) -> None:
    sender, target = JID.parse("a@b.example/c"), JID.parse("d.example")
    stanza = Stanza("iq", {"id": identifier, "type": "get"}, "<x/>", 0, sender, target)
    reply = error_reply(stanza, "forbidden", "auth", text + name)
    assert reply is not None
    back = read(write_stanza(reply))
    assert back.attrs == {"from": "d.example", "to": "a@b.example/c", "type": "error", "id": identifier}
    assert "<x/>" not in back.payload


@pytest.mark.parametrize("kind", ["error", "result"])
def test_answers_are_not_answered(kind: str) -> None:
    stanza = Stanza("iq", {"type": kind}, "", 0, JID.parse("a.example"), JID.parse("b.example"))
    assert error_reply(stanza, "forbidden", "auth") is None


# Any bytes

FRAGMENTS = [
    HEADER,
    THEIR_HEADER,
    FEATURES,
    MESSAGE,
    "</stream:stream>",
    result("k"),
    "<db:result from='a' to='b' type='valid'/>",
    "<db:verify from='partner.example' to='inside.example' id='1'>k</db:verify>",
    "<stream:error><reset/></stream:error>",
    "<iq type='get'><a/></iq>",
    "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
    "<?xml version='1.0' encoding='UTF-16'?>",
    "<!DOCTYPE a [",
    "xmlns:x='",
    "version='1.0'",
    "<handshake/>",
    "<", ">", "&", "&amp;", "'", "\"", "<!--", "-->", "<![CDATA[", "]]>", "<?a", "?>", "/>", "</", "<a>",
    "</a>", "xmlns='", "from='", "to='", "\x00", "\ufffe", "é",
    " ",
    "\n",
]  # fmt: skip
anything = st.lists(
    st.sampled_from(FRAGMENTS).map(str.encode)
    | st.binary(max_size=8)
    | st.text(max_size=5).map(lambda text: text.encode("utf-8", "surrogatepass")),
    max_size=15,
).map(b"".join)


def _connected(purpose: str) -> Outbound:
    machine = outbound(purpose)
    machine.connected(0)
    if purpose == "verify":
        machine.verify(PAIR, "k", "1", 0)
    return machine


def _component() -> Component:
    machine = Component(THEIRS, "secret", Settings(), 0)
    machine.connected(0)
    return machine


MACHINES: list[Callable[[], Machine]] = [
    inbound,
    proven_inbound,
    lambda: _connected("stanzas"),
    lambda: _connected("verify"),
    _component,
]


@settings(max_examples=400)
@given(anything, st.integers(1, 50), st.booleans())
def test_no_bytes_raise_anything_or_mean_something_else_in_pieces(data: bytes, step: int, opened: bool) -> None:
    for make in MACHINES:
        at_once, in_pieces = make(), make()
        if opened and make is inbound:
            data = HEADER.encode() + data
        actions = at_once.receive(data, 1)
        pieces = [
            action for begin in range(0, len(data), step) for action in in_pieces.receive(data[begin : begin + step], 1)
        ]
        assert not any(isinstance(action, Closed) for action in actions[:-1])
        assert shape(_timeless(pieces)) == shape(_timeless(actions))
        assert at_once.closed == in_pieces.closed
        for machine in (at_once, in_pieces):
            machine.tick(1e6)
            machine.eof(1e6)
            assert machine.closed


def _timeless(actions: list[object]) -> list[object]:
    """Positions in error texts depend on where the pieces begin, as does which of two errors side by side is told."""
    return [_without_text(action) for action in actions]


def _without_text(action: object) -> object:
    if isinstance(action, Closed):
        condition = "not-well-formed" if action.condition == "bad-format" else action.condition
        return Closed(condition, "", action.by)
    if isinstance(action, Failed):
        return Failed(action.pair, action.condition, "")
    if isinstance(action, Send):
        return Send(action.data.replace(b"bad-format", b"not-well-formed").split(b"<text")[0])
    return action


@settings(max_examples=300)
@given(anything, st.lists(st.integers(1, 30), max_size=10))
def test_the_parser_raises_nothing(data: bytes, steps: list[int]) -> None:
    parser = Parser(Limits(300, 10, 5, 100))
    events = []
    for step in [*steps, len(data)]:
        events += parser.feed(data[:step])
        data = data[step:]
    assert not any(isinstance(event, StreamError) for event in events[:-1])
    assert sum(isinstance(event, StreamStart) for event in events) <= 1


# Two servers that talk


class Net:
    """The four streams of one dialback: the edge of partner.example proves itself to that of inside.example."""

    def __init__(self, luck: random.Random, secret_of_authority: str) -> None:
        ours = Policy(domains=frozenset((OURS,)), partners=(Partner(THEIRS),))
        theirs = Policy(domains=frozenset((THEIRS,)), partners=(Partner(OURS),))
        own = Settings()
        self.luck = luck
        self.originating = Outbound(Pair(THEIRS, OURS), "stanzas", Partner(OURS), Credentials(SECRET), own, 0)
        self.receiving = Inbound(ours, Credentials("ours"), lambda: "id1", own, 0)
        self.asking = Outbound(PAIR, "verify", Partner(THEIRS), Credentials("ours"), own, 0)
        self.authority = Inbound(theirs, Credentials(secret_of_authority), lambda: "id2", own, 0)
        self.wires: dict[Machine, tuple[Machine, bytearray]] = {
            self.originating: (self.receiving, bytearray()),
            self.receiving: (self.originating, bytearray()),
            self.asking: (self.authority, bytearray()),
            self.authority: (self.asking, bytearray()),
        }
        self.said: list[object] = []
        self.now = 0.0

    def perform(self, machine: Machine, actions: list[object]) -> None:
        for action in actions:
            self.said.append(action)
            if isinstance(action, Send):
                self.wires[machine][1].extend(action.data)
            elif isinstance(action, Verify):
                self.perform(self.asking, self.asking.verify(action.pair, action.key, action.stream_id, self.now))
            elif isinstance(action, Verified):
                answer = (action.pair, action.stream_id, action.outcome, action.condition)
                self.perform(self.receiving, self.receiving.verified(*answer, self.now))

    def step(self) -> None:
        self.now += self.luck.random() / 50
        machine = self.luck.choice(list(self.wires))
        peer, wire = self.wires[machine]
        if wire:
            amount = self.luck.randint(1, len(wire))
            data = bytes(wire[:amount])
            del wire[:amount]
            self.perform(peer, peer.receive(data, self.now))
        else:
            self.perform(machine, machine.tick(self.now))


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(), st.booleans(), st.booleans())
def test_two_servers_end_proven_or_closed(seed: int, same_secret: bool, cut: bool) -> None:
    luck = random.Random(seed)
    net = Net(luck, SECRET if same_secret else "another")
    net.perform(net.asking, net.asking.connected(0))
    net.perform(net.originating, net.originating.connected(0))
    until = luck.randint(1, 120) if cut else 600
    for _unused in range(until):
        net.step()
    if cut:
        victim = luck.choice(list(net.wires))
        peer = net.wires[victim][0]
        net.perform(victim, victim.eof(net.now))
        net.perform(peer, peer.eof(net.now))
        for _unused in range(600):
            net.step()
    proven = [action for action in net.said if isinstance(action, Authenticated)]
    if not same_secret:
        assert proven == []
    if same_secret and not cut:
        assert len(proven) == 2
        assert net.receiving.pairs == {PAIR: "tcp_dialback"}
        assert net.originating.established or net.originating.closed
    if not net.originating.established:
        assert net.originating.closed
        outcomes = [action for action in net.said if isinstance(action, Failed)]
        assert len(outcomes) == (0 if Authenticated(Pair(THEIRS, OURS), "tcp_dialback") in proven else 1)
    assert not any(isinstance(action, Deliver) for action in net.said)
    for machine in net.wires:
        machine.tick(1e6)
        machine.tick(2e6)
        assert machine.closed
        assert machine.deadline is None
