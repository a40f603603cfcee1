# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to messages while a server is away, and after it is back."""

from __future__ import annotations

from peers.client import Client

from .conftest import USERS, World
from .server import Server
from .test_inside import say


def again(client: Client, server: Server) -> Client:
    """The same user with a connection to the server that was started again."""
    return Client(client.address, client.password, ("127.0.0.1", server.c2s))


def test_the_inside_server_goes_and_comes_back(world: World):
    async def test() -> None:
        await world.inside.stop()
        await say(world.bob, world.alice.address, "Anybody?", id="away")
        answer = await world.bob.wait(id="away")
        assert answer.type == "error"
        assert answer.element.find("{jabber:client}error").get("type") == "wait"
        await world.inside.start_again()
        await world.edge.wait_links(timeout=30)
        async with again(world.alice, world.inside) as alice:
            await say(world.bob, alice.address, "Hello again", id="back")
            assert (await alice.wait(id="back")).body == "Hello again"
            await say(alice, world.bob.address, "Hello you", id="out")
            assert (await world.bob.wait(id="out")).body == "Hello you"

    world.run(test())


def test_the_partner_goes_and_comes_back(world: World):
    async def test() -> None:
        async with again(world.alice, world.inside) as alice:
            await world.partner.stop()
            await say(alice, world.bob.address, "Anybody?", id="away")
            assert (await alice.wait(timeout=30, id="away")).type == "error"
            await world.partner.start_again()
            async with again(world.bob, world.partner) as bob:
                await say(bob, alice.address, "Hello again", id="in")
                assert (await alice.wait(id="in")).body == "Hello again"
                await say(alice, bob.address, "Hello you", id="out")
                assert (await bob.wait(timeout=30, id="out")).body == "Hello you"

    world.run(test())


def test_a_user_gets_access_by_a_reload(world: World):
    async def test() -> None:
        async with (
            again(world.bob, world.partner) as bob,
            Client("carol@inside.example", USERS["carol"], ("127.0.0.1", world.inside.c2s)) as carol,
        ):
            await say(bob, carol.address, "Hello?", id="before")
            assert (await bob.wait(id="before")).type == "error"
            world.edge.grants[carol.address] = "FedPic"
            world.edge.write()
            assert world.edge.call("reload")
            await say(bob, carol.address, "Hello!", id="after")
            assert (await carol.wait(id="after")).body == "Hello!"

    world.run(test())
