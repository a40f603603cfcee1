# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has gone wrong in servers, case by case. The numbers are stable: documents and audits refer to them.

Here stand the cases that a stream machine decides by itself on a stream without TLS. Those about certificates, TLS and
SASL have no machine yet, those about sockets, name resolution and queues are tested with the network side.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from xmpp_edge.jid import JID
from xmpp_edge.stream.actions import Action, Authenticated, Closed, Deliver, Failed, Pair, Verified, Verify
from xmpp_edge.stream.inbound import Inbound
from xmpp_edge.stream.machine import Machine
from xmpp_edge.stream.outbound import Outbound
from xmpp_edge.stream.security import Credentials
from xmpp_edge.stream.settings import Settings
from xmpp_edge.xml.stanza import Stanza, error_reply

from .support import (
    ALSO_OURS,
    FEATURES,
    HEADER,
    MESSAGE,
    OURS,
    PAIR,
    STRANGER,
    STREAM_ID,
    STRICT,
    THEIR_HEADER,
    THEIRS,
    Partner,
    Policy,
    both_ways,
    closed,
    established_outbound,
    feed,
    inbound,
    only,
    our_key,
    outbound,
    proven_inbound,
    refused,
    result,
    sent,
)


def outgoing() -> Outbound:
    machine = outbound()
    machine.connected(0)
    return machine


@dataclass(frozen=True)
class Case:
    """Feed this to that machine, and the stream ends with this condition (None: it goes on)."""

    number: int
    what: str
    machine: Callable[[], Machine]
    text: str | bytes
    condition: str | None
    reason: str | None = None


def header(old: str, new: str) -> str:
    assert old in HEADER
    return HEADER.replace(old, new)


def stanza(old: str, new: str) -> str:
    assert old in MESSAGE
    return MESSAGE.replace(old, new)


VALID = "<db:result from='partner.example' to='inside.example' type='valid'/>"
VERIFIED = f"<db:verify from='partner.example' to='inside.example' id='{STREAM_ID}' type='valid'/>"
TLS = "urn:ietf:params:xml:ns:xmpp-tls"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"

CASES = [
    Case(1, "HTTP", inbound, "GET / HTTP/1.0\r\n\r\n", "not-well-formed"),
    Case(1, "TLS hello", inbound, bytes.fromhex("1603010200010001fc0303"), "not-well-formed"),
    Case(1, "not XML", inbound, "hello world", "not-well-formed"),
    Case(2, "stream namespace", inbound, header("/streams", "/stream"), "invalid-namespace"),
    Case(3, "content namespace", inbound, header("'jabber:server'", "'jabber:client'"), "invalid-namespace"),
    Case(3, "no content namespace", inbound, header(" xmlns='jabber:server'", ""), "invalid-namespace"),
    Case(4, "stream prefix", inbound, HEADER.replace("stream:stream", "s:stream").replace(":stream=", ":s="),
         "bad-namespace-prefix"),
    Case(4, "no stream prefix", inbound, "<stream xmlns='http://etherx.jabber.org/streams' to='inside.example'>",
         "bad-namespace-prefix"),
    Case(4, "other root", inbound, HEADER.replace("stream:stream", "stream:streams"), "bad-format"),
    Case(5, "no to", inbound, header(" to='inside.example'", ""), "improper-addressing"),
    Case(6, "unknown to", inbound, header("to='inside", "to='elsewhere"), "host-unknown", "unknown_host"),
    Case(7, "empty from", inbound, header("from='partner.example'", "from=''"), "improper-addressing"),
    Case(7, "from with a user", inbound, header("from='", "from='a@"), "improper-addressing"),
    Case(7, "from with a resource", inbound, header("partner.example'", "partner.example/r'"), "improper-addressing"),
    Case(7, "from with a space", inbound, header("from='", "from='x "), "improper-addressing"),
    Case(7, "from an address", inbound, header("partner.example", "192.0.2.1"), "improper-addressing"),
    Case(8, "from ours", inbound, header("partner", "inside"), "policy-violation", "own_domain"),
    Case(9, "stranger", inbound, header("partner", "stranger"), "policy-violation", "not_a_partner"),
    Case(10, "version 2.0", inbound, header("1.0", "2.0"), "unsupported-version"),
    Case(10, "version of letters", inbound, header("1.0", "one"), "unsupported-version"),
    Case(10, "empty version", inbound, header("1.0", ""), "unsupported-version"),
    Case(10, "version of many digits", inbound, header("1.0", "1" * 5000 + ".0"), "unsupported-version"),
    Case(10, "minor version", inbound, header("1.0", "1.7"), None),
    Case(10, "no version", inbound, header(" version='1.0'", ""), None),
    Case(12, "UTF-16", inbound, HEADER.encode("utf-16"), "unsupported-encoding"),
    Case(12, "Latin-1", inbound, "<?xml version='1.0' encoding='ISO-8859-1'?>" + HEADER, "unsupported-encoding"),
    Case(13, "long header", inbound, header("version", f"x='{'x' * 65536}' version"), "policy-violation"),
    Case(17, "from inside of a value", inbound, header("version=", "x=\" from='stranger.example'\" version="), None),
    Case(18, "from twice", inbound, header(" to=", " from='stranger.example' to="), "not-well-formed"),
    Case(20, "DOCTYPE", inbound, "<!DOCTYPE x [<!ENTITY a 'b'>]>" + HEADER, "restricted-xml"),
    Case(20, "external entity", inbound, "<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>", "restricted-xml"),
    Case(20, "parameter entity", inbound, "<!DOCTYPE x [<!ENTITY % a 'b'>%a;]>", "restricted-xml"),
    Case(21, "comment", proven_inbound, "<!-- -->", "restricted-xml"),
    Case(22, "processing instruction", proven_inbound, "<?a?>", "restricted-xml"),
    Case(23, "undefined entity", proven_inbound, stanza("hi", "&a;"), "restricted-xml"),
    Case(24, "overlong UTF-8", proven_inbound, stanza("hi", "@@").encode().replace(b"@@", b"\xc0\xbc"),
         "not-well-formed"),
    Case(24, "surrogate", proven_inbound, stanza("hi", "@@").encode().replace(b"@@", b"\xed\xbf\xbf"),
         "not-well-formed"),
    Case(24, "truncated UTF-8", proven_inbound, stanza("hi", "@@").encode().replace(b"@@", b"\xe2\x82"),
         "not-well-formed"),
    Case(24, "euro sign", proven_inbound, stanza("hi", "€"), None),
    Case(25, "NUL", proven_inbound, stanza("hi", "\x00"), "not-well-formed"),
    Case(25, "vertical tab", proven_inbound, stanza("hi", "\x0b"), "not-well-formed"),
    Case(25, "U+FFFE", proven_inbound, stanza("hi", "\ufffe"), "not-well-formed"),
    Case(26, "separator in a namespace", proven_inbound, "<message xmlns='jabber:server&#12;message'/>",
         "not-well-formed"),
    Case(26, "| in a namespace", proven_inbound, stanza("<body>", "<body xmlns='urn:a|b c'>"), None),
    Case(27, "undeclared prefix", proven_inbound, stanza("<body>hi</body>", "<p:body/>"), "not-well-formed"),
    Case(28, "xml rebound", proven_inbound, stanza("<body>", "<body xmlns:xml='urn:x'>"), "not-well-formed"),
    Case(28, "xmlns bound", proven_inbound, stanza("<body>", "<body xmlns:xmlns='urn:x'>"), "not-well-formed"),
    Case(29, "db under another namespace", inbound, HEADER + result("k").replace(" from", " xmlns:db='urn:x' from"),
         "unsupported-stanza-type"),
    Case(29, "dialback under another prefix", inbound,
         HEADER + "<r:result xmlns:r='jabber:server:dialback' from='partner.example' to='inside.example'>k</r:result>",
         None),
    Case(30, "stanza in another namespace", proven_inbound, stanza("<message", "<message xmlns='jabber:client'"),
         "unsupported-stanza-type"),
    Case(31, "text between stanzas", proven_inbound, MESSAGE + "hello" + MESSAGE, "bad-format"),
    Case(32, "depth", proven_inbound, stanza("<body>", "<a>" * 10_000), "policy-violation"),
    Case(33, "children", proven_inbound, stanza("<body>", "<a/>" * 50_000 + "<body>"), "policy-violation"),
    Case(33, "100 000 children", proven_inbound, stanza("<body>", "<a/>" * 100_000 + "<body>"), "policy-violation"),
    Case(34, "too large", proven_inbound, stanza("hi", "x" * (262_144 - len(MESSAGE) + 3)), "policy-violation"),
    Case(34, "just not too large", proven_inbound, stanza("hi", "x" * (262_144 - len(MESSAGE) + 2)), None),
    Case(36, "stanza before TLS, which is required", inbound, header("partner.example", STRICT) + MESSAGE,
         "policy-violation", "no_certificate"),
    Case(37, "dialback before TLS, which is required", inbound, header("partner.example", STRICT) + result("k"),
         "policy-violation", "no_certificate"),
    Case(42, "proceed not asked for", outgoing, THEIR_HEADER + f"<proceed xmlns='{TLS}'/>", "unsupported-stanza-type"),
    Case(45, "EXTERNAL on a plain stream", outgoing,
         THEIR_HEADER + f"<stream:features><mechanisms xmlns='{SASL}'><mechanism>EXTERNAL</mechanism></mechanisms>"
         "</stream:features>", None),
    Case(62, "mechanism on a plain stream", inbound,
         HEADER + f"<auth xmlns='{SASL}' mechanism='PLAIN'>AGEAYg==</auth>", None, "sasl_failed"),
    Case(67, "success not asked for", outgoing, THEIR_HEADER + FEATURES + f"<success xmlns='{SASL}'/>",
         "unsupported-stanza-type", "sasl_unsolicited"),
    Case(68, "result not asked for, inbound", inbound, HEADER + VALID + MESSAGE, "not-authorized",
         "dialback_unsolicited"),
    Case(69, "verification not asked for, inbound", inbound, HEADER + result("k") + VERIFIED + MESSAGE,
         "not-authorized", "dialback_unsolicited"),
    Case(69, "verification not asked for, outbound", outgoing, THEIR_HEADER + FEATURES + VERIFIED, None,
         "dialback_unsolicited"),
    Case(72, "sender not on the list", inbound, HEADER + result("k", sender=STRANGER), None, "not_a_partner"),
    Case(73, "target not ours", inbound, HEADER + result("k", target="elsewhere.example"), None, "unknown_host"),
    Case(75, "dialback disabled", inbound, HEADER + result("k", sender=STRICT), None, "no_certificate"),
    Case(76, "key with a type", inbound, HEADER + result("k").replace(">k", " type='valid'>k") + MESSAGE,
         "not-authorized", "dialback_unsolicited"),
    Case(81, "from another domain", proven_inbound, stanza("@partner", "@stranger"), "invalid-from",
         "from_not_proven"),
    Case(81, "from a subdomain", proven_inbound, stanza("@partner", "@a.partner"), "invalid-from", "from_not_proven"),
    Case(81, "from a longer name", proven_inbound, stanza("@partner", "@xpartner"), "invalid-from", "from_not_proven"),
    Case(81, "from our domain", proven_inbound, stanza("@partner", "@inside"), "invalid-from", "from_not_proven"),
    Case(81, "no from", proven_inbound, stanza("from='juliet@partner.example/b' ", ""), "improper-addressing"),
    Case(81, "bad from", proven_inbound, stanza("juliet@", "jul iet@"), "improper-addressing"),
    Case(82, "third domain", proven_inbound, stanza("@inside", "@stranger"), "host-unknown", "no_relay"),
    Case(83, "our domain, pair not proven", proven_inbound, stanza("@inside", "@branch"), "not-authorized",
         "pair_not_proven"),
    Case(85, "homograph", proven_inbound, stanza("@partner", "@p\u0430rtner"), "invalid-from", "from_not_proven"),
    Case(85, "upper case and fullwidth dot", proven_inbound, stanza("@partner.", "@PARTNER\uff0e"), None),
    Case(86, "resource with a control character", proven_inbound, stanza("/b'", "/&#x85;'"), "improper-addressing"),
    Case(86, "longest resource", proven_inbound, stanza("/b'", f"/{'b' * 1023}'"), None),
    Case(86, "too long resource", proven_inbound, stanza("/b'", f"/{'b' * 1024}'"), "improper-addressing"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[f"case-{case.number:03}-{case.what.replace(' ', '-')}" for case in CASES])
def test_case(case: Case) -> None:
    _machine, actions = both_ways(case.machine, case.text)
    ends = [action for action in actions if isinstance(action, Closed)]
    assert [(end.condition, end.by) for end in ends] == ([] if case.condition is None else [(case.condition, "us")])
    assert refused(actions) == ([] if case.reason is None else [case.reason])
    assert not only(actions, Authenticated)
    if case.condition is not None:
        assert not only(actions, Verify) or case.number == 69
        assert sent(actions).endswith("</stream:error></stream:stream>")
        if case.machine is inbound:
            # RFC 6120, section 4.9.1.2: our header comes before any error.
            assert sent(actions).startswith("<?xml version='1.0'?><stream:stream ")


def test_009_a_stranger_costs_a_look_into_a_table() -> None:
    policy = Policy()
    actions = feed(inbound(policy), HEADER.replace("partner", "stranger") + result("k", sender=STRANGER))
    assert policy.asked == [STRANGER]
    assert not only(actions, Verify)


def test_014_and_015_dripping_and_silence() -> None:
    for data in (b"", b" "):
        machine = inbound()
        for second in range(60):
            machine.receive(data, second)
        assert closed(machine.tick(60)).condition == "connection-timeout"


def test_019_stream_ids_come_from_the_driver_and_are_not_used_twice() -> None:
    made = [
        Inbound(Policy(), Credentials("s"), lambda: secrets.token_hex(16), Settings(), 0).stream_id
        for _unused in range(1000)
    ]
    assert len(set(made)) == 1000


def test_034_the_error_says_that_it_was_too_big() -> None:
    text = sent(feed(proven_inbound(), stanza("hi", "x" * 300_000)))
    assert "<stanza-too-big xmlns='urn:xmpp:errors'/></stream:error>" in text


def test_035_nothing_behind_the_end() -> None:
    _machine, actions = both_ways(proven_inbound, MESSAGE + "</stream:stream>" + MESSAGE + "<<<")
    assert len(only(actions, Deliver)) == 1
    assert closed(actions) == Closed(None, "", "peer")


def test_038_and_039_a_partner_that_must_have_tls_never_gets_plain_text() -> None:
    machine = outbound(partner=Partner(THEIRS, tls="required", auth_methods=("tls_dialback",)))
    machine.connected(0)
    actions = feed(machine, f"{THEIR_HEADER}<stream:features/>")
    assert sent(actions).startswith("<stream:error><policy-violation ")
    assert only(actions, Failed)
    assert closed(actions).condition == "policy-violation"


def test_068_results_not_asked_for_on_an_outbound_stream() -> None:
    machine = established_outbound()
    for element in (VALID, VALID.replace("inside", "branch"), VALID.replace("'partner", "'stranger")):
        assert refused(feed(machine, element)) == ["dialback_unsolicited"]
    assert not only(feed(machine, ""), Authenticated)


def test_069_verifications_count_once_for_one_question() -> None:
    machine = outbound("verify")
    machine.connected(0)
    feed(machine, THEIR_HEADER + FEATURES)
    machine.verify(PAIR, "k", STREAM_ID, 0)
    for old, new in ((STREAM_ID, "X"), ("'inside", "'branch"), ("'partner", "'stranger")):
        assert refused(feed(machine, VERIFIED.replace(old, new))) == ["dialback_unsolicited"]
    assert only(feed(machine, VERIFIED), Verified) == [Verified(PAIR, STREAM_ID, "valid")]
    assert refused(feed(machine, VERIFIED)) == ["dialback_unsolicited"]


def test_070_a_key_from_another_stream() -> None:
    text = f"<db:verify from='partner.example' to='inside.example' id='other'>{our_key(stream_id='one')}</db:verify>"
    assert "type='invalid'" in sent(feed(inbound(), HEADER + text))


def test_071_two_senders_on_one_stream_are_two_questions() -> None:
    machine = inbound()
    actions = feed(machine, HEADER + result("k") + result("k", sender="labs.partner.example"))
    assert [action.pair.remote for action in only(actions, Verify)] == [THEIRS, "labs.partner.example"]
    machine.verified(PAIR, STREAM_ID, "valid", None, 0)
    assert list(machine.pairs) == [PAIR]


@pytest.mark.parametrize("condition", ["remote-connection-failed", "remote-server-timeout", "remote-server-not-found"])
def test_074_the_authoritative_server_cannot_be_asked(condition: str) -> None:
    machine = inbound()
    feed(machine, HEADER + result("k"))
    text = sent(machine.verified(PAIR, STREAM_ID, "error", condition, 0))
    assert f"type='error'><error type='cancel'><{condition} " in text
    assert not machine.closed


def test_077_a_thousand_results_for_a_thousand_domains() -> None:
    partner = Partner(THEIRS, tuple(f"d{number}.example" for number in range(1000)))
    actions = feed(inbound(Policy(partners=(partner,))), HEADER + "".join(result("k", name) for name in partner.others))
    assert len(only(actions, Verify)) == Settings().verifications
    assert "<resource-constraint " in sent(actions)
    assert closed(actions).condition == "policy-violation"


def test_079_an_invalid_answer_for_the_first_and_for_a_later_pair() -> None:
    machine = inbound()
    feed(machine, HEADER + result("k"))
    assert sent(machine.verified(PAIR, STREAM_ID, "invalid", None, 0)).endswith("type='invalid'/></stream:stream>")
    machine = proven_inbound()
    feed(machine, result("k", target=ALSO_OURS))
    text = sent(machine.verified(Pair(ALSO_OURS, THEIRS), STREAM_ID, "invalid", None, 0))
    assert "<forbidden " in text
    assert "</stream:stream>" not in text


def test_080_the_border_between_domain_and_id() -> None:
    key = our_key(originating="inside.example", stream_id="one two")
    text = f"<db:verify from='partner.example' to='inside.example' id='one two'>{key}</db:verify>"
    assert "type='invalid'" in sent(feed(inbound(), HEADER + text))


def test_089_no_answer_to_answers() -> None:
    for kind in ("error", "result"):
        made = Stanza("iq", {"type": kind}, "", 0, JID.parse(THEIRS), JID.parse(OURS))
        assert error_reply(made, "service-unavailable", "cancel") is None


def test_actions_are_the_only_thing_that_machines_return() -> None:
    actions: list[Action] = feed(proven_inbound(), MESSAGE)
    assert [type(action) for action in actions] == [Deliver]
