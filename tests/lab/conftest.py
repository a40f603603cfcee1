# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes the lab for the tests, once, and takes it away. KEEP=1 leaves the hosts running for a look."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .control_node import Lab
from .rude import RudePartner

LAB_DIR = Path(os.environ.get("LAB_DIR", "/var/tmp/xmpp-federation-lab"))


def why_not() -> str:
    """What is missing for a lab, in words; empty where it can be made."""
    if os.geteuid() != 0:
        return "the lab makes Debian hosts and networks of its own, and needs root for that"
    if shutil.which("apt-get") is None:
        return "the lab makes its hosts from this machine's own package sources, and needs a Debian for that"
    trial = (
        "mount -t tmpfs tmpfs /mnt && mkdir /mnt/l /mnt/u /mnt/w && "
        "mount -t overlay -o lowerdir=/mnt/l,upperdir=/mnt/u,workdir=/mnt/w overlay /mnt/l"
    )
    tried = subprocess.run(
        ["unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "sh", "-c", trial],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    if tried.returncode != 0:
        return f"this machine gives root no namespaces or no overlay mounts ({tried.stdout.strip()})"
    return ""


@pytest.fixture(scope="session")
def control_node() -> Iterator[Lab]:
    """The machine with the playbooks; it is alone with its lab."""
    if reason := why_not():
        pytest.skip(reason)
    LAB_DIR.mkdir(parents=True, exist_ok=True)
    with (LAB_DIR / "lock").open("w") as lock, tempfile.TemporaryDirectory(prefix="lab-", dir="/tmp") as scratch:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pytest.fail(f"another run of the lab holds {lock.name}")
        lab = Lab(LAB_DIR, Path(scratch))
        lab.install_collection()
        yield lab


@pytest.fixture(scope="module")
def lab(control_node: Lab, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """Blank hosts, and the servers on them, for the tests of one module."""
    control_node.destroy()  # what a killed run left
    try:
        control_node.create(request.module.INSIDE_SERVER)
        control_node.take_inventory()
        yield control_node
    finally:
        if not os.environ.get("KEEP"):
            control_node.destroy()


@pytest.fixture(scope="module")
def rude_partner(lab: Lab) -> Iterator[RudePartner]:
    with RudePartner() as partner:
        yield partner


# The tests of a module follow one another on the same hosts: where one of its foundations does not hold, the rest
# would only repeat the message.
_broken: dict[str, str] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    report = yield
    if report.failed and item.get_closest_marker("foundation"):
        _broken.setdefault(item.module.__name__, item.name)
    return report


def pytest_runtest_setup(item: pytest.Item) -> None:
    if foundation := _broken.get(item.module.__name__):
        pytest.skip(f"{foundation} failed")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "foundation: without this test the others of its module make no sense")
