# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stream that we open to a partner's server.

We are the originating server of XEP-0220 on it, or the receiving server that asks the authoritative one. With XEP-0288
the partner's stanzas come on it as well.
"""

from __future__ import annotations

from collections.abc import Container, Iterator

from ..jid import JIDError, parse
from ..xml import namespaces
from ..xml.element import Element
from ..xml.stanza import Stanza
from ..xml.writer import KEEP_ALIVE, write_element
from . import acks, dialback
from .actions import Acknowledge, Action, Authenticated, Deliver, Pair, Send, Verified
from .errors import StreamError
from .honesty import dishonest
from .machine import State
from .opening import Opening, said
from .policy import PartnerView
from .security import Credentials
from .sending import Sending
from .settings import Settings

_OPEN = State.OPEN
# What the senders of waiting stanzas are told when the partner's server ends the stream with one of these. All others
# may pass, or another of its hosts may say otherwise (see-other-host, too, which is not followed): they are time-outs.
_BOUNCES = {
    "host-unknown": "remote-server-not-found",
    "host-gone": "remote-server-not-found",
    "policy-violation": "not-allowed",
    "not-authorized": "not-allowed",
    "unsupported-feature": "not-allowed",
    "unsupported-version": "not-allowed",
}
# What the initiator of a stream to us is told when its authoritative server ends our stream with one of these.
_VERIFY_ERRORS = {
    "host-unknown": "remote-server-not-found",
    "host-gone": "remote-server-not-found",
    "item-not-found": "remote-server-not-found",
    "remote-server-not-found": "remote-server-not-found",
    "connection-timeout": "remote-server-timeout",
    "policy-violation": "policy-violation",
    "resource-constraint": "resource-constraint",
}


class Outbound(Opening):
    """One outbound stream, for ``stanzas`` (its pair is proven as the record demands) or to ``verify`` keys.

    Make it when the connection attempt begins, then call ``connected``; with direct TLS ``secured`` comes before.
    Purpose ``stanzas`` gives exactly one of Authenticated and Failed; every ``verify`` gives exactly one Verified,
    before Closed at the latest. ``avoid`` names what an earlier attempt has failed with: ``tls``, ``sasl_tls``.
    """

    def __init__(
        self,
        pair: Pair,
        purpose: str,
        partner: PartnerView,
        credentials: Credentials,
        settings: Settings,
        now: float,
        avoid: Container[str] = (),
    ) -> None:
        super().__init__(pair, purpose, partner, credentials, settings, now, avoid)
        self._established = False
        self._carries = False
        """Stanzas can be sent: its pair is proven."""
        self._questions: dict[tuple[Pair, str], float] = {}
        self._unasked: list[bytes] = []
        self._keepalive = settings.keepalive_interval / 2
        self._bidirectional = False
        self._by_domains = {(pair.local, pair.remote): pair}
        self._received: acks.Received | None = None
        """What has come since the peer began to count, None before that."""
        self._sending = Sending(settings.acknowledgement_timeout)

    # What the driver calls, besides what all machines have

    @property
    def established(self) -> bool:
        """Stanzas can be sent (purpose ``stanzas``), or questions go out at once (``verify``)."""
        return self._established and self._state is State.OPEN

    @property
    def accepting(self) -> bool:
        """Questions are taken; when not, a new stream has to be opened for them."""
        return self._state in (State.WAITING, State.OPEN)

    @property
    def acknowledging(self) -> bool:
        """The peer acknowledges stanzas (XEP-0198), and Doubtful tells in the end which it has not."""
        return self._sending.acknowledging

    @property
    def full(self) -> bool:
        """So much is unacknowledged that stanzas have to wait; Room tells when they need no longer."""
        return self._sending.full

    def send(self, stanza: Stanza, now: float) -> list[Action]:
        """Write a stanza; only when ``established``. Unsent instead of Send where the peer would not take it."""
        if not self._carries or self._state is not _OPEN:
            raise RuntimeError("no stanza can be sent on this stream now")
        action = self._sending.write(stanza, now)
        if isinstance(action, Send):
            self._wrote = self._active = now
        return [action]

    def verify(self, pair: Pair, key: str, stream_id: str, now: float) -> list[Action]:
        """Ask whether the partner has sent this key, now or when the stream is open; answered by one Verified."""
        if self.purpose != "verify":
            raise RuntimeError("this stream was made for stanzas")
        actions: list[Action] = []
        question = pair, stream_id
        if question in self._questions:
            return actions
        if not self.accepting:
            actions.append(Verified(pair, stream_id, "error", "remote-connection-failed"))
            return actions
        if len(self._questions) >= self._settings.queued_verifications:
            actions.append(Verified(pair, stream_id, "error", "resource-constraint"))
            return actions
        self._questions[question] = now + self._settings.stream_establishment_timeout
        data = write_element(dialback.verify(pair.local, pair.remote, stream_id, key))
        if self.established:
            self._write(data, now, actions)
        else:
            self._unasked.append(data)
        self._active = now
        return actions

    def acknowledge(self, count: int, now: float) -> list[Action]:
        """The answer to Acknowledge: so many stanzas are handed on."""
        actions: list[Action] = []
        if self.established and self._received is not None:
            self._write(self._received.answer(count), now, actions)
        return actions

    # The stream is open

    def _ask(self, now: float, actions: list[Action]) -> None:
        self._established = True
        self._active = now
        if self._unasked:
            self._write(b"".join(self._unasked), now, actions)
            self._unasked.clear()

    def _proven(self, method: str, now: float, actions: list[Action]) -> None:
        self._settled = self._established = self._carries = True
        self._active = now
        offered = self._offered
        if offered.max_bytes is not None:
            self._sending.largest = offered.max_bytes
        if offered.idle_seconds:
            self._keepalive = min(self._keepalive, max(1.0, offered.idle_seconds / 2))
        trusted = self.tls is not None and self._trust_in_peer.trusted
        if self._bidi and trusted:
            self._bidirectional = True
            self._trust(self._settings.after)
        if offered.acks:
            # Before Authenticated, at which stanzas begin to flow: the counting starts behind this.
            self._sending.begin(now)
            self._write(acks.ENABLE, now, actions)
        encrypted = self.tls is not None
        actions.append(Authenticated(self.pair, method, encrypted, trusted, self._bidirectional))

    def _answered(self, element: Element, pair: Pair, outcome: str, now: float, actions: list[Action]) -> bool:
        question = pair, element.attrs.get("id", "")
        if self._questions.pop(question, None) is None:
            return False
        actions.append(_verified(question, outcome, element))
        self._active = now
        return True

    def _stanza(self, stanza: Stanza, now: float, actions: list[Action]) -> None:
        if self._discard:
            return
        if not self._bidirectional:
            raise StreamError("not-authorized", "stanzas to us belong on a stream that you open")
        attrs = stanza.attrs
        try:
            stanza.from_ = sender = parse(attrs.pop("from"))
            stanza.to = target = parse(attrs.pop("to"))
            pair = self._by_domains[target.domain, sender.domain]
        except (KeyError, JIDError) as exc:
            raise dishonest(stanza, exc, (self.pair,)) from None
        self._active = now
        if self._received is not None:
            self._received.arrived += 1
        actions.append(Deliver(stanza, pair))

    # Acknowledgements

    def _acknowledgement(self, element: Element, now: float, actions: list[Action]) -> bool:
        if not self._offered.acks or not self._established or self.purpose != "stanzas":
            return False
        sending = self._sending
        if element.name in ("enabled", "failed"):
            if sending.acknowledging or self._received is not None:
                return False
            if element.name == "enabled":
                # With this word the peer begins to count what it sends, and what came before is not in it.
                self._received = acks.Received()
            if sending.sent is None:
                # Too late for what we send, but it may ask.
                return True
            if element.name == "failed":
                sending.sent = None
            else:
                sending.confirmed(now, actions)
            return True
        if element.name == "a" and sending.acknowledging:
            sending.acknowledged(element, actions)
        elif element.name != "r" or self._received is None:
            return False
        elif self._bidirectional:
            actions.append(Acknowledge(self._received.arrived))
        else:
            self._write(acks.answer(0), now, actions)
        return True

    def _late(self, element: Element, now: float, actions: list[Action]) -> None:
        if element.namespace == namespaces.ACKS and element.name == "a" and self.acknowledging:
            self._sending.acknowledged(element, actions)

    # Time

    def _deadlines(self) -> Iterator[float]:
        settings = self._settings
        if not self._established:
            yield self._began + settings.stream_establishment_timeout
        elif self.purpose == "verify":
            yield from self._questions.values()
            if not self._questions:
                yield self._active + settings.verify_idle_timeout
        else:
            yield self._active + settings.stream_inactivity_timeout
            if self._partner.keepalive:
                yield self._wrote + self._keepalive
            yield from self._sending.deadlines()

    def _tick(self, now: float, actions: list[Action]) -> None:
        settings = self._settings
        if not self._established:
            if now >= self._began + settings.stream_establishment_timeout:
                seconds = f"{settings.stream_establishment_timeout:g} seconds"
                raise StreamError("connection-timeout", f"the stream was not established within {seconds}")
        elif self.purpose == "verify":
            self._tick_questions(now, actions)
        elif now >= self._active + settings.stream_inactivity_timeout:
            self._close(None, "idle", now, actions)
        else:
            self._sending.tick(now, actions)
            if actions:
                self._wrote = now
            if self._partner.keepalive and now >= self._wrote + self._keepalive:
                self._write(KEEP_ALIVE, now, actions)

    def _tick_questions(self, now: float, actions: list[Action]) -> None:
        for question in [question for question, until in self._questions.items() if until <= now]:
            del self._questions[question]
            actions.append(Verified(*question, "error", "remote-server-timeout"))
        if not self._questions and now >= self._active + self._settings.verify_idle_timeout:
            self._close(None, "idle", now, actions)

    # The end

    def _close(self, condition: str | None, text: str, now: float, actions: list[Action]) -> None:
        self._sending.ask(now, actions)
        super()._close(condition, text, now, actions)

    def _ending(self, condition: str | None, text: str, by: str, actions: list[Action]) -> None:
        remote = self.pair.remote
        bounce = _BOUNCES.get(condition or "", "remote-server-timeout")
        if by == "us" and condition == "internal-server-error":
            bounce = condition
        why = text if by == "us" else f"{remote} ended the stream: {said(condition or 'without a word', text)}"
        self._fail_pair(bounce, why or "the stream was closed", actions)
        error = _VERIFY_ERRORS.get(condition or "", "remote-connection-failed")
        actions.extend(Verified(*question, "error", error) for question in self._questions)
        self._questions.clear()
        self._sending.end(actions)


def _verified(question: tuple[Pair, str], outcome: str, element: Element) -> Verified:
    if outcome == "error":
        condition, _unused = dialback.failure_of(element)
        return Verified(*question, "error", _VERIFY_ERRORS.get(condition, "remote-connection-failed"))
    return Verified(*question, "valid" if outcome == "valid" else "invalid")
