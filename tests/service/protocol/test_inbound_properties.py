# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for an inbound stream whatever a peer does, and whatever becomes of TLS and dialback."""

from __future__ import annotations

from xml.parsers import expat

from hypothesis import given, settings
from hypothesis import strategies as st
from xmpp_edge.jid import JID
from xmpp_edge.stream.actions import (
    Acknowledge,
    Action,
    Authenticated,
    Closed,
    Deliver,
    Doubtful,
    Send,
    StartTls,
    Verify,
)
from xmpp_edge.stream.inbound import Inbound
from xmpp_edge.xml.stanza import Stanza

from .incoming import (
    ANYTHING,
    AUTH,
    DIALBACK_IN_TLS,
    NAMELESS,
    NO_TLS,
    PROCEED,
    SASL,
    SASL_ONLY,
    SASL_OR_DIALBACK,
    STARTTLS,
    SUCCESS,
    numbered,
)
from .support import (
    ALSO_OURS,
    ALSO_THEIRS,
    END,
    HEADER,
    MESSAGE,
    OURS,
    PAIR,
    STRANGER,
    THEIRS,
    Partner,
    feed,
    result,
    sent,
    shape,
    tls,
)

SAID = [
    HEADER,
    HEADER,
    NAMELESS,
    HEADER.replace("partner", "labs.partner"),
    HEADER.replace(" version='1.0'", ""),
    STARTTLS,
    STARTTLS,
    AUTH,
    AUTH,
    f"<auth xmlns='{SASL}' mechanism='EXTERNAL'>{'x' * 8}</auth>",
    f"<abort xmlns='{SASL}'/>",
    "<bidi xmlns='urn:xmpp:bidi'><limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>90</max-bytes></limits></bidi>",
    "<enable xmlns='urn:xmpp:sm:3'/>",
    "<r xmlns='urn:xmpp:sm:3'/>",
    "<a xmlns='urn:xmpp:sm:3' h='1'/>",
    "<resume xmlns='urn:xmpp:sm:3' previd='a' h='0'/>",
    result("k"),
    result("k"),
    result("k", target=ALSO_OURS),
    result("k", sender=ALSO_THEIRS),
    result("k", sender=STRANGER),
    result("k").replace(">k<", " type='valid'><"),
    "<db:verify from='partner.example' to='inside.example' id='1'>k</db:verify>",
    MESSAGE,
    MESSAGE.replace("@inside", "@branch"),
    END,
]
DONE = ["secured", "secured", "failed", "valid", "valid", "invalid", "error", "late", "ack", "send", "tick", "close"]
BIDI = SAID[11]
OPENINGS = [
    [],
    [HEADER],
    [HEADER, STARTTLS, "secured", HEADER],
    ["secured", HEADER, BIDI],
    ["secured", HEADER, AUTH],
    ["secured", HEADER, AUTH, HEADER],
    ["secured", HEADER, BIDI, AUTH, HEADER, "<enable xmlns='urn:xmpp:sm:3'/>"],
    ["secured", HEADER, BIDI, result("k"), "valid"],
    [HEADER, result("k"), "valid"],
]
steps = st.lists(st.sampled_from(SAID) | st.sampled_from(DONE), max_size=14)
PARTNERS = [ANYTHING, SASL_ONLY, SASL_OR_DIALBACK, DIALBACK_IN_TLS, NO_TLS]
CERTIFICATES = [tls(), tls(STRANGER), tls(THEIRS), tls(THEIRS, ALSO_THEIRS)]
STANZA = Stanza("message", {}, "", 0, JID.parse(f"romeo@{OURS}"), JID.parse(f"juliet@{THEIRS}"))


class Peer:
    """Drives one machine as its driver would, and keeps what it says."""

    def __init__(self, partner: Partner, certificate: object, step: int) -> None:
        self.machine: Inbound = numbered(partner)
        self.certificate = certificate
        self.step = step
        self.said: list[Action] = []
        self.questions: list[Verify] = []
        self.shaking = False

    def do(self, what: str) -> None:
        actions = self._do(what)
        self.said += actions
        self.questions += [action for action in actions if isinstance(action, Verify)]
        self.shaking = self.shaking or any(isinstance(action, StartTls) for action in actions)

    def _do(self, what: str) -> list[Action]:
        machine = self.machine
        if what == "secured":
            if not self.shaking and self.said:
                return []
            self.shaking = False
            return machine.secured(self.certificate, 1)  # type: ignore[arg-type]
        if what == "failed":
            return machine.tls_failed("no shared cipher", 1) if self.shaking else []
        if what in ("valid", "invalid", "error"):
            question = self.questions.pop(0) if self.questions else Verify(PAIR, "k", "id1")
            return machine.verified(question.pair, question.stream_id, what, None, 1)
        if what == "late":
            return machine.verified(PAIR, "id0", "valid", None, 1)
        if what == "ack":
            return machine.acknowledge(1, 1)
        if what == "send":
            try:
                return machine.send(STANZA, 1)
            except RuntimeError:
                return []
        if what == "tick":
            return machine.tick(2)
        if what == "close":
            return machine.close("system-shutdown", "bye", 2)
        # While the handshake goes on no byte of the peer is for the machine.
        return [] if self.shaking else feed(machine, what, 1, self.step)


@settings(max_examples=600)
@given(st.sampled_from(OPENINGS), steps, st.sampled_from(PARTNERS), st.sampled_from(CERTIFICATES))
def test_whatever_a_peer_does(opening: list[str], doings: list[str], partner: Partner, certificate: object) -> None:
    at_once, in_pieces = Peer(partner, certificate, 0), Peer(partner, certificate, 3)
    for what in [*opening, *doings]:
        for peer in (at_once, in_pieces):
            peer.do(what)
    assert shape(in_pieces.said) == shape(at_once.said)
    machine = at_once.machine
    _check_proof(at_once, partner)
    at_once.said += machine.tick(1e6) + machine.tick(2e6) + machine.eof(2e6)
    assert machine.closed
    _check_end(at_once.said)
    _check_xml(at_once.said)


def _check_proof(peer: Peer, partner: Partner) -> None:
    """What is proven is proven as the record says, was announced once, and is all that stanzas come from."""
    machine = peer.machine
    told = [action for action in peer.said if isinstance(action, Authenticated)]
    assert {action.pair: action.method for action in told} == machine.pairs
    assert len(told) == len(machine.pairs)
    for action in told:
        assert action.method in partner.auth_methods
        assert action.encrypted == (action.method != "tcp_dialback")
        assert action.encrypted == (machine.tls is not None)
        if action.method == "sasl_tls":
            assert action.trusted
        assert not (action.bidi and not action.encrypted)
    for number, action in enumerate(peer.said):
        if isinstance(action, Deliver):
            assert action.pair in {told.pair for told in peer.said[:number] if isinstance(told, Authenticated)}


def _check_end(said: list[Action]) -> None:
    assert isinstance(said[-1], Closed)
    assert sum(isinstance(action, Closed) for action in said) == 1
    assert sum(isinstance(action, Doubtful) for action in said) <= 1
    counted = 0
    for action in said:
        if isinstance(action, Acknowledge):
            assert action.count >= counted
            counted = action.count


def _check_xml(said: list[Action]) -> None:
    """Each of our streams is XML from its header on, and the last one is whole unless TLS never came."""
    streams: list[str] = [""]
    for action in said:
        if isinstance(action, Send):
            text = sent([action])
            streams[-1] += text
            if text in (PROCEED, SUCCESS):
                streams.append("")
    for number, text in enumerate(streams):
        parser = expat.ParserCreate("UTF-8", " ")
        last = number == len(streams) - 1
        if last and not text:
            continue
        assert text.startswith("<?xml version='1.0'?><stream:stream ")
        parser.Parse(text.encode(), last and text.endswith(END))
