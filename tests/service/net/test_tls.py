# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS without a socket: what a channel takes, what it refuses, and which certificate it shows to whom."""

from __future__ import annotations

import contextlib
import os
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import SSL
from peers.authority import CLIENT, SERVER, Authority, Pair, self_signed, srv_name, xmpp_addr
from peers.tls import ALPN, DEFAULT, Options, context
from xmpp_edge.net import contexts
from xmpp_edge.net.contexts import Contexts
from xmpp_edge.net.tls import Channel, TlsError
from xmpp_edge.stream.security import Trust

OURS, THEIRS = "inside.example", "partner.example"
SPOILT = self_signed(THEIRS)


class Stranger:
    """The other end, by OpenSSL alone, with nothing of ours in it."""

    def __init__(self, identity: Pair | None = None, options: Options = DEFAULT, *, server: bool = False) -> None:
        self.tls = SSL.Connection(context(identity, options, server=server), None)
        if options.sni:
            self.tls.set_tlsext_host_name(options.sni.encode("latin-1"))
        if server:
            self.tls.set_accept_state()
        else:
            self.tls.set_connect_state()
        self.problem: SSL.Error | None = None

    def step(self, data: bytes) -> bytes:
        if data:
            self.tls.bio_write(data)
        try:
            self.tls.do_handshake()
        except SSL.WantReadError:
            pass
        except SSL.Error as problem:
            self.problem = problem
        return self.outgoing()

    def outgoing(self) -> bytes:
        try:
            return self.tls.bio_read(1 << 20)
        except SSL.WantReadError:
            return b""

    def say(self, data: bytes) -> bytes:
        self.tls.send(data)
        return self.outgoing()

    def hear(self, data: bytes) -> bytes:
        self.tls.bio_write(data)
        return self.tls.recv(1 << 20)


def shake(channel: Channel, peer: Stranger) -> None:
    """Carry the bytes to and fro until nobody has any."""
    if not channel.server:
        channel.start()
    try:
        while True:
            ours = channel.outgoing()
            theirs = peer.step(ours)
            if not ours and not theirs:
                break
            if theirs:
                channel.receive(theirs)
    finally:
        peer.step(channel.outgoing())
    if peer.problem is not None:
        raise peer.problem


def feed(channel: Channel, data: bytes) -> None:
    for start in range(0, len(data), 1000):
        assert channel.receive(data[start : start + 1000]) == b""


class Judge:
    def __init__(self) -> None:
        self.asked: list[tuple[list[str], str]] = []

    def trust(self, chain, domain: str) -> Trust:
        self.asked.append(([certificate.subject.rfc4514_string() for certificate in chain], domain))
        return Trust(trusted=bool(chain), reason="test")


@pytest.fixture(scope="module")
def root() -> Authority:
    return Authority("Root")


def load(place: Path, **pairs: Pair) -> Contexts:
    for usage, pair in pairs.items():
        pair.write(place, usage)
    good, problems = contexts.load(place)
    assert problems == []
    return Contexts(good)


@pytest.fixture
def own(root, tmp_path) -> Contexts:
    return load(tmp_path, external=root.intermediate().issue(OURS, common_name=OURS))


def test_both_directions_and_what_is_told(own, root):
    judge = Judge()
    channel, peer = own.server(), Stranger(root.intermediate().issue(THEIRS, common_name=THEIRS))
    shake(channel, peer)
    facts = channel.facts(lambda: judge)
    assert (facts.version, facts.direct, facts.certificate) == ("TLSv1.3", False, True)
    assert facts.judge(THEIRS).trusted
    assert judge.asked == [([f"CN={THEIRS}", "CN=Issuing CA"], THEIRS)]
    assert channel.receive(peer.say(b"hello")) == b"hello"
    peer.tls.bio_write(channel.send(b"x" * 100_000))
    assert b"".join(peer.tls.recv(20_000) for _unused in range(7)) == b"x" * 100_000

    channel, peer = own.client(OURS, THEIRS), Stranger(root.intermediate().issue(common_name=THEIRS), server=True)
    shake(channel, peer)
    assert channel.facts(lambda: judge).judge(THEIRS).trusted
    assert judge.asked[-1] == ([f"CN={THEIRS}", "CN=Issuing CA"], THEIRS)
    assert peer.tls.get_servername() == THEIRS.encode()
    assert peer.tls.get_peer_certificate(as_cryptography=True).subject.rfc4514_string() == f"CN={OURS}"
    assert len(peer.tls.get_peer_cert_chain()) == 1


@pytest.mark.parametrize("kind", ["nothing", "self-signed", "server only", "client only", "expired", "weak"])
def test_every_certificate_passes_the_handshake_and_none_is_trusted_by_it(own, root, kind):
    identity = {
        "nothing": None,
        "self-signed": self_signed(THEIRS),
        "server only": root.issue(THEIRS, usages=[SERVER]),
        "client only": root.issue(THEIRS, usages=[CLIENT]),
        "expired": root.issue(THEIRS, days=(-30, -1)),
        "weak": root.issue(THEIRS, key="rsa1024"),
    }[kind]
    channel = own.server()
    shake(channel, Stranger(identity, Options(ciphers=b"DEFAULT:@SECLEVEL=0")))
    facts = channel.facts(lambda: None)
    assert facts.certificate == (identity is not None)
    assert facts.judge(THEIRS) == Trust(False, "no_judge", "this edge judges no certificates")


def test_without_a_certificate_the_judge_gets_an_empty_chain(own):
    judge, channel = Judge(), own.server()
    shake(channel, Stranger())
    assert not channel.facts(lambda: judge).judge(THEIRS).trusted
    assert judge.asked == [([], THEIRS)]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (Options(lowest=SSL.TLS1_VERSION, highest=SSL.TLS1_VERSION), "no version of TLS from 1.2"),
        (Options(lowest=SSL.TLS1_VERSION, highest=SSL.TLS1_1_VERSION), "no version of TLS from 1.2"),
        (Options(highest=SSL.TLS1_2_VERSION, ciphers=b"AES128-SHA:@SECLEVEL=0"), "no cipher"),
        (Options(highest=SSL.TLS1_2_VERSION, ciphers=b"AES128-GCM-SHA256:@SECLEVEL=0"), "no cipher"),
        (Options(highest=SSL.TLS1_2_VERSION, ciphers=b"ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"), "no cipher"),
        (Options(highest=SSL.TLS1_2_VERSION, ciphers=b"aNULL:@SECLEVEL=0"), "no cipher"),
    ],
)
def test_what_is_old_or_weak_finds_no_handshake(own, options, why):
    channel = own.server()
    with pytest.raises(TlsError, match=why):
        shake(channel, Stranger(None, options))
    assert not channel.done


def test_tls_1_2_is_spoken_with_forward_secrecy(own):
    channel = own.server()
    shake(channel, Stranger(None, Options(highest=SSL.TLS1_2_VERSION)))
    facts = channel.facts(lambda: None)
    assert facts.version == "TLSv1.2"
    assert facts.cipher.startswith("ECDHE-")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_no_session_is_resumed(own, version):
    asking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    asking.check_hostname, asking.verify_mode, asking.maximum_version = False, ssl.CERT_NONE, version
    session = None
    for _unused in range(2):
        into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
        peer, channel = asking.wrap_bio(into, out, session=session), own.server()
        for _step in range(4):
            with contextlib.suppress(ssl.SSLWantReadError):
                peer.do_handshake()
            channel.receive(out.read())
            into.write(channel.outgoing())
        into.write(channel.send(b"after any ticket"))
        assert peer.read(100) == b"after any ticket"
        assert not peer.session_reused
        session = peer.session


def test_renegotiation_is_refused(own):
    channel, peer = own.server(), Stranger(None, Options(highest=SSL.TLS1_2_VERSION))
    shake(channel, peer)
    peer.tls.renegotiate()
    assert channel.receive(peer.step(b"")) == b""
    peer.step(channel.outgoing())
    assert "no renegotiation" in str(peer.problem)
    assert channel.done


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [((ALPN,), ALPN), ((b"h2", ALPN), ALPN), ((), b"")],
)
def test_alpn_is_answered(own, offered, chosen):
    channel, peer = own.server(direct=True), Stranger(None, Options(alpn=offered))
    shake(channel, peer)
    assert peer.tls.get_alpn_proto_negotiated() == chosen


@pytest.mark.parametrize("offered", [(b"h2",), (b"http/1.1", b"xmpp-client")])
def test_another_protocol_is_refused(own, offered):
    channel = own.server(direct=True)
    with pytest.raises(TlsError, match=f"speak {offered[0].decode()}"):
        shake(channel, Stranger(None, Options(alpn=offered)))


def test_alpn_is_offered_on_direct_tls_only(own, root):
    for direct, chosen in ((True, ALPN), (False, b"")):
        peer = Stranger(root.issue(THEIRS), server=True)
        shake(own.client(OURS, THEIRS, direct), peer)
        assert peer.tls.get_alpn_proto_negotiated() == chosen


def test_a_server_without_alpn_is_fine(own, root):
    peer = Stranger(root.issue(THEIRS), server=True)
    channel = own.client(OURS, THEIRS, direct=True)
    shake(channel, peer)
    assert channel.done


def test_names_go_out_as_a_labels(own, root):
    peer = Stranger(root.issue(THEIRS), server=True)
    shake(own.client(None, "bücher.example"), peer)
    assert peer.tls.get_servername() == b"xn--bcher-kva.example"


def test_the_name_asked_for_chooses_the_certificate(root, tmp_path):
    own = load(
        tmp_path,
        external=root.issue(OURS, common_name="first"),
        second=root.issue("second.example", "*.third.example", common_name="second"),
    )
    for asked, shown in {
        OURS: "first",
        "third.second.example": "first",
        "b\xfccher.example": "first",
        "xn--.example": "first",
        "." * 200: "first",
        "second.example": "second",
        "SECOND.example": "second",
        "chat.third.example": "second",
        "a.chat.third.example": "first",
        "third.example": "first",
        "nobody.example": "first",
        None: "first",
    }.items():
        channel, peer = own.server(), Stranger(None, Options(sni=asked))
        shake(channel, peer)
        certificate = peer.tls.get_peer_certificate(as_cryptography=True)
        assert certificate.subject.rfc4514_string() == f"CN={shown}", asked


def test_our_domain_chooses_the_certificate(root, tmp_path):
    own = load(
        tmp_path,
        external=root.issue(OURS, common_name="first"),
        second=root.issue("second.example", common_name="second"),
        third=root.issue(srv_name("srv.example"), xmpp_addr("bücher.example"), common_name="third"),
    )
    for local, shown in {
        OURS: "CN=first",
        "second.example": "CN=second",
        "srv.example": "CN=third",
        "bücher.example": "CN=third",
        "third.example": None,
        None: None,
    }.items():
        peer = Stranger(root.issue(THEIRS), server=True)
        shake(own.client(local, THEIRS), peer)
        certificate = peer.tls.get_peer_certificate(as_cryptography=True)
        assert (certificate and certificate.subject.rfc4514_string()) == shown
    assert own.has_certificate()
    assert own.has_certificate("second.example")
    assert not own.has_certificate("third.example")


def test_without_a_certificate_we_can_still_encrypt(root):
    own = Contexts()
    assert not own.has_certificate()
    channel = own.client(OURS, THEIRS)
    shake(channel, Stranger(root.issue(THEIRS), server=True))
    assert channel.done


@pytest.mark.parametrize(
    "garbage",
    [
        b"<stream:stream xmlns='jabber:server'>",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\xff\xff" + b"x" * 70_000,
        os.urandom(64),
    ],
    ids=["xml", "http", "long", "noise"],
)
def test_garbage_is_no_handshake(own, garbage):
    channel = own.server()
    with pytest.raises(TlsError):
        feed(channel, garbage)
    assert channel.failed
    assert channel.receive(b"more") == b""


def test_a_handshake_is_bounded(own):
    channel = own.server()
    # A certificate message that never ends, in records that are each in order, can only come after a sound hello.
    hello = Stranger().step(b"")
    channel.receive(hello)
    with pytest.raises(TlsError):
        feed(channel, b"\x14\x03\x03\x00\x01\x01" * 30_000)


class Forger:
    """Writes records of TLS 1.3 with its own hands, as OpenSSL never would: empty ones, and key updates without end."""

    def __init__(self, secrets: dict[str, bytes]) -> None:
        self._use(secrets["CLIENT_TRAFFIC_SECRET_0"])

    def _use(self, secret: bytes) -> None:
        self._secret, self._number = secret, 0
        self._key, self._iv = AESGCM(self._expand(b"key", 16)), self._expand(b"iv", 12)

    def _expand(self, label: bytes, size: int) -> bytes:
        name = b"tls13 " + label
        info = size.to_bytes(2, "big") + bytes((len(name),)) + name + b"\0"
        return HKDFExpand(SHA256(), size, info).derive(self._secret)

    def record(self, kind: int, content: bytes) -> bytes:
        head = b"\x17\x03\x03" + (len(content) + 17).to_bytes(2, "big")
        mask = int.from_bytes(self._iv, "big") ^ self._number
        self._number += 1
        return head + self._key.encrypt(mask.to_bytes(12, "big"), content + bytes((kind,)), head)

    def key_update(self) -> bytes:
        data = self.record(22, b"\x18\0\0\x01\x01")
        self._use(self._expand(b"traffic upd", 32))
        return data


@pytest.fixture
def forged(own) -> tuple[Channel, Forger]:
    secrets: dict[str, bytes] = {}

    def note(_engine: SSL.Connection, line: bytes) -> None:
        name, _unused, secret = line.split()
        secrets[name.decode()] = bytes.fromhex(secret.decode())

    made = context(None, server=False)
    made.set_keylog_callback(note)
    made.set_tls13_ciphersuites(b"TLS_AES_128_GCM_SHA256")
    channel, peer = own.server(), Stranger()
    peer.tls = SSL.Connection(made, None)
    peer.tls.set_connect_state()
    shake(channel, peer)
    forger = Forger(secrets)
    assert channel.receive(forger.record(23, b"by hand")) == b"by hand"
    return channel, forger


@pytest.mark.parametrize("what", ["key updates", "empty records"])
def test_records_without_content_are_bounded(forged, what):
    channel, forger = forged

    def flood() -> None:
        for _unused in range(4000):
            assert channel.receive(forger.key_update() if what == "key updates" else forger.record(23, b"")) == b""
            assert len(channel.outgoing()) < 100

    with pytest.raises(TlsError):
        flood()


def test_key_updates_between_content_are_in_order(forged):
    channel, forger = forged
    for number in range(5000):
        assert channel.receive(forger.key_update()) == b""
        assert channel.receive(forger.record(23, b"%d" % number)) == b"%d" % number
    assert channel.send(b"x")


def test_close_notify_ends_both_ways(own):
    channel, peer = own.server(), Stranger()
    shake(channel, peer)
    peer.tls.shutdown()
    assert channel.receive(peer.outgoing()) == b""
    assert channel.ended
    channel.close()
    peer.tls.bio_write(channel.outgoing())
    with pytest.raises(SSL.ZeroReturnError):
        peer.tls.recv(10)


def test_close_notify_in_the_handshake_is_a_failure(own):
    channel = own.server()
    with pytest.raises(TlsError):
        channel.receive(b"\x15\x03\x01\x00\x02\x01\x00")


def test_content_before_a_close_notify_is_not_lost(own):
    channel, peer = own.server(), Stranger()
    shake(channel, peer)
    data = peer.say(b"last words")
    peer.tls.shutdown()
    assert channel.receive(data + peer.outgoing()) == b"last words"
    assert channel.ended


@pytest.mark.parametrize(
    ("alert", "told"),
    [
        (40, "misses a certificate of ours"),
        (42, "calls our certificate bad"),
        (43, "for such a purpose"),
        (44, "is revoked"),
        (45, "has expired; renew it"),
        (46, "without a reason"),
        (48, "does not trust the CA of our certificate"),
        (49, "denies us access"),
        (70, "has to be updated"),
        (71, "stronger ciphers"),
        (80, "a fault of its own"),
        (112, "no certificate for the name"),
        (116, "assign one for the usage"),
        (120, "does not speak XMPP"),
        (10, "unexpected message"),
        (255, "TLS failed: "),
    ],
)
def test_what_the_peer_says_by_an_alert_is_told_in_words(alert, told):
    channel = Contexts().client(None, THEIRS)
    channel.start()
    with pytest.raises(TlsError, match=told):
        channel.receive(bytes((0x15, 3, 3, 0, 2, 2, alert)))


@pytest.fixture(scope="module")
def lasting(root, tmp_path_factory) -> Contexts:
    return load(tmp_path_factory.mktemp("own"), external=root.issue(OURS))


PARTS = st.integers(0, 9_999)
"""Places as parts of a length, because no two handshakes have the same."""


@given(
    server=st.booleans(),
    highest=st.sampled_from((SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION)),
    step=st.integers(0, 3),
    place=PARTS,
    cut=PARTS,
    gone=st.integers(0, 3),
    put=st.binary(max_size=3),
)
def test_spoiled_bytes_are_a_failure_of_tls_and_nothing_else(lasting, server, highest, step, place, cut, gone, put):
    """At any step of either side: a byte changed, some left out, some put in, and the flight cut in two."""
    channel = lasting.server() if server else lasting.client(OURS, THEIRS)
    peer = Stranger(SPOILT, Options(highest=highest, sni=OURS), server=not server)
    if not server:
        channel.start()
    with contextlib.suppress(TlsError):
        for number in range(6):
            theirs = bytearray(peer.step(channel.outgoing()))
            if number == step:
                begin = len(theirs) * place // 10_000
                theirs[begin : begin + gone] = put
            where = len(theirs) * cut // 10_000
            assert channel.receive(bytes(theirs[:where])) + channel.receive(bytes(theirs[where:])) == b""
    if channel.done:
        assert not channel.facts(lambda: None).judge(THEIRS).trusted


# Our own certificates


def test_nothing_assigned_is_no_problem(tmp_path):
    assert contexts.load(tmp_path) == ([], [])


def test_what_cannot_be_used_is_named_and_the_rest_is_used(root, tmp_path):
    root.issue(OURS).write(tmp_path)
    place = root.issue(OURS).write(tmp_path, "other").resolve()
    (place / "key.pem").write_bytes(root.issue(OURS).key_pem)
    place = root.issue(OURS).write(tmp_path, "third").resolve()
    (place / "key.pem").unlink()
    place = root.issue(OURS).write(tmp_path, "fourth").resolve()
    (place / "cert.pem").write_text("no certificate")
    root.issue(OURS, key="rsa1024").write(tmp_path, "weak")
    root.issue(OURS).write(tmp_path, "external.previous")
    good, problems = contexts.load(tmp_path)
    assert [certificate.usage for certificate in good] == ["external"]
    assert [problem.partition(" (")[0] for problem in problems] == [
        f"The certificate assigned to {usage}" for usage in ("fourth", "other", "third", "weak")
    ]
    assert "key belongs to another" in problems[1]
    assert "key.pem: No such file" in problems[2]
    assert "too small" in problems[3]


def test_what_is_in_use_is_described(own):
    (told,) = own.describe()
    assert told["usage"] == "external"
    assert told["names"] == [OURS]
    assert told["days_left"] == 29
    assert len(told["fingerprint"]) == 64
