# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificate revocation lists: fetched within bounds, and read. Whether the signature is right shows only beside the
certificate of the CA, which the service has: it looks at it before it believes a list.

PRIVATE to the collection.
"""

from __future__ import annotations

import http.client
import time
from datetime import datetime, timezone
from typing import Any, NamedTuple, cast
from urllib.error import HTTPError, URLError

from ansible.module_utils.urls import ConnectionError as UrlConnectionError
from ansible.module_utils.urls import SSLValidationError, open_url

from . import _certificate_crypto as crypto
from ._certificate_facts import TIME_FORMAT

try:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding
except ImportError:
    # Whoever needs this has looked for the library first, and told the user what to install.
    AVAILABLE = False
else:
    AVAILABLE = True

# As much as the service reads.
LARGEST = 32 * 1024 * 1024
_CHUNK = 64 * 1024
_HEAD = b"-----BEGIN X509 CRL-----"


class List(NamedTuple):
    """What there is to know about a list, and its bytes as they go on disk."""

    issuer: str
    this_update: datetime
    next_update: datetime | None
    revoked: int
    der: bytes

    def shown(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "this_update": self.this_update.strftime(TIME_FORMAT),
            "next_update": self.next_update.strftime(TIME_FORMAT) if self.next_update else None,
            "revoked": self.revoked,
        }

    def out_of_date(self, now: datetime) -> bool:
        return self.next_update is not None and self.next_update < now


NOTHING = dict.fromkeys(("issuer", "this_update", "next_update", "revoked"))


def fetch(url: str, seconds: int) -> bytes:
    """What is at this address; ValueError with a reason. A server that drips is given no more time than others."""
    deadline = time.monotonic() + seconds
    parts: list[bytes] = []
    size = 0
    try:
        with open_url(url, timeout=seconds, http_agent="xmpp.federation", force=True) as answer:
            while True:
                # As much as has come, not as much as was asked for: that could take as long as the server likes.
                part = answer.read1(_CHUNK)
                if not part:
                    break
                parts.append(part)
                size += len(part)
                if size > LARGEST:
                    raise ValueError(f"it is larger than {LARGEST // (1024 * 1024)} MiB")
                if time.monotonic() > deadline:
                    raise ValueError(f"it did not arrive within {seconds} seconds")
            missing = getattr(answer, "length", None)
    except HTTPError as exc:
        raise ValueError(f"the server says {exc.code} {exc.reason}") from None
    except (URLError, UrlConnectionError, SSLValidationError) as exc:
        raise ValueError(f"the server cannot be reached ({getattr(exc, 'reason', None) or exc})") from None
    except (OSError, http.client.HTTPException) as exc:
        raise ValueError(
            f"the connection broke ({getattr(exc, 'strerror', None) or exc or type(exc).__name__})"
        ) from None
    if missing:
        raise ValueError("the connection broke before all of it had come")
    return b"".join(parts)


def read_file(path: str) -> bytes:
    """A file on this host; ValueError with a reason."""
    try:
        with open(path, "rb") as stream:
            data = stream.read(LARGEST + 1)
    except OSError as exc:
        raise ValueError(f"it cannot be read ({exc.strerror})") from None
    if len(data) > LARGEST:
        raise ValueError(f"it is larger than {LARGEST // (1024 * 1024)} MiB")
    return data


def parse(data: bytes) -> List:
    """A list in PEM or DER; ValueError where it is none."""
    if data.count(_HEAD) > 1:
        raise ValueError("it holds several lists; name each by itself")
    try:
        load = x509.load_pem_x509_crl if _HEAD in data else x509.load_der_x509_crl
        found = load(data)
        return List(
            issuer=found.issuer.rfc4514_string(),
            this_update=cast("datetime", crypto.utc(found, "last_update")),
            next_update=crypto.utc(found, "next_update"),
            revoked=len(found),
            der=found.public_bytes(Encoding.DER),
        )
    except (ValueError, TypeError):
        raise ValueError("this is not a certificate revocation list") from None


def now() -> datetime:
    return datetime.now(timezone.utc)
