# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Marks in our name that a partner cannot have made."""

from __future__ import annotations

import pytest
from xmpp_edge.forgery import without_forged

OURS = frozenset(("inside.example", "bücher.example"))
BODY = "<body>a &lt;stanza-id xmlns='urn:xmpp:sid:0' by='alice@inside.example'/&gt; b</body>"
ID = "<stanza-id xmlns='urn:xmpp:sid:0' by='{}' id='1'/>"
DELAY = "<delay xmlns='urn:xmpp:delay' from='{}' stamp='2026-01-01T00:00:00Z'>x</delay>"


@pytest.mark.parametrize(
    "mark",
    [
        ID.format("alice@inside.example"),
        ID.format("inside.example"),
        ID.format("ALICE@Inside.example/x"),
        ID.format("alice@bücher.example"),
        ID.format("xn--bcher-kva.example"),
        ID.format("no address @@"),
        ID.format(""),
        "<stanza-id id='1' xmlns='urn:xmpp:sid:0' by='inside.example'/>",
        DELAY.format("inside.example"),
        "<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'><a/></forwarded></received>",
        "<sent xmlns='urn:xmpp:carbons:2'/>",
    ],
)
def test_what_is_said_in_our_name_does_not_come_in(mark: str) -> None:
    assert without_forged(BODY + mark + "<x xmlns='urn:x'/>", OURS) == BODY + "<x xmlns='urn:x'/>"
    assert without_forged(mark + mark + BODY + mark, OURS) == BODY
    assert without_forged(mark, OURS) == ""


@pytest.mark.parametrize(
    "payload",
    [
        "",
        BODY,
        ID.format("bob@partner.example"),
        ID.format("inside.example.partner.example"),
        DELAY.format("partner.example"),
        "<delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>",
        "<stanza-id xmlns='urn:x' by='inside.example'/>",
        f"<x xmlns='urn:x'>{ID.format('inside.example')}</x>",
        "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'/></forwarded>",
    ],
)
def test_what_is_their_own_stays_as_it_is(payload: str) -> None:
    assert without_forged(payload, OURS) == payload
