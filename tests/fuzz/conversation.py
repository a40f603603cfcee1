# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A conversation with one stream machine as a text: what comes in, where it is cut, and what happens beside it.

The first line may hold a number, which chooses the record and the certificates. Of the rest, ``|`` cuts the bytes
where a read ends, and ``%`` with a letter is an event; see EVENTS. All else is fed to the machine as it is, so that a
conversation can be read, and written by hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from xmpp_edge.jid import JID
from xmpp_edge.stream.actions import Acknowledge, Action, StartTls
from xmpp_edge.stream.component import Component
from xmpp_edge.stream.inbound import Inbound
from xmpp_edge.stream.machine import Machine
from xmpp_edge.stream.outbound import Outbound
from xmpp_edge.stream.settings import Settings
from xmpp_edge.xml.stanza import Stanza

from .oracle import Watch
from .world import ALSO_OURS, ALSO_THEIRS, OURS, PAIR, STRANGER, THEIRS, Pair, Partner, Policy, credentials, rows, tls

STREAM_ID = "D60000229F"
_PARTS = re.compile(rb"(\||%[a-z])")
_NUMBER = re.compile(rb"([0-9]{1,6})\n")


class Conversation:
    """One machine, its oracle, and the time."""

    def __init__(self, machine: Machine, methods: tuple[str, ...] = ()) -> None:
        self.machine = machine
        self.watch = Watch(machine, methods)
        self.now = 0.0
        self.numbers = 0
        self.handshake = False

    def look(self, actions: list[Action]) -> None:
        self.watch.look(actions, self.now)
        self.handshake = self.handshake or any(isinstance(action, StartTls) for action in actions)

    def run(self, text: bytes) -> Conversation:
        """All of it."""
        for part in _PARTS.split(text):
            event = EVENTS.get(part)
            if event is not None:
                event(self)
            elif part and not part.startswith(b"%") and part != b"|":
                self.look(self.machine.receive(part, self.now))
        return self

    def run_out(self) -> None:
        """A stream on which nothing happens any more ends by itself, and soon."""
        for _unused in range(400):
            deadline = self.machine.deadline
            if deadline is None:
                break
            self.now = max(self.now, deadline)
            self.watch.ticked(self.machine.tick(self.now), self.now)
        assert self.machine.closed, "an idle stream ends"
        for actions in (
            self.machine.receive(b"<a>", self.now),
            self.machine.tick(self.now),
            self.machine.eof(self.now),
        ):
            assert actions == [], "nothing behind the end"

    # Events

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.watch.ticked(self.machine.tick(self.now), self.now)

    def secure(self, *trusted: str) -> None:
        if self.handshake or isinstance(self.machine, Inbound):
            self.handshake = False
            self.look(self.machine.secured(tls(*trusted), self.now))

    def fail_tls(self) -> None:
        if self.handshake:
            self.look(self.machine.tls_failed("no shared cipher", self.now))

    def verify(self, outcome: str, condition: str | None = None) -> None:
        """The oldest question is answered, or asked."""
        machine = self.machine
        if isinstance(machine, Inbound) and self.watch.questions:
            question = self.watch.questions.pop(0)
            if outcome == "valid":
                self.watch.answered.add((question.pair, question.stream_id))
            self.look(machine.verified(question.pair, question.stream_id, outcome, condition, self.now))
        elif isinstance(machine, Outbound) and machine.purpose == "verify" and machine.accepting:
            self.numbers += 1
            self.look(machine.verify(PAIR, "k", str(self.numbers), self.now))

    def answer_nothing(self) -> None:
        """Answers to what was never asked."""
        if isinstance(self.machine, Inbound):
            for pair in (Pair(ALSO_OURS, STRANGER), PAIR):
                if not any(question.pair == pair for question in self.watch.questions):
                    assert self.machine.verified(pair, STREAM_ID, "valid", None, self.now) == []
            assert self.machine.verified(PAIR, "another stream", "valid", None, self.now) == []

    def send(self) -> None:
        machine = self.machine
        if isinstance(machine, Component):
            able = machine.established
        elif isinstance(machine, Inbound):
            able = self.watch.lent(PAIR)
        else:
            assert isinstance(machine, Outbound)
            able = machine.established and machine.purpose == "stanzas"
        if able:
            self.numbers += 1
            stanza = Stanza("message", {"id": str(self.numbers)}, "<body/>", 0, JID(None, OURS), JID(None, THEIRS))
            self.watch.sent.append(stanza)
            self.look(machine.send(stanza, self.now))

    def acknowledge(self) -> None:
        """What was asked for last, as a driver does it."""
        asked = [action.count for action in self.watch.said if isinstance(action, Acknowledge)]
        if asked and isinstance(self.machine, (Inbound, Outbound)):
            self.look(self.machine.acknowledge(asked[-1], self.now))

    def reload(self) -> None:
        """The partner is taken off the list."""
        if isinstance(self.machine, Inbound):
            policy = self.machine.policy
            assert isinstance(policy, Policy)
            self.machine.policy = replace(policy, partners=())

    def close(self, condition: str | None) -> None:
        self.look(self.machine.close(condition, "", self.now))


EVENTS: dict[bytes, Callable[[Conversation], None]] = {
    b"%a": Conversation.acknowledge,
    b"%c": lambda talk: talk.close(None),
    b"%d": lambda talk: talk.close("system-shutdown"),
    b"%e": lambda talk: talk.verify("error", "remote-server-not-found"),
    b"%f": Conversation.fail_tls,
    b"%i": lambda talk: talk.verify("invalid"),
    b"%l": lambda talk: talk.wait(61),
    b"%m": Conversation.send,
    b"%n": Conversation.answer_nothing,
    b"%p": Conversation.reload,
    b"%s": lambda talk: talk.secure(OURS, THEIRS, ALSO_THEIRS),
    b"%t": lambda talk: talk.wait(1.5),
    b"%u": lambda talk: talk.secure(STRANGER),
    b"%v": lambda talk: talk.verify("valid"),
    b"%w": lambda talk: talk.secure(),
    b"%x": lambda talk: talk.close("policy-violation"),
    b"%z": lambda talk: talk.look(talk.machine.eof(talk.now)),
}
"""What can happen; a letter stands for the same in every target, and does nothing where it has no meaning."""

SETTINGS = Settings()


def _chosen(text: bytes) -> tuple[int, bytes]:
    found = _NUMBER.match(text)
    return (int(found[1]), text[found.end() :]) if found else (0, text)


def _partner(number: int) -> tuple[Partner, int]:
    records = rows(THEIRS, ALSO_THEIRS)
    number, row = divmod(number, len(records))
    return records[row], number


def with_inbound(text: bytes) -> Conversation:
    """On a stream that is opened to us."""
    number, text = _chosen(text)
    partner, number = _partner(number)
    policy = Policy(frozenset((OURS, ALSO_OURS)), (partner,))
    ids = iter(range(1_000_000))
    own = credentials(number % 2 == 0)
    return Conversation(Inbound(policy, own, lambda: f"{STREAM_ID}-{next(ids)}", SETTINGS, 0)).run(text)


def with_outbound(text: bytes) -> Conversation:
    """On a stream that we open."""
    number, text = _chosen(text)
    partner, number = _partner(number)
    number, purpose = divmod(number, 2)
    avoid = ((), ("tls",), ("sasl_tls",))[number // 2 % 3]
    own = credentials(number % 2 == 0)
    machine = Outbound(PAIR, ("stanzas", "verify")[purpose], partner, own, SETTINGS, 0, avoid)
    talk = Conversation(machine, partner.auth_methods)
    talk.look(machine.connected(0))
    return talk.run(text)


def with_component(text: bytes) -> Conversation:
    """On our link to the inside server."""
    machine = Component(THEIRS, "secret", SETTINGS, 0)
    talk = Conversation(machine)
    talk.look(machine.connected(0))
    return talk.run(text)


def inbound(text: bytes) -> None:
    with_inbound(text).run_out()


def outbound(text: bytes) -> None:
    with_outbound(text).run_out()


def component(text: bytes) -> None:
    talk = with_component(text)
    if isinstance(talk.machine, Component) and talk.machine.established:
        # Such a link is kept for ever.
        talk.wait(1_000)
        talk.look(talk.machine.eof(talk.now))
    else:
        talk.run_out()


__all__ = [
    "EVENTS",
    "Conversation",
    "component",
    "inbound",
    "outbound",
    "with_component",
    "with_inbound",
    "with_outbound",
]
