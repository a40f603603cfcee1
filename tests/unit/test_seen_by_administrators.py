# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What administrators ran into with certificates, lists and options of all modules: each stays as it was mended."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.xmpp.federation.plugins.module_utils import _certificate_crypto as crypto
from ansible_collections.xmpp.federation.plugins.module_utils import _crl_lists
from ansible_collections.xmpp.federation.plugins.modules import edge_certificate, edge_config, edge_crl
from certificates import PEM, Ca, one
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

Call = Callable[..., dict[str, Any]]
REQUEST = {"key_type": "ec_p256", "state": "requested"}
NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def run(call: Call, config_dir: Path) -> Call:
    """edge_certificate, by somebody who looks first."""

    def of_this_edge(**options: Any) -> dict[str, Any]:
        told = call("edge_certificate", check=True, config_dir=str(config_dir), **options)
        done = call("edge_certificate", config_dir=str(config_dir), **options)
        same = ("failed", "changed", "msg", "problems", "diff", "warnings")
        assert [told.get(key) for key in same] == [done.get(key) for key in same]
        if "failed" not in done:
            assert call("edge_certificate", config_dir=str(config_dir), **options)["changed"] is False
        return done

    return of_this_edge


def _list(ca: Ca) -> bytes:
    builder = x509.CertificateRevocationListBuilder().issuer_name(ca.name)
    builder = builder.last_update(NOW - timedelta(hours=1)).next_update(NOW + timedelta(days=3))
    return builder.sign(ca.key, hashes.SHA256()).public_bytes(PEM)


# Certificates


def test_names_stay_with_their_options(run: Call) -> None:
    first = one(run(xmpp_domains=["a.example"], extra_sans=["sip.z.example", "h.example"], **REQUEST))
    then = one(run(sip_domains=["a.example"], **REQUEST))
    assert set(then["names"]) == {*first["names"], "DNS:sip.a.example"}
    assert set(one(run(sip_domains=[], **REQUEST))["names"]) == set(first["names"])


def test_common_name_that_nobody_asked_for_goes_with_its_domain(run: Call) -> None:
    assert one(run(xmpp_domains=["old.example"], **REQUEST))["subject"]["common_name"] == "old.example"
    # It stays as long as it is one of the names, so that a domain more is no other subject.
    assert one(run(xmpp_domains=["new.example", "old.example"], **REQUEST))["subject"]["common_name"] == "old.example"
    moved = one(run(xmpp_domains=["new.example"], **REQUEST))
    assert moved["subject"]["common_name"] == "new.example"
    assert not [name for name in moved["names"] if "old.example" in name]
    run(common_name="host.example", **REQUEST)
    assert one(run(xmpp_domains=["third.example"], **REQUEST))["subject"]["common_name"] == "host.example"


@pytest.mark.parametrize("issue", ["self_signed", "own_ca"])
def test_use_after_the_end_is_refused(run: Call, issue: str) -> None:
    ca = Ca("Own")
    signer = {"ca_cert": ca.pem, "ca_key": ca.key_pem()} if issue == "own_ca" else {}
    options = {"key_type": "ec_p256", "xmpp_domains": ["a.example"], "issue": issue, **signer}
    for _turn in range(2):
        told = run(**options, effective_date=(NOW + timedelta(days=900)).strftime("%Y-%m-%d"))
        assert [problem["key"] for problem in told["problems"]] == ["effective_date"]
        run(**options)


def test_use_of_what_is_in_hand_after_its_end_is_refused(run: Call, config_dir: Path) -> None:
    ca = Ca("Public")
    run(xmpp_domains=["a.example"], **REQUEST)
    answer = ca.sign(config_dir / "certificates/external/csr.pem")
    given = {"certificate": answer, "ca_cert": ca.pem}
    soon, late = ((NOW + timedelta(days=days)).strftime("%Y-%m-%d") for days in (5, 50))
    assert one(run(**given, effective_date=soon))["stage"] == "imported"
    assert "will have expired by then" in run(**given, effective_date=late)["msg"]


@pytest.mark.parametrize("name", ["certificates", "assigned"])
def test_directories_that_anybody_may_write_to_are_put_right(run: Call, config_dir: Path, name: str) -> None:
    options = {"key_type": "ec_p256", "xmpp_domains": ["a.example"], "issue": "self_signed"}
    run(**options)
    wanted = (config_dir / name).stat().st_mode
    (config_dir / name).chmod(0o777)
    told = run(**options)
    assert told["changed"] is True
    assert list(told["diff"]["after"]) == [f"directory {config_dir / name}"]
    assert (config_dir / name).stat().st_mode == wanted


def test_directories_with_other_digits_are_not_ours(run: Call, config_dir: Path) -> None:
    run(xmpp_domains=["a.example"], **REQUEST)
    (config_dir / "certificates/external.²").mkdir()
    assert run(xmpp_domains=["a.example"], **REQUEST)["changed"] is False


def test_what_is_removed_is_not_the_previous_one(run: Call) -> None:
    options = {"key_type": "ec_p256", "xmpp_domains": ["a.example"], "issue": "self_signed"}
    run(**options)
    run(**options, organization="Other")
    assert one(run(state="absent"))["previous"] is None


def test_size_of_a_curve(run: Call) -> None:
    run(xmpp_domains=["a.example"], **REQUEST)
    assert run(key_size=256, state="requested")["changed"] is False
    assert "ec_p256 has 256 bits" in run(key_size=2048, state="requested")["msg"]
    assert "no size for an RSA key" in run(id="new", key_size=256, xmpp_domains=["a.example"], state="requested")["msg"]


@pytest.mark.parametrize("text", ["a\x00b", "a\nb", "a\x7f"])
def test_subjects_without_control_characters(run: Call, text: str) -> None:
    told = run(organization=text, xmpp_domains=["a.example"], **REQUEST)
    assert [problem["key"] for problem in told["problems"]] == ["organization"]


# Secrets that came by the wrong option


@pytest.mark.parametrize(
    ("module", "options"),
    [
        (edge_config, {"dialback_secre": "hush-hush-hush"}),
        (edge_config, {"inside": {"secrets": "hush-hush-hush"}}),
        (edge_config, {"inside": "hush-hush-hush"}),
        (edge_certificate, {"certificate": "-----BEGIN PRIVATE KEY-----\nhush-hush-hush\n-----END PRIVATE KEY-----\n"}),
        (edge_certificate, {"issue": "own_ca", "ca_cert": "-----BEGIN RSA PRIVATE KEY-----\nhush-hush-hush\n"}),
        (edge_crl, {"url": "http://joe:hush-hush-hush@127.0.0.1:1/x.crl"}),
        (edge_crl, {"crls": [{"url": "http://hush-hush-hush@127.0.0.1:1/x.crl"}]}),
        (edge_crl, {"url": "HTTPS://joe:p@hush-hush-hush/word@127.0.0.1:1/x.crl"}),
        (edge_crl, {"url": "ldap://joe:hush-hush-hush@127.0.0.1:1/x.crl"}),
    ],
)
@pytest.mark.parametrize("check", [True, False])
def test_nothing_of_it_is_shown(
    capfd: pytest.CaptureFixture[str], config_dir: Path, module: Any, options: dict[str, Any], check: bool
) -> None:
    """Not in what -vvv shows either: all that goes to Ansible is looked at, but what it keeps for itself."""
    given = {**options, "config_dir": str(config_dir), "_ansible_check_mode": check, "_ansible_diff": True}
    with patch_module_args(given), pytest.raises(SystemExit):
        module.main()
    told = json.loads(capfd.readouterr().out)
    assert told["failed"] is True
    # From 2.22 on a module tells what is to be masked.
    told.pop("_ansible_new_secrets", None)
    assert "hush-hush" not in json.dumps(told)


# Options of all


@pytest.mark.parametrize(
    ("module", "options"),
    [
        ("xmpp_partner", {"partners": [{"domain": "a.example", "tls": None, "state": None, "partner_type": None}]}),
        ("xmpp_partner", {"domain": "a.example", "sasl": None}),
        ("external_access_policy", {"policies": [{"name": "A", "scope": None}], "purge": None}),
        ("edge_config", {"domains": ["a.example"], "check_crls": None, "inside": {"server": None}}),
    ],
)
def test_null_is_what_was_left_out(lawful: Call, config_dir: Path, module: str, options: dict[str, Any]) -> None:
    assert lawful(module, config_dir=str(config_dir), **options)["changed"] is True


@pytest.mark.parametrize("value", ["", "etc"])
@pytest.mark.parametrize("check", [True, False])
def test_directory_that_is_none(call: Call, value: str, check: bool) -> None:
    told = call("edge_config", check=check, config_dir=value, domains=["a.example"])
    assert [problem["key"] for problem in told["problems"]] == ["config_dir"]


def test_policies_may_have_any_name(lawful: Call, call: Call, config_dir: Path) -> None:
    where = {"config_dir": str(config_dir)}
    call("edge_config", domains=["a.example"], **where)
    lawful("external_access_policy", name="B", grant_to=["alice@a.example"], **where)
    done = lawful("external_access_policy", name="the policy B", description="x", **where)
    assert done["created"] == ["the policy B"]


def test_tags_of_lync_in_either_spelling(lawful: Call, call: Call, config_dir: Path) -> None:
    where = {"config_dir": str(config_dir)}
    call("edge_config", domains=["a.example"], **where)
    lawful("external_access_policy", name="Tag:FedPic", **where)
    assert lawful("external_access_policy", name="tag:FedPic", **where)["changed"] is False
    told = lawful("external_access_policy", name="Site:Berlin", members=["*@a.example"], **where)
    assert told["policies"][0]["scope"] == "site"


# Revocation lists


def test_lists_are_read_by_older_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """cryptography before 42, which Debian 12 has, knows times without a zone only."""
    data = _list(Ca("Older"))

    class Older:
        def __init__(self, found: Any) -> None:
            self.found = found
            self.last_update = found.last_update_utc.replace(tzinfo=None)
            self.next_update = None

        def __getattr__(self, name: str) -> Any:
            if name.endswith("_utc"):
                raise AttributeError(name)
            return getattr(self.found, name)

        def __len__(self) -> int:
            return len(self.found)

    real = x509.load_pem_x509_crl
    monkeypatch.setattr(_crl_lists.x509, "load_pem_x509_crl", lambda data: Older(real(data)))
    found = _crl_lists.parse(data)
    assert (found.this_update, found.next_update) == (NOW - timedelta(hours=1), None)
    assert crypto.utc(real(data), "next_update") == NOW + timedelta(days=3)


def test_directories_among_lists_are_left_alone(lawful: Call, config_dir: Path, tmp_path: Path) -> None:
    where = {"config_dir": str(config_dir)}
    (tmp_path / "one.crl").write_bytes(_list(Ca("One")))
    lawful("edge_crl", crls=[{"src": str(tmp_path / "one.crl")}], **where)
    (config_dir / "crls/mine").mkdir()
    done = lawful("edge_crl", crls=[], purge=True, **where)
    assert done["removed"] == ["one.crl"]
    assert os.listdir(config_dir / "crls") == ["mine"]


def test_list_that_an_earlier_task_is_to_bring(call: Call, config_dir: Path, tmp_path: Path) -> None:
    options = {"config_dir": str(config_dir), "src": str(tmp_path / "later.crl"), "strict": True}
    assert call("edge_crl", check=True, **options)["changed"] is True
    assert call("edge_crl", **options)["failed"] is True


def test_null_for_certificates(run: Call) -> None:
    assert one(run(xmpp_domains=["a.example"], issue=None, usage=None, digest=None, **REQUEST))["stage"] == "requested"


def test_ca_that_an_earlier_task_is_to_bring(call: Call, config_dir: Path, tmp_path: Path) -> None:
    signer = {"issue": "own_ca", "ca_cert": str(tmp_path / "ca.pem"), "ca_key": str(tmp_path / "ca.key")}
    options = {"key_type": "ec_p256", "xmpp_domains": ["a.example"], **signer, "config_dir": str(config_dir)}
    assert call("edge_certificate", check=True, **options)["changed"] is True
    assert "there is no such file" in call("edge_certificate", **options)["msg"]


def test_certificate_in_use_that_is_damaged_is_told(call: Call, config_dir: Path) -> None:
    options = {"key_type": "ec_p256", "xmpp_domains": ["a.example"], "config_dir": str(config_dir)}
    call("edge_certificate", issue="self_signed", **options)
    path = config_dir / "certificates/external.1/cert.pem"
    path.write_bytes(b"half" + path.read_bytes()[4:])
    for check in (True, False):
        told = call("edge_certificate", check=check, **options)
        assert f"{path} is in use, and cannot be read" in told["warnings"][0]


def test_all_certificates_are_looked_at(call: Call, config_dir: Path) -> None:
    """What is wrong with a file of one entry is told beside what is wrong with the options of another."""
    ca = Ca("Public")
    where = {"config_dir": str(config_dir)}
    call("edge_certificate", id="b", xmpp_domains=["b.example"], **REQUEST, **where)
    old = ca.sign(config_dir / "certificates/b/csr.pem", end=NOW - timedelta(minutes=1))
    entries = [
        {"id": "a", "country": "Germany", "xmpp_domains": ["a.example"], "state": "requested"},
        {"id": "b", "certificate": old, "ca_cert": ca.pem},
        {"id": "c", "state": "requested"},
    ]
    told = call("edge_certificate", certificates=entries, **where)
    found = [(problem["where"], problem["key"]) for problem in told["problems"]]
    assert found == [
        ("certificates[0] (a)", "country"),
        ("certificates[1] (b)", "certificate"),
        ("certificates[2] (c)", "common_name"),
    ]


def test_directory_that_others_may_write_to(lawful: Call, config_dir: Path) -> None:
    options = {"config_dir": str(config_dir), "domains": ["a.example"]}
    lawful("edge_config", **options)
    config_dir.chmod(0o2777)
    told = lawful("edge_config", **options)
    assert told["diff"] == {
        "before": {f"directory {config_dir}": {"mode": "2777"}},
        "after": {f"directory {config_dir}": {"mode": "2775"}},
    }


@pytest.mark.parametrize(("text", "kept"), [("  \n ", None), ("a\r\nb ", "a\nb")])
def test_disclaimer_as_files_have_it(lawful: Call, config_dir: Path, text: str, kept: str | None) -> None:
    lawful("edge_config", config_dir=str(config_dir), archiving_disclaimer="x")
    assert (
        lawful("edge_config", config_dir=str(config_dir), archiving_disclaimer=text)["edge"]["archiving_disclaimer"]
        == kept
    )


def test_what_is_wrong_with_a_secret_is_told_of_its_file(call: Call, config_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("two\nlines")
    told = call("edge_config", config_dir=str(config_dir), dialback_secret_file=str(tmp_path / "secret"))
    assert [problem["key"] for problem in told["problems"]] == ["dialback_secret_file"]
    told = call("edge_config", config_dir=str(config_dir), inside={"secret_file": "secret"})
    assert [problem["key"] for problem in told["problems"]] == ["inside.secret_file"]
    assert "absolute path" in told["msg"]


def test_certificates_are_told_as_lync_does(call: Call, config_dir: Path) -> None:
    """Get-CsCertificate shows the subject, who has issued it, and until when it is good."""
    options = {"key_type": "ec_p256", "xmpp_domains": ["a.example"], "organization": "One", "issue": "self_signed"}
    held = one(call("edge_certificate", config_dir=str(config_dir), **options))
    (told,) = call("edge_info", config_dir=str(config_dir), run_dir=str(config_dir))["desired"]["certificates"]
    same = ("fingerprint", "subject", "issuer", "not_before", "not_after", "days_left")
    assert [told[key] for key in same] == [held[key] for key in same]
    assert told["subject"] == {"organization": "One", "common_name": "a.example"}


def test_names_of_a_pfx_are_those_of_its_certificate(run: Call, tmp_path: Path) -> None:
    """Whatever an earlier request of the same id asks for."""
    run(xmpp_domains=["a.example"], extra_sans=["old.example"], **REQUEST)
    key = ec.generate_private_key(ec.SECP256R1())
    ca = Ca("Public")
    names = ["a.example", "new.example", "sip.b.example"]
    csr = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "new.example")])
    )
    csr = csr.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False)
    answer = ca.sign(csr.sign(key, hashes.SHA256()).public_bytes(PEM).decode())
    pfx = pkcs12.serialize_key_and_certificates(
        b"x", key, x509.load_pem_x509_certificate(answer.encode()), [ca.certificate], serialization.NoEncryption()
    )
    (tmp_path / "p.pfx").write_bytes(pfx)
    told = one(run(state="imported", certificate=str(tmp_path / "p.pfx"), ca_cert=ca.pem))
    assert told["subject"] == {"common_name": "new.example"}
    assert {f"DNS:{name}" for name in names} <= set(told["names"])
    assert "DNS:old.example" not in told["names"]


def test_key_of_the_ca_may_be_gone_in_check_mode(call: Call, config_dir: Path, tmp_path: Path) -> None:
    """A play brings it, has the certificate issued, and takes it away: that is no drift."""
    ca = Ca("Own")
    (tmp_path / "ca.pem").write_text(ca.pem)
    (tmp_path / "ca.key").write_text(ca.key_pem())
    signer = {"issue": "own_ca", "ca_cert": str(tmp_path / "ca.pem"), "ca_key": str(tmp_path / "ca.key")}
    options = {"key_type": "ec_p256", "xmpp_domains": ["a.example"], **signer, "config_dir": str(config_dir)}
    assert call("edge_certificate", **options)["changed"] is True
    for gone in ("ca.key", "ca.pem"):
        (tmp_path / gone).unlink()
        assert call("edge_certificate", check=True, **options)["changed"] is False
    assert call("edge_certificate", check=True, **{**options, "organization": "x"})["changed"] is True


def test_damage_that_is_put_right_is_no_news(call: Call, config_dir: Path) -> None:
    options = {"key_type": "ec_p256", "xmpp_domains": ["a.example"], "issue": "self_signed"}
    call("edge_certificate", config_dir=str(config_dir), **options)
    (config_dir / "assigned/external/cert.pem").write_text("half")
    for check in (True, False):
        told = call("edge_certificate", check=check, config_dir=str(config_dir), **options)
        assert (told["changed"], told["warnings"]) == (True, [])


@pytest.mark.parametrize("state", ["present", "absent"])
@pytest.mark.parametrize("check", [True, False])
def test_name_of_a_list_that_is_a_directory(
    call: Call, config_dir: Path, tmp_path: Path, state: str, check: bool
) -> None:
    (tmp_path / "one.crl").write_bytes(_list(Ca("One")))
    (config_dir / "crls/one.crl").mkdir(parents=True)
    source = {"src": str(tmp_path / "one.crl")} if state == "present" else {"name": "one.crl"}
    told = call("edge_crl", check=check, config_dir=str(config_dir), state=state, **source)
    assert "is a directory" in told["msg"]


def test_certificate_with_a_key_of_an_unknown_kind(
    call: Call, config_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"key_type": "ec_p256", "xmpp_domains": ["a.example"], "issue": "self_signed"}
    call("edge_certificate", config_dir=str(config_dir), **options)

    def unknown(_key: Any) -> str:
        raise crypto.UnsupportedAlgorithm("a curve of nobody's")

    monkeypatch.setattr(crypto, "public_digest", unknown)
    (told,) = call("edge_info", config_dir=str(config_dir), run_dir=str(config_dir))["desired"]["certificates"]
    assert told["subject"] == {"common_name": "a.example"}
