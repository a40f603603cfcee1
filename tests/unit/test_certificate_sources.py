# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""edge_certificate and what authorities hand out: every format, every order, every flaw of a chain."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import certificates
import pytest
from ansible_collections.xmpp.federation.plugins.module_utils import _certificate_bundle as bundle
from certificates import NOW, QUICK, Ca, Run, in_use, one, snapshot
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs7, pkcs12

run, ca = certificates.run, certificates.ca
DER, PEM = serialization.Encoding.DER, serialization.Encoding.PEM
PASSWORD = "opens the PFX"


def loaded(*texts: str) -> list[x509.Certificate]:
    return [x509.load_pem_x509_certificate(text.encode()) for text in texts]


@pytest.fixture(scope="module")
def tower(ca: Ca) -> list[Ca]:
    """From the trusted root downwards."""
    middle = Ca("Middle", ca)
    return [ca, middle, Ca("Low", middle)]


@pytest.fixture
def answer(run: Run, tower: list[Ca]) -> list[x509.Certificate]:
    """The answer to a request, with everything up to the root, upside down."""
    request = one(run(state="requested", **QUICK))["csr"]
    return loaded(*(each.pem for each in tower), tower[-1].sign(request))


def microsoft(certificates: list[x509.Certificate]) -> bytes:
    """As certsrv labels its PKCS#7."""
    der = pkcs7.serialize_certificates(certificates, DER)
    return b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"


FORMATS: dict[str, Any] = {
    "pem": lambda found: b"".join(each.public_bytes(PEM) for each in found),
    "p7b-pem": lambda found: pkcs7.serialize_certificates(found, PEM),
    "p7b-der": lambda found: pkcs7.serialize_certificates(found, DER),
    "p7b-microsoft": microsoft,
    "p7b-base64": lambda found: base64.encodebytes(pkcs7.serialize_certificates(found, DER)),
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("inline", [False, True])
def test_every_format_gives_the_same(
    run: Run, config_dir: Path, tmp_path: Path, answer: list[x509.Certificate], tower: list[Ca], name: str, inline: bool
) -> None:
    content = FORMATS[name](answer)
    if inline:
        given = content.decode() if name not in ("p7b-der",) else base64.b64encode(content).decode()
    else:
        (tmp_path / "answer").write_bytes(content)
        given = str(tmp_path / "answer")
    foreseen, done = run(check=True, certificate=given), run(certificate=given)
    assert foreseen == done
    assert in_use(config_dir)[0] == answer[-1]
    assert Path(one(done)["chain_path"]).read_text() == tower[2].pem + tower[1].pem
    assert run(certificate=given)["changed"] is False


def test_der(run: Run, config_dir: Path, tmp_path: Path, answer: list[x509.Certificate], tower: list[Ca]) -> None:
    (tmp_path / "answer.cer").write_bytes(answer[-1].public_bytes(DER))
    (tmp_path / "chain.p7b").write_bytes(pkcs7.serialize_certificates(answer[:-1], DER))
    options = {"certificate": str(tmp_path / "answer.cer"), "chain": str(tmp_path / "chain.p7b")}
    assert one(run(**options))["stage"] == "assigned"
    assert in_use(config_dir)[0] == answer[-1]
    assert run(**options)["changed"] is False


# PFX


def packed(ca: Ca, password: str | None, domains: list[str], key: Any = None, **how: Any) -> bytes:
    """What another host would export."""
    key = key or ec.generate_private_key(ec.SECP384R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    san = x509.SubjectAlternativeName([x509.DNSName(name) for name in domains])
    csr = request.add_extension(san, False).sign(key, certificates.hashes.SHA256())
    (leaf,) = loaded(ca.sign(csr.public_bytes(PEM).decode(), **how))
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password:
        encryption = serialization.BestAvailableEncryption(password.encode())
    return pkcs12.serialize_key_and_certificates(b"edge", key, leaf, [ca.certificate], encryption)


@pytest.mark.parametrize("password", [None, PASSWORD])
@pytest.mark.parametrize("beside", [False, True])
def test_pfx_brings_its_key(
    run: Run, config_dir: Path, tmp_path: Path, ca: Ca, password: str | None, beside: bool
) -> None:
    if beside:
        run(issue="self_signed", **QUICK)
    pfx = tmp_path / "edge.pfx"
    pfx.write_bytes(packed(ca, password, ["a.example", "b.example"]))
    options = {
        "xmpp_domains": ["a.example", "b.example"],
        "certificate": str(pfx),
        "password": password,
        **({"key_type": "ec_p384"} if beside else {}),
    }
    before = snapshot(config_dir)
    foreseen = run(check=True, **options)
    assert snapshot(config_dir) == before
    done = run(**options)
    assert foreseen["diff"] == done["diff"]
    assert certificates.without_later(foreseen) == certificates.without_later(done)
    entry = one(done)
    assert (entry["stage"], entry["pending"], entry["key_type"]) == ("assigned", False, "ec_p384")
    assert entry["subject"] == {"common_name": "a.example"}
    assert entry["previous"] == ("external.1" if beside else None)
    in_use(config_dir)
    assert PASSWORD not in json.dumps(done)
    assert run(**options)["changed"] is False
    assert run()["changed"] is False


@pytest.mark.parametrize("password", [None, "wrong words"])
def test_pfx_that_does_not_open(run: Run, config_dir: Path, tmp_path: Path, ca: Ca, password: str | None) -> None:
    (tmp_path / "edge.pfx").write_bytes(packed(ca, PASSWORD, ["a.example"]))
    result = run(certificate=str(tmp_path / "edge.pfx"), password=password, xmpp_domains=["a.example"])
    assert result["problems"][0]["key"] == "certificate"
    assert ("password is wrong" if password else "needs a `password`") in result["msg"]
    assert "wrong words" not in json.dumps(result)
    assert not config_dir.exists()


def test_pfx_in_the_task_itself_is_refused(run: Run, ca: Ca) -> None:
    text = base64.b64encode(packed(ca, PASSWORD, ["a.example"])).decode()
    result = run(certificate=text, password=PASSWORD, xmpp_domains=["a.example"])
    assert "from a file on the host only" in result["msg"]
    assert text[:60] not in json.dumps(result)


def test_pfx_with_another_key_than_asked_for(run: Run, config_dir: Path, tmp_path: Path, ca: Ca) -> None:
    (tmp_path / "edge.pfx").write_bytes(packed(ca, None, ["a.example"]))
    result = run(certificate=str(tmp_path / "edge.pfx"), key_type="rsa", xmpp_domains=["a.example"])
    assert result["problems"][0]["key"] == "key_type"
    assert "ec_p384" in result["msg"]
    assert not config_dir.exists()


def test_pfx_that_lacks_much_is_refused_whole(run: Run, config_dir: Path, tmp_path: Path) -> None:
    start = NOW + timedelta(days=1)
    (tmp_path / "edge.pfx").write_bytes(packed(Ca("Nobody"), None, ["a.example"], start=start))
    # The root came along: only what the certificate says is wrong.
    result = run(certificate=str(tmp_path / "edge.pfx"), xmpp_domains=["a.example", "b.example"])
    assert [problem["message"].split(" 2")[0] for problem in result["problems"]] == [
        "it is not valid before",
        "it does not cover the XMPP domain b.example",
    ]
    assert not config_dir.exists()


# The chain


def test_chain_that_does_not_end(run: Run, config_dir: Path, tmp_path: Path) -> None:
    root = Ca("Private Root")
    low = Ca("Private Low", root)
    request = one(run(state="requested", **QUICK))["csr"]
    certificate = low.sign(request)
    before = snapshot(config_dir)
    for options, missing in (
        ({}, "CN=Private Low"),
        ({"chain": low.pem}, "CN=Private Root"),
        ({"chain": low.pem, "ca_cert": Ca("Private Root").pem}, "CN=Private Root"),
    ):
        for check in (True, False):
            result = run(check=check, certificate=certificate, **options)
            assert [problem["key"] for problem in result["problems"]] == ["chain"]
            assert f"nobody has a certificate of {missing}" in result["msg"]
        assert snapshot(config_dir) == before
    (tmp_path / "root.pem").write_text(root.pem)
    ends = {"certificate": certificate, "chain": low.pem, "ca_cert": str(tmp_path / "root.pem")}
    assert Path(one(run(**ends))["chain_path"]).read_text() == low.pem
    assert run(**ends)["changed"] is False
    # It is here now, and needs no root any more.
    assert run(certificate=certificate, chain=low.pem)["changed"] is False


def test_root_in_the_chain_is_enough(run: Run) -> None:
    root = Ca("Private Root")
    request = one(run(state="requested", **QUICK))["csr"]
    assert one(run(certificate=root.sign(request), chain=root.pem))["stage"] == "assigned"


def test_what_lies_between_may_come_with_the_root(run: Run) -> None:
    root = Ca("Private Root")
    low = Ca("Private Low", root)
    request = one(run(state="requested", **QUICK))["csr"]
    entry = one(run(certificate=low.sign(request), ca_cert=root.pem + low.pem))
    assert Path(entry["chain_path"]).read_text() == low.pem


def test_a_root_that_another_one_certifies_too(run: Run, ca: Ca) -> None:
    """As when a new root is spread with a certificate from an old one: both may be in what the CA hands out."""
    new = Ca("New Root")
    crossed = Ca("New Root", ca)
    crossed.key = new.key
    crossed.certificate = (
        x509.CertificateBuilder()
        .subject_name(new.name)
        .issuer_name(ca.name)
        .public_key(new.key.public_key())
        .serial_number(5)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=9))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(ca.key, certificates.hashes.SHA256())
    )
    request = one(run(state="requested", **QUICK))["csr"]
    certificate = new.sign(request)
    entry = one(run(certificate=certificate, chain=crossed.pem))
    assert Path(entry["chain_path"]).read_text() == crossed.pem
    entry = one(run(certificate=certificate, chain=crossed.pem + new.pem))
    assert Path(entry["chain_path"]).read_text() == ""


def test_signer_that_is_no_ca(run: Run, ca: Ca) -> None:
    host = Ca("A Host", ca, is_ca=False)
    request = one(run(state="requested", **QUICK))["csr"]
    assert "CN=A Host signed it, but is no CA" in run(certificate=host.sign(request), chain=host.pem)["msg"]


def test_self_signed_certificate_needs_no_chain(run: Run, tmp_path: Path, config_dir: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    alone = Ca("a.example")
    alone.key = key
    alone.certificate = (
        x509.CertificateBuilder()
        .subject_name(alone.name)
        .issuer_name(alone.name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=9))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("a.example")]), False)
        .sign(key, certificates.hashes.SHA256())
    )
    pfx = pkcs12.serialize_key_and_certificates(None, key, alone.certificate, None, serialization.NoEncryption())
    (tmp_path / "alone.pfx").write_bytes(pfx)
    assert one(run(certificate=str(tmp_path / "alone.pfx"), xmpp_domains=["a.example"]))["stage"] == "assigned"
    in_use(config_dir)


def test_host_without_a_store(run: Run, monkeypatch: pytest.MonkeyPatch, ca: Ca) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent")
    monkeypatch.setattr(bundle, "STORES", ())
    request = one(run(state="requested", **QUICK))["csr"]
    assert "nobody has a certificate of CN=Test CA" in run(certificate=ca.sign(request))["msg"]
    assert one(run(certificate=ca.sign(request), ca_cert=ca.pem))["stage"] == "assigned"


def test_of_two_certificates_the_longer_one(run: Run, config_dir: Path, ca: Ca) -> None:
    request = one(run(state="requested", **QUICK))["csr"]
    short, long = ca.sign(request, end=NOW + timedelta(days=3)), ca.sign(request)
    run(certificate=short + long)
    assert in_use(config_dir)[0] == loaded(long)[0]


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x30\x03\x02\x01\x00", bytes(200)])
def test_files_that_are_nothing(run: Run, tmp_path: Path, content: bytes) -> None:
    run(state="requested", **QUICK)
    (tmp_path / "answer").write_bytes(content)
    result = run(certificate=str(tmp_path / "answer"), chain=str(tmp_path / "answer"), ca_cert=str(tmp_path / "none"))
    assert [problem["key"] for problem in result["problems"]] == ["certificate", "chain", "ca_cert"]
