# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys against the published test vectors, and what else a key must withstand."""

from __future__ import annotations

import pytest
from xmpp_edge.stream import dialback
from xmpp_edge.stream.security import Credentials


@pytest.mark.parametrize(
    ("secret", "receiving", "originating", "stream_id", "begin", "end"),
    [
        ("s3cr3tf0rd14lb4ck", "xmpp.example.com", "example.org", "D60000229F", "37c69b1c", "5643"),
        ("s3cr3tf0rd14lb4ck", "montague.example", "capulet.example", "D60000229F", "b4835385", "23df3"),
        ("d14lb4ck43v3r", "capulet.example", "montague.example", "417GAF25", "225cc5aa", "c972d"),
    ],
)
def test_keys_are_those_of_xep_0185(
    secret: str, receiving: str, originating: str, stream_id: str, begin: str, end: str
) -> None:
    key = dialback.key(secret, receiving, originating, stream_id)
    assert key.startswith(begin)
    assert key.endswith(end)
    assert dialback.is_key(key, Credentials(secret), receiving, originating, stream_id)


def test_a_key_is_good_for_one_stream_and_one_pair() -> None:
    key = dialback.key("secret", "a.example", "b.example", "1")
    assert not dialback.is_key(key, Credentials("secret"), "a.example", "b.example", "2")
    assert not dialback.is_key(key, Credentials("secret"), "b.example", "a.example", "1")
    assert not dialback.is_key(key, Credentials("other"), "a.example", "b.example", "1")
    assert not dialback.is_key("", Credentials("secret"), "a.example", "b.example", "1")
    assert not dialback.is_key("é" * 64, Credentials("secret"), "a.example", "b.example", "1")


def test_the_borders_between_the_parts_of_a_key_cannot_be_moved() -> None:
    # Case 80, CVE-2016-0756: the id holds what would otherwise be the end of the domain.
    stream_id = "b.example 1"
    key = dialback.key("secret", "a.example", "x", stream_id)
    assert not dialback.is_key(key, Credentials("secret"), "a.example", "x", stream_id)


def test_the_previous_secret_is_honoured_beside_the_new_one() -> None:
    credentials = Credentials("new", previous="old")
    for secret, ours in (("new", True), ("old", True), ("older", False)):
        key = dialback.key(secret, "a.example", "b.example", "1")
        assert dialback.is_key(key, credentials, "a.example", "b.example", "1") is ours
    key = dialback.key("old", "a.example", "b.example", "1")
    assert not dialback.is_key(key, Credentials("new"), "a.example", "b.example", "1")


def test_both_secrets_are_compared_whatever_the_first_one_says(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    compare = dialback.hmac.compare_digest
    monkeypatch.setattr(dialback.hmac, "compare_digest", lambda a, b: compared.append(a) or compare(a, b))
    for secret in ("new", "old", "other"):
        compared.clear()
        dialback.is_key(dialback.key(secret, "a", "b", "1"), Credentials("new", previous="old"), "a", "b", "1")
        assert len(compared) == 2
