# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the guides say can be done as they say: options and variables exist, commands parse, playbooks run."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import guides
import pytest
import readme
import tree
import yaml

sys.path.insert(0, str(tree.ROOT / "tests"))

from peers.dns_server import DnsServer

if TYPE_CHECKING:
    from conftest import Installed

ROLE = "xmpp.federation.xmpp_edge"
# What a task may have beside its module.
KEYWORDS = {
    "become", "check_mode", "delegate_to", "diff", "loop", "loop_control", "name", "register", "run_once", "tags",
    "vars", "when",
}  # fmt: skip
# Named by the guides, but in another collection.
FOREIGN = {"community.general.ldap_search"}
# Variables that a playbook looks at and no role.
ACME = re.compile(r"\bxmpp_edge_acme_\w+")

Play = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(params=guides.PAGES, ids=lambda page: page.stem)
def page(request: pytest.FixtureRequest) -> Path:
    found = request.param
    assert isinstance(found, Path)
    return found


@pytest.fixture
def play(installed: Installed, tmp_path: Path) -> Play:
    """Runs a playbook of a guide against this machine as the edge; records go to ``etc`` in the test's directory.

    ``instead`` are texts of the playbook that stand for what only its reader has, such as addresses of servers.
    """

    def run(
        guide: str,
        playbook: str,
        *arguments: str,
        instead: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        **variables: Any,
    ) -> subprocess.CompletedProcess[str]:
        guides.write(tree.ROOT / f"docs/guides/{guide}.md", tmp_path)
        _inventory(tmp_path, variables)
        path = tmp_path / playbook
        for theirs, ours in (instead or {}).items():
            text = path.read_text(encoding="utf-8")
            assert theirs in text
            path.write_text(text.replace(theirs, ours), encoding="utf-8")
        _with_config_dir(path, tmp_path / "etc")
        command = ["ansible-playbook", "-i", str(tmp_path / "inventory.yml"), str(path), *arguments]
        return installed.run(*command, **(environment or {}))

    return run


def _inventory(directory: Path, variables: Mapping[str, Any]) -> None:
    """That of the README: the edge in a group of its own, the variables in the one above it."""
    given = {
        "ansible_connection": "local",
        "ansible_become": False,
        "ansible_python_interpreter": sys.executable,
        "xmpp_edge_config_dir": str(directory / "etc"),
        **variables,
    }
    children = {"xmpp_edge": {"hosts": {"edge1.inside.example": {}}}}
    text = json.dumps({"federation": {"vars": given, "children": children}})
    (directory / "inventory.yml").write_text(text, encoding="utf-8")


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


def _acme_variables() -> set[str]:
    texts = [path.read_text(encoding="utf-8") for path in (tree.ROOT / "playbooks").rglob("*.yml")]
    return {name for text in texts for name in ACME.findall(text)}


def test_variables_of_a_playbook_stand_in_its_guide() -> None:
    text = (tree.ROOT / "docs/guides/certificates.md").read_text(encoding="utf-8")
    rows = [line.split("`")[1] for line in text.splitlines() if line.startswith("| `xmpp_edge_acme_")]
    assert sorted(rows) == sorted(_acme_variables())
    assert set(ACME.findall(text)) == set(rows)


def test_variables_exist(page: Path) -> None:
    known: dict[str, Any] = {**readme.options_of("xmpp_edge"), **{name: {} for name in _acme_variables()}}
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


def test_every_playbook_is_run() -> None:
    """By the tests below, or by those of the guide that asks a directory."""
    files = [Path(__file__), Path(__file__).with_name("test_guide_directory.py")]
    tests = "".join(path.read_text(encoding="utf-8") for path in files)
    assert [name for page in guides.PAGES for name in _playbooks(page) if f'"{name}"' not in tests] == []


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


def test_the_job_that_looks_for_drift(play: Play, installed: Installed, tmp_path: Path) -> None:
    """The lines of the guide in a shell, and its exit code: without drift, with it, and where the run fails."""
    (job,) = [text for text in guides.shell(tree.ROOT / "docs/guides/check-from-ci.md") if "grep" in text]

    def look(site: Path | None = None, environment: Mapping[str, str] | None = None, **variables: Any) -> int:
        _inventory(tmp_path, {**LISTS, **variables})
        shutil.copy(site or tmp_path / "records.yml", tmp_path / "site.yml")
        done = guides.run(job, tmp_path, installed.root, ANSIBLE_SKIP_TAGS="service", **(environment or {}))
        assert done.stdout == (tmp_path / "check.log").read_text(encoding="utf-8")
        return done.returncode

    done = play("a-thousand-partners", "records.yml", "--skip-tags", "service", **LISTS)
    assert done.returncode == 0, done.stdout
    assert look() == 0
    assert look(xmpp_edge_partners=[], environment={"ANSIBLE_FORCE_COLOR": "1"}) == 1
    assert look(xmpp_edge_partners=[{"domain": "a b"}]) == 2
    assert look(site=tmp_path / "etc/partners.json") == 4
    assert look() == 0


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


# What somebody may have written into a field for people.
DESCRIPTION = 'the "big" one: #1, für Gäste \N{SLIGHTLY SMILING FACE}'


def test_what_lync_has_comes_over(play: Play, tmp_path: Path) -> None:
    partner = {
        "PartnerType": "Federated",
        "TlsNegotiation": "Required",
        "SaslNegotiation": "Required",
        "EnableKeepAlive": True,
    }
    partner |= {"SupportDialbackNegotiation": True, "ConnectionLimit": None, "ProxyFqdn": "", "Description": None}
    google = {"TlsNegotiation": "NotSupported", "SaslNegotiation": "NotSupported", "PartnerType": "PublicUnverified"}
    google["Description"] = DESCRIPTION
    exports: dict[str, Any] = {
        "partners": [
            {**partner, "Identity": "partner.example", "AdditionalDomains": ["sales.partner.example"]},
            {
                **partner,
                **google,
                "Identity": "gmail.example",
                "AdditionalDomains": [],
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
    # An edge without domains takes no grants.
    early = play("moving-from-lync", "from-lync.yml")
    assert early.returncode == 2
    assert "alice@inside.example is not in one of our own domains" in early.stdout
    done = play("a-thousand-partners", "records.yml", "--skip-tags", "service", xmpp_edge_domains=["inside.example"])
    assert done.returncode == 0, done.stdout
    done = play("moving-from-lync", "from-lync.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    records = {one["domain"]: one for one in json.loads((tmp_path / "etc/partners.json").read_text())["partners"]}
    assert records["partner.example"]["dialback"] is False
    assert records["gmail.example"]["dialback"] is True
    assert records["gmail.example"]["description"] == DESCRIPTION
    policies = json.loads((tmp_path / "etc/policies.json").read_text())
    assert "alice@inside.example" in json.dumps(policies)
    assert "Redmond" not in json.dumps(policies)
    assert "changed=0" in play("moving-from-lync", "from-lync.yml").stdout


def _lists_of(directory: Path) -> list[Any]:
    names = ("partners.json", "policies.json")
    return [json.loads((directory / name).read_text(encoding="utf-8")) for name in names]


def test_records_become_an_inventory(play: Play, tmp_path: Path) -> None:
    """What the guide writes is what the roles take, and gives the same records, on this edge and on a blank one."""
    branch = {"name": "Branch", "scope": "site", "members": ["*@inside.example"], "federation_access": True}
    given = {
        "xmpp_edge_domains": ["inside.example"],
        "xmpp_edge_partners": [
            {"domain": "partner.example", "additional_domains": ["bücher.example"], "partner_type": "federated"},
            {"domain": "gmail.example", "tls": "not_supported", "sasl": "not_supported", "description": DESCRIPTION},
            {
                "domain": "c.example",
                "proxy_fqdn": "x.c.example",
                "ca_file": "/etc/ca.pem",
                "pins": ["sha256:" + "9f" * 32],
            },
        ],
        "xmpp_edge_policies": [
            {"scope": "global", "federation_access": True, "description": DESCRIPTION},
            branch,
            {**POLICIES[0], "grant_to_all": True},
            {"name": "None", "scope": "user", "grant_to": ["bob@inside.example", "alice@inside.example"]},
        ],
    }
    done = play("a-thousand-partners", "records.yml", "--skip-tags", "service", **given)
    assert done.returncode == 0, done.stdout
    there = _lists_of(tmp_path / "etc")
    done = play("moving-from-lync", "to-inventory.yml", xmpp_edge_domains=["inside.example"])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "changed=0" in play("moving-from-lync", "to-inventory.yml", xmpp_edge_domains=["inside.example"]).stdout
    # From here on the variables come from the file that it has written.
    same = play("a-thousand-partners", "records.yml", "--skip-tags", "service", xmpp_edge_domains=["inside.example"])
    assert "changed=0" in same.stdout, same.stdout
    other = {"xmpp_edge_domains": ["inside.example"], "xmpp_edge_config_dir": str(tmp_path / "blank")}
    done = play("a-thousand-partners", "records.yml", "--skip-tags", "service", **other)
    assert done.returncode == 0, done.stdout
    assert _lists_of(tmp_path / "blank") == there


def test_no_records_become_an_inventory_too(play: Play, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    done = play("moving-from-lync", "to-inventory.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    found = yaml.safe_load((tmp_path / "group_vars/federation.yml").read_text(encoding="utf-8"))
    assert found["xmpp_edge_partners"] == []
    assert [policy["name"] for policy in found["xmpp_edge_policies"]] == ["global"]


def test_cmdlets_and_the_inventory_say_the_same(play: Play, tmp_path: Path) -> None:
    page = tree.ROOT / "docs/guides/moving-from-lync.md"
    (variables,) = guides.variables(page)
    typed = [line.split("`")[1] for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    done = play("a-thousand-partners", "records.yml", "--skip-tags", "service", **variables)
    assert done.returncode == 0, done.stdout
    (partners, policies) = _lists_of(tmp_path / "etc")
    for record in partners["partners"]:
        assert any(record["domain"] in line for line in typed)
        assert f"Remove-CsXmppAllowedPartner {record['domain']}" not in typed
    (line,) = [line for line in typed if line.startswith("New-CsExternalAccessPolicy")]
    (policy,) = [one for one in policies["policies"] if one["name"] == line.split()[1]]
    said = {f"-Enable{word}Access" in line for word in ("Federation", "Xmpp", "PublicCloud")}
    assert said == {policy["federation_access"], policy["xmpp_access"], policy["public_cloud_access"]} == {True}
    assert policies["grant_to_all"] == policy["name"]
    # `Get-CsUser | Grant-` has given it to all, and `-PolicyName $null` has taken it from Alice again.
    asked = play("users-from-a-directory", "who.yml", **variables)
    assert asked.returncode == 0, asked.stdout
    assert "alice@inside.example: NoFederation, by grant" in asked.stdout


SECRET = base64.b64encode(b"a secret of the test, of nobody else").decode()
KEY = f'key "edge-update" {{\n\talgorithm hmac-sha256;\n\tsecret "{SECRET}";\n}};\n'
ZONES = {"inside.example": ["ns A 127.0.0.1"], "branch.example": ["@ NS ns.inside.example."]}


@pytest.fixture
def dns() -> Iterator[DnsServer]:
    with DnsServer(ZONES, keys={"edge-update": ("hmac-sha256", SECRET)}) as server:
        yield server


def _dns_variables(server_port: int, **more: Any) -> dict[str, Any]:
    """What the guide has in its inventory, with another server."""
    (given,) = guides.variables(tree.ROOT / "docs/guides/publish-srv.md")
    named = {**given["xmpp_edge_dns"], "server": "127.0.0.1", "server_port": server_port, **more}
    return {"xmpp_edge_domains": ["inside.example"], "xmpp_edge_dns": named}


def test_edges_are_published(play: Play, dns: DnsServer, tmp_path: Path) -> None:
    (tmp_path / "edge.key").write_text(KEY, encoding="utf-8")
    given = _dns_variables(dns.port, key_file=str(tmp_path / "edge.key"))
    foreseen = play("publish-srv", "dns.yml", "--check", "--diff", **given)
    assert foreseen.returncode == 0, foreseen.stdout + foreseen.stderr
    assert "+_xmpp-server._tcp.inside.example. 3600 IN SRV 0 0 5269 edge1.inside.example." in foreseen.stdout
    assert dns.updates() == []
    done = play("publish-srv", "dns.yml", **given)
    assert "changed=1" in done.stdout, done.stdout + done.stderr
    assert dns.records("_xmpp-server._tcp.inside.example", "SRV") == ["0 0 5269 edge1.inside.example."]
    assert dns.records("edge1.inside.example", "A") == ["192.0.2.10"]
    assert "changed=0" in play("publish-srv", "dns.yml", **given).stdout


def test_a_pipeline_brings_the_key_in_its_environment(play: Play, dns: DnsServer) -> None:
    given = _dns_variables(dns.port)
    del given["xmpp_edge_dns"]["key_file"]
    unsigned = play("publish-srv", "dns.yml", **given)
    assert unsigned.returncode == 2
    assert "REFUSED" in unsigned.stdout
    named = {"XMPP_FEDERATION_DNS_KEY_NAME": "edge-update", "XMPP_FEDERATION_DNS_KEY_SECRET": SECRET}
    done = play("publish-srv", "dns.yml", "-vvv", environment=named, **given)
    assert "changed=1" in done.stdout, done.stdout + done.stderr
    assert SECRET not in done.stdout + done.stderr


def test_many_domains_are_published(play: Play, dns: DnsServer, tmp_path: Path) -> None:
    (tmp_path / "edge.key").write_text(KEY, encoding="utf-8")
    instead = {
        "server: 192.0.2.53": f"server: 127.0.0.1\n        server_port: {dns.port}",
        "/etc/ansible/keys/edge.key": str(tmp_path / "edge.key"),
    }
    foreseen = play("publish-srv", "srv.yml", "--check", "--diff", instead=instead)
    assert "changed=1" in foreseen.stdout, foreseen.stdout + foreseen.stderr
    assert dns.updates() == []
    done = play("publish-srv", "srv.yml", instead=instead)
    assert "changed=1" in done.stdout, done.stdout + done.stderr
    # One update a zone.
    assert [question.name for question in dns.updates()] == ["inside.example.", "branch.example."]
    for domain in ("inside.example", "branch.example"):
        records = dns.records(f"_xmpp-server._tcp.{domain}", "SRV")
        assert records == ["10 0 5269 edge1.inside.example.", "20 0 5269 edge2.inside.example."]
    assert "changed=0" in play("publish-srv", "srv.yml", instead=instead).stdout


NAMED = """options {{
  directory "{home}";
  pid-file none;
  session-keyfile none;
  listen-on port {port} {{ 127.0.0.1; }};
  listen-on-v6 {{ none; }};
  recursion no;
}};
controls {{ }};
"""
ZONE = "$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 127.0.0.1\n"


@pytest.fixture
def named(tmp_path: Path) -> Iterator[int]:
    """BIND, set up as the guide says; gives its port."""
    program = shutil.which("named", path=f"{os.environ['PATH']}:/usr/sbin")
    generator = shutil.which("tsig-keygen", path=f"{os.environ['PATH']}:/usr/sbin")
    if not program or not generator:
        pytest.skip("There is no BIND here (Debian: bind9)")
    blocks = guides.shell(tree.ROOT / "docs/guides/publish-srv.md")
    (keygen,) = [text for text in blocks if "tsig-keygen" in text]
    (zone,) = [text for text in blocks if "update-policy" in text]
    subprocess.run(keygen.replace("tsig-keygen", generator), shell=True, cwd=tmp_path, check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    (tmp_path / "inside.example.zone").write_text(ZONE, encoding="utf-8")
    told = zone.replace("/etc/bind", str(tmp_path)).replace("/var/lib/bind", str(tmp_path))
    (tmp_path / "named.conf").write_text(NAMED.format(home=tmp_path, port=port) + told, encoding="utf-8")
    with (tmp_path / "named.log").open("w") as log:
        server = subprocess.Popen([program, "-g", "-c", str(tmp_path / "named.conf")], stdout=log, stderr=log)
    try:
        end = time.monotonic() + 30
        while not _listens(port):
            assert server.poll() is None, (tmp_path / "named.log").read_text(encoding="utf-8")
            assert time.monotonic() < end
            time.sleep(0.05)
        yield port
    finally:
        server.terminate()
        server.wait(timeout=20)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_key_may_change_what_is_published(play: Play, named: int, tmp_path: Path) -> None:
    """Also the port for TLS from the first byte, and nothing else."""
    given = _dns_variables(named, key_file=str(tmp_path / "edge.key"))
    done = play("publish-srv", "dns.yml", xmpp_edge_direct_tls_port=5270, **given)
    assert "changed=1" in done.stdout, done.stdout + done.stderr
    gone = play("publish-srv", "dns.yml", "--diff", xmpp_edge_direct_tls_port=0, **given)
    assert "-_xmpps-server._tcp.inside.example. 3600 IN SRV 0 0 5270" in gone.stdout, gone.stdout + gone.stderr
    other = play("publish-srv", "dns.yml", xmpp_edge_fqdn="www.inside.example", **given)
    assert other.returncode == 2
    assert "REFUSED" in other.stdout


CERTIFICATE = """
- name: Have a certificate
  hosts: xmpp_edge
  gather_facts: false
  tasks:
    - name: Make and assign one
      xmpp.federation.edge_certificate:
        issue: self_signed
        common_name: edge1.inside.example
        xmpp_domains: [inside.example]
        key_type: "{{ key_type }}"
"""


def test_back_to_the_certificate_before(play: Play, installed: Installed, tmp_path: Path) -> None:
    link = tmp_path / "etc/assigned/external"

    def certificate(kind: str) -> str:
        _inventory(tmp_path, {"key_type": kind})
        (tmp_path / "certificate.yml").write_text(CERTIFICATE, encoding="utf-8")
        _with_config_dir(tmp_path / "certificate.yml", tmp_path / "etc")
        command = ["ansible-playbook", "-i", str(tmp_path / "inventory.yml"), str(tmp_path / "certificate.yml")]
        done = installed.run(*command)
        assert done.returncode == 0, done.stdout + done.stderr
        return link.readlink().name

    first = certificate("rsa")
    second = certificate("ec_p256")
    assert first != second
    foreseen = play("certificates", "back.yml", "--check", "--diff")
    assert "changed=1" in foreseen.stdout, foreseen.stdout + foreseen.stderr
    assert link.readlink().name == second
    assert "changed=1" in play("certificates", "back.yml").stdout
    assert link.readlink().name == first
    assert "changed=0" in play("certificates", "back.yml").stdout
    # Later runs do not bring it back.
    assert certificate("ec_p256") == first
