# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hashlib
import json
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.xmpp.federation.plugins.module_utils import _module_info

Call = Callable[..., dict[str, Any]]

MODULE = "edge_info"


@contextmanager
def _service(directory: Path, answer: bytes) -> Iterator[list[bytes]]:
    """Something that answers one question on the control socket."""
    directory.mkdir(parents=True)
    asked: list[bytes] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        # A path of any depth: the socket's own address may not be long.
        handle = os.open(directory, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{handle}/control.sock")
        os.close(handle)
        listener.listen()

        def serve() -> None:
            channel, _peer = listener.accept()
            with channel:
                asked.append(channel.makefile("rb").readline())
                channel.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield asked
        finally:
            thread.join()


def test_a_blank_host(lawful: Call, config_dir: Path, tmp_path: Path) -> None:
    told = lawful_info(lawful, config_dir, tmp_path)
    assert told["changed"] is False
    assert told["desired"]["edge"]["listen_port"] == 5269
    assert told["desired"]["partners"] == []
    assert [record["name"] for record in told["desired"]["policies"]] == ["global"]
    assert told["desired"]["secrets_set"] == []
    assert told["running"]["reachable"] is False
    assert "the service does not run" in told["running"]["error"]


def lawful_info(call: Call, config_dir: Path, tmp_path: Path, **options: Any) -> dict[str, Any]:
    return call(MODULE, config_dir=str(config_dir), run_dir=str(tmp_path / "run"), **options)


@pytest.fixture
def lawful(call: Call) -> Call:
    """Check mode and a real run tell the same."""

    def run(name: str, /, **options: Any) -> dict[str, Any]:
        told = call(name, check=True, **options)
        assert call(name, **options) == told
        return told

    return run


def test_the_desired_state(call: Call, lawful: Call, config_dir: Path, tmp_path: Path) -> None:
    where = {"config_dir": str(config_dir)}
    call("edge_config", domains=["inside.example"], inside={"secret": "never to be seen"}, **where)
    call("xmpp_partner", partners=[{"domain": "bücher.example"}, {"domain": "b.other"}], **where)
    call("external_access_policy", name="A", federation_access=True, grant_to=["alice@inside.example"], **where)
    told = lawful_info(
        lawful, config_dir, tmp_path, users=["ALICE@inside.example", "bob@inside.example", "x@y.example"]
    )
    assert "never to be seen" not in json.dumps(told)
    assert told["desired"]["secrets_set"] == ["dialback_secret", "inside_secret"]
    assert [record["auth_methods"] for record in told["desired"]["partners"]] == [["sasl_tls"], ["sasl_tls"]]
    assert [(one["address"], one["ours"], one["policy"]["name"], one["reason"]) for one in told["effective"]] == [
        ("alice@inside.example", True, "A", "grant"),
        ("bob@inside.example", True, "global", "global"),
        ("x@y.example", False, "global", "global"),
    ]
    for pattern in ("*.EXAMPLE", "bü*", "xn--*"):
        filtered = lawful_info(lawful, config_dir, tmp_path, filter=pattern)
        assert [record["domain"] for record in filtered["desired"]["partners"]] == ["xn--bcher-kva.example"]
        assert filtered["desired"]["records_hash"] == told["desired"]["records_hash"]


def test_the_certificates_in_use(lawful: Call, config_dir: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        home = config_dir / f"certificates/external.{number}"
        home.mkdir(parents=True)
        (home / "cert.pem").write_text(ssl.DER_cert_to_PEM_cert(b"certificate %d" % number), encoding="ascii")
    before = lawful_info(lawful, config_dir, tmp_path)["desired"]
    assert before["certificates"] == []
    (config_dir / "assigned").mkdir()
    (config_dir / "assigned/external").symlink_to("../certificates/external.2")
    (config_dir / "assigned/external.previous").symlink_to("../certificates/external.1")
    (config_dir / "assigned/broken").symlink_to("../certificates/gone")
    after = lawful_info(lawful, config_dir, tmp_path)["desired"]
    assert after["certificates"] == [
        {
            "usage": "external",
            "assigned": "external.2",
            "previous": "external.1",
            "fingerprint": hashlib.sha256(b"certificate 2").hexdigest(),
            # This is no certificate to anybody but the hash.
            **dict.fromkeys(("subject", "issuer", "not_before", "not_after", "days_left")),
        }
    ]
    assert before["records_hash"] != after["records_hash"]
    (config_dir / "certificates/external.2/cert.pem").write_text("no certificate", encoding="ascii")
    assert lawful_info(lawful, config_dir, tmp_path)["desired"]["certificates"][0]["fingerprint"] is None


@pytest.mark.parametrize("depth", [1, 12])
def test_the_running_state(call: Call, config_dir: Path, tmp_path: Path, depth: int) -> None:
    run_dir = tmp_path.joinpath(*["a directory"] * depth)
    records_hash = call(MODULE, config_dir=str(config_dir))["desired"]["records_hash"]
    status = {"version": "0.1.0", "records_hash": records_hash, "partners": []}
    with _service(run_dir, json.dumps(status).encode() + b"\n") as asked:
        told = call(MODULE, config_dir=str(config_dir), run_dir=str(run_dir))
    assert asked == [b'{"command": "status"}\n']
    assert told["running"] == {"reachable": True, "up_to_date": True, "error": "", "status": status}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "broke off"),
        (b'{"version": ', "broke off"),
        (b"[]\n", "not the service"),
        (b'{"error": "busy"}\n', "busy"),
    ],
)
def test_a_service_in_trouble(call: Call, config_dir: Path, tmp_path: Path, answer: bytes, words: str) -> None:
    with _service(tmp_path / "run", answer):
        told = lawful_info(call, config_dir, tmp_path)
    assert told["running"]["reachable"] is False
    assert words in told["running"]["error"]


def test_a_service_that_runs_on_older_records(call: Call, config_dir: Path, tmp_path: Path) -> None:
    with _service(tmp_path / "run", b'{"records_hash": "older"}\n'):
        told = lawful_info(call, config_dir, tmp_path)
    assert told["running"]["reachable"] is True
    assert told["running"]["up_to_date"] is False


def test_a_service_that_hangs(call: Call, config_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_module_info, "PATIENCE", 0.05)
    (tmp_path / "run").mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        monkeypatch.chdir(tmp_path / "run")
        listener.bind("control.sock")
        listener.listen()
        told = lawful_info(call, config_dir, tmp_path)
    assert "did not answer" in told["running"]["error"]
    told = lawful_info(call, config_dir, tmp_path)
    assert "cannot be reached" in told["running"]["error"]


def test_refused(call: Call, config_dir: Path, tmp_path: Path) -> None:
    told = lawful_info(call, config_dir, tmp_path, users=["alice@inside.example", "bob"])
    assert [problem["key"] for problem in told["problems"]] == ["users[1]"]
    config_dir.mkdir(parents=True)
    (config_dir / "edge.json").write_text("{", encoding="utf-8")
    told = lawful_info(call, config_dir, tmp_path)
    assert told["problems"][0]["where"] == str(config_dir / "edge.json")
