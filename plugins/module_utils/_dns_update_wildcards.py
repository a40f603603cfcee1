# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tells what a wildcard answers from what stands at a name itself.

No answer says which of the two it is (RFC 4592), but a wildcard can be asked for by its own name. An update knows only
what stands at a name: to it a set that a wildcard answers is not there.

PRIVATE to the collection.
"""

from __future__ import annotations

from typing import Iterator, Mapping

from ._dns_update_client import Answer, Client
from ._dns_update_plan import Key


def synthesised(client: Client, found: Mapping[Key, Answer]) -> set[Key]:
    """Those of the answers that are a wildcard's; each has a set or an alias. Raises DnsError."""
    asked = {key: list(_wildcards(key, answer)) for key, answer in found.items()}
    answers = client.ask((wildcard for several in asked.values() for wildcard in several), outside=True)
    return {key for key, several in asked.items() if any(_same(found[key], answers[one]) for one in several)}


def _wildcards(key: Key, answer: Answer) -> Iterator[Key]:
    """Those that may stand above a name within its zone, each with the type that would have been answered."""
    kind = "CNAME" if answer.alias else key.type
    above = key.name
    while above != answer.zone and "." in above:
        above = above.partition(".")[2]
        yield Key(f"*.{above}", kind)


def _same(answer: Answer, wildcard: Answer | None) -> bool:
    return wildcard is not None and (wildcard.found, wildcard.alias) == (answer.found, answer.alias)
