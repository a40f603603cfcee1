# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the front end role writes for Prosody and ejabberd, and how it finds its way into their configuration."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("ansible.template", reason="templates are rendered by ansible-core")

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROLE = Path(__file__).resolve().parents[2] / "roles/xmpp_front_end"
LUA = shutil.which("luac5.4") or shutil.which("luac") or shutil.which("lua5.4")

# Every character that means something in one of the two languages.
SECRET = "a\"b\\c'd]]--{{ # %x"
PARTNERS = [
    {"domain": "partner.example", "additional_domains": ["xn--mnchen-3ya.example"]},
    {"domain": "BÜCHER.example.", "state": "present"},
    {"domain": "gone.example", "state": "absent"},
]
DOMAINS = ["partner.example", "bücher.example", "münchen.example"]


def templar(**variables: Any) -> Templar:
    loader = DataLoader()
    given: dict[str, Any] = {}
    for name in ("defaults", "vars"):
        given |= loader.load_from_file(str(ROLE / name / "main.yml"), trusted_as_template=True)
    given["xmpp_edge_inside"] = {"host": "127.0.0.1", "secret": SECRET}
    given["xmpp_edge_partners"] = PARTNERS
    return Templar(loader=loader, variables={**given, **variables})


def render(server: str, **variables: Any) -> str:
    text = (ROLE / "templates" / f"{server}.j2").read_text()
    return str(templar(xmpp_front_end_server=server, **variables).template(trust_as_template(text)))


def evaluate(expression: str, **variables: Any) -> Any:
    return templar(**variables).template(trust_as_template("{{ " + expression + " }}"))


def test_ejabberd_reads_what_was_meant() -> None:
    written = yaml.safe_load(render("ejabberd"))
    (listener,) = written["listen"]
    assert listener["hosts"] == {domain: {"password": SECRET} for domain in DOMAINS}
    assert (listener["ip"], listener["port"], listener["tls"]) == ("127.0.0.1", 5347, False)
    assert written["s2s_access"] == "none"


def test_ejabberd_without_partners_takes_no_link() -> None:
    assert yaml.safe_load(render("ejabberd", xmpp_edge_partners=[])) == {"s2s_access": "none"}


def test_prosody_has_a_component_for_every_domain_and_no_others() -> None:
    assert re.findall(r'^Component "(.*)"$', render("prosody"), re.MULTILINE) == DOMAINS


@pytest.mark.skipif(LUA is None, reason="no Lua to read it with")
def test_prosody_can_read_it(tmp_path: Path) -> None:
    names = "Component = function(name) print(name) end\n"
    path = tmp_path / "conf.lua"
    path.write_text(names + render("prosody") + "\nprint(component_secret)\n")
    options = ["-p"] if "luac" in str(LUA) else []
    done = subprocess.run([str(LUA), *options, str(path)], capture_output=True, text=True, check=True)
    if not options:
        assert done.stdout.splitlines() == [*DOMAINS, SECRET]


@pytest.mark.parametrize("server", ["prosody", "ejabberd"])
def test_own_streams_stay_only_where_that_is_said(server: str) -> None:
    off = re.compile(r"^(disallow_s2s|s2s_\w+)", re.MULTILINE)
    assert off.search(render(server))
    assert not off.search(render(server, xmpp_front_end_allow_own_s2s=True))


@pytest.mark.parametrize(
    ("inside", "server", "listen"),
    [
        ({}, "prosody", ["127.0.0.1"]),
        ({"host": "192.0.2.7"}, "prosody", ["192.0.2.7"]),
        ({"host": "2001:db8::7"}, "ejabberd", ["2001:db8::7"]),
        ({"host": "xmpp.inside.example"}, "prosody", ["*", "::"]),
        ({"host": "xmpp.inside.example"}, "ejabberd", ["::"]),
    ],
)
def test_the_link_is_taken_where_the_edge_goes(inside: dict[str, str], server: str, listen: list[str]) -> None:
    given = {"xmpp_edge_inside": {**inside, "server": server}}
    assert evaluate("xmpp_front_end_listen", **given) == listen


def test_prosodys_own_defaults_are_left_alone() -> None:
    assert "component_ports" not in render("prosody")
    assert "component_ports = { 5348 }" in render("prosody", xmpp_edge_inside={"port": 5348, "secret": "s"})


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('Include "conf.d/*.cfg.lua"', True),
        ('  Include("conf.d/*.cfg.lua")', True),
        ("Include '/etc/prosody/conf.d/*'", True),
        ('Include "/etc/prosody/conf.d/xmpp-edge.cfg.lua"', True),
        ('-- Include "conf.d/*.cfg.lua"', False),
        ('Include "conf.avail/*.cfg.lua"', False),
        ('Include "conf.d/other.cfg.lua"', False),
    ],
)
def test_an_include_of_our_file_is_known(line: str, found: bool) -> None:
    pattern = evaluate("__xmpp_front_end_include", xmpp_edge_inside={"server": "prosody"})
    assert bool(re.search(pattern, f"admins = {{ }}\n{line}\n", re.MULTILINE)) is found
