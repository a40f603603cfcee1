# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A partner that acknowledges slowly: what it has not room for waits, in order, and is neither lost nor bounced."""

from __future__ import annotations

from dataclasses import replace

from .harness import ALICE, OURS, THEIRS, eventually, run
from .tls_world import FULL, facing, say

MOST = 50


def test_stanzas_wait_for_acknowledgements_and_then_go_on():
    async def test() -> None:
        async with facing(replace(FULL, acks=True)) as (here, (server,)):
            await say(here, "first")
            session = await server.session()
            await session.until("message first")
            machine = here.service.relay.routes.between(OURS, THEIRS).stream.machine
            await eventually(lambda: machine.acknowledging and not machine._sending.sent)
            machine._sending.sent.most = MOST
            take = server._take

            async def deaf(session_, element) -> bool:
                return True if element.tag.endswith("}r") else await take(session_, element)

            server._take = deaf
            for number in range(2 * MOST + 10):
                await say(here, str(number))
            await session.until(f"message {MOST - 1}")
            await eventually(lambda: machine.full)
            # All that came before it has been looked at when this has come back from the inside.
            await eventually(lambda: len(here.service.relay.routes.between(OURS, THEIRS)._queue) == MOST + 10)
            assert len(session.stanzas) == 1 + MOST
            # What it has had before counts as well: one, then what it took in silence.
            await session.wire.send(f"<a xmlns='urn:xmpp:sm:3' h='{1 + MOST}'/>")
            await session.until(f"message {2 * MOST - 1}")
            await session.wire.send(f"<a xmlns='urn:xmpp:sm:3' h='{1 + 2 * MOST}'/>")
            await session.until(f"message {2 * MOST + 9}")
            assert [stanza.get("id") for stanza in session.stanzas[1:]] == [
                str(number) for number in range(2 * MOST + 10)
            ]
            assert here.inside.mailbox(ALICE).history == []

    run(test)
