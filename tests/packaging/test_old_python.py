# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Managed hosts may have a Python as old as 3.8: what runs there is readable by it, and does its work."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import tree

if TYPE_CHECKING:
    from conftest import Installed

OLD = "python3.8"
ON_HOSTS = ("plugins/modules/*.py", "plugins/module_utils/**/*.py", "plugins/plugin_utils/_release_host.py")
FILES = sorted(path for pattern in ON_HOSTS for path in tree.ROOT.glob(pattern))
PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"

# Libraries are left to the environment of an installed release, so modules that need one say so here.
TASKS = """
- name: Run what needs no library
  hosts: localhost
  gather_facts: false
  module_defaults:
    group/xmpp.federation.edge:
      config_dir: "{{ directory }}"
  tasks:
    - name: Write the edge
      xmpp.federation.edge_config: {domains: [ours.example, bücher.example], inside: {secret: not to be seen}}
    - name: Write partners
      xmpp.federation.xmpp_partner: {partners: [{domain: a.example}, {domain: b.example}], purge: true}
    - name: Write policies
      xmpp.federation.external_access_policy: {name: A, federation_access: true, grant_to: [Alice@ours.example]}
    - name: Write no revocation list
      xmpp.federation.edge_crl: {crls: [], purge: true}
    - name: Read it
      xmpp.federation.edge_info: {users: [alice@ours.example]}
      register: told
    - name: See that all of it came there
      ansible.builtin.assert:
        that:
          - ansible_check_mode or told.desired.partners | length == 2
          - ansible_check_mode or told.effective[0].policy.name == 'A'
"""


@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
def test_it_can_be_read(path: Path) -> None:
    ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=(3, 8))


def _old_python() -> str:
    places = [shutil.which(OLD), *map(str, PYENV.glob(f"3.8.*/bin/{OLD}"))]
    for place in filter(None, places):
        if subprocess.run([place, "-c", ""], check=False, capture_output=True).returncode == 0:
            return place
    pytest.skip(f"There is no {OLD} here")


def _supported(installed: Installed, python: str) -> None:
    """From 2.20 on ansible-core wants 3.9 on its hosts."""
    done = installed.run("ansible", "localhost", "-m", "ansible.builtin.ping", ANSIBLE_PYTHON_INTERPRETER=python)
    if done.returncode:
        pytest.skip(f"This ansible-core does not manage hosts with {OLD}")


def test_it_does_its_work(installed: Installed, tmp_path: Path) -> None:
    python = _old_python()
    _supported(installed, python)
    book = tmp_path / "old.yml"
    book.write_text(TASKS, encoding="utf-8")
    command = ["ansible-playbook", str(book), "-e", f"directory={tmp_path / 'etc'}", "--diff"]
    for arguments, changed in ((["--check"], 3), ([], 3), (["--check"], 0), ([], 0)):
        done = installed.run(*command, *arguments, ANSIBLE_PYTHON_INTERPRETER=python)
        assert f"changed={changed}" in done.stdout, done.stdout + done.stderr
        assert "failed=0" in done.stdout, done.stdout
        assert "not to be seen" not in done.stdout
