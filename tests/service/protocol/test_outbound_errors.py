# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every way in which a partner's server may end a stream of ours, and what the senders behind it are told."""

from __future__ import annotations

import pytest
from xmpp_edge.stream.actions import Authenticated, Closed, Failed, Send, Verified

from .outgoing import (
    AFTER_SASL,
    AFTER_TLS,
    DIALBACK,
    EXTERNAL,
    LAX,
    STRICT,
    SUCCESS,
    features,
    outgoing,
    proven,
    secured,
)
from .support import END, PAIR, STREAM_ID, THEIR_HEADER, feed, kinds, only

STREAMS = "urn:ietf:params:xml:ns:xmpp-streams"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
TIMEOUT = "remote-server-timeout"
NOT_FOUND = "remote-server-not-found"

# Condition, for the senders of stanzas, for the asker of a question.
CONDITIONS = [
    ("bad-format", TIMEOUT, "remote-connection-failed"),
    ("bad-namespace-prefix", TIMEOUT, "remote-connection-failed"),
    ("conflict", TIMEOUT, "remote-connection-failed"),
    ("connection-timeout", TIMEOUT, TIMEOUT),
    ("host-gone", NOT_FOUND, NOT_FOUND),
    ("host-unknown", NOT_FOUND, NOT_FOUND),
    ("improper-addressing", TIMEOUT, "remote-connection-failed"),
    ("internal-server-error", TIMEOUT, "remote-connection-failed"),
    ("invalid-from", TIMEOUT, "remote-connection-failed"),
    ("invalid-id", TIMEOUT, "remote-connection-failed"),
    ("invalid-namespace", TIMEOUT, "remote-connection-failed"),
    ("invalid-xml", TIMEOUT, "remote-connection-failed"),
    ("not-authorized", "not-allowed", "remote-connection-failed"),
    ("not-well-formed", TIMEOUT, "remote-connection-failed"),
    ("policy-violation", "not-allowed", "policy-violation"),
    ("remote-connection-failed", TIMEOUT, "remote-connection-failed"),
    ("reset", TIMEOUT, "remote-connection-failed"),
    ("resource-constraint", TIMEOUT, "resource-constraint"),
    ("restricted-xml", TIMEOUT, "remote-connection-failed"),
    ("see-other-host", TIMEOUT, "remote-connection-failed"),
    ("system-shutdown", TIMEOUT, "remote-connection-failed"),
    ("undefined-condition", TIMEOUT, "remote-connection-failed"),
    ("unsupported-encoding", TIMEOUT, "remote-connection-failed"),
    ("unsupported-feature", "not-allowed", "remote-connection-failed"),
    ("unsupported-stanza-type", TIMEOUT, "remote-connection-failed"),
    ("unsupported-version", "not-allowed", "remote-connection-failed"),
]
BEFORE = {
    "header": lambda: outgoing(LAX),
    "features": lambda: fed(outgoing(LAX), THEIR_HEADER),
    "dialback": lambda: fed(outgoing(LAX), THEIR_HEADER + features(DIALBACK)),
    "tls": lambda: fed(secured(STRICT), AFTER_TLS),
    "sasl": lambda: fed(secured(STRICT), AFTER_TLS + features(EXTERNAL)),
    "success": lambda: fed(fed(secured(STRICT), AFTER_TLS + features(EXTERNAL) + SUCCESS), AFTER_SASL),
}


def fed(machine: object, text: str) -> object:
    feed(machine, text)
    return machine


def error(condition: str, inner: str = "") -> str:
    return f"<stream:error><{condition} xmlns='{STREAMS}'>{inner}</{condition}></stream:error>{END}"


@pytest.mark.parametrize("step", BEFORE)
@pytest.mark.parametrize(("condition", "bounce", "_verified"), CONDITIONS, ids=[row[0] for row in CONDITIONS])
def test_at_every_step_the_end_is_told_once(step: str, condition: str, bounce: str, _verified: str) -> None:
    machine = BEFORE[step]()
    actions = feed(machine, (THEIR_HEADER if step == "header" else "") + error(condition))
    text = f"partner.example ended the stream: {condition}"
    assert actions == [Send(END.encode()), Failed(PAIR, bounce, text), Closed(condition, "", "peer")]
    assert machine.eof(1) == []


@pytest.mark.parametrize(("condition", "_bounce", "verified"), CONDITIONS, ids=[row[0] for row in CONDITIONS])
def test_open_questions_are_answered(condition: str, _bounce: str, verified: str) -> None:
    machine = outgoing(LAX, "verify")
    machine.verify(PAIR, "k", STREAM_ID, 0)
    actions = feed(machine, THEIR_HEADER + features(DIALBACK) + error(condition))
    assert only(actions, Verified) == [Verified(PAIR, STREAM_ID, "error", verified)]


def test_another_host_is_not_followed() -> None:
    actions = feed(outgoing(LAX), THEIR_HEADER + error("see-other-host", "evil.example:5269"))
    text = "partner.example ended the stream: see-other-host (evil.example:5269)"
    assert actions == [
        Send(END.encode()),
        Failed(PAIR, TIMEOUT, text),
        Closed("see-other-host", "evil.example:5269", "peer"),
    ]


def test_long_words_of_theirs_are_cut_before_they_are_repeated() -> None:
    text = "x" * 5000
    said = f"<stream:error><policy-violation xmlns='{STREAMS}'/><text xmlns='{STREAMS}'>{text}</text></stream:error>"
    (failed,) = only(feed(outgoing(LAX), THEIR_HEADER + said), Failed)
    assert failed.text == f"partner.example ended the stream: policy-violation ({'x' * 500})"
    machine = secured(STRICT)
    names = "".join(f"<mechanism>{'Y' * 1000}</mechanism>" for _unused in range(9))
    offer = f"<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{names}</mechanisms>"
    (failed,) = only(feed(machine, AFTER_TLS + features(offer)), Failed)
    assert len(failed.text) < 400


def test_after_the_proof_nothing_fails_any_more() -> None:
    assert list(kinds(feed(proven(), error("system-shutdown")))) == ["Send", "Closed"]


@pytest.mark.parametrize(
    ("inner", "said"),
    [
        (f"<error type='cancel'><item-not-found xmlns='{STANZAS}'/></error>", "item-not-found"),
        (
            f"<error type='cancel'><policy-violation xmlns='{STANZAS}'/><text xmlns='{STANZAS}'>use TLS</text></error>",
            "policy-violation (use TLS)",
        ),
        ("", "undefined-condition"),
    ],
)
def test_dialback_errors_are_told_as_they_were_said(inner: str, said: str) -> None:
    """XEP-0220, section 2.4: the stream itself would go on, but there is nothing else that it is for."""
    machine = fed(outgoing(LAX), THEIR_HEADER + features(DIALBACK))
    answer = f"<db:result from='partner.example' to='inside.example' type='error'>{inner}</db:result>"
    actions = feed(machine, answer)
    assert actions == [Failed(PAIR, TIMEOUT, f"partner.example could not verify us: {said}"), Send(END.encode())]
    assert not only(actions, Authenticated)
    assert machine.retry_without is None
