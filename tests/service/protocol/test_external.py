# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SASL EXTERNAL: the elements of both sides."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xmpp_edge.stream import external
from xmpp_edge.stream.external import SaslFailure
from xmpp_edge.xml.element import Element
from xmpp_edge.xml.writer import write_element

SASL = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"


@pytest.mark.parametrize(
    ("element", "written"),
    [
        (external.auth("inside.example"), f"<auth {SASL} mechanism='EXTERNAL'>aW5zaWRlLmV4YW1wbGU=</auth>"),
        (external.auth(), f"<auth {SASL} mechanism='EXTERNAL'>=</auth>"),
        (external.response("inside.example"), f"<response {SASL}>aW5zaWRlLmV4YW1wbGU=</response>"),
        (external.response(), f"<response {SASL}>=</response>"),
        (external.success(), f"<success {SASL}/>"),
        (external.failure("not-authorized"), f"<failure {SASL}><not-authorized/></failure>"),
        (
            external.failure("invalid-authzid", "a & b"),
            f"<failure {SASL}><invalid-authzid/><text xml:lang='en'>a &amp; b</text></failure>",
        ),
    ],
)
def test_how_they_are_written(element: Element, written: str) -> None:
    assert write_element(element).decode() == written


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ""),
        ("=", ""),
        ("aW5zaWRlLmV4YW1wbGU=", "inside.example"),
        (base64.b64encode("bücher.example".encode()).decode(), "bücher.example"),
    ],
)
def test_what_a_response_says(text: str, said: str) -> None:
    assert external.decode(text) == said


@pytest.mark.parametrize(
    "text",
    [
        "==",
        "a",
        "ab",
        "abc",
        "abc=d",
        "YWJj=",
        "YWJj====",
        " YWJj",
        "YWJj\n",
        "YW Jj",
        "YW-_",
        "YWJjé",
        "YWJ\ud83d",
        # "a", with bits set that belong to no byte.
        "YR==",
    ],
)
def test_what_is_not_base64(text: str) -> None:
    with pytest.raises(SaslFailure) as caught:
        external.decode(text)
    assert caught.value.condition == "incorrect-encoding"


@pytest.mark.parametrize("text", [base64.b64encode(b"\xff\xfe").decode(), "QUFB" * 400])
def test_what_is_no_identity(text: str) -> None:
    with pytest.raises(SaslFailure) as caught:
        external.decode(text)
    assert caught.value.condition == "malformed-request"


@given(st.text(max_size=300))
def test_what_is_encoded_is_decoded(authzid: str) -> None:
    assert external.decode(external.encode(authzid)) == authzid


@given(st.text(max_size=40) | st.text("ABCabc019+/=", max_size=40))
def test_no_text_does_more_than_fail(text: str) -> None:
    try:
        said = external.decode(text)
    except SaslFailure:
        return
    assert external.encode(said) == (text or "=")


def test_failures_are_read_whatever_is_in_them() -> None:
    for condition, text in (("not-authorized", ""), ("temporary-auth-failure", "later")):
        assert external.failure_of(external.failure(condition, text)) == (condition, text)
    other = Element("other", "urn:other")
    assert external.failure_of(Element("failure", "urn:ietf:params:xml:ns:xmpp-sasl", content=[other])) == (
        "not-authorized",
        "",
    )
