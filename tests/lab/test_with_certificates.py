# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From blank hosts to a partner that takes TLS with certificates alone, beside one that has never heard of them."""

from __future__ import annotations

import hashlib
import json
import ssl
from collections.abc import Iterator
from typing import Any

import dns.message
import dns.query
import pytest

from .certificates import PARTNER_DOMAIN, LabAuthority
from .control_node import ADDRESSES, EDGE, RESOLVER, SECURE, Lab
from .test_federation import (
    ALICE,
    ROMEO,
    assert_talking,
    assert_unchanged,
    exchange,
    main_pids,
    streams_of,
    wait_until_up,
)

INSIDE_SERVER = "prosody"
ANN = f"ann@{PARTNER_DOMAIN}"
BOTH_WAYS = ((ALICE, ANN), (ANN, ALICE))
DIRECT_PORT = 5270


@pytest.fixture(scope="module")
def authority(lab: Lab) -> Iterator[LabAuthority]:
    with LabAuthority() as found:
        yield found


def published(service: str) -> list[str]:
    """What partners find of us in DNS."""
    question = dns.message.make_query(f"_{service}._tcp.inside.example", "SRV")
    answer = dns.query.udp(question, RESOLVER, timeout=10).answer
    return [str(record) for found in answer for record in found]


def shown_fingerprint() -> str:
    """Of the certificate that the edge presents on its port for direct TLS."""
    pem = ssl.get_server_certificate((ADDRESSES[EDGE], DIRECT_PORT), timeout=20)
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


def methods(lab: Lab) -> set[str]:
    streams = [stream for stream in lab.edge_streams()["streams"] if stream["state"] == "up"]
    assert all(stream["encrypted"] for stream in streams if stream["pairs"][0]["remote"] == PARTNER_DOMAIN)
    return {pair["method"] for stream in streams for pair in stream["pairs"] if pair["remote"] == PARTNER_DOMAIN}


@pytest.mark.foundation
def test_who_needs_no_certificate_is_served_while_the_ca_is_silent(lab: Lab, authority: LabAuthority) -> None:
    authority.equip(lab)
    (lab.inventory / "secrets/partners.pem").write_bytes(authority.ca.pem)
    partner = {
        "domain": PARTNER_DOMAIN,
        "partner_type": "federated",
        "ca_file": "/etc/xmpp-edge/ca/partners.pem",
        "pins": [f"sha256:{authority.partner.pin}"],
    }
    lab.edit("federation", lambda variables: variables["xmpp_edge_partners"].append(partner))
    settings = {
        "xmpp_edge_ca_files": ["{{ inventory_dir }}/secrets/partners.pem"],
        "xmpp_edge_crls": [{"url": authority.list_url}],
        "xmpp_edge_check_crls": "always",
        "xmpp_edge_direct_tls_port": DIRECT_PORT,
        "xmpp_edge_certificate": {"common_name": EDGE},
        "xmpp_edge_certificate_request": "{{ inventory_dir }}/edge.csr",
    }
    lab.edit("xmpp_edge", lambda variables: variables.update(settings))
    lab.play("xmpp.federation.wheelhouse").must_succeed()
    assert lab.apply("--check", "--diff").changes
    lab.apply("-e", "xmpp_edge_verify_strict=false")
    assert "CERTIFICATE REQUEST" in (lab.inventory / "edge.csr").read_text()
    assert any("no certificate" in text for text in lab.edge_status()["warnings"])
    assert_talking((ALICE, ROMEO), (ROMEO, ALICE))
    outward, inward = exchange(*BOTH_WAYS)
    assert not outward.arrived
    assert not inward.arrived


@pytest.mark.foundation
def test_the_answer_of_the_ca_lets_the_others_in(lab: Lab, authority: LabAuthority) -> None:
    issuer = {"issue": "own_ca", "ca_cert": authority.ca.pem.decode(), "ca_key": authority.key_pem}
    lab.edit("xmpp_edge", lambda variables: variables["xmpp_edge_certificate"].update(issuer))
    pids = main_pids(lab)
    lab.apply()
    assert main_pids(lab) == pids
    assert_talking(*BOTH_WAYS, (ALICE, ROMEO), (ROMEO, ALICE))
    assert methods(lab) == {"sasl_tls"}


def test_a_second_run_changes_nothing(lab: Lab) -> None:
    assert_unchanged(lab.site())
    assert_unchanged(lab.site("--check", "--diff"))


def test_partners_find_direct_tls(lab: Lab) -> None:
    assert published("xmpp-server") == [f"0 0 5269 {EDGE}."]
    assert published("xmpps-server") == [f"0 0 {DIRECT_PORT} {EDGE}."]
    ports = {entry["port"] for entry in lab.edge_status()["listening"]}
    assert ports == {5269, DIRECT_PORT}


def test_keys_are_for_the_service_alone(lab: Lab) -> None:
    keys = lab.ssh(EDGE, "stat -L -c '%a %U %G' /etc/xmpp-edge/assigned/external/key.pem")
    assert keys == "640 root xmpp-edge"
    assert "PRIVATE" not in lab.ssh(EDGE, "journalctl --unit=xmpp-edge --output=cat")


def test_a_new_certificate_is_taken_over_without_a_break(lab: Lab) -> None:
    assert_talking(*BOTH_WAYS)
    pids, streams, before = main_pids(lab), streams_of(lab, PARTNER_DOMAIN), shown_fingerprint()
    assert streams

    def add_a_name(variables: dict[str, Any]) -> None:
        variables["xmpp_edge_certificate"]["extra_sans"] = ["edge.inside.example"]

    lab.edit("xmpp_edge", add_a_name)
    lab.apply()
    assert shown_fingerprint() != before
    (certificate,) = json.loads(lab.ssh(EDGE, "xmpp-edge status --json"))["certificates"]
    assert certificate["fingerprint"] == shown_fingerprint()
    assert main_pids(lab) == pids
    assert streams_of(lab, PARTNER_DOMAIN) == streams
    assert_unchanged(lab.site())

    # What is new from here on is proven by the new one.
    lab.ssh(SECURE, "systemctl restart prosody")
    assert_talking(*BOTH_WAYS)


def test_a_revoked_certificate_is_trusted_no_longer(lab: Lab, authority: LabAuthority) -> None:
    authority.publish(authority.partner)
    lab.apply("-e", "xmpp_edge_verify_strict=false")
    lab.ssh(SECURE, "systemctl restart prosody")
    outward, inward = exchange(*BOTH_WAYS)
    assert not outward.arrived
    assert not inward.arrived
    assert "revoked" in lab.ssh(EDGE, "journalctl --unit=xmpp-edge --output=cat")
    assert_talking((ALICE, ROMEO), (ROMEO, ALICE))


def test_another_certificate_needs_a_pin_of_its_own(lab: Lab, authority: LabAuthority) -> None:
    newer = authority.ca.issue(PARTNER_DOMAIN)
    authority.equip(lab, newer)
    assert not exchange(BOTH_WAYS[0])[0].arrived

    def pin(variables: dict[str, Any]) -> None:
        variables["xmpp_edge_partners"][-1]["pins"] = [newer.pin.upper()]

    lab.edit("federation", pin)
    lab.apply()
    wait_until_up(lab)
    assert_talking(*BOTH_WAYS)
    assert_unchanged(lab.site())


def test_direct_tls_is_taken_back(lab: Lab) -> None:
    lab.edit("xmpp_edge", lambda variables: variables.update(xmpp_edge_direct_tls_port=0))
    lab.apply()
    assert published("xmpps-server") == []
    assert {entry["port"] for entry in lab.edge_status()["listening"]} == {5269}
    lab.ssh(SECURE, "systemctl restart prosody")
    assert_talking(*BOTH_WAYS)
    assert_unchanged(lab.site())
