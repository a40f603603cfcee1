# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the guides say can be done as they say: options and variables exist, commands parse, playbooks run."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import guides
import pytest
import readme
import tree
import yaml

if TYPE_CHECKING:
    import subprocess

    from conftest import Installed

ROLE = "xmpp.federation.xmpp_edge"
# What a task may have beside its module.
KEYWORDS = {
    "become", "check_mode", "delegate_to", "diff", "loop", "loop_control", "name", "register", "run_once", "tags",
    "vars", "when",
}  # fmt: skip
# Named by the guides, but in another collection.
FOREIGN = {"community.general.ldap_search"}

Play = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(params=guides.PAGES, ids=lambda page: page.stem)
def page(request: pytest.FixtureRequest) -> Path:
    found = request.param
    assert isinstance(found, Path)
    return found


@pytest.fixture
def play(installed: Installed, tmp_path: Path) -> Play:
    """Runs a playbook of a guide against this machine as the edge; records go to ``etc`` in the test's directory."""

    def run(guide: str, playbook: str, *arguments: str, **variables: Any) -> subprocess.CompletedProcess[str]:
        guides.write(tree.ROOT / f"docs/guides/{guide}.md", tmp_path)
        given = {
            "ansible_connection": "local",
            "ansible_become": False,
            "ansible_python_interpreter": sys.executable,
            "xmpp_edge_config_dir": str(tmp_path / "etc"),
            **variables,
        }
        (tmp_path / "inventory.yml").write_text(
            json.dumps({"xmpp_edge": {"hosts": {"edge1.inside.example": {}}, "vars": given}}), encoding="utf-8"
        )
        path = _with_config_dir(tmp_path / playbook, tmp_path / "etc")
        return installed.run("ansible-playbook", "-i", str(tmp_path / "inventory.yml"), str(path), *arguments)

    return run


def _with_config_dir(playbook: Path, config_dir: Path) -> Path:
    """The playbook with the records elsewhere: what a reader has in /etc stands in a directory of the test."""
    plays = yaml.safe_load(playbook.read_text(encoding="utf-8"))
    for one in plays:
        one.setdefault("module_defaults", {}).setdefault("group/xmpp.federation.edge", {"config_dir": str(config_dir)})
    playbook.write_text(yaml.safe_dump(plays, sort_keys=False), encoding="utf-8")
    return playbook


@pytest.fixture(scope="session")
def options(installed: Installed) -> dict[str, dict[str, Any]]:
    """The options of every module that a guide names, as ansible-doc tells them."""
    named = {name for page in guides.PAGES for task in _tasks(page) for name in _module_of(task)} - FOREIGN
    told = installed.run("ansible-doc", "--json", *sorted(named))
    assert told.returncode == 0, told.stderr
    documents = json.loads(told.stdout)
    assert set(documents) == named
    return {name: document["doc"]["options"] for name, document in documents.items()}


def _playbooks(page: Path) -> dict[str, str]:
    return {name: text for name, text in guides.files(page).items() if name.endswith(".yml")}


def _tasks(page: Path) -> list[dict[str, Any]]:
    return [task for text in _playbooks(page).values() for task in guides.tasks(text)]


def _module_of(task: dict[str, Any]) -> list[str]:
    return sorted(set(task) - KEYWORDS)


def _unknown(given: Any, known: dict[str, Any], path: str) -> Iterator[str]:
    """Options that there are not, those of the entries of a list too."""
    for one in given if isinstance(given, list) else [given]:
        if not isinstance(one, dict):
            continue
        for name, value in one.items():
            if name not in known:
                yield f"{path}.{name}"
                continue
            inner = known[name].get("suboptions") or known[name].get("options")
            if inner:
                yield from _unknown(value, inner, f"{path}.{name}")


def test_options_exist(page: Path, options: dict[str, dict[str, Any]]) -> None:
    for task in _tasks(page):
        (module,) = _module_of(task)
        if module not in FOREIGN:
            assert list(_unknown(task[module] or {}, options[module], module)) == []


def test_variables_exist(page: Path) -> None:
    known = readme.options_of("xmpp_edge")
    for part in guides.variables(page):
        mine = {name: value for name, value in part.items() if name.startswith("xmpp_edge_")}
        assert mine
        assert list(_unknown(mine, known, "")) == []


def test_playbooks_parse(page: Path, installed: Installed, tmp_path: Path) -> None:
    guides.write(page, tmp_path)
    module = tmp_path / "coll/ansible_collections/community/general/plugins/modules/ldap_search.py"
    module.parent.mkdir(parents=True)
    module.write_text("", encoding="utf-8")
    names = [str(tmp_path / name) for name in _playbooks(page)]
    if names:
        checked = installed.run(
            "ansible-playbook", "--syntax-check", "-i", "edge1,", *names,
            ANSIBLE_COLLECTIONS_PATH=f"{installed.root}:{tmp_path / 'coll'}",
        )  # fmt: skip
        assert checked.returncode == 0, checked.stderr


def test_commands_name_what_there_is(page: Path) -> None:
    known = readme.options_of("xmpp_edge")
    there = {"site.yml", "inventory.yml", *guides.files(page)}
    commands = guides.commands(page)
    assert commands
    for command in commands:
        for word in command[1:]:
            if word.startswith("xmpp.federation."):
                name = word.removeprefix("xmpp.federation.")
                assert (tree.ROOT / f"playbooks/{name}.yml").exists() or (
                    tree.ROOT / f"plugins/modules/{name}.py"
                ).exists()
            elif word.endswith(".yml"):
                assert word in there
            elif word.startswith("{"):
                assert set(json.loads(word)) <= set(known)


def test_every_guide_stands_in_the_readme() -> None:
    text = readme.README.read_text(encoding="utf-8")
    assert [page.name for page in guides.PAGES if f"(docs/guides/{page.name})" not in text] == []


def test_a_partner_is_added_beside_others(play: Play) -> None:
    foreseen = play("add-a-partner", "partner.yml", "--check", "--diff", "--skip-tags", "service")
    assert foreseen.returncode == 0, foreseen.stdout
    assert "partner.example" in foreseen.stdout
    assert "changed=1" in play("add-a-partner", "partner.yml", "--skip-tags", "service").stdout
    assert "changed=0" in play("add-a-partner", "partner.yml", "--skip-tags", "service").stdout


PARTNERS = [{"domain": "partner.example", "partner_type": "federated"}]
POLICIES = [{"name": "FedPic", "scope": "user", "federation_access": True, "xmpp_access": True}]
LISTS = {"xmpp_edge_domains": ["inside.example"], "xmpp_edge_partners": PARTNERS, "xmpp_edge_policies": POLICIES}


def test_bad_lists_are_told_without_a_host(play: Play, tmp_path: Path) -> None:
    good = play("check-from-ci", "sense.yml", **LISTS)
    assert good.returncode == 0, good.stdout
    bad = play("check-from-ci", "sense.yml", **{**LISTS, "xmpp_edge_partners": [*PARTNERS, {"domain": "a b"}]})
    assert bad.returncode == 2
    assert "partners[1]" in bad.stdout
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == []


def test_drift_fails_and_is_left_alone(play: Play, tmp_path: Path) -> None:
    guides.write(tree.ROOT / "docs/guides/a-thousand-partners.md", tmp_path)
    done = play("a-thousand-partners", "records.yml", "--skip-tags", "service", **LISTS)
    assert done.returncode == 0, done.stdout
    same = play("check-from-ci", "drift.yml", "--skip-tags", "running", **LISTS)
    assert same.returncode == 0, same.stdout
    records = (tmp_path / "etc/partners.json").read_bytes()
    other = play("check-from-ci", "drift.yml", "--skip-tags", "running", **{**LISTS, "xmpp_edge_partners": []})
    assert other.returncode == 2
    assert "partner.example" in other.stdout
    assert (tmp_path / "etc/partners.json").read_bytes() == records


def test_a_thousand_partners_with_defaults(play: Play, tmp_path: Path) -> None:
    page = tree.ROOT / "docs/guides/a-thousand-partners.md"
    (variables,) = guides.variables(page)
    rows = [{"domain": f"p{number}.example"} for number in range(1000)]
    (tmp_path / "partners.json").write_text(
        json.dumps([*rows, {"domain": "b.example", "sasl": "required", "dialback": False}])
    )
    given = {**LISTS, **variables}
    done = play(page.stem, "records.yml", "--skip-tags", "service", **given)
    assert done.returncode == 0, done.stdout
    records = {one["domain"]: one for one in json.loads((tmp_path / "etc/partners.json").read_text())["partners"]}
    assert len(records) == 1001
    assert records["p7.example"]["sasl"] == "optional"
    assert records["b.example"]["sasl"] == "required"
    assert "changed=0" in play(page.stem, "records.yml", "--skip-tags", "service", **given).stdout


def test_what_lync_has_comes_over(play: Play, tmp_path: Path) -> None:
    partner = {
        "PartnerType": "Federated",
        "TlsNegotiation": "Required",
        "SaslNegotiation": "Required",
        "EnableKeepAlive": True,
    }
    partner |= {"SupportDialbackNegotiation": True, "ConnectionLimit": None, "ProxyFqdn": "", "Description": None}
    google = {"TlsNegotiation": "NotSupported", "SaslNegotiation": "NotSupported", "PartnerType": "PublicUnverified"}
    google["Description"] = 'the "big" one: #1'
    exports: dict[str, Any] = {
        "partners": [
            {**partner, "Identity": "partner.example", "AdditionalDomains": ["sales.partner.example"]},
            {
                **partner,
                **google,
                "Identity": "gmail.example",
                "AdditionalDomains": [],
                "Description": 'the "big" one: #1',
            },
        ],
        "policies": [
            {"Identity": "Global", "EnableFederationAccess": False, "EnableXmppAccess": False, "Description": None},
            {"Identity": "Site:Redmond", "EnableFederationAccess": True, "EnableXmppAccess": True, "Description": None},
            {"Identity": "Tag:FedPic", "EnableFederationAccess": True, "EnableXmppAccess": True, "Description": "x"},
        ],
        # A single object is not written as a list.
        "users": {"SipAddress": "sip:Alice@inside.example", "ExternalAccessPolicy": "FedPic"},
    }
    for policy in exports["policies"]:
        policy["EnablePublicCloudAccess"] = False
    for name, content in exports.items():
        # Windows PowerShell puts a byte order mark before UTF-8.
        (tmp_path / f"{name}.json").write_text(json.dumps(content), encoding="utf-8-sig")
    (tmp_path / "etc").mkdir()
    guides.write(tree.ROOT / "docs/guides/a-thousand-partners.md", tmp_path)
    done = play("a-thousand-partners", "records.yml", "--skip-tags", "service", xmpp_edge_domains=["inside.example"])
    assert done.returncode == 0, done.stdout
    done = play("moving-from-lync", "from-lync.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    records = {one["domain"]: one for one in json.loads((tmp_path / "etc/partners.json").read_text())["partners"]}
    assert records["partner.example"]["dialback"] is False
    assert records["gmail.example"]["dialback"] is True
    assert records["gmail.example"]["description"] == 'the "big" one: #1'
    policies = json.loads((tmp_path / "etc/policies.json").read_text())
    assert "alice@inside.example" in json.dumps(policies)
    assert "Redmond" not in json.dumps(policies)
    assert "changed=0" in play("moving-from-lync", "from-lync.yml").stdout
