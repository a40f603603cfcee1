# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""edge_certificate with real keys, real files and a CA that signs."""

from __future__ import annotations

import json
import os
import random
import stat
import subprocess
import sys
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import certificates
import pytest
import yaml
from ansible_collections.xmpp.federation.plugins.module_utils import _certificate_about as about
from ansible_collections.xmpp.federation.plugins.module_utils import _certificate_crypto as crypto
from ansible_collections.xmpp.federation.plugins.module_utils import _certificate_files as files
from ansible_collections.xmpp.federation.plugins.module_utils import _certificate_options as options
from ansible_collections.xmpp.federation.plugins.modules import edge_certificate
from certificates import DOMAINS, NOW, QUICK, Ca, Run, in_use, one, snapshot, without_later
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

CLIENT_AUTH = ExtendedKeyUsageOID.CLIENT_AUTH
run, ca = certificates.run, certificates.ca
OFTEN_NULL = ("next_step", "previous", "effective_date")


# Requests


def test_check_on_a_blank_host_foresees_the_run(run: Run, config_dir: Path) -> None:
    options = {"state": "requested", "key_size": 3072, "organization": "Example", **QUICK, "key_type": "rsa"}
    foreseen = run(check=True, **options)
    assert not config_dir.exists()
    done = run(**options)
    assert foreseen["changed"] is True
    assert foreseen == without_later(done)
    shown = foreseen["diff"]["after"]["certificate external"]
    assert shown["key"] == {"type": "rsa", "size": 3072, "exportable": True}
    assert shown["subject"] == {"organization": "Example", "common_name": "a.example"}
    assert "SRVName:_xmpp-server.a.example" in shown["names"]
    again = run(**options)
    assert again["changed"] is False
    assert again["diff"] == {"before": {}, "after": {}}
    assert run(check=True, **options) == again
    assert one(again)["csr"] == one(done)["csr"]


@pytest.mark.parametrize("issue", ["none", "self_signed", "own_ca"])
def test_check_on_a_blank_host_needs_no_library(
    run: Run, config_dir: Path, monkeypatch: pytest.MonkeyPatch, ca: Ca, issue: str
) -> None:
    options = {**QUICK, "organization": "Example", "issue": issue}
    if issue == "own_ca":
        options.update(ca_cert=ca.pem, ca_key=ca.key_pem())
    with_library = run(check=True, **options)
    with monkeypatch.context() as patched:
        for name in list(vars(crypto)):
            if name not in ("AVAILABLE", "Authority") and not name.startswith("__"):
                patched.delattr(crypto, name)
        patched.setattr(crypto, "AVAILABLE", False)
        patched.setattr(edge_certificate, "find", lambda *_unused: "no cryptography")
        without = run(check=True, **options)
        assert run(**options)["msg"] == "no cryptography"
        assert "two letters" in run(check=True, country="Germany", **options)["msg"]
    assert not config_dir.exists()
    if issue == "own_ca":
        with_library["diff"]["after"]["certificate external"]["certificate"]["issuer"] = "the CA"
    assert without == with_library


def test_request_says_what_the_options_say(run: Run, config_dir: Path) -> None:
    entry = one(
        run(
            state="requested",
            common_name="edge.a.example",
            organization="Example Ltd",
            organizational_unit="Messaging",
            country="de",
            state_or_province="Bayern",
            city="München",
            sip_domains=["a.example"],
            xmpp_domains=DOMAINS,
            extra_sans=["*.chat.a.example", "192.0.2.1", "2001:DB8::1"],
            digest="sha384",
        )
    )
    path = Path(entry["csr_path"])
    assert path == config_dir / "certificates" / "external" / "csr.pem"
    assert path.read_text() == entry["csr"]
    request = x509.load_pem_x509_csr(path.read_bytes())
    assert request.is_signature_valid
    assert request.signature_hash_algorithm is not None
    assert request.signature_hash_algorithm.name == "sha384"
    text = "CN=edge.a.example,OU=Messaging,O=Example Ltd,L=München,ST=Bayern,C=DE"
    assert request.subject.rfc4514_string() == text
    san = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert sorted(san.get_values_for_type(x509.DNSName)) == [
        "*.chat.a.example",
        "a.example",
        "edge.a.example",
        "sip.a.example",
        "xn--bcher-kva.example",
    ]
    assert {str(value) for value in san.get_values_for_type(x509.IPAddress)} == {"192.0.2.1", "2001:db8::1"}
    others = {(name.type_id.dotted_string, name.value) for name in san if isinstance(name, x509.OtherName)}
    srv_name, xmpp_addr = "1.3.6.1.5.5.7.8.7", "1.3.6.1.5.5.7.8.5"
    assert others == {
        (srv_name, b"\x16\x16_xmpp-server.a.example"),
        (srv_name, b"\x16\x22_xmpp-server.xn--bcher-kva.example"),
        (xmpp_addr, b"\x0c\x09a.example"),
        (xmpp_addr, b"\x0c\x0f" + "bücher.example".encode()),
    }
    usages = request.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usages) == [ExtendedKeyUsageOID.SERVER_AUTH]
    key = crypto.load_key(Path(entry["key_path"]).read_bytes())
    assert isinstance(key, rsa.RSAPrivateKey)
    assert key.key_size == 2048
    assert key.public_key() == request.public_key()


@pytest.mark.parametrize("name", ["ec_p256", "ec_p384", "ec_p521"])
def test_curves(run: Run, name: str) -> None:
    entry = one(run(state="requested", key_type=name, xmpp_domains=DOMAINS))
    key = crypto.load_key(Path(entry["key_path"]).read_bytes())
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert (entry["key_type"], entry["key_size"]) == (name, key.curve.key_size)


CHANGES = [
    ("friendly_name", "Another"),
    ("key_type", "ec_p384"),
    ("exportable", False),
    ("common_name", "other.example"),
    ("organization", "Other"),
    ("organizational_unit", "Other"),
    ("country", "FR"),
    ("state_or_province", "Other"),
    ("city", "Other"),
    ("sip_domains", ["b.example"]),
    ("xmpp_domains", ["a.example"]),
    ("extra_sans", ["more.example"]),
    ("digest", "sha512"),
    ("dns_names_only", True),
    ("key_usage", ["digitalSignature", "nonRepudiation"]),
    ("extended_key_usage", ["serverAuth"]),
    ("extended_key_usage", ["serverAuth", "1.3.6.1.5.5.7.3.17"]),
]


@pytest.mark.parametrize("issue", ["none", "self_signed"])
@pytest.mark.parametrize(("option", "value"), CHANGES)
def test_every_option_counts(run: Run, config_dir: Path, option: str, value: Any, issue: str) -> None:
    base = {**QUICK, "sip_domains": ["a.example"], "organization": "Example", "issue": issue}
    first = one(run(**base))
    changed = {**base, option: value}
    foreseen = run(check=True, **changed)
    done = run(**changed)
    assert (foreseen["changed"], done["changed"]) == (True, True)
    assert foreseen["diff"] == done["diff"]
    before, after = done["diff"]["before"]["certificate external"], done["diff"]["after"]["certificate external"]
    assert before != after
    assert run(**changed)["changed"] is False
    # What is left out stays.
    kept = {name: base[name] for name in ("issue",)}
    assert run(**kept)["changed"] is False
    if issue == "self_signed":
        in_use(config_dir)
        assert (one(done)["fingerprint"] == first["fingerprint"]) is (option == "friendly_name")


def test_key_size_makes_a_new_key(run: Run) -> None:
    first = one(run(state="requested", xmpp_domains=DOMAINS))
    second = one(run(state="requested", key_size=3072))
    assert second["key_size"] == 3072
    assert Path(first["key_path"]).exists()
    assert second["names"] == first["names"]


def test_new_request_keeps_the_key(run: Run) -> None:
    first = one(run(state="requested", **QUICK))
    key = Path(first["key_path"]).read_bytes()
    second = one(run(state="requested", extra_sans=["more.example"]))
    assert second["key_path"] == first["key_path"]
    assert Path(second["key_path"]).read_bytes() == key
    assert second["csr"] != first["csr"]


def test_subject_can_be_emptied(run: Run) -> None:
    run(state="requested", organization="Example", country="DE", **QUICK)
    assert one(run(state="requested", organization="", country=""))["subject"] == {"common_name": "a.example"}


# Import and assignment


def test_public_ca_from_request_to_renewal(run: Run, config_dir: Path, tmp_path: Path, ca: Ca) -> None:
    answer = tmp_path / "answer.pem"
    options = {**QUICK, "certificate": str(answer)}
    waiting = one(run(**options))
    assert (waiting["stage"], waiting["pending"]) == ("requested", True)
    assert str(answer) in waiting["next_step"]
    assert run(**options)["changed"] is False
    assert not (config_dir / "assigned" / "external").exists()

    answer.write_text(ca.sign(Path(waiting["csr_path"])))
    foreseen = run(check=True, **options)
    done = run(**options)
    entry = one(done)
    assert (entry["stage"], entry["pending"], entry["next_step"]) == ("assigned", False, None)
    assert foreseen == done
    assert os.readlink(config_dir / "assigned" / "external") == "../certificates/external.1"
    assert entry["issuer"] == "CN=Test CA"
    in_use(config_dir)
    assert run(**options)["changed"] is False

    # A domain more: the request goes out again, and what is in use stays.
    more = {**options, "xmpp_domains": [*DOMAINS, "new.example"]}
    between = one(run(**more))
    assert (between["stage"], between["pending"]) == ("assigned", True)
    assert os.readlink(config_dir / "assigned" / "external") == "../certificates/external.1"
    assert run(**more)["changed"] is False
    answer.write_text(ca.sign(Path(between["csr_path"])))
    last = one(run(**more))
    assert (last["stage"], last["pending"], last["previous"]) == ("assigned", False, "external.1")
    assert os.readlink(config_dir / "assigned" / "external") == "../certificates/external.2"
    assert os.readlink(config_dir / "assigned" / "external.previous") == "../certificates/external.1"
    in_use(config_dir)
    assert run(**more)["changed"] is False


def test_import_waits_for_assignment(run: Run, config_dir: Path, ca: Ca) -> None:
    csr = one(run(state="requested", **QUICK))["csr"]
    imported = one(run(state="imported", certificate=ca.sign(csr)))
    assert (imported["stage"], imported["pending"]) == ("imported", False)
    assert not (config_dir / "assigned" / "external").exists()
    assert run(state="imported")["changed"] is False
    assert one(run(state="assigned"))["stage"] == "assigned"
    in_use(config_dir)


def test_certificate_for_an_older_key_is_welcome(run: Run, config_dir: Path, ca: Ca) -> None:
    csr = one(run(state="requested", **QUICK))["csr"]
    run(state="requested", key_type="ec_p384")
    entry = one(run(certificate=ca.sign(csr)))
    assert (entry["stage"], entry["pending"]) == ("assigned", True)
    assert entry["certificate_path"] == str(config_dir / "certificates" / "external.1" / "cert.pem")
    in_use(config_dir)


def test_another_certificate_for_the_same_key(run: Run, config_dir: Path, ca: Ca) -> None:
    csr = one(run(state="requested", **QUICK))["csr"]
    first, second = ca.sign(csr), ca.sign(csr)
    run(certificate=first)
    before = snapshot(config_dir / "certificates" / "external.1")
    entry = one(run(certificate=second))
    assert entry["previous"] == "external.1"
    assert snapshot(config_dir / "certificates" / "external.1") == before
    assert Path(entry["certificate_path"]).read_text() == second
    assert run(certificate=second)["changed"] is False


def test_chain_is_put_in_order(run: Run) -> None:
    root = Ca("Root")
    middle = Ca("Middle", root)
    low = Ca("Low", middle)
    csr = one(run(state="requested", **QUICK))["csr"]
    certificate = low.sign(csr)
    entry = one(run(certificate=middle.pem + certificate, chain=root.pem + low.pem))
    assert Path(entry["certificate_path"]).read_text() == certificate
    assert Path(entry["chain_path"]).read_text() == low.pem + middle.pem


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"names": ["a.example"]}, ["does not cover the XMPP domain xn--bcher-kva.example"]),
        ({"start": NOW - timedelta(days=9), "end": NOW - timedelta(days=1)}, ["has expired"]),
        ({"start": NOW + timedelta(days=1)}, ["not valid before"]),
        ({"usages": [CLIENT_AUTH]}, ["not for servers"]),
        (
            {"names": ["x.example"], "usages": [CLIENT_AUTH], "start": NOW + timedelta(days=1)},
            ["not valid before", "not for servers", "domain a.example", "domain xn--bcher-kva.example"],
        ),
    ],
)
def test_certificate_that_will_not_do(
    run: Run, config_dir: Path, ca: Ca, how: dict[str, Any], words: list[str], check: bool
) -> None:
    csr = one(run(state="requested", **QUICK))["csr"]
    before = snapshot(config_dir)
    result = run(check=check, certificates=[{"certificate": ca.sign(csr, **how)}])
    assert result["failed"] is True
    assert len(result["problems"]) == len(words)
    for problem, part in zip(result["problems"], words, strict=True):
        assert (problem["where"], problem["key"]) == ("certificates[0]", "certificate")
        assert part in problem["message"]
        assert problem["remedy"]
    assert snapshot(config_dir) == before


@pytest.mark.parametrize("names", [["*.example"], ["a.example", "xn--bcher-kva.example"]])
def test_dns_names_are_enough(run: Run, ca: Ca, names: list[str]) -> None:
    csr = one(run(state="requested", **QUICK))["csr"]
    assert one(run(certificate=ca.sign(csr, names=names)))["stage"] == "assigned"


def test_certificate_without_usages(run: Run, ca: Ca) -> None:
    csr = one(run(state="requested", **QUICK))["csr"]
    assert one(run(certificate=ca.sign(csr, usages=None)))["stage"] == "assigned"


def test_certificate_of_another_key(run: Run, call: Any, tmp_path: Path, config_dir: Path, ca: Ca) -> None:
    other = one(call("edge_certificate", config_dir=str(tmp_path / "other"), state="requested", **QUICK))
    certificate = ca.sign(other["csr"])
    without_key = run(certificate=certificate, **QUICK)
    assert "has no key yet" in without_key["msg"]
    assert not config_dir.exists()
    run(state="requested", **QUICK)
    before = snapshot(config_dir)
    assert "has no key that it belongs to" in run(certificate=certificate)["msg"]
    assert snapshot(config_dir) == before


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "certificate:"),
        ("certificate", "-----BEGIN RSA PRIVATE KEY-----", "holds a private key"),
        ("chain", "/nonexistent/chain.pem", "there is no such file"),
    ],
)
def test_files_that_are_no_certificates(run: Run, ca: Ca, option: str, value: str, words: str) -> None:
    csr = one(run(state="requested", **QUICK))["csr"]
    assert words in run(**{"certificate": ca.sign(csr), option: value})["msg"]


def test_chain_with_a_stranger(run: Run, ca: Ca) -> None:
    csr = one(run(state="requested", **QUICK))["csr"]
    result = run(certificate=ca.sign(csr), chain=Ca("Stranger").pem)
    assert "CN=Stranger" in result["msg"]


# Issuing


def test_self_signed(run: Run, config_dir: Path) -> None:
    options = {**QUICK, "issue": "self_signed"}
    foreseen = run(check=True, **options)
    done = run(**options)
    assert foreseen == without_later(done)
    certificate, _key = in_use(config_dir)
    assert certificate.issuer == certificate.subject
    certificate.verify_directly_issued_by(certificate)
    assert run(**options)["changed"] is False


def test_own_ca(run: Run, config_dir: Path, tmp_path: Path, ca: Ca) -> None:
    (tmp_path / "ca.pem").write_text(ca.pem)
    (tmp_path / "ca.key").write_text(ca.key_pem("secret words"))
    options = {
        **QUICK,
        "issue": "own_ca",
        "ca_cert": str(tmp_path / "ca.pem"),
        "ca_key": str(tmp_path / "ca.key"),
        "ca_key_passphrase": "secret words",
    }
    result = run(**options)
    entry = one(result)
    certificate, _key = in_use(config_dir)
    certificate.verify_directly_issued_by(ca.certificate)
    assert Path(entry["chain_path"]).read_text() == ""
    usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(usages) == {ExtendedKeyUsageOID.SERVER_AUTH, CLIENT_AUTH}
    assert certificate.not_valid_after_utc == ca.certificate.not_valid_after_utc
    assert "secret words" not in json.dumps(result)
    assert run(**options)["changed"] is False
    other = Ca("Other CA", Ca("Root"))
    moved = {**QUICK, "issue": "own_ca", "ca_cert": other.pem, "ca_key": other.key_pem()}
    entry = one(run(**moved))
    assert (entry["issuer"], entry["previous"]) == ("CN=Other CA", "external.1")
    assert Path(entry["chain_path"]).read_text() == other.pem
    in_use(config_dir)[0].verify_directly_issued_by(other.certificate)
    assert run(**moved)["changed"] is False


def test_expired_certificate_is_issued_again(run: Run, config_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {**QUICK, "issue": "self_signed"}
    with monkeypatch.context() as patched:
        patched.setattr(files, "ISSUED_DAYS", 0)
        run(**options)
    old, _key = in_use(config_dir)
    assert run(**options)["changed"] is True
    new, _key = in_use(config_dir)
    assert new.not_valid_after_utc > old.not_valid_after_utc
    assert new.public_key() != old.public_key()
    assert run(**options)["changed"] is False


def test_ca_that_will_not_do(run: Run, config_dir: Path, ca: Ca) -> None:
    def issue(**options: str) -> str:
        given = {**QUICK, "issue": "own_ca", "ca_cert": ca.pem, "ca_key": ca.key_pem(), **options}
        result = run(**given)
        assert result["failed"] is True
        assert "PRIVATE KEY" not in json.dumps(result)
        return str(result["msg"])

    assert "not the one of the CA's certificate" in issue(ca_key=Ca("Other").key_pem())
    host = Ca("No CA", ca, is_ca=False)
    assert "not one of a CA" in issue(ca_cert=host.pem, ca_key=host.key_pem())
    assert "it is encrypted" in issue(ca_key=ca.key_pem("x"))
    assert "the passphrase is wrong" in issue(ca_key=ca.key_pem("the right one"), ca_key_passphrase="the wrong one")
    assert "ca_cert: there is no such file" in issue(ca_cert="/nonexistent")
    assert not config_dir.exists()


# Files


def test_modes_and_their_repair(run: Run, config_dir: Path) -> None:
    entry = one(run(issue="self_signed", **QUICK))
    key = Path(entry["key_path"])
    for path in key.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o750
    key.chmod(0o644)
    foreseen, done = run(check=True, issue="self_signed"), run(issue="self_signed")
    assert foreseen == done
    assert done["diff"]["before"][f"file {key}"]["mode"] == "0644"
    assert stat.S_IMODE(key.stat().st_mode) == 0o640
    assert run(issue="self_signed")["changed"] is False


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_files_take_the_group_of_the_directory(run: Run, config_dir: Path) -> None:
    config_dir.mkdir(parents=True)
    os.chown(config_dir, 0, 4)
    config_dir.chmod(0o2750)
    run(issue="self_signed", **QUICK)
    for path in (config_dir / "certificates").rglob("*"):
        assert path.lstat().st_gid == 4
    assert stat.S_IMODE((config_dir / "certificates" / "external.1").stat().st_mode) == 0o2750
    assert run(issue="self_signed", **QUICK)["changed"] is False


def test_key_is_never_readable_by_others(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    real_open = os.open

    def watching(path: Any, flags: int, mode: int = 0o777, **more: Any) -> int:
        if flags & os.O_CREAT:
            seen.append((os.path.basename(path), mode))
        return real_open(path, flags, mode, **more)

    monkeypatch.setattr(os, "open", watching)
    previous = os.umask(0)
    try:
        run(issue="self_signed", **QUICK)
    finally:
        os.umask(previous)
    assert seen
    assert {mode for _name, mode in seen} == {0o600}


@pytest.mark.parametrize("stop", ["_make_key", "_issue", "_point", "_assign", "_certify"])
def test_run_that_breaks_off_is_healed(run: Run, config_dir: Path, monkeypatch: pytest.MonkeyPatch, stop: str) -> None:
    """Broken off before any step, or between chain and certificate: nothing disagrees, and the next run goes on."""
    run(issue="self_signed", **QUICK)
    before, _key = in_use(config_dir)
    changed = {"issue": "self_signed", "key_type": "ec_p384"}

    def break_off(self: Any, id: str, *rest: Any) -> None:
        if stop == "_certify":
            self._write(id, rest[0], files.CHAIN, b"")
        raise OSError(28, "No space left on device", str(config_dir))

    with monkeypatch.context() as patched:
        patched.setattr(files.Files, stop, break_off)
        assert "No space left" in run(**changed)["msg"]
    assert in_use(config_dir)[0] == before
    (config_dir / "certificates" / ".0123456789abcdef.tmp").mkdir()
    assert run(**changed)["changed"] is True
    assert in_use(config_dir)[0] != before
    assert not list((config_dir / "certificates").glob(".*"))
    assert run(**changed)["changed"] is False


def test_lost_request_is_made_again_for_the_same_key(run: Run, config_dir: Path) -> None:
    first = one(run(issue="self_signed", organization="Example", **QUICK))
    Path(first["csr_path"]).unlink()
    second = run(issue="self_signed")
    assert second["changed"] is True
    assert one(second)["fingerprint"] == first["fingerprint"]
    assert one(second)["subject"] == first["subject"]
    assert run(issue="self_signed")["changed"] is False


def test_edited_request_is_noticed(run: Run) -> None:
    first = one(run(state="requested", **QUICK))
    Path(first["csr_path"]).write_text("edited")
    assert run(state="requested", check=True, **QUICK)["changed"] is True
    run(state="requested", **QUICK)
    assert one(run(state="requested", **QUICK))["names"] == first["names"]


def test_links_that_were_bent_are_put_right(run: Run, config_dir: Path) -> None:
    run(issue="self_signed", **QUICK)
    for link in (config_dir / "certificates" / "external", config_dir / "assigned" / "external"):
        link.unlink()
        assert run(check=True, issue="self_signed")["changed"] is True
        result = run(issue="self_signed")
        assert result["diff"]["before"] != result["diff"]["after"]
        in_use(config_dir)


def test_foreign_certificate_beside_a_key_is_not_used(run: Run, config_dir: Path, ca: Ca) -> None:
    first = one(run(state="requested", **QUICK))
    second = one(run(id="other", state="requested", **QUICK))
    path = config_dir / "certificates" / "external" / "cert.pem"
    path.write_text(ca.sign(second["csr"]))
    assert one(run())["pending"] is True
    run(certificate=ca.sign(first["csr"]))
    in_use(config_dir)


@pytest.mark.parametrize("content", [b"", b"nonsense"])
def test_broken_key_is_never_replaced(run: Run, content: bytes) -> None:
    key = Path(one(run(state="requested", **QUICK))["key_path"])
    key.write_bytes(content)
    result = run(state="requested", **QUICK)
    assert "cannot be used" in result["msg"]
    assert key.read_bytes() == content
    assert run(state="absent")["changed"] is True


def test_key_that_is_not_exportable_stays_at_home(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run(state="requested", exportable=False, **QUICK)
    assert run(state="requested")["changed"] is False
    monkeypatch.setattr(about, "this_host", lambda: "another host")
    assert "comes from another host" in run(state="requested")["msg"]


def test_newer_schema_is_refused(run: Run) -> None:
    entry = one(run(state="requested", **QUICK))
    noted = Path(entry["key_path"]).with_name("about.json")
    noted.write_text('{"schema": 99}')
    assert "newer version" in run(state="requested")["msg"]


def test_absent(run: Run, config_dir: Path) -> None:
    run(issue="self_signed", **QUICK)
    run(issue="self_signed", key_type="ec_p384")
    foreseen, done = run(check=True, state="absent"), run(state="absent")
    assert foreseen == done
    assert one(done)["stage"] == "absent"
    assert done["diff"]["after"] == {}
    assert list((config_dir / "certificates").iterdir()) == []
    assert list((config_dir / "assigned").iterdir()) == []
    assert run(state="absent")["changed"] is False


def test_absent_on_a_blank_host(run: Run, config_dir: Path) -> None:
    assert run(state="absent")["changed"] is False
    assert not config_dir.exists()


def test_one_takes_the_place_of_another(run: Run, config_dir: Path) -> None:
    run(id="old", issue="self_signed", **QUICK)
    certificates = [{"id": "old", "state": "absent"}, {"id": "new", "issue": "self_signed", **QUICK}]
    result = run(certificates=certificates)
    assert [entry["id"] for entry in result["certificates"]] == ["old", "new"]
    assert os.readlink(config_dir / "assigned" / "external") == "../certificates/new.1"
    assert not (config_dir / "assigned" / "external.previous").is_symlink()
    assert run(certificates=certificates)["changed"] is False


# Options


@pytest.mark.parametrize(
    ("entry", "key", "words"),
    [
        ({"id": "../x"}, "id", "cannot name a directory"),
        ({"id": "a.b"}, "id", "cannot name a directory"),
        ({"key_size": 1024}, "key_size", "1024"),
        ({"key_type": "ec_p256", "key_size": 2048}, "key_size", "256 bits"),
        ({"country": "Germany"}, "country", "two letters"),
        ({"common_name": "*.a.example"}, "common_name", "not a domain"),
        ({"common_name": "x" * 60 + ".a.example"}, "common_name", "longer than 64"),
        ({"organization": "x" * 65}, "organization", "longer than 64"),
        ({"xmpp_domains": ["*.a.example"]}, "xmpp_domains", "not a domain"),
        ({"sip_domains": ["a b"]}, "sip_domains", "not a domain"),
        ({"extra_sans": ["*.*.a.example"]}, "extra_sans", "not a domain"),
        ({"state": "requested", "certificate": "/x"}, "certificate", "takes no certificate"),
        ({"state": "requested", "issue": "self_signed"}, "issue", "takes no certificate"),
        ({"chain": "/x"}, "chain", "no certificate that it belongs to"),
        ({"issue": "self_signed", "certificate": "/x"}, "certificate", "either"),
        ({"issue": "self_signed", "ca_cert": "/x"}, "ca_cert", "no effect"),
        ({"ca_key_passphrase": "of no use here"}, "ca_key_passphrase", "no effect"),
        ({"issue": "own_ca", "ca_cert": "/x"}, "ca_key", "missing"),
        ({"xmpp_domains": []}, "common_name", "no name to certify"),
    ],
)
def test_bad_entry(run: Run, config_dir: Path, entry: dict[str, Any], key: str, words: str) -> None:
    result = run(certificates=[{"id": "good", "state": "imported", **QUICK}, {**QUICK, "key_type": "rsa", **entry}])
    assert result["failed"] is True
    (problem,) = result["problems"]
    place = f"certificates[1] ({entry['id']})" if "id" in entry else "certificates[1]"
    assert (problem["where"], problem["key"]) == (place, key)
    assert words in f"{problem['message']}; {problem['remedy']}"
    assert not config_dir.exists()


def test_all_bad_entries_at_once(run: Run) -> None:
    result = run(
        certificates=[
            {"id": "a", "country": "X", "xmpp_domains": ["a b"]},
            {"id": "b", **QUICK},
            {"id": "b", "state": "absent"},
        ]
    )
    found = [(problem["where"], problem["key"]) for problem in result["problems"]]
    assert found == [
        ("certificates[0] (a)", "country"),
        ("certificates[0] (a)", "xmpp_domains"),
        ("certificates[1] (b)", "usage"),
        ("certificates[2] (b)", "id"),
    ]


def test_all_misfits_at_once(run: Run, config_dir: Path) -> None:
    result = run(certificates=[{"id": "a", "key_size": "long"}, {"state": "there", "sip_domain": []}])
    assert [(problem["where"], problem["key"]) for problem in result["problems"]] == [
        ("certificates[0] (a)", "key_size"),
        ("certificates[1]", "state"),
        ("certificates[1]", "sip_domain"),
    ]
    assert not config_dir.exists()


def test_single_and_list_exclude_each_other(run: Run) -> None:
    assert "it is given beside id" in run(id="a", certificates=[])["msg"]
    assert run(certificates=[])["certificates"] == []


def test_random_walk(run: Run, config_dir: Path, tmp_path: Path, ca: Ca) -> None:
    """Whatever is asked in whatever order: check mode is right, a second run is quiet, what is in use agrees."""
    dice = random.Random(20261122)
    answer = tmp_path / "answer.pem"
    for _turn in range(30):
        options: dict[str, Any] = {"xmpp_domains": dice.sample(["a.example", "b.example", "c.example"], 2)}
        if dice.random() < 0.3:
            options["key_type"] = dice.choice(["ec_p256", "ec_p384"])
        options["digest"] = dice.choice(["sha256", "sha384"])
        options["state"] = dice.choice(["requested", "imported", "assigned", "assigned"])
        source = dice.choice(["file", "self_signed", "none"]) if options["state"] != "requested" else "none"
        if source == "file":
            options["certificate"] = str(answer)
            csr = config_dir / "certificates" / "external" / "csr.pem"
            if csr.exists() and dice.random() < 0.7:
                answer.write_text(ca.sign(csr))
        else:
            options["issue"] = source
        options.setdefault("key_type", "ec_p256")
        keys = {path: path.read_bytes() for path in config_dir.glob("certificates/external.*/key.pem")}
        foreseen, done = run(check=True, **options), run(**options)
        assert foreseen.get("failed") == done.get("failed")
        assert foreseen.get("msg") == done.get("msg")
        assert {path: path.read_bytes() for path in keys} == keys
        if not done.get("failed"):
            assert without_later(foreseen) == without_later(done)
            assert run(**options)["changed"] is False
        if (config_dir / "assigned" / "external").exists():
            in_use(config_dir)


def test_two_runs_at_once(config_dir: Path) -> None:
    """Both find a blank host; one makes the key, the other waits and then finds it."""
    arguments = {"config_dir": str(config_dir), "issue": "self_signed", **QUICK, "_ansible_diff": True}
    script = (
        "import json, sys\n"
        f"sys.path[:0] = {[path for path in sys.path if path]!r}\n"
        "from ansible.module_utils.testing import patch_module_args\n"
        f"from {edge_certificate.__name__} import main\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        f"with patch_module_args(json.loads({json.dumps(arguments)!r})):\n"
        "    main()\n"
    )
    with ExitStack() as stack:
        runs = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
                )
            )
            for _turn in range(3)
        ]
        for one_run in runs:
            assert one_run.stdout is not None
            assert one_run.stdout.readline() == "ready\n"
        for one_run in runs:
            assert one_run.stdin is not None
            one_run.stdin.write("\n")
            one_run.stdin.flush()
        outcomes = [json.loads(one_run.communicate()[0]) for one_run in runs]
    assert sorted(outcome["changed"] for outcome in outcomes) == [False, False, True]
    assert len({outcome["certificates"][0]["fingerprint"] for outcome in outcomes}) == 1
    assert [path.name for path in (config_dir / "certificates").glob("external.*")] == ["external.1"]
    in_use(config_dir)


# Documentation


def test_results_are_the_documented_ones(run: Run, ca: Ca) -> None:
    told = yaml.safe_load(edge_certificate.RETURN)
    waiting = run(**QUICK)
    done = run(certificate=ca.sign(one(waiting)["csr"]))
    refused = run(certificates=[{"country": "Germany"}])
    for result, name in ((waiting, "certificates"), (done, "certificates"), (refused, "problems")):
        assert set(result) - {"changed", "failed", "diff", "msg", "warnings"} == {name}
        for entry in result[name]:
            assert set(entry) == set(told[name]["contains"])
            for key, value in entry.items():
                assert value is None or type(value).__name__ == told[name]["contains"][key]["type"], key
    assert all(value is not None for key, value in one(done).items() if key not in OFTEN_NULL)


def test_examples_can_be_used(run: Run, ca: Ca) -> None:
    values = {"{{ lookup('ansible.builtin.file', 'lab-ca.pem') }}": ca.pem, "{{ vault_lab_ca_key }}": ca.key_pem()}
    tasks = [task.get("xmpp.federation.edge_certificate") for task in yaml.safe_load(edge_certificate.EXAMPLES)]
    used = [{name: values.get(str(value), value) for name, value in task.items()} for task in tasks if task]
    assert len(used) == len(tasks) - 1
    for given in used:
        assert "failed" not in run(**given), given


def test_single_options_are_those_of_a_list_entry() -> None:
    told = yaml.safe_load(edge_certificate.DOCUMENTATION)["options"]
    entry = told["certificates"]["suboptions"]
    assert set(told) - {"certificates"} == set(entry) == set(options.ENTRY)
    assert all(one["description"] == f"See O({name})." for name, one in entry.items())
    assert set(options.OPTIONS) == {*options.ENTRY, "certificates", "config_dir"}


def test_the_role_takes_what_the_module_takes() -> None:
    path = Path(__file__).resolve().parents[2] / "roles/xmpp_edge/meta/argument_specs.yml"
    specs = yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]
    for point in ("main", "certificate"):
        told = specs[point]["options"]["xmpp_edge_certificate"]["options"]
        assert set(told) == set(options.ENTRY)
        for name, option in told.items():
            for key in ("type", "elements", "choices"):
                assert option.get(key) == options.ENTRY[name].get(key), f"{point}: {name}.{key}"
