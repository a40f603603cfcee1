# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our outbound stream against our inbound one: whatever both records, certificates and chance make of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from xmpp_edge.jid import JID
from xmpp_edge.stream import dialback
from xmpp_edge.stream.actions import Acknowledge, Action, Deliver, Pair, Send, StartTls, Verify
from xmpp_edge.stream.inbound import Inbound
from xmpp_edge.stream.outbound import Outbound
from xmpp_edge.stream.settings import Settings
from xmpp_edge.xml.stanza import Stanza

from .oracle import Watch
from .world import OURS, PAIR, THEIRS, Partner, Policy, credentials, rows, tls

THEIR_PAIR = Pair(THEIRS, OURS)
"""The same two, as partner.example sees them, which opens the stream."""


class Chance(Protocol):
    """Numbers up to a bound, from wherever."""

    def below(self, bound: int) -> int: ...


class Bytes:
    """Chance from the input of a fuzzer; zeros when that is used up."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def below(self, bound: int) -> int:
        value = int.from_bytes(self._data[self._at : self._at + 2], "little")
        self._at += 2
        return value % bound

    @property
    def over(self) -> bool:
        return self._at >= len(self._data)


@dataclass(frozen=True)
class Facts:
    """What decides how the two can come together."""

    of_receiver: Partner
    """The receiver's record of the initiator."""
    of_initiator: Partner
    """The initiator's record of the receiver."""
    receiver_certificate: bool = True
    initiator_certificate: bool = True
    receiver_trusted: bool = True
    """The initiator trusts the receiver's certificate."""
    initiator_trusted: bool = True
    same_secret: bool = True
    """Whoever answers for the initiator has made its keys."""
    handshake: bool = True
    """TLS comes about."""
    direct: bool = False
    """TLS from the first byte, where there can be TLS at all."""

    @staticmethod
    def drawn(chance: Chance) -> Facts:
        """Facts by chance; mostly without faults, or nobody would get far."""
        theirs, ours = rows(THEIRS), rows(OURS)
        faults = [chance.below(8) != 7 for _unused in range(6)]
        direct = chance.below(4) == 3
        return Facts(theirs[chance.below(len(theirs))], ours[chance.below(len(ours))], *faults, direct)

    @property
    def encrypted(self) -> bool:
        """Both can have TLS, and it comes about."""
        records = (self.of_receiver.tls, self.of_initiator.tls)
        return self.handshake and self.receiver_certificate and "not_supported" not in records

    @property
    def method(self) -> str | None:
        """By what the two come to be proven, worked out from the records alone."""
        both = [method for method in self.of_initiator.auth_methods if method in self.of_receiver.auth_methods]
        encrypted = self.encrypted
        certified = self.initiator_certificate and self.receiver_trusted and self.initiator_trusted
        if encrypted and certified and "sasl_tls" in both:
            return "sasl_tls"
        method = "tls_dialback" if encrypted else "tcp_dialback"
        return method if method in both and self.same_secret else None


class Two:
    """Both ends of one connection attempt, and the wires between them."""

    def __init__(self, facts: Facts, chance: Chance, avoid: tuple[str, ...] = ()) -> None:
        self.facts = facts
        self.chance = chance
        self.now = 0.0
        policy = Policy(frozenset((OURS,)), (facts.of_receiver,))
        ids = iter(range(1_000))
        settings = Settings()
        self.receiver = Inbound(
            policy, credentials(facts.receiver_certificate, "ours"), lambda: f"id{next(ids)}", settings, 0
        )
        own = credentials(facts.initiator_certificate)
        self.initiator = Outbound(THEIR_PAIR, "stanzas", facts.of_initiator, own, settings, 0, avoid)
        self.authority = own if facts.same_secret else credentials(True, "another")
        self.watches = {
            self.receiver: Watch(self.receiver),
            self.initiator: Watch(self.initiator, facts.of_initiator.auth_methods),
        }
        self.wires = {self.receiver: bytearray(), self.initiator: bytearray()}
        """What is on its way to each."""
        self.handshaking: set[Inbound | Outbound] = set()
        self.questions: list[Verify] = []
        self.received: dict[Inbound | Outbound, list[str]] = {self.receiver: [], self.initiator: []}
        if facts.direct and facts.encrypted:
            self.shake_hands()
        self.perform(self.initiator, self.initiator.connected(0))

    def peer(self, machine: Inbound | Outbound) -> Inbound | Outbound:
        return self.receiver if machine is self.initiator else self.initiator

    def perform(self, machine: Inbound | Outbound, actions: list[Action]) -> None:
        for action in self.watches[machine].look(actions, self.now):
            if isinstance(action, Send):
                self.wires[self.peer(machine)] += action.data
            elif isinstance(action, StartTls):
                self.handshaking.add(machine)
            elif isinstance(action, Verify):
                self.questions.append(action)
            elif isinstance(action, Deliver):
                self.received[machine].append(action.stanza.id or "")
            elif isinstance(action, Acknowledge):
                self.perform(machine, machine.acknowledge(action.count, self.now))

    def step(self) -> None:
        """One of what can happen next."""
        self.now += 0.001
        possible: list[Callable[[], None]] = []
        if len(self.handshaking) == 2:
            possible.append(self.shake_hands)
        # What moves things on comes first, so that chance can run out of numbers.
        possible += [partial(self.read, machine) for machine, wire in self.wires.items() if wire]
        if self.questions:
            possible.append(self.ask_authority)
        possible += [partial(self.tick, machine) for machine in self.wires]
        possible[self.chance.below(len(possible))]()

    def tick(self, machine: Inbound | Outbound) -> None:
        self.perform(machine, machine.tick(self.now))

    def read(self, machine: Inbound | Outbound) -> None:
        wire = self.wires[machine]
        amount = len(wire) - self.chance.below(len(wire))
        data = bytes(wire[:amount])
        del wire[:amount]
        self.perform(machine, machine.receive(data, self.now))

    def shake_hands(self) -> None:
        self.handshaking.clear()
        facts = self.facts
        for machine in (self.receiver, self.initiator):
            assert not self.wires[machine], "nothing plain is on its way when TLS begins"
            if not facts.handshake:
                self.perform(machine, machine.tls_failed("no shared cipher", self.now))
        if facts.handshake:
            shown = facts.initiator_certificate
            direct = self.initiator.tls is None and not self.watches[self.initiator].said
            theirs = tls(*([THEIRS] if shown and facts.initiator_trusted else []), direct=direct)
            self.perform(self.receiver, self.receiver.secured(theirs, self.now))
            ours = tls(*([OURS] if facts.receiver_trusted else []), direct=direct)
            self.perform(self.initiator, self.initiator.secured(ours, self.now))

    def ask_authority(self) -> None:
        question = self.questions.pop(0)
        pair = question.pair
        true = dialback.is_key(question.key, self.authority, pair.local, pair.remote, question.stream_id)
        if true:
            self.watches[self.receiver].answered.add((pair, question.stream_id))
        outcome = "valid" if true else "invalid"
        self.perform(self.receiver, self.receiver.verified(pair, question.stream_id, outcome, None, self.now))

    def settle(self, most: int = 4_000) -> None:
        """Until nothing is on its way any more."""
        for _unused in range(most):
            if not any(self.wires.values()) and not self.questions and len(self.handshaking) < 2:
                return
            self.step()
            for machine in (self.receiver, self.initiator):
                if machine.closed:
                    self.wires[machine].clear()
        raise AssertionError("the two never come to rest")

    def cut(self) -> None:
        """The connection is gone, with all that was on its way."""
        for machine in (self.receiver, self.initiator):
            self.wires[machine].clear()
            self.perform(machine, machine.eof(self.now))
        self.handshaking.clear()

    def send(self, machine: Inbound | Outbound) -> None:
        """A stanza, if there can be one."""
        watch = self.watches[machine]
        if isinstance(machine, Outbound):
            able, sender, target = machine.established, THEIRS, OURS
        else:
            able, sender, target = watch.lent(PAIR), OURS, THEIRS
        if able:
            number = str(len(watch.sent))
            stanza = Stanza("message", {"id": number}, "<body>hi</body>", 0, JID("a", sender), JID("b", target))
            watch.sent.append(stanza)
            self.perform(machine, machine.send(stanza, self.now))

    def check_nothing_lost(self) -> None:
        """What the other side has not got is in doubt, where it acknowledges; and nothing came twice or in disorder."""
        for machine in (self.receiver, self.initiator):
            watch = self.watches[machine]
            sent = [stanza.id or "" for stanza in watch.sent]
            arrived = self.received[self.peer(machine)]
            assert arrived == sent[: len(arrived)], "in order, and once"
            if machine.closed and machine.acknowledging:
                told = {stanza.id for stanza in (*watch.doubtful(), *watch.unsent())}
                assert set(sent[len(arrived) :]) <= told, "lost in silence"


def together(facts: Facts, chance: Chance) -> Two:
    """As many attempts as a route makes: each without what the one before has stumbled over."""
    avoid: tuple[str, ...] = ()
    for _unused in range(4):
        two = Two(facts, chance, avoid)
        two.settle()
        again = two.initiator.retry_without
        if two.initiator.established or again is None or again in avoid:
            break
        two.cut()
        avoid = (*avoid, again)
    return two


def check(facts: Facts, two: Two) -> None:
    """That they are proven as the records say, both of them, or neither."""
    method = facts.method
    ours, theirs = two.watches[two.receiver].proven, two.watches[two.initiator].proven
    if method is None:
        assert (ours, theirs) == ({}, {}), f"{facts} must not come together"
        assert two.initiator.closed or not two.initiator.established
    else:
        assert ours == {PAIR: method}, f"{facts} has to be proven by {method}"
        assert theirs == {THEIR_PAIR: method}, f"{facts} has to be proven by {method}"
        assert two.initiator.established


def pair(data: bytes) -> None:
    """The fuzz target: the beginning of the input chooses the facts, the rest what happens when."""
    chance = Bytes(data)
    facts = Facts.drawn(chance)
    two = together(facts, chance)
    check(facts, two)
    while not chance.over:
        happens = chance.below(8)
        if happens < 2:
            two.send(two.initiator)
        elif happens == 2:
            two.send(two.receiver)
        elif happens == 3:
            two.now += chance.below(120)
        else:
            two.step()
    two.cut()
    two.check_nothing_lost()
