# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real servers over TLS: what each mode has to prove, and that everything crosses."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from peers.client import Client

from .modes import ACKS, BIDI, MODES, STRICT, Mode
from .secure import SERVERS, Secure, secure_world
from .test_inside import PING, say

Test = Callable[[Secure], Awaitable[None]]


@pytest.fixture
def meet(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[Mode, Test], None]:
    """Makes the world of a mode and runs a test in it; a failure is explained by the logs."""

    def run(mode: Mode, test: Test) -> None:
        if missing := SERVERS[mode.server].MISSING or SERVERS["prosody"].MISSING:
            pytest.skip(missing)

        async def in_world() -> None:
            async with secure_world(tmp_path, mode) as world:
                request.node.funcargs["world"] = world
                await test(world)

        asyncio.run(in_world())

    return run


async def everything_crosses(world: Secure) -> None:
    """Messages, IQ and presence, first from ours."""
    alice, bob = world.alice, world.bob
    for sender, receiver in ((alice, bob), (bob, alice)):
        await say(sender, receiver.address, "Hello", id=f"to-{receiver.local}")
        got = await receiver.wait(30, kind="message", id=f"to-{receiver.local}")
        assert (got.sender, got.body) == (sender.full, "Hello")
    for asker, asked in ((alice, bob), (bob, alice)):
        await asker.send(f"<iq to='{asked.full}' type='get' id='ping-{asked.local}'>{PING}</iq>")
        got = await asker.wait(kind="iq", id=f"ping-{asked.local}")
        assert (got.type, got.sender) == ("result", asked.full)
        await asker.send(f"<presence to='{asked.address}' type='subscribe'/>")
        await asked.wait(kind="presence", type="subscribe", sender=asker.address)
        await asked.send(f"<presence to='{asker.address}' type='subscribed'/>")
        await asker.wait(kind="presence", type="subscribed", sender=asked.address)
        await asker.wait(kind="presence", type="", sender=asked.full)


def picked(*names: str) -> list[Mode]:
    return [mode for mode in MODES if mode.id in names]


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.id)
def test_everything_crosses(meet: Callable[[Mode, Test], None], mode: Mode) -> None:
    async def test(world: Secure) -> None:
        await everything_crosses(world)
        bidi = BIDI in mode.features
        out, incoming = world.streams("out"), world.streams("in")
        assert world.methods("out") == {mode.outbound}
        for stream in (*out, *incoming):
            assert stream["tls"].startswith("TLSv1.3 ")
            assert stream["bidi"] == bidi
        if bidi:
            assert not incoming  # what comes back, comes on the same stream
        else:
            assert world.methods("in") == {mode.inbound}
        if ACKS in mode.features:
            log = world.partner.everything("prosody.log")
            assert "Received ack request, acking for" in log
            if bidi:
                assert "Sending[s2sin]: <r xmlns='urn:xmpp:sm:3'>" in log  # it asks us for ours as well
            else:
                assert "Sending[s2sout]: <enable xmlns='urn:xmpp:sm:3'>" in log
                assert re.search(r"Received\[s2sout\]: <a [^>]*h='[1-9]", log)

    meet(mode, test)


@pytest.mark.parametrize(
    "mode", picked("prosody-external", "prosody-bidi", "ejabberd-external"), ids=lambda mode: mode.id
)
def test_the_partner_speaks_first(meet: Callable[[Mode, Test], None], mode: Mode) -> None:
    async def test(world: Secure) -> None:
        await say(world.bob, world.alice.address, "Hello", id="first")
        await world.alice.wait(kind="message", id="first")
        assert world.methods("in") == {mode.inbound}
        await say(world.alice, world.bob.full, "Back", id="second")
        await world.bob.wait(kind="message", id="second")
        if BIDI in mode.features:
            assert world.streams("out") == []
            assert all(stream["bidi"] for stream in world.streams("in"))

    meet(mode, test)


def test_what_a_partner_has_not_acknowledged_is_in_doubt(meet: Callable[[Mode, Test], None]) -> None:
    """It stops working, takes bytes still, and dies: TCP has confirmed what Prosody has never seen."""

    async def test(world: Secure) -> None:
        await say(world.alice, world.bob.address, "Hello", id="before")
        await world.bob.wait(20, kind="message", id="before")
        async with asyncio.timeout(20):
            while "acking for 1" not in world.partner.everything("prosody.log"):
                await asyncio.sleep(0.05)
        assert world.partner.process is not None
        os.killpg(world.partner.process.pid, signal.SIGSTOP)
        for number in range(5):
            await say(world.alice, world.bob.address, "Hello", id=f"doubt-{number}")
        async with asyncio.timeout(20):
            while world.edge.call("status")["counters"]["out"] < 6:
                await asyncio.sleep(0.05)
        os.killpg(world.partner.process.pid, signal.SIGKILL)
        for number in range(5):
            got = await world.alice.wait(kind="message", id=f"doubt-{number}", type="error", timeout=20)
            assert [child.get("type") for child in got.element if child.tag.endswith("}error")] == ["wait"]
        told = [stanza.id for stanza in world.alice.mailbox.history if stanza.kind == "message"]
        assert sorted(told) == [f"doubt-{number}" for number in range(5)]

    meet(*picked("prosody-acks"), test)


def heard(user: Client, id_: str) -> int:
    """How many messages with this id a user has got, errors among them."""
    return sum(stanza.kind == "message" and stanza.id == id_ for stanza in user.mailbox.history)


@pytest.mark.parametrize("mode", picked("prosody-bidi-acks", "ejabberd-external"), ids=lambda mode: mode.id)
def test_a_partner_goes_and_comes_back(meet: Callable[[Mode, Test], None], mode: Mode) -> None:
    async def test(world: Secure) -> None:
        await say(world.alice, world.bob.address, "Hello", id="before")
        await world.bob.wait(30, kind="message", id="before")
        await world.partner.stop()
        async with asyncio.timeout(20):
            while world.streams("out"):
                await asyncio.sleep(0.1)
        await world.partner.start_again()
        async with Client(world.bob.address, world.bob.password, world.bob.server) as bob:
            # Where an attempt meets nobody yet, an error comes back, and a later one gets through.
            sent: list[str] = []
            while not sent or not heard(bob, sent[-1]):
                sent.append(f"after-{len(sent)}")
                await say(world.alice, bob.full, "Hello", id=sent[-1])
                async with asyncio.timeout(20):
                    while not heard(bob, sent[-1]) and not heard(world.alice, sent[-1]):
                        await asyncio.sleep(0.1)
            assert [heard(bob, each) + heard(world.alice, each) for each in sent] == [1] * len(sent)
            assert world.methods("out") == {mode.outbound}
            await say(bob, world.alice.full, "Hello", id="back")
            await world.alice.wait(30, kind="message", id="back")

    meet(mode, test)


REFUSED = [
    Mode("prosody-self-signed", "prosody", STRICT, None, None, certificate="self_signed"),
    Mode("prosody-dialback-against-strict", "prosody", STRICT, None, None, "self_signed", "both", True, False),
    Mode("ejabberd-server-certificate", "ejabberd", STRICT, None, "sasl_tls", ours="server"),
]


@pytest.mark.parametrize("mode", REFUSED, ids=lambda mode: mode.id)
def test_what_a_record_refuses_comes_back_with_a_reason(meet: Callable[[Mode, Test], None], mode: Mode) -> None:
    async def test(world: Secure) -> None:
        await say(world.alice, world.bob.address, "Hello", id="out")
        got = await world.alice.wait(kind="message", id="out", type="error", timeout=20)
        assert got.sender == world.bob.address
        assert world.streams("out") == []
        await say(world.bob, world.alice.address, "Hello", id="in")
        if mode.inbound is None:
            await world.bob.wait(kind="message", id="in", type="error", timeout=30)
            assert world.streams("in") == []
        else:
            await world.alice.wait(kind="message", id="in")
            assert world.methods("in") == {mode.inbound}

    meet(mode, test)
