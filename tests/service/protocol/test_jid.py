# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One address, one form."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xmpp_edge.jid import JID, JIDError


@pytest.mark.parametrize(
    ("text", "full", "bare"),
    [
        ("romeo@inside.example", "romeo@inside.example", "romeo@inside.example"),
        ("inside.example", "inside.example", "inside.example"),
        ("ROMEO@Inside.Example", "romeo@inside.example", "romeo@inside.example"),
        ("inside.example.", "inside.example", "inside.example"),
        ("inside.example/a@b/c", "inside.example/a@b/c", "inside.example"),
        ("romeo@inside.example/a@b/c", "romeo@inside.example/a@b/c", "romeo@inside.example"),
        ("ali\u00adce@inside.example", "alice@inside.example", "alice@inside.example"),
        ("\uff41lice@inside.example", "alice@inside.example", "alice@inside.example"),
        ("al\u200bice@inside.example", "alice@inside.example", "alice@inside.example"),
        ("a@xn--bcher-kva.example", "a@bücher.example", "a@bücher.example"),
        ("a@BÜCHER\u3002example", "a@bücher.example", "a@bücher.example"),
        ("romeo@inside.example/Ü", "romeo@inside.example/Ü", "romeo@inside.example"),
        ("a" * 1023 + "@x.example", "a" * 1023 + "@x.example", "a" * 1023 + "@x.example"),
        ("a@x.example/" + "r" * 1023, "a@x.example/" + "r" * 1023, "a@x.example"),
    ],
)
def test_canonical(text: str, full: str, bare: str) -> None:
    address = JID.parse(text)
    assert (address.full, address.bare, str(address)) == (full, bare, full)
    assert JID.parse(address.full) == address
    assert hash(JID.parse(address.full)) == hash(address)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@inside.example",
        "romeo@",
        "romeo@inside.example/",
        "inside.example/",
        "a@b@c.example",
        "ro meo@inside.example",
        "romeo@-.example",
        "romeo@in_side.example",
        "romeo@inside..example",
        "romeo@[::1]",
        "romeo@192.0.2.1",
        "romeo@inside.example/\u0085",
        "a" * 1024 + "@x.example",
        "a@x.example/" + "r" * 1024,
        "a@x.example/" + "\U00020000" * 256,
        "romeo'@inside.example",
        "a@" + "x." * 200 + "example",
        "x" * 100_000,
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(JIDError):
        JID.parse(text)


@given(st.text(max_size=60))
def test_any_text_is_an_address_in_one_form_or_refused(text: str) -> None:
    try:
        address = JID.parse(text)
    except JIDError:
        return
    assert JID.parse(address.full).full == address.full


def test_addresses_without_end_do_not_fill_the_memory() -> None:
    JID.parse("warm@up.example/x")
    tracemalloc.start()
    try:
        for number in range(20_000):
            JID.parse(f"{number}{'a' * 1000}@x.example/{number}{'b' * 1000}")
        assert tracemalloc.get_traced_memory()[0] < 60 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("text", ["g\u00admail.example" + "\u00ad" * 600, "a\u0301\u0323" * 400 + "@x.example"])
def test_what_is_too_long_as_sent_is_not_prepared(text: str) -> None:
    with pytest.raises(JIDError, match="longer than"):
        JID.parse(text)


parts = st.text(
    st.characters(codec="utf-8") | st.sampled_from("aAzZ09.-@/ \u00ad\u200b\uff0e\u3002ßİſ\u0130"), max_size=12
)


@given(parts, parts, parts)
def test_parts_stay_where_they_are(local: str, domain: str, resource: str) -> None:
    """Nothing within one part can become a border between parts, whatever preparation makes of it."""
    try:
        address = JID.parse(f"{local}@{domain}/{resource}")
    except JIDError:
        return
    if "@" in local + domain or "/" in local + domain:
        return
    assert address.local is not None
    assert address.resource is not None
    assert not set("@/'\"&<>: ") & set(address.local)
    assert not set("@/ ") & set(address.domain)
    assert JID(address.local, address.domain, address.resource) == address
    assert JID.parse(address.bare).local == address.local
