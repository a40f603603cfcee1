# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS without a socket: cipher text in, plain text out, and the other way round.

A channel only encrypts. The peer is asked for its certificate and every answer is taken; what it is worth is asked of
the judge when the stream wants to know, because that depends on the partner that the peer says it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from cryptography import x509
from OpenSSL import SSL

from ..stream.security import Tls, Trust

# More than any chain worth having; OpenSSL has bounds for single messages only.
_LONGEST_HANDSHAKE = 64 * 1024
# A record holds 16 KiB at most, so whoever sends this much without one byte of content sends key updates, empty records
# or asks for renegotiation, each of which costs us more than it costs the sender.
_LONGEST_SILENCE = 64 * 1024
_PIECE = 64 * 1024
_RECORD = 16 * 1024


class TlsError(Exception):
    """The channel is of no use any more; the text is for the audit."""


class WrongProtocol(Exception):
    """The peer wants to speak something that is not XMPP between servers."""


class Judging(Protocol):
    """What a channel needs of the judge of certificates."""

    def trust(self, chain: Sequence[x509.Certificate], domain: str) -> Trust:
        """Whether this chain, leaf first, proves the domain (a U-label)."""


class Channel:
    """One TLS connection. ``make`` gives the OpenSSL object, when the first bytes come or go and not before.

    After ``receive``, ``send`` and ``close``, also after those that failed, what ``outgoing`` gives has to be sent.
    """

    def __init__(self, make: Callable[[], SSL.Connection], *, server: bool, direct: bool) -> None:
        self.server = server
        self.direct = direct
        self.done = False
        """The handshake is over: plain text may be sent."""
        self.ended = False
        """The peer has said that it sends no more (close_notify)."""
        self.failed = False
        self.name: str | None = None
        """Version and cipher, in one line for people; known when the handshake is over."""
        self._make = make
        self._ssl: SSL.Connection | None = None
        self._received = 0
        """Bytes of the handshake, and then bytes since the last plain text."""

    def start(self) -> None:
        """The client speaks first."""
        self._engine()
        self._handshake()

    def receive(self, data: bytes) -> bytes:
        """The plain text in this cipher text; raises TlsError."""
        if self.failed or self.ended or not data:
            return b""
        engine = self._engine()
        self._received += len(data)
        engine.bio_write(data)
        if not self.done:
            self._handshake()
            if not self.done:
                if self._received > _LONGEST_HANDSHAKE:
                    raise self._failure("The TLS handshake is longer than any that ends well.")
                return b""
            self._received = 0
        plain = self._read(engine)
        if plain:
            self._received = 0
        elif self._received > _LONGEST_SILENCE:
            raise self._failure("The peer sends TLS records without content.")
        return plain

    def send(self, plain: bytes) -> bytes:
        """Encrypt, and give the cipher text with all else that has to go out."""
        engine = self._engine()
        try:
            # One `send` ends after one record.
            engine.sendall(plain)
        except SSL.Error as problem:
            raise self._failure(_explain(problem)) from problem
        return self.outgoing()

    def outgoing(self) -> bytes:
        """Cipher text to be sent."""
        if self._ssl is None:
            return b""
        pieces: list[bytes] = []
        try:
            while not pieces or len(pieces[-1]) == _PIECE:
                pieces.append(self._ssl.bio_read(_PIECE))
        except SSL.WantReadError:
            pass
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        """Say that we send no more."""
        if self._ssl is None or self.failed or not self.done:
            return
        try:
            self._ssl.shutdown()
        except SSL.Error:
            # It is over anyway.
            self.failed = True

    def drop(self) -> None:
        """The connection is gone: let go of what weighs most, for the rest holds itself until the collector comes."""
        self.failed = True
        self._ssl = None

    def certificates(self) -> list[x509.Certificate]:
        """All that the peer has presented, its own first; may raise where that cannot be read."""
        if self._ssl is None:
            return []
        chain: list[x509.Certificate] = self._ssl.get_peer_cert_chain(as_cryptography=True) or []
        if not self.server:
            return chain
        # On this side OpenSSL leaves the peer's own certificate out of its chain.
        leaf = self._ssl.get_peer_certificate(as_cryptography=True)
        return [leaf, *chain] if leaf is not None else []

    def certificate(self) -> x509.Certificate | None:
        """What the peer has presented for itself; raises ValueError where that cannot be read."""
        return self._ssl.get_peer_certificate(as_cryptography=True) if self._ssl is not None else None

    def facts(self, judge: Callable[[], Judging | None]) -> Tls:
        """What the stream is told; ``judge`` gives the one in force whenever the stream asks."""
        engine = self._engine()
        peer = _Peer(self, judge)
        return Tls(
            version=engine.get_protocol_version_name(),
            cipher=engine.get_cipher_name() or "",
            direct=self.direct,
            certificate=engine.get_peer_certificate() is not None,
            judge=peer.trust,
        )

    # inside

    def _engine(self) -> SSL.Connection:
        if self._ssl is None:
            self._ssl = self._make()
        return self._ssl

    def _handshake(self) -> None:
        engine = self._engine()
        try:
            engine.do_handshake()
        except SSL.WantReadError:
            return
        except (SSL.Error, WrongProtocol) as problem:
            raise self._failure(_explain(problem)) from problem
        self.name = f"{engine.get_protocol_version_name()} {engine.get_cipher_name()}"
        self.done = True

    def _read(self, engine: SSL.Connection) -> bytes:
        pieces: list[bytes] = []
        try:
            while True:
                pieces.append(engine.recv(_RECORD))
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self.ended = True
        except (SSL.Error, WrongProtocol) as problem:
            raise self._failure(_explain(problem)) from problem
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _failure(self, text: str) -> TlsError:
        self.failed = True
        return TlsError(text)


class _Peer:
    """The certificates that the peer has shown, read when somebody asks."""

    def __init__(self, channel: Channel, judge: Callable[[], Judging | None]) -> None:
        self._channel = channel
        self._judge = judge
        self._chain: list[x509.Certificate] | None = None

    def trust(self, domain: str) -> Trust:
        judge = self._judge()
        if judge is None:
            return Trust(trusted=False, reason="no_judge", text="this edge judges no certificates")
        try:
            if self._chain is None:
                self._chain = self._channel.certificates()
        except Exception as problem:  # noqa: BLE001 - OpenSSL reads more than cryptography, which has many words for no
            text = f"the certificate cannot be read ({type(problem).__name__})"
            return Trust(trusted=False, reason="malformed", text=text)
        return judge.trust(self._chain, domain)


_ALERT = re.compile(r"(?:ssl/tls|sslv3|tls|tlsv1|tlsv13) (?:alert )?")
_REASONS = {
    "wrong version number": "what came was not TLS",
    "packet length too long": "what came was not TLS",
    "http request": "what came was HTTP",
    "https proxy request": "what came was HTTP",
    "unsupported protocol": "the peer offers no version of TLS from 1.2 on; it has to be updated",
    "version too low": "the peer offers no version of TLS from 1.2 on; it has to be updated",
    "no shared cipher": "the peer offers no cipher that is still safe; it has to be updated",
    "no suitable signature algorithm": "the peer takes no signature of our kind of key; it has to be updated",
    "certificate verify failed": "the peer's RSA key is too large, or has an unusual exponent; it needs another one",
    "unexpected eof while reading": "the connection ended in the middle",
}
_ALERTS = {
    "handshake failure": "the peer found nothing in common, or misses a certificate of ours",
    "bad certificate": "the peer calls our certificate bad; look at it and at its chain",
    "unsupported certificate": "the peer takes no certificate for such a purpose or with such a key as ours",
    "certificate revoked": "the peer says that our certificate is revoked; issue a new one",
    "certificate expired": "the peer says that our certificate has expired; renew it, or look at the peer's clock",
    "certificate unknown": "the peer does not take our certificate, without a reason",
    "unknown ca": "the peer does not trust the CA of our certificate; look at its chain",
    "access denied": "the peer denies us access",
    "protocol version": "the peer takes no version of TLS from 1.2 on; it has to be updated",
    "insufficient security": "the peer wants stronger ciphers than there are in common",
    "internal error": "the peer reports a fault of its own",
    "unrecognized name": "the peer has no certificate for the name that we asked for",
    "certificate required": "the peer demands a certificate of ours; assign one for the usage `external`",
    "no application protocol": "the peer does not speak XMPP between servers there",
}


def _explain(problem: Exception) -> str:
    """A sentence about what OpenSSL says in a few words."""
    if isinstance(problem, WrongProtocol):
        return f"TLS failed: {problem}."
    arguments: tuple[Any, ...] = problem.args
    if isinstance(problem, SSL.ZeroReturnError):
        return "TLS failed: the peer ended it in the middle of the handshake."
    if isinstance(problem, SSL.SysCallError) or not arguments or not isinstance(arguments[0], list):
        return "TLS failed: the connection ended in the middle."
    # The first is where it went wrong, the others are what that led to.
    reason = str(arguments[0][0][2]).lower() if arguments[0] else "an unknown reason"
    alert = _ALERT.match(reason)
    known = _ALERTS.get(reason[alert.end() :]) if alert is not None else _REASONS.get(reason)
    return f"TLS failed: {known or reason}."
