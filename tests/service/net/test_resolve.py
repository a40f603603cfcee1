# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a domain is sought: order, fallback, failures, and what is remembered of them."""

from __future__ import annotations

import os
import time
from collections import Counter

import pytest
from peers.dns_server import DnsServer
from xmpp_edge.net.resolve import LookupFailed, Resolver, Target, order
from xmpp_edge.records import fields

from .harness import run

_SERVICE = "_xmpp-server._tcp"
_DIRECT = "_xmpps-server._tcp"


def resolver(dns: DnsServer, **options: object) -> Resolver:
    return Resolver((f"127.0.0.1:{dns.address[1]}",), lifetime=2, **options)


def asked(dns: DnsServer) -> int:
    """How often STARTTLS services were asked for; direct ones are at the same time."""
    return len([question for question in dns.queries() if question.name.startswith(_SERVICE)])


async def failing(work) -> LookupFailed:
    try:
        await work
    except LookupFailed as failure:
        return failure
    raise AssertionError("it did not fail")


def test_lower_priority_comes_first_and_chance_follows_weight():
    targets = [
        Target("spare", 1, 20, 0),
        Target("big", 1, 10, 60),
        Target("small", 1, 10, 20),
        Target("zero", 1, 10, 0),
    ]
    firsts: Counter[str] = Counter()
    for drawn in range(81):
        draws = [drawn]
        result = order(targets, lambda low, _high, draws=draws: draws.pop() if draws else low)
        firsts[result[0].host] += 1
        assert result[-1].host == "spare"
        assert sorted(target.host for target in result) == ["big", "small", "spare", "zero"]
    assert firsts == {"zero": 1, "small": 20, "big": 60}


def test_weights_of_zero_only_keep_all_targets():
    targets = [Target(str(number), 1) for number in range(5)]
    assert set(order(targets, lambda low, _high: low)) == set(targets)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.1", ("192.0.2.1", 53)),
        ("192.0.2.1:5353", ("192.0.2.1", 5353)),
        ("2001:db8::1", ("2001:db8::1", 53)),
        ("[2001:db8::1]:5353", ("2001:db8::1", 5353)),
        ("[2001:db8::1]", ("2001:db8::1", 53)),
    ],
)
def test_resolver_addresses(text, expected):
    assert fields.resolver(text) == expected


def test_srv_is_followed_and_u_labels_are_asked_as_a_labels():
    async def test() -> None:
        zone = {"xn--bcher-kva.example": [f"{_SERVICE} 60 IN SRV 5 0 5270 xmpp", "xmpp 60 IN A 192.0.2.7"]}
        with DnsServer(zone) as dns:
            found = resolver(dns)
            assert await found.targets("bücher.example") == [Target("xmpp.xn--bcher-kva.example", 5270, 5, 0)]
            assert await found.addresses("xmpp.xn--bcher-kva.example") == ["192.0.2.7"]

    run(test)


def test_addresses_are_used_only_without_srv():
    async def test() -> None:
        with DnsServer({"a.example": ["@ 60 IN A 192.0.2.1", "@ 60 IN AAAA 2001:db8::1"]}) as dns:
            found = resolver(dns)
            assert await found.targets("a.example") == [Target("a.example", 5269)]
            assert await found.addresses("a.example") == ["2001:db8::1", "192.0.2.1"]

    run(test)


def test_a_dot_says_no_and_nothing_else_is_tried():
    async def test() -> None:
        with DnsServer({"a.example": [f"{_SERVICE} 60 IN SRV 0 0 5269 .", "@ 60 IN A 192.0.2.1"]}) as dns:
            failure = await failing(resolver(dns).targets("a.example"))
            assert failure.condition == "remote-server-not-found"
            assert [question for question in dns.queries() if question.type in ("A", "AAAA")] == []

    run(test)


@pytest.mark.parametrize("how", ["servfail", "timeout", "refused"])
def test_a_name_server_in_trouble_is_not_an_absent_record(how):
    async def test() -> None:
        with DnsServer({"a.example": ["@ 60 IN A 192.0.2.1"]}) as dns:
            dns.behave(how)
            found = Resolver((f"127.0.0.1:{dns.address[1]}",), lifetime=0.5)
            failure = await failing(found.targets("a.example"))
            assert failure.condition == "remote-server-timeout"
            assert found.last_error == failure.text

    run(test)


def test_aaaa_alone_is_enough():
    async def test() -> None:
        with DnsServer({"a.example": ["@ 60 IN AAAA ::1"]}) as dns:
            assert await resolver(dns).addresses("a.example") == ["::1"]

    run(test)


def test_no_such_name_for_one_kind_of_address_leaves_the_other():
    async def test() -> None:
        with DnsServer({"a.example": ["@ 60 IN AAAA 2001:db8::1"]}) as dns:
            dns.behave_for("a.example", "A", "nxdomain")
            assert await resolver(dns).addresses("a.example") == ["2001:db8::1"]

    run(test)


def test_families_take_turns_and_neither_crowds_out_the_other():
    async def test() -> None:
        zone = [*(f"@ 60 IN AAAA 2001:db8::{n}" for n in range(1, 21)), "@ 60 IN A 192.0.2.1", "@ 60 IN A 192.0.2.2"]
        with DnsServer({"a.example": zone}) as dns:
            found = await resolver(dns).addresses("a.example")
            assert [":" in address for address in found] == [True, False, True, False, True, True, True, True]

    run(test)


def test_direct_tls_and_starttls_are_one_list():
    async def test() -> None:
        zone = [
            f"{_DIRECT} 60 IN SRV 10 0 5270 second",
            f"{_SERVICE} 60 IN SRV 5 0 5269 first",
            f"{_SERVICE} 60 IN SRV 20 0 5269 third",
        ]
        with DnsServer({"a.example": zone}) as dns:
            assert await resolver(dns).targets("a.example") == [
                Target("first.a.example", 5269, 5, 0),
                Target("second.a.example", 5270, 10, 0, direct=True),
                Target("third.a.example", 5269, 20, 0),
            ]

    run(test)


def test_weights_count_over_both_kinds_together():
    async def test() -> None:
        zone = [f"{_DIRECT} 60 IN SRV 10 30 5270 direct", f"{_SERVICE} 60 IN SRV 10 70 5269 starttls"]
        with DnsServer({"a.example": zone}) as dns:
            firsts: Counter[bool] = Counter()
            for drawn in range(1, 101):
                draws = [drawn]
                found = resolver(dns, pick=lambda low, _high, draws=draws: draws.pop() if draws else low)
                firsts[(await found.targets("a.example"))[0].direct] += 1
            assert firsts == {True: 30, False: 70}

    run(test)


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ([f"{_DIRECT} 60 IN SRV 0 0 5270 .", f"{_SERVICE} 60 IN SRV 0 0 5269 x"], [("x.a.example", False)]),
        ([f"{_SERVICE} 60 IN SRV 0 0 5269 .", f"{_DIRECT} 60 IN SRV 0 0 5270 x"], [("x.a.example", True)]),
        ([f"{_DIRECT} 60 IN SRV 0 0 5270 .", f"{_SERVICE} 60 IN SRV 0 0 5269 ."], "remote-server-not-found"),
        ([f"{_DIRECT} 60 IN SRV 0 0 5270 ."], "remote-server-not-found"),
        ([f"{_DIRECT} 60 IN SRV 0 0 5270 x"], [("x.a.example", True)]),
        ([f"{_SERVICE} 60 IN SRV 0 0 5269 x", f"{_SERVICE} 60 IN SRV 1 0 5269 ."], [("x.a.example", False)]),
    ],
)
def test_a_dot_shuts_one_door_and_addresses_replace_only_what_is_not_there(zone, expected):
    async def test() -> None:
        with DnsServer({"a.example": [*zone, "@ 60 IN A 192.0.2.1"]}) as dns:
            if isinstance(expected, str):
                assert (await failing(resolver(dns).targets("a.example"))).condition == expected
            else:
                targets = await resolver(dns).targets("a.example")
                assert [(target.host, target.direct) for target in targets] == expected

    run(test)


@pytest.mark.parametrize(
    ("name", "zone", "expected"),
    [
        (_DIRECT, [f"{_SERVICE} 60 IN SRV 0 0 5269 x"], "x.a.example"),
        (_SERVICE, [f"{_DIRECT} 60 IN SRV 0 0 5270 x"], "x.a.example"),
        (_DIRECT, [], "remote-server-timeout"),
        (_SERVICE, [], "remote-server-timeout"),
        (_SERVICE, [f"{_DIRECT} 60 IN SRV 0 0 5270 ."], "remote-server-timeout"),
    ],
)
def test_where_one_of_the_two_is_not_answered_the_other_counts_but_no_address(name, zone, expected):
    async def test() -> None:
        with DnsServer({"a.example": [*zone, "@ 60 IN A 192.0.2.1"]}) as dns:
            dns.behave_for(f"{name}.a.example", "SRV", "servfail")
            found = resolver(dns)
            if zone and expected != "remote-server-timeout":
                assert [target.host for target in await found.targets("a.example")] == [expected]
            else:
                assert (await failing(found.targets("a.example"))).condition == expected

    run(test)


@pytest.mark.parametrize(("silent", "left"), [(_DIRECT, False), (_SERVICE, True)])
def test_the_one_that_is_never_answered_is_not_waited_for_where_the_other_has_targets(silent, left):
    async def test() -> None:
        zone = [f"{_SERVICE} 60 IN SRV 0 0 5269 x", f"{_DIRECT} 60 IN SRV 0 0 5270 x"]
        with DnsServer({"a.example": zone}) as dns:
            dns.behave_for(f"{silent}.a.example", "SRV", "timeout")
            begun = time.monotonic()
            found = Resolver((f"127.0.0.1:{dns.address[1]}",), lifetime=8)
            assert [target.direct for target in await found.targets("a.example")] == [left]
            assert time.monotonic() - begun < 5

    run(test)


def test_a_target_that_is_an_alias_is_followed():
    async def test() -> None:
        zone = [f"{_SERVICE} 60 IN SRV 0 0 5269 alias", "alias 60 IN CNAME real", "real 60 IN A 192.0.2.3"]
        with DnsServer({"a.example": zone}) as dns:
            assert await resolver(dns).addresses("alias.a.example") == ["192.0.2.3"]

    run(test)


def test_aliases_in_a_circle_lead_nowhere_and_end():
    async def test() -> None:
        with DnsServer({"a.example": ["one 60 IN CNAME two", "two 60 IN CNAME one"]}) as dns:
            assert (await failing(resolver(dns).addresses("one.a.example"))).condition.startswith("remote-server-")

    run(test)


def test_a_ttl_of_zero_is_asked_anew_each_time():
    async def test() -> None:
        with DnsServer({"a.example": [f"{_SERVICE} 0 IN SRV 0 0 5269 x"]}) as dns:
            found = resolver(dns)
            for _unused in range(2):
                assert [target.host for target in await found.targets("a.example")] == ["x.a.example"]
            assert len(dns.queries(f"{_SERVICE}.a.example")) == 2

    run(test)


def test_truncated_answers_are_asked_for_again_over_tcp():
    async def test() -> None:
        with DnsServer({"a.example": [f"{_SERVICE} 60 IN SRV 0 0 5269 x"]}) as dns:
            dns.behave("truncate")
            assert [target.host for target in await resolver(dns).targets("a.example")] == ["x.a.example"]
            assert {question.transport for question in dns.queries()} == {"udp", "tcp"}

    run(test)


def test_many_records_are_cut_and_truncation_leads_to_tcp():
    async def test() -> None:
        zone = [f"{_SERVICE} 60 IN SRV {number} 0 5269 host{number}" for number in range(60)]
        with DnsServer({"a.example": zone}) as dns:
            targets = await resolver(dns).targets("a.example")
            assert [target.priority for target in targets] == list(range(32))

    run(test)


def test_answers_are_remembered_for_their_time_and_failures_for_a_short_one():
    async def test() -> None:
        now = 1000.0
        zone = {"a.example": [f"{_SERVICE} 60 IN SRV 0 0 5269 x"], "b.example": [f"{_SERVICE} 60 IN SRV 0 0 1 ."]}
        with DnsServer(zone) as dns:
            found = resolver(dns, clock=lambda: now)
            for _unused in range(3):
                await found.targets("a.example")
                await failing(found.targets("b.example"))
            assert asked(dns) == 2
            now += 11
            await failing(found.targets("b.example"))
            await found.targets("a.example")
            assert asked(dns) == 3
            now += 60
            await found.targets("a.example")
            assert asked(dns) == 4

    run(test)


def test_an_address_needs_no_lookup():
    async def test() -> None:
        assert await Resolver(("127.0.0.1:1",), lifetime=0.2).addresses("2001:db8::9") == ["2001:db8::9"]

    run(test)


def test_the_hosts_own_resolvers_are_followed_when_they_change(tmp_path, monkeypatch):
    async def test() -> None:
        path = tmp_path / "resolv.conf"
        monkeypatch.setattr("xmpp_edge.net.resolve._SYSTEM", str(path))
        found = Resolver((), lifetime=0.5)
        failure = await failing(found.targets("a.example"))
        assert "no resolver configured" in failure.text
        for number in (1, 2):
            path.write_text(f"nameserver 127.0.0.{number}\n")
            os.utime(path, ns=(number, number))
            assert found._resolver().nameservers == [f"127.0.0.{number}"]

    run(test)
