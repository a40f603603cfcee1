# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one exception of the protocol: the peer broke a rule, and the stream is over."""

from __future__ import annotations


class StreamError(Exception):
    """A stream error (RFC 6120, section 4.9.3) that is to be sent to the peer.

    ``condition`` is the name of the condition element, ``text`` a sentence on which the remote administrator can act,
    ``application`` the name of a more specific condition in the namespace ``urn:xmpp:errors``.
    """

    def __init__(self, condition: str, text: str, application: str | None = None) -> None:
        super().__init__(condition, text)
        self.condition = condition
        self.text = text
        self.application = application

    def __str__(self) -> str:
        return f"{self.condition}: {self.text}"
