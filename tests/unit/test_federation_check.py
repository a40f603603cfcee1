# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""federation_check: the service's own steps, and the knock at the inside server's door."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.xmpp.federation.plugins.modules import federation_check

PARTNER = {"domain": "partner.example", "tls": "not_supported", "sasl": "not_supported"}
STEPS = [{"step": "ping", "result": "pass", "latency_ms": 1.5, "diagnosis": "The partner answered."}]
FAULT = [{"step": "tcp", "result": "fail", "latency_ms": 9.0, "diagnosis": "Nobody listens there."}]

REMARKS: list[str] = []

Answers = dict[str, list[dict[str, Any]]]


class Threads:
    """A listener that answers each connection by a function, in threads, until it is closed."""

    def __init__(self, listener: socket.socket, answer: Callable[[socket.socket], None]) -> None:
        self.listener = listener
        self.answer = answer
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                channel, _unused = self.listener.accept()
            except OSError:
                return
            with channel:
                self.answer(channel)


@pytest.fixture
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Answers]]:
    """What listens on the control socket of a running service."""
    run_dir = tmp_path_factory.mktemp("run")
    answers: Answers = {}

    def answer(channel: socket.socket) -> None:
        request = json.loads(channel.makefile().readline())
        if request["command"] == "status":
            channel.sendall(json.dumps({"warnings": REMARKS}).encode() + b"\n")
            return
        assert request["command"] == "test"
        steps = answers.get(request["domain"], STEPS)
        channel.sendall(json.dumps({"domain": request["domain"], "passed": True, "steps": steps}).encode() + b"\n")

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(run_dir / "control.sock"))
        listener.listen()
        Threads(listener, answer)
        yield run_dir, answers


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """An inside server with a port for other servers; what it says comes from the list."""
    from ansible_collections.xmpp.federation.plugins.module_utils import _module_check

    said: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer(channel: socket.socket) -> None:
            channel.recv(4096)
            for part in said:
                channel.sendall(part)
            channel.settimeout(5)
            channel.recv(4096)

        Threads(listener, answer)
        monkeypatch.setattr(_module_check, "S2S_PORT", listener.getsockname()[1])
        monkeypatch.setattr(_module_check, "_KNOCK_PATIENCE", 0.3)
        yield said


@pytest.fixture
def edge(call: Any, config_dir: Path, service: tuple[Path, Answers], inside: list[bytes]) -> Callable[..., Any]:
    """The module, on a host with two partners."""
    config = {"config_dir": str(config_dir)}
    call("edge_config", domains=["inside.example"], inside={"host": "127.0.0.1", "secret": "of the inside"}, **config)
    call("xmpp_partner", partners=[PARTNER, {**PARTNER, "domain": "bücher.example"}], **config)
    inside.append(b"<stream:error><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>")

    def run(**options: Any) -> Any:
        return call("federation_check", run_dir=str(service[0]), **config, **options)

    return run


def test_all_partners_are_tried_by_the_name_of_their_record(edge: Callable[..., Any]) -> None:
    done = edge()
    assert done["changed"] is False
    assert [result["partner"] for result in done["results"]] == ["partner.example", "xn--bcher-kva.example"]
    assert all(result["passed"] for result in done["results"])
    assert [step["step"] for step in done["results"][0]["steps"]] == ["ping", "bypass"]
    assert done["warnings"] == []
    assert edge(check=True)["changed"] is False


def test_a_failed_step_warns_or_fails(edge: Callable[..., Any], service: tuple[Path, Answers]) -> None:
    service[1]["partner.example"] = FAULT
    lax, strict = edge(), edge(strict=True)
    assert lax["warnings"] == ["partner.example: [tcp] Nobody listens there."]
    assert "failed" not in lax
    assert strict["failed"] is True
    assert strict["msg"] == "partner.example: [tcp] Nobody listens there."
    assert [result["passed"] for result in strict["results"]] == [False, True]


def test_what_the_service_wants_to_be_seen_to_is_told(
    edge: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "REMARKS", ["The certificate expires soon; renew it."])
    done = edge(strict=True)
    assert "failed" not in done
    assert done["warnings"] == ["The certificate expires soon; renew it."]


def test_only_the_partners_asked_for_are_tried(edge: Callable[..., Any]) -> None:
    assert [result["partner"] for result in edge(partners=["BÜCHER.example."])["results"]] == ["xn--bcher-kva.example"]


def test_bad_options_are_told_together(edge: Callable[..., Any]) -> None:
    done = edge(partners=["a..b", "c.example", " "])
    assert done["failed"] is True
    assert [problem["key"] for problem in done["problems"]] == ["partners[0]", "partners[2]"]
    assert "timeout" in edge(timeout=0)["msg"]


def test_a_service_that_does_not_run_is_a_failed_step(edge: Callable[..., Any], service: tuple[Path, Answers]) -> None:
    (service[0] / "control.sock").unlink()
    done = edge()
    assert done["results"][0]["steps"][0]["step"] == "service"
    assert "does not run" in done["warnings"][0]


@pytest.mark.parametrize(
    ("said", "result"),
    [
        ([b"<stream:stream id='1'><stream:features/>"], "fail"),
        ([], "fail"),
        ([b"<stream:stream id='1'><stream:features/>", b"<stream:error><host-unknown/></stream:error>"], "pass"),
    ],
    ids=["goes on", "waits", "refuses"],
)
def test_the_door_of_the_inside_server(
    edge: Callable[..., Any], inside: list[bytes], said: list[bytes], result: str
) -> None:
    inside[:] = said
    step = edge()["results"][0]["steps"][-1]
    assert (step["step"], step["result"]) == ("bypass", result)


def test_no_door_is_best(edge: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.xmpp.federation.plugins.module_utils import _module_check

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets it, nobody answers
        monkeypatch.setattr(_module_check, "S2S_PORT", taken.getsockname()[1])
        step = edge()["results"][0]["steps"][-1]
    assert step["result"] == "pass"
    assert "Nobody takes streams" in step["diagnosis"]


def test_results_are_the_documented_ones(edge: Callable[..., Any]) -> None:
    told = yaml.safe_load(federation_check.RETURN)
    done, refused = edge(), edge(timeout=0)
    assert (set(done) | set(refused)) - {"changed", "failed", "diff", "msg", "warnings"} == set(told)
    known = told["results"]["contains"]
    for result in done["results"]:
        assert set(result) == set(known)
        for key, value in result.items():
            assert type(value).__name__ == known[key]["type"], key
        for step in result["steps"]:
            assert set(step) == set(known["steps"]["contains"])
            for key, value in step.items():
                assert value is None or type(value).__name__ == known["steps"]["contains"][key]["type"], key
