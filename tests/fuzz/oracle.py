# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must never be, whatever comes in: an oracle beside a stream machine, for what is said against what is known."""

from __future__ import annotations

from collections.abc import Sequence

from xmpp_edge.stream.actions import (
    Acknowledge,
    Action,
    Authenticated,
    Closed,
    Deliver,
    Doubtful,
    Failed,
    Pair,
    Send,
    StartTls,
    Unsent,
    Verified,
    Verify,
)
from xmpp_edge.stream.component import Component
from xmpp_edge.stream.inbound import Inbound
from xmpp_edge.stream.machine import Machine, State
from xmpp_edge.stream.outbound import Outbound
from xmpp_edge.xml.stanza import Stanza

from .world import Partner, Policy

_METHODS_OF_TLS = {True: ("sasl_tls", "tls_dialback"), False: ("tcp_dialback",)}


class Watch:
    """Looks at every action of one machine; each broken rule is an AssertionError."""

    def __init__(self, machine: Machine, methods: Sequence[str] = ()) -> None:
        self.machine = machine
        self.said: list[Action] = []
        self.proven: dict[Pair, str] = {}
        self.sent: list[Stanza] = []
        """What was sent through an Outbound or Inbound, and may have been written."""
        self.delivered = 0
        self.questions: list[Verify] = []
        """Verifications that nobody has answered."""
        self.answered: set[tuple[Pair, str]] = set()
        """What was answered with ``valid``."""
        self._methods = methods
        self._settled = 0

    def look(self, actions: list[Action], now: float) -> list[Action]:
        """The same actions, looked at."""
        machine = self.machine
        for action in actions:
            assert not any(isinstance(before, Closed) for before in self.said[-1:]), "Closed is the last"
            self.said.append(action)
            if isinstance(action, Authenticated):
                self._authenticated(action)
            elif isinstance(action, Failed):
                self._settle(action.pair)
            elif isinstance(action, Deliver):
                self._delivered(action)
            elif isinstance(action, Verify):
                assert action.stream_id == self._stream_id()
                self.questions.append(action)
            elif isinstance(action, Send):
                assert action.data
                self._never_plain(action.data)
            elif isinstance(action, StartTls):
                assert machine.tls is None
                # TLS is offered to who has not said yet who it is; the record is asked behind it.
                nameless = isinstance(machine, Inbound) and machine.remote is None
                assert nameless or {"sasl_tls", "tls_dialback"} & set(self._all_methods())
            elif isinstance(action, Doubtful):
                assert all(stanza in self.sent for stanza in action.stanzas)
            elif isinstance(action, Acknowledge):
                assert 0 <= action.count <= self.delivered
        assert machine.closed == bool(self.said and isinstance(self.said[-1], Closed)), "Closed is said"
        if machine.closed:
            assert machine.deadline is None
            if isinstance(machine, Outbound) and machine.purpose == "stanzas":
                assert self._settled == 1, "exactly one of Authenticated and Failed"
        return actions

    def ticked(self, actions: list[Action], now: float) -> list[Action]:
        """A tick must not be wanted again at the same time: a driver would never rest."""
        self.look(actions, now)
        deadline = self.machine.deadline
        assert deadline is None or deadline > now, f"tick({now}) leaves the deadline at {deadline}"
        return actions

    def _all_methods(self) -> Sequence[str]:
        machine = self.machine
        if not isinstance(machine, Inbound):
            return self._methods
        policy = machine.policy
        assert isinstance(policy, Policy)
        partner = policy.partner(machine.remote) if machine.remote is not None else None
        return partner.auth_methods if partner is not None else ()

    def _stream_id(self) -> str:
        assert isinstance(self.machine, Inbound)
        return self.machine.stream_id

    def _authenticated(self, action: Authenticated) -> None:
        machine, pair = self.machine, action.pair
        encrypted = machine.tls is not None
        assert action.encrypted == encrypted
        assert action.method in _METHODS_OF_TLS[encrypted], "the method of a stream of this kind"
        assert not action.trusted or (machine.tls is not None and machine.tls.judge(pair.remote).trusted)
        assert action.method != "sasl_tls" or action.trusted or isinstance(machine, Inbound)
        if action.method == "sasl_tls":
            assert machine.tls is not None
            assert machine.tls.judge(pair.remote).trusted, "EXTERNAL is proven by a certificate"
        assert not action.bidi or encrypted
        if isinstance(machine, Inbound):
            partner = machine.policy.partner(pair.remote)
            assert isinstance(partner, Partner)
            assert action.method in partner.auth_methods, "the record's methods and no others"
            assert pair.local in machine.policy.domains
            assert machine.policy.federation
            assert pair not in self.proven
            if action.method == "sasl_tls":
                assert (machine.local, machine.remote) == (pair.local, pair.remote)
            else:
                assert (pair, machine.stream_id) in self.answered, "an answer was asked for, and was yes"
        else:
            assert isinstance(machine, Outbound)
            assert pair == machine.pair
            assert action.method in self._methods, "the record's methods and no others"
            self._settle(pair)
        self.proven[pair] = action.method

    def _settle(self, pair: Pair) -> None:
        assert isinstance(self.machine, Outbound)
        assert pair == self.machine.pair
        self._settled += 1
        assert self._settled == 1, "exactly one of Authenticated and Failed"

    def _delivered(self, action: Deliver) -> None:
        self.delivered += 1
        stanza = action.stanza
        assert stanza.from_ is not None
        assert stanza.to is not None
        assert "from" not in stanza.attrs
        assert "to" not in stanza.attrs
        if isinstance(self.machine, Component):
            assert action.pair is None
            return
        assert action.pair in self.proven, "stanzas of proven pairs only"
        assert action.pair == Pair(stanza.to.domain, stanza.from_.domain)
        if isinstance(self.machine, Outbound):
            assert any(isinstance(said, Authenticated) and said.bidi for said in self.said)

    def _never_plain(self, data: bytes) -> None:
        """Nothing that proves, and no stanza, on a plain stream of a record that demands TLS."""
        machine = self.machine
        if machine.tls is not None or isinstance(machine, Component):
            return
        if isinstance(machine, Outbound) and "tcp_dialback" not in self._methods:
            for start in (b"<db:", b"<message", b"<presence", b"<iq", b"<auth"):
                assert start not in data, "plain text where the record demands TLS"

    def lent(self, pair: Pair) -> bool:
        """An inbound stream on which stanzas of this pair can be sent now."""
        bidi = any(isinstance(said, Authenticated) and said.bidi and said.pair == pair for said in self.said)
        return bidi and self.machine._state is State.OPEN

    def verdicts(self) -> list[Verified]:
        return [action for action in self.said if isinstance(action, Verified)]

    def unsent(self) -> list[Stanza]:
        return [action.stanza for action in self.said if isinstance(action, Unsent)]

    def doubtful(self) -> list[Stanza]:
        return [stanza for action in self.said if isinstance(action, Doubtful) for stanza in action.stanzas]
