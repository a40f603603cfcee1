# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""srv_record where connections break, answers are lost, cut off or lie, wildcards answer, and others edit meanwhile."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dns.message
import dns.rcode
import dns.rdata
import dns.rdataset
import dns.rrset
import pytest
from ansible_collections.xmpp.federation.plugins.module_utils import _dns_update_key
from ansible_collections.xmpp.federation.plugins.module_utils._dns_update_key import TsigKey
from ansible_collections.xmpp.federation.plugins.module_utils._dns_update_plan import Key
from ansible_collections.xmpp.federation.plugins.module_utils._dns_update_wire import Wire
from ansible_collections.xmpp.federation.tests.peers.dns_proxy import UPDATE, DnsProxy, opcode
from ansible_collections.xmpp.federation.tests.peers.dns_server import DnsServer, Zones

SECRET = base64.b64encode(b"a secret of thirty-two bytes....").decode()
SIGNED = {"key_name": "edge", "key_secret": SECRET}
OWNER = "_xmpp-server._tcp.a.example"
EDGE = {"domain": "a.example", "target": "edge.a.example"}
ZONES = {
    "a.example": ["edge A 192.0.2.10"],
    "b.example": [],
    # The name servers have no address, so that nobody is asked who would not answer.
    "wild.example": ["@ NS ns.none.example.", "* A 192.0.2.77", "edge A 192.0.2.10"],
    "alias.example": ["@ NS ns.none.example.", "* CNAME www", "www A 192.0.2.80", "edge A 192.0.2.10"],
}

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def server() -> Iterator[DnsServer]:
    with DnsServer(ZONES, keys={"edge": ("hmac-sha256", SECRET)}) as running:
        yield running


@pytest.fixture
def run(call: Any, server: DnsServer) -> Run:
    def with_server(check: bool = False, by: DnsProxy | None = None, **options: Any) -> dict[str, Any]:
        host, port = by.address if by else server.address
        given = {"server": host, "server_port": port, "timeout": 20, **SIGNED, **options}
        return call("srv_record", check=check, **given)  # type: ignore[no-any-return]

    return with_server


# Connections


@pytest.mark.parametrize("answers", range(1, 8))
def test_server_that_ends_connections(run: Run, server: DnsServer, answers: int) -> None:
    """Wherever the end comes: between questions, before an update, before the records are read again."""
    records = [{"domain": f"d{number}.a.example", "target": "edge.a.example"} for number in range(3)]
    with DnsProxy(server.address, close_after=answers) as proxy:
        assert run(by=proxy, records=records)["changed"] is True
        assert run(by=proxy, records=records)["changed"] is False
    assert len(server.updates()) == 1


def _lose_updates(message: bytes) -> bytes | None:
    return None if opcode(message) == UPDATE else message


def test_update_whose_answer_is_lost_was_made_all_the_same(run: Run, server: DnsServer) -> None:
    with DnsProxy(server.address, back=_lose_updates) as proxy:
        result = run(by=proxy, **EDGE)
    assert (result["changed"], len(server.updates())) == (True, 1)
    assert server.records(OWNER, "SRV") == ["0 0 5269 edge.a.example."]


def test_update_that_is_lost_is_not_sent_again(run: Run, server: DnsServer) -> None:
    with DnsProxy(server.address, there=_lose_updates) as proxy:
        result = run(by=proxy, **EDGE)
    assert (result["failed"], result["rcode"], result["applied"]) == (True, "UNREACHABLE", [])
    assert "whether the update was made is not certain" in result["msg"]
    assert server.updates() == []


# Answers


def _cut(message: bytes) -> bytes:
    """TC, and nothing behind the question."""
    (flags,) = struct.unpack("!H", message[2:4])
    end = message.index(b"\0", 12) + 5
    return message[:2] + struct.pack("!HHHHH", flags | 0x200, 1, 0, 0, 0) + message[12:end]


def test_cut_answer_is_no_answer(run: Run, server: DnsServer) -> None:
    run(**EDGE)
    with DnsProxy(server.address, back=_cut) as proxy:
        result = run(by=proxy, domain="a.example", state="absent", key_name=None, key_secret=None)
    assert (result["failed"], result["rcode"]) == (True, "TRUNCATED")
    assert server.records(OWNER, "SRV") == ["0 0 5269 edge.a.example."]


def _of_another_name(message: bytes) -> bytes:
    answer = dns.message.from_wire(message)
    answer.authority.clear()
    answer.answer = [dns.rrset.from_text("other.a.example.", 60, "IN", "SRV", "0 0 5269 edge.a.example.")]
    answer.set_rcode(dns.rcode.NOERROR)
    return answer.to_wire()


@pytest.mark.parametrize(
    ("back", "rcode"),
    [
        (_of_another_name, "FORMERR"),
        (lambda message: struct.pack("!H", struct.unpack("!H", message[:2])[0] ^ 1) + message[2:], "FORMERR"),
        (lambda _message: b"", "FORMERR"),
        (lambda message: message[:11], "FORMERR"),
        (lambda message: message[:-3], "FORMERR"),
        (lambda message: message + b"more", "FORMERR"),
    ],
)
def test_answer_that_is_none(run: Run, server: DnsServer, back: Callable[[bytes], bytes], rcode: str) -> None:
    with DnsProxy(server.address, back=back) as proxy:
        result = run(by=proxy, domain="a.example", state="absent", key_name=None, key_secret=None)
    assert (result["failed"], result["rcode"]) == (True, rcode), result
    assert "connection broke" not in result["msg"]


@pytest.mark.parametrize("back", [lambda message: message[:-3], lambda message: message + b"more"])
def test_signed_answer_with_a_wrong_end(run: Run, server: DnsServer, back: Callable[[bytes], bytes]) -> None:
    with DnsProxy(server.address, back=back) as proxy:
        assert run(by=proxy, **EDGE)["rcode"] in ("BADSIG", "FORMERR")
    assert server.updates() == []


# Wildcards


@pytest.mark.parametrize("domain", ["wild.example", "alias.example"])
def test_wildcards_stand_in_nobodys_way(run: Run, server: DnsServer, domain: str) -> None:
    """What a wildcard answers is not there for an update, and check mode knows."""
    options = {"domain": f"new.{domain}", "target": f"edge9.{domain}", "addresses": ["192.0.2.1"]}
    foreseen = run(check=True, **options)
    done = run(**options)
    assert done["changed"] is True, done
    assert (foreseen["diff"], foreseen["records"]) == (done["diff"], done["records"])
    assert done["diff"]["before"] == ""
    assert server.records(f"edge9.{domain}", "A") == ["192.0.2.1"]
    assert run(**options)["changed"] is False
    assert run(domain=f"other.{domain}", state="absent")["changed"] is False


def test_what_is_taken_away_below_a_wildcard(run: Run, server: DnsServer) -> None:
    """The wildcard answers in its place then, which is not the old record."""
    options = {"domain": "wild.example", "target": "edge.wild.example", "addresses": ["192.0.2.10"], "state": "absent"}
    foreseen, done = run(check=True, **options), run(**options)
    assert (foreseen["changed"], done["changed"]) == (True, True), done
    assert server.records("edge.wild.example", "A") == []
    assert run(**options)["changed"] is False


def test_target_that_has_the_addresses_of_a_wildcard(run: Run, server: DnsServer) -> None:
    """Nothing is taken away from it, because nothing is there."""
    records = [
        {"domain": "wild.example", "target": "pool.wild.example"},
        {"domain": "wild.example", "service": "xmpps-server", "target": "pool.wild.example", "state": "absent"},
    ]
    records[1]["addresses"] = ["192.0.2.77"]  # type: ignore[assignment]
    foreseen, done = run(check=True, records=records), run(records=records)
    assert (foreseen["changed"], done.get("changed"), done.get("msg")) == (True, True, None)
    assert foreseen["diff"] == done["diff"]


def test_set_like_that_of_a_wildcard(run: Run, server: DnsServer) -> None:
    """Nobody can tell the two apart by asking; the update can."""
    zone = server.zones.zone("wild.example")
    zone.replace_rdataset("edge9.wild.example.", dns.rdataset.from_text("IN", "A", 300, "192.0.2.77"))
    options = {"domain": "wild.example", "target": "edge9.wild.example", "addresses": ["192.0.2.1"]}
    assert run(**options)["changed"] is True
    assert server.records("edge9.wild.example", "A") == ["192.0.2.1"]


def test_alias_of_a_wildcard_is_an_alias_where_nothing_replaces_it(run: Run) -> None:
    result = run(domain="alias.example", target="edge9.alias.example")
    assert "edge9.alias.example is an alias" in result["msg"]


# Others who edit


def _replace(zones: Zones, name: str, kind: str, text: str) -> None:
    zone = zones.zone("a.example")
    zone.replace_rdataset(name + ".", dns.rdataset.from_text("IN", kind, 3600, text))


def test_set_that_changes_twice(run: Run, server: DnsServer) -> None:
    """The second zone conflicts, and by then somebody has changed the first one again."""

    def meanwhile(zones: Zones) -> None:
        zone = zones.zone("b.example")
        other = dns.rdataset.from_text("IN", "SRV", 60, "9 9 9 other.b.example.")
        zone.replace_rdataset("_xmpp-server._tcp.b.example.", other)
        _replace(zones, OWNER, "SRV", "7 7 7 edge.a.example.")

    server.before_update(lambda _zones: None)
    server.before_update(meanwhile)
    result = run(records=[{**EDGE, "priority": 1}, {"domain": "b.example", "target": "edge.a.example"}])
    assert result["changed"] is True, result
    assert server.records(OWNER, "SRV") == ["1 7 7 edge.a.example."]
    assert result["diff"]["before"].count(OWNER) == 0
    assert result["diff"]["after"].count(OWNER) == 1


def test_what_was_applied_is_told_also_where_the_second_look_finds_a_problem(run: Run, server: DnsServer) -> None:
    def meanwhile(zones: Zones) -> None:
        zone = zones.zone("b.example")
        other = dns.rdataset.from_text("IN", "SRV", 60, "9 9 9 other.b.example.")
        zone.replace_rdataset("_xmpp-server._tcp.b.example.", other)
        zones.zone("a.example").delete_rdataset("edge.a.example.", "A")

    server.before_update(lambda _zones: None)
    server.before_update(meanwhile)
    result = run(records=[EDGE, {"domain": "b.example", "target": "edge.a.example"}])
    assert (result["failed"], result["changed"]) == (True, True)
    assert "has no address" in result["msg"]
    assert f"{OWNER} SRV had been changed before" in result["msg"]


# What cannot be


def test_more_than_one_message_can_hold(run: Run, server: DnsServer) -> None:
    records = [
        {"domain": "a.example", "target": f"a-host-with-a-long-name-{number}.a.example", "addresses": ["192.0.2.1"]}
        for number in range(1300)
    ]
    for check in (True, False):
        result = run(check=check, records=records)
        assert (result["failed"], result["rcode"]) == (True, "TOOBIG")
        assert f"SRV of {OWNER}" in result["msg"]
    assert server.updates() == []


@pytest.mark.parametrize(
    ("options", "key", "words"),
    [
        ({"domain": "", "state": "absent"}, "domain", "it is missing"),
        ({**EDGE, "addresses": ["fe80::1%eth0"]}, "addresses", "not an IP address"),
        ({**EDGE, "key_name": "a..b"}, "key_name", "no name that a key can have"),
        ({**EDGE, "key_name": "x" * 64}, "key_name", "no name that a key can have"),
        ({**EDGE, "timeout": 10_000_000_000}, "timeout", "out of range"),
        ({**EDGE, "zone": "example"}, "zone", "lies outside"),
        ({**EDGE, "zone": "deep.a.example", "domain": "x.deep.a.example"}, "zone", "belongs to a.example"),
    ],
)
@pytest.mark.parametrize("check", [True, False])
def test_options_that_cannot_be(
    run: Run, server: DnsServer, options: dict[str, Any], key: str, words: str, check: bool
) -> None:
    if options.get("zone") == "example":
        result = run(check=check, **options)
        assert (result["failed"], result["rcode"]) == (True, "REFUSED")
        return
    result = run(check=check, **options)
    assert key in [problem["key"] for problem in result["problems"]]
    assert words in result["msg"]
    assert server.updates() == []


@pytest.mark.parametrize("name", ["ns1..example", f"{'x' * 64}.example"])
def test_server_that_cannot_be_a_name(run: Run, name: str) -> None:
    assert run(server=name, **EDGE)["rcode"] == "UNREACHABLE"


def test_zone_that_another_zone_is_cut_out_of(run: Run, server: DnsServer) -> None:
    server.zones = Zones({**ZONES, "sub.a.example": ["@ A 192.0.2.1"]}, None)
    result = run(domain="sub.a.example", target="edge.a.example", zone="a.example")
    assert "belongs to the zone sub.a.example" in result["msg"]


def test_target_that_would_lose_its_last_address(run: Run, server: DnsServer) -> None:
    records = [
        {"domain": "b.example", "target": "edge.a.example"},
        {**EDGE, "addresses": ["192.0.2.10"], "state": "absent"},
    ]
    result = run(records=records)
    assert "another entry takes its last address away" in result["msg"]
    assert server.updates() == []


def test_addresses_have_one_spelling(run: Run, server: DnsServer) -> None:
    options = {**EDGE, "addresses": ["::ffff:192.0.2.1", "2001:DB8:0::1"]}
    assert run(**options)["changed"] is True
    assert run(**options)["changed"] is False


def test_time_to_live_does_not_depend_on_the_order(run: Run, server: DnsServer) -> None:
    _replace(server.zones, "edge.a.example", "A", "192.0.2.10")
    server.zones.zone("a.example").replace_rdataset(
        "edge.a.example.", dns.rdataset.from_text("IN", "A", 60, "192.0.2.10")
    )
    away = {"domain": "b.example", "target": "edge.a.example", "state": "absent", "addresses": ["192.0.2.10"]}
    here = {**EDGE, "addresses": ["192.0.2.11"]}
    for records in ([away, here], [here, away]):
        told = run(check=True, records=records)
        assert "edge.a.example. 60 IN A 192.0.2.11" in told["diff"]["after"]


def test_what_is_absent_shows_what_was_removed(run: Run) -> None:
    run(**EDGE, addresses=["192.0.2.10", "192.0.2.11"])
    (removed,) = run(**EDGE, state="absent", addresses=["192.0.2.10"])["records"]
    assert removed["addresses"] == ["192.0.2.10"]
    (nothing,) = run(domain="a.example", target="other.a.example", state="absent")["records"]
    assert (nothing["port"], nothing["ttl"]) == (None, None)


def test_no_such_service_stands_alone(run: Run, server: DnsServer) -> None:
    _replace(server.zones, OWNER, "SRV", "0 0 0 .")
    result = run(**EDGE)
    assert result["diff"]["before"] == f"{OWNER}. 3600 IN SRV 0 0 0 .\n"
    assert server.records(OWNER, "SRV") == ["0 0 5269 edge.a.example."]


# Keys


@pytest.mark.parametrize(
    "text",
    [
        'key edge {{ algorithm "{0}"; secret "hmac-sha256"; }};',
        'key edge {{ secret algorithm "{0}"; }};',
        'key "{0}" {{ algorithm hmac-sha256; }};',
        'key edge {{ algorithm hmac-sha256; secret "{0}"; }}; key edge {{ algorithm hmac-sha512; secret "{0}"; }};',
    ],
)
def test_mixed_up_key_file_shows_nothing(run: Run, tmp_path: Path, text: str) -> None:
    file = tmp_path / "edge.key"
    file.write_text(text.format(SECRET))
    result = run(**EDGE, key_name=None, key_secret=None, key_file=str(file))
    assert result["failed"]
    assert SECRET not in str(result)


def test_other_keys_of_a_file_may_be_of_any_kind(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    other = 'key other { algorithm hmac-sha256-128; secret "?"; };'
    file.write_text(f'\ufeff{other}\nkey edge {{ algorithm hmac-sha512; secret "{SECRET}"; }};')
    found = _dns_update_key.from_options({"key_file": str(file), "key_name": "edge"}, {})
    assert found is not None
    assert found.algorithm == "hmac-sha512"


def test_name_of_the_key_may_come_from_elsewhere(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XMPP_FEDERATION_DNS_KEY_NAME", "edge")
    assert run(**EDGE, key_name=None)["changed"] is True


@pytest.mark.parametrize("algorithm", _dns_update_key.ALGORITHMS)
@pytest.mark.parametrize("name", ["_xmpp-server._tcp.a.example", "x" * 63 + ".example", "a." * 100 + "example"])
def test_questions_are_those_of_dnspython(algorithm: str, name: str) -> None:
    """Written and signed here, read and verified by the library."""
    wire = Wire(TsigKey("Edge.Key", algorithm, b"secret"))
    for number, kind in ((0, "SRV"), (65535, "AAAA"), (77, "SOA")):
        request = wire.question(Key(name, kind))
        request.id = number
        message = wire.frame(request)
        assert struct.unpack("!H", message[:2])[0] == len(message) - 2
        read = dns.message.from_wire(message[2:], keyring=wire._keyring)
        assert (read.id, read.had_tsig, read.mac) == (number, True, request.mac)
        assert [(str(one.name), one.rdtype.name) for one in read.question] == [(f"{name}.", kind)]
        assert not read.flags & 0x100
