# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every option of the modules for records tells the truth: check mode, the run, the run again, and each option alone.

``lawful`` compares check mode with the run and sees that the same again changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.xmpp.federation.plugins.module_utils import _module_edge, _module_partner, _module_policy
from ansible_collections.xmpp.federation.plugins.modules import edge_config
from truthful import SECRET, Option, change, differences, options_of, shown

Call = Callable[..., dict[str, Any]]

OURS = ("edge_config", {"domains": ["ours.example"]})
TLS = {"tls": "optional", "dialback": True}
ENCRYPTED = {"inside": {"server": "ejabberd", "tls": True}}
ALICE, BOB = "alice@ours.example", "bob@ours.example"

EDGE = {
    "domains": Option(["a.example"], ["b.example"]),
    "allow_federated_users": Option(False, True),
    "listen": Option(["192.0.2.1", "2001:db8::1"], ["2001:db8::1", "192.0.2.1"]),
    "listen_port": Option(5270, 5271),
    "direct_tls_port": Option(5272, 5273),
    "inside.server": Option("prosody", "other"),
    "inside.host": Option("192.0.2.1", "inside.example"),
    "inside.port": Option(5348, 5349),
    "inside.tls": Option(False, True, beside={"inside": {"server": "ejabberd"}}),
    "inside.ca_file": Option("/a.pem", "/b.pem", beside=ENCRYPTED),
    "inside.secret": Option(SECRET, f"{SECRET} 2", shown=shown("secrets/inside_secret")),
    "inside.secret_file": Option("{tmp}/first", "{tmp}/second", shown=shown("secrets/inside_secret")),
    "connection_limit": Option(100, 200),
    "partner_connection_limit": Option(10, 11),
    "unauthenticated_limit": Option(50, 60),
    "keepalive_interval": Option(20, 30),
    "stream_establishment_timeout": Option(20, 30),
    "stream_inactivity_timeout": Option(400, 500),
    "resolvers": Option(["192.0.2.53"], ["192.0.2.53:5353"]),
    "ca_file": Option("/a.pem", "/b.pem"),
    "check_crls": Option("never", "always"),
    "log_message_bodies": Option(False, True),
    "archiving_disclaimer": Option("This is kept.", "This is kept for a year."),
    "dialback_secret": Option(SECRET, f"{SECRET} 2", shown=shown("secrets/dialback_secret")),
    "dialback_secret_file": Option("{tmp}/first", "{tmp}/second", shown=shown("secrets/dialback_secret")),
    "state": Option(
        "present", "default", before=(("edge_config", {"listen_port": 1}),), shown=shown("edge/listen_port")
    ),
    "config_dir": Option(
        "{tmp}/one",
        "{tmp}/two",
        shown=shown("directory {tmp}/two", "edge/domains", "secrets/dialback_secret"),
    ),
}

PARTNER = {
    "domain": Option("a.example", "b.example", shown=shown("partner b.example")),
    "additional_domains": Option(["a.example"], ["b.example"]),
    "additional_domains_mode": Option(
        "add",
        "remove",
        beside={"additional_domains": ["a.example"]},
        shown=shown("partner p.example/additional_domains"),
    ),
    "partner_type": Option("federated", "public_unverified"),
    "tls": Option("required", "optional", beside={"sasl": "optional", "dialback": True}),
    "sasl": Option("required", "optional", beside=TLS),
    "dialback": Option(True, False, beside={"tls": "optional"}),
    "keepalive": Option(True, False),
    "connection_limit": Option(5, 6),
    "proxy_fqdn": Option("a.example", "192.0.2.1"),
    "proxy_port": Option(5270, 5271, beside={"proxy_fqdn": "proxy.example"}),
    "ca_file": Option("/a.pem", "/b.pem"),
    "pins": Option(["a" * 64], ["b" * 64]),
    "description": Option("one", "two"),
    "state": Option("present", "absent", shown=shown("partner p.example")),
    "partners": Option(
        [{"domain": "a.example"}],
        [{"domain": "a.example", "keepalive": False}, {"domain": "b.example"}],
        base={},
        shown=shown("partner a.example/keepalive", "partner b.example"),
    ),
    "purge": Option(
        False,
        True,
        base={"partners": [{"domain": "a.example"}]},
        before=(("xmpp_partner", {"domain": "b.example"}),),
        shown=shown("partner b.example"),
    ),
    "config_dir": Option("{tmp}/one", "{tmp}/two", shown=shown("directory {tmp}/two", "partner p.example")),
}

POLICY = {
    "name": Option("P", "Q", shown=shown("policy Q")),
    "scope": Option(
        "user", "site", then={"members": ["*@ours.example"]}, shown=shown("policy P/scope", "policy P/members")
    ),
    "members": Option([ALICE], ["b*@ours.example"], beside={"scope": "site"}),
    "federation_access": Option(False, True),
    "xmpp_access": Option(False, True, beside={"federation_access": True}),
    "public_cloud_access": Option(False, True),
    "description": Option("one", "two"),
    "grant_to": Option([ALICE], [BOB], shown=shown(f"grants/{BOB}")),
    "grant_to_all": Option(False, True, shown=shown("grant_to_all")),
    "grant_mode": Option(
        "add",
        "replace",
        beside={"grant_to": [ALICE]},
        before=(("external_access_policy", {"name": "P", "grant_to": [BOB]}),),
        shown=shown(f"grants/{BOB}"),
    ),
    "state": Option("present", "absent", shown=shown("policy P")),
    "policies": Option(
        [{"name": "A"}],
        [{"name": "A", "description": "new"}, {"name": "B"}],
        base={},
        shown=shown("policy A/description", "policy B"),
    ),
    "purge": Option(
        False,
        True,
        base={"policies": [{"name": "A"}]},
        before=(("external_access_policy", {"name": "B"}),),
        shown=shown("policy B"),
    ),
    "config_dir": Option("{tmp}/one", "{tmp}/two", shown=shown("directory {tmp}/two", "policy P")),
}


class Table(NamedTuple):
    spec: dict[str, Any]
    options: dict[str, Option]
    base: dict[str, Any]
    subject: str
    many: str | None
    hints: frozenset[str] = frozenset()
    """Options that tell check mode what an earlier task is going to write, and that never change anything."""


TABLES = {
    "edge_config": Table(_module_edge.argument_spec(), EDGE, {"domains": ["ours.example"]}, "edge", None),
    "xmpp_partner": Table(
        _module_partner.argument_spec(),
        PARTNER,
        {"domain": "p.example"},
        "partner p.example",
        "partners",
        shown("own_domains"),
    ),
    "external_access_policy": Table(
        _module_policy.argument_spec(), POLICY, {"name": "P"}, "policy P", "policies", shown("own_domains")
    ),
}
CASES = [(module, option) for module, table in TABLES.items() for option in table.options]
IN_LISTS = [
    (module, option) for module, option in CASES
    if (many := TABLES[module].many) and option in TABLES[module].spec[many]["options"]
]  # fmt: skip


@pytest.fixture
def secrets(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).write_text(f"{SECRET} {name}\n", encoding="utf-8")


@pytest.mark.parametrize("module", TABLES)
def test_every_option_has_values(module: str) -> None:
    table = TABLES[module]
    assert set(options_of(table.spec)) == {*table.options, *table.hints}
    for one in table.options.values():
        assert one.first != one.second
    if table.many:
        assert set(table.spec[table.many]["options"]) <= set(table.options)


def _expected(table: Table, option: str, one: Option, tmp_path: Path) -> set[str]:
    names = one.shown or {f"{table.subject}/{option}"}
    return {name.replace("{tmp}", str(tmp_path)) for name in names}


def _run(lawful: Call, module: str, option: str, tmp_path: Path, **more: Any) -> dict[str, Any]:
    table = TABLES[module]
    one = table.options[option]
    if module == "external_access_policy":
        one = one._replace(before=(OURS, *one.before))
    done = change(lawful, module, option, one, table.base, tmp_path, **more)
    assert differences(done["diff"]) == _expected(table, option, one, tmp_path)
    return done


@pytest.mark.parametrize(("module", "option"), CASES)
def test_an_option_alone_is_a_change_that_the_diff_names(
    lawful: Call, tmp_path: Path, secrets: None, module: str, option: str
) -> None:
    _run(lawful, module, option, tmp_path)


@pytest.mark.parametrize(("module", "option"), IN_LISTS)
def test_an_entry_of_a_list_is_told_like_a_single_one(lawful: Call, tmp_path: Path, module: str, option: str) -> None:
    many = TABLES[module].many
    assert many
    single = _run(lawful, module, option, tmp_path / "single")
    listed = _run(lawful, module, option, tmp_path / "listed", wrap=lambda options: {many: [options]})
    assert listed == single


@pytest.mark.parametrize("module", ["xmpp_partner", "external_access_policy"])
def test_a_hint_for_check_mode_changes_nothing(lawful: Call, config_dir: Path, module: str) -> None:
    table = TABLES[module]
    lawful("edge_config", config_dir=str(config_dir), domains=["ours.example"])
    lawful(module, config_dir=str(config_dir), own_domains=["ours.example"], **table.base)
    done = lawful(module, config_dir=str(config_dir), own_domains=["ours.example", "new.example"], **table.base)
    assert done["changed"] is False


@pytest.mark.parametrize("asked", [True, False])
def test_what_is_told_is_what_was_given_and_asked_for(
    capfd: pytest.CaptureFixture[str], config_dir: Path, asked: bool
) -> None:
    """Ten thousand entries with ten options each that nobody gave are a text of megabytes; secrets stay out of it."""
    options = {"config_dir": str(config_dir), "domains": ["a.example"], "inside": {"secret": SECRET}}
    with patch_module_args({**options, "_ansible_diff": asked}), pytest.raises(SystemExit):
        edge_config.main()
    text = capfd.readouterr().out
    told = json.loads(text)
    assert SECRET not in text
    # From 2.21 on ansible-core itself leaves out what was given, unless a callback is going to show it.
    if "invocation" in told:
        assert told["invocation"]["module_args"].keys() == options.keys()
        assert told["invocation"]["module_args"]["inside"].keys() == {"secret"}
    assert ("diff" in told) is asked
