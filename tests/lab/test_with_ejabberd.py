# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The same from blank hosts, with ejabberd inside."""

from __future__ import annotations

import pytest

from .control_node import EDGE, INSIDE, Lab
from .test_federation import (
    ALICE,
    BOB,
    JULIET,
    MALLORY,
    ROMEO,
    add_partner,
    assert_talking,
    assert_unchanged,
    exchange,
    remove_partner,
)

INSIDE_SERVER = "ejabberd"


@pytest.mark.foundation
def test_one_run_makes_a_federation(lab: Lab) -> None:
    lab.edit("federation", lambda variables: variables["xmpp_edge_inside"].update(server="ejabberd"))
    lab.play("xmpp.federation.wheelhouse").must_succeed()
    lab.apply("--check")
    lab.apply()
    assert_talking()
    assert_unchanged(lab.site())


def test_strangers_and_users_without_access_are_refused(lab: Lab) -> None:
    letters = (ALICE, MALLORY), (MALLORY, ALICE), (BOB, ROMEO), (ROMEO, BOB)
    assert [answer.arrived for answer in exchange(*letters)] == [False] * 4


def test_partners_come_and_go_without_a_restart(lab: Lab) -> None:
    def pids() -> dict[str, int]:
        return {unit: lab.main_pid(host, unit) for host, unit in ((EDGE, "xmpp-edge"), (INSIDE, "ejabberd"))}

    before = pids()
    lab.edit("federation", lambda variables: add_partner(variables, "yahoo.example"))
    lab.apply()
    assert_talking((ALICE, JULIET), (JULIET, ALICE), (ALICE, ROMEO))
    lab.edit("federation", lambda variables: remove_partner(variables, "yahoo.example"))
    lab.apply()
    assert [answer.arrived for answer in exchange((ALICE, JULIET), (JULIET, ALICE))] == [False, False]
    assert_talking()
    assert pids() == before
