# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates come from strangers: whatever is in them, the answer is a verdict, soon, in printable words."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from OpenSSL import SSL, crypto
from peers.authority import Authority, Pair, self_signed, srv_name, xmpp_addr
from peers.tls import context
from xmpp_edge.net import contexts
from xmpp_edge.net.contexts import Contexts
from xmpp_edge.net.identity import Judge
from xmpp_edge.net.tls import TlsError

from .test_identity import DOMAIN, Partner, Records
from .test_tls import Stranger, shake

ROOT = Authority("Root CA")
ISSUING = ROOT.intermediate(permitted=["example"])
SELF_SIGNED = self_signed(DOMAIN, is_ca=True)
MODELS = [
    ISSUING.issue(DOMAIN, srv_name(DOMAIN), xmpp_addr(DOMAIN), common_name=DOMAIN).presented,
    ISSUING.issue("*.partner.example", usages=None, key="ed25519").presented,
    SELF_SIGNED.presented,
]
DER = [[each.public_bytes(Encoding.DER) for each in model] for model in MODELS]


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Judge:
    directory = tmp_path_factory.mktemp("anchors")
    (directory / "crls").mkdir()
    (directory / "crls" / "root.pem").write_bytes(ROOT.crl())
    pinned = Partner(pins=("0" * 64,))
    return Judge(
        Records(str(ROOT.write(directory / "ca.pem")), by_domain={"pinned.example": pinned}), directory / "crls"
    )


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_broken_certificates_get_a_verdict(judge: Judge, data: st.DataObject) -> None:
    chain: list[x509.Certificate] = []
    for der in data.draw(st.sampled_from(DER)):
        spoiled = bytearray(der)
        for _unused in range(data.draw(st.integers(0, 3))):
            spoiled[data.draw(st.integers(0, len(spoiled) - 1))] = data.draw(st.integers(0, 255))
        # What cannot even be framed never leaves the TLS layer.
        with contextlib.suppress(ValueError, x509.InvalidVersion), warnings.catch_warnings(action="ignore"):
            chain.append(x509.load_der_x509_certificate(bytes(spoiled)))
    domain = data.draw(st.sampled_from([DOMAIN, "im.partner.example", "pinned.example", "bücher.example"]))
    trust = judge.trust(chain, domain)
    assert trust.reason.isidentifier()
    assert trust.text.isprintable()
    if trust.trusted:
        assert all(der in {bytes(one) for model in DER for one in model} for der in _der(chain[:1]))


@settings(max_examples=200)
@given(st.text(max_size=300), st.sampled_from(["dns", "srv", "xmpp"]))
def test_any_name_gets_a_verdict(judge: Judge, name: str, kind: str) -> None:
    made = {"dns": lambda: x509.DNSName(name), "srv": lambda: srv_name(name), "xmpp": lambda: xmpp_addr(name)}
    try:
        pair = ROOT.issue(made[kind]())
    except ValueError:
        return  # not even a name that can be written
    trust = judge.trust(pair.presented, DOMAIN)
    assert not trust.trusted
    assert trust.text.isprintable()
    assert len(trust.text) < 600


@pytest.mark.parametrize("domain", ["", ".", "a..b", "x" * 300, "\0", "xn--", "\ud800.example", "a b"])
def test_no_domain_breaks_it(judge: Judge, domain: str) -> None:
    assert not judge.trust(MODELS[0], domain).trusted


def _der(chain: Sequence[x509.Certificate]) -> list[bytes]:
    return [each.public_bytes(Encoding.DER) for each in chain]


def _same_name(count: int) -> tuple[x509.Certificate, ...]:
    """A leaf, and CAs that all have one name and one key and so could each have signed each other."""
    key = Authority("Loop")
    loops = []
    for _unused in range(count):
        loop = Authority("Loop", key)
        loop.key, loop.name = key.key, key.name
        loops.append(loop.certificate)
    return (*key.issue(DOMAIN).presented, *loops)


def _slow_authorities(count: int) -> tuple[x509.Certificate, ...]:
    """CAs with the name of the one that has signed the leaf, so that each key has to be tried."""
    slow = Authority("Issuing CA", key="slow")
    return tuple(Authority("Issuing CA", slow, key="slow").certificate for _unused in range(count))


def test_a_path_that_is_sent_twice_is_one_path(judge: Judge) -> None:
    presented = (*ISSUING.issue(DOMAIN).presented, ROOT.certificate)
    assert judge.trust(presented + presented[1:] * 2, DOMAIN).trusted


@pytest.mark.parametrize("server", [False, True], ids=["shown-by-a-server", "shown-by-a-client"])
@pytest.mark.parametrize("place", ["leaf", "above"])
def test_a_key_that_makes_handshakes_dear_is_not_used(tmp_path: Path, server: bool, place: str) -> None:
    """The handshake with it would take as long as a hundred others."""
    ROOT.issue("inside.example").write(tmp_path)
    good, _unused = contexts.load(tmp_path)
    ours = Contexts(good)
    channel = ours.server() if server else ours.client("inside.example", DOMAIN)
    leaf, above = ("slow", "ec") if place == "leaf" else ("ec", "slow")
    identity = Authority().intermediate(key=above).issue(DOMAIN, key=leaf)
    with pytest.raises(TlsError, match="RSA key is too large"):
        shake(channel, Stranger(identity, server=not server))


def _many_names(count: int) -> tuple[x509.Certificate, ...]:
    return ISSUING.issue(*(f"a{number}.example" for number in range(count))).presented


def _many_constraints() -> tuple[x509.Certificate, ...]:
    narrow = ROOT.intermediate(permitted=[f"a{number}.example" for number in range(1500)])
    return narrow.issue(*(f"b{number}.example" for number in range(1500))).presented


@pytest.mark.parametrize(
    ("chain", "reason"),
    [
        (lambda: _many_names(10_000), "chain_too_big"),
        (lambda: _many_names(5_000), "name_mismatch"),
        (_many_constraints, "name_constraints"),
        (lambda: _same_name(9), "chain_too_big"),
        (lambda: Authority("Slow", key="slow").issue(DOMAIN, key="slow").presented, "chain_too_big"),
        (lambda: (MODELS[0][0], *_slow_authorities(3)), "chain_too_big"),
        (lambda: (*MODELS[0], *[ROOT.certificate] * 500), "chain_too_long"),
        (lambda: ROOT.deeper(12).issue(DOMAIN).presented, "chain_too_long"),
        (lambda: Pair(ROOT.key, ROOT.issue(xmpp_addr("x" * 90_000)).certificate).presented, "name_mismatch"),
    ],
    ids=[
        "10000-names",
        "5000-names",
        "constraints",
        "loops",
        "slow",
        "slow-above",
        "500-certificates",
        "12-deep",
        "one-long-name",
    ],
)
def test_no_certificate_takes_long(judge: Judge, chain, reason: str) -> None:
    presented = chain()
    started = time.process_time()
    trust = judge.trust(presented, DOMAIN)
    assert (trust.reason, trust.trusted) == (reason, False)
    assert time.process_time() - started < 1.0  # the slowest takes 0.1 s, on a machine with other work


def _of_version(number: int) -> crypto.X509:
    """A certificate that OpenSSL takes and cryptography does not read at all."""
    version = bytes.fromhex("a003020102")
    tbs = DER[2][0]
    assert version in tbs
    return crypto.load_certificate(crypto.FILETYPE_ASN1, tbs.replace(version, version[:-1] + bytes((number,)), 1))


@pytest.mark.filterwarnings("ignore:Passing pyOpenSSL")
@pytest.mark.parametrize("server", [False, True], ids=["shown-by-a-server", "shown-by-a-client"])
def test_a_certificate_that_only_openssl_reads(judge: Judge, tmp_path: Path, server: bool) -> None:
    """It comes through the handshake, and then it proves nothing."""
    ROOT.issue("inside.example").write(tmp_path)
    good, problems = contexts.load(tmp_path)
    assert problems == []
    ours = Contexts(good)
    channel = ours.server() if server else ours.client("inside.example", DOMAIN)
    hostile = context(None, server=not server)
    hostile.use_certificate(_of_version(93))
    hostile.use_privatekey(crypto.PKey.from_cryptography_key(SELF_SIGNED.key))
    peer = Stranger()
    peer.tls = SSL.Connection(hostile, None)
    (peer.tls.set_connect_state if server else peer.tls.set_accept_state)()
    shake(channel, peer)
    facts = channel.facts(lambda: judge)
    trust = facts.judge(DOMAIN)
    assert (trust.trusted, trust.reason) == (False, "malformed")
    assert "InvalidVersion" in trust.text


def test_an_anchor_file_of_rubbish(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(bytes(range(256)) * 100)
    assert Judge(Records(str(tmp_path / "ca.pem"))).trust(MODELS[0], DOMAIN).reason == "ca_file_unusable"
