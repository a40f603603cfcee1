# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stanza: what is known of it without reading its payload."""

from __future__ import annotations

from ..jid import JID


class Stanza:
    """A message, presence or iq.

    ``attrs`` are the attributes as received, without ``from`` and ``to``: those stand in ``from_`` and ``to``, canonical.
    ``payload`` is the canonical inner XML. Elements of the content namespace carry no namespace declaration in it, so that
    it can be written to ``jabber:server`` and ``jabber:component:accept`` alike. ``size`` is the length as received, in bytes.
    """

    __slots__ = ("attrs", "from_", "kind", "payload", "size", "to")

    def __init__(
        self,
        kind: str,
        attrs: dict[str, str],
        payload: str = "",
        size: int = 0,
        from_: JID | None = None,
        to: JID | None = None,
    ) -> None:
        self.kind = kind
        self.attrs = attrs
        self.payload = payload
        self.size = size
        self.from_ = from_
        self.to = to

    @property
    def type(self) -> str | None:
        return self.attrs.get("type")

    @property
    def id(self) -> str | None:
        return self.attrs.get("id")
