# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""srv_record against a real DNS server in the same process."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import dns.rdata
import pytest
import yaml
from ansible_collections.xmpp.federation.plugins.module_utils import (
    _dns_update_client,
    _dns_update_module,
    _dns_update_verify,
)
from ansible_collections.xmpp.federation.plugins.module_utils._dns_update_plan import RecordSet
from ansible_collections.xmpp.federation.plugins.modules import srv_record
from ansible_collections.xmpp.federation.tests.peers.dns_server import DnsServer, Zones

SECRET = base64.b64encode(b"a secret of thirty-two bytes....").decode()
OWNER = "_xmpp-server._tcp.a.example"
ZONES = {
    "a.example": ["edge A 192.0.2.10", "edge AAAA 2001:db8::10", "old A 192.0.2.11", "alias CNAME edge"],
    "b.example": [],
}

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def server() -> Iterator[DnsServer]:
    with DnsServer(ZONES, keys={"edge": ("hmac-sha256", SECRET)}) as running:
        yield running


@pytest.fixture
def run(call: Any, server: DnsServer) -> Run:
    """The module with the server and its key filled in."""

    def with_server(check: bool = False, **options: Any) -> dict[str, Any]:
        given = {
            "server": server.host,
            "server_port": server.port,
            "key_name": "edge",
            "key_secret": SECRET,
            # For a busy machine; where the server is to be silent, tests say less.
            "timeout": 20,
        }
        merged = {name: value for name, value in {**given, **options}.items() if value is not None}
        return call("srv_record", check=check, **merged)  # type: ignore[no-any-return]

    return with_server


def test_new_record_with_defaults(run: Run, server: DnsServer) -> None:
    result = run(domain="a.example", target="edge.a.example")
    assert result["changed"] is True
    assert result["records"] == [
        {
            "name": OWNER,
            "domain": "a.example",
            "service": "xmpp-server",
            "state": "present",
            "target": "edge.a.example",
            "port": 5269,
            "priority": 0,
            "weight": 0,
            "ttl": 3600,
            "addresses": None,
            "zone": "a.example",
            "changed": True,
        }
    ]
    assert server.records(OWNER, "SRV") == ["0 0 5269 edge.a.example."]
    assert server.ttl(OWNER, "SRV") == 3600


def test_check_do_again(run: Run, server: DnsServer) -> None:
    options = {"domain": "a.example", "target": "new.a.example", "addresses": ["2001:db8::1", "192.0.2.1"], "ttl": 60}
    foreseen = run(check=True, **options)
    assert server.updates() == []
    done = run(**options)
    assert len(server.updates()) == 1
    again = run(**options)
    check_again = run(check=True, **options)
    # What other name servers show can only be known when something was written.
    assert foreseen == {**done, "servers": [], "warnings": []}
    assert done["diff"]["before"] == ""
    assert done["diff"]["after"] == (
        f"{OWNER}. 60 IN SRV 0 0 5269 new.a.example.\n"
        "new.a.example. 60 IN A 192.0.2.1\n"
        "new.a.example. 60 IN AAAA 2001:db8::1\n"
    )
    assert again["changed"] is False
    assert again == check_again
    assert again["diff"]["before"] == again["diff"]["after"] == ""
    assert len(server.updates()) == 1
    assert again["records"] == [{**done["records"][0], "changed": False}]


@pytest.mark.parametrize(
    ("option", "value", "shown"),
    [
        ("port", 5299, "0 0 5299 edge.a.example."),
        ("priority", 5, "5 0 5269 edge.a.example."),
        ("weight", 7, "0 7 5269 edge.a.example."),
        ("ttl", 77, "0 0 5269 edge.a.example."),
    ],
)
def test_each_value_counts_and_the_others_stay(
    run: Run, server: DnsServer, option: str, value: int, shown: str
) -> None:
    run(domain="a.example", target="edge.a.example")
    assert run(domain="a.example", target="edge.a.example", **{option: value})["changed"] is True
    assert server.records(OWNER, "SRV") == [shown]
    assert run(domain="a.example", target="edge.a.example")["changed"] is False
    assert server.ttl(OWNER, "SRV") == (value if option == "ttl" else 3600)


def test_spelling_is_no_difference(run: Run) -> None:
    run(domain="a.example", target="edge.a.example")
    assert run(domain="A.Example.", target="EDGE.a.example.")["changed"] is False


def test_second_target_is_added_and_purged(run: Run, server: DnsServer) -> None:
    run(domain="a.example", target="old.a.example")
    run(domain="a.example", target="edge.a.example", priority=3)
    assert server.records(OWNER, "SRV") == ["0 0 5269 old.a.example.", "3 0 5269 edge.a.example."]
    result = run(records=[{"domain": "a.example", "target": "edge.a.example"}], purge=True)
    assert result["changed"] is True
    assert server.records(OWNER, "SRV") == ["3 0 5269 edge.a.example."]


def test_list_over_zones_is_one_update_a_zone(run: Run, server: DnsServer) -> None:
    records = [
        {"domain": f"{name}{number}.{zone}", "service": service, "target": "edge.a.example"}
        for number, name in enumerate(("x", "y", "z"))
        for zone in ("a.example", "b.example")
        for service in ("xmpp-server", "xmpps-server")
    ]
    result = run(records=records)
    assert [question.name for question in server.updates()] == ["a.example.", "b.example."]
    assert [(item["domain"], item["service"]) for item in result["records"]] == [
        (item["domain"], item["service"]) for item in records
    ]
    assert {item["zone"] for item in result["records"]} == {"a.example", "b.example"}
    assert server.records("_xmpps-server._tcp.y1.b.example", "SRV") == ["0 0 5270 edge.a.example."]
    assert run(records=records)["changed"] is False


def test_absent(run: Run, server: DnsServer) -> None:
    run(records=[{"domain": "a.example", "target": name} for name in ("edge.a.example", "old.a.example")])
    one = run(domain="a.example", target="old.a.example", addresses=["192.0.2.11"], state="absent")
    assert one["records"][0]["port"] == 5269
    assert server.records(OWNER, "SRV") == ["0 0 5269 edge.a.example."]
    assert server.records("old.a.example", "A") == []
    everything = run(domain="a.example", state="absent")
    assert everything["changed"] is True
    assert everything["diff"] == {
        "before_header": f"127.0.0.1 port {server.port}",
        "after_header": f"127.0.0.1 port {server.port}",
        "before": f"{OWNER}. 3600 IN SRV 0 0 5269 edge.a.example.\n",
        "after": "",
    }
    assert run(domain="a.example", state="absent")["changed"] is False


def test_addresses_become_exactly_those(run: Run, server: DnsServer) -> None:
    run(domain="a.example", target="edge.a.example", addresses=["192.0.2.99"])
    assert server.records("edge.a.example", "A") == ["192.0.2.99"]
    assert server.records("edge.a.example", "AAAA") == []


def test_addresses_of_one_entry_serve_the_others(run: Run, server: DnsServer) -> None:
    new = {"target": "new.a.example"}
    result = run(records=[{"domain": "a.example", **new}, {"domain": "b.example", **new, "addresses": ["192.0.2.7"]}])
    assert result["changed"] is True
    assert server.records("new.a.example", "A") == ["192.0.2.7"]
    assert [question.name for question in server.updates()] == ["a.example.", "b.example."]


@pytest.mark.parametrize("behaviour", ["refused", "servfail", "notauth", "timeout"])
@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("state", ["present", "absent"])
def test_no_answer_is_never_absent(run: Run, server: DnsServer, behaviour: str, check: bool, state: str) -> None:
    server.behave(behaviour)
    result = run(check=check, domain="a.example", target="edge.a.example", state=state, timeout=1)
    assert result["failed"] is True
    assert result["rcode"] == behaviour.upper()
    assert OWNER in result["msg"]
    assert server.updates() == []


@pytest.mark.parametrize("behaviour", ["refused", "servfail", "notauth", "timeout"])
def test_update_that_is_not_taken(run: Run, server: DnsServer, behaviour: str) -> None:
    server.behave(behaviour, "update")
    result = run(domain="a.example", target="edge.a.example", timeout=1)
    assert result["failed"] is True
    assert (result["rcode"], result["changed"]) == (behaviour.upper(), False)
    assert "updating the zone a.example" in result["msg"]


def test_what_was_applied_before_a_failure_is_told(run: Run, server: DnsServer) -> None:
    server.before_update(lambda zones: server.behave("servfail", "update"))
    result = run(records=[{"domain": zone, "target": "edge.a.example"} for zone in ("a.example", "b.example")])
    assert (result["failed"], result["rcode"], result["changed"]) == (True, "SERVFAIL", True)
    assert result["applied"] == [f"{OWNER} SRV"]


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    ("options", "rcode"),
    [
        ({"key_name": "stranger"}, "BADKEY"),
        ({"key_secret": base64.b64encode(b"wrong").decode()}, "BADSIG"),
        ({"key_algorithm": "hmac-sha512"}, "BADKEY"),
    ],
)
def test_wrong_key_shows_in_check_mode_too(run: Run, options: dict[str, str], rcode: str, check: bool) -> None:
    result = run(check=check, domain="a.example", target="edge.a.example", **options)
    assert (result["failed"], result["rcode"]) == (True, rcode)


def test_key_that_is_good_for_one_zone(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The target is in another zone, for which the server does not take this key."""
    zones = {"a.example": ["edge A 192.0.2.1"], "b.example": ["edge A 192.0.2.1"]}
    found = _dns_update_client.Answer(RecordSet(60, ("192.0.2.1",)), None, None)
    monkeypatch.setattr(_dns_update_module, "elsewhere", lambda name, timeout: found)
    keys = {"edge": ("hmac-sha256", SECRET), "other": ("hmac-sha256", SECRET)}
    with DnsServer(zones, keys=keys, updaters={"b.example": ["other"]}, strict=True) as server:
        common = {"server": server.host, "server_port": server.port, "key_name": "edge", "key_secret": SECRET}
        records = [{"domain": "a.example", "target": name} for name in ("edge.a.example", "edge.b.example")]
        assert call("srv_record", records=records, **common)["changed"] is True
        assert call("srv_record", domain="b.example", target="edge.a.example", **common)["rcode"] == "BADKEY"


def test_clock_that_is_wrong(run: Run, server: DnsServer) -> None:
    server.clock_offset = 1000
    result = run(domain="a.example", target="edge.a.example")
    assert (result["failed"], result["rcode"]) == (True, "BADTIME")
    assert "clocks" in result["msg"]


def test_unsigned_update_is_refused_by_the_server(run: Run) -> None:
    result = run(domain="a.example", target="edge.a.example", key_name=None, key_secret=None)
    assert result["rcode"] == "REFUSED"
    assert "key_file" in result["msg"]


def test_key_from_a_file(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "edge.key"
    path.write_text(f'key "edge" {{\n  algorithm hmac-sha256;\n  secret "{SECRET}";\n}};\n')
    result = run(domain="a.example", target="edge.a.example", key_name=None, key_secret=None, key_file=str(path))
    assert result["changed"] is True
    assert SECRET not in str(result)


def test_nobody_listens(run: Run, server: DnsServer) -> None:
    server.stop()
    result = run(domain="a.example", target="edge.a.example")
    assert (result["failed"], result["rcode"]) == (True, "UNREACHABLE")


def add_srv(zones: Zones, text: str) -> None:
    zones.zone("a.example").find_rdataset(f"{OWNER}.", "SRV", create=True).add(
        dns.rdata.from_text("IN", "SRV", text), 60
    )


def test_other_editor_wins_once(run: Run, server: DnsServer) -> None:
    server.before_update(lambda zones: add_srv(zones, "9 9 9999 other.a.example."))
    result = run(domain="a.example", target="edge.a.example")
    assert result["changed"] is True
    assert server.records(OWNER, "SRV") == ["0 0 5269 edge.a.example.", "9 9 9999 other.a.example."]
    assert "other.a.example" in result["diff"]["before"]


def test_other_editor_wins_always(run: Run, server: DnsServer) -> None:
    for number in range(_dns_update_module.ATTEMPTS):
        server.before_update(lambda zones, number=number: add_srv(zones, f"9 9 {number} other.a.example."))
    result = run(domain="a.example", target="edge.a.example")
    assert (result["failed"], result["rcode"], result["changed"]) == (True, "CONFLICT", False)
    assert len(server.updates()) == _dns_update_module.ATTEMPTS
    assert "edge.a.example." not in " ".join(server.records(OWNER, "SRV"))


def test_server_that_lies(run: Run, server: DnsServer) -> None:
    server.behave("lie", "update")
    result = run(domain="a.example", target="edge.a.example", timeout=1)
    assert (result["failed"], result["rcode"]) == (True, "MISMATCH")
    assert run(domain="a.example", target="edge.a.example", verify=False)["changed"] is True


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    ("entry", "key", "words"),
    [
        ({"target": "192.0.2.10"}, "target", "is an address"),
        ({"target": "2001:db8::1"}, "target", "is an address"),
        ({"target": "alias.a.example"}, "target", "give edge.a.example instead"),
        ({"target": "nowhere.a.example"}, "target", "has no address"),
        ({"target": "under_score.a.example"}, "target", "letters, digits"),
        ({}, "target", "it is missing"),
        ({"target": "edge.a.example", "port": 0}, "port", "out of range"),
        ({"target": "edge.a.example", "port": 65536}, "port", "out of range"),
        ({"target": "edge.a.example", "weight": -1}, "weight", "out of range"),
        ({"target": "edge.a.example", "addresses": []}, "addresses", "without an address"),
        ({"target": "edge.a.example", "addresses": ["here"]}, "addresses", "not an IP address"),
        ({"target": "edge.a.example", "domain": "a..example"}, "domain", "empty label"),
        ({"target": "edge.a.example", "domain": "a." * 120 + "example"}, "domain", "longer than 253"),
    ],
)
def test_bad_entry(run: Run, server: DnsServer, entry: dict[str, Any], key: str, words: str, check: bool) -> None:
    good = {"domain": "b.example", "target": "edge.a.example"}
    result = run(check=check, records=[good, {"domain": "a.example", **entry}])
    assert result["failed"] is True
    (problem,) = result["problems"]
    domain = entry.get("domain", "a.example")
    assert (problem["where"], problem["key"]) == (f"records[1] ({domain})", key)
    assert words in f"{problem['message']}; {problem['remedy']}"
    assert problem["remedy"]
    assert server.updates() == []


def test_all_bad_entries_at_once(run: Run, server: DnsServer) -> None:
    result = run(
        records=[
            {"domain": "a.example", "target": "192.0.2.1"},
            {"domain": "b.example", "target": "edge.a.example", "ttl": 60},
            {"domain": "b.example", "target": "old.a.example", "ttl": 61},
            {"domain": "B.example", "target": "Edge.a.example"},
            {"domain": "c d", "target": "edge.a.example"},
        ]
    )
    assert [(problem["where"], problem["key"]) for problem in result["problems"]] == [
        ("records[0] (a.example)", "target"),
        ("records[4] (c d)", "domain"),
        ("records[3] (B.example)", "domain"),
        ("records[2] (b.example)", "ttl"),
    ]
    assert server.queries() == []


def test_all_misfits_at_once(run: Run, server: DnsServer) -> None:
    result = run(records=[{"domain": "a.example", "port": "x", "tll": 60}, {"target": "edge.a.example"}])
    assert [(problem["where"], problem["key"]) for problem in result["problems"]] == [
        ("records[0] (a.example)", "port"),
        ("records[0] (a.example)", "tll"),
        ("records[1]", "domain"),
    ]
    assert server.queries() == []


def test_owner_that_is_an_alias(call: Any) -> None:
    zones = {"a.example": ["_xmpp-server._tcp CNAME elsewhere", "edge A 192.0.2.1"]}
    with DnsServer(zones) as server:
        result = call(
            "srv_record", server=server.host, server_port=server.port, domain="a.example", target="edge.a.example"
        )
    assert "is an alias" in result["msg"]


@pytest.mark.parametrize("zone", ["a.example", None])
def test_zone_is_given_or_found(run: Run, server: DnsServer, zone: str | None) -> None:
    assert run(domain="deep.down.a.example", target="edge.a.example", zone=zone)["records"][0]["zone"] == "a.example"


def test_name_outside_the_zone(run: Run, server: DnsServer) -> None:
    result = run(domain="b.example", target="edge.a.example", zone="a.example")
    assert "lies outside of a.example" in result["msg"]
    assert server.updates() == []


def test_target_that_the_server_does_not_know(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def elsewhere(name: str, timeout: float) -> Any:
        asked.append(name)
        return None

    monkeypatch.setattr(_dns_update_module, "elsewhere", elsewhere)
    result = run(domain="a.example", target="edge.far.example")
    assert asked == ["edge.far.example"]
    assert result["changed"] is True
    assert any("edge.far.example has an address" in warning for warning in result["warnings"])
    alias = _dns_update_client.Answer(None, "real.far.example", None)
    monkeypatch.setattr(_dns_update_module, "elsewhere", lambda name, timeout: alias)
    assert "give real.far.example instead" in run(domain="a.example", target="edge.far.example")["msg"]
    nothing = _dns_update_client.Answer(None, None, None)
    monkeypatch.setattr(_dns_update_module, "elsewhere", lambda name, timeout: nothing)
    assert "has no address" in run(domain="a.example", target="edge.far.example")["msg"]
    assert run(domain="a.example", target="edge.far.example", verify=False)["changed"] is False


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"domain": "a.example", "target": "edge.a.example", "purge": True}, "give the list"),
        ({"domain": "a.example", "records": []}, "it is given beside domain"),
        ({}, "nothing is asked for"),
        ({"domain": "a.example", "state": "absent", "key_file": "/a.key"}, "key_secret: it is given beside key_file"),
        ({"domain": "a.example", "state": "absent", "server_port": 0}, "server_port"),
        ({"domain": "a.example", "state": "absent", "timeout": 0}, "timeout"),
        ({"domain": "a.example", "state": "absent", "key_secret": None}, "the key has no secret"),
        ({"domain": "a.example", "state": "absent", "key_secret": "%%%"}, "not Base64"),
        ({"domain": "a.example", "state": "absent", "zone": "no zone"}, "zone"),
    ],
)
def test_bad_options(run: Run, options: dict[str, Any], words: str) -> None:
    result = run(**options)
    assert result["failed"] is True
    assert words in result["msg"]


def test_empty_list(run: Run, server: DnsServer) -> None:
    result = run(records=[], purge=True)
    assert (result["changed"], result["records"]) == (False, [])
    assert server.questions() == []


def test_many_records_go_out_in_few_updates(run: Run, server: DnsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_dns_update_module, "batches", partial(_dns_update_client.batches, limit=10000))
    records = [{"domain": f"d{number}.a.example", "target": "edge.a.example"} for number in range(200)]
    run(records=records)
    assert 1 < len(server.updates()) < 10
    assert {question.transport for question in server.questions()} == {"tcp"}
    assert run(records=records)["changed"] is False


@pytest.mark.parametrize(
    ("records", "found"),
    [
        (["edge A 192.0.2.1"], (("192.0.2.1",), None)),
        (["edge AAAA 2001:db8::1"], (("2001:db8::1",), None)),
        (["edge CNAME real", "real A 192.0.2.1"], (None, "real.far.example")),
        (["edge TXT nothing"], (None, None)),
        ([], (None, None)),
    ],
)
def test_looking_elsewhere(monkeypatch: pytest.MonkeyPatch, records: list[str], found: tuple[Any, Any]) -> None:
    """The resolver of this host, with a server of our own in the place of the one that it would ask."""
    import dns.resolver

    with DnsServer({"far.example": records}) as far:
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = [far.host], far.port
        monkeypatch.setattr(dns.resolver, "Resolver", lambda: resolver)
        answer = _dns_update_client.elsewhere("edge.far.example", 2)
        assert answer is not None
        assert (answer.found.values if answer.found else None, answer.alias) == found
        far.behave("servfail")
        assert _dns_update_client.elsewhere("edge.far.example", 0.5) is None


def test_international_domain(run: Run, server: DnsServer) -> None:
    result = run(domain="bücher.a.example", target="edge.a.example")
    assert result["records"][0]["name"] == "_xmpp-server._tcp.xn--bcher-kva.a.example"
    assert server.records("_xmpp-server._tcp.xn--bcher-kva.a.example", "SRV") == ["0 0 5269 edge.a.example."]


def test_results_are_the_documented_ones(run: Run, server: DnsServer) -> None:
    told = yaml.safe_load(srv_record.RETURN)
    done = run(domain="a.example", target="edge.a.example", addresses=["192.0.2.1"])
    bad = run(records=[{"domain": "a b"}])
    server.behave("refused")
    refused = run(domain="a.example", state="absent")
    for result, names in ((done, {"records", "servers"}), (bad, {"problems"}), (refused, {"rcode", "applied"})):
        assert set(result) - {"changed", "failed", "diff", "msg", "warnings"} == names
        for name in names:
            assert type(result[name]).__name__ == told[name]["type"]
            for entry in result[name] if "contains" in told[name] else []:
                assert set(entry) == set(told[name]["contains"])
                for key, value in entry.items():
                    assert type(value).__name__ == told[name]["contains"][key]["type"], key


def test_examples_are_accepted(run: Run) -> None:
    for task in yaml.safe_load(srv_record.EXAMPLES):
        # The names of the documentation are not in the server: it is asked, and knows nothing of them.
        given = {**task["xmpp.federation.srv_record"], "server": "127.0.0.1", "key_name": "edge", "key_secret": SECRET}
        assert run(**{**given, "key_file": None})["rcode"] == "REFUSED"


def test_single_options_are_those_of_a_list_entry() -> None:
    told = yaml.safe_load(srv_record.DOCUMENTATION)["options"]
    entry = told["records"]["suboptions"]
    assert set(told) == set(_dns_update_module.OPTIONS)
    assert set(entry) == set(_dns_update_module.RECORD)
    assert all(one["description"] == f"See O({name})." for name, one in entry.items())


@pytest.fixture
def second(server: DnsServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[DnsServer]:
    """Another name server of the zone, at the same port of another address."""
    monkeypatch.setattr(_dns_update_verify, "PORT", server.port)
    records = [*ZONES["a.example"], "@ NS ns", "@ NS ns2", "ns A 127.0.0.1", "ns2 A 127.0.0.2"]
    server.zones = Zones({**ZONES, "a.example": records}, None)
    with DnsServer(ZONES, host="127.0.0.2", port=server.port) as running:
        yield running


def seen(result: dict[str, Any]) -> list[tuple[str, str]]:
    return [(entry["name"], entry["state"]) for entry in result["servers"]]


def test_other_name_servers_show_it(run: Run, server: DnsServer, second: DnsServer) -> None:
    second.zones = server.zones
    assert seen(run(domain="a.example", target="edge.a.example")) == [("ns2.a.example", "shown")]
    again = run(domain="a.example", target="edge.a.example")
    assert (again["changed"], again["servers"]) == (False, [])


def test_name_server_that_follows_later(run: Run, server: DnsServer, second: DnsServer) -> None:
    second.behave_for(OWNER, "SRV", "refused")
    over = threading.Event()

    def follow() -> None:
        while not second.queries(OWNER) and not over.is_set():
            over.wait(0.01)
        second.zones = server.zones
        second.behave_for(OWNER, "SRV", "normal")

    # The module itself has the main thread, as everywhere.
    follower = threading.Thread(target=follow)
    follower.start()
    try:
        done = run(domain="a.example", target="edge.a.example", timeout=20)
    finally:
        over.set()
        follower.join()
    assert seen(done) == [("ns2.a.example", "shown")]


def test_name_server_that_stays_behind(run: Run, second: DnsServer) -> None:
    result = run(domain="a.example", target="edge.a.example", timeout=1)
    assert seen(result) == [("ns2.a.example", "behind")]
    assert "ns2.a.example: _xmpp-server._tcp.a.example is nothing there, so far." in result["warnings"][0]


def test_name_server_that_nobody_reaches(run: Run, second: DnsServer) -> None:
    second.stop()
    result = run(domain="a.example", target="edge.a.example", timeout=1)
    assert result["changed"] is True
    assert seen(result) == [("ns2.a.example", "unreachable")]


def test_resolver_is_asked_if_wanted(run: Run, server: DnsServer, second: DnsServer) -> None:
    second.zones = server.zones
    public = f"127.0.0.2:{second.port}"
    result = run(domain="b.example", target="edge.a.example", resolver=public)
    assert ("127.0.0.2", "shown") in seen(result)
    refused = run(domain="a.example", target="edge.a.example", resolver="dns.example")
    assert (refused["failed"], refused["problems"][0]["key"]) == (True, "resolver")


def test_key_from_the_environment(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"domain": "a.example", "target": "edge.a.example", "key_name": None, "key_secret": None}
    monkeypatch.setenv("XMPP_FEDERATION_DNS_KEY_SECRET", SECRET)
    nameless = run(**options)
    assert (nameless["failed"], nameless["problems"][0]["key"]) == (True, "key_name")
    monkeypatch.setenv("XMPP_FEDERATION_DNS_KEY_NAME", "edge")
    assert run(**options)["changed"] is True
    # What the task says goes before what the environment says.
    monkeypatch.setenv("XMPP_FEDERATION_DNS_KEY_FILE", str(tmp_path / "none"))
    given = run(**{**options, "key_name": "edge", "key_secret": SECRET})
    assert given["changed"] is False
    failed = run(**options)
    assert (failed["failed"], failed["problems"][0]["key"]) == (True, "key_file")
    assert SECRET not in str([nameless, given, failed])
