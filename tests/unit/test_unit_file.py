# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The systemd unit, as the role renders it: valid, and hardened as promised for every set of variables."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("ansible.template", reason="templates are rendered by ansible-core")

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROLE = Path(__file__).resolve().parents[2] / "roles/xmpp_edge"
# Tenths of a point of systemd's exposure level.
HIGHEST_EXPOSURE = 20
ANALYZE = shutil.which("systemd-analyze")

needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")


def render(**variables: Any) -> str:
    given = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
    given = {name: value for name, value in given.items() if "{{" not in str(value)} | variables
    text = (ROLE / "templates/xmpp-edge.service.j2").read_text()
    return str(Templar(loader=DataLoader(), variables=given).template(trust_as_template(text)))


CASES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "low port": {"xmpp_edge_listen_port": 269},
    "low port for direct TLS": {"xmpp_edge_direct_tls_port": 443},
    "no direct TLS": {"xmpp_edge_direct_tls_port": 0},
    "other places": {
        "xmpp_edge_run_dir": "/run/edge/one",
        "xmpp_edge_state_dir": "/srv/edge",
        "xmpp_edge_config_dir": "/srv/edge-config",
        "xmpp_edge_install_dir": "/srv/edge-releases",
        "xmpp_edge_user": "edge",
        "xmpp_edge_group": "edge",
    },
}


@needs_systemd
@pytest.mark.parametrize("case", CASES)
def test_exposure_is_low(case: str, tmp_path: Path) -> None:
    unit = tmp_path / "xmpp-edge.service"
    unit.write_text(render(**CASES[case]))
    done = subprocess.run(
        [str(ANALYZE), "security", "--offline=true", f"--threshold={HIGHEST_EXPOSURE}", "--no-pager", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@needs_systemd
@pytest.mark.parametrize("case", CASES)
def test_systemd_knows_every_line(case: str, tmp_path: Path) -> None:
    unit = tmp_path / "xmpp-edge.service"
    # The commands and the account are those of another host.
    lines = [
        line if not line.startswith("Exec") else line.split("=", 1)[0] + "=/bin/true"
        for line in render(**CASES[case]).splitlines()
        if not line.startswith(("User=", "Group="))
    ]
    unit.write_text("\n".join(lines) + "\n")
    done = subprocess.run([str(ANALYZE), "verify", str(unit)], capture_output=True, text=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if "xmpp-edge.service" in line]
    assert complaints == []


def test_callbacks_of_the_tls_library_are_allowed() -> None:
    assert "MemoryDenyWriteExecute" not in render()


def test_a_low_port_brings_its_one_capability_and_no_other() -> None:
    usual, low = render(), render(xmpp_edge_listen_port=269)
    assert "CapabilityBoundingSet=\n" in usual
    assert "AmbientCapabilities=\n" in usual
    assert "CapabilityBoundingSet=CAP_NET_BIND_SERVICE\n" in low
    assert "PrivateUsers" not in low


@pytest.mark.parametrize(("directory", "named"), [("/run/xmpp-edge", "xmpp-edge"), ("/run/a/b", "a/b")])
def test_the_run_directory_is_named_below_run(directory: str, named: str) -> None:
    assert f"RuntimeDirectory={named}\n" in render(xmpp_edge_run_dir=directory)


@pytest.mark.parametrize(
    ("case", "needed"), [("low port for direct TLS", True), ("no direct TLS", False), ("low port", True)]
)
def test_a_low_port_gets_its_capability(case: str, needed: bool) -> None:
    assert ("CAP_NET_BIND_SERVICE" in render(**CASES[case])) is needed
