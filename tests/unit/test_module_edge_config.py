# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., dict[str, Any]]

MODULE = "edge_config"
SECRET, OTHER = "correct horse battery", "staple of another kind"


def _stored(config_dir: Path, kind: str) -> dict[str, Any]:
    document = json.loads((config_dir / f"{kind}.json").read_text(encoding="utf-8"))
    assert isinstance(document[kind], dict)
    return document[kind]


def test_a_new_edge(call: Call, config_dir: Path) -> None:
    options: dict[str, Any] = {
        "config_dir": str(config_dir),
        "domains": ["Inside.example", "bücher.example."],
        "allow_federated_users": True,
        "inside": {"secret": SECRET},
    }
    told = call(MODULE, check=True, **options)
    assert not config_dir.exists()
    done = call(MODULE, **options)
    assert told == done
    assert done["edge"]["domains"] == ["inside.example", "xn--bcher-kva.example"]
    assert done["secrets_set"] == ["dialback_secret", "inside_secret"]
    assert done["diff"]["before"]["secrets"] == {"dialback_secret": "", "inside_secret": ""}
    assert done["diff"]["after"]["secrets"] == {"dialback_secret": "********", "inside_secret": "********"}
    assert _stored(config_dir, "edge") == done["edge"]
    secrets = _stored(config_dir, "secrets")
    assert secrets["inside_secret"] == SECRET
    assert len(secrets["dialback_secret"]) == 64
    again = call(MODULE, **options)
    assert (again["changed"], again["diff"]) == (False, {"before": {}, "after": {}})
    assert _stored(config_dir, "secrets") == secrets


def test_left_out_and_default(lawful: Call, config_dir: Path) -> None:
    where = {"config_dir": str(config_dir), "dialback_secret": SECRET}
    lawful(MODULE, connection_limit=50, inside={"server": "ejabberd", "port": 8888}, resolvers=["192.0.2.1"], **where)
    done = lawful(MODULE, inside={"host": "192.0.2.9"}, **where)
    assert done["edge"]["connection_limit"] == 50
    assert done["edge"]["inside"] == {
        "server": "ejabberd",
        "host": "192.0.2.9",
        "port": 8888,
        "tls": False,
        "ca_file": None,
    }
    done = lawful(MODULE, state="default", inside={"host": "192.0.2.9"}, **where)
    assert done["edge"]["connection_limit"] == 1000
    assert done["edge"]["resolvers"] == []
    assert done["edge"]["inside"]["server"] == "prosody"
    assert done["edge"]["inside"]["host"] == "192.0.2.9"
    assert done["secrets_set"] == ["dialback_secret"]


def test_secrets_by_value_or_by_file(lawful: Call, config_dir: Path, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(OTHER + "\n", encoding="utf-8")
    where = {"config_dir": str(config_dir)}
    lawful(MODULE, dialback_secret=SECRET, inside={"secret": SECRET}, **where)
    done = lawful(MODULE, dialback_secret_file=str(file), inside={"secret_file": str(file)}, **where)
    assert done["diff"]["before"] == {"secrets": {"dialback_secret": "********", "inside_secret": "********"}}
    assert done["diff"]["after"] == {
        "secrets": {"dialback_secret": "******** (another)", "inside_secret": "******** (another)"}
    }
    assert _stored(config_dir, "secrets") == {"dialback_secret": OTHER, "inside_secret": OTHER}
    lawful(MODULE, domains=["inside.example"], **where)
    assert _stored(config_dir, "secrets") == {"dialback_secret": OTHER, "inside_secret": OTHER}


@pytest.mark.parametrize("check", [True, False])
def test_no_secret_is_ever_told(
    call: Call, capfd: pytest.CaptureFixture[str], config_dir: Path, tmp_path: Path, check: bool
) -> None:
    file = tmp_path / "secret"
    file.write_text(OTHER, encoding="utf-8")
    where = {"config_dir": str(config_dir), "check": check}
    outputs = [
        call(MODULE, dialback_secret=SECRET, inside={"secret": SECRET}, **where),
        call(MODULE, dialback_secret_file=str(file), inside={"secret_file": str(file)}, **where),
        call(MODULE, dialback_secret=SECRET, inside={"secret": SECRET, "port": 99999}, **where),
        call(MODULE, dialback_secret=SECRET + "\x00", inside={"secret": SECRET}, **where),
        call(MODULE, inside=f"secret='{SECRET}' port=x", **where),
        call(MODULE, inside={"secret": SECRET, "serve": "prosody"}, **where),
        call(MODULE, dialback_secret=[SECRET], inside={"secret": [SECRET]}, listen_port="x", **where),
        call("edge_info", **where),
    ]
    text = json.dumps(outputs) + capfd.readouterr().err
    for secret in (SECRET, OTHER):
        assert secret not in text


def test_secret_files_in_trouble(call: Call, config_dir: Path, tmp_path: Path) -> None:
    where = {"config_dir": str(config_dir)}
    empty, binary, missing = (tmp_path / name for name in ("empty", "binary", "missing"))
    empty.write_text("\n", encoding="utf-8")
    binary.write_bytes(b"\xff\xfe")
    for path, words in (
        (empty, "is empty"),
        (binary, "cannot be read"),
        (missing, "does not exist"),
        (tmp_path, "cannot be"),
    ):
        told = call(MODULE, dialback_secret_file=str(path), **where)
        assert words in told["msg"]
        assert not config_dir.exists()
    # An earlier task of the same play may be about to write it.
    told = call(MODULE, check=True, dialback_secret_file=str(missing), **where)
    assert told["changed"]
    assert "does not exist yet" in told["warnings"][0]


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ({"dialback_secret": ""}, ["dialback_secret"]),
        ({"dialback_secret": SECRET, "dialback_secret_file": "/b"}, ["dialback_secret"]),
        ({"inside": {"secret": SECRET, "secret_file": "/b"}}, ["inside.secret"]),
        ({"inside": {"tls": True}}, ["inside.tls"]),
        ({"inside": {"server": "exodus"}}, ["inside.server"]),
        ({"inside": {"sever": "prosody"}}, ["inside.sever"]),
        ({"inside": "nonsense"}, ["inside"]),
        ({"partner_connection_limit": 2000}, ["partner_connection_limit"]),
        ({"domains": ["a b", "x.example", "X.example"], "listen_port": 0}, ["domains[0]", "domains[2]", "listen_port"]),
        ({"listen_port": "five", "connection_limit": "many"}, ["listen_port", "connection_limit"]),
        ({"log_bodies": True}, ["log_bodies"]),
    ],
)
def test_refused(call: Call, config_dir: Path, options: dict[str, Any], keys: list[str]) -> None:
    told = [call(MODULE, check=check, config_dir=str(config_dir), **options) for check in (True, False)]
    assert told[0] == told[1]
    assert [problem["key"] for problem in told[0]["problems"]] == keys
    assert all(problem["remedy"] for problem in told[0]["problems"])
    assert not config_dir.exists()


def test_numbers_may_come_as_text(lawful: Call, config_dir: Path) -> None:
    where = {"config_dir": str(config_dir), "dialback_secret": SECRET}
    assert lawful(MODULE, listen_port="5270", allow_federated_users="yes", domains="a.example", **where)["changed"]
    assert not lawful(MODULE, listen_port=5270, allow_federated_users=True, domains=["a.example"], **where)["changed"]


def test_warnings(call: Call, lawful: Call, config_dir: Path) -> None:
    where = {"config_dir": str(config_dir), "dialback_secret": SECRET}
    assert "nothing can pass" in lawful(MODULE, allow_federated_users=True, **where)["warnings"][0]
    assert lawful(MODULE, domains=["inside.example"], **where)["warnings"] == []
    assert "before a keep-alive" in lawful(MODULE, keepalive_interval=600, **where)["warnings"][0]
    assert lawful(MODULE, connection_limit=500, **where)["warnings"] == []
    assert "streams of all partners" in lawful(MODULE, allow_federated_users=False, **where)["warnings"][0]
    policy = {"name": "A", "grant_to": ["alice@inside.example"], "config_dir": str(config_dir)}
    lawful("external_access_policy", **policy)
    assert "alice@inside.example" in lawful(MODULE, domains=[], **where)["warnings"][0]
    assert "shorter than 16" in call(MODULE, config_dir=str(config_dir), dialback_secret="short")["warnings"][0]
