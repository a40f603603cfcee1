# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our outbound stream against our inbound one, over every row of both records: proven as these say, or closed.

The way of working out what has to come of two records is in tests/fuzz/pairs.py, apart from the machines. The same is
run by the fuzzer, with chance of its own.
"""

from __future__ import annotations

import random
from dataclasses import fields, replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.pairs import Facts, Two, check, together
from tests.fuzz.world import OURS, PAIR, THEIRS, rows

FAULTS = [field.name for field in fields(Facts) if field.default is True]
ROWS = list(product(rows(THEIRS), rows(OURS)))


class Luck:
    """Chance that a test can repeat."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def below(self, bound: int) -> int:
        return self._random.randrange(bound)


@pytest.mark.parametrize("direct", [False, True], ids=["starttls", "direct"])
@pytest.mark.parametrize("fault", ["none", *FAULTS])
def test_every_row_against_every_row(fault: str, direct: bool) -> None:
    seen = set()
    for number, (of_receiver, of_initiator) in enumerate(ROWS):
        facts = Facts(of_receiver, of_initiator, direct=direct)
        if fault != "none":
            facts = replace(facts, **{fault: False})
        check(facts, together(facts, Luck(number)))
        seen.add(facts.method)
    # That the table is about something.
    without_tls = fault in ("receiver_certificate", "handshake")
    expected = {None, "tcp_dialback"} if without_tls else {None, "tls_dialback", "tcp_dialback", "sasl_tls"}
    if fault in ("initiator_certificate", "receiver_trusted", "initiator_trusted"):
        expected -= {"sasl_tls"}
    if fault == "same_secret":
        expected = {None, "sasl_tls"}
    assert seen == expected


facts = st.builds(
    lambda row, faults: replace(Facts(*row), **dict.fromkeys(faults, False)),
    st.sampled_from(ROWS),
    st.sets(st.sampled_from(FAULTS), max_size=3),
)


@settings(max_examples=150)
@given(facts, st.integers(0, 1 << 32))
def test_faults_together(facts: Facts, seed: int) -> None:
    check(facts, together(facts, Luck(seed)))


@settings(max_examples=150)
@given(facts, st.integers(0, 1 << 32))
def test_a_cut_anywhere_leaves_no_stanza_unaccounted_for(facts: Facts, seed: int) -> None:
    luck = Luck(seed)
    two = Two(facts, luck)
    for _unused in range(luck.below(300)):
        what = luck.below(6)
        if what == 0:
            two.send(two.initiator)
        elif what == 1:
            two.send(two.receiver)
        else:
            two.step()
    two.cut()
    assert two.initiator.closed
    assert two.receiver.closed
    two.check_nothing_lost()


def test_stanzas_go_both_ways_and_are_acknowledged() -> None:
    facts = next(facts for facts in (Facts(*row) for row in ROWS) if facts.method == "sasl_tls")
    two = together(facts, Luck(1))
    for _unused in range(150):
        two.send(two.initiator)
        two.send(two.receiver)
    assert two.watches[two.receiver].lent(PAIR)
    two.settle()
    assert two.received[two.receiver] == two.received[two.initiator] == [str(number) for number in range(150)]
    assert two.receiver.acknowledging
    assert two.initiator.acknowledging
    two.cut()
    assert len(two.watches[two.initiator].doubtful()) < 150
