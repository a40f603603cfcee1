# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line, as processes: what it prints and the exit codes that roles and administrators rely on."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from xmpp_edge import cli

from .conftest import ROOT
from .harness import PLAIN, THEIRS, Records, free_port, run

FILES = ROOT / "roles" / "xmpp_edge" / "files"


@pytest.fixture
def records(tmp_path):
    made = Records(tmp_path)
    made.edge |= {"resolvers": ["127.0.0.1:1"], "inside": {"port": 1}}
    return made


def ask(records: Records, capsys, *arguments: str) -> tuple[int, str, str]:
    """Run a command in this process."""
    place = str(records.directory)
    code = cli.main([*arguments, "--config-dir", place, "--run-dir", place])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


async def command(records: Records, *arguments: str) -> tuple[int, str, str]:
    """Run a command as a process of its own."""
    place = str(records.directory)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "xmpp_edge",
        *arguments,
        "--config-dir",
        place,
        "--run-dir",
        place,
        cwd=FILES,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


@asynccontextmanager
async def running(records: Records) -> AsyncIterator[asyncio.subprocess.Process]:
    """The service as a process, on a port that was free a moment ago, told ready over its notify socket."""
    records.edge["listen_port"] = free_port()
    records.write()
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(records.directory / "notify"))
    manager.setblocking(False)
    environment = {**os.environ, "NOTIFY_SOCKET": str(records.directory / "notify")}
    place = str(records.directory)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "xmpp_edge", "run", "--config-dir", place, "--run-dir", place),
        cwd=FILES,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
    )
    process.told = manager
    try:
        assert await told(process) == "READY=1"
        yield process
    finally:
        manager.close()
        if process.returncode is None:
            process.kill()
            await process.wait()


async def told(process) -> str:
    async with asyncio.timeout(20):
        return (await asyncio.get_running_loop().sock_recv(process.told, 4096)).decode()


def test_an_option_before_the_command_counts_as_one_behind_it(records, capsys):
    records.write()
    place = str(records.directory)
    for arguments in (["--config-dir", place, "--json", "check"], ["check", "--config-dir", place, "--json"]):
        assert cli.main(arguments) == cli.OK
        assert json.loads(capsys.readouterr().out)["valid"] is True
    assert cli.main(["--run-dir", place, "status"]) == cli.UNREACHABLE
    assert f"There is no {place}/control.sock" in capsys.readouterr().err


def test_check_says_valid_with_the_hash_and_invalid_with_every_problem(records, capsys):
    records.write()
    code, out, _unused = ask(records, capsys, "check", "--json")
    assert code == 0
    answer = json.loads(out)
    assert answer["valid"] is True
    assert len(answer["records_hash"]) == 64
    assert answer["warnings"] == []
    (records.directory / "edge.json").write_text('{"schema": 1, "edge": {"domians": [], "listen_port": 0}}')
    code, out, _unused = ask(records, capsys, "check", "--json")
    assert code == 1
    answer = json.loads(out)
    assert answer["valid"] is False
    assert any("domians" in problem for problem in answer["problems"])
    assert any("listen_port" in problem for problem in answer["problems"])
    code, out, err = ask(records, capsys, "check")
    assert (code, out) == (1, "")
    assert "domians" in err


@pytest.mark.parametrize("words", [["status"], ["streams"], ["drain"], ["test", THEIRS], ["reload"]])
def test_without_a_service_the_code_is_3(records, capsys, words):
    records.write()
    code, _unused, err = ask(records, capsys, *words)
    assert code == 3
    assert "does not run" in err
    code, out, _unused = ask(records, capsys, *words, "--json")
    assert code == 3
    assert "error" in json.loads(out)


@pytest.mark.parametrize("words", [[], ["fly"], ["test"], ["test", "x", "--timeout", "0"], ["status", "--nonsense"]])
def test_wrong_usage_is_2(words):
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert ended.value.code == 2


def test_bad_records_and_a_taken_port_keep_the_service_from_starting(records):
    async def test() -> None:
        records.write()
        (records.directory / "partners.json").write_text("{")
        code, _unused, err = await command(records, "run")
        assert code == 4
        assert "partners.json" in err
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            records.edge["listen_port"] = taken.getsockname()[1]
            records.write()
            code, _unused, err = await command(records, "run")
            assert code == 4
            assert "listen_port" in err
            assert not (records.directory / "control.sock").exists()

    run(test)


def test_check_tells_what_is_to_be_seen_to(records, capsys):
    records.edge["ca_file"] = str(records.directory / "missing.pem")
    records.partners[0].update(tls="required", sasl="required", dialback=False)
    records.write()
    code, out, _unused = ask(records, capsys, "check")
    assert code == 0
    assert "Warning: There is no certificate" in out
    assert "missing.pem" in out


def test_status_names_the_certificates_and_what_is_wrong(records, capsys):
    certificate = {"usage": "external", "names": ["a.example", "b.example"], "not_after": "2027-01-02T03:04:05+00:00"}
    status = {
        "version": "1", "pid": 7, "records_hash": "ab" * 32, "federation": True, "domains": ["a.example"],
        "listening": [
            {"address": "::", "port": 5269, "direct_tls": False},
            {"address": "::", "port": 5270, "direct_tls": True},
        ],
        "draining": False, "resolver_error": None, "reload_error": None, "inside": [], "partners": [], "counters": {},
        "certificates": [{**certificate, "days_left": 41}], "warnings": ["Renew it."],
    }  # fmt: skip
    told = cli._describe_status(status)
    assert ":: port 5269, :: port 5270 (direct TLS)" in told
    assert "  external   a.example, b.example (until 2027-01-02, 41 days left)" in told
    assert "Warning: Renew it." in told
    assert "so TLS is not offered" in cli._describe_status({**status, "certificates": []})


def test_streams_say_what_is_encrypted_and_what_is_proven(records, capsys):
    pair = {"local": "a.example", "remote": "b.example", "method": "sasl_tls", "trusted": True}
    stream = {"direction": "in", "state": "up", "address": "192.0.2.1", "tls": "TLSv1.3 X", "bidi": True, "stanzas": 3}
    stranger = {**stream, "state": "negotiating", "tls": None, "bidi": False, "pairs": []}
    told = cli._describe_streams([{**stream, "pairs": [pair]}, stranger]).splitlines()
    assert told[0].endswith("a.example - b.example by sasl_tls, TLSv1.3 X, both ways, 3 stanzas")
    assert told[1].endswith("nothing proven, not encrypted, 3 stanzas")


def test_the_words_of_others_are_neither_lines_nor_orders_to_the_terminal(records, capsys):
    words = "no\n  up         evil.example (9 in, 9 out)\x9b2J\u202e"
    stream = {"direction": "out", "state": "down", "address": "", "tls": None, "bidi": False, "stanzas": 0}
    step = {"step": "tls", "result": "fail", "latency_ms": None, "diagnosis": words}
    for told, lines in (
        (cli._describe_streams([{**stream, "pairs": [], "error": words}]), 2),
        (cli._describe_test({"steps": [step], "domain": "b.example", "passed": False}), 2),
    ):
        assert len(told.splitlines()) == lines
        assert told.replace("\n", "").isprintable()


def test_a_life(records, capsys):
    async def ours(*words: str) -> tuple[int, str, str]:
        """In this process, because starting many takes long on a busy machine."""
        return await asyncio.to_thread(ask, records, capsys, *words)

    async def test() -> None:
        async with running(records) as process:
            code, out, _unused = await command(records, "status", "--json")
            status = json.loads(out)
            assert code == 0
            assert status["pid"] == process.pid
            assert status["federation"] is True
            assert status["partners"][0]["domain"] == THEIRS
            assert status["inside"][0]["state"] in ("down", "connecting")
            code, out, _unused = await ours("status")
            assert code == 0
            assert "cannot be reached" in out
            assert (await ours("streams"))[1] == "No streams are open.\n"

            code, out, _unused = await ours("test", THEIRS, "--json", "--timeout", "5")
            assert code == 1
            assert json.loads(out)["passed"] is False
            assert "cannot be reached in full" in (await ours("test", THEIRS, "--timeout", "5"))[1]

            records.partners.append({"domain": "other.example", **PLAIN})
            records.write()
            code, out, _unused = await ours("reload", "--json")
            assert code == 0
            assert json.loads(out)["records_hash"] != status["records_hash"]
            assert (await told(process)).startswith("RELOADING=1\nMONOTONIC_USEC=")
            assert await told(process) == "READY=1"

            (records.directory / "edge.json").write_text("[]")
            code, out, _unused = await ours("reload", "--json")
            assert code == 1
            assert json.loads(out)["reloaded"] is False
            process.send_signal(signal.SIGHUP)
            assert (await told(process)).startswith("RELOADING=1")
            assert await told(process) == "READY=1"
            assert len(json.loads((await ours("status", "--json"))[1])["partners"]) == 2

            assert (await command(records, "run"))[0] == 4

            process.send_signal(signal.SIGTERM)
            out, _unused = await process.communicate()
            assert process.returncode == 0
            events = [json.loads(line)["event"] for line in out.decode().splitlines()]
            assert events[-1] == "stopped"
            assert {"started", "reloaded", "reload_refused"} <= set(events)
            assert await told(process) == "STOPPING=1"

    run(test, 120)


def test_drain_ends_the_service_and_is_answered(records):
    async def test() -> None:
        async with running(records) as process:
            assert (await command(records, "drain", "--json"))[0] == 0
            await process.communicate()
            assert process.returncode == 0

    run(test)


def test_no_file_descriptor_left_is_survived(records):
    async def test() -> None:
        async with running(records) as process:
            opened = len(os.listdir(f"/proc/{process.pid}/fd"))
            soft, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (opened + 5, hard))
            port = records.edge["listen_port"]
            writers = [(await asyncio.open_connection("127.0.0.1", port))[1] for _unused in range(20)]
            while (line := json.loads(await process.stdout.readline()))["event"] != "out_of_resources":
                pass
            assert "LimitNOFILE" in line["text"]
            for writer in writers:
                writer.close()
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (soft, hard))
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            assert b"not-well-formed" in await reader.read()
            writer.close()

    run(test)
