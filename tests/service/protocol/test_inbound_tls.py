# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""STARTTLS and direct TLS on streams that partners open: what is offered, what is forgotten, what stays bound."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from xmpp_edge.current import Bounds
from xmpp_edge.stream.actions import Closed, Deliver, Refused, Send, StartTls, Verify
from xmpp_edge.stream.inbound import Inbound
from xmpp_edge.stream.settings import Settings

from .incoming import (
    ANYTHING,
    AUTH,
    DIALBACK_IN_TLS,
    NAMELESS,
    NO_TLS,
    PROCEED,
    SASL_ONLY,
    SASL_OR_DIALBACK,
    STARTTLS,
    TLS,
    encrypted,
    features,
    numbered,
    our_header,
)
from .support import (
    CREDENTIALS,
    END,
    HEADER,
    MESSAGE,
    OURS,
    PAIR,
    STRANGER,
    THEIRS,
    Partner,
    both_ways,
    closed,
    feed,
    kinds,
    only,
    refused,
    result,
    sent,
    tls,
)

OLD_HEADER = HEADER.replace(" version='1.0'", "")


# Before TLS


@pytest.mark.parametrize(
    ("partner", "offered"),
    [
        (ANYTHING, "tls dialback limits"),
        (SASL_ONLY, "tls!"),
        (SASL_OR_DIALBACK, "tls!"),
        (DIALBACK_IN_TLS, "tls!"),
        (NO_TLS, "dialback limits"),
        (Partner(THEIRS, tls="optional", sasl="required", auth_methods=("sasl_tls",)), "tls!"),
    ],
)
def test_what_is_offered_on_a_plain_stream(partner: Partner, offered: str) -> None:
    _machine, actions = both_ways(lambda: numbered(partner), HEADER)
    assert sent(actions) == our_header(1) + features(offered)


def test_tls_is_offered_to_those_who_have_not_said_who_they_are() -> None:
    _machine, actions = both_ways(numbered, NAMELESS)
    assert sent(actions) == our_header(1, None) + features("tls dialback limits")


def test_without_a_certificate_of_ours_tls_is_not_offered() -> None:
    for header, remote in ((HEADER, THEIRS), (NAMELESS, None)):
        actions = feed(numbered(credentials=CREDENTIALS), header)
        assert sent(actions) == our_header(1, remote) + features("dialback limits")


@pytest.mark.parametrize("partner", [SASL_ONLY, SASL_OR_DIALBACK, DIALBACK_IN_TLS])
def test_without_a_certificate_of_ours_a_partner_that_needs_tls_is_told_so(partner: Partner) -> None:
    _machine, actions = both_ways(lambda: numbered(partner, credentials=CREDENTIALS), HEADER)
    assert refused(actions) == ["no_certificate"]
    assert closed(actions).condition == "policy-violation"
    assert closed(actions).text.endswith("demands TLS, for which this server has no certificate yet")


def test_a_peer_from_before_version_1_0_never_learns_of_starttls() -> None:
    _machine, actions = both_ways(lambda: numbered(SASL_OR_DIALBACK), OLD_HEADER + result("k"))
    assert refused(actions) == ["tls_required"]
    assert closed(actions).condition == "policy-violation"
    _machine, actions = both_ways(numbered, OLD_HEADER + result("k"))
    assert only(actions, Verify)


def test_starttls() -> None:
    machine, actions = both_ways(numbered, HEADER + STARTTLS)
    assert actions[1:] == [Send(PROCEED.encode()), StartTls(OURS, THEIRS)]
    assert machine.tls is None
    layer = tls(THEIRS)
    assert machine.secured(layer, 1) == []
    assert machine.tls is layer
    actions = feed(machine, HEADER, 1)
    assert sent(actions) == our_header(2) + features("external dialback bidi limits")


def test_what_comes_behind_starttls_is_thrown_away() -> None:
    for behind in (MESSAGE, HEADER, result("k"), "<!-- ", "\x16\x03\x01"):
        machine = numbered()
        actions = feed(machine, HEADER + STARTTLS + behind)
        assert list(kinds(actions)) == ["Send", "Send", "StartTls"]
        machine.secured(tls(THEIRS), 1)
        assert sent(feed(machine, HEADER)) == our_header(2) + features("external dialback bidi limits")


@pytest.mark.parametrize(
    ("machine", "text"),
    [
        (lambda: numbered(NO_TLS), "its record says that it has none"),
        (lambda: numbered(credentials=CREDENTIALS), "for which this server has no certificate yet"),
    ],
)
def test_tls_that_was_not_offered(machine: Callable[[], Inbound], text: str) -> None:
    _machine, actions = both_ways(machine, HEADER + STARTTLS + MESSAGE)
    assert sent(actions).endswith(f"</stream:features><failure xmlns='{TLS}'/>" + END)
    assert refused(actions) == ["tls_not_offered"]
    end = closed(actions)
    assert (end.condition, end.by) == (None, "us")
    assert end.text.endswith(text)


def test_starttls_inside_tls() -> None:
    _machine, actions = both_ways(encrypted, HEADER + STARTTLS)
    assert closed(actions).condition == "unsupported-stanza-type"


def test_starttls_after_dialback_began() -> None:
    for proven in (False, True):
        machine = numbered()
        feed(machine, HEADER + result("k"))
        if proven:
            machine.verified(PAIR, "id1", "valid", None, 0)
        actions = feed(machine, STARTTLS)
        assert closed(actions).condition == "policy-violation"
        assert not only(actions, StartTls)


def test_required_tls_is_required() -> None:
    machine, actions = both_ways(lambda: numbered(SASL_OR_DIALBACK), HEADER + result("k"))
    assert refused(actions) == ["tls_required"]
    assert "type='error'><error type='cancel'><policy-violation " in sent(actions)
    assert "demands TLS: use STARTTLS first</text>" in sent(actions)
    assert not only(actions, Verify)
    # A refused request proves nothing, and TLS can still come.
    assert only(feed(machine, STARTTLS), StartTls)
    _machine, actions = both_ways(lambda: numbered(SASL_OR_DIALBACK), HEADER + MESSAGE)
    assert refused(actions) == ["tls_required"]
    assert closed(actions).condition == "policy-violation"
    assert not only(actions, Deliver)


def test_a_nameless_header_does_not_get_round_required_tls() -> None:
    for partner in (SASL_ONLY, DIALBACK_IN_TLS):
        _machine, actions = both_ways(lambda partner=partner: numbered(partner), NAMELESS + result("k"))
        assert refused(actions) == ["tls_required"]
        assert not only(actions, Verify)
        assert not only(actions, Closed)


# The handshake


def test_the_handshake_has_the_time_of_the_whole_establishment() -> None:
    machine = numbered(settings=Settings(stream_establishment_timeout=60))
    feed(machine, HEADER + STARTTLS, now=30)
    assert machine.deadline == 60
    assert machine.tick(59) == []
    # There is no stream on which this could be said.
    assert machine.tick(60) == [Closed("connection-timeout", "there was no TLS within 60 seconds", "us")]


def test_a_failed_handshake_is_the_end() -> None:
    machine = numbered()
    feed(machine, HEADER + STARTTLS)
    assert machine.tls_failed("no shared cipher", 1) == [
        Refused("tls_failed", OURS, THEIRS, "no shared cipher"),
        Closed("tls_failed", "no shared cipher", "us"),
    ]
    assert machine.secured(tls(THEIRS), 2) == []
    assert machine.tls is None


def test_nothing_is_said_in_plain_during_the_handshake() -> None:
    for condition in (None, "system-shutdown"):
        machine = numbered()
        feed(machine, HEADER + STARTTLS)
        assert machine.close(condition, "bye", 1) == [Closed(condition, "bye", "us")]
    machine = numbered()
    feed(machine, HEADER + STARTTLS)
    assert list(kinds(machine.eof(1))) == ["Closed"]


def test_what_was_verified_before_tls_is_nothing_after_it() -> None:
    machine = numbered()
    feed(machine, HEADER + STARTTLS)
    machine.secured(tls(THEIRS), 1)
    feed(machine, HEADER)
    assert machine.verified(PAIR, "id1", "valid", None, 1) == []
    assert machine.verified(PAIR, "id2", "valid", None, 1) == []
    assert machine.pairs == {}


# After TLS


@pytest.mark.parametrize(
    "header",
    [
        HEADER.replace("partner", "labs.partner"),
        HEADER.replace("partner", "stranger"),
        HEADER.replace("inside", "branch"),
        NAMELESS,
        HEADER.replace(" to='inside.example'", ""),
    ],
)
def test_the_header_after_tls_names_the_same_domains(header: str) -> None:
    def make() -> Inbound:
        machine = numbered()
        feed(machine, HEADER + STARTTLS)
        machine.secured(tls(THEIRS), 1)
        return machine

    _machine, actions = both_ways(make, header)
    assert list(kinds(actions)) == ["Send", "Closed"]
    assert closed(actions).condition == "improper-addressing"
    # The names of the stream are those it had.
    assert sent(actions).startswith(our_header(2) + "<stream:error>")


def test_a_header_without_a_name_may_be_completed_after_tls() -> None:
    def make() -> Inbound:
        machine = numbered()
        feed(machine, NAMELESS + STARTTLS)
        machine.secured(tls(THEIRS), 1)
        return machine

    _machine, actions = both_ways(make, HEADER)
    assert sent(actions) == our_header(2) + features("external dialback bidi limits")
    _machine, actions = both_ways(make, NAMELESS)
    assert sent(actions) == our_header(2, None) + features("dialback bidi limits")
    _machine, actions = both_ways(make, HEADER.replace("partner", "stranger"))
    assert refused(actions) == ["not_a_partner"]
    assert closed(actions).condition == "policy-violation"


def test_the_same_name_in_another_form_is_the_same_name() -> None:
    machine = numbered()
    feed(machine, HEADER + STARTTLS)
    machine.secured(tls(THEIRS), 1)
    assert not only(feed(machine, HEADER.replace("partner.example", "PARTNER.example.")), Closed)


def test_a_stanza_instead_of_the_header_after_tls() -> None:
    machine = numbered()
    feed(machine, HEADER + STARTTLS)
    machine.secured(tls(THEIRS), 1)
    actions = feed(machine, MESSAGE)
    assert closed(actions).condition == "not-authorized"
    assert sent(actions).startswith(our_header(2) + "<stream:error>")


def test_inside_tls_a_stream_is_of_version_1_0() -> None:
    _machine, actions = both_ways(encrypted, OLD_HEADER)
    assert closed(actions).condition == "unsupported-version"


@pytest.mark.parametrize(
    ("partner", "proves", "offered"),
    [
        (ANYTHING, True, "external dialback bidi limits"),
        (ANYTHING, False, "dialback bidi limits"),
        (SASL_OR_DIALBACK, True, "external dialback bidi limits"),
        (SASL_OR_DIALBACK, False, "dialback bidi limits"),
        (SASL_ONLY, True, "external bidi limits"),
        (DIALBACK_IN_TLS, True, "dialback bidi limits"),
        (DIALBACK_IN_TLS, False, "dialback bidi limits"),
    ],
)
def test_what_is_offered_inside_tls(partner: Partner, proves: bool, offered: str) -> None:
    layer = tls(THEIRS) if proves else tls(STRANGER)
    _machine, actions = both_ways(lambda: encrypted(partner, layer), HEADER)
    assert sent(actions) == our_header(2) + features(offered)
    # Why the certificate is not trusted is known, even where the peer goes on with dialback.
    wants_trust = "sasl_tls" in partner.auth_methods and not proves
    assert refused(actions) == (["not_trusted"] if wants_trust else [])


def test_why_a_certificate_is_not_trusted() -> None:
    layer = tls(STRANGER, reason="expired", text="it ended in 2020")
    text = "the certificate that was presented does not prove partner.example here (expired): it ended in 2020"
    actions = feed(encrypted(ANYTHING, layer), HEADER)
    assert actions[0] == Refused("not_trusted", OURS, THEIRS, text)
    assert not only(actions, Closed)
    _machine, actions = both_ways(lambda: encrypted(SASL_ONLY, layer), HEADER)
    assert actions[0] == Refused("not_trusted", OURS, THEIRS, text)
    assert closed(actions) == Closed("not-authorized", text, "us")


def test_a_certificate_is_judged_for_the_name_in_the_header() -> None:
    for name in ("labs.partner.example", "partner.example.evil.example", "inside.example"):
        assert closed(feed(encrypted(SASL_ONLY, tls(name)), HEADER)).condition == "not-authorized"


# Direct TLS


def test_direct_tls_goes_without_starttls() -> None:
    machine = numbered()
    assert machine.secured(tls(THEIRS, direct=True), 0) == []
    actions = feed(machine, HEADER)
    assert sent(actions) == our_header(2) + features("external dialback bidi limits")
    assert closed(feed(machine, STARTTLS)).condition == "unsupported-stanza-type"


def test_direct_tls_is_no_way_round_a_record_without_tls() -> None:
    _machine, actions = both_ways(lambda: encrypted(NO_TLS), HEADER)
    assert refused(actions) == ["tls_not_supported"]
    assert closed(actions).condition == "policy-violation"
    _machine, actions = both_ways(lambda: encrypted(NO_TLS), NAMELESS + result("k"))
    assert refused(actions) == ["tls_not_supported"]
    assert not only(actions, Verify)


def test_strangers_are_refused_at_the_header_also_inside_tls() -> None:
    machine = encrypted()
    actions = feed(machine, HEADER.replace("partner", "stranger") + AUTH)
    assert refused(actions) == ["not_a_partner"]
    assert closed(actions).condition == "policy-violation"


def test_tls_stands_once() -> None:
    machine = encrypted()
    first = machine.tls
    assert machine.secured(tls(STRANGER), 1) == []
    assert machine.tls is first


def test_the_limit_we_advertise_is_the_one_we_keep() -> None:
    settings = Settings()
    most = settings.after.size
    assert f"<max-bytes>{most}</max-bytes>" in features("limits")
    assert most < Bounds().inside_stanza < 512 * 1024


def test_the_silence_we_advertise_is_that_of_the_record() -> None:
    settings = Settings(keepalive_interval=100.5, stream_inactivity_timeout=700)
    quiet = Partner(THEIRS, keepalive=False)
    for partner, seconds in ((NO_TLS, 100), (quiet, 700)):
        text = sent(feed(numbered(partner, settings=settings), HEADER))
        assert f"<idle-seconds>{seconds}</idle-seconds>" in text
    actions = feed(numbered(settings=Settings(keepalive_interval=0.2)), HEADER)
    assert "<idle-seconds>1</idle-seconds>" in sent(actions)
