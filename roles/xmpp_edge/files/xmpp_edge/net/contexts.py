# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our own certificates, and the rules that every TLS connection of ours follows.

TLS 1.2 and 1.3 with ephemeral keys and authenticated ciphers only; no compression, no renegotiation, no resumption: a
partner that is struck off the list cannot come back by an old session.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL

from ..records.names import domain as ascii_domain
from ..records.names import unicode_domain
from . import identifiers
from .keys import is_slow
from .tls import Channel, TlsError, WrongProtocol

ALPN = b"xmpp-server"
_CIPHERS = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    b"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
_FIRST_USAGE = "external"
_PREVIOUS = ".previous"


class CertificateError(Exception):
    """Certificates of ours cannot be used; the text names each with its remedy."""


@dataclass(frozen=True)
class OwnCertificate:
    """One that is assigned, with the contexts made of it."""

    usage: str
    leaf: x509.Certificate
    fingerprint: str
    server: SSL.Context
    client: SSL.Context

    def covers(self, domain: str) -> bool:
        """Whether partners take it for this domain (A-labels)."""
        return identifiers.names(self.leaf, domain, unicode_domain(domain))

    def describe(self, now: datetime) -> dict[str, Any]:
        """For `xmpp-edge status`."""
        until = self.leaf.not_valid_after_utc
        return {
            "usage": self.usage,
            "names": _dns_names(self.leaf),
            "not_before": self.leaf.not_valid_before_utc.isoformat(),
            "not_after": until.isoformat(),
            "fingerprint": self.fingerprint,
            "days_left": (until - now).days,
        }


class Contexts:
    """All that is needed to make channels; immutable, so that a handshake under way ends with what it began with."""

    def __init__(self, certificates: Iterable[OwnCertificate] = ()) -> None:
        self.certificates: Sequence[OwnCertificate] = tuple(
            sorted(certificates, key=lambda one: (one.usage != _FIRST_USAGE, one.usage))
        )
        self._anonymous = _context()
        for certificate in self.certificates:
            certificate.server.set_tlsext_servername_callback(self._named)

    def server(self, *, direct: bool = False) -> Channel:
        """For a connection that came to us; raises TlsError when there is nothing to prove ourselves by."""
        if not self.certificates:
            raise TlsError("This edge has no certificate; assign one for the usage `external`.")
        context = self.certificates[0].server

        def make() -> SSL.Connection:
            engine = SSL.Connection(context, None)
            engine.set_accept_state()
            return engine

        return Channel(make, server=True, direct=direct)

    def client(self, local: str | None, remote: str, direct: bool = False) -> Channel:
        """For a connection that we have made, from a domain of ours to a partner's (both as in addresses)."""
        certificate = self._for(ascii_domain(local)) if local is not None else None
        context = certificate.client if certificate is not None else self._anonymous

        def make() -> SSL.Connection:
            engine = SSL.Connection(context, None)
            engine.set_connect_state()
            engine.set_tlsext_host_name(ascii_domain(remote).encode("ascii"))
            if direct:
                engine.set_alpn_protos([ALPN])
            return engine

        return Channel(make, server=False, direct=direct)

    def has_certificate(self, local: str | None = None) -> bool:
        """Whether there is one for this domain of ours (a U-label), or any at all."""
        if local is None:
            return bool(self.certificates)
        return self._for(ascii_domain(local)) is not None

    def describe(self) -> list[dict[str, Any]]:
        """For `xmpp-edge status`."""
        now = datetime.now(UTC)
        return [certificate.describe(now) for certificate in self.certificates]

    def _for(self, name: str) -> OwnCertificate | None:
        return next((certificate for certificate in self.certificates if certificate.covers(name)), None)

    def _named(self, engine: SSL.Connection) -> None:
        """The peer says whom it wants; who asks for nobody of ours gets the first certificate."""
        asked = engine.get_servername()
        if asked is None:
            return
        try:
            certificate = self._for(ascii_domain(asked.decode("ascii")))
        except ValueError:
            return
        if certificate is not None:
            engine.set_context(certificate.server)


def load(config_dir: Path) -> tuple[list[OwnCertificate], list[str]]:
    """The assigned certificates that can be used, and what is wrong with the others."""
    good: list[OwnCertificate] = []
    problems: list[str] = []
    assigned = config_dir / "assigned"
    try:
        # What begins with a dot is being written still, or was when a run broke off.
        names = (place.name for place in assigned.iterdir())
        places = sorted(assigned / name for name in names if not name.endswith(_PREVIOUS) and not name.startswith("."))
    except FileNotFoundError:
        return good, problems
    except OSError as problem:
        return good, [f"{assigned} cannot be read ({problem.strerror}); let the service's group read it."]
    for place in places:
        try:
            # Followed once: the link may lead elsewhere between two files.
            good.append(_read(place.name, place.resolve(strict=True)))
        except (OSError, ValueError, TypeError, SSL.Error) as problem:
            problems.append(f"The certificate assigned to {place.name} ({place}) cannot be used: {_why(problem)}")
    return good, problems


def _read(usage: str, place: Path) -> OwnCertificate:
    leaf = x509.load_pem_x509_certificate((place / "cert.pem").read_bytes())
    key = load_pem_private_key((place / "key.pem").read_bytes(), None)
    chain_file = place / "chain.pem"
    text = chain_file.read_bytes() if chain_file.exists() else b""
    chain = x509.load_pem_x509_certificates(text) if text.strip() else []
    if key.public_key() != leaf.public_key():
        raise ValueError("its key belongs to another certificate; import the certificate again.")
    contexts = [_context(), _context()]
    for context in contexts:
        context.use_certificate(leaf)
        context.use_privatekey(key)
        for link in chain:
            if link != leaf:
                context.add_extra_chain_cert(link)
    return OwnCertificate(
        usage=usage,
        leaf=leaf,
        fingerprint=leaf.fingerprint(SHA256()).hex(),
        server=_serving(contexts[0]),
        client=contexts[1],
    )


def _dns_names(leaf: x509.Certificate) -> list[str]:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return sorted(name.lower() for name in names.get_values_for_type(x509.DNSName))


def _why(problem: Exception) -> str:
    if isinstance(problem, SSL.Error):
        reasons = problem.args[0] if problem.args and isinstance(problem.args[0], list) else []
        return f"OpenSSL refuses it ({reasons[-1][2] if reasons else 'no reason given'}); issue a stronger one."
    if isinstance(problem, OSError):
        return f"{problem.filename}: {problem.strerror}; run the certificate stage of the playbook again."
    return str(problem)


def _context() -> SSL.Context:
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(_CIPHERS)
    context.set_options(
        SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_TICKET | SSL.OP_CIPHER_SERVER_PREFERENCE
    )
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    # Idle connections are most of what there is.
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    # OpenSSL would check every signature of the chain, for nothing; with depth 0 it is one, by a key that was seen.
    context.set_verify_depth(0)
    context.set_verify(SSL.VERIFY_PEER, _take_any)
    return context


def _serving(context: SSL.Context) -> SSL.Context:
    context.set_alpn_select_callback(_choose)
    return context


def _take_any(_engine: SSL.Connection, certificate: Any, _error: int, _depth: int, _ok: int) -> bool:
    """Never the check: that is the judge's, when the stream says who the peer is meant to be.

    But a key that makes a handshake cost a hundred times as much is refused before it is used.
    """
    try:
        return not is_slow(certificate.to_cryptography())
    except Exception:  # noqa: BLE001 - OpenSSL reads more than cryptography does
        return True


def _choose(_engine: SSL.Connection, offered: list[bytes]) -> bytes:
    if ALPN in offered:
        return ALPN
    # The same certificate may serve a web site; what is meant for that must not be taken for XMPP.
    names = ", ".join(name.decode("ascii", "backslashreplace") for name in offered[:4])
    raise WrongProtocol(f"the peer wants to speak {names}, and only {ALPN.decode()} is spoken here")
