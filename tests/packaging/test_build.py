# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is in the tarball, and that the rest of a checkout is not needed."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import tree
import yaml

if TYPE_CHECKING:
    from conftest import Installed

TOP = {"meta", "plugins", "roles", "playbooks", "docs", "changelogs", "LICENSES"}
MODULES = sorted(path.stem for path in (tree.ROOT / "plugins/modules").glob("*.py"))
PARTNER = {"domain": "gmail.example", "tls": "not_supported", "sasl": "not_supported"}
POLICY = {"name": "FedPic", "scope": "user", "federation_access": True}
ROLES = sorted(path.name for path in (tree.ROOT / "roles").iterdir() if path.is_dir())


def test_tarball_holds_nothing_of_the_workshop(tarball: Path) -> None:
    with tarfile.open(tarball) as archive:
        names = [Path(name) for name in archive.getnames()]
    assert {name.parts[0] for name in names if len(name.parts) > 1} <= TOP
    assert not [name for name in names if name.suffix in {".pyc", ".gz", ".whl"} or "__pycache__" in name.parts]
    assert not [name for name in names if any(part.startswith(".") for part in name.parts)]


def test_every_link_stays_inside(installed: Installed) -> None:
    for path in installed.home.rglob("*"):
        if path.is_symlink():
            assert path.resolve().is_relative_to(installed.home.resolve()), path
            assert path.exists(), f"{path} leads nowhere"


def test_galaxy_installs_it(tarball: Path, installed: Installed, tmp_path: Path) -> None:
    command = ["ansible-galaxy", "collection", "install", "--offline", "-p", str(tmp_path), str(tarball)]
    done = installed.run(*command, ANSIBLE_COLLECTIONS_PATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    home = tmp_path / tree.INSIDE
    for path in (installed.home / "roles").rglob("*.py"):
        assert (home / path.relative_to(installed.home)).read_bytes() == path.read_bytes()


def test_every_module_documents_itself(installed: Installed) -> None:
    names = [f"xmpp.federation.{name}" for name in MODULES]
    done = installed.run("ansible-doc", "--json", *names)
    assert done.returncode == 0, done.stderr
    documented = json.loads(done.stdout)
    assert sorted(documented) == names
    for name, parts in documented.items():
        assert parts["doc"]["version_added"] in ("0.1.0", "0.2.0"), name
        assert parts["examples"].strip(), name
        assert {"check_mode", "diff_mode", "platform"} <= set(parts["doc"]["attributes"]), name


def test_every_role_documents_itself(installed: Installed) -> None:
    done = installed.run("ansible-doc", "--type", "role", "--json", *(f"xmpp.federation.{name}" for name in ROLES))
    assert done.returncode == 0, done.stderr
    assert sorted(json.loads(done.stdout)) == [f"xmpp.federation.{name}" for name in ROLES]


def test_action_groups_name_every_module_with_their_option(installed: Installed) -> None:
    groups = yaml.safe_load((installed.home / "meta/runtime.yml").read_text())["action_groups"]
    done = installed.run("ansible-doc", "--json", *(f"xmpp.federation.{name}" for name in MODULES))
    options = {name.rpartition(".")[2]: set(parts["doc"]["options"]) for name, parts in json.loads(done.stdout).items()}
    assert sorted(groups["edge"]) == sorted(name for name, known in options.items() if "config_dir" in known)
    assert sorted(groups["dns"]) == sorted(name for name, known in options.items() if "key_name" in known)


@pytest.mark.parametrize("playbook", sorted(path.stem for path in (tree.ROOT / "playbooks").glob("*.yml")))
def test_playbooks_are_found_by_name(installed: Installed, playbook: str) -> None:
    inventory = "localhost,"
    done = installed.run("ansible-playbook", "-i", inventory, "--syntax-check", f"xmpp.federation.{playbook}")
    assert done.returncode == 0, done.stderr


def test_modules_run_in_check_mode(installed: Installed, tmp_path: Path) -> None:
    config = tmp_path / "xmpp-edge"
    play = [
        {
            "hosts": "localhost",
            "connection": "local",
            "gather_facts": False,
            "module_defaults": {"group/xmpp.federation.edge": {"config_dir": str(config)}},
            "tasks": [
                {"xmpp.federation.edge_config": {"domains": ["inside.example"], "allow_federated_users": True}},
                {"xmpp.federation.xmpp_partner": PARTNER},
                {"xmpp.federation.external_access_policy": POLICY},
                {"xmpp.federation.edge_info": {}},
            ],
        },
    ]  # fmt: skip
    book = tmp_path / "play.yml"
    book.write_text(yaml.safe_dump(play))
    done = installed.run("ansible-playbook", "--check", "--diff", "-i", "localhost,", str(book))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "changed=3" in done.stdout
    assert not config.exists()
