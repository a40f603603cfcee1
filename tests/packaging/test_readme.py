# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What README.md shows is true: its tables, its links, and the example that people copy."""

from __future__ import annotations

import grp
import json
import os
import pwd
import re
import shlex
import shutil
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import guides
import pytest
import readme
import tree

if TYPE_CHECKING:
    from conftest import Installed

EXAMPLE = re.compile(r"<!-- file (\S+) -->\n```yaml\n(.*?)```", re.DOTALL)
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")
PLACE = re.compile(r"\]\(([^):]*)#([^)]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
PAGES = sorted(path for pattern in ("*.md", "docs/**/*.md", "roles/*/README.md") for path in tree.ROOT.glob(pattern))


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """A directory with the files of the README's example."""
    files = dict(EXAMPLE.findall(readme.README.read_text(encoding="utf-8")))
    assert sorted(files) == ["inventory.yml", "site.yml"]
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("page", readme.pages(), ids=lambda page: str(page.relative_to(tree.ROOT)))
def test_tables_show_the_variables_as_they_are(page: Path) -> None:
    assert readme.render(page) == page.read_text(encoding="utf-8"), "run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(tree.ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


def places(page: Path) -> set[str]:
    """The headings of a page as links name them."""
    headings = HEADING.findall(page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(tree.ROOT)))
def test_links_into_a_page_lead_to_a_heading(page: Path) -> None:
    links = PLACE.findall(page.read_text(encoding="utf-8"))
    targets = [(page.parent / path if path else page, place) for path, place in links]
    assert [place for path, place in targets if place not in places(path)] == []


def test_every_module_and_playbook_is_named() -> None:
    text = readme.README.read_text(encoding="utf-8")
    for path in (tree.ROOT / "plugins/modules").glob("*.py"):
        assert f"`{path.stem}`" in text, path.stem
    for path in (tree.ROOT / "playbooks").glob("*.yml"):
        assert f"`{path.stem}`" in text, path.stem


def test_example_is_short(example: Path) -> None:
    assert len((example / "inventory.yml").read_text().splitlines()) <= 10


def test_example_is_an_inventory_and_a_playbook(installed: Installed, example: Path) -> None:
    inventory = str(example / "inventory.yml")
    listed = installed.run("ansible-inventory", "-i", inventory, "--list")
    assert listed.returncode == 0, listed.stderr
    groups = json.loads(listed.stdout)
    assert groups["xmpp_edge"]["hosts"] == ["edge1.inside.example"]
    assert groups["xmpp_front_end"]["hosts"] == ["xmpp.inside.example"]
    checked = installed.run("ansible-playbook", "-i", inventory, "--syntax-check", str(example / "site.yml"))
    assert checked.returncode == 0, checked.stderr


def test_example_can_be_previewed(installed: Installed, example: Path, tmp_path: Path) -> None:
    """On a blank host, with the connection made local; the edge's plays only, as here is no XMPP server."""
    command = [
        "ansible-playbook", "-i", str(example / "inventory.yml"), str(example / "site.yml"), "--check", "--diff",
        "--limit", "xmpp_edge", "-e", json.dumps(here(tmp_path)),
    ]  # fmt: skip
    done = installed.run(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "gmail.example" in done.stdout
    assert not (tmp_path / "etc").exists()


def test_example_runs_and_a_second_run_changes_nothing(installed: Installed, example: Path, tmp_path: Path) -> None:
    """The edge's part for real, without the inside server and the partner: nobody answers, and that is a warning."""
    base = Path(tempfile.mkdtemp(prefix="xe-"))  # a socket's path has to be short
    command = ["ansible-playbook", "-i", str(example / "inventory.yml"), "--limit", "xmpp_edge"]
    command += ["-e", json.dumps({**here(base), "xmpp_edge_listen_port": free_port(), "xmpp_edge_verify_timeout": 1})]
    try:
        first = installed.run(*command, str(example / "site.yml"))
        assert first.returncode == 0, first.stdout + first.stderr
        again = installed.run(*command, str(example / "site.yml"))
        assert again.returncode == 0, again.stdout + again.stderr
        assert "changed=0" in again.stdout, again.stdout
        # What the guide has CI do finds nothing either.
        (job,) = [text for text in guides.shell(tree.ROOT / "docs/guides/check-from-ci.md") if "grep" in text]
        job = job.replace("-i inventory.yml", shlex.join(command[1:]))
        looked = guides.run(job, example, installed.root)
        assert looked.returncode == 0, looked.stdout + looked.stderr
        assert "changed=0" in looked.stdout
    finally:
        gone = installed.run(*command, "xmpp.federation.uninstall", "-e", "xmpp_edge_uninstall_records=true")
        left = sorted(base.rglob("*"))
        shutil.rmtree(base, ignore_errors=True)
    assert gone.returncode == 0, gone.stdout + gone.stderr
    assert [path for path in left if path.is_file()] == []


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def here(base: Path) -> dict[str, object]:
    """Variables that keep the edge role within `base` on this machine."""
    return {
        "ansible_connection": "local",
        "ansible_become": False,
        "xmpp_edge_user": pwd.getpwuid(os.getuid()).pw_name,
        "xmpp_edge_group": grp.getgrgid(os.getgid()).gr_name,
        "xmpp_edge_service_manager": "standalone",
        "xmpp_edge_config_dir": str(base / "etc"),
        "xmpp_edge_state_dir": str(base / "var"),
        "xmpp_edge_run_dir": str(base / "run"),
        "xmpp_edge_install_dir": str(base / "opt"),
    }
