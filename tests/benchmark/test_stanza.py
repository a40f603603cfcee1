# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one message costs in the protocol core: no sockets, one core, CPU time.

The last line is the whole way of a message through it: parsed, addresses made canonical, gates asked, written. Expat
alone, with handlers that do nothing, is measured beside it in the same run, so that the ratio means something on any
machine. The interpreter matters: one built without profile-guided optimisation takes a third longer than Debian's, so
this file can also be run as it is: ``/usr/bin/python3 tests/benchmark/test_stanza.py``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from xml.parsers import expat

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "roles" / "xmpp_edge" / "files"))

from xmpp_edge.gates import decide
from xmpp_edge.stream.actions import Deliver, Pair
from xmpp_edge.stream.inbound import Inbound
from xmpp_edge.stream.security import Credentials
from xmpp_edge.stream.settings import Settings
from xmpp_edge.xml.parser import Parser
from xmpp_edge.xml.stanza import Stanza
from xmpp_edge.xml.writer import write_stanza

MESSAGE = (
    b"<message from='juliet@partner.example/balcony' to='romeo@inside.example/garden' type='chat' id='a1b2c3d4'>"
    b"<body>Wherefore art thou, Romeo? Deny thy father!</body>"
    b"<active xmlns='http://jabber.org/protocol/chatstates'/></message>"
)
HEADER = (
    b"<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'"
    b" xmlns:db='jabber:server:dialback' from='partner.example' to='inside.example' version='1.0'>"
)
RESULT = b"<db:result from='partner.example' to='inside.example'>key</db:result>"
PER_READ = 10
READS = 100


class _Open:
    """One partner, one policy, all gates open."""

    federation = True
    domains = frozenset(("inside.example",))
    domain = "partner.example"
    partner_type = "public_unverified"
    tls = sasl = "not_supported"
    dialback = keepalive = True
    auth_methods = ("tcp_dialback",)
    name = "FedPic"
    federation_access = xmpp_access = public_cloud_access = True

    def __init__(self) -> None:
        self.by_domain = {"partner.example": self}
        self.grants = {"romeo@inside.example": self}

    def partner(self, domain: str) -> _Open | None:
        return self.by_domain.get(domain)

    def policy_of(self, bare: str) -> _Open:
        return self.grants.get(bare, self)


def best(work: Callable[[], object], rounds: int = 40) -> float:
    """Microseconds a message, in the quietest of many short rounds."""
    times = []
    for _unused in range(rounds):
        began = time.process_time()
        for _unused_too in range(READS):
            work()
        times.append(time.process_time() - began)
    return min(times) / (READS * PER_READ) * 1e6


def expat_alone() -> Callable[[], object]:
    parser = expat.ParserCreate("UTF-8", "\x0c")
    parser.buffer_text = True
    parser.StartElementHandler = lambda name, attrs: None
    parser.EndElementHandler = lambda name: None
    parser.CharacterDataHandler = lambda text: None
    parser.Parse(HEADER)
    return lambda: parser.Parse(MESSAGE * PER_READ)


def parse() -> Callable[[], object]:
    parser = Parser(Settings().after)
    parser.feed(HEADER)
    return lambda: parser.feed(MESSAGE * PER_READ)


def parse_and_write() -> Callable[[], object]:
    parser = Parser(Settings().after)
    parser.feed(HEADER)

    def work() -> None:
        for event in parser.feed(MESSAGE * PER_READ):
            assert isinstance(event, Stanza)
            write_stanza(event)

    return work


def whole_way() -> Callable[[], object]:
    policy = _Open()
    machine = Inbound(policy, Credentials("secret"), lambda: "id", Settings(), 0)
    machine.receive(HEADER + RESULT, 0)
    machine.verified(Pair("inside.example", "partner.example"), "id", "valid", None, 0)

    def work() -> None:
        for action in machine.receive(MESSAGE * PER_READ, 1):
            assert isinstance(action, Deliver)
            stanza = action.stanza
            assert stanza.from_ is not None
            assert stanza.to is not None
            assert decide(policy, "in", stanza.from_, stanza.to).passed
            write_stanza(stanza)

    return work


def test_cost_of_a_message() -> None:
    floor = best(expat_alone())
    print(f"\n{len(MESSAGE)}-byte chat message, {PER_READ} a read, CPU time of one core, {sys.executable}:")
    print(f"  expat with empty handlers          {floor:6.2f} us")
    for name, made in (("parsed", parse), ("parsed and written", parse_and_write), ("the whole way", whole_way)):
        cost = best(made())
        print(f"  {name:34} {cost:6.2f} us   {cost / floor:4.1f} x")
    assert cost / floor < 5


if __name__ == "__main__":
    test_cost_of_a_message()
