# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guide that grants to users from a directory: with a stand-in for ``ldap_search``, then with it and a slapd."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import guides
import pytest
import tree

if TYPE_CHECKING:
    from conftest import Installed

PAGE = tree.ROOT / "docs/guides/users-from-a-directory.md"
SEARCH = Path("ansible_collections/community/general/plugins/modules/ldap_search.py")
# Where `make venv-collections` has unpacked the module.
OTHERS = tree.ROOT / ".venv/peer-collections"
DEBIAN_PYTHON = "/usr/bin/python3"

# Takes the options that the guide uses, and answers as the module does: one value is no list, none has no key.
STAND_IN = """
import json, os
from ansible.module_utils.basic import AnsibleModule

OPTIONS = {name: {"type": "str"} for name in ("server_uri", "bind_dn", "dn", "scope", "filter")}
OPTIONS.update(bind_pw={"type": "str", "no_log": True}, attrs={"type": "list", "elements": "str"})
OPTIONS.update(page_size={"type": "int"})
module = AnsibleModule(OPTIONS, supports_check_mode=True)
if module.params["scope"] not in ("base", "onelevel", "subordinate", "children"):
    module.fail_json(msg="no such scope")
module.exit_json(changed=False, results=json.load(open(%r)))
"""


@dataclass
class Edge:
    """An edge on this machine, whose users come from a directory."""

    installed: Installed
    directory: Path
    collections: Path
    variables: dict[str, Any]

    def run(self, *arguments: str, playbook: str = "users.yml", **variables: Any) -> subprocess.CompletedProcess[str]:
        given = {"ansible_connection": "local", "ansible_become": False, **self.variables, **variables}
        given["xmpp_edge_config_dir"] = str(self.directory / "etc")
        inventory = self.directory / "inventory.json"
        inventory.write_text(json.dumps({"xmpp_edge": {"hosts": {"edge1.inside.example": {}}, "vars": given}}))
        command = ["ansible-playbook", "-i", str(inventory), str(self.directory / playbook), "--skip-tags", "service"]
        command += ["-e", json.dumps({"ansible_python_interpreter": given["ansible_python_interpreter"]})]
        return self.installed.run(
            *command, *arguments, ANSIBLE_COLLECTIONS_PATH=f"{self.installed.root}:{self.collections}"
        )

    def grants(self) -> dict[str, str]:
        found = json.loads((self.directory / "etc/policies.json").read_text(encoding="utf-8"))["grants"]
        assert isinstance(found, dict)
        return found


Make = Callable[..., Edge]


@pytest.fixture
def edge(installed: Installed, tmp_path: Path) -> Make:
    def make(collections: Path, **variables: Any) -> Edge:
        guides.write(PAGE, tmp_path)
        guides.write(tree.ROOT / "docs/guides/a-thousand-partners.md", tmp_path)
        (given,) = guides.variables(PAGE)
        defaults = {"ansible_python_interpreter": sys.executable, "directory_password": "reader's own"}
        made = Edge(
            installed,
            tmp_path,
            collections,
            {**given, "xmpp_edge_domains": ["inside.example"], **defaults, **variables},
        )
        # The records are below a directory of the test; the guide's reader has them in /etc.
        users = tmp_path / "users.yml"
        text = users.read_text(encoding="utf-8")
        changed = text.replace(
            "        name: FedPic\n", '        name: FedPic\n        config_dir: "{{ xmpp_edge_config_dir }}"\n'
        )
        assert changed != text
        users.write_text(changed, encoding="utf-8")
        done = made.run(playbook="records.yml")
        assert done.returncode == 0, done.stdout + done.stderr
        return made

    return make


@pytest.fixture
def canned(edge: Make, tmp_path: Path) -> Callable[[list[dict[str, Any]]], Edge]:
    """An edge and a directory that always answers the same."""
    answer = tmp_path / "answer.json"

    def make(results: list[dict[str, Any]]) -> Edge:
        answer.write_text(json.dumps(results), encoding="utf-8")
        module = tmp_path / "collections" / SEARCH
        if not module.exists():
            module.parent.mkdir(parents=True)
            module.write_text(STAND_IN % str(answer), encoding="utf-8")
        return edge(tmp_path / "collections")

    return make


ANSWER: list[dict[str, Any]] = [
    {"dn": "uid=alice,ou=people,dc=inside,dc=example", "mail": "Alice@Inside.example"},
    {
        "dn": "uid=bob,ou=people,dc=inside,dc=example",
        "mail": ["bob@inside.example", "robert@inside.example", "b@else.example"],
    },
    {"dn": "uid=carol,ou=people,dc=inside,dc=example"},
    {"dn": "uid=dave,ou=people,dc=inside,dc=example", "mail": "dave@inside.example.attacker.example"},
    {"dn": "uid=erin,ou=people,dc=inside,dc=example", "mail": "sip:erin@inside.example"},
    {"dn": "uid=erin2,ou=people,dc=inside,dc=example", "mail": "erin@inside.example"},
    {"dn": "uid=frank,ou=people,dc=inside,dc=example", "mail": "frank@insideXexample"},
]
EXPECTED = dict.fromkeys(
    ["alice@inside.example", "bob@inside.example", "erin@inside.example", "robert@inside.example"], "FedPic"
)


def test_addresses_of_an_answer(canned: Callable[[list[dict[str, Any]]], Edge]) -> None:
    one = canned(ANSWER)
    foreseen = one.run("--check", "--diff")
    assert foreseen.returncode == 0, foreseen.stdout + foreseen.stderr
    assert "robert@inside.example" in foreseen.stdout
    assert one.grants() == {}
    assert "changed=1" in one.run().stdout
    assert one.grants() == EXPECTED
    assert "changed=0" in one.run().stdout
    # The site's own list has no names, and leaves these alone.
    assert "changed=0" in one.run(playbook="records.yml").stdout


def test_who_has_left_loses_it_but_never_all(canned: Callable[[list[dict[str, Any]]], Edge]) -> None:
    one = canned(ANSWER)
    assert one.run().returncode == 0
    one = canned(ANSWER[:1])
    assert "changed=1" in one.run().stdout
    assert one.grants() == {"alice@inside.example": "FedPic"}
    one = canned([])
    empty = one.run()
    assert empty.returncode == 2
    assert "names 0 users" in empty.stdout
    assert one.grants() == {"alice@inside.example": "FedPic"}


ENTRIES = """\
dn: dc=inside,dc=example
objectClass: dcObject
objectClass: organization
o: Inside
dc: inside

dn: ou=people,dc=inside,dc=example
objectClass: organizationalUnit
ou: people

dn: ou=abroad,ou=people,dc=inside,dc=example
objectClass: organizationalUnit
ou: abroad

"""
PERSON = """\
dn: uid={name},{where}ou=people,dc=inside,dc=example
objectClass: inetOrgPerson
uid: {name}
cn: {name}
sn: {name}
{rest}
"""


@pytest.fixture
def slapd(tmp_path: Path) -> Iterator[str]:
    """A directory of our own on loopback; gives its address."""
    program = shutil.which("slapd", path="/usr/sbin:/usr/lib/openldap:/usr/libexec:/usr/bin")
    loader = shutil.which("slapadd", path="/usr/sbin:/usr/bin")
    schemas = [Path("/etc/ldap/schema") / f"{name}.schema" for name in ("core", "cosine", "inetorgperson")]
    if not program or not loader or not all(schema.exists() for schema in schemas):
        pytest.skip("There is no slapd here (Debian: slapd)")
    home = tmp_path / "slapd"
    (home / "data").mkdir(parents=True)
    config = home / "slapd.conf"
    lines = [f"include {schema}" for schema in schemas]
    lines += [
        f"pidfile {home}/pid",
        "modulepath /usr/lib/ldap",
        "moduleload back_mdb",
        "database mdb",
        'suffix "dc=inside,dc=example"',
        f"directory {home}/data",
    ]
    lines += ['rootdn "cn=reader,dc=inside,dc=example"', "rootpw secret"]
    config.write_text("\n".join(lines) + "\n", encoding="utf-8")
    sales = "departmentNumber: sales\n"
    people = [
        PERSON.format(name="alice", where="", rest=sales + "mail: Alice@inside.example\n"),
        PERSON.format(name="bob", where="ou=abroad,", rest=sales + "mail: bob@inside.example\nmail: b@else.example\n"),
        PERSON.format(name="carol", where="", rest=sales),
        PERSON.format(name="dave", where="", rest="departmentNumber: stores\nmail: dave@inside.example\n"),
    ]
    # More than one page of the search.
    names = [f"u{number}" for number in range(600)]
    people += [PERSON.format(name=name, where="", rest=f"{sales}mail: {name}@inside.example\n") for name in names]
    subprocess.run([loader, "-f", str(config)], input=ENTRIES + "".join(people), text=True, check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"ldap://127.0.0.1:{port}"
    with (home / "log").open("w") as log:
        server = subprocess.Popen([program, "-f", str(config), "-h", f"{address}/", "-d", "0"], stdout=log, stderr=log)
    try:
        _wait_for(port, server)
        yield address
    finally:
        server.terminate()
        server.wait(timeout=20)


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        assert server.poll() is None, "slapd has ended"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.05)
    pytest.fail("slapd does not listen")


def _real_search() -> tuple[Path, str]:
    """The collections path that has the module, and a Python that has python-ldap."""
    if not (OTHERS / SEARCH).exists():
        pytest.skip("community.general is not here (`make venv-collections` brings it)")
    for python in (sys.executable, DEBIAN_PYTHON):
        if Path(python).exists():
            tried = subprocess.run([python, "-c", "import ldap"], capture_output=True, check=False)
            if tried.returncode == 0:
                return OTHERS, python
    pytest.skip("No Python here has python-ldap (Debian: python3-ldap)")


def test_a_real_directory(edge: Make, slapd: str) -> None:
    collections, python = _real_search()
    one = edge(collections, directory_uri=slapd, directory_password="secret", ansible_python_interpreter=python)
    done = one.run()
    assert done.returncode == 0, done.stdout + done.stderr
    granted = one.grants()
    assert {"alice@inside.example", "bob@inside.example", "u599@inside.example"} <= set(granted)
    assert len(granted) == 602
    assert "changed=0" in one.run().stdout
    refused = one.run(directory_password="wrong")
    assert refused.returncode == 2
    assert "Cannot bind" in refused.stdout
