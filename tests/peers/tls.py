# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS under a stand-in's connection, as client or server, with any certificate and with no opinion on the other's.

A stand-in presents what a test tells it and accepts whatever it gets: judging is the business of the server under test.
What the other side did show is kept, so that a test can state it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from OpenSSL import SSL

ALPN = b"xmpp-server"
_AT_ONCE = 65536


class TlsError(ConnectionError):
    """The handshake failed, or the connection broke under it."""


class Identity(Protocol):
    """A key and its certificates, the leaf first."""

    @property
    def key(self) -> PrivateKeyTypes: ...

    @property
    def presented(self) -> Sequence[x509.Certificate]: ...


@dataclass(frozen=True)
class Options:
    """What a test may want to be otherwise in one handshake."""

    lowest: int = SSL.TLS1_2_VERSION
    highest: int = SSL.TLS1_3_VERSION
    ciphers: bytes | None = None
    alpn: tuple[bytes, ...] = ()
    sni: str | None = None
    again: SSL.Connection | None = None  # be the same party as in this earlier connection, and take its session up
    ask: bool = True  # a server asks for the client's certificate


DEFAULT = Options()


def context(identity: Identity | None, options: Options = DEFAULT, *, server: bool) -> SSL.Context:
    """What one handshake needs."""
    made = SSL.Context(SSL.TLS_METHOD)
    made.set_min_proto_version(options.lowest)
    made.set_max_proto_version(options.highest)
    # What is obsolete and weak has to be asked for; refusing it is the other side's part.
    made.set_cipher_list(
        options.ciphers or (b"ALL" if options.lowest < SSL.TLS1_2_VERSION else b"DEFAULT") + b":@SECLEVEL=0"
    )
    if identity is not None:
        made.use_certificate(identity.presented[0])
        for certificate in identity.presented[1:]:
            made.add_extra_chain_cert(certificate)
        made.use_privatekey(identity.key)
    if server:
        made.set_session_id(b"stand-in")
        made.set_alpn_select_callback(_select)
        if options.ask:
            made.set_verify(SSL.VERIFY_PEER, lambda *_unused: True)
    else:
        made.set_verify(SSL.VERIFY_NONE, lambda *_unused: True)
        if options.alpn:
            made.set_alpn_protos(list(options.alpn))
    return made


def _select(_connection: SSL.Connection, offered: list[bytes]) -> bytes | object:
    return ALPN if ALPN in offered else SSL.NO_OVERLAPPING_PROTOCOLS


class SecureStream:
    """A TLS session over a stream pair, with the methods of both its reader and its writer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tls: SSL.Connection) -> None:
        self._reader, self._writer, self.tls = reader, writer, tls
        self.transport = writer.transport

    @classmethod
    async def start(
        cls,
        reader: asyncio.StreamReader | SecureStream,
        writer: asyncio.StreamWriter | SecureStream,
        identity: Identity | None,
        options: Options = DEFAULT,
        *,
        server: bool,
    ) -> SecureStream:
        """Shake hands in one of the two roles; TlsError when the other side will not have it."""
        assert isinstance(reader, asyncio.StreamReader)
        assert isinstance(writer, asyncio.StreamWriter)
        again = options.again
        tls = SSL.Connection(again.get_context() if again else context(identity, options, server=server), None)
        if server:
            tls.set_accept_state()
            return await cls(reader, writer, tls)._shaken()
        if options.sni:
            tls.set_tlsext_host_name(options.sni.encode("idna"))
        if again is not None and (session := again.get_session()) is not None:
            tls.set_session(session)
        tls.set_connect_state()
        return await cls(reader, writer, tls)._shaken()

    async def _shaken(self) -> SecureStream:
        while True:
            try:
                self.tls.do_handshake()
            except SSL.WantReadError:
                await self._flush()
                await self._more()
            except SSL.Error as problem:
                await self._flush()
                raise TlsError(f"handshake: {problem}") from problem
            else:
                await self._flush()
                return self

    # What was seen of the other side

    @property
    def peer_chain(self) -> list[x509.Certificate]:
        """What the other side presented, leaf first; empty when it presented nothing."""
        leaf = self.tls.get_peer_certificate(as_cryptography=True)
        chain = self.tls.get_peer_cert_chain(as_cryptography=True) or []
        return chain if leaf is None or leaf in chain else [leaf, *chain]

    @property
    def version(self) -> str:
        return self.tls.get_protocol_version_name()

    @property
    def resumed(self) -> bool:
        """Whether the handshake was a short one, on top of an earlier session."""
        return bool(SSL._lib.SSL_session_reused(self.tls._ssl))

    @property
    def sni(self) -> str | None:
        """The name that a client asked for."""
        name = self.tls.get_servername()
        return name.decode() if name else None

    @property
    def alpn(self) -> bytes:
        return self.tls.get_alpn_proto_negotiated()

    # A reader

    async def read(self, most: int = _AT_ONCE) -> bytes:
        while True:
            try:
                data = self.tls.recv(most)
            except SSL.WantReadError:
                await self._flush()
                try:
                    await self._more()
                except TlsError:
                    return b""
            except (SSL.ZeroReturnError, SSL.Error):
                return b""
            else:
                await self._flush()
                return data

    # A writer

    def write(self, data: bytes) -> None:
        for start in range(0, len(data), 16384):
            try:
                self.tls.sendall(data[start : start + 16384])
            except SSL.Error as problem:
                raise TlsError(str(problem)) from problem
            self._writer.write(self._waiting())

    async def drain(self) -> None:
        await self._writer.drain()

    def write_eof(self) -> None:
        """TLS says that it is over; the connection itself stays."""
        with contextlib.suppress(SSL.Error):
            self.tls.shutdown()
        self._writer.write(self._waiting())

    def is_closing(self) -> bool:
        return self._writer.is_closing()

    def close(self) -> None:
        if not self._writer.is_closing():
            self.write_eof()
        self._writer.close()

    async def wait_closed(self) -> None:
        await self._writer.wait_closed()

    def get_extra_info(self, name: str) -> object:
        return self._writer.get_extra_info(name)

    def raw(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The connection below, for bytes that TLS would never send."""
        return self._reader, self._writer

    # The bytes below

    def _waiting(self) -> bytes:
        pieces = []
        with contextlib.suppress(SSL.WantReadError, SSL.Error):
            while piece := self.tls.bio_read(_AT_ONCE):
                pieces.append(piece)
        return b"".join(pieces)

    async def _flush(self) -> None:
        if data := self._waiting():
            self._writer.write(data)
            with contextlib.suppress(ConnectionError):
                await self._writer.drain()

    async def _more(self) -> None:
        try:
            data = await self._reader.read(_AT_ONCE)
        except ConnectionError as problem:
            raise TlsError(str(problem)) from problem
        if not data:
            raise TlsError("the connection ended")
        self.tls.bio_write(data)
