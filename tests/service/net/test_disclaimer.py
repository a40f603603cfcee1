# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The archiving disclaimer: once, ahead of a conversation, to whoever one of ours writes to."""

from __future__ import annotations

from xmpp_edge.disclaimer import SILENCE, Disclaimer
from xmpp_edge.jid import JID
from xmpp_edge.xml.stanza import Stanza

from .harness import ALICE, BOB, OURS, THEIRS, Records, eventually, run, world

WORDS = "What is written with <inside.example> is kept & may be read."
EVE = f"eve@{THEIRS}"


def disclaim(records: Records) -> None:
    records.edge["archiving_disclaimer"] = WORDS


def test_it_goes_ahead_of_the_first_message_and_of_no_other():
    async def test() -> None:
        async with world(change=disclaim) as here:
            here.partner.add_user(EVE)
            for number in range(3):
                await here.inside.send_message(f"{ALICE}/desk", f"{BOB}/phone", str(number))
                await here.inside.send_message(f"{ALICE}/desk", EVE, str(number))
            for user in (BOB, EVE):
                box = here.partner.mailbox(user)
                await box.wait(lambda stanza: stanza.body == "2")
                assert [(stanza.sender, stanza.type, stanza.body) for stanza in box.history] == [
                    (OURS, "", WORDS),
                    *((f"{ALICE}/desk", "chat", str(number)) for number in range(3)),
                ]
                assert all(stanza.to.startswith(user) for stanza in box.history)
            assert here.service.status()["counters"]["disclaimers"] == 2

    run(test)


def test_without_one_and_for_what_is_no_message_there_is_none():
    async def test() -> None:
        async with world() as here:
            await here.inside.send_message(ALICE, BOB, "x")
            await here.partner.mailbox(BOB).wait()
            disclaim(here.records)
            await here.reload()
            # Typing, presence, questions, what a partner writes, and what no user wrote.
            active = "<active xmlns='http://jabber.org/protocol/chatstates'/>"
            await here.inside.send(f"<message type='chat' from='{ALICE}' to='{BOB}'>{active}</message>")
            await here.inside.send(f"<presence from='{ALICE}' to='{BOB}'/>")
            await here.inside.ping(f"{ALICE}/desk", THEIRS)
            await here.inside.send(f"<message from='{OURS}' to='{BOB}'><body>maintenance</body></message>")
            await here.partner.send_message(BOB, ALICE, "back")
            await here.inside.mailbox(ALICE).wait()
            box = here.partner.mailbox(BOB)
            await box.wait(lambda stanza: stanza.body == "maintenance")
            assert WORDS not in [stanza.body for stanza in box.history]
            # What was typed is said at last.
            await here.inside.send_message(ALICE, BOB, "y")
            await box.wait(lambda stanza: stanza.body == "y")
            assert [stanza.body for stanza in box.history][-2:] == [WORDS, "y"]
            # Another text is news.
            here.records.edge["archiving_disclaimer"] = "Other words."
            await here.reload()
            await here.inside.send_message(ALICE, BOB, "z")
            await box.wait(lambda stanza: stanza.body == "z")
            assert [stanza.body for stanza in box.history][-2:] == ["Other words.", "z"]

    run(test)


def test_one_that_does_not_arrive_is_nobodys_error_and_comes_again():
    async def test() -> None:
        async with world(change=disclaim) as here:
            here.publish({THEIRS: ["xmpp 60 IN A 127.0.0.1"]})
            await here.inside.send_message(ALICE, BOB, "lost", id_="lost")
            assert (await here.to_alice("lost")).type == "error"
            assert here.service.status()["counters"]["disclaimers"] == 1
            here.lead_to(here.partner.port)
            box = here.partner.mailbox(BOB)
            # How long the edge remembers that nobody could be reached is not what this is about.
            sent = 0

            async def again() -> None:
                nonlocal sent
                sent += 1
                await here.inside.send_message(ALICE, BOB, str(sent), id_=str(sent))
                await eventually(lambda: bool(box.history) or any(s.id == str(sent) for s in to_alice.history))

            to_alice = here.inside.mailbox(ALICE)
            while not box.history:
                await again()
            await box.wait(lambda stanza: stanza.body == str(sent))
            assert [stanza.body for stanza in box.history] == [WORDS, str(sent)]
            # Alice has heard of her own messages only, and the inside server of nothing else.
            assert {stanza.type for stanza in to_alice.history} == {"error"}
            assert here.service.status()["counters"]["bounced_out"] == len(to_alice.history)
            assert "dropped_out" not in here.service.status()["counters"]

    run(test)


def message(sender: str = "alice@inside.example/desk", receiver: str = "bob@gmail.example") -> Stanza:
    return Stanza("message", {}, "<body>x</body>", 1, JID.parse(sender), JID.parse(receiver))


def told(disclaimer: Disclaimer, stanza: Stanza, text: str = "w") -> bool:
    assert stanza.from_ is not None
    assert stanza.to is not None
    return disclaimer.ahead_of(stanza, (stanza.from_.bare, stanza.to.bare), text) is not None


def test_after_a_long_silence_another_conversation_begins():
    now = 0.0
    disclaimer = Disclaimer(lambda: now)
    assert told(disclaimer, message())
    for _turn in range(3):
        # As long as somebody writes now and then it is the same one.
        now += SILENCE - 1
        assert not told(disclaimer, message())
        assert not told(disclaimer, message("alice@inside.example/home", "bob@gmail.example/phone"))
    now += SILENCE
    assert told(disclaimer, message())


def test_what_is_remembered_is_bounded():
    disclaimer = Disclaimer(lambda: 0.0)
    for number in range(50_001):
        assert told(disclaimer, message(receiver=f"u{number}@gmail.example"))
    assert not told(disclaimer, message(receiver="u50000@gmail.example"))
    # The oldest made room, and is told again rather than not at all.
    assert told(disclaimer, message(receiver="u0@gmail.example"))
    long = message(receiver=f"{'u' * 600}@gmail.example")
    assert told(disclaimer, long)
    assert told(disclaimer, long)
