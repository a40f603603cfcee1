# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import string

import pytest
from ansible_collections.xmpp.federation.plugins.module_utils._records import names
from hypothesis import assume, given
from hypothesis import strategies as st

LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True).filter(lambda text: text[2:4] != "--")
PLAIN = st.lists(LABEL, min_size=1, max_size=4).map(".".join).filter(lambda text: not text.split(".")[-1].isdigit())
# Letters of many scripts, and what hides among them: soft hyphens, zero-width and fullwidth characters, ligatures.
ANY = st.text(
    st.one_of(
        st.characters(max_codepoint=0x2FFF, exclude_categories=["Cs"]),
        st.sampled_from("\u00ad\u200b\u200d\ufb01\uff21\uff41\u3002\uff0e\u0130\u1e9e\u212b\u03c2\u00df"),
    ),
    min_size=1,
    max_size=12,
)


@pytest.mark.parametrize(
    ("text", "domain", "shown"),
    [
        ("partner.example", "partner.example", "partner.example"),
        ("Partner.EXAMPLE.", "partner.example", "partner.example"),
        ("bücher.example", "xn--bcher-kva.example", "bücher.example"),
        ("BÜCHER.example", "xn--bcher-kva.example", "bücher.example"),
        ("XN--BCHER-KVA.example.", "xn--bcher-kva.example", "bücher.example"),
        ("bücher\u3002example", "xn--bcher-kva.example", "bücher.example"),
        ("part\u00adner.example", "partner.example", "partner.example"),
        ("ｐartner.example", "partner.example", "partner.example"),
        ("straße.example", "strasse.example", "strasse.example"),
        ("localhost", "localhost", "localhost"),
    ],
)
def test_domain_has_one_form(text: str, domain: str, shown: str) -> None:
    assert names.domain(text) == domain
    assert names.unicode_domain(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "a..example",
        ".example",
        "example..",
        "-a.example",
        "a-.example",
        "a_b.example",
        "a b.example",
        " a.example",
        "a.example\n",
        "a.example/x",
        "a@b.example",
        "192.0.2.1",
        "2001:db8::1",
        "a" * 64 + ".example",
        ".".join(["a" * 60] * 5),
        # Not what any name encodes to: each would be a second spelling, or no name at all.
        "xn--a.example",
        "xn--fa-hia.example",
        "xn--.example",
        "a\u2024b.example",
        "bü\u2024b.example",
        "a\ud800.example",
        "\u1e9e.example",
    ],
)
def test_what_is_no_domain_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="domain"):
        names.domain(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("alice@inside.example", "alice@inside.example"),
        ("ALICE@Inside.Example.", "alice@inside.example"),
        ("ali\u00adce@inside.example", "alice@inside.example"),
        ("ａlice@inside.example", "alice@inside.example"),
        ("al\u200bice@inside.example", "alice@inside.example"),
        ("müller@xn--bcher-kva.example", "müller@bücher.example"),
        ("MU\u0308LLER@bücher.example", "müller@bücher.example"),
        ("straße@inside.example", "strasse@inside.example"),
    ],
)
def test_aliases_of_an_account_come_out_equal(text: str, address: str) -> None:
    assert names.bare_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "alice",
        "inside.example",
        "@inside.example",
        "alice@",
        "alice@inside.example/phone",
        "sip:alice@inside.example",
        "a b@inside.example",
        "a'b@inside.example",
        "a@b@inside.example",
        "\u00ad@inside.example",
        "\u1e9e@inside.example",
        "\U0001f600@inside.example",
        "a\u0627@inside.example",
        "a\ud800@inside.example",
        "a" * 1024 + "@inside.example",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"address|domain|client"):
        names.bare_address(text)


def test_resource_keeps_case_and_takes_young_characters() -> None:
    assert names.resource("Phone \U0001f4f1") == "Phone \U0001f4f1"
    assert names.resource("Pho\u00adne") == "Phone"
    for text in ("", "\u00ad", "a\u0007b", "a\ud800", "x" * 1024):
        with pytest.raises(ValueError, match="resource"):
            names.resource(text)


@given(PLAIN)
def test_plain_domains_pass_unchanged_in_every_case(text: str) -> None:
    assume(len(text) <= 253)
    assert names.domain(text) == names.domain(text.upper() + ".") == names.unicode_domain(text) == text


@given(ANY)
def test_domain_settles(text: str) -> None:
    try:
        plain = names.domain(text)
    except ValueError:
        return
    assert set(plain) <= set(string.ascii_lowercase + string.digits + "-.")
    assert names.domain(plain) == plain
    shown = names.unicode_domain(plain)
    assert names.domain(shown) == plain
    assert names.unicode_domain(shown) == shown


@given(ANY)
def test_local_parts_and_resources_settle(text: str) -> None:
    for prepare in (names.localpart, names.resource):
        try:
            settled = prepare(text)
        except ValueError:
            continue
        assert prepare(settled) == settled
        assert prepare("\u00ad" + text) == settled


@given(st.text(string.ascii_letters + string.digits, min_size=1, max_size=20))
def test_case_of_a_local_part_does_not_matter(text: str) -> None:
    assert names.localpart(text) == names.localpart(text.upper()) == text.lower()
