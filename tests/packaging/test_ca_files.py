# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A record that would name no file of CAs is found before the first change, in a preview too."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Installed

# What the role looks for is the form; the service judges the content.
PEM = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"
Look = Callable[..., dict[str, str]]


def partner(ca_file: str, **options: Any) -> dict[str, Any]:
    return {"domain": "partner.example", "ca_file": ca_file, **options}


@pytest.fixture
def look(installed: Installed, tmp_path: Path) -> Look:
    """Look at several hosts with variables of their own at once; what each was told, where it was told something."""

    def run(*arguments: str, tasks: str = "preflight_ca_files", **hosts: dict[str, Any]) -> dict[str, str]:
        everywhere = {
            "ansible_connection": "local",
            "xmpp_edge_service_manager": "standalone",
            "xmpp_edge_config_dir": str(tmp_path / "etc"),
            "xmpp_edge_install_dir": str(tmp_path / "opt"),
            "xmpp_edge_domains": ["inside.example"],
        }
        inventory = {"all": {"hosts": hosts, "vars": everywhere}}
        (tmp_path / "inventory.json").write_text(json.dumps(inventory))
        role = {"ansible.builtin.import_role": {"name": "xmpp.federation.xmpp_edge", "tasks_from": tasks}}
        play = [{"hosts": "all", "gather_facts": False, "tasks": [role]}]
        (tmp_path / "play.json").write_text(json.dumps(play))
        done = installed.run(
            "ansible-playbook", "-i", str(tmp_path / "inventory.json"), str(tmp_path / "play.json"), *arguments
        )
        assert set(re.findall(r"changed=(\d+)", done.stdout)) == {"0"}, done.stdout + done.stderr
        told = re.findall(r"\[(\w+)\]: FAILED! => (\{.*\})", done.stdout)
        return {host: json.loads(text)["msg"] for host, text in told}

    return run


@pytest.mark.parametrize("mode", [["--check", "--diff"], []], ids=["preview", "run"])
def test_each_that_cannot_be_used_is_told_with_its_entry(look: Look, tmp_path: Path, mode: list[str]) -> None:
    home = tmp_path / "etc/ca"
    home.mkdir(parents=True)
    good, text, old = tmp_path / "good.pem", tmp_path / "text", home / "old.pem"
    good.write_text("A CA of ours\n" + PEM)
    text.write_bytes(b"\xff\x00 no certificate")
    old.write_text(PEM)
    link = tmp_path / "link.pem"
    link.symlink_to(good)
    brought = {"xmpp_edge_ca_files": ["anywhere/new.pem"]}
    told = look(
        *mode,
        nothing_named={},
        there={"xmpp_edge_ca_file": str(good), "xmpp_edge_partners": [partner(str(link)), partner("")]},
        to_be_brought={"xmpp_edge_ca_file": f"{home}//new.pem", **brought},
        still_there={"xmpp_edge_ca_file": str(old)},
        kept={"xmpp_edge_ca_file": str(old), "xmpp_edge_purge": False, **brought},
        a_partner_that_goes={"xmpp_edge_partners": [partner("/nowhere.pem", state="absent")]},
        misspelt={
            "xmpp_edge_ca_file": str(home / "nwe.pem"),
            "xmpp_edge_inside": {"ca_file": str(tmp_path)},
            "xmpp_edge_partners": [partner(str(good)), partner(str(text)), partner(str(home / "new.pem"))],
            "xmpp_edge_purge": False,
            **brought,
        },
        removed={"xmpp_edge_partners": [partner(str(old))], **brought},
    )
    bring = "list it in xmpp_edge_ca_files, which brings it from the control node, or name a file that is there."
    one = "xmpp_edge_partners[{}] (partner.example): ca_file:"
    assert set(told) == {"misspelt", "removed"}, told
    assert told["misspelt"].splitlines() == [
        f"xmpp_edge_ca_file: {home}/nwe.pem is not on the edge host; {bring}",
        f"xmpp_edge_inside: ca_file: {tmp_path} is no file that can be read on the edge host; {bring}",
        f"{one.format(1)} {text} holds no certificate in PEM form; name a file with the certificates of the CAs.",
        "Nothing was changed.",
    ]
    assert told["removed"].splitlines() == [
        f"{one.format(0)} {old} is removed by this run, as xmpp_edge_ca_files does not list it; list it there.",
        "Nothing was changed.",
    ]


@pytest.mark.parametrize("mode", [["--check"], []], ids=["preview", "run"])
def test_the_look_at_a_blank_host_is_part_of_the_preflight(look: Look, tmp_path: Path, mode: list[str]) -> None:
    (tmp_path / "new.pem").write_text(PEM)
    told = look(
        *mode,
        tasks="preflight",
        to_be_brought={
            "xmpp_edge_ca_file": f"{tmp_path}/etc/ca/new.pem",
            "xmpp_edge_ca_files": [f"{tmp_path}/new.pem"],
        },
        misspelt={"xmpp_edge_ca_file": f"{tmp_path}/etc/ca/nwe.pem"},
    )
    assert set(told) == {"misspelt"}
    assert told["misspelt"].startswith(f"xmpp_edge_ca_file: {tmp_path}/etc/ca/nwe.pem is not on the edge host; ")
    assert not (tmp_path / "etc").exists()
