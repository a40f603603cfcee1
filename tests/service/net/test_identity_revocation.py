# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Case 57: certificates and revocation lists, open and closed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from peers.authority import EXPIRED, NOT_YET, Authority, moment, self_signed
from xmpp_edge.net.identity import Judge

from .test_identity import DOMAIN, Partner, Records

ROOT = Authority("Root CA")
ISSUING = ROOT.intermediate("Issuing CA")
LEAF = ISSUING.issue(DOMAIN)
STRANGER = Authority("Stranger CA")
SHARD = x509.UniformResourceIdentifier("http://crl.example/1.crl")
OTHER_SHARD = x509.UniformResourceIdentifier("http://crl.example/2.crl")


def _extended(*extensions: tuple[x509.ExtensionType, bool], revoked: int | None = None) -> bytes:
    """A list of the issuing CA that says of itself what it is for."""
    builder = x509.CertificateRevocationListBuilder().issuer_name(ISSUING.name)
    builder = builder.last_update(moment(-1)).next_update(moment(1))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    if revoked is not None:
        entry = x509.RevokedCertificateBuilder().serial_number(revoked).revocation_date(moment(-1))
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(ISSUING.key, hashes.SHA256()).public_bytes(Encoding.PEM)


def _point(**values: object) -> tuple[x509.ExtensionType, bool]:
    settings: dict[str, object] = {
        "full_name": None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return x509.IssuingDistributionPoint(**{**settings, **values}), True  # type: ignore[arg-type]


BOTH_FINE = (ROOT.crl(), ISSUING.crl())
RUBBISH_PEM = b"-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n"
NO_LIST = ("trusted", "no_crl")
"""What ``if_available`` and ``always`` make of it."""

CASES = {
    "none": ((), *NO_LIST),
    "in-order": (BOTH_FINE, "trusted", "trusted"),
    "only-of-the-root": ((ROOT.crl(),), *NO_LIST),
    "only-of-the-intermediate": ((ISSUING.crl(),), *NO_LIST),
    "revoked": ((ROOT.crl(), ISSUING.crl([LEAF])), "revoked", "revoked"),
    "intermediate-revoked": ((ROOT.crl([ISSUING]), ISSUING.crl()), "revoked", "revoked"),
    "another-revoked": ((ROOT.crl(), ISSUING.crl([ISSUING.issue("other.example")])), "trusted", "trusted"),
    "out-of-date": ((ROOT.crl(), ISSUING.crl(days=EXPIRED)), "trusted", "crl_expired"),
    "out-of-date-and-revoked": ((ISSUING.crl([LEAF], days=EXPIRED),), "revoked", "no_crl"),
    "old-beside-new": ((*BOTH_FINE, ISSUING.crl(days=EXPIRED)), "trusted", "trusted"),
    "of-tomorrow": ((ROOT.crl(), ISSUING.crl(days=NOT_YET)), "trusted", "crl_expired"),
    "of-another-ca": ((ROOT.crl(), STRANGER.crl([LEAF])), *NO_LIST),
    "signed-by-another-key": ((ROOT.crl(), ISSUING.crl([LEAF], signer=STRANGER)), *NO_LIST),
    "rubbish": (
        (b"rubbish", b"-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n", *BOTH_FINE),
        "trusted",
        "trusted",
    ),
    "for-cas-only": ((ROOT.crl(), _extended(_point(only_contains_ca_certs=True))), *NO_LIST),
    "for-users-only": ((ROOT.crl(), _extended(_point(only_contains_user_certs=True))), "trusted", "trusted"),
    "some-reasons": (
        (ROOT.crl(), _extended(_point(only_some_reasons=frozenset({x509.ReasonFlags.key_compromise})))),
        *NO_LIST,
    ),
    "indirect": ((ROOT.crl(), _extended(_point(indirect_crl=True), revoked=LEAF.certificate.serial_number)), *NO_LIST),
    "another-shard": ((ROOT.crl(), _extended(_point(full_name=[OTHER_SHARD]))), *NO_LIST),
    "delta": ((ROOT.crl(), _extended((x509.DeltaCRLIndicator(1), True))), *NO_LIST),
    "revoked-in-delta": (
        (*BOTH_FINE, _extended((x509.DeltaCRLIndicator(1), True), revoked=LEAF.certificate.serial_number)),
        "revoked",
        "revoked",
    ),
}


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Judge]:
    def make(lists: tuple[bytes, ...], mode: str, **partner: tuple[str, ...]) -> Judge:
        crls = tmp_path / "crls"
        crls.mkdir()
        for number, content in enumerate(lists):
            (crls / f"{number}.pem").write_bytes(content)
        records = Records(str(ROOT.write(tmp_path / "ca.pem")), mode)
        if partner:
            records.by_domain[DOMAIN] = Partner(**partner)  # type: ignore[arg-type]
        return Judge(records, crls)

    return make


@pytest.mark.parametrize("mode", ["never", "if_available", "always"])
@pytest.mark.parametrize("case", CASES)
def test_57_revocation(made: Callable[..., Judge], case: str, mode: str) -> None:
    lists, open_, closed = CASES[case]
    trust = made(lists, mode).trust(LEAF.presented, DOMAIN)
    wanted = {"never": "trusted", "if_available": open_, "always": closed}[mode]
    if case == "out-of-date-and-revoked" and mode == "always":
        wanted = "revoked"  # the leaf comes first
    assert (trust.reason, trust.trusted) == (wanted, wanted == "trusted"), trust.text


def test_a_shard_covers_the_certificates_that_name_it(made: Callable[..., Judge]) -> None:
    point = x509.DistributionPoint([SHARD], None, None, None)
    leaf = _with(x509.CRLDistributionPoints([point]))
    lists = (ROOT.crl(), _extended(_point(full_name=[SHARD])))
    assert made(lists, "always").trust((leaf, *ISSUING.chain), DOMAIN).trusted


def _with(extension: x509.ExtensionType) -> x509.Certificate:
    builder = x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(ISSUING.name)
    builder = builder.public_key(LEAF.certificate.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(moment(-1)).not_valid_after(moment(1)).add_extension(extension, critical=False)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(DOMAIN)]), critical=True)
    return builder.sign(ISSUING.key, hashes.SHA256())


def test_der_and_files_being_written(made: Callable[..., Judge], tmp_path: Path) -> None:
    judge = made(BOTH_FINE, "always")
    assert judge.trust(LEAF.presented, DOMAIN).trusted
    revoked = x509.load_pem_x509_crl(ISSUING.crl([LEAF])).public_bytes(Encoding.DER)
    (tmp_path / "crls" / ".new").write_bytes(revoked)
    records = Records(str(tmp_path / "ca.pem"), "always")
    assert Judge(records, tmp_path / "crls").trust(LEAF.presented, DOMAIN).trusted
    (tmp_path / "crls" / "new.crl").write_bytes(revoked)
    assert Judge(records, tmp_path / "crls").trust(LEAF.presented, DOMAIN).reason == "revoked"
    assert judge.trust(LEAF.presented, DOMAIN).trusted  # what is in force changes by another Judge only


def test_what_is_no_list_is_told(made: Callable[..., Judge]) -> None:
    assert "0.pem" in made((b"rubbish",), "if_available").problems[0]


def test_a_list_out_of_date_is_told_until_a_newer_one_is_there(made: Callable[..., Judge], tmp_path: Path) -> None:
    judge = made((ROOT.crl(), ISSUING.crl(days=EXPIRED)), "if_available")
    (told,) = judge.problems
    assert "CN=Issuing CA is out of date" in told
    assert "1.pem" in told
    (tmp_path / "crls" / "2.pem").write_bytes(ISSUING.crl())
    assert Judge(Records(str(tmp_path / "ca.pem")), tmp_path / "crls").problems == ()


def test_a_pinned_certificate_that_nobody_issued_needs_no_list(made: Callable[..., Judge]) -> None:
    pair = self_signed(DOMAIN)
    assert made((), "always", pins=(pair.pin,)).trust(pair.presented, DOMAIN).trusted


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    judge = Judge(Records(str(ROOT.write(tmp_path / "ca.pem"))), tmp_path / "none")
    assert judge.problems == ()
    assert judge.trust(LEAF.presented, DOMAIN).trusted


def test_a_long_list(made: Callable[..., Judge]) -> None:
    revoked = ISSUING.issue("other.example")
    judge = made((ROOT.crl(), ISSUING.crl([*[STRANGER] * 5000, revoked])), "if_available")
    assert judge.trust(LEAF.presented, DOMAIN).trusted
    assert judge.trust(revoked.presented, "other.example").reason == "revoked"
