# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of one stream that we have tried to open, kept for whoever asks why."""

from __future__ import annotations

from dataclasses import dataclass

from ..stream.security import Tls, Trust
from .identifiers import described, printable
from .tls import Channel


@dataclass(frozen=True, slots=True)
class Facts:
    """How far it came, whether it stands or not."""

    endpoint: str
    connected: bool
    """A TCP connection was made."""
    direct: bool = False
    handshake: bool = False
    """TLS was begun."""
    version: str = ""
    """Of TLS; nothing where the stream is not encrypted."""
    cipher: str = ""
    certificate: str = ""
    """The peer's, in words."""
    trust: Trust | None = None
    reason: str = ""
    """The word in the audit for why it was refused, or turned away."""
    method: str = ""
    """By which it is proven."""
    bidi: bool = False
    acks: bool = False


def security(tls: Tls, channel: Channel, domain: str) -> dict[str, object]:
    """The part about TLS."""
    return {
        "version": tls.version,
        "cipher": tls.cipher,
        "certificate": _in_words(channel),
        "trust": tls.judge(domain),
    }


def _in_words(channel: Channel) -> str:
    try:
        leaf = channel.certificate()
        if leaf is None:
            return ""
        names = described(leaf) or "no domain"
        issuer = printable(leaf.issuer.rfc4514_string())
        until = leaf.not_valid_after_utc
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # noqa: BLE001 - the peer has written it, and a panic below cryptography is no Exception
        return "It cannot be read."
    return f"It names {names}, was issued by {issuer} and is valid until {until:%Y-%m-%d}."
