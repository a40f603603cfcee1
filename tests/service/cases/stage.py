# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The edge with certificates, before a partner by script: what the tests of the cases and of the matrix stand on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from net.harness import OURS, THEIRS, Records, World, world
from peers.authority import Authority, Pair
from peers.initiator import Ability, Opened, initiate
from peers.scripted import Scripted

STRICT = {"tls": "required", "sasl": "required", "dialback": False}
EITHER = {"tls": "required", "sasl": "optional", "dialback": True}
LAX = {"tls": "optional", "sasl": "optional", "dialback": True}
OLD = {"tls": "not_supported", "sasl": "not_supported", "dialback": True}


class Papers:
    """Certificates of one world: a CA that the edge trusts, and one that nobody knows."""

    def __init__(self) -> None:
        self.ca = Authority("CA of the tests")
        self.stranger_ca = Authority("CA of nobody")
        self.ours = self.ca.issue(OURS)
        self.theirs = self.ca.issue(THEIRS)
        self.forged = self.stranger_ca.issue(THEIRS)

    def install(self, records: Records) -> None:
        """Where the edge looks for them."""
        self.ours.write(records.directory)
        records.edge["ca_file"] = str(self.ca.write(records.directory / "ca.pem"))


PAPERS = Papers()
"""Making keys takes time and no test changes these, so all of them share one set."""


def record(negotiation: dict[str, Any], domain: str = THEIRS, **more: Any) -> dict[str, Any]:
    return {"domain": domain, "partner_type": "federated", **negotiation, **more}


@asynccontextmanager
async def edge(
    negotiation: dict[str, Any] | None = None,
    *,
    papers: Papers | None = PAPERS,
    change: Callable[[Records], None] | None = None,
    **how: Any,
) -> AsyncIterator[World]:
    """A running edge whose one partner has this record."""

    def prepare(records: Records) -> None:
        records.partners = [record(negotiation or STRICT)]
        if papers is not None:
            papers.install(records)
        if change is not None:
            change(records)

    async with world(change=prepare, **how) as here:
        yield here


async def open_to(here: World, ability: Ability, *, local: str = THEIRS, remote: str = OURS) -> Opened:
    """The partner, or somebody in its name, opens a stream to the edge."""
    return await initiate(here.address, local, remote, ability)


def trusted(**more: Any) -> Ability:
    """A partner that can do everything, with a certificate that the edge trusts."""
    return Ability(**{"tls": True, "external": True, "dialback": True, "identity": PAPERS.theirs, **more})


__all__ = ["EITHER", "LAX", "OLD", "OURS", "PAPERS", "STRICT", "THEIRS", "Pair", "Papers", "Scripted"]
