# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole conversations with a partner that has TLS: both ways, by each method, under records from strict to lax."""

from __future__ import annotations

import pytest
from net.harness import ALICE, BOB, OURS, THEIRS, run
from peers.security import Security

from .stage import EITHER, LAX, PAPERS, STRICT, edge

DIALBACK = {"tls": "required", "sasl": "not_supported", "dialback": True}


@pytest.mark.parametrize(
    ("negotiation", "how", "method"),
    [
        (STRICT, {}, "sasl_tls"),
        (EITHER, {"dialback": True}, "sasl_tls"),
        (LAX, {}, "sasl_tls"),
        (EITHER, {"external": False, "dialback": True}, "tls_dialback"),
        (DIALBACK, {"dialback": True}, "tls_dialback"),
        (LAX, {"external": False, "dialback": True}, "tls_dialback"),
    ],
    ids=["strict", "either", "lax", "either-dialback", "dialback", "lax-dialback"],
)
def test_messages_and_questions_cross_both_ways(negotiation, how, method):
    async def test() -> None:
        async with edge(negotiation) as here:
            here.partner.security = Security(PAPERS.theirs, PAPERS.ca.certificate, **how)
            await here.inside.send_message(f"{ALICE}/desk", BOB, "there")
            assert (await here.partner.mailbox(BOB).wait()).body == "there"
            await here.partner.send_message(f"{BOB}/phone", ALICE, "back")
            assert (await here.inside.mailbox(ALICE).wait()).body == "back"
            assert (await here.inside.ping(f"{ALICE}/desk", THEIRS)).type == "result"
            assert (await here.partner.ping(f"{BOB}/x", OURS)).type == "result"
            for direction in ("in", "out"):
                line = await here.audit.wait("authenticated", direction=direction, remote=THEIRS)
                assert (line["method"], line["encrypted"], line["trusted"]) == (method, True, True)
            assert here.partner.links[THEIRS, OURS].method == method

    run(test)


def test_a_partner_that_takes_no_dialback_and_a_record_that_takes_nothing_else():
    async def test() -> None:
        async with edge(DIALBACK) as here:
            here.partner.security = Security(PAPERS.theirs, PAPERS.ca.certificate)
            await here.inside.send_message(f"{ALICE}/desk", BOB, "there")
            bounce = await here.inside.mailbox(ALICE).wait()
            assert bounce.condition == "not-allowed"
            assert "no dialback" in bounce.text, "what the partner says is quoted"
            await here.partner.send_message(BOB, ALICE, "back")
            assert (await here.partner.mailbox(BOB).wait()).type == "error"

    run(test)
