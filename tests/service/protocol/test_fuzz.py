# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``make fuzz`` begins with, and begins to do: every target on its seeds, and on pieces of conversations."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import conversation
from tests.fuzz.__main__ import SHARES
from tests.fuzz.readers import TARGETS
from tests.fuzz.seed import SEEDS, read
from tests.fuzz.world import PAIR

FILES = sorted(path for path in SEEDS.glob("*/*"))
PROVEN = {
    "inbound/dialback": "tcp_dialback",
    "inbound/dialback-over-tls": "tls_dialback",
    "inbound/external": "sasl_tls",
    "inbound/external-bidi-acks": "sasl_tls",
    "inbound/direct-tls": "sasl_tls",
    "inbound/two-pairs": "tcp_dialback",
    "outbound/dialback": "tcp_dialback",
    "outbound/pre-1.0": "tcp_dialback",
    "outbound/dialback-over-tls": "tls_dialback",
    "outbound/external": "sasl_tls",
    "outbound/external-bidi-acks": "sasl_tls",
    "outbound/external-fails": "tls_dialback",
}


def test_every_target_has_seeds_and_a_share() -> None:
    assert set(SHARES) == set(TARGETS)
    # What two machines say to each other they make themselves.
    assert {path.parent.name for path in FILES} == set(TARGETS) - {"pair"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_seeds(path: Path) -> None:
    TARGETS[path.parent.name](read(path))


@pytest.mark.parametrize("name", PROVEN)
def test_conversations_get_as_far_as_they_are_written_to(name: str) -> None:
    kind, stem = name.split("/")
    run = {"inbound": conversation.with_inbound, "outbound": conversation.with_outbound}[kind]
    assert run(read(SEEDS / kind / f"{stem}.xml")).watch.proven == {PAIR: PROVEN[name]}


def _parts(kind: str) -> list[bytes]:
    """The seeds of a kind, cut before every tag."""
    texts = [read(path) for path in FILES if path.parent.name == kind]
    found = {b"<" + part for text in texts for part in text.split(b"\n")[-1].split(b"<")[1:]}
    return sorted(found) + sorted(conversation.EVENTS) * 2 + [b"|"] * 10


def _conversations(kind: str) -> st.SearchStrategy[bytes]:
    seeds = st.sampled_from([read(path) for path in FILES if path.parent.name == kind])
    loose = st.lists(st.sampled_from(_parts(kind)), max_size=12).map(b"".join)
    # So far as it was written, and then on otherwise.
    begun = st.tuples(seeds, st.floats(0, 1)).map(lambda drawn: drawn[0][: int(drawn[1] * len(drawn[0]))])
    return st.tuples(st.integers(0, 200).map(lambda number: b"%d\n" % number) | st.just(b""), begun, loose).map(
        lambda drawn: (drawn[0] + drawn[1].split(b"\n", 1)[-1] if drawn[0] else drawn[1]) + drawn[2]
    )


@pytest.mark.parametrize("kind", ["inbound", "outbound", "component"])
def test_conversations_that_go_otherwise(kind: str) -> None:
    @settings(max_examples=250)
    @given(_conversations(kind))
    def holds(text: bytes) -> None:
        TARGETS[kind](text)

    holds()


@pytest.mark.parametrize("kind", sorted(set(TARGETS) - {"inbound", "outbound", "component", "pair"}))
def test_readers_on_pieces_of_what_they_read(kind: str) -> None:
    pieces = [b"<" + part for path in FILES if path.parent.name == kind for part in read(path).split(b"<")]

    @settings(max_examples=100)
    @given(st.lists(st.sampled_from(pieces) | st.binary(max_size=6), max_size=10).map(b"".join))
    def holds(text: bytes) -> None:
        TARGETS[kind](text)

    holds()
