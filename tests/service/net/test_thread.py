# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stanza crosses, both ways."""

from __future__ import annotations

import asyncio
import os
import socket

from .harness import ALICE, BOB, OURS, PLAIN, THEIRS, Records, run, world


def test_messages_cross_both_ways():
    async def test() -> None:
        async with world() as here:
            await here.inside.send_message(f"{ALICE}/desk", BOB, "a < b & 'c'")
            assert (await here.partner.mailbox(BOB).wait()).body == "a < b & 'c'"
            await here.partner.send_message(f"{BOB}/phone", ALICE, "back")
            assert (await here.inside.mailbox(ALICE).wait()).body == "back"

    run(test)


def test_bodies_are_written_only_where_that_is_asked_for():
    async def test() -> None:
        async with world() as here:
            await here.partner.send_message(BOB, ALICE, "a secret & more")
            await here.inside.mailbox(ALICE).wait()
            here.records.edge["log_message_bodies"] = True
            await here.reload()
            await here.partner.send_message(BOB, ALICE, "not so <secret>")
            await here.inside.mailbox(ALICE).wait()
            line = await here.audit.wait("message")
            assert (line["from"], line["to"], line["body"]) == (BOB, ALICE, "not so <secret>")
            assert "a secret" not in here.audit.getvalue()

    run(test)


def test_no_secret_is_ever_written():
    async def test() -> None:
        async with world() as here:
            await here.partner.send_message(BOB, ALICE, "x")
            await here.inside.mailbox(ALICE).wait()
            await here.inside.send_message(ALICE, BOB, "y")
            await here.partner.mailbox(BOB).wait()
            told = here.audit.getvalue() + str(here.service.status()) + str(here.service.streams())
            for secret in here.records.secrets.values():
                assert secret not in told

    run(test)


def test_presence_and_questions_cross_both_ways():
    async def test() -> None:
        async with world() as here:
            await here.inside.send(f"<presence type='subscribe' from='{ALICE}' to='{BOB}'/>")
            assert (await here.partner.mailbox(BOB).wait()).type == "subscribe"
            await here.partner.send(f"<presence from='{BOB}/x' to='{ALICE}'><show>away</show></presence>")
            assert (await here.inside.mailbox(ALICE).wait()).kind == "presence"
            assert (await here.inside.ping(f"{ALICE}/desk", THEIRS)).type == "result"
            assert (await here.partner.ping(f"{BOB}/x", OURS)).type == "result"

    run(test)


def test_domains_beyond_ascii_cross_as_u_labels():
    there = "bücher.example"

    def change(records: Records) -> None:
        records.partners = [{"domain": there, "partner_type": "federated", **PLAIN}]

    async def test() -> None:
        async with world(change=change, domains=(there,)) as here:
            ascii_name = "xn--bcher-kva.example"
            here.lead_to(here.partner.port, domain=ascii_name)
            user = f"bob@{there}"
            here.partner.add_user(user)
            await here.inside.send_message(ALICE, user, "x")
            assert (await here.partner.mailbox(user).wait()).to == user
            await here.partner.send_message(user, ALICE, "y")
            assert (await here.inside.mailbox(ALICE).wait()).sender == user
            assert here.dns.queries(f"_xmpp-server._tcp.{ascii_name}")

    run(test)


def test_the_watchdog_is_fed(monkeypatch, tmp_path):
    async def test() -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(tmp_path / "notify"))
            manager.setblocking(False)
            monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
            monkeypatch.setenv("WATCHDOG_USEC", "200000")
            monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
            async with world():
                told = [await asyncio.get_running_loop().sock_recv(manager, 100) for _unused in range(4)]
            assert sorted(told) == [b"READY=1", *[b"WATCHDOG=1"] * 3]

    run(test)
