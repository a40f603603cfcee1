# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has to go when there are too many strangers, and how often one address may cost us something."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from xmpp_edge.net.pace import Pace
from xmpp_edge.net.strangers import Strangers


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=200))
def test_the_first_to_go_is_the_oldest_of_the_address_with_most(steps):
    strangers: Strangers[int] = Strangers()
    here: dict[int, str] = {}
    for number, (address, comes) in enumerate(steps):
        if comes or not here:
            here[number] = f"10.0.0.{address}"
            assert strangers.add(number, here[number]) == Counter(here.values())[here[number]]
        else:
            gone = [*here][address % len(here)]
            strangers.remove(gone)
            del here[gone]
        assert [*strangers] == [*here]
        counts = Counter(here.values())
        assert strangers.addresses == len(counts)
        if here:
            first = strangers.first_to_go()
            assert counts[here[first]] == max(counts.values())
            assert first == next(one for one in here if here[one] == here[first])


def test_who_is_not_here_cannot_go():
    strangers: Strangers[int] = Strangers()
    strangers.remove(1)
    strangers.add(1, "10.0.0.1")
    strangers.remove(1)
    strangers.remove(1)
    assert len(strangers) == 0


def test_many_at_once_and_few_for_ever():
    pace = Pace(burst=10, per_second=2)
    assert [pace.allows("a", 0) for _unused in range(12)] == [True] * 10 + [False] * 2
    assert pace.allows("b", 0)
    assert [pace.allows("a", 1.0) for _unused in range(3)] == [True, True, False]
    assert sum(pace.allows("a", 1 + tenth / 10) for tenth in range(1, 101)) == 20


def test_addresses_are_forgotten():
    pace = Pace(burst=10, per_second=2)
    for number in range(30_000):
        pace.allows(str(number), 0)
    assert len(pace) <= 10_001
    pace.allows("late", 10)
    assert len(pace) == 1
