# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses to listen on come and go without a gap for the others."""

from __future__ import annotations

import asyncio
import errno
import socket

import pytest
from xmpp_edge.net.listener import Listener, ListenError

from .harness import free_port, run


def hosts(listener: Listener) -> list[str]:
    return [host for host, _unused in listener.addresses]


def test_a_wildcard_takes_the_place_of_an_address_and_back():
    async def test() -> None:
        listener, port = Listener(asyncio.Protocol), free_port()
        await listener.bind(("127.0.0.1",), port)
        await listener.bind(("0.0.0.0",), port)
        assert hosts(listener) == ["0.0.0.0"]
        await listener.bind(("127.0.0.1", "127.0.0.2"), port)
        assert hosts(listener) == ["127.0.0.1", "127.0.0.2"]
        listener.close()

    run(test)


def test_what_was_closed_to_make_room_comes_back_when_the_new_fails():
    async def test() -> None:
        listener, port = Listener(asyncio.Protocol), free_port()
        await listener.bind(("127.0.0.1",), port)
        with pytest.raises(ListenError, match=r"192\.0\.2\.1"):
            await listener.bind(("0.0.0.0", "192.0.2.1"), port)
        assert hosts(listener) == ["127.0.0.1"]
        listener.close()

    run(test)


@pytest.mark.parametrize("number", [errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL])
def test_a_host_without_ipv6_listens_on_the_rest(monkeypatch, number):
    real = socket.socket

    class Old(real):
        def __init__(self, family: int = -1, *rest: object, **named: object) -> None:
            if family == socket.AF_INET6:
                raise OSError(number, "no IPv6 here")
            super().__init__(family, *rest, **named)

    async def test() -> None:
        monkeypatch.setattr("xmpp_edge.net.listener.socket.socket", Old)
        listener = Listener(asyncio.Protocol)
        await listener.bind(("0.0.0.0", "::"), 0)
        assert hosts(listener) == ["0.0.0.0"]
        with pytest.raises(ListenError):
            await listener.bind(("::",), 0)
        listener.close()

    run(test)
