# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The link to the inside server."""

from __future__ import annotations

import hashlib

import pytest
from xmpp_edge.jid import JID
from xmpp_edge.stream.actions import Closed, Deliver, Ready, Send
from xmpp_edge.stream.component import Component
from xmpp_edge.stream.settings import Settings
from xmpp_edge.xml.stanza import Stanza

from .support import END, THEIRS, both_ways, closed, feed, only, refused, sent

HEADER = (
    "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams'"
    " from='partner.example' id='abc'>"
)
DONE = "<handshake/>"
STANZA = "<message from='Romeo@inside.example/x' to='juliet@partner.example'><body>hi</body></message>"


def connected() -> Component:
    machine = Component(THEIRS, "secret", Settings(), 0)
    machine.connected(0)
    return machine


def ready() -> Component:
    machine = connected()
    assert Ready() in feed(machine, HEADER + DONE)
    return machine


def test_handshake() -> None:
    machine = Component(THEIRS, "secret", Settings(), 0)
    assert machine.connected(0) == [
        Send(
            b"<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept'"
            b" xmlns:stream='http://etherx.jabber.org/streams' to='partner.example'>"
        )
    ]
    digest = hashlib.sha1(b"abcsecret").hexdigest()
    assert feed(machine, HEADER) == [Send(f"<handshake>{digest}</handshake>".encode())]
    assert not machine.established
    assert feed(machine, DONE) == [Ready()]
    assert machine.established


def test_stanzas_both_ways_in_one_canonical_form() -> None:
    machine, actions = both_ways(ready, STANZA)
    (deliver,) = actions
    assert isinstance(deliver, Deliver)
    assert (str(deliver.stanza.from_), deliver.pair) == ("romeo@inside.example/x", None)
    assert machine.send(deliver.stanza, 1) == [
        Send(b"<message from='romeo@inside.example/x' to='juliet@partner.example'><body>hi</body></message>")
    ]


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        (HEADER + STANZA, "not-authorized"),
        (HEADER.replace(" id='abc'", ""), "undefined-condition"),
        (HEADER.replace("component:accept", "server"), "invalid-namespace"),
        (HEADER + DONE + DONE, "unsupported-stanza-type"),
        (HEADER + DONE + "<features xmlns='urn:x'/>", "unsupported-stanza-type"),
        ("HTTP/1.1 400 Bad Request", "not-well-formed"),
    ],
)
def test_an_inside_server_that_is_none(text: str, condition: str) -> None:
    _machine, actions = both_ways(connected, text)
    assert closed(actions).condition == condition
    assert closed(actions).by == "us"


def test_the_inside_server_says_no() -> None:
    error = (
        "<stream:error><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
        "<text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>Given token does not match</text></stream:error>"
    )
    _machine, actions = both_ways(connected, HEADER + error + END)
    assert closed(actions) == Closed("not-authorized", "Given token does not match", "peer")


def test_one_bad_address_does_not_cost_the_link() -> None:
    _machine, actions = both_ways(ready, STANZA.replace("juliet@partner.example", "@partner.example") + STANZA)
    assert refused(actions) == ["improper_addressing"]
    assert sent(actions).startswith("<message from='partner.example' to='romeo@inside.example/x' type='error'>")
    assert "<jid-malformed " in sent(actions)
    assert len(only(actions, Deliver)) == 1
    _machine, actions = both_ways(ready, STANZA.replace("to='juliet@partner.example'", "type='error'") + STANZA)
    assert sent(actions) == ""
    _machine, actions = both_ways(ready, STANZA.replace("from='Romeo@inside.example/x'", "") + STANZA)
    assert refused(actions) == ["improper_addressing"]
    assert len(only(actions, Deliver)) == 1


def test_an_outsized_stanza_does_not_cost_the_link() -> None:
    big = STANZA.replace("hi", "x" * 1_100_000)
    machine = ready()
    actions = feed(machine, STANZA + big + STANZA)
    assert len(only(actions, Deliver)) == 2
    assert refused(actions) == ["stanza_too_big"]
    assert sent(actions).startswith("<message from='juliet@partner.example' to='romeo@inside.example/x' type='error'>")
    assert "<policy-violation " in sent(actions)
    assert not machine.closed
    deep = STANZA.replace("<body>", "<a>" * 2_000).replace("</body>", "</a>" * 2_000)
    assert refused(feed(machine, deep + STANZA)) == ["stanza_too_big"]
    assert refused(feed(machine, big.replace("juliet@", "@"))) == ["improper_addressing"]


@pytest.mark.parametrize(
    "inner",
    [
        f"<x xmlns:p='{'u' * 100_000}'>" + "<p:a/>" * 1_000 + "</x>",
        f"<x xmlns:p='{'u' * 1_000}'><y" + "".join(f" p:a{number}=''" for number in range(20_000)) + "/></x>",
        f"<x a='{'>' * 1_100_000}'/>",
    ],
    ids=["namespace", "attributes", "tag"],
)
def test_a_tag_that_would_take_gigabytes_does_not_cost_the_link(inner: str) -> None:
    machine = ready()
    actions = feed(machine, STANZA.replace("<body>", inner + "<body>") + STANZA, step=65_536)
    assert refused(actions) == ["stanza_too_big"]
    assert "<policy-violation " in sent(actions)
    assert "to='romeo@inside.example/x'" in sent(actions)
    assert len(only(actions, Deliver)) == 1


def test_large_stanzas_come_from_inside() -> None:
    assert only(feed(ready(), STANZA.replace("hi", "x" * 500_000)), Deliver)


def test_time() -> None:
    machine = Component(THEIRS, "secret", Settings(), 0)
    assert machine.deadline == 60
    machine.connected(1)
    assert closed(machine.tick(60)).condition == "connection-timeout"
    machine = ready()
    assert machine.deadline == 150
    assert machine.tick(150) == [Send(b" ")]
    assert machine.deadline == 300


def test_no_sending_before_and_after() -> None:
    stanza = Stanza("iq", {}, "", 0, JID.parse(THEIRS), JID.parse("inside.example"))
    with pytest.raises(RuntimeError):
        connected().send(stanza, 0)
    machine = ready()
    machine.close(None, "", 1)
    with pytest.raises(RuntimeError):
        machine.send(stanza, 2)


def test_after_a_close_in_anger_nothing_is_taken() -> None:
    machine = ready()
    machine.close("policy-violation", "gone", 1)
    assert feed(machine, STANZA + STANZA.replace("hi", "x" * 1_100_000)) == []


def test_never_connected() -> None:
    machine = Component(THEIRS, "secret", Settings(), 0)
    assert [type(action) for action in machine.eof(1)] == [Closed]
    assert machine.connected(2) == []
