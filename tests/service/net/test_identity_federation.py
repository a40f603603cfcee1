# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of XEP-0238: six kinds of server, each opening a stream to each.

Both ends are ours, with the records that amount to the policy of their kind, and certificates that are really judged.
The three facts are read off at both ends. V(erified) is dialback in plain, E(ncrypted) dialback over TLS, T(rusted) is
EXTERNAL over TLS, U is no stream.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path

import pytest
from peers.authority import Authority, Pair, self_signed
from protocol.support import SECRET, Partner, Policy
from xmpp_edge.net.identity import Judge
from xmpp_edge.records.partner import auth_methods, normalise
from xmpp_edge.stream.actions import Action, Authenticated, Closed, Failed, Send, StartTls, Verify
from xmpp_edge.stream.actions import Pair as Domains
from xmpp_edge.stream.inbound import Inbound
from xmpp_edge.stream.outbound import Outbound
from xmpp_edge.stream.security import Credentials, Tls
from xmpp_edge.stream.settings import Settings

from .test_identity import Records

CA = Authority("A CA that both trust")


@dataclass(frozen=True)
class Kind:
    """One of the six kinds of server: what it demands of others, and what it has to show."""

    number: int
    tls: str
    sasl: str
    dialback: bool
    pair: Pair | None

    @property
    def initiator(self) -> str:
        return _domains(self.number)[0]

    @property
    def receiver(self) -> str:
        """A second server of the same kind, so that each can meet its like."""
        return _domains(self.number)[1]

    def demands(self, domain: str) -> Partner:
        """Its record of a partner."""
        record = {"tls": self.tls, "sasl": self.sasl, "dialback": self.dialback, "domain": domain}
        full = normalise(record)
        names = ("domain", "tls", "sasl", "dialback")
        return Partner(auth_methods=auth_methods(full), **{name: full[name] for name in names})

    @property
    def credentials(self) -> Credentials:
        return Credentials(SECRET, certificate=self.pair is not None)


def _domains(number: int) -> tuple[str, str]:
    return f"type{number}.example", f"other-type{number}.example"


KINDS = {
    1: Kind(1, "not_supported", "not_supported", True, None),
    2: Kind(2, "optional", "optional", True, self_signed(*_domains(2))),
    3: Kind(3, "optional", "optional", True, CA.issue(*_domains(3))),
    4: Kind(4, "required", "optional", True, self_signed(*_domains(4))),
    5: Kind(5, "required", "optional", True, CA.issue(*_domains(5))),
    6: Kind(6, "required", "required", False, CA.issue(*_domains(6))),
}

TABLE = {1: "VVVUUU", 2: "VVEEUU", 3: "VVEEET", 4: "UEEEEU", 5: "UETETT", 6: "UUTUTT"}
"""XEP-0238, section 3: a row an initiator, a column a receiver."""

OTHERWISE = {
    (2, 2): ("E", "encryption does not wait for certificates that are trusted (RFC 7590)"),
    (3, 2): ("E", "encryption does not wait for certificates that are trusted (RFC 7590)"),
    (2, 5): ("E", "a record that lets dialback in demands encryption, and asks for no trust besides"),
    (3, 3): ("T", "where both certificates are trusted, EXTERNAL comes before dialback"),
    (3, 5): ("T", "where both certificates are trusted, EXTERNAL comes before dialback"),
}
"""Where we differ, and why: always to the stronger, never to a stream without the proof that a record demands."""

FACTS = {
    "V": ("tcp_dialback", False),
    "E": ("tls_dialback", True),
    "T": ("sasl_tls", True),
}


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Judge:
    path: Path = tmp_path_factory.mktemp("anchors") / "ca.pem"
    return Judge(Records(str(CA.write(path))))


class Meeting:
    """Two machines, and what carries out their actions."""

    def __init__(self, initiator: Kind, receiver: Kind, judge: Judge) -> None:
        self.kinds = initiator, receiver
        self._judge = judge
        here, there = initiator.initiator, receiver.receiver
        self.out = Outbound(
            Domains(here, there), "stanzas", initiator.demands(there), initiator.credentials, Settings(), 0
        )
        policy = Policy(domains=frozenset({there}), partners=(receiver.demands(here),))
        self.inn = Inbound(policy, receiver.credentials, lambda: "D60000229F", Settings(), 0, "192.0.2.1")
        self.facts: dict[str, Authenticated] = {}
        self.ended = False
        self._shaking = 0

    def run(self) -> None:
        pending = deque([(self.out, self.out.connected(0))])
        while pending:
            machine, actions = pending.popleft()
            other = self.inn if machine is self.out else self.out
            for action in actions:
                pending.extend(self._carried_out(machine, other, action))

    def _carried_out(self, machine, other, action: Action) -> list:
        match action:
            case Send(data):
                return [(other, other.receive(data, 0))]
            case Verify(pair, _key, stream_id):
                return [(machine, machine.verified(pair, stream_id, "valid", None, 0))]
            case Authenticated():
                self.facts["out" if machine is self.out else "in"] = action
            case StartTls():
                self._shaking += 1
                if self._shaking == len(self.kinds):  # the hands of both
                    return [
                        (self.inn, self.inn.secured(self._tls(0), 0)),
                        (self.out, self.out.secured(self._tls(1), 0)),
                    ]
            case Failed() | Closed():
                self.ended = True
        return []

    def _tls(self, peer: int) -> Tls:
        """What an end learns of the other: number 0 is the initiator, 1 the receiver."""
        pair = self.kinds[peer].pair
        chain = pair.presented if pair else ()
        return Tls("TLSv1.3", "TLS_AES_256_GCM_SHA384", False, bool(chain), lambda name: self._judge.trust(chain, name))


@pytest.mark.parametrize("receiver", KINDS)
@pytest.mark.parametrize("initiator", KINDS)
def test_who_reaches_whom(initiator: int, receiver: int, judge: Judge) -> None:
    said = TABLE[initiator][receiver - 1]
    wanted, _why = OTHERWISE.get((initiator, receiver), (said, ""))
    meeting = Meeting(KINDS[initiator], KINDS[receiver], judge)
    meeting.run()
    if wanted == "U":
        assert meeting.facts == {}
        assert meeting.ended
        return
    for end, peer, domain in (
        ("out", KINDS[receiver], KINDS[receiver].receiver),
        ("in", KINDS[initiator], KINDS[initiator].initiator),
    ):
        fact = meeting.facts[end]
        assert (fact.method, fact.encrypted) == FACTS[wanted]
        # Trusted is what the certificate is worth, whichever way the domain was proven.
        worth = wanted != "V" and peer.pair is not None and judge.trust(peer.pair.presented, domain).trusted
        assert fact.trusted == worth
    if wanted == "T":
        assert meeting.facts["out"].trusted
        assert meeting.facts["in"].trusted


def test_every_difference_is_to_the_stronger() -> None:
    strength = "UVET"
    for (initiator, receiver), (ours, why) in OTHERWISE.items():
        assert strength.index(ours) > strength.index(TABLE[initiator][receiver - 1])
        assert why
