# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Partners whose names are not ASCII, and a partner with two domains."""

from __future__ import annotations

import pytest
from peers import stanzas

from .conftest import BOOKS, World
from .test_inside import say


@pytest.mark.parametrize("domain", BOOKS)
def test_names_that_are_not_ascii_cross_both_ways(world: World, domain: str):
    async def test() -> None:
        zoe = f"zoë@{domain}"
        await say(world.alice, zoe, "Bücher?", id="there")
        got = await world.books.mailbox(zoe).wait(lambda stanza: stanza.id == "there")
        assert (got.sender, got.to, got.body) == (world.alice.full, zoe, "Bücher?")
        await world.books.send_message(f"{zoe}/läden", world.alice.address, "Ja", id_=f"back from {domain}")
        got = await world.alice.wait(id=f"back from {domain}")
        assert (got.sender, got.body) == (f"{zoe}/läden", "Ja")

    world.run(test())


def test_both_domains_of_a_partner_answer_pings(world: World):
    async def test() -> None:
        for domain in BOOKS:
            await world.alice.send(f"<iq to='{domain}' type='get' id='{domain}'><ping xmlns='{stanzas.PING}'/></iq>")
            assert (await world.alice.wait(kind="iq", id=domain)).type == "result"
            assert (await world.books.ping(domain, "inside.example")).type == "result"

    world.run(test())


def test_one_domain_may_not_speak_for_the_other(world: World):
    """A stream that is proven for one domain of a partner says nothing about the other."""

    async def test() -> None:
        link = await world.books.verified_stream(BOOKS[0], "inside.example")
        await link.wire.send(stanzas.message(f"zoë@{BOOKS[1]}", world.alice.address, "not proven here"))
        down = await world.books.wait_noted("link down", local=BOOKS[0])
        assert "invalid-from" in down["text"]
        assert [stanza for stanza in world.alice.mailbox.history if stanza.body == "not proven here"] == []

    world.run(test())
