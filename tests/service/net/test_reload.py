# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A reload touches what changed and nothing else; a bad one touches nothing."""

from __future__ import annotations

import re

import pytest
from peers.partner import Partner, dialback_key
from peers.raw import Listener, RawPeer

from .harness import ALICE, BOB, OURS, PLAIN, THEIRS, World, error, eventually, quick, run, world, zones

DESK = f"{ALICE}/desk"
OTHER = "other.example"
ANN = f"ann@{OTHER}"


def also_other(records) -> None:
    records.partners.append({"domain": OTHER, "partner_type": "federated", **PLAIN})


async def talk(here: World, partner: Partner, user: str) -> None:
    """A message each way, so that streams stand both ways."""
    await here.inside.send_message(DESK, user, "out")
    assert (await partner.mailbox(user).wait(lambda stanza: stanza.body == "out")).body == "out"
    await partner.send_message(user, ALICE, "in")
    assert (await here.inside.mailbox(ALICE).wait(lambda stanza: stanza.body == "in")).body == "in"


async def add_partner(here: World) -> Partner:
    other = Partner(OTHER, users=[ANN], timeout=5)
    await other.__aenter__()
    other.routes[OURS] = here.address
    here.publish(zones(gmail=here.partner.port, other=other.port))
    return other


def test_a_partner_comes_and_goes_and_the_others_notice_nothing():
    async def test() -> None:
        async with world() as here:
            here.inside.components.add(OTHER)
            other = await add_partner(here)
            await talk(here, here.partner, BOB)
            before = [id(wire) for wire in here.partner.accepted]
            link = here.inside.links[THEIRS]

            also_other(here.records)
            assert (await here.reload())["changed"]
            await here.audit.wait("inside_link_up", link=OTHER)
            await talk(here, other, ANN)

            here.records.partners.pop()
            await here.reload()
            await eventually(lambda: OTHER not in here.inside.links)
            await eventually(lambda: here.service.status()["partners"][0]["streams_in"] == 1)
            assert all(wire.ended for wire in other.accepted)
            await here.inside.send_message(DESK, ANN, "x", id_="gone")
            await here.to_alice("gone")

            await talk(here, here.partner, BOB)
            assert [id(wire) for wire in here.partner.accepted] == before
            assert here.inside.links[THEIRS] is link
            await other.__aexit__()

    run(test)


def test_a_changed_partner_gets_new_streams():
    async def test() -> None:
        async with world() as here:
            await talk(here, here.partner, BOB)
            here.records.partners[0]["keepalive"] = False
            await here.reload()
            for direction in ("in", "out"):
                line = await here.audit.wait("stream_closed", direction=direction)
                assert (line["condition"], line["by"]) == ("reset", "us")
            await eventually(lambda: here.service.streams() == [])
            await talk(here, here.partner, BOB)

    run(test)


def test_what_waits_for_a_changed_partner_goes_by_the_new_way():
    async def test() -> None:
        async with world() as here, Listener() as listener:
            here.lead_to(listener.port)
            await here.inside.send_message(DESK, BOB, "patience")
            await (await listener.accept()).until(rb"<stream:stream [^>]*>")
            here.records.partners[0] |= {"proxy_fqdn": "127.0.0.1", "proxy_port": here.partner.port}
            here.publish(zones(gmail=here.partner.port))
            await here.reload()
            assert (await here.partner.mailbox(BOB).wait()).body == "patience"
            assert here.inside.mailbox(ALICE).history == []

    run(test)


def test_access_is_withdrawn_at_once_and_no_stream_is_touched():
    async def test() -> None:
        async with world() as here:
            await talk(here, here.partner, BOB)
            here.records.policies["grants"] = {}
            await here.reload()
            await here.partner.send_message(BOB, ALICE, "x", id_="m")
            answer = await here.partner.mailbox(BOB).wait(lambda stanza: stanza.id == "m")
            assert error(answer) == ("cancel", "service-unavailable")
            assert len(here.service.streams()) == 2

    run(test)


@pytest.mark.parametrize("broken", ["{", '{"schema": 2, "partners": []}', '{"schema": 1, "partners": [{"domian": 1}]}'])
def test_a_bad_file_changes_nothing_and_is_told(broken):
    async def test() -> None:
        async with world() as here:
            await talk(here, here.partner, BOB)
            digest = here.service.status()["records_hash"]
            (here.records.directory / "partners.json").write_text(broken)
            answer = await here.service.reload()
            assert "partners.json" in answer["error"]
            status = here.service.status()
            assert status["records_hash"] == digest
            assert "partners.json" in status["reload_error"]
            await here.audit.wait("reload_refused")
            await talk(here, here.partner, BOB)
            await here.reload()
            assert here.service.status()["reload_error"] is None

    run(test)


def test_an_address_that_cannot_be_listened_on_changes_nothing():
    async def test() -> None:
        async with world() as here:
            before = here.address
            here.records.edge["listen"] = ["192.0.2.1"]
            assert "192.0.2.1" in (await here.reload())["error"]
            assert here.address == before
            peer = await RawPeer.connect(before)
            await peer.close()

    run(test)


def test_listening_addresses_come_and_go():
    async def test() -> None:
        async with world() as here:
            first = here.address
            here.records.edge["listen"] = ["127.0.0.1", "127.0.0.2"]
            await here.reload()
            assert here.service.listener.addresses[0] == first
            await (await RawPeer.connect(here.service.listener.addresses[1])).close()
            here.records.edge["listen"] = ["127.0.0.2"]
            await here.reload()
            with pytest.raises(ConnectionRefusedError):
                await RawPeer.connect(first)

    run(test)


def test_federation_off_ends_streams_and_says_why_to_senders():
    async def test() -> None:
        async with world() as here:
            await talk(here, here.partner, BOB)
            here.records.edge["allow_federated_users"] = False
            await here.reload()
            await eventually(lambda: here.service.streams() == [])
            await here.inside.send_message(DESK, BOB, "x", id_="m")
            answer = await here.to_alice("m")
            assert answer.text.startswith("gate 1")

    run(test)


def test_a_new_secret_inside_renews_the_links():
    async def test() -> None:
        async with world() as here:
            here.inside.secret = here.records.secrets["inside_secret"] = "another secret"
            await here.reload()
            await here.audit.wait("inside_link_down")
            await eventually(lambda: here.service.status()["inside"][0]["state"] == "up")
            await talk(here, here.partner, BOB)

    run(test)


def test_the_link_of_ejabberd_is_renewed_when_its_domains_change():
    async def test() -> None:
        async with world(style="ejabberd") as here:
            await talk(here, here.partner, BOB)
            here.inside.components.add(OTHER)
            other = await add_partner(here)
            also_other(here.records)
            await here.reload()
            await eventually(lambda: [link["state"] for link in here.service.status()["inside"]] == ["up"])
            await talk(here, other, ANN)
            await talk(here, here.partner, BOB)
            await other.__aexit__()

    run(test)


def test_what_waits_for_a_partner_that_goes_is_given_back():
    async def test() -> None:
        async with world() as here, Listener() as listener:
            here.lead_to(listener.port)
            await here.inside.send_message(DESK, BOB, "x", id_="waits")
            await (await listener.accept()).until(rb"<stream:stream [^>]*>")
            here.records.partners = []
            await here.reload()
            answer = await here.to_alice("waits")
            assert error(answer) == ("cancel", "not-allowed")

    run(test)


def test_what_a_partner_that_goes_has_not_read_is_given_back():
    async def test() -> None:
        async with world(timing=quick(linger=2.5)) as here:
            await talk(here, here.partner, BOB)
            here.partner.accepted[0]._reader._transport.pause_reading()
            await here.inside.send_message(DESK, BOB, "x", id_="unread")
            await eventually(lambda: here.service.audit.counters["out"] == 2)
            here.records.partners = []
            await here.reload()
            answer = await here.to_alice("unread")
            assert error(answer) == ("wait", "remote-server-timeout")

    run(test)


def test_the_link_of_a_partner_that_goes_is_closed_in_order_and_raises_no_doubt():
    async def test() -> None:
        async with world() as here:
            await talk(here, here.partner, BOB)
            wire = here.inside.links[THEIRS]
            here.records.partners = []
            await here.reload()
            await eventually(lambda: THEIRS not in here.inside.links)
            assert wire.ended == "tag"
            assert here.service.audit.counters["bounced_in"] == 0

    run(test)


def test_what_waits_is_given_back_when_the_senders_domain_goes():
    async def test() -> None:
        async with world() as here, Listener() as listener:
            here.lead_to(listener.port)
            await here.inside.send_message(DESK, BOB, "x", id_="waits")
            await (await listener.accept()).until(rb"<stream:stream [^>]*>")
            here.records.edge["domains"] = ["second.example"]
            here.records.policies["grants"] = {}
            await here.reload()
            answer = await here.to_alice("waits")
            assert error(answer) == ("cancel", "not-allowed")

    run(test)


def test_a_new_dialback_secret_holds_on_streams_that_partners_have_open():
    async def test() -> None:
        async with world() as here:
            await talk(here, here.partner, BOB)
            link = here.partner.links[THEIRS, OURS]
            here.records.secrets["dialback_secret"] = "another secret"
            await here.reload()
            key = dialback_key("another secret", THEIRS, OURS, "s1")
            await link.wire.send(f"<db:verify from='{THEIRS}' to='{OURS}' id='s1'>{key}</db:verify>")
            await eventually(lambda: b"type='valid'/>" in bytes(link.wire.received).partition(b"<db:verify")[2])

    run(test)


def test_the_former_dialback_secret_holds_for_a_while():
    async def test() -> None:
        async with world(timing=quick(previous_secret=0.5)) as here:
            await talk(here, here.partner, BOB)
            link = here.partner.links[THEIRS, OURS]
            former = here.records.secrets["dialback_secret"]

            async def ask(secret: str, id_: str) -> str:
                key = dialback_key(secret, THEIRS, OURS, id_)
                await link.wire.send(f"<db:verify from='{THEIRS}' to='{OURS}' id='{id_}'>{key}</db:verify>")
                answer = re.compile(rb"<db:verify[^>]*id='%b'[^>]*type='(\w+)'" % id_.encode())
                await eventually(lambda: answer.search(bytes(link.wire.received)) is not None)
                return answer.search(bytes(link.wire.received))[1].decode()

            here.records.secrets["dialback_secret"] = "another secret"
            await here.reload()
            assert await ask(former, "s1") == "valid"
            assert await ask("another secret", "s2") == "valid"
            assert await ask("a third secret", "s3") == "invalid"
            await eventually(lambda: here.service.current.previous_secret is None)
            assert await ask(former, "s4") == "invalid"
            assert await ask("another secret", "s5") == "valid"

    run(test)


def test_new_resolvers_are_used_and_old_failures_forgotten():
    async def test() -> None:
        async with world() as here:
            resolvers = here.records.edge["resolvers"]
            here.records.edge["resolvers"] = ["127.0.0.1:1"]
            await here.reload()
            await here.inside.send_message(DESK, BOB, "x", id_="m")
            await here.to_alice("m")
            assert "resolver" in here.service.status()["resolver_error"]
            here.records.edge["resolvers"] = resolvers
            await here.reload()
            await talk(here, here.partner, BOB)
            assert here.service.status()["resolver_error"] is None

    run(test)


def test_stopping_flushes_says_goodbye_and_leaves_nothing():
    async def test() -> None:
        async with world() as here, Listener() as listener:
            await talk(here, here.partner, BOB)
            lines = zones(gmail=here.partner.port)
            lines[OTHER] = [f"_xmpp-server._tcp 60 IN SRV 0 0 {listener.port} xmpp", "xmpp 60 IN A 127.0.0.1"]
            here.publish(lines)
            here.inside.components.add(OTHER)
            also_other(here.records)
            await here.reload()
            await here.audit.wait("inside_link_up", link=OTHER)
            await here.inside.send_message(DESK, ANN, "x", id_="waits")
            await (await listener.accept()).until(rb"<stream:stream")
            for number in range(100):
                await here.inside.send_message(DESK, BOB, f"last {number}")
            await eventually(lambda: here.service.audit.counters["out"] >= 102)
            address, out = here.address, here.partner.accepted[-1]
            await here.service.stop()
            await here.partner.mailbox(BOB).wait(lambda stanza: stanza.body == "last 99")
            answer = await here.to_alice("waits")
            assert error(answer) == ("wait", "remote-server-timeout")
            assert b"system-shutdown" in bytes(out.received)
            link = here.partner.links[THEIRS, OURS]
            assert b"system-shutdown" in bytes(link.wire.received)
            with pytest.raises(ConnectionRefusedError):
                await RawPeer.connect(address)
            assert not here.service.control.path.exists()

    run(test)
