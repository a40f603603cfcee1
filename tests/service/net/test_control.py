# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control socket and word to the service manager."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat

import pytest
from xmpp_edge.observe import notify
from xmpp_edge.observe.control import Control, ControlError, call

from .harness import run


async def echo(request):
    return {"got": request}


async def say(path, data: bytes) -> dict:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(data)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return json.loads(answer)


def test_one_line_in_one_line_out(tmp_path):
    async def test() -> None:
        control = Control(tmp_path, echo)
        await control.start()
        assert stat.S_IMODE(control.path.stat().st_mode) == 0o660
        answer = await asyncio.to_thread(call, tmp_path, {"command": "status"})
        assert answer == {"got": {"command": "status"}}
        await control.stop()
        assert not control.path.exists()

    run(test)


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"x\n", b"[]\n", b'{"command": 1}\n', b"x" * 100_000, b'{"a":' * 700, b"\xff\xfe\n"]
)
def test_nonsense_is_answered_with_an_error(tmp_path, data):
    async def test() -> None:
        control = Control(tmp_path, echo)
        await control.start()
        try:
            assert "error" in await say(control.path, data)
        finally:
            await control.stop()

    run(test)


def test_a_fault_while_answering_is_answered_too(tmp_path):
    async def broken(_request):
        raise KeyError("a bug")

    async def test() -> None:
        told = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))
        control = Control(tmp_path, broken)
        await control.start()
        assert "internal error" in (await say(control.path, b'{"command": "status"}\n'))["error"]
        assert isinstance(told[0]["exception"], KeyError)
        await control.stop()

    run(test)


def test_a_dead_services_socket_is_replaced_and_a_live_one_is_not(tmp_path):
    async def test() -> None:
        with socket.socket(socket.AF_UNIX) as left_over:
            left_over.bind(str(tmp_path / "control.sock"))
        first, second = Control(tmp_path, echo), Control(tmp_path, echo)
        await first.start()
        with pytest.raises(ControlError, match="Another xmpp-edge"):
            await second.start()
        assert await asyncio.to_thread(call, tmp_path, {"command": "x"})
        await first.stop()

    run(test)


def test_who_does_not_run_is_named(tmp_path):
    with pytest.raises(ControlError, match="does not run"):
        call(tmp_path, {"command": "status"})


@pytest.mark.parametrize("abstract", [False, True])
def test_the_service_manager_is_told(tmp_path, monkeypatch, abstract):
    name = f"@xmpp-edge-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name.replace("@", "\0", 1) if abstract else name)
        manager.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        notify.notify("READY=1", "STATUS=x")
        assert manager.recv(100) == b"READY=1\nSTATUS=x"
        notify.reloading()
        assert manager.recv(100).startswith(b"RELOADING=1\nMONOTONIC_USEC=")


def test_no_manager_and_a_dead_manager_are_no_matter(tmp_path, monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify.notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    notify.notify("READY=1")


def test_the_watchdog_is_fed_twice_as_often_as_asked(monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "20000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    assert notify.watchdog_interval() == 10
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert notify.watchdog_interval() is None
    monkeypatch.setenv("WATCHDOG_USEC", "0")
    assert notify.watchdog_interval() is None
