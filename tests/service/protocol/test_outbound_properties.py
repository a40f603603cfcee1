# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for a stream that we open whatever its peer does, and whatever becomes of TLS."""

from __future__ import annotations

from xml.parsers import expat

from hypothesis import given, settings
from hypothesis import strategies as st
from xmpp_edge.stream.actions import Action, Authenticated, Closed, Deliver, Doubtful, Failed, Send, StartTls, Verified
from xmpp_edge.stream.outbound import Outbound
from xmpp_edge.stream.security import Credentials
from xmpp_edge.stream.settings import Settings

from .outgoing import (
    ACKS,
    AFTER_TLS,
    BIDI,
    DEMAND_TLS,
    DIALBACK,
    DIALBACK_OVER_TLS,
    EXTERNAL,
    FAILURE,
    LAX,
    NO_DB,
    OFFER_TLS,
    OVER_TLS,
    PROCEED,
    STARTTLS,
    STRICT,
    SUCCESS,
    VALID,
    Judge,
    features,
    limits,
    message,
    tls,
)
from .support import END, MESSAGE, PAIR, SECRET, STREAM_ID, THEIR_HEADER, THEIRS, Partner, feed, sent, shape

NO_TLS = Partner(THEIRS)
ENABLED = "<enabled xmlns='urn:xmpp:sm:3'/>"
SECURED = [AFTER_TLS, features(EXTERNAL, DIALBACK, BIDI, ACKS)]
SAID = [
    THEIR_HEADER,
    THEIR_HEADER,
    AFTER_TLS.replace(NO_DB, ""),
    THEIR_HEADER.replace(" version='1.0'>", ">"),
    THEIR_HEADER.replace("from='partner", "from='stranger"),
    features(),
    features(OFFER_TLS, DIALBACK),
    features(DEMAND_TLS),
    features(DIALBACK, ACKS),
    features(EXTERNAL),
    features(EXTERNAL, DIALBACK, BIDI, limits(150, 30)),
    features(ACKS),
    PROCEED,
    "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
    SUCCESS,
    SUCCESS,
    FAILURE,
    "<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
    VALID,
    VALID,
    VALID.replace("valid", "invalid"),
    VALID.replace("valid", "error"),
    VALID.replace("'inside", "'branch"),
    f"<db:verify from='partner.example' to='inside.example' id='{STREAM_ID}' type='valid'/>",
    "<db:verify from='partner.example' to='inside.example' id='other' type='valid'/>",
    "<db:result from='partner.example' to='inside.example'>key</db:result>",
    ENABLED,
    "<failed xmlns='urn:xmpp:sm:3'/>",
    "<a xmlns='urn:xmpp:sm:3' h='1'/>",
    "<r xmlns='urn:xmpp:sm:3'/>",
    MESSAGE,
    MESSAGE.replace("@inside", "@branch"),
    END,
]
DONE = ["secured", "secured", "failed", "send", "send", "ask", "ack", "tick", "close"]
OPENINGS = [
    [],
    [THEIR_HEADER, features(DIALBACK, ACKS)],
    [THEIR_HEADER, features(DIALBACK, ACKS), VALID, ENABLED],
    [THEIR_HEADER, features(OFFER_TLS, DIALBACK), PROCEED],
    [THEIR_HEADER, features(OFFER_TLS), PROCEED, "secured", *SECURED],
    [THEIR_HEADER, features(OFFER_TLS), PROCEED, "secured", *SECURED, FAILURE, VALID],
    [THEIR_HEADER, features(OFFER_TLS), PROCEED, "secured", AFTER_TLS, features(DIALBACK, ACKS), VALID, ENABLED],
    [THEIR_HEADER, features(OFFER_TLS), PROCEED, "secured", *SECURED, SUCCESS],
    [THEIR_HEADER, features(OFFER_TLS), PROCEED, "secured", *SECURED, SUCCESS, THEIR_HEADER, features(ACKS), ENABLED],
]
PARTNERS = [LAX, STRICT, OVER_TLS, DIALBACK_OVER_TLS, NO_TLS]
# What must never go out in plain text where the record demands TLS.
SECRETS = ("<db:result", "<db:verify", "<auth", "<bidi", "<message", "<enable")


class Peer:
    """Drives one machine as its driver would, and keeps what it says."""

    def __init__(self, partner: Partner, purpose: str, trusted: bool, avoid: tuple[str, ...], step: int) -> None:
        self.tls = tls(Judge((THEIRS,) if trusted else ()))
        credentials = Credentials(SECRET, certificate=True)
        self.machine = Outbound(PAIR, purpose, partner, credentials, Settings(), 0, avoid)
        self.step = step
        self.plain: list[Action] = []
        self.said: list[Action] = []
        self.heard: list[str] = []
        self.shaking = False
        if purpose == "verify":
            self.machine.verify(PAIR, "k", STREAM_ID, 0)
        self.keep(self.machine.connected(0))

    def keep(self, actions: list[Action]) -> None:
        self.said += actions
        if self.machine.tls is None:
            self.plain += actions
        self.shaking = self.shaking or any(isinstance(action, StartTls) for action in actions)

    def do(self, what: str) -> None:
        self.keep(self._do(what))

    def _do(self, what: str) -> list[Action]:
        machine = self.machine
        if what == "secured":
            ready, self.shaking = self.shaking, False
            return machine.secured(self.tls, 1) if ready else []
        if what == "failed":
            return machine.tls_failed("no shared cipher", 1) if self.shaking else []
        if what == "send":
            return machine.send(message(), 1) if machine.established and machine.purpose == "stanzas" else []
        if what == "ask":
            return machine.verify(PAIR, "k2", "2", 1) if machine.purpose == "verify" and machine.accepting else []
        if what == "ack":
            return machine.acknowledge(1, 1)
        if what == "tick":
            return machine.tick(2)
        if what == "close":
            return machine.close("system-shutdown", "bye", 2)
        if self.shaking:
            # While the handshake goes on no byte of the peer is for the machine.
            return []
        self.heard.append(what)
        return feed(machine, what, 1, self.step)


@settings(max_examples=500)
@given(
    st.sampled_from(OPENINGS),
    st.lists(st.sampled_from(SAID) | st.sampled_from(DONE), max_size=12),
    st.sampled_from(PARTNERS),
    st.sampled_from(["stanzas", "stanzas", "verify"]),
    st.booleans(),
    st.sampled_from([(), ("tls",), ("sasl_tls",)]),
)
def test_whatever_a_peer_does(
    opening: list[str], doings: list[str], partner: Partner, purpose: str, trusted: bool, avoid: tuple[str, ...]
) -> None:
    at_once = Peer(partner, purpose, trusted, avoid, 0)
    in_pieces = Peer(partner, purpose, trusted, avoid, 7)
    for what in [*opening, *doings]:
        for peer in (at_once, in_pieces):
            peer.do(what)
    assert shape(in_pieces.said) == shape(at_once.said)
    machine = at_once.machine
    at_once.keep(machine.tick(1e6) + machine.tick(2e6) + machine.eof(2e6))
    assert machine.closed
    _check_proof(at_once, partner, trusted)
    _check_plain(at_once, partner)
    _check_end(at_once)
    _check_xml(at_once.said)


def _check_proof(peer: Peer, partner: Partner, trusted: bool) -> None:
    """What is proven is proven as the record says, once, and only by what the peer has said to something of ours."""
    told = [action for action in peer.said if isinstance(action, Authenticated)]
    for action in told:
        assert action.pair == PAIR
        assert action.method in partner.auth_methods
        assert action.encrypted == (action.method != "tcp_dialback") == (peer.machine.tls is not None)
        assert action.trusted == (action.encrypted and trusted)
        text = sent(peer.said[: peer.said.index(action)])
        if action.method == "sasl_tls":
            assert "<auth" in text
            assert SUCCESS in peer.heard
            assert trusted
        else:
            assert "<db:result" in text
            assert VALID in peer.heard
        if action.bidi:
            assert "<bidi" in text
            assert trusted
    if any(isinstance(action, Deliver) for action in peer.said):
        assert told[0].bidi


def _check_plain(peer: Peer, partner: Partner) -> None:
    """Nothing that proves or tells anything goes out plain against the record; EXTERNAL and bidi never do."""
    text = sent(peer.plain)
    assert "<auth" not in text
    assert "<bidi" not in text
    if "tcp_dialback" not in partner.auth_methods:
        assert not [secret for secret in SECRETS if secret in text]
    if peer.machine.tls is not None:
        assert not [action for action in peer.plain if isinstance(action, Authenticated)]


def _check_end(peer: Peer) -> None:
    said, machine = peer.said, peer.machine
    assert isinstance(said[-1], Closed)
    assert sum(isinstance(action, Closed) for action in said) == 1
    outcomes = [action for action in said if isinstance(action, (Authenticated, Failed))]
    questions = [(action.pair, action.stream_id) for action in said if isinstance(action, Verified)]
    if machine.purpose == "stanzas":
        assert len(outcomes) == 1
        assert not questions
        assert sum(isinstance(action, Doubtful) for action in said) == machine.acknowledging
    else:
        assert not outcomes
        # Each at least once; one that is asked again after its answer is a new question.
        assert (PAIR, STREAM_ID) in questions


def _check_xml(said: list[Action]) -> None:
    """Each of our streams is XML from its header on."""
    streams: list[str] = []
    for action in said:
        if isinstance(action, Send):
            text = sent([action])
            if text.startswith("<?xml"):
                streams.append("")
            streams[-1] += text
    for number, text in enumerate(streams):
        assert number == len(streams) - 1 or END not in text
        assert STARTTLS not in text or text.endswith(STARTTLS) or number == len(streams) - 1
        parser = expat.ParserCreate("UTF-8", " ")
        parser.Parse(text.encode(), text.endswith(END))
