# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two edges and their records of each other: what they agree on, for every pair of records and certificates.

The expectation is worked out here a second time, from the records alone.
"""

from __future__ import annotations

import itertools
import random
from collections import deque
from functools import partial

import pytest
from xmpp_edge.jid import JID
from xmpp_edge.stream import dialback
from xmpp_edge.stream.actions import Action, Authenticated, Deliver, Doubtful, Failed, Pair, Send, StartTls, Verify
from xmpp_edge.stream.inbound import Inbound
from xmpp_edge.stream.machine import Machine
from xmpp_edge.stream.outbound import Outbound
from xmpp_edge.stream.security import Credentials, Tls, Trust
from xmpp_edge.stream.settings import Settings
from xmpp_edge.xml.stanza import Stanza

from .support import OURS, SECRET, THEIRS, Partner, Policy

OUT = Pair(local=OURS, remote=THEIRS)
IN = Pair(local=THEIRS, remote=OURS)

REQUIRED, OPTIONAL, NEITHER = "required", "optional", "not_supported"
SASL, TLS, TCP = "sasl_tls", "tls_dialback", "tcp_dialback"
RECORDS = [
    (REQUIRED, REQUIRED, False, (SASL,)),
    (REQUIRED, OPTIONAL, True, (SASL, TLS)),
    (REQUIRED, NEITHER, True, (TLS,)),
    (OPTIONAL, REQUIRED, True, (SASL, TLS, TCP)),
    (OPTIONAL, REQUIRED, False, (SASL,)),
    (OPTIONAL, NEITHER, True, (TLS, TCP)),
    (NEITHER, NEITHER, True, (TCP,)),
]


def partner(domain: str, record: tuple) -> Partner:
    tls, sasl, with_dialback, methods = record
    return Partner(domain, tls=tls, sasl=sasl, dialback=with_dialback, auth_methods=methods)


def agreed(ours: tuple, theirs: tuple, our_certificate: bool, trust: bool, their_certificate: bool) -> str | None:
    """The method by which we are proven to them. Whoever has a certificate is trusted by the other, or neither is."""
    mine, yours = ours[3], theirs[3]
    offers_tls = their_certificate and yours != (TCP,)
    if not their_certificate and TCP not in yours:
        return None
    if mine != (TCP,) and offers_tls:
        if SASL in mine and SASL in yours and our_certificate and trust:
            return SASL
        return TLS if TLS in mine and TLS in yours else None
    return TCP if TCP in mine and TCP in yours else None


def _say(trusted: bool, _domain: str) -> Trust:
    return Trust(trusted, "said so")


class Wire:
    """Both machines, and what is under way between them; each answers when it is told to."""

    def __init__(self, ours: tuple, theirs: tuple, ours_certified: bool, trust: bool, theirs_certified: bool) -> None:
        self.random = random.Random(repr((ours, theirs, ours_certified, trust, theirs_certified)))
        policy = Policy(domains=frozenset((THEIRS,)), partners=(partner(OURS, theirs),))
        ids = (f"id{number}" for number in itertools.count(1))
        self.out = Outbound(
            OUT, "stanzas", partner(THEIRS, ours), Credentials(SECRET, certificate=ours_certified), Settings(), 0
        )
        self.into = Inbound(policy, Credentials("x", certificate=theirs_certified), lambda: next(ids), Settings(), 0)
        self.verdicts = {id(self.out): trust and theirs_certified, id(self.into): trust and ours_certified}
        self.shown = {id(self.out): theirs_certified, id(self.into): ours_certified}
        self.bytes: dict[int, bytes] = {id(self.out): b"", id(self.into): b""}
        self.said: dict[int, list[Action]] = {id(self.out): [], id(self.into): []}
        self.handshakes: deque[Machine] = deque()
        self.do(self.out, self.out.connected(0))

    def other(self, machine: Machine) -> Machine:
        return self.into if machine is self.out else self.out

    def do(self, machine: Machine, actions: list[Action]) -> None:
        for action in actions:
            self.said[id(machine)].append(action)
            if isinstance(action, Send):
                self.bytes[id(self.other(machine))] += action.data
            elif isinstance(action, StartTls):
                self.handshakes.append(machine)
            elif isinstance(action, Verify):
                key = dialback.key(SECRET, action.pair.local, action.pair.remote, action.stream_id)
                outcome = "valid" if key == action.key else "invalid"
                assert isinstance(machine, Inbound)
                self.do(machine, machine.verified(action.pair, action.stream_id, outcome, None, 0))

    def run(self) -> None:
        while True:
            if len(self.handshakes) == 2:
                assert not any(self.bytes.values()), "plain text after the agreement on TLS"
                for machine in self.handshakes:
                    trusted = self.verdicts[id(machine)]
                    tls = Tls("1.3", "x", False, self.shown[id(machine)], partial(_say, trusted))
                    self.do(machine, machine.secured(tls, 0))
                self.handshakes.clear()
            waiting = [machine for machine in (self.out, self.into) if self.bytes[id(machine)]]
            # One side that waits for TLS reads nothing but TLS.
            waiting = [machine for machine in waiting if machine not in self.handshakes]
            if not waiting:
                return
            machine = self.random.choice(waiting)
            data = self.bytes[id(machine)]
            size = self.random.choice((1, 7, 100, len(data)))
            self.bytes[id(machine)] = data[size:]
            self.do(machine, machine.receive(data[:size], 0))

    def proofs(self, machine: Machine) -> list[Authenticated]:
        return [action for action in self.said[id(machine)] if isinstance(action, Authenticated)]


@pytest.mark.parametrize("ours", RECORDS, ids=lambda record: "+".join(record[3]) + f" {record[0]}")
def test_whatever_the_records_allow_and_nothing_else(ours: tuple) -> None:
    for theirs, ours_certified, trust, theirs_certified in itertools.product(RECORDS, *[(False, True)] * 3):
        wire = Wire(ours, theirs, ours_certified, trust, theirs_certified)
        wire.run()
        method = agreed(ours, theirs, ours_certified, trust, theirs_certified)
        case = ours, theirs, ours_certified, trust, theirs_certified
        assert [proof.method for proof in wire.proofs(wire.out)] == ([method] if method else []), case
        assert [proof.method for proof in wire.proofs(wire.into)] == ([method] if method else []), case
        failures = [action for action in wire.said[id(wire.out)] if isinstance(action, Failed)]
        assert bool(failures) is (method is None), case
        if method is None:
            assert all(failure.text for failure in failures), case
            continue
        (proof,), (their_proof,) = wire.proofs(wire.out), wire.proofs(wire.into)
        assert (proof.pair, their_proof.pair) == (OUT, IN)
        assert proof.encrypted == their_proof.encrypted == (method != TCP), case
        assert proof.trusted == (proof.encrypted and trust and theirs_certified), case
        assert their_proof.trusted == (proof.encrypted and trust and ours_certified), case
        assert proof.bidi == their_proof.bidi == (method == SASL), case
        talk(wire, bidi=method == SASL)


def talk(wire: Wire, *, bidi: bool) -> None:
    """A stanza each way the stream has, and the end; nothing is in doubt after it."""
    us, them = JID.parse(f"romeo@{OURS}/x"), JID.parse(f"juliet@{THEIRS}")
    wire.do(wire.out, wire.out.send(Stanza("message", {}, "<body>1</body>", 0, us, them), 0))
    if bidi:
        wire.do(wire.into, wire.into.send(Stanza("message", {}, "<body>2</body>", 0, them, us), 0))
    wire.run()
    for machine in (wire.out, wire.into):
        delivered = [action for action in wire.said[id(machine)] if isinstance(action, Deliver)]
        assert len(delivered) == (machine is wire.into or bidi)
        wire.do(machine, machine.acknowledge(len(delivered), 0))
    wire.run()
    wire.do(wire.out, wire.out.close(None, "done", 0))
    wire.run()
    assert wire.out.closed
    assert wire.into.closed
    for machine in (wire.out, wire.into):
        doubts = [action for action in wire.said[id(machine)] if isinstance(action, Doubtful)]
        assert all(doubt.stanzas == () for doubt in doubts)
        assert machine.acknowledging is bool(doubts) or machine is wire.into
