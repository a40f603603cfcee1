# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What many objects in one call cost, as CPU time of the module itself: what Ansible takes to start it comes on top."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Runs a module's main() with the arguments on stdin, in a process of its own, and tells how long it took.
RUN = """
import importlib, json, sys, time
from ansible.module_utils.testing import patch_module_args
name, arguments = sys.argv[1], json.load(sys.stdin)
module = importlib.import_module("ansible_collections.xmpp.federation.plugins.modules." + name)
began = time.process_time()
with patch_module_args(arguments):
    try:
        module.main()
    except SystemExit:
        print("\\n%.6f" % (time.process_time() - began))
"""


@pytest.fixture
def collections(tmp_path: Path) -> Path:
    home = tmp_path / "ansible_collections/xmpp"
    home.mkdir(parents=True)
    (home / "federation").symlink_to(ROOT)
    return tmp_path


def seconds(collections: Path, name: str, changed: bool, **options: Any) -> float:
    done = subprocess.run(
        [sys.executable, "-c", RUN, name], input=json.dumps(options), env={"PYTHONPATH": str(collections)},
        check=True, text=True, capture_output=True,
    )  # fmt: skip
    *lines, last = done.stdout.splitlines()
    assert json.loads(next(line for line in lines if line.startswith("{")))["changed"] is changed
    return float(last)


def partners(count: int, keepalive: bool) -> list[dict[str, Any]]:
    plain = {"tls": "not_supported", "sasl": "not_supported", "keepalive": keepalive}
    return [{"domain": f"partner{number}.example", **plain} for number in range(count)]


def test_many_partners_in_one_call(collections: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = []
    for count in (1_000, 10_000):
        where = {"config_dir": str(tmp_path / f"edge-{count}"), "purge": True}
        created = seconds(collections, "xmpp_partner", True, partners=partners(count, True), **where)
        unchanged = seconds(collections, "xmpp_partner", False, partners=partners(count, True), **where)
        updated = seconds(collections, "xmpp_partner", True, partners=partners(count, False), **where)
        rows.append(f"| {count:,} | {created:.2f} | {updated:.2f} | {unchanged:.2f} |")
    with capsys.disabled():
        print("\n| partners in one call | created, s | changed, s | unchanged, s |\n| --- | --- | --- | --- |")
        print("\n".join(rows))
