# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The SRV records that the role makes of the variables of all edges."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ansible.template", reason="templates are rendered by ansible-core")

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

TEMPLATE = Path(__file__).resolve().parents[2] / "roles/xmpp_edge/templates/srv-records.json.j2"
PLAIN = {"domain": "ours.example", "target": "edge1.example", "port": 5269}
DIRECT = {**PLAIN, "service": "xmpps-server", "port": 5270}
GONE = {"domain": "ours.example", "service": "xmpps-server", "target": "edge1.example", "state": "absent"}


def render(purge: bool = True, **hosts: dict[str, Any]) -> Any:
    variables = {
        "xmpp_edge_dns_hosts": [f"{name}.example" for name in hosts],
        "xmpp_edge_purge": purge,
        "hostvars": {f"{name}.example": {"xmpp_edge_domains": ["ours.example"], **own} for name, own in hosts.items()},
    }
    templar = Templar(loader=DataLoader(), variables=variables)
    found = templar.template(trust_as_template(TEMPLATE.read_text(encoding="utf-8")))
    return json.loads(found) if isinstance(found, str) else found


def test_direct_tls_is_published_where_it_is_on() -> None:
    assert render(edge1={}) == [PLAIN]
    assert render(edge1={"xmpp_edge_direct_tls_port": 5270}) == [PLAIN, DIRECT]


@pytest.mark.parametrize("withdrawn", [0, "0", None, ""])
def test_direct_tls_is_taken_back(withdrawn: Any) -> None:
    assert render(edge1={"xmpp_edge_direct_tls_port": withdrawn}) == [PLAIN, GONE]
    assert render(purge=False, edge1={"xmpp_edge_direct_tls_port": withdrawn}) == [PLAIN]


def test_what_a_host_says_holds_for_both_services() -> None:
    dns = {"server": "192.0.2.53", "priority": 10, "addresses": ["192.0.2.1"]}
    records = render(
        edge1={"xmpp_edge_dns": dns, "xmpp_edge_direct_tls_port": 443}, edge2={"xmpp_edge_fqdn": "second.example"}
    )
    given = {"priority": 10, "addresses": ["192.0.2.1"]}
    assert records == [{**PLAIN, **given}, {**DIRECT, **given, "port": 443}, {**PLAIN, "target": "second.example"}]
