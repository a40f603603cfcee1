# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.xmpp.federation.plugins.module_utils._records import desired, files
from ansible_collections.xmpp.federation.plugins.module_utils._records.errors import RecordError

FULL: dict[str, Any] = {
    "edge": {"domains": ["inside.example"], "allow_federated_users": True},
    "partners": [
        {"domain": "partner.example", "additional_domains": ["bücher.example"]},
        {"domain": "gmail.example", "tls": "not_supported", "sasl": "not_supported"},
    ],
    "policies": {
        "policies": [{"name": "FedPic", "federation_access": True, "xmpp_access": True}, {"scope": "global"}],
        "grants": {"ALICE@inside.example": "FedPic"},
        "grant_to_all": "FedPic",
    },
    "secrets": {"dialback_secret": "s" * 32},
}


def _document(kind: str, value: Any, schema: Any = 1) -> str:
    body = value if kind == "policies" else {kind: value}
    return json.dumps({"schema": schema, **body})


def _write(directory: Path, **values: Any) -> None:
    for kind, value in values.items():
        (directory / files.file_name(kind)).write_text(_document(kind, value), encoding="utf-8")


@pytest.mark.parametrize("kind", files.KINDS)
def test_what_is_written_is_read(kind: str) -> None:
    for value in (files.empty(kind), files.decode(kind, _document(kind, FULL[kind]))):
        text = files.encode(kind, value)
        assert files.decode(kind, text) == value
        assert files.encode(kind, files.decode(kind, text)) == text
        assert text.endswith("}\n")
        assert json.loads(text)["schema"] == 1


def test_canonical_order() -> None:
    partners = files.decode("partners", _document("partners", FULL["partners"]))
    assert [record["domain"] for record in partners] == ["gmail.example", "partner.example"]
    policies = files.decode("policies", _document("policies", FULL["policies"]))
    assert [record["name"] for record in policies["policies"]] == ["global", "FedPic"]
    assert policies["grants"] == {"alice@inside.example": "FedPic"}


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        ("edge", "", "not a complete JSON file"),
        ("edge", '{"schema": 1, "edge": {"dom', "not a complete JSON file"),
        ("edge", "[" * 100000, "not a complete JSON file"),
        ("edge", "[]", "not a JSON object"),
        ("edge", "{}", "schema"),
        ("edge", _document("edge", {}, schema="1"), "schema"),
        ("edge", _document("edge", {}, schema=True), "schema"),
        ("edge", _document("edge", {}, schema=2), "newer release"),
        ("edge", '{"schema": 1, "edge": {"listen_port": 1, "listen_port": 2}}', "stands twice"),
        ("edge", '{"schema": 1, "edges": {}}', "edges: there is no such key"),
        ("edge", _document("edge", []), "not a dict"),
        ("edge", _document("edge", {"listen_prot": 1}), "did you mean listen_port"),
        ("edge", _document("edge", {"listen_port": "5269"}), "not a whole number"),
        ("partners", _document("partners", {}), "not a list"),
        ("partners", _document("partners", [{"domain": "a.b"}, {"domain": "x y"}]), "partners[1] (x y): domain"),
        ("partners", _document("partners", [{"domain": "a.b"}, {"domain": "A.B"}]), "belongs to"),
        (
            "partners",
            _document("partners", [{"domain": "a.b", "dialback": False, "tls": "optional", "sasl": "not_supported"}]),
            "no way",
        ),
        ("policies", _document("policies", {"policies": [{"name": "A"}, {"name": "a"}]}), "taken by"),
        ("policies", _document("policies", {"grants": {"a@b.example": "A"}}), "no policy 'A'"),
        ("policies", _document("policies", {"grants": {"b.example": "A"}}), "not an address"),
        ("policies", _document("policies", {"grants": {"a@b.example": 1}}), "not a policy name"),
        ("policies", _document("policies", {"grant_to_all": "A"}), "no policy 'A'"),
        ("policies", _document("policies", {"grant_to_all": 1}), "not a policy name"),
        (
            "policies",
            _document("policies", {"policies": [{"scope": "global"}], "grant_to_all": "global"}),
            "scope user",
        ),
        (
            "policies",
            _document("policies", {"policies": [{"name": "A"}, {"name": "B"}], "grants": {"a@b.c": "A", "A@b.c": "B"}}),
            "two policies",
        ),
        ("secrets", _document("secrets", {"dialback_secret": ["hush"]}), "not a text"),
    ],
)
def test_damaged_files_are_refused(kind: str, text: str, words: str) -> None:
    with pytest.raises(RecordError) as caught:
        files.decode(kind, text, "/etc/xmpp-edge/x.json")
    assert words in str(caught.value)
    for problem in caught.value.problems:
        assert problem.where.startswith("/etc/xmpp-edge/x.json")
        assert problem.remedy
    assert "hush" not in str(caught.value)


def test_a_key_that_an_older_release_did_not_know_gets_its_default() -> None:
    assert files.decode("edge", '{"schema": 1}') == files.empty("edge")
    assert files.decode("policies", '{"schema": 1, "policies": []}') == files.empty("policies")


def test_load_nothing(tmp_path: Path) -> None:
    state = desired.load(str(tmp_path / "missing"))
    assert state.partners == []
    assert state.policies == []
    assert state.edge["allow_federated_users"] is False
    assert state.grant_to_all is None


def test_load_everything(tmp_path: Path) -> None:
    _write(tmp_path, **FULL)
    state = desired.load(str(tmp_path))
    assert [record["domain"] for record in state.partners] == ["gmail.example", "partner.example"]
    assert state.grants == {"alice@inside.example": "FedPic"}
    assert state.secrets == {"dialback_secret": "s" * 32, "inside_secret": ""}


def test_load_tells_of_every_file(tmp_path: Path) -> None:
    _write(tmp_path, edge={"listen_port": 0}, partners=[{"domain": ""}])
    (tmp_path / "secrets.json").write_bytes(b"\xff")
    (tmp_path / "policies.json").mkdir()
    with pytest.raises(RecordError) as caught:
        desired.load(str(tmp_path))
    assert "policies.json" in str(caught.value) or "secrets.json" in str(caught.value)
    (tmp_path / "policies.json").rmdir()
    (tmp_path / "secrets.json").unlink()
    with pytest.raises(RecordError) as caught:
        desired.load(str(tmp_path))
    assert {problem.where.split(":")[0] for problem in caught.value.problems} == {
        str(tmp_path / "edge.json"),
        str(tmp_path / "partners.json"),
    }


def test_a_domain_of_ours_is_no_partner(tmp_path: Path) -> None:
    _write(tmp_path, edge={"domains": ["partner.example"]}, partners=[{"domain": "Partner.example."}])
    with pytest.raises(RecordError, match=r"partner\.example is one of our own domains"):
        desired.load(str(tmp_path))


def test_a_grant_to_a_domain_given_up_does_no_harm(tmp_path: Path) -> None:
    _write(tmp_path, policies={"policies": [{"name": "A"}], "grants": {"a@gone.example": "A"}})
    assert desired.load(str(tmp_path)).grants == {"a@gone.example": "A"}


def test_the_hash_is_of_the_meaning(tmp_path: Path) -> None:
    directory = str(tmp_path)
    empty = desired.digest(directory)
    _write(tmp_path, **FULL)
    full = desired.digest(directory)
    assert full != empty
    for kind in files.KINDS:
        path = tmp_path / files.file_name(kind)
        path.write_text(files.encode(kind, files.decode(kind, path.read_text(encoding="utf-8"))), encoding="utf-8")
    assert desired.digest(directory) == full
    assert desired.digest(f"{directory}/") == full
    _write(tmp_path, secrets={"dialback_secret": "t" * 32})
    assert desired.digest(directory) != full


def _certificate(directory: Path, number: int, usage: str = "external") -> None:
    home = directory / "certificates" / f"external.{number}"
    home.mkdir(parents=True)
    for name in ("key.pem", "cert.pem", "chain.pem"):
        (home / name).write_text(f"{name} {number}", encoding="ascii")
    link = directory / "assigned" / usage
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(f"../certificates/external.{number}")


def test_the_hash_knows_what_counts_beside_the_records(tmp_path: Path) -> None:
    """A service that missed a change of one of these is told apart, whoever made it."""
    edge, partner_ca = tmp_path / "edge-ca.pem", tmp_path / "partner-ca.pem"
    partners = [{"domain": "partner.example", "ca_file": str(partner_ca)}]
    _write(tmp_path, edge={"ca_file": str(edge)}, partners=partners)
    seen = [desired.digest(str(tmp_path))]

    def changed() -> bool:
        seen.append(desired.digest(str(tmp_path)))
        return seen[-1] not in seen[:-1]

    assert not changed()
    for path in (edge, partner_ca):
        path.write_text("first", encoding="ascii")
        assert changed()
        path.write_text("other", encoding="ascii")
        assert changed()
    _certificate(tmp_path, 1)
    assert changed()
    _certificate(tmp_path, 2)
    assert changed()
    (tmp_path / "assigned/external/chain.pem").write_text("another chain", encoding="ascii")
    assert changed()
    (tmp_path / "crls").mkdir()
    assert not changed()
    (tmp_path / "crls/ca.crl").write_bytes(b"list")
    assert changed()
    (tmp_path / "crls/ca.crl").write_bytes(b"newer")
    assert changed()
    edge.unlink()
    assert changed()


def test_the_hash_leaves_out_what_does_not_count(tmp_path: Path) -> None:
    _certificate(tmp_path, 1)
    (tmp_path / "crls").mkdir()
    first = desired.digest(str(tmp_path))
    _certificate(tmp_path, 2, "external.previous")
    (tmp_path / "crls/.half-written").write_bytes(b"li")
    (tmp_path / "assigned/.0123.tmp").symlink_to("../certificates/external.2")
    (tmp_path / "assigned/external/key.pem").chmod(0)
    assert desired.digest(str(tmp_path)) == first


def test_no_pipe_holds_the_hash_up(tmp_path: Path) -> None:
    (tmp_path / "crls").mkdir()
    os.mkfifo(tmp_path / "ca.pem")
    _write(tmp_path, edge={"ca_file": str(tmp_path / "ca.pem")})
    assert desired.load(str(tmp_path)).material == {str(tmp_path / "ca.pem"): "unfit"}
