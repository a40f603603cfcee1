# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every option of srv_record tells the truth: check mode, the run, the run again, and each option alone."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.xmpp.federation.plugins.module_utils import _dns_update_module
from ansible_collections.xmpp.federation.tests.peers.dns_server import DnsServer
from truthful import Option, given, options_of

Call = Callable[..., dict[str, Any]]

OLD, NEW = (base64.b64encode(text * 32).decode() for text in (b"a", b"b"))
KEYS = {"old": ("hmac-sha256", OLD), "new": ("hmac-sha256", NEW), "edge": ("hmac-sha512", OLD)}
RECORDS = ["edge 60 IN A 192.0.2.1", "other 60 IN A 192.0.2.2"]
BASE = {"domain": "a.example", "target": "edge.a.example"}
OWNER = "_xmpp-server._tcp.a.example. 3600 IN SRV"

# What is stated. `shown` are the lines of the diff, what goes before what comes.
WHAT: dict[str, tuple[Option, list[str], list[str]]] = {
    "domain": (Option("a.example", "b.a.example"), [], ["_xmpp-server._tcp.b.a.example. 3600 IN SRV 0 0 5269 edge"]),
    "service": (
        Option("xmpp-server", "xmpps-server"),
        [],
        ["_xmpps-server._tcp.a.example. 3600 IN SRV 0 0 5270 edge"],
    ),
    "target": (
        Option("edge.a.example", "other.a.example"),
        [f"{OWNER} 0 0 5269 edge"],
        [f"{OWNER} 0 0 5269 edge", f"{OWNER} 0 0 5269 other"],
    ),
    "port": (Option(5269, 5299), [f"{OWNER} 0 0 5269 edge"], [f"{OWNER} 0 0 5299 edge"]),
    "priority": (Option(1, 2), [f"{OWNER} 1 0 5269 edge"], [f"{OWNER} 2 0 5269 edge"]),
    "weight": (Option(1, 2), [f"{OWNER} 0 1 5269 edge"], [f"{OWNER} 0 2 5269 edge"]),
    "ttl": (
        Option(60, 90),
        ["_xmpp-server._tcp.a.example. 60 IN SRV 0 0 5269 edge"],
        ["_xmpp-server._tcp.a.example. 90 IN SRV 0 0 5269 edge"],
    ),
    "addresses": (
        Option(["192.0.2.1"], ["192.0.2.9", "2001:db8::9"]),
        ["edge.a.example. 60 IN A 192.0.2.1"],
        ["edge.a.example. 60 IN A 192.0.2.9", "edge.a.example. 3600 IN AAAA 2001:db8::9"],
    ),
    "state": (Option("present", "absent"), [f"{OWNER} 0 0 5269 edge"], []),
    "records": (
        Option([BASE], [{**BASE, "port": 5299}, {**BASE, "target": "other.a.example"}], base={}),
        [f"{OWNER} 0 0 5269 edge"],
        [f"{OWNER} 0 0 5269 other", f"{OWNER} 0 0 5299 edge"],
    ),
    "purge": (
        Option(False, True, base={"records": [BASE]}, before=(("", {**BASE, "target": "other.a.example"}),)),
        [f"{OWNER} 0 0 5269 edge", f"{OWNER} 0 0 5269 other"],
        [f"{OWNER} 0 0 5269 edge"],
    ),
}
# Where to, by which way and with which key: another value asks somebody else, or the same in another way.
WAYS: dict[str, Option] = {
    "server": Option("127.0.0.1", "localhost"),
    "zone": Option("a.example", "a.example."),
    "key_name": Option("old", "old.", beside={"key_secret": OLD}),
    "key_algorithm": Option("hmac-sha256", "hmac-sha512", beside={"key_secret": OLD}, then={"key_name": "edge"}),
    "key_secret": Option(OLD, NEW, beside={"key_name": "old"}, then={"key_name": "new"}),
    "key_file": Option("{tmp}/old.key", "{tmp}/new.key"),
    "timeout": Option(5, 6),
    "verify": Option(True, False),
    "resolver": Option("127.0.0.1:{port}", "[::ffff:127.0.0.1]:{port}"),
}
# Another port is another server, and what that one lacks is a change.
ELSEWHERE = {"server_port"}


@pytest.fixture
def server() -> Iterator[DnsServer]:
    with DnsServer({"a.example": RECORDS}, keys=KEYS) as running:
        yield running


@pytest.fixture
def lawful_dns(call: Call, server: DnsServer) -> Call:
    """Check, do, do again, look again. What other name servers show is only known after a write."""

    def run(**options: Any) -> dict[str, Any]:
        options = {"server": server.host, "server_port": server.port, "timeout": 5, **options}
        if not {"key_name", "key_file"} & set(options):
            options.update(key_name="old", key_secret=OLD)
        written = len(server.updates())
        told = call("srv_record", check=True, **options)
        assert len(server.updates()) == written
        done = call("srv_record", **options)
        assert "failed" not in done, done
        assert {**told, "servers": done["servers"]} == {**done, "warnings": told["warnings"]}
        for check in (False, True):
            again = call("srv_record", check=check, **options)
            assert again.keys() == done.keys()
            assert again["changed"] is False
            assert (again["diff"]["before"], again["diff"]["after"]) == ("", "")
        assert not any(secret in json.dumps(done) for secret in (OLD, NEW))
        return done

    return run


def _filled(value: Any, tmp_path: Path, server: DnsServer) -> Any:
    return (
        value.replace("{tmp}", str(tmp_path)).replace("{port}", str(server.port)) if isinstance(value, str) else value
    )


def test_every_option_has_values() -> None:
    assert set(options_of(_dns_update_module.OPTIONS)) == {*WHAT, *WAYS, *ELSEWHERE}
    assert set(_dns_update_module.OPTIONS["records"]["options"]) <= set(WHAT)


@pytest.mark.parametrize(
    ("option", "listed"),
    [
        (option, listed)
        for option, (one, *_unused) in WHAT.items()
        for listed in (False, True)[: 1 + (one.base is None)]
    ],
)
def test_an_option_alone_is_a_change_that_the_diff_names(lawful_dns: Call, option: str, listed: bool) -> None:
    one, before, after = WHAT[option]
    for _unused, options in one.before:
        lawful_dns(**options)
    done: dict[str, Any] = {}
    for value in (one.first, one.second):
        options = {**(BASE if one.base is None else one.base), **given(option, value)}
        done = lawful_dns(**({"records": [options]} if listed else options))
    assert done["changed"] is True
    for side, lines in (("before", before), ("after", after)):
        # Names are written out in full; the table leaves that out.
        assert [line.removesuffix(".a.example.") for line in done["diff"][side].splitlines()] == lines


@pytest.mark.parametrize("option", WAYS)
def test_the_way_changes_nothing(lawful_dns: Call, server: DnsServer, tmp_path: Path, option: str) -> None:
    for name, secret in (("old", OLD), ("new", NEW)):
        text = f'key "{name}" {{ algorithm hmac-sha256; secret "{secret}"; }};\n'
        (tmp_path / f"{name}.key").write_text(text, encoding="utf-8")
    one = WAYS[option]
    changed = []
    for value, more in ((one.first, {}), (one.second, one.then)):
        options = {**BASE, "key_name": "old", **one.beside, **given(option, value), **more}
        if "key_secret" not in options and option != "key_file":
            options["key_secret"] = OLD
        if option == "key_file":
            del options["key_name"]
        done = lawful_dns(**{key: _filled(value, tmp_path, server) for key, value in options.items()})
        changed.append(done["changed"])
    assert changed == [True, False]


def test_another_port_is_another_server(lawful_dns: Call) -> None:
    lawful_dns(**BASE)
    with DnsServer({"a.example": RECORDS}, keys=KEYS) as other:
        assert lawful_dns(**BASE, server_port=other.port)["changed"] is True
        assert other.records("_xmpp-server._tcp.a.example", "SRV") == ["0 0 5269 edge.a.example."]
