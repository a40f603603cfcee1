# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inbound machine: header, dialback as receiving and as authoritative server, stanzas, time."""

from __future__ import annotations

import gc
import weakref

import pytest
from xmpp_edge.stream.actions import Authenticated, Closed, Deliver, Pair, Refused, Send, Verify
from xmpp_edge.stream.settings import Settings

from .support import (
    ALSO_OURS,
    ALSO_THEIRS,
    END,
    HEADER,
    MESSAGE,
    OUR_FEATURES,
    OUR_HEADER,
    OURS,
    PAIR,
    STRANGER,
    STREAM_ID,
    STRICT,
    THEIRS,
    Partner,
    Policy,
    both_ways,
    closed,
    feed,
    inbound,
    joined,
    kinds,
    only,
    our_key,
    proven_inbound,
    refused,
    result,
    sent,
)

OLD_HEADER = HEADER.replace(" version='1.0'", "")
BARE_HEADER = (
    "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'"
    " xmlns:db='jabber:server:dialback'>"
)


def test_dialback_from_the_header_to_the_first_stanza() -> None:
    machine, actions = both_ways(inbound, HEADER + result("the key"))
    assert joined(actions) == [Send((OUR_HEADER + OUR_FEATURES).encode()), Verify(PAIR, "the key", STREAM_ID)]
    assert machine.remote == THEIRS
    assert machine.verified(PAIR, STREAM_ID, "valid", None, 1) == [
        Send(b"<db:result from='inside.example' to='partner.example' type='valid'/>"),
        Authenticated(PAIR, "tcp_dialback"),
    ]
    (action,) = feed(machine, MESSAGE, step=0)
    assert isinstance(action, Deliver)
    assert action.pair == PAIR
    assert (str(action.stanza.from_), str(action.stanza.to)) == ("juliet@partner.example/b", "romeo@inside.example")
    assert action.stanza.attrs == {"type": "chat"}
    assert feed(machine, END) == [Send(END.encode()), Closed(None, "", "peer")]
    assert feed(machine, MESSAGE) == []
    assert machine.eof(9) == []
    assert machine.tick(1e9) == []
    assert machine.deadline is None


def test_a_peer_from_before_version_1_0_gets_neither_version_nor_features() -> None:
    _machine, actions = both_ways(inbound, OLD_HEADER + result("k"))
    assert sent(actions) == OUR_HEADER.replace(" version='1.0' xml:lang='en'", "")
    assert only(actions, Verify)


def test_a_header_without_addresses_is_decided_at_the_first_result() -> None:
    _machine, actions = both_ways(inbound, BARE_HEADER + result("k"))
    assert "from=" not in sent(actions)
    assert only(actions, Verify) == [Verify(PAIR, "k", STREAM_ID)]
    _machine, actions = both_ways(inbound, BARE_HEADER + result("k", sender=STRANGER) + result("k"))
    assert refused(actions) == ["not_a_partner"]
    assert closed(actions).condition == "policy-violation"
    assert not only(actions, Verify)


@pytest.mark.parametrize(
    ("header", "condition", "reason"),
    [
        (HEADER.replace("from='partner.example'", f"from='{STRANGER}'"), "policy-violation", "not_a_partner"),
        (HEADER.replace("from='partner", "from='sub.partner"), "policy-violation", "not_a_partner"),
        (HEADER.replace("from='partner", "from='inside"), "policy-violation", "own_domain"),
        (HEADER.replace("to='inside", "to='elsewhere"), "host-unknown", "unknown_host"),
        (HEADER.replace("from='partner.example'", f"from='{STRICT}'"), "policy-violation", "no_certificate"),
    ],
)
def test_gates_at_the_header(header: str, condition: str, reason: str) -> None:
    _machine, actions = both_ways(inbound, header + result("k"))
    assert list(kinds(actions)) == ["Refused", "Send", "Closed"]
    assert refused(actions) == [reason]
    assert closed(actions).condition == condition
    # Our header comes before the error, and the stream is closed after it.
    answer = sent(actions)
    assert answer.startswith("<?xml version='1.0'?><stream:stream ")
    assert f"<{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><text" in answer
    assert answer.endswith("</stream:error></stream:stream>")
    assert "features" not in answer


def test_federation_off_is_the_first_gate() -> None:
    policy = Policy(federation=False)
    for header in (HEADER, BARE_HEADER, HEADER.replace("partner", "stranger")):
        actions = feed(inbound(policy), header)
        assert refused(actions) == ["federation_off"]
        assert closed(actions).condition == "policy-violation"
    assert policy.asked == []


def test_tls_demanded_is_said_plainly() -> None:
    actions = feed(inbound(), HEADER.replace("partner.example", STRICT))
    assert closed(actions).text == (
        "the record of strict.example at this server demands TLS, for which this server has no certificate yet"
    )


def test_international_names_meet_in_one_form() -> None:
    policy = Policy(partners=(Partner("bücher.example"),))
    header = HEADER.replace("from='partner.example'", "from='xn--BCHER-KVA.example.'")
    actions = feed(inbound(policy), header + result("k", sender="BÜCHER.example"))
    assert only(actions, Verify) == [Verify(Pair(OURS, "bücher.example"), "k", STREAM_ID)]


# Receiving server


def test_invalid_key_closes_the_stream() -> None:
    machine = inbound()
    feed(machine, HEADER + result("k"))
    actions = machine.verified(PAIR, STREAM_ID, "invalid", None, 1)
    assert sent(actions) == "<db:result from='inside.example' to='partner.example' type='invalid'/>" + END
    assert refused(actions) == ["dialback_invalid"]
    assert machine.tick(machine.deadline or 0) == [Closed(None, "dialback_invalid", "us")]


def test_invalid_key_of_a_later_pair_costs_only_that_pair() -> None:
    machine = proven_inbound()
    other = Pair(ALSO_OURS, THEIRS)
    assert feed(machine, result("k", target=ALSO_OURS)) == [Verify(other, "k", STREAM_ID)]
    actions = machine.verified(other, STREAM_ID, "invalid", None, 1)
    assert "type='error'><error type='cancel'><forbidden " in sent(actions)
    assert machine.pairs == {PAIR: "tcp_dialback"}
    assert only(feed(machine, MESSAGE), Deliver)


def test_error_is_not_fatal() -> None:
    machine = inbound()
    feed(machine, HEADER + result("k"))
    actions = machine.verified(PAIR, STREAM_ID, "error", "remote-connection-failed", 1)
    assert sent(actions) == (
        "<db:result from='inside.example' to='partner.example' type='error'><error type='cancel'>"
        "<remote-connection-failed xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
        "<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>"
        "the authoritative server of partner.example could not be asked</text></error></db:result>"
    )
    assert refused(actions) == ["dialback_failed"]
    assert feed(machine, result("k")) == [Verify(PAIR, "k", STREAM_ID)]


def test_several_pairs_on_one_stream_and_each_only_for_itself() -> None:
    machine = proven_inbound()
    second, third = Pair(ALSO_OURS, THEIRS), Pair(OURS, ALSO_THEIRS)
    for pair in (second, third):
        feed(machine, result("k", sender=pair.remote, target=pair.local))
        machine.verified(pair, STREAM_ID, "valid", None, 1)
    assert set(machine.pairs) == {PAIR, second, third}
    text = MESSAGE.replace("@inside", "@branch")
    assert [action.pair for action in only(feed(machine, MESSAGE + text), Deliver)] == [PAIR, second]
    crossed = text.replace("@partner", "@labs.partner")
    assert closed(feed(machine, crossed)).condition == "not-authorized"


def test_a_proven_pair_is_confirmed_without_asking_again() -> None:
    machine = proven_inbound()
    assert feed(machine, result("k")) == [Send(b"<db:result from='inside.example' to='partner.example' type='valid'/>")]


@pytest.mark.parametrize(
    ("element", "condition", "reason"),
    [
        (result("k", target="elsewhere.example"), "item-not-found", ["unknown_host"]),
        (result("k", sender=STRANGER), "policy-violation", ["not_a_partner"]),
        (result("k", sender=STRICT), "policy-violation", ["no_certificate"]),
        (result("k", sender=OURS), "policy-violation", ["own_domain"]),
        (result(""), "not-acceptable", []),
        (result("x" * 2000), "not-acceptable", []),
    ],
)
def test_refused_pairs_leave_the_stream_open(element: str, condition: str, reason: list[str]) -> None:
    _machine, actions = both_ways(inbound, HEADER + element + result("k", sender=ALSO_THEIRS))
    assert f"<error type='cancel'><{condition} xmlns" in sent(actions)
    assert refused(actions) == reason
    assert only(actions, Verify) == [Verify(Pair(OURS, ALSO_THEIRS), "k", STREAM_ID)]
    assert not only(actions, Closed)


def test_a_pair_is_verified_once_at_a_time() -> None:
    machine = inbound()
    actions = feed(machine, HEADER + result("k") + result("l"))
    assert len(only(actions, Verify)) == 1
    assert "<resource-constraint " in sent(actions)


def test_verifications_in_flight_are_bounded() -> None:
    partner = Partner(THEIRS, tuple(f"{n}.example" for n in range(50)))
    machine = inbound(Policy(partners=(partner,)), Settings(verifications=3, strikes=100))
    actions = feed(machine, HEADER + "".join(result("k", sender=name) for name in partner.domains))
    assert len(only(actions, Verify)) == 3
    assert sent(actions).count("<resource-constraint ") == 48


def test_proven_pairs_are_bounded() -> None:
    machine = proven_inbound(settings=Settings(pairs=1))
    assert "<resource-constraint " in sent(feed(machine, result("k", target=ALSO_OURS)))


def test_strikes_are_counted_when_answers_come_too() -> None:
    machine = inbound(settings=Settings(strikes=2))
    feed(machine, HEADER + result("k"))
    assert not only(machine.verified(PAIR, STREAM_ID, "error", None, 0), Closed)
    feed(machine, result("k"))
    actions = machine.verified(PAIR, STREAM_ID, "error", None, 0)
    assert "<remote-server-timeout " in sent(actions)
    assert closed(actions).condition == "policy-violation"


def test_strikes_are_counted() -> None:
    actions = feed(inbound(), HEADER + result("k", sender=STRANGER) * 30)
    assert sent(actions).count("<db:result") == 10
    assert closed(actions).condition == "policy-violation"


def test_bytes_are_counted_while_nothing_is_proven() -> None:
    machine = inbound(settings=Settings(unproven=1_000))
    feed(machine, HEADER)
    actions = [action for _unused in range(10) for action in feed(machine, " " * 100)]
    assert closed(actions).condition == "policy-violation"
    machine = proven_inbound(settings=Settings(unproven=1_000))
    assert feed(machine, " " * 10_000) == []


@pytest.mark.parametrize("kind", ["valid", "invalid", "error", "", "x"])
@pytest.mark.parametrize("name", ["result", "verify"])
def test_answers_to_nothing_prove_nothing(name: str, kind: str) -> None:
    element = f"<db:{name} from='partner.example' to='inside.example' id='{STREAM_ID}' type='{kind}'/>"
    for text in (HEADER + element, HEADER + result("k") + element):
        machine, actions = both_ways(inbound, text)
        assert refused(actions) == ["dialback_unsolicited"]
        assert machine.pairs == {}
        assert not only(actions, Authenticated)
        assert closed(feed(machine, MESSAGE)).condition == "not-authorized"
    assert closed(feed(inbound(), HEADER + element * 30)).condition == "policy-violation"


def test_answers_are_matched_by_pair_and_stream() -> None:
    machine = inbound()
    feed(machine, HEADER + result("k"))
    assert machine.verified(PAIR, "other id", "valid", None, 1) == []
    assert machine.verified(Pair(THEIRS, OURS), STREAM_ID, "valid", None, 1) == []
    assert machine.verified(Pair(ALSO_OURS, THEIRS), STREAM_ID, "valid", None, 1) == []
    assert machine.pairs == {}
    assert only(machine.verified(PAIR, STREAM_ID, "valid", None, 1), Authenticated)
    assert machine.verified(PAIR, STREAM_ID, "invalid", None, 1) == []


def test_an_answer_after_its_time_is_no_answer() -> None:
    machine = inbound(settings=Settings(stream_establishment_timeout=60))
    feed(machine, HEADER, now=30)
    feed(machine, result("k"), now=50)
    assert machine.deadline == 60
    actions = machine.tick(60)
    assert closed(actions).condition == "connection-timeout"
    assert machine.verified(PAIR, STREAM_ID, "valid", None, 61) == []
    machine = proven_inbound()
    feed(machine, result("k", target=ALSO_OURS), now=10)
    actions = machine.tick(70)
    assert "<remote-server-timeout " in sent(actions)
    assert machine.verified(Pair(ALSO_OURS, THEIRS), STREAM_ID, "valid", None, 71) == []


def test_the_policy_may_change_while_a_key_is_verified() -> None:
    machine = inbound()
    feed(machine, HEADER + result("k"))
    machine.policy = Policy(partners=())
    actions = machine.verified(PAIR, STREAM_ID, "valid", None, 1)
    assert refused(actions) == ["not_a_partner"]
    assert "type='error'" in sent(actions)
    assert machine.pairs == {}


# Authoritative server


def verify(key: str, sender: str = THEIRS, target: str = OURS, stream_id: str = "417GAF25") -> str:
    return f"<db:verify from='{sender}' to='{target}' id='{stream_id}'>{key}</db:verify>"


def test_our_keys_are_known_and_others_are_not() -> None:
    good = verify(our_key())
    _machine, actions = both_ways(inbound, HEADER + good)
    answer = "<db:verify from='inside.example' to='partner.example' id='417GAF25' type='{}'/>"
    assert sent(actions).endswith(answer.format("valid"))
    for bad in (verify("guessed"), verify(our_key(stream_id="x")), verify(our_key(receiving=STRANGER)), verify("")):
        _machine, actions = both_ways(inbound, HEADER + bad)
        assert sent(actions).endswith(answer.format("invalid"))
        assert refused(actions) == ["key_not_ours"]
        assert not only(actions, Closed)


def test_keys_are_verified_for_our_domains_and_partners_only() -> None:
    assert "<item-not-found " in sent(feed(inbound(), HEADER + verify("k", target="elsewhere.example")))
    assert "<policy-violation " in sent(feed(inbound(), HEADER + verify("k", sender=STRANGER)))
    assert closed(feed(inbound(), BARE_HEADER + verify("k", sender=STRANGER))).condition == "policy-violation"


def test_a_partner_may_be_lied_to_many_times_but_not_for_ever() -> None:
    machine = inbound()
    assert not only(feed(machine, HEADER + verify("bad") * 99), Closed)
    assert closed(feed(machine, verify("bad"))).condition == "policy-violation"


def test_a_stream_for_questions_only_ends_in_peace() -> None:
    machine = inbound()
    feed(machine, HEADER + verify(our_key()))
    actions = machine.tick(60)
    assert actions == [Send(END.encode())]
    assert feed(machine, END) == [Closed(None, "idle", "us")]


@pytest.mark.parametrize(
    "element",
    [
        "<db:result to='inside.example'>k</db:result>",
        "<db:result from='partner.example'>k</db:result>",
        "<db:result from='' to='inside.example'>k</db:result>",
        "<db:result from='partner.example' to='romeo@inside.example'>k</db:result>",
        "<db:verify from='partner.example' to='inside.example'>k</db:verify>",
        "<db:verify from='partner.example' to='inside.example' id=''>k</db:verify>",
    ],
)
def test_dialback_without_addresses(element: str) -> None:
    _machine, actions = both_ways(inbound, HEADER + element)
    assert closed(actions).condition == "improper-addressing"


# Stanzas


@pytest.mark.parametrize(
    ("change", "condition", "reason"),
    [
        (("juliet@partner", "juliet@stranger"), "invalid-from", ["from_not_proven"]),
        (("juliet@partner", "juliet@labs.partner"), "invalid-from", ["from_not_proven"]),
        (("juliet@partner", "juliet@inside"), "invalid-from", ["from_not_proven"]),
        (("romeo@inside", "romeo@elsewhere"), "host-unknown", ["no_relay"]),
        (("romeo@inside", "romeo@branch"), "not-authorized", ["pair_not_proven"]),
        (("from='juliet@partner.example/b' ", ""), "improper-addressing", []),
        (("to='romeo@inside.example' ", ""), "improper-addressing", []),
        (("juliet@partner.example/b", ""), "improper-addressing", []),
        (("juliet@", "@"), "improper-addressing", []),
        (("romeo@", "ro meo@"), "improper-addressing", []),
    ],
)
def test_addresses_must_be_honest(change: tuple[str, str], condition: str, reason: list[str]) -> None:
    _machine, actions = both_ways(proven_inbound, MESSAGE.replace(*change))
    assert closed(actions).condition == condition
    assert refused(actions) == reason
    assert not only(actions, Deliver)


def test_aliases_are_delivered_in_canonical_form() -> None:
    text = MESSAGE.replace("romeo@inside.example", "RO&#xAD;MEO@INSIDE.example.").replace("juliet@", "Juliet@")
    (deliver,) = feed(proven_inbound(), text)
    assert isinstance(deliver, Deliver)
    assert (str(deliver.stanza.from_), str(deliver.stanza.to)) == ("juliet@partner.example/b", "romeo@inside.example")


def test_stanzas_before_an_error_are_delivered() -> None:
    _machine, actions = both_ways(proven_inbound, MESSAGE + MESSAGE + "<!-- -->" + MESSAGE)
    assert len(only(actions, Deliver)) == 2
    assert closed(actions).condition == "restricted-xml"


def test_stanzas_before_proof() -> None:
    for text in (HEADER + MESSAGE, HEADER + result("k") + MESSAGE):
        _machine, actions = both_ways(inbound, text)
        assert closed(actions).condition == "not-authorized"
        assert not only(actions, Deliver)


def test_larger_stanzas_are_for_the_proven() -> None:
    text = MESSAGE.replace("hi", "x" * 100_000)
    assert only(feed(proven_inbound(), text), Deliver)
    assert closed(feed(inbound(), HEADER + text)).condition == "policy-violation"
    error = sent(feed(inbound(), HEADER + text))
    assert "<stanza-too-big xmlns='urn:xmpp:errors'/></stream:error>" in error


# Closing and time


def test_a_peaceful_close_takes_in_what_is_still_coming() -> None:
    machine = proven_inbound()
    assert machine.close("system-shutdown", "bye", 5) == [
        Send(
            b"<stream:error><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
            b"<text xmlns='urn:ietf:params:xml:ns:xmpp-streams' xml:lang='en'>bye</text></stream:error></stream:stream>"
        )
    ]
    assert only(feed(machine, MESSAGE), Deliver)
    assert feed(machine, result("k", target=ALSO_OURS)) == []
    assert machine.close(None, "again", 6) == []
    assert feed(machine, END) == [Closed("system-shutdown", "bye", "us")]


def test_a_close_in_anger_does_not() -> None:
    machine = proven_inbound()
    machine.close("policy-violation", "no longer a partner", 5)
    assert feed(machine, MESSAGE + "<not xml") == []
    assert machine.deadline == 10
    assert machine.tick(9) == []
    assert machine.tick(10) == [Closed("policy-violation", "no longer a partner", "us")]


def test_what_is_wrong_after_a_close_hastens_the_end() -> None:
    machine = proven_inbound()
    machine.close("system-shutdown", "bye", 5)
    assert feed(machine, "<!-- -->") == [Closed("system-shutdown", "bye", "us")]
    machine = proven_inbound()
    machine.close("system-shutdown", "bye", 5)
    assert feed(machine, "<stream:error><reset/></stream:error>") == [Closed("undefined-condition", "", "peer")]


def test_close_before_the_header() -> None:
    machine = inbound()
    actions = machine.close("system-shutdown", "bye", 0)
    assert sent(actions).startswith("<?xml version='1.0'?><stream:stream ")
    assert closed(actions) == Closed("system-shutdown", "bye", "us")
    assert inbound().close(None, "", 0) == [Closed(None, "", "us")]


def test_the_peer_may_end_it() -> None:
    error = "<stream:error><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"
    assert feed(proven_inbound(), error) == [Send(END.encode()), Closed("reset", "", "peer")]
    assert closed(proven_inbound().eof(1)).by == "peer"


def test_silence_before_anything() -> None:
    machine = inbound(now=100)
    assert machine.deadline == 160
    assert machine.tick(159.9) == []
    actions = machine.tick(160)
    assert closed(actions).condition == "connection-timeout"
    assert sent(actions).startswith("<?xml")


def test_dripping_does_not_extend_the_time() -> None:
    machine = inbound()
    for second in range(59):
        assert machine.receive(HEADER[second].encode(), second) == []
    assert machine.deadline == 60
    assert closed(machine.tick(60)).condition == "connection-timeout"


def test_keep_alives_are_expected() -> None:
    machine = proven_inbound(settings=Settings(keepalive_interval=300, stream_inactivity_timeout=600))
    assert machine.deadline == 300
    assert machine.receive(b" ", 200) == []
    assert machine.deadline == 500
    assert machine.receive(b"\n", 499) == []
    # Keep-alives keep the stream from being thought dead, not from being idle.
    assert machine.deadline == 600
    assert machine.tick(600) == [Send(END.encode())]
    machine = proven_inbound()
    actions = machine.tick(300)
    assert closed(actions).condition == "connection-timeout"


def test_no_keep_alive_is_expected_where_the_record_says_so() -> None:
    machine = proven_inbound(Policy(partners=(Partner(THEIRS, keepalive=False),)))
    assert machine.deadline == 600
    assert machine.tick(599) == []
    assert machine.tick(600) == [Send(END.encode())]
    assert machine.tick(605) == [Closed(None, "idle", "us")]


def test_stanzas_keep_a_stream_open() -> None:
    machine = proven_inbound()
    feed(machine, MESSAGE, now=250)
    assert machine.tick(300) == []
    assert machine.deadline == 550


def test_refused_says_who_and_why() -> None:
    (action,) = only(feed(inbound(), HEADER.replace("partner", "stranger")), Refused)
    assert action == Refused(
        "not_a_partner", OURS, STRANGER, "stranger.example is not among the partners of this server"
    )


def test_a_broken_stream_leaves_no_parser_for_the_collector_of_cycles() -> None:
    machine = inbound()
    feed(machine, "<stream:stream a='" + "x" * 9000)
    parser = weakref.ref(machine._parser)
    gc.disable()
    try:
        machine.eof(1)
        assert parser() is None
    finally:
        gc.enable()
    assert feed(machine, HEADER) == []
