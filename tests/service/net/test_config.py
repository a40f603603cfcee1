# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records become a Snapshot, and two Snapshots a difference that names no more than what changed."""

from __future__ import annotations

import json

import pytest
from peers.authority import Authority
from xmpp_edge import config
from xmpp_edge.net import contexts
from xmpp_edge.records.errors import RecordError

from .harness import ALICE, CAROL, OURS, PLAIN, THEIRS, Records


@pytest.fixture
def records(tmp_path):
    return Records(tmp_path)


def test_nothing_on_disk_means_closed(tmp_path):
    snapshot = config.load(tmp_path)
    assert not snapshot.federation
    assert not snapshot.domains
    assert snapshot.partner(THEIRS) is None
    assert not snapshot.policy_of(ALICE).federation_access
    assert len(snapshot.dialback_secret) == 64


def test_a_site_decides_where_nothing_is_granted(records):
    records.policies["policies"].append(
        {"name": "Site", "scope": "site", "members": [f"c*@{OURS}"], "federation_access": True, "xmpp_access": True}
    )
    snapshot = config.load(records.write())
    assert snapshot.policy_of(CAROL).name == "Site"
    assert snapshot.policy_of(f"dave@{OURS}").name == "global"
    assert snapshot.policy_of(ALICE).name != "Site"


def test_domains_are_u_labels_inside(records):
    records.edge["domains"] = ["xn--bcher-kva.example"]
    records.partners[0]["additional_domains"] = ["xn--mnchen-3ya.example"]
    snapshot = config.load(records.write())
    assert snapshot.domains == {"bücher.example"}
    partner = snapshot.partner("münchen.example")
    assert partner is snapshot.partner(THEIRS)
    assert partner.domains == (THEIRS, "münchen.example")
    assert partner.auth_methods == ("tcp_dialback",)


def test_the_policy_of_a_user_is_taken_whole(records):
    records.policies["policies"].append({"name": "Half", "scope": "user", "federation_access": True})
    snapshot = config.load(records.write())
    assert snapshot.policy_of(ALICE).name == "FedPic"
    assert snapshot.policy_of(CAROL).name == "global"
    records.policies["grant_to_all"] = "FedPic"
    records.policies["grants"][CAROL] = "Half"
    snapshot = config.load(records.write())
    assert snapshot.policy_of(f"dave@{OURS}").name == "FedPic"
    assert snapshot.policy_of(CAROL).name == "Half"
    assert not snapshot.policy_of(CAROL).xmpp_access


def test_the_digest_is_that_of_the_records(records):
    first = config.load(records.write())
    assert first.digest == config.load(records.directory).digest
    records.edge["log_message_bodies"] = True
    assert config.load(records.write()).digest != first.digest


def test_a_bad_file_names_itself(records):
    records.write()
    (records.directory / "partners.json").write_text('{"schema": 1, "partners": [{"domian": "x.example"}]}')
    with pytest.raises(RecordError, match=r"partners\.json"):
        config.load(records.directory)


def compare(records, change):
    old = config.load(records.write())
    change(records)
    return config.difference(old, config.load(records.write()))


def test_no_change_touches_nothing(records):
    change = compare(records, lambda _unused: None)
    assert change == config.Difference(
        remote_domains=frozenset(),
        gone_partners=frozenset(),
        gone_domains=frozenset(),
        federation_off=False,
        listen=False,
        inside=False,
        resolvers=False,
        dialback_secret=False,
        trust=False,
    )


@pytest.mark.parametrize(
    ("raw", "touched"),
    [
        ({"ca_file": "/etc/ssl/partners.pem"}, "trust"),
        ({"check_crls": "always"}, "trust"),
        ({"direct_tls_port": 5270}, "listen"),
    ],
)
def test_what_certificates_need_is_noticed(records, raw, touched):
    change = compare(records, lambda records: records.edge.update(raw))
    assert getattr(change, touched)
    assert not change.remote_domains


def test_another_pin_touches_its_partner(records):
    records.partners[0].update(tls="required", sasl="required", dialback=False)
    change = compare(records, lambda records: records.partners[0].update(pins=["sha256:" + "AB:" * 31 + "AB"]))
    assert THEIRS in change.remote_domains
    assert not change.trust
    partner = config.load(records.directory).partner(THEIRS)
    assert partner.pins == ("ab" * 32,)
    assert partner.ca_file is None


def test_records_of_an_older_release_load(records):
    """Written by 0.1.0, before there were certificates: what is missing has its default."""
    records.write()
    for kind, gone in (
        ("edge", ("direct_tls_port", "ca_file", "check_crls", "archiving_disclaimer")),
        ("partners", ("ca_file", "pins")),
    ):
        path = records.directory / f"{kind}.json"
        document = json.loads(path.read_text(encoding="utf-8"))
        for entry in document[kind] if isinstance(document[kind], list) else [document[kind]]:
            for key in gone:
                entry.pop(key, None)
        path.write_text(json.dumps(document), encoding="utf-8")
    snapshot = config.load(records.directory)
    assert (snapshot.direct_tls_port, snapshot.ca_file, snapshot.check_crls) == (None, None, "if_available")
    assert snapshot.archiving_disclaimer is None
    assert snapshot.config_dir == records.directory
    assert all((partner.ca_file, partner.pins) == (None, ()) for partner in snapshot.partners)


def test_a_new_partner_touches_only_itself(records):
    def add(records):
        records.partners.append({"domain": "new.example", **PLAIN})

    change = compare(records, add)
    assert change.remote_domains == {"new.example"}
    assert not change.gone_partners


def test_a_changed_partner_is_touched_with_all_its_domains(records):
    records.partners[0]["additional_domains"] = ["google.example"]
    records.partners.append({"domain": "other.example", **PLAIN})

    def alter(records):
        records.partners[0]["keepalive"] = False

    assert compare(records, alter).remote_domains == {THEIRS, "google.example"}


def test_a_domain_less_is_gone(records):
    records.partners[0]["additional_domains"] = ["google.example"]

    def remove(records):
        records.partners[0]["additional_domains"] = []

    change = compare(records, remove)
    assert change.gone_partners == {"google.example"}


@pytest.mark.parametrize(
    ("edge", "field"),
    [
        ({"listen_port": 5270}, "listen"),
        ({"inside": {"port": 5348}}, "inside"),
        ({"resolvers": ["192.0.2.1"]}, "resolvers"),
        ({"allow_federated_users": False}, "federation_off"),
    ],
)
def test_parts_of_the_edge_are_told_apart(records, edge, field):
    change = compare(records, lambda records: records.edge.update(edge))
    fields = ("listen", "inside", "resolvers", "federation_off", "dialback_secret")
    assert [name for name in fields if getattr(change, name)] == [field]


def test_what_a_broken_run_left_is_no_certificate_of_ours(tmp_path):
    authority = Authority()
    authority.issue(OURS).write(tmp_path)
    first = config.load(tmp_path).digest
    for name in (".0123456789abcdef.tmp", "external.previous"):
        authority.issue(OURS).write(tmp_path, name)
    good, problems = contexts.load(tmp_path)
    assert [certificate.usage for certificate in good] == ["external"]
    assert problems == []
    assert config.load(tmp_path).digest == first
