# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stream errors that end an inbound stream: which for which, and a text on which their administrator can act."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from xmpp_edge.stream.actions import Action, Closed
from xmpp_edge.stream.inbound import Inbound
from xmpp_edge.stream.settings import Settings

from .incoming import (
    ANYTHING,
    AUTH,
    DIALBACK_IN_TLS,
    NO_TLS,
    SASL_ONLY,
    SASL_OR_DIALBACK,
    STARTTLS,
    encrypted,
    numbered,
    our_header,
    proven_by_sasl,
)
from .support import CREDENTIALS, END, HEADER, MESSAGE, STRANGER, Policy, both_ways, closed, feed, result, sent, tls

SM = "urn:xmpp:sm:3"
ERROR = re.compile(
    "<stream:error><([a-z-]+) xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
    "<text xmlns='urn:ietf:params:xml:ns:xmpp-streams' xml:lang='en'>([^<]+)</text>"
    "(<stanza-too-big xmlns='urn:xmpp:errors'/>)?</stream:error></stream:stream>$"
)


def _switched_off() -> Inbound:
    machine = numbered()
    machine.policy = Policy(federation=False)
    return machine


def _header(old: str, new: str) -> str:
    return HEADER.replace(old, new)


# What is done, on which stream; the condition, and what the text says at least.
ENDS: list[tuple[str, Callable[[], Inbound], str, str, str]] = [
    ("text", proven_by_sasl, "hello", "bad-format", "text between the stanzas"),
    ("root", numbered, _header("stream:stream", "stream:streams"), "bad-format", "begins with <stream:stream>"),
    ("prefix", numbered, HEADER.replace("stream:stream", "s:stream").replace(":stream=", ":s="),
     "bad-namespace-prefix", "'stream'"),
    ("stream namespace", numbered, _header("/streams", "/stream"), "invalid-namespace", "etherx"),
    ("content namespace", numbered, _header("'jabber:server'", "'jabber:client'"), "invalid-namespace",
     "jabber:server"),
    ("unknown host", numbered, _header("inside", "elsewhere"), "host-unknown", "elsewhere.example is not served here"),
    ("relay", proven_by_sasl, MESSAGE.replace("@inside", "@elsewhere"), "host-unknown", "elsewhere.example is not"),
    ("no to", numbered, _header(" to='inside.example'", ""), "improper-addressing", "has no 'to'"),
    ("bad from", numbered, _header("from='partner", "from='x@partner"), "improper-addressing", "'from'"),
    ("no addresses", proven_by_sasl, "<iq type='get'/>", "improper-addressing", "needs 'from' and 'to'"),
    ("dialback without to", encrypted, HEADER + "<db:result from='partner.example'>k</db:result>",
     "improper-addressing", "without 'to'"),
    ("verify without id", encrypted, HEADER + "<db:verify from='partner.example' to='inside.example'>k</db:verify>",
     "improper-addressing", "without 'id'"),
    ("other from", proven_by_sasl, MESSAGE.replace("@partner", "@stranger"), "invalid-from",
     "stranger.example is not proven on this stream"),
    ("other pair", proven_by_sasl, MESSAGE.replace("@inside", "@branch"), "not-authorized",
     "partner.example is not proven towards branch.example"),
    ("nothing proven", numbered, HEADER + MESSAGE, "not-authorized", "a message before any domain is proven"),
    ("untrusted", lambda: encrypted(SASL_ONLY, tls(STRANGER)), HEADER, "not-authorized",
     "does not prove partner.example here (unknown_ca): nobody knows its CA"),
    ("not XML", numbered, "GET / HTTP/1.1\r\n\r\n", "not-well-formed", "begins with <stream:stream>"),
    ("federation off", _switched_off, HEADER, "policy-violation", "does not federate"),
    ("stranger", numbered, _header("partner", "stranger"), "policy-violation", "not among the partners"),
    ("our own name", numbered, _header("partner", "inside"), "policy-violation", "inside.example is served here"),
    ("stanza before TLS", lambda: numbered(DIALBACK_IN_TLS), HEADER + MESSAGE, "policy-violation",
     "demands TLS: use STARTTLS first"),
    ("no certificate", lambda: numbered(SASL_OR_DIALBACK, credentials=CREDENTIALS), HEADER, "policy-violation",
     "for which this server has no certificate yet"),
    ("TLS and none in the record", lambda: encrypted(NO_TLS), HEADER, "policy-violation", "connect without"),
    ("STARTTLS too late", numbered, HEADER + result("k") + STARTTLS, "policy-violation", "comes before dialback"),
    ("too many tries", encrypted, HEADER + AUTH.replace("EXTERNAL", "PLAIN") * 10, "policy-violation",
     "too many times: a SASL negotiation that failed"),
    ("too large", proven_by_sasl, MESSAGE.replace("hi", "x" * 300_000), "policy-violation", "262144 bytes"),
    ("too large before proof", numbered, HEADER + MESSAGE.replace("hi", "x" * 11_000), "policy-violation",
     "10000 bytes"),
    ("comment", proven_by_sasl, "<!-- -->", "restricted-xml", "a comment is not allowed"),
    ("too much acknowledged", lambda: proven_by_sasl(before="<bidi xmlns='urn:xmpp:bidi'/>"),
     f"<enable xmlns='{SM}'/><a xmlns='{SM}' h='1'/>", "undefined-condition", "1 stanzas are acknowledged"),
    ("Latin-1", numbered, "<?xml version='1.0' encoding='ISO-8859-1'?>" + HEADER, "unsupported-encoding",
     "streams are UTF-8"),
    ("TLS in TLS", encrypted, HEADER + STARTTLS, "unsupported-stanza-type", "inside TLS already"),
    ("bidi without TLS", numbered, HEADER + "<bidi xmlns='urn:xmpp:bidi'/>", "unsupported-stanza-type", "inside TLS"),
    ("acknowledgement", proven_by_sasl, f"<a xmlns='{SM}' h='0'/>", "unsupported-stanza-type", "XEP-0198"),
    ("other element", proven_by_sasl, "<x xmlns='urn:other'/>", "unsupported-stanza-type", "<x/> has no meaning"),
    ("version", numbered, _header("1.0", "2.0"), "unsupported-version", "version 1.0"),
    ("old version in TLS", encrypted, _header(" version='1.0'", ""), "unsupported-version", "version 1.0"),
]  # fmt: skip


@pytest.mark.parametrize(("machine", "said", "condition", "text"), [row[1:] for row in ENDS], ids=[r[0] for r in ENDS])
def test_which_error_for_what(machine: Callable[[], Inbound], said: str, condition: str, text: str) -> None:
    _check(both_ways(machine, said)[1], condition, text)


def _check(actions: list[Action], condition: str, text: str) -> None:
    found = ERROR.search(sent(actions))
    assert found is not None
    assert found[1] == condition
    words = found[2].replace("&lt;", "<").replace("&gt;", ">").replace("&apos;", "'")
    assert text in words
    end = closed(actions)
    assert (end.condition, end.text, end.by) == (condition, words, "us")
    assert (found[3] is not None) == ("bytes in one stanza" in words)


SLOW = Settings(stream_establishment_timeout=60, keepalive_interval=300)


@pytest.mark.parametrize(
    ("machine", "when", "text"),
    [
        (lambda: numbered(settings=SLOW), 60, "no domain was proven on this stream within 60 seconds"),
        (lambda: encrypted(settings=SLOW), 60, "no domain was proven on this stream within 60 seconds"),
        (lambda: proven_by_sasl(settings=SLOW), 300, "nothing was heard for 300 seconds, not even a keep-alive"),
    ],
)
def test_time_outs(machine: Callable[[], Inbound], when: int, text: str) -> None:
    made = machine()
    assert made.tick(when - 1) == []
    _check(made.tick(when), "connection-timeout", text)


@pytest.mark.parametrize("condition", ["system-shutdown", "reset", "host-gone", "resource-constraint"])
def test_what_the_driver_says(condition: str) -> None:
    machine = proven_by_sasl()
    said = sent(machine.close(condition, "why", 1))
    assert ERROR.search(said)
    assert feed(machine, END)[-1] == Closed(condition, "why", "us")


def test_before_an_error_comes_our_header() -> None:
    actions = feed(numbered(), "<oops/>")
    assert sent(actions).startswith(our_header(1, None).replace(" from='inside.example'", "") + "<stream:error>")
    actions = feed(encrypted(ANYTHING), "<oops/>")
    assert sent(actions).startswith(our_header(2, None).replace(" from='inside.example'", "") + "<stream:error>")
