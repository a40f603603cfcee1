# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is noted beside a key, as text.

PRIVATE to the collection.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timezone
from typing import Any

from ._certificate_facts import TIME_FORMAT, About, Asked

SCHEMA = 1
_DEFAULT: dict[str, Any] = {
    "schema": SCHEMA,
    "friendly_name": "",
    "exportable": True,
    "host": None,
    "key_usage": None,
    "extended_key_usage": None,
    "dns_only": None,
    "asked": None,
    "effective": None,
    "withdrawn": "",
}


def this_host() -> str | None:
    """A fingerprint of the host's identity; the identity itself is not to be spread (machine-id(5))."""
    try:
        with open("/etc/machine-id", "rb") as stream:
            identity = stream.read().strip()
    except FileNotFoundError:
        return None
    return hashlib.sha256(b"xmpp-edge " + identity).hexdigest()[:32] if identity else None


def about_json(about: About) -> bytes:
    noted = {
        "schema": SCHEMA,
        "friendly_name": about.friendly_name,
        "exportable": about.exportable,
        "host": None if about.exportable else this_host(),
        "key_usage": about.key_usage,
        "extended_key_usage": about.extended_key_usage,
        "dns_only": about.dns_only,
        "asked": about.asked._asdict() if about.asked else None,
        "effective": about.effective.strftime(TIME_FORMAT) if about.effective else None,
        "withdrawn": about.withdrawn,
    }
    return (json.dumps(noted, sort_keys=True, indent=2) + "\n").encode()


def about_from_json(text: bytes | None) -> About:
    """LookupError where a newer version wrote it, PermissionError where the key is bound to another host."""
    try:
        noted = {**_DEFAULT, **json.loads(text)} if text else _DEFAULT
        effective = datetime.strptime(noted["effective"], TIME_FORMAT) if noted["effective"] else None
        about = About(
            friendly_name=str(noted["friendly_name"]),
            exportable=bool(noted["exportable"]),
            key_usage=_words(noted["key_usage"]),
            extended_key_usage=_words(noted["extended_key_usage"]),
            dns_only=_words(noted["dns_only"]),
            asked=_asked(noted["asked"]),
            effective=effective.replace(tzinfo=timezone.utc) if effective else None,
            withdrawn=str(noted["withdrawn"]),
        )
    except (ValueError, TypeError, KeyError):
        # Nothing in it is worth more than the key beside it.
        if _schema(text) == SCHEMA:
            return About()
        raise LookupError from None
    if noted["schema"] != SCHEMA:
        raise LookupError
    if not about.exportable and noted["host"] != this_host():
        raise PermissionError
    return about


def _schema(text: bytes | None) -> Any:
    try:
        found = json.loads(text or b"")
        return found.get("schema", SCHEMA) if isinstance(found, dict) else SCHEMA
    except ValueError:
        return SCHEMA


def _asked(found: Any) -> Asked | None:
    if found is None:
        return None
    names = {name: _words(found[name]) or () for name in ("sip_domains", "extra_sans")}
    return Asked(common_name=str(found["common_name"]), **names)


def _words(found: Any) -> tuple[str, ...] | None:
    return None if found is None else tuple(str(usage) for usage in found)
