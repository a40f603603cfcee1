# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which addresses are called, in which order, and which never."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator

import pytest
from peers.raw import Listener
from xmpp_edge.net.addresses import is_ours, kind_of_no_partner

from .harness import ALICE, BOB, OURS, THEIRS, Records, World, error, run, world

DESK = f"{ALICE}/desk"
STARTTLS, DIRECT = "_xmpp-server._tcp 60 IN SRV", "_xmpps-server._tcp 60 IN SRV"


def publish(here: World, *lines: str) -> None:
    here.publish({THEIRS: list(lines)})


async def bounced(here: World) -> tuple[tuple[str, str], str]:
    await here.inside.send_message(DESK, BOB, "x", id_="m")
    stanza = await here.to_alice("m")
    return error(stanza), stanza.text


@contextlib.contextmanager
def silent(host: str, port: int) -> Iterator[None]:
    """An address where the kernel answers no SYN, because nobody takes the connections that wait already."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket(family))
        server.bind((host, port))
        server.listen(0)
        for _unused in range(4):
            caller = stack.enter_context(socket.socket(family))
            caller.settimeout(0.1)
            with contextlib.suppress(TimeoutError):
                caller.connect((host, port))
        with socket.socket(family) as caller:
            caller.settimeout(0.1)
            with pytest.raises(TimeoutError):
                caller.connect((host, port))
        yield


def test_an_address_that_does_not_answer_costs_a_moment_only():
    async def test() -> None:
        async with world() as here:
            port = here.partner.port
            publish(here, f"{STARTTLS} 0 0 {port} xmpp", "xmpp 60 IN A 127.0.0.1", "xmpp 60 IN AAAA ::1")
            with silent("::1", port):
                begun = time.monotonic()
                await here.inside.send_message(DESK, BOB, "x")
                assert (await here.partner.mailbox(BOB).wait()).body == "x"
                # QUICK gives a connection two seconds, and this one would have used them up.
                assert time.monotonic() - begun < 1.5

    run(test)


def test_when_time_runs_out_the_last_address_tried_is_told_with_what_became_of_it():
    async def test() -> None:
        def hurried(records: Records) -> None:
            records.edge["stream_establishment_timeout"] = 1

        async with world(change=hurried) as here:
            port = here.partner.port
            publish(
                here,
                f"{STARTTLS} 0 0 1 refusing",
                f"{STARTTLS} 1 0 {port} silent",
                "refusing 60 IN A 127.0.0.1",
                "silent 60 IN AAAA ::1",
            )
            with silent("::1", port):
                condition, text = await bounced(here)
            assert condition == ("wait", "remote-server-timeout")
            assert text == (
                f"No stream to {THEIRS} came about in time; the last tried was silent.{THEIRS} ([::1]:{port}):"
                " TCP was not answered, as where a firewall drops it."
            )

    run(test)


def test_an_address_that_refuses_costs_nothing():
    async def test() -> None:
        async with world() as here:
            publish(here, f"{STARTTLS} 0 0 {here.partner.port} xmpp", "xmpp 60 IN A 127.0.0.1", "xmpp 60 IN AAAA ::1")
            await here.inside.send_message(DESK, BOB, "x")
            assert (await here.partner.mailbox(BOB).wait()).body == "x"
            assert here.service.streams()[-1]["address"] == f"xmpp.{THEIRS} (127.0.0.1:{here.partner.port})"

    run(test)


def test_where_one_address_opens_and_breaks_the_other_is_tried():
    async def test() -> None:
        async with world() as here, Listener("127.0.0.2") as bad:
            publish(here, f"{STARTTLS} 0 0 {bad.port} xmpp", "xmpp 60 IN A 127.0.0.2", "xmpp 60 IN A 127.0.0.3")
            good: asyncio.Queue[asyncio.StreamReader] = asyncio.Queue()
            server = await asyncio.start_server(lambda reader, _writer: good.put_nowait(reader), "127.0.0.3", bad.port)
            async with server:
                await here.inside.send_message(DESK, BOB, "x")
                calls = [asyncio.ensure_future(who) for who in (bad.accept(), good.get())]
                done, _unused = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
                if calls[0] in done:
                    calls[0].result().reset()
                    assert await (await calls[1]).readuntil(b"<stream:stream")
                else:
                    here.service.relay.routes.between(OURS, THEIRS).stream.connection.abort()
                    await (await calls[0]).until(rb"<stream:stream")

    run(test)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", "this host itself"),
        ("127.8.9.10", "this host itself"),
        ("::1", "this host itself"),
        ("::ffff:127.0.0.1", "this host itself"),
        ("0.0.0.0", "this host itself"),
        ("::", "this host itself"),
        ("169.254.169.254", "link-local"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("224.0.0.251", "multicast"),
        ("ff02::fb", "multicast"),
        ("255.255.255.255", "reserved"),
        ("240.0.0.1", "reserved"),
        ("somewhere", "invalid"),
        ("10.1.2.3", None),
        ("172.16.0.1", None),
        ("192.168.1.1", None),
        ("fd00::1", None),
        ("64:ff9b::c000:221", None),
        ("192.0.2.1", None),
        ("2001:db8::1", None),
    ],
)
def test_addresses_that_no_partner_has(address, expected):
    assert kind_of_no_partner(address) == expected


def test_an_address_of_this_host_is_known_as_such():
    assert is_ours("127.0.0.1")
    assert is_ours("::1")
    assert not is_ours("198.51.100.77")
    assert not is_ours("somewhere")


def everywhere(records: Records) -> None:
    records.edge["listen"] = ["0.0.0.0"]


@pytest.mark.parametrize("address", ["A 127.0.0.1", "AAAA ::1", "AAAA ::ffff:127.0.0.1", "A 169.254.169.254"])
def test_78_dns_that_leads_into_this_host_is_not_followed(address):
    async def test() -> None:
        async with world(change=everywhere) as here:
            publish(here, f"{STARTTLS} 0 0 {here.partner.port} xmpp", f"xmpp 60 IN {address}")
            how, text = await bounced(here)
            assert how == ("cancel", "remote-server-not-found")
            assert "proxy_fqdn" in text
            line = await here.audit.wait("refused", reason="address_refused")
            assert (line["remote"], line["port"]) == (THEIRS, here.partner.port)
            assert here.partner.accepted == []

    run(test)


def test_78_the_addresses_beside_a_refused_one_are_used():
    async def test() -> None:
        async with world() as here:
            publish(
                here,
                f"{STARTTLS} 0 0 {here.inside.port} xmpp",
                f"{STARTTLS} 1 0 {here.partner.port} xmpp",
                "xmpp 60 IN A 127.0.0.1",
            )
            await here.inside.send_message(DESK, BOB, "x")
            assert (await here.partner.mailbox(BOB).wait()).body == "x"

    run(test)


def test_78_the_inside_server_is_not_called_by_another_address_of_its_host():
    async def test() -> None:
        async with world() as here:
            here.dns.zones = type(here.dns.zones)(
                {THEIRS: [f"{STARTTLS} 0 0 {here.inside.port} xmpp", "xmpp 60 IN AAAA ::1"]}, None
            )
            await here.inside.send_message(DESK, BOB, "x")
            line = await here.audit.wait("refused", reason="address_refused")
            assert (line["address"], line["text"]) == ("::1", "the inside server")

    run(test)


@pytest.mark.parametrize(("who", "why"), [("edge", "this edge itself"), ("inside", "the inside server")])
def test_78_our_own_ports_are_never_called_even_where_all_is_on_one_machine(who, why):
    async def test() -> None:
        async with world() as here:
            port = here.address[1] if who == "edge" else here.inside.port
            publish(here, f"{STARTTLS} 0 0 {port} xmpp", "xmpp 60 IN A 127.0.0.1")
            assert (await bounced(here))[0] == ("cancel", "remote-server-not-found")
            assert (await here.audit.wait("refused", reason="address_refused"))["text"] == why

    run(test)


def test_78_what_the_administrator_names_is_called():
    def proxied(records: Records) -> None:
        everywhere(records)
        records.partners[0] |= {"proxy_fqdn": "127.0.0.1", "proxy_port": 1}

    async def test() -> None:
        async with world(change=proxied) as here:
            here.records.partners[0]["proxy_port"] = here.partner.port
            await here.reload()
            await here.inside.send_message(DESK, BOB, "x")
            assert (await here.partner.mailbox(BOB).wait()).body == "x"

    run(test)


def test_direct_tls_is_passed_over_where_the_record_says_no_tls():
    async def test() -> None:
        async with world() as here:
            lines = [f"{DIRECT} 0 0 1 xmpp", f"{STARTTLS} 5 0 {here.partner.port} xmpp", "xmpp 60 IN A 127.0.0.1"]
            publish(here, *lines)
            await here.inside.send_message(DESK, BOB, "x")
            assert (await here.partner.mailbox(BOB).wait()).body == "x"

    run(test)


def test_direct_tls_alone_is_no_way_where_the_record_says_no_tls():
    async def test() -> None:
        async with world() as here:
            publish(here, f"{DIRECT} 0 0 {here.partner.port} xmpp", "xmpp 60 IN A 127.0.0.1", "@ 60 IN A 127.0.0.1")
            how, text = await bounced(here)
            assert how == ("cancel", "remote-server-not-found")
            assert "direct TLS" in text

    run(test)
