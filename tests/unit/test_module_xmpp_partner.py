# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., dict[str, Any]]

GOOGLE_LIKE = {"domain": "gmail.example", "tls": "not_supported", "sasl": "not_supported", "keepalive": False}
MODULE = "xmpp_partner"


def _stored(config_dir: Path) -> dict[str, dict[str, Any]]:
    document = json.loads((config_dir / "partners.json").read_text(encoding="utf-8"))
    return {record["domain"]: record for record in document["partners"]}


def test_the_partner_of_the_walkthrough(lawful: Call, config_dir: Path) -> None:
    done = lawful(MODULE, config_dir=str(config_dir), dialback=True, **GOOGLE_LIKE)
    record = {
        "domain": "gmail.example",
        "additional_domains": [],
        "partner_type": "public_unverified",
        "tls": "not_supported",
        "sasl": "not_supported",
        "dialback": True,
        "keepalive": False,
        "connection_limit": None,
        "proxy_fqdn": None,
        "proxy_port": None,
        "ca_file": None,
        "pins": [],
        "description": "",
    }
    assert done == {
        "changed": True,
        "partners": [{**record, "auth_methods": ["tcp_dialback"]}],
        "created": ["gmail.example"],
        "updated": [],
        "removed": [],
        "diff": {
            "before": {},
            "after": {f"directory {config_dir}": {"mode": "0750"}, "partner gmail.example": record},
        },
        "warnings": [],
    }
    assert _stored(config_dir) == {"gmail.example": record}


def test_check_mode_touches_nothing(call: Call, config_dir: Path) -> None:
    assert call(MODULE, check=True, config_dir=str(config_dir), **GOOGLE_LIKE)["changed"]
    assert not config_dir.parent.exists()


def test_names_are_equal_in_every_spelling(call: Call, lawful: Call, config_dir: Path) -> None:
    lawful(MODULE, config_dir=str(config_dir), domain="bücher.example", additional_domains=["b.example", "a.example"])
    for name, more in (
        ("BÜCHER.example.", ["A.EXAMPLE", "b.example."]),
        ("xn--bcher-kva.example", ["b.example", "a.example"]),
    ):
        assert not call(MODULE, config_dir=str(config_dir), domain=name, additional_domains=more)["changed"]


def test_options_left_out_leave_the_rest_alone(lawful: Call, config_dir: Path) -> None:
    lawful(
        MODULE,
        config_dir=str(config_dir),
        connection_limit=7,
        description="ours",
        proxy_fqdn="h.example",
        **GOOGLE_LIKE,
    )
    done = lawful(MODULE, config_dir=str(config_dir), domain="gmail.example", keepalive=True)
    assert done["updated"] == ["gmail.example"]
    stored = _stored(config_dir)["gmail.example"]
    assert (stored["tls"], stored["connection_limit"], stored["description"]) == ("not_supported", 7, "ours")
    assert stored["keepalive"] is True
    lawful(
        MODULE, config_dir=str(config_dir), domain="gmail.example", connection_limit=0, proxy_fqdn="", description=""
    )
    stored = _stored(config_dir)["gmail.example"]
    assert (stored["connection_limit"], stored["proxy_fqdn"], stored["description"]) == (None, None, "")


def test_the_matrix_is_judged_on_the_result(call: Call, lawful: Call, config_dir: Path) -> None:
    lawful(MODULE, config_dir=str(config_dir), domain="partner.example")
    before = (config_dir / "partners.json").read_bytes()
    for check in (True, False):
        refused = call(MODULE, check=check, config_dir=str(config_dir), domain="partner.example", tls="not_supported")
        assert refused["failed"]
        assert refused["problems"] == [
            {
                "where": "partner.example",
                "key": "dialback",
                "message": "with tls not_supported, sasl required and dialback off "
                "the partner has no way to prove itself",
                "remedy": "set dialback to true and sasl to not_supported, or tls to required or optional",
            }
        ]
    assert (config_dir / "partners.json").read_bytes() == before


def test_additional_domains(lawful: Call, config_dir: Path) -> None:
    def run(mode: str | None, *domains: str) -> list[str]:
        options = {"additional_domains_mode": mode} if mode else {}
        lawful(MODULE, config_dir=str(config_dir), domain="p.example", additional_domains=list(domains), **options)
        stored = _stored(config_dir)["p.example"]["additional_domains"]
        assert isinstance(stored, list)
        return stored

    assert run(None, "b.example", "a.example") == ["a.example", "b.example"]
    assert run("add", "C.example", "a.example") == ["a.example", "b.example", "c.example"]
    assert run("remove", "b.example.", "z.example") == ["a.example", "c.example"]
    assert run("replace", "d.example") == ["d.example"]
    assert run(None) == []


def test_a_list_with_purge_is_the_whole_truth(lawful: Call, config_dir: Path) -> None:
    where = {"config_dir": str(config_dir)}
    first = [GOOGLE_LIKE, {"domain": "b.example"}, {"domain": "c.example"}]
    assert lawful(MODULE, partners=first, **where)["created"] == ["b.example", "c.example", "gmail.example"]
    assert lawful(MODULE, partners=[{"domain": "c.example", "state": "absent"}], **where)["removed"] == ["c.example"]
    done = lawful(MODULE, partners=[{"domain": "b.example", "sasl": "optional"}], purge=True, **where)
    assert (done["created"], done["updated"], done["removed"]) == ([], ["b.example"], ["gmail.example"])
    assert set(done["diff"]["before"]) == {"partner b.example", "partner gmail.example"}
    done = lawful(MODULE, partners=[], purge=True, **where)
    assert done["warnings"] == ["no partner is left, so all federation ends"]
    assert _stored(config_dir) == {}


def test_a_domain_can_move_within_one_call(lawful: Call, config_dir: Path) -> None:
    where = {"config_dir": str(config_dir)}
    lawful(MODULE, domain="a.example", additional_domains=["moving.example"], **where)
    lawful(
        MODULE,
        partners=[{"domain": "moving.example"}, {"domain": "a.example", "additional_domains": []}],
        **where,
    )
    assert set(_stored(config_dir)) == {"a.example", "moving.example"}


def test_everything_wrong_is_told_at_once(call: Call, config_dir: Path) -> None:
    partners = [
        {"domain": "no domain"},
        {"domain": "a.example", "additional_domains": ["x y", "b.example"]},
        {"domain": "A.example."},
        {"domain": "c.example", "tls": "not_supported", "sasl": "not_supported", "dialback": False},
        {"domain": "d.example", "proxy_port": 5270},
        {"domain": "e.example", "additional_domains_mode": "add"},
    ]
    told = [call(MODULE, check=check, config_dir=str(config_dir), partners=partners) for check in (True, False)]
    assert told[0] == told[1]
    assert [(problem["where"], problem["key"]) for problem in told[0]["problems"]] == [
        ("partners[0] (no domain)", "domain"),
        ("partners[1] (a.example)", "additional_domains[0]"),
        ("partners[2] (A.example.)", "domain"),
        ("partners[3] (c.example)", "dialback"),
        ("partners[4] (d.example)", "proxy_port"),
        ("partners[5] (e.example)", "additional_domains_mode"),
    ]
    assert told[0]["msg"].startswith("There are 6 problems, and nothing was changed.")
    assert not config_dir.exists()


def test_options_that_do_not_fit_are_told_with_their_index(call: Call, config_dir: Path) -> None:
    told = call(
        MODULE,
        config_dir=str(config_dir),
        partners=[
            {"domain": "a.example", "tls": "always"},
            {"domian": "b.example"},
            "c",
            {"domain": "d", "keepalive": "?"},
        ],
    )
    assert [(problem["where"], problem["key"], problem["remedy"]) for problem in told["problems"]] == [
        ("partners[0] (a.example)", "tls", "choose one of required, optional, not_supported"),
        ("partners[1]", "domian", "did you mean domain?"),
        ("partners[1]", "domain", "give it"),
        ("partners[2]", "", "give its options and their values"),
        ("partners[3] (d)", "keepalive", "give a value of type bool"),
    ]


def test_one_misfit_is_told_in_sentences(call: Call, config_dir: Path) -> None:
    told = call(MODULE, config_dir=str(config_dir), domian="a.example", tls="required")
    assert told["msg"] == "domian: there is no such option; did you mean domain? Nothing was changed."


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({}, "partners"),
        ({"purge": True}, "purge"),
        ({"tls": "optional"}, "domain"),
        ({"partners": [], "domain": "a.example"}, "partners"),
        ({"unknown": 1}, "unknown"),
        ({"domain": "a.example", "tls": "always"}, "tls"),
        ({"domain": "a.example", "connection_limit": "many"}, "connection_limit"),
        ({"domain": "a.example", "connection_limit": -1}, "connection_limit"),
        ({"domain": "a.example", "own_domains": ["x y"], "_ansible_check_mode": True}, "own_domains[0]"),
    ],
)
def test_calls_that_make_no_sense(call: Call, config_dir: Path, options: dict[str, Any], key: str) -> None:
    check = bool(options.pop("_ansible_check_mode", False))
    told = call(MODULE, check=check, config_dir=str(config_dir), **options)
    assert told["failed"]
    assert key in [problem["key"] for problem in told["problems"]]


def test_an_additional_domain_is_not_removed_by_the_back_door(call: Call, lawful: Call, config_dir: Path) -> None:
    where = {"config_dir": str(config_dir)}
    lawful(MODULE, domain="a.example", additional_domains=["b.example"], **where)
    told = call(MODULE, domain="b.example", state="absent", **where)
    assert "is an additional domain of the partner a.example" in told["msg"]
    assert not call(MODULE, domain="never.example", state="absent", **where)["changed"]
    # A partner becomes part of another: the same call says so, the first time and every time.
    lawful(MODULE, domain="c.example", **where)
    merge = [{"domain": "a.example", "additional_domains": ["c.example"]}, {"domain": "c.example", "state": "absent"}]
    assert lawful(MODULE, partners=merge, **where)["removed"] == ["c.example"]


def test_our_own_domains_are_no_partners(call: Call, lawful: Call, config_dir: Path) -> None:
    where = {"config_dir": str(config_dir)}
    lawful("edge_config", domains=["inside.example"], dialback_secret="s" * 32, **where)
    told = call(MODULE, domain="p.example", additional_domains=["INSIDE.example."], **where)
    assert told["problems"][0]["message"] == "inside.example is one of our own domains (see edge_config)"
    # And from the other side, with the same words.
    lawful(MODULE, domain="p.example", **where)
    told = call("edge_config", domains=["inside.example", "p.example"], **where)
    assert told["problems"][0]["message"] == "p.example is one of our own domains (see edge_config)"


def test_check_mode_may_be_told_our_domains_to_be(call: Call, config_dir: Path) -> None:
    where = {"config_dir": str(config_dir)}
    told = call(MODULE, check=True, domain="p.example", own_domains=["P.example"], **where)
    assert "one of our own domains (see own_domains)" in told["msg"]
    call("edge_config", domains=["p.example"], **where)
    assert call(MODULE, check=True, domain="p.example", own_domains=["q.example"], **where)["changed"]
    assert call(MODULE, domain="p.example", own_domains=["q.example"], **where)["failed"]


def test_one_warning_about_what_changes(call: Call, lawful: Call, config_dir: Path) -> None:
    where = {"config_dir": str(config_dir)}
    partners = [{"domain": f"{letter}.example", "tls": "optional", "sasl": "not_supported"} for letter in "abcdefg"]
    assert lawful(MODULE, partners=partners, **where)["warnings"] == []
    partners = [{**one, "sasl": "optional"} for one in partners]
    done = call(MODULE, partners=[*partners, {"domain": "z.example", "partner_type": "public_verified"}], **where)
    assert len(done["warnings"]) == 1
    assert "a.example, b.example, c.example, d.example, e.example and 2 more: sasl optional" in done["warnings"][0]
    assert "z.example: partner_type public_verified" in done["warnings"][0]
    # The next change is about something else.
    assert lawful(MODULE, domain="a.example", description="x", **where)["warnings"] == []
    done = lawful(MODULE, domain="a.example", connection_limit=1001, **where)
    assert "connection_limit 1001 is above" in done["warnings"][0]


def test_a_damaged_file_stops_every_call(call: Call, config_dir: Path) -> None:
    config_dir.mkdir(parents=True)
    path = config_dir / "partners.json"
    path.write_text('{"schema": 1, "partners": [{"domain": "a.exam', encoding="utf-8")
    for check in (True, False):
        told = call(MODULE, check=check, config_dir=str(config_dir), **GOOGLE_LIKE)
        assert told["problems"][0]["where"] == str(path)
        assert "apply the playbook again" in told["problems"][0]["remedy"]
    assert os.listdir(config_dir) == ["partners.json"]


def test_a_file_written_by_hand_is_put_into_form(call: Call, lawful: Call, config_dir: Path) -> None:
    lawful(MODULE, config_dir=str(config_dir), **GOOGLE_LIKE)
    path = config_dir / "partners.json"
    text = path.read_text(encoding="utf-8")
    path.write_text(json.dumps({**json.loads(text)}), encoding="utf-8")
    path.chmod(0o666)
    done = lawful(MODULE, config_dir=str(config_dir), **GOOGLE_LIKE)
    assert done["changed"]
    assert (done["created"], done["updated"]) == ([], [])
    assert set(done["diff"]["before"]) == {f"form of {path}", f"file {path}"}
    assert path.read_text(encoding="utf-8") == text


def test_what_is_wrong_with_trust_is_told_by_entry_and_key(call: Call, config_dir: Path) -> None:
    pin = "ab" * 32
    partners = [
        {"domain": "a.example", "pins": [pin, f"sha256:{pin.upper()}", "abcd"]},
        {"domain": "b.example", "ca_file": "relative.pem"},
        {
            "domain": "c.example",
            "tls": "not_supported",
            "sasl": "not_supported",
            "pins": [pin],
            "ca_file": "/etc/ssl/c.pem",
        },
        {"domain": "d.example", "pins": [pin]},
    ]
    told = call(MODULE, check=True, config_dir=str(config_dir), partners=partners)
    assert told["failed"]
    assert [(one["where"], one["key"]) for one in told["problems"]] == [
        ("partners[0] (a.example)", "pins[1]"),
        ("partners[0] (a.example)", "pins[2]"),
        ("partners[1] (b.example)", "ca_file"),
        ("partners[2] (c.example)", "ca_file"),
        ("partners[2] (c.example)", "pins"),
    ]
    assert all(one["remedy"] for one in told["problems"])
    assert not config_dir.exists()


def test_pins_and_ca_files_come_and_go(lawful: Call, config_dir: Path) -> None:
    where = {"config_dir": str(config_dir), "domain": "a.example"}
    lawful(MODULE, pins=["SHA256:" + ":".join(["AB"] * 32)], ca_file="/etc/ssl/a.pem", **where)
    assert _stored(config_dir)["a.example"]["pins"] == ["ab" * 32]
    lawful(MODULE, description="Leaves them alone", **where)
    assert _stored(config_dir)["a.example"]["ca_file"] == "/etc/ssl/a.pem"
    lawful(MODULE, pins=[], ca_file="", **where)
    stored = _stored(config_dir)["a.example"]
    assert (stored["pins"], stored["ca_file"]) == ([], None)
