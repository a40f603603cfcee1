# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which certificates prove a domain: one row a case, with the reason that the audit gets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa
from peers.authority import (
    ANY,
    BOTH,
    CLIENT,
    EXPIRED,
    NOT_YET,
    SERVER,
    Authority,
    Pair,
    make_key,
    pin,
    self_signed,
    srv_name,
    xmpp_addr,
)
from xmpp_edge.net.identity import Judge

DOMAIN = "partner.example"
IDN = "bücher.example"
IDN_ASCII = "xn--bcher-kva.example"


@dataclass
class Partner:
    ca_file: str | None = None
    pins: tuple[str, ...] = ()
    auth_methods: tuple[str, ...] = ("sasl_tls",)


@dataclass
class Records:
    """What a Judge asks of a Snapshot."""

    ca_file: str | None = None
    check_crls: str = "if_available"
    by_domain: dict[str, Partner] = field(default_factory=dict)

    @property
    def partners(self) -> tuple[Partner, ...]:
        return tuple(self.by_domain.values())

    def partner(self, domain: str) -> Partner | None:
        return self.by_domain.get(domain)


ROOT = Authority("Root CA")
RSA_ROOT = Authority("RSA Root CA", key="rsa2048")
OLD_ROOT = Authority("Old Root CA", key="rsa2048", sha1=True)
PRIVATE_ROOT = Authority("Private CA without KeyUsage", key_usage=False)
EXPIRED_ROOT = Authority("Expired CA", days=EXPIRED)
TRUSTED = (ROOT, RSA_ROOT, OLD_ROOT, PRIVATE_ROOT, EXPIRED_ROOT)
STRANGER = Authority("Stranger CA")


@pytest.fixture(scope="module")
def ca_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("anchors") / "ca.pem"
    path.write_bytes(b"# what the administrator trusts\n" + b"".join(each.pem for each in TRUSTED))
    return str(path)


@dataclass(frozen=True)
class Row:
    """A certificate, made when asked for, and what comes of it."""

    id: str
    make: Callable[[], Pair]
    reason: str = "trusted"
    domain: str = DOMAIN
    says: str = ""


NAMES = [
    Row("dns", lambda: ROOT.issue(DOMAIN)),
    Row("dns-among-others", lambda: ROOT.issue("other.example", srv_name("x.example"), DOMAIN)),
    Row("dns-in-capitals", lambda: ROOT.issue("PARTNER.Example")),
    Row("srv-name", lambda: ROOT.issue(srv_name(DOMAIN))),
    Row("srv-name-in-capitals", lambda: ROOT.issue(srv_name("Partner.Example", "_XMPP-Server"))),
    Row("xmpp-addr", lambda: ROOT.issue(xmpp_addr(DOMAIN))),
    Row("idn-dns", lambda: ROOT.issue(IDN_ASCII), domain=IDN),
    Row("53-idn-dns-mixed-case", lambda: ROOT.issue("XN--bcher-KVA.example"), domain=IDN),
    Row("idn-srv-name", lambda: ROOT.issue(srv_name(IDN_ASCII)), domain=IDN),
    Row("idn-xmpp-addr", lambda: ROOT.issue(xmpp_addr(IDN)), domain=IDN),
    Row("idn-xmpp-addr-in-a-labels", lambda: ROOT.issue(xmpp_addr(IDN_ASCII)), domain=IDN),
    Row("52-wildcard", lambda: ROOT.issue("*.partner.example"), domain="im.partner.example"),
    Row("52-wildcard-idn", lambda: ROOT.issue("*.partner.example"), domain="bücher.partner.example"),
    Row("50-cn-only", lambda: ROOT.issue(common_name=DOMAIN), "name_mismatch", says="names no domain"),
    Row("50-cn-beside-another-name", lambda: ROOT.issue("a.example", common_name=DOMAIN), "name_mismatch"),
    Row("51-other-domain", lambda: ROOT.issue("other.example"), "name_mismatch", says="for other.example, not for"),
    Row("51-parent", lambda: ROOT.issue("partner.example"), "name_mismatch", domain="im.partner.example"),
    Row("51-child", lambda: ROOT.issue("im.partner.example"), "name_mismatch"),
    Row("51-srv-target", lambda: ROOT.issue("xmpp.hoster.example"), "name_mismatch"),
    Row("51-many", lambda: ROOT.issue(*(f"a{n}.example" for n in range(40))), "name_mismatch", says="and 37 more"),
    Row("52-wildcard-two-labels", lambda: ROOT.issue("*.partner.example"), "name_mismatch", "a.b.partner.example"),
    Row("52-wildcard-no-label", lambda: ROOT.issue("*.partner.example"), "name_mismatch"),
    Row("52-wildcard-below-tld", lambda: ROOT.issue("*.example"), "name_mismatch"),
    Row("52-wildcard-part", lambda: ROOT.issue("p*.example"), "name_mismatch"),
    Row("52-wildcard-part-below", lambda: ROOT.issue("i*.partner.example"), "name_mismatch", "im.partner.example"),
    Row("52-wildcard-alone", lambda: ROOT.issue("*"), "name_mismatch"),
    Row("52-wildcard-inside", lambda: ROOT.issue("im.*.example"), "name_mismatch", "im.partner.example"),
    Row("52-wildcard-twice", lambda: ROOT.issue("*.*.example"), "name_mismatch", "im.partner.example"),
    Row(
        "52-wildcard-srv-name", lambda: ROOT.issue(srv_name("*.partner.example")), "name_mismatch", "a.partner.example"
    ),
    Row(
        "52-wildcard-xmpp-addr",
        lambda: ROOT.issue(xmpp_addr("*.partner.example")),
        "name_mismatch",
        "a.partner.example",
    ),
    Row("53-nul", lambda: ROOT.issue(f"{DOMAIN}\0.evil.example"), "name_mismatch", says="partner.example?.evil"),
    Row("53-nul-at-the-end", lambda: ROOT.issue(f"{DOMAIN}\0"), "name_mismatch"),
    Row("53-space", lambda: ROOT.issue(f"{DOMAIN} "), "name_mismatch"),
    Row("53-trailing-dot", lambda: ROOT.issue(f"{DOMAIN}."), "name_mismatch"),
    Row("53-nul-srv-name", lambda: ROOT.issue(srv_name(f"{DOMAIN}\0.evil.example")), "name_mismatch"),
    Row("53-nul-xmpp-addr", lambda: ROOT.issue(xmpp_addr(f"{DOMAIN}\0")), "name_mismatch"),
    Row("54-xmpp-addr-jid", lambda: ROOT.issue(xmpp_addr(f"user@{DOMAIN}")), "name_mismatch", says="xmppAddr user@"),
    Row("54-xmpp-addr-resource", lambda: ROOT.issue(xmpp_addr(f"{DOMAIN}/x")), "name_mismatch"),
    Row("55-srv-name-client", lambda: ROOT.issue(srv_name(DOMAIN, "_xmpp-client")), "name_mismatch"),
    Row("55-srv-name-no-service", lambda: ROOT.issue(srv_name(DOMAIN, "")), "name_mismatch"),
    Row("uri-is-no-name", lambda: ROOT.issue(x509.UniformResourceIdentifier("xmpp:partner.example")), "name_mismatch"),
    Row("other-name-of-another-kind", lambda: ROOT.issue(_other("1.3.6.1.5.5.7.8.9")), "name_mismatch"),
    Row("xmpp-addr-tagged-as-ia5", lambda: ROOT.issue(_other("1.3.6.1.5.5.7.8.5", 0x16)), "name_mismatch"),
    Row("srv-name-of-nothing", lambda: ROOT.issue(_raw("1.3.6.1.5.5.7.8.7", b"\x05\x00")), "name_mismatch"),
]


def _other(oid: str, tag: int = 0x0C) -> x509.OtherName:
    return _raw(oid, bytes((tag, len(DOMAIN))) + DOMAIN.encode())


def _raw(oid: str, der: bytes) -> x509.OtherName:
    return x509.OtherName(x509.ObjectIdentifier(oid), der)


def _constrained(*names: str | x509.GeneralName, **constraints: list[str]) -> Pair:
    return ROOT.intermediate("Constrained CA", **constraints).issue(*names)


PATHS = [
    Row("intermediate", lambda: ROOT.intermediate().issue(DOMAIN)),
    Row("eight-intermediates", lambda: ROOT.deeper(8).issue(DOMAIN)),
    Row("root-without-key-usage", lambda: PRIVATE_ROOT.issue(DOMAIN)),
    Row("leaf-without-key-identifiers", lambda: ROOT.issue(DOMAIN, identifiers=False)),
    Row("root-signed-over-sha1", lambda: OLD_ROOT.issue(DOMAIN)),
    Row("rsa-2048", lambda: RSA_ROOT.issue(DOMAIN, key="rsa2048")),
    Row("ed25519", lambda: ROOT.issue(DOMAIN, key="ed25519")),
    Row("46-expired", lambda: ROOT.issue(DOMAIN, days=EXPIRED), "expired", says="expired, on 20"),
    Row("46-not-yet-valid", lambda: ROOT.issue(DOMAIN, days=NOT_YET), "not_yet_valid"),
    Row(
        "46-intermediate-expired",
        lambda: ROOT.intermediate("Old", days=EXPIRED).issue(DOMAIN),
        "expired",
        says="CN=Old",
    ),
    Row("46-root-expired", lambda: EXPIRED_ROOT.issue(DOMAIN), "expired", says="CN=Expired CA"),
    Row("47-self-signed", lambda: self_signed(DOMAIN), "self_signed"),
    Row("47-self-signed-as-openssl-does", lambda: self_signed(DOMAIN, is_ca=True), "self_signed"),
    Row("48-unknown-ca", lambda: STRANGER.issue(DOMAIN), "unknown_ca", says="CN=Stranger CA"),
    Row("48-unknown-ca-presented", lambda: _with_root(STRANGER.issue(DOMAIN), STRANGER), "unknown_ca"),
    Row("48-false-ca-of-the-same-name", lambda: Authority("Root CA").issue(DOMAIN), "invalid_path"),
    Row("56-server-only", lambda: ROOT.issue(DOMAIN, usages=[SERVER])),
    Row("56-no-usage", lambda: ROOT.issue(DOMAIN, usages=None)),
    Row("56-any-usage", lambda: ROOT.issue(DOMAIN, usages=[ANY])),
    Row("56-client-only", lambda: ROOT.issue(DOMAIN, usages=[CLIENT]), "wrong_usage", says="serverAuth"),
    Row("56-key-for-tls", lambda: ROOT.issue(DOMAIN, key_usage=["digital_signature"])),
    Row("56-key-for-tls-1.2", lambda: ROOT.issue(DOMAIN, key_usage=["key_encipherment"])),
    Row("56-key-for-documents", lambda: ROOT.issue(DOMAIN, key_usage=["content_commitment"]), "wrong_usage"),
    Row("56-key-for-certificates", lambda: ROOT.issue(DOMAIN, key_usage=["key_cert_sign"]), "wrong_usage"),
    Row("56-both", lambda: ROOT.issue(DOMAIN, usages=BOTH)),
    Row(
        "58-intermediate-missing",
        lambda: ROOT.intermediate("Forgotten CA").issue(DOMAIN).without_chain(),
        "unknown_ca",
        says="CN=Forgotten CA, whose certificate was not presented",
    ),
    Row("58-nine-intermediates", lambda: ROOT.deeper(9).issue(DOMAIN), "chain_too_long"),
    Row("58-twelve-deep", lambda: ROOT.deeper(12).issue(DOMAIN), "chain_too_long", says="13 certificates"),
    Row("58-name-permitted", lambda: _constrained(DOMAIN, permitted=["partner.example"])),
    Row("58-name-not-permitted", lambda: _constrained(DOMAIN, permitted=["a.example"]), "name_constraints"),
    Row("58-name-excluded", lambda: _constrained(DOMAIN, excluded=["partner.example"]), "name_constraints"),
    Row(
        "58-srv-name-not-permitted", lambda: _constrained(srv_name(DOMAIN), permitted=["a.example"]), "name_constraints"
    ),
    Row("58-xmpp-addr-excluded", lambda: _constrained(xmpp_addr(DOMAIN), excluded=["example"]), "name_constraints"),
    Row("58-srv-name-permitted", lambda: _constrained(srv_name(DOMAIN), permitted=["example"])),
    Row(
        "58-wildcard-over-excluded",
        lambda: _constrained("*.partner.example", excluded=["im.partner.example"]),
        "name_constraints",
        domain="im.partner.example",
    ),
    Row("58-rsa-1024", lambda: RSA_ROOT.issue(DOMAIN, key="rsa1024"), "weak_key", says="1024 bits"),
    Row("58-rsa-1024-intermediate", lambda: ROOT.intermediate(key="rsa1024").issue(DOMAIN), "weak_key"),
    Row("58-p-192", lambda: ROOT.issue(DOMAIN, key="p192"), "weak_key", says="secp192r1"),
    Row("58-dsa", lambda: ROOT.issue(DOMAIN, key=_dsa()), "weak_key"),
    Row("58-sha1", lambda: RSA_ROOT.issue(DOMAIN, sha1=True), "weak_signature", says="SHA1"),
    Row("58-sha1-intermediate", lambda: RSA_ROOT.intermediate(sha1=True).issue(DOMAIN), "weak_signature"),
    Row("leaf-that-signs", lambda: ROOT.intermediate("No CA", is_ca=False).issue(DOMAIN), "invalid_path"),
    Row("path-length", lambda: ROOT.intermediate(path_length=0).intermediate("b").issue(DOMAIN), "invalid_path"),
    Row("not-presented", lambda: Pair(make_key(), ROOT.certificate), "name_mismatch"),
]


def _with_root(pair: Pair, root: Authority) -> Pair:
    return Pair(pair.key, pair.certificate, (*pair.chain, root.certificate))


def _dsa() -> dsa.DSAPrivateKey:
    return dsa.generate_private_key(2048)


@pytest.mark.parametrize("row", NAMES + PATHS, ids=lambda row: row.id)
def test_what_a_certificate_proves(row: Row, ca_file: str) -> None:
    trust = Judge(Records(ca_file)).trust(row.make().presented, row.domain)
    assert (trust.reason, trust.trusted) == (row.reason, row.reason == "trusted"), trust.text
    assert row.says in trust.text
    assert trust.trusted or trust.text
    assert trust.text.isprintable()


def test_nothing_presented(ca_file: str) -> None:
    assert Judge(Records(ca_file)).trust((), DOMAIN).reason == "no_certificate"


def test_order_and_repetition_of_what_is_presented_do_not_matter(ca_file: str) -> None:
    leaf, *others = ROOT.intermediate("One").intermediate("Two").issue(DOMAIN).presented
    presented = [leaf, *reversed(others), *others, ROOT.certificate, STRANGER.certificate]
    assert Judge(Records(ca_file)).trust(presented, DOMAIN).trusted


class TestPartners:
    """Who may have signed, and which keys there may be, is said for each partner."""

    @pytest.fixture
    def own_ca(self, tmp_path: Path) -> Authority:
        own = Authority("Partner CA")
        own.write(tmp_path / "partner.pem")
        return own

    def judge(self, ca_file: str, partner: Partner) -> Judge:
        return Judge(Records(ca_file, by_domain={DOMAIN: partner}))

    def test_its_own_ca(self, ca_file: str, own_ca: Authority, tmp_path: Path) -> None:
        judge = self.judge(ca_file, Partner(str(tmp_path / "partner.pem")))
        assert judge.trust(own_ca.issue(DOMAIN).presented, DOMAIN).trusted

    def test_49_right_name_wrong_ca(self, ca_file: str, own_ca: Authority, tmp_path: Path) -> None:
        judge = self.judge(ca_file, Partner(str(tmp_path / "partner.pem")))
        trust = judge.trust(ROOT.issue(DOMAIN).presented, DOMAIN)
        assert (trust.trusted, trust.reason) == (False, "wrong_ca")
        assert "is not in the CA file of this partner" in trust.text

    def test_its_ca_says_nothing_about_others(self, ca_file: str, own_ca: Authority, tmp_path: Path) -> None:
        judge = self.judge(ca_file, Partner(str(tmp_path / "partner.pem")))
        assert judge.trust(own_ca.issue("other.example").presented, "other.example").reason == "unknown_ca"
        assert judge.trust(ROOT.issue("other.example").presented, "other.example").trusted

    def test_a_file_that_cannot_be_read_trusts_nobody(self, ca_file: str, tmp_path: Path) -> None:
        (tmp_path / "empty.pem").write_text("not a certificate")
        for name in ("empty.pem", "missing.pem"):
            judge = self.judge(ca_file, Partner(str(tmp_path / name)))
            assert judge.trust(ROOT.issue(DOMAIN).presented, DOMAIN).reason == "ca_file_unusable"
            assert any(name in problem for problem in judge.problems)
            assert judge.trust(ROOT.issue("other.example").presented, "other.example").trusted

    def test_a_leaf_in_the_ca_file_is_trusted_itself(self, ca_file: str, tmp_path: Path) -> None:
        pair = self_signed(DOMAIN, is_ca=True)
        (tmp_path / "leaf.pem").write_bytes(pair.cert_pem)
        assert self.judge(ca_file, Partner(str(tmp_path / "leaf.pem"))).trust(pair.presented, DOMAIN).trusted

    def test_pinned_leaf(self, ca_file: str) -> None:
        pair = ROOT.issue(DOMAIN)
        assert self.judge(ca_file, Partner(pins=("0" * 64, pair.pin))).trust(pair.presented, DOMAIN).trusted

    @pytest.mark.parametrize("which", [0, 1])
    def test_pinned_ca_of_the_path(self, ca_file: str, which: int) -> None:
        pair = ROOT.intermediate().issue(DOMAIN)
        wanted = pin((*pair.chain, ROOT.certificate)[which])
        assert self.judge(ca_file, Partner(pins=(wanted,))).trust(pair.presented, DOMAIN).trusted

    def test_another_key(self, ca_file: str) -> None:
        judge = self.judge(ca_file, Partner(pins=("0" * 64,)))
        assert judge.trust(ROOT.issue(DOMAIN).presented, DOMAIN).reason == "pin_mismatch"

    def test_a_pinned_key_that_is_only_presented_counts_for_nothing(self, ca_file: str) -> None:
        presented = (*ROOT.issue(DOMAIN).presented, STRANGER.certificate)
        assert self.judge(ca_file, Partner(pins=(STRANGER.pin,))).trust(presented, DOMAIN).reason == "pin_mismatch"

    def test_a_pin_stands_in_for_the_path_of_a_self_signed_certificate(self, ca_file: str) -> None:
        pair = self_signed(DOMAIN)
        trust = self.judge(ca_file, Partner(pins=(pair.pin,))).trust(pair.presented, DOMAIN)
        assert (trust.trusted, trust.reason) == (True, "pinned")

    def test_but_for_nothing_else(self, ca_file: str, own_ca: Authority, tmp_path: Path) -> None:
        for pair, reason in [
            (self_signed("other.example"), "name_mismatch"),
            (self_signed(DOMAIN, days=EXPIRED), "expired"),
            (self_signed(DOMAIN, key="rsa1024"), "weak_key"),
            (self_signed(DOMAIN, usages=[CLIENT]), "wrong_usage"),
            (STRANGER.issue(DOMAIN), "unknown_ca"),
        ]:
            judge = self.judge(ca_file, Partner(pins=(pair.pin,)))
            assert judge.trust(pair.presented, DOMAIN).reason == reason
        pair = self_signed(DOMAIN)
        bound = self.judge(ca_file, Partner(str(tmp_path / "partner.pem"), (pair.pin,)))
        assert not bound.trust(pair.presented, DOMAIN).trusted

    def test_issued_under_its_own_name_is_not_self_signed(self, ca_file: str) -> None:
        """A certificate whose issuer has the name of its subject, signed by another key."""
        root = Authority(DOMAIN)
        pair = root.issue(DOMAIN, common_name=DOMAIN)
        assert not self.judge(ca_file, Partner(pins=(pair.pin,))).trust(pair.presented, DOMAIN).trusted


def test_without_a_ca_file_the_system_is_asked(monkeypatch: pytest.MonkeyPatch, ca_file: str) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", ca_file)
    assert Judge(Records()).trust(ROOT.issue(DOMAIN).presented, DOMAIN).trusted
    assert Judge(Records()).trust(STRANGER.issue(DOMAIN).presented, DOMAIN).reason == "unknown_ca"


def test_a_host_without_cas_matters_only_to_those_who_are_judged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(ROOT.write(tmp_path / "ca.pem")))
    (tmp_path / "ca.pem").write_text("empty")
    for partner, told in [
        (Partner(), True),
        (Partner(auth_methods=("tls_dialback",)), False),
        (Partner(str(tmp_path / "own.pem")), True),
    ]:
        problems = Judge(Records(by_domain={DOMAIN: partner})).problems
        assert bool(problems) == told
        assert all("repair it and reload" in problem for problem in problems)


def test_trust_is_remembered_for_a_moment(ca_file: str) -> None:
    now = datetime.now(UTC)
    judge = Judge(Records(ca_file), now=lambda: now)
    pair = ROOT.issue(DOMAIN, days=(-1, 5 / 86400))
    first = judge.trust(pair.presented, DOMAIN)
    assert first.trusted
    assert judge.trust(list(pair.presented), DOMAIN) is first
    assert not judge.trust(pair.presented, "other.example").trusted
    now += timedelta(seconds=9)
    assert judge.trust(pair.presented, DOMAIN).trusted
    now += timedelta(seconds=2)
    assert judge.trust(pair.presented, DOMAIN).reason == "expired"
    now -= timedelta(days=3)  # nor does a clock that is set back bring it again
    assert judge.trust(pair.presented, DOMAIN).reason == "not_yet_valid"
    for _unused in range(300):
        judge.trust(ROOT.issue(DOMAIN, days=(-9, 9)).presented, DOMAIN)
    assert len(judge._trusted) <= 256


def test_the_store_of_this_host_can_be_read() -> None:
    judge = Judge(Records())
    assert judge.trust(ROOT.issue(DOMAIN).presented, DOMAIN).reason in ("unknown_ca", "ca_file_unusable")


def test_one_broken_certificate_does_not_spoil_a_file(tmp_path: Path) -> None:
    broken = b"-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n"
    (tmp_path / "ca.pem").write_bytes(broken + ROOT.pem + broken)
    assert Judge(Records(str(tmp_path / "ca.pem"))).trust(ROOT.issue(DOMAIN).presented, DOMAIN).trusted
