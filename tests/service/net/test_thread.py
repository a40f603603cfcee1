# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stanza crosses, both ways."""

from __future__ import annotations

from .harness import ALICE, BOB, run, world


def test_messages_cross_both_ways():
    async def test() -> None:
        async with world() as here:
            await here.inside.send_message(f"{ALICE}/desk", BOB, "a < b & 'c'")
            assert (await here.partner.mailbox(BOB).wait()).body == "a < b & 'c'"
            await here.partner.send_message(f"{BOB}/phone", ALICE, "back")
            assert (await here.inside.mailbox(ALICE).wait()).body == "back"

    run(test)
