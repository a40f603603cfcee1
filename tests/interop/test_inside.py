# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users of a real server inside and of a real partner talk through the edge."""

from __future__ import annotations

import pytest

from .conftest import World

PING = "<ping xmlns='urn:xmpp:ping'/>"
TEXTS = ["Hello", "a < b & 'c' > \"d\"", "Grüße, \u4f60\u597d, \U0001f44b", " leading and trailing ", "two\nlines\ttab"]


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


async def say(sender, to: str, body: str, **attributes: str) -> None:
    more = "".join(f" {name}='{value}'" for name, value in attributes.items())
    await sender.send(f"<message to='{to}' type='chat'{more}><body>{escaped(body)}</body></message>")


@pytest.mark.parametrize("body", TEXTS)
def test_messages_cross_both_ways(world: World, body: str):
    async def test() -> None:
        await say(world.alice, world.bob.address, body, id="there")
        got = await world.bob.wait(kind="message", id="there")
        assert (got.sender, got.body) == (world.alice.full, body)
        await say(world.bob, world.alice.full, body, id="back")
        got = await world.alice.wait(kind="message", id="back")
        assert (got.sender, got.body) == (world.bob.full, body)

    world.run(test())


def test_a_conversation_keeps_its_order(world: World):
    async def test() -> None:
        wanted = [f"message {number}" for number in range(200)]
        for sender, receiver in ((world.alice, world.bob), (world.bob, world.alice)):
            for body in wanted:
                await say(sender, receiver.full, body, id="order")
            assert [(await receiver.wait(id="order")).body for _unused in wanted] == wanted

    world.run(test())


def test_iqs_are_answered_both_ways(world: World):
    async def test() -> None:
        for asker, asked in ((world.alice, world.bob), (world.bob, world.alice)):
            for to in (asked.full, asked.domain):
                await asker.send(f"<iq to='{to}' type='get' id='ping-{to}'>{PING}</iq>")
                got = await asker.wait(kind="iq", id=f"ping-{to}")
                assert (got.type, got.sender) == ("result", to)

    world.run(test())


def test_subscription_and_presence_cross(world: World):
    async def test() -> None:
        alice, bob = world.alice, world.bob
        for asker, asked in ((alice, bob), (bob, alice)):
            await asker.send(f"<presence to='{asked.address}' type='subscribe'/>")
            await asked.wait(kind="presence", type="subscribe", sender=asker.address)
            await asked.send(f"<presence to='{asker.address}' type='subscribed'/>")
            await asker.wait(kind="presence", type="subscribed", sender=asked.address)
            await asker.wait(kind="presence", type="", sender=asked.full)
        await bob.send("<presence><show>away</show></presence>")
        await alice.mailbox.wait(lambda stanza: any(child.text == "away" for child in stanza.element))
        for asker, asked in ((alice, bob), (bob, alice)):
            await asker.send(f"<presence to='{asked.address}' type='unsubscribe'/>")
            await asked.wait(kind="presence", type="unsubscribe", sender=asker.address)

    world.run(test())


def test_a_user_without_access_is_refused_both_ways(world: World):
    async def test() -> None:
        await say(world.carol, world.bob.address, "May I?", id="out")
        refused = await world.carol.wait(kind="message", id="out")
        assert refused.type == "error"
        assert refused.text
        answers = []
        for local in ("carol", "nobody", "CAROL", "car\u00adol", "\uff43arol"):
            await say(world.bob, f"{local}@inside.example", "Hello?", id="in")
            answer = await world.bob.wait(kind="message", id="in")
            answers.append((answer.type, answer.condition, answer.text))
        assert set(answers) == {answers[0]}
        assert answers[0][:2] == ("error", "service-unavailable")
        assert [stanza for stanza in world.carol.mailbox.history if stanza.body == "Hello?"] == []

    world.run(test())


@pytest.mark.parametrize("local", ["ALICE", "ali\u00adce", "\uff41lice"])
def test_aliases_of_a_user_with_access_reach_her(world: World, local: str):
    async def test() -> None:
        await say(world.bob, f"{local}@inside.example", "Hello", id=f"alias {local}")
        assert (await world.alice.wait(kind="message", id=f"alias {local}")).sender == world.bob.full

    world.run(test())
