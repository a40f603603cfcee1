# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""docs/security.md says what the tests prove."""

from __future__ import annotations

import re

import security
import tree


def test_tables_are_those_of_the_tests() -> None:
    assert security.render() == security.PAGE.read_text(encoding="utf-8"), "run `make docs`"


def test_every_part_stands_on_the_page() -> None:
    marks = re.findall(r"<!-- ([\w ]+): begin -->", security.PAGE.read_text(encoding="utf-8"))
    assert sorted(marks) == sorted(security.PARTS)


def test_code_that_is_named_is_there() -> None:
    service = tree.ROOT / "roles/xmpp_edge/files/xmpp_edge"
    named = re.findall(r"`((?:net|stream|xml)/[\w.]*|\w+\.py)`", security.PAGE.read_text(encoding="utf-8"))
    assert named
    assert [name for name in named if not (service / name).exists()] == []
