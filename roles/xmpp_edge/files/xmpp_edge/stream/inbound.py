# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stream that a partner's server opens to us, from its first header to its end."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

from ..jid import JIDError, parse
from ..xml import namespaces
from ..xml.element import Element
from ..xml.parser import StreamStart
from ..xml.stanza import Stanza
from ..xml.writer import CLOSE, KEEP_ALIVE, stream_header, write_element
from . import admission, external, features, header
from .acks import Received
from .actions import Action, Authenticated, Deliver, Pair, Refused, Send, StartTls
from .conversation import Conversation
from .errors import StreamError
from .external import SaslFailure
from .features import Features
from .honesty import dishonest
from .machine import Machine, State
from .policy import PartnerView, StreamPolicy
from .receiving import Receiving
from .security import Credentials
from .settings import Settings

_PROCEED = write_element(Element("proceed", namespaces.TLS))
_TLS_FAILURE = write_element(Element("failure", namespaces.TLS))
_NOTHING = Features()
_STANZAS = frozenset(("message", "presence", "iq"))
# The parser reads all that it is given, and so a stranger's last refusal would come late.
_PIECE = 16_384


class Inbound(Machine):
    """One inbound stream.

    ``make_id`` gives stream ids (unique, not to be guessed, no white space); ``policy`` and ``credentials`` may be
    replaced while it runs.
    Times are those of one monotonic clock.
    """

    # A crowd of strangers has one of these each.
    __slots__ = (
        "_by_domains",
        "_conversation",
        "_counted",
        "_handshaking",
        "_keepalive_expected",
        "_make_id",
        "_named",
        "_offered",
        "_receiving",
        "_silence",
        "_succeeded",
        "_unproven",
        "_version",
        "credentials",
        "local",
        "pairs",
        "peer_address",
        "policy",
        "remote",
        "stream_id",
    )

    def __init__(
        self,
        policy: StreamPolicy,
        credentials: Credentials,
        make_id: Callable[[], str],
        settings: Settings,
        now: float,
        peer_address: str = "",
    ) -> None:
        super().__init__(settings, settings.before, namespaces.SERVER, now)
        self.policy = policy
        self.peer_address = peer_address
        self.stream_id = make_id()
        self.remote: str | None = None
        """The partner's domain in the stream header; proven only by what is in ``pairs``."""
        self.local: str | None = None
        """Our domain in the stream header."""
        self.credentials = credentials
        self.pairs: dict[Pair, str] = {}
        """The proven pairs, each with its method."""
        self._make_id = make_id
        self._version = 1
        self._succeeded: Pair | None = None
        """What SASL has proven, until the stream that comes after it is open."""
        self._named = False
        """A header has come on this connection, and those to come name the same domains."""
        self._offered = _NOTHING
        self._handshaking = False
        self._by_domains: dict[tuple[str, str], Pair] = {}
        self._receiving = Receiving(settings)
        self._conversation = Conversation(settings.acknowledgement_timeout)
        self._counted: Received | None = None
        """For the next stanza; here as well because every stanza asks."""
        self._keepalive_expected = False
        self._silence: float | None = None
        """After so many seconds without a byte of ours the peer may close."""
        self._unproven = 0
        """Bytes that have come while nothing was proven."""

    def receive(self, data: bytes, now: float) -> list[Action]:
        """Bytes have come in; from somebody who proves nothing not without end, and few are looked at at once."""
        if self.pairs:
            return super().receive(data, now)
        actions: list[Action] = []
        for start in range(0, len(data), _PIECE):
            if start and (self.closed or self._parser is None):
                # What came with the last word of a stream is thrown away with it.
                break
            piece = data[start : start + _PIECE]
            self._unproven += len(piece)
            if self._unproven > self._settings.unproven and not self.pairs and not self.closed:
                self._fail(StreamError("policy-violation", "too many bytes before any domain is proven"), actions)
            actions += super().receive(piece, now)
        return actions

    # The header

    def _is_receiving(self) -> bool:
        # While TLS is made there is no stream, and no way to say anything.
        return not self._handshaking

    def _names(self) -> tuple[str | None, str | None]:
        return self.local, self.remote

    def _header(self) -> bytes:
        attrs = {"from": self.local, "to": self.remote, "id": self.stream_id}
        if self._version:
            attrs |= {"version": "1.0", "xml:lang": "en"}
        return stream_header(namespaces.SERVER, attrs)

    def _started(self, start: StreamStart, now: float, actions: list[Action]) -> None:
        if self._named and start.name in _STANZAS:
            raise StreamError("not-authorized", f"a {start.name} where a new stream header has to come")
        header.check(start, namespaces.SERVER)
        self._version = header.version(start)
        partner = self._name(header.optional_domain(start, "to"), header.optional_domain(start, "from"))
        offered = self._offer(partner, actions)
        self._offered = offered
        self._header_sent = True
        answer = self._header()
        if self._version:
            answer += write_element(features.write(offered))
        actions.append(Send(answer))
        if self._succeeded is not None:
            self.prove(self._succeeded, "sasl_tls", now, actions)
            self._succeeded = None

    def _name(self, local: str | None, remote: str | None) -> PartnerView | None:
        """Whom the stream is between; a later header on the same connection may only add who the peer is."""
        if local is None and self._version:
            raise StreamError("improper-addressing", "the stream header has no 'to'")
        if self._named:
            for name, before, value in (("to", self.local, local), ("from", self.remote, remote)):
                if before is not None and value != before:
                    text = f"'{name}' was {before} in the header before this one, and has to stay so"
                    raise StreamError("improper-addressing", text)
        self.remote = remote
        if local is None or local in self.policy.domains:
            self.local = local
        partner = admission.admit(self.policy, local, remote)
        self._named = True
        return partner

    def _offer(self, partner: PartnerView | None, actions: list[Action]) -> Features:
        """Gate 3 as far as the header opens it: what the peer may prove itself by."""
        local, remote, tls = self.local, self.remote, self.tls
        if tls is None:
            offered = admission.offer_plain(partner, self.credentials, self._version, local, remote)
            if offered.tls_required:
                return offered
        elif not self._version:
            raise StreamError("unsupported-version", "a stream inside TLS is of version 1.0")
        elif self._succeeded is not None:
            offered = admission.offer_proven(partner)
        else:
            offered, trust = admission.offer_secured(partner, tls, local, remote)
            if remote is not None and trust is not None and not trust.trusted:
                # The peer may go on with dialback; why it has to is told here or never.
                actions.append(Refused("not_trusted", local, remote, admission.distrust(remote, trust)))
        silence = admission.longest_silence(partner, self._settings)
        return replace(offered, max_bytes=self._settings.after.size, idle_seconds=silence)

    def _element(self, element: Element, now: float, actions: list[Action]) -> None:
        namespace, name = element.namespace, element.name
        if namespace == namespaces.DIALBACK and name in ("result", "verify"):
            self._receiving.element(self, element, now, actions)
        elif namespace == namespaces.ACKS:
            granted = self._conversation.element(element, bool(self.pairs), now, actions)
            self._counted = self._conversation.received
            if not granted:
                self._strike("a request of XEP-0198 that had to be refused")
        elif namespace == namespaces.TLS and name == "starttls":
            self._start_tls(actions)
        elif namespace == namespaces.SASL and name in ("auth", "abort"):
            self._authenticate(element, now, actions)
        elif namespace == namespaces.BIDI and name == "bidi":
            self._open_bidi(element)
        else:
            raise StreamError("unsupported-stanza-type", f"<{name}/> has no meaning here")

    # TLS

    def _start_tls(self, actions: list[Action]) -> None:
        local, remote = self.local, self.remote
        if self.tls is not None:
            raise StreamError("unsupported-stanza-type", "this stream is inside TLS already")
        if self.pairs or self._receiving.busy:
            raise StreamError("policy-violation", "STARTTLS comes before dialback, or on a stream of its own")
        if self._offered.tls:
            actions.append(Send(_PROCEED))
            actions.append(StartTls(local, remote))
            self._handshaking = True
            self._restart()
            return
        text = "the peer asks for TLS, which was not offered: its record says that it has none"
        if not self.credentials.certificate:
            text = "the peer asks for TLS, for which this server has no certificate yet"
        actions.append(Refused("tls_not_offered", local, remote, text))
        actions.append(Send(_TLS_FAILURE + CLOSE))
        self._end(None, text, "us", actions)

    def _secured(self, now: float, actions: list[Action]) -> None:
        self._handshaking = False
        self.stream_id = self._make_id()

    # SASL

    def _authenticate(self, element: Element, now: float, actions: list[Action]) -> None:
        try:
            pair = admission.admit_external(element, self)
        except SaslFailure as failure:
            text = f"SASL failed with {failure.condition}: {failure.text}"
            actions.append(Refused("sasl_failed", self.local, self.remote, text))
            actions.append(Send(write_element(external.failure(failure.condition, failure.text))))
            self._strike("a SASL negotiation that failed")
            return
        actions.append(Send(write_element(external.success())))
        self._receiving.forget()
        self._succeeded = pair
        self.stream_id = self._make_id()
        self._restart()

    # Proof

    def verified(self, pair: Pair, stream_id: str, outcome: str, condition: str | None, now: float) -> list[Action]:
        """The authoritative server's answer to a Verify; anything that was not asked is ignored."""
        actions: list[Action] = []
        if self._state is not State.OPEN or stream_id != self.stream_id:
            return actions
        try:
            if not self._receiving.verified(self, pair, outcome, condition, now, actions):
                self._close(None, "dialback_invalid", now, actions)
        except StreamError as error:
            self._fail(error, actions)
        return actions

    def strike(self, what: str) -> None:
        """For dialback: count what a sound peer never does."""
        self._strike(what)

    def prove(self, pair: Pair, method: str, now: float, actions: list[Action]) -> None:
        """The pair is proven, by dialback or by SASL."""
        if not self.pairs:
            partner = self.policy.partner(pair.remote)
            self._keepalive_expected = partner is not None and partner.keepalive
            if self._keepalive_expected and self._conversation.bidi:
                # What we expect of a partner, it may expect of us.
                self._silence = min(self._silence or math.inf, self._settings.keepalive_interval)
            self._trust(self._settings.after)
            self._active = now
        self.pairs[pair] = method
        self._by_domains[pair.local, pair.remote] = pair
        tls = self.tls
        trusted = tls is not None and (method == "sasl_tls" or tls.judge(pair.remote).trusted)
        actions.append(Authenticated(pair, method, tls is not None, trusted, self._conversation.bidi))

    # The other way (XEP-0288, XEP-0198)

    def _open_bidi(self, element: Element) -> None:
        if not self._offered.bidi or self._conversation.bidi or self.pairs or self._receiving.busy:
            raise StreamError("unsupported-stanza-type", "<bidi/> comes once, inside TLS and before any proof")
        self._silence = self._conversation.open(element)

    @property
    def acknowledging(self) -> bool:
        """The peer acknowledges what is sent to it on this stream."""
        return self._conversation.acknowledging

    @property
    def full(self) -> bool:
        """So much is unacknowledged that stanzas have to wait; Room tells when they need no longer."""
        return self._conversation.full

    def send(self, stanza: Stanza, now: float) -> list[Action]:
        """Write a stanza; only for a pair that was Authenticated with ``bidi``, while the stream is open."""
        sender, target = stanza.from_, stanza.to
        if (
            sender is None
            or target is None
            or (sender.domain, target.domain) not in self._by_domains
            or not self._conversation.bidi
            or self._state is not State.OPEN
        ):
            raise RuntimeError("no stanza can be sent on this stream now")
        action = self._conversation.write(stanza, now)
        if isinstance(action, Send):
            self._wrote = self._active = now
        return [action]

    def acknowledge(self, count: int, now: float) -> list[Action]:
        """The first ``count`` stanzas, as an Acknowledge said, are handed on."""
        actions: list[Action] = []
        if self._state is State.OPEN:
            self._conversation.acknowledge(count, actions)
        return actions

    # Stanzas

    def _stanza(self, stanza: Stanza, now: float, actions: list[Action]) -> None:
        if self._discard:
            return
        attrs = stanza.attrs
        try:
            stanza.from_ = sender = parse(attrs.pop("from"))
            stanza.to = target = parse(attrs.pop("to"))
            pair = self._by_domains[target.domain, sender.domain]
        except (KeyError, JIDError) as exc:
            if self._offered.tls_required and self.tls is None and self.remote is not None:
                raise admission.demands_tls(self.local, self.remote, self.credentials) from None
            raise dishonest(stanza, exc, self.pairs, self.policy.domains) from None
        self._active = now
        if self._counted is not None:
            self._counted.arrived += 1
        actions.append(Deliver(stanza, pair))

    # Time and the end

    def _deadlines(self) -> Iterator[float]:
        yield from self._receiving.deadlines()
        settings = self._settings
        if not self.pairs:
            yield self._began + settings.stream_establishment_timeout
            return
        yield self._active + settings.stream_inactivity_timeout
        if self._keepalive_expected:
            yield self._heard + settings.keepalive_interval
        if self._silence is not None:
            yield self._wrote + self._silence / 2
        yield from self._conversation.deadlines()

    def _tick(self, now: float, actions: list[Action]) -> None:
        self._receiving.tick(self, now, actions)
        settings = self._settings
        if not self.pairs:
            if now >= self._began + settings.stream_establishment_timeout:
                self._never_proven(now, actions)
            return
        if self._keepalive_expected and now >= self._heard + settings.keepalive_interval:
            text = f"nothing was heard for {settings.keepalive_interval:g} seconds, not even a keep-alive"
            raise StreamError("connection-timeout", text)
        if now >= self._active + settings.stream_inactivity_timeout:
            self._close(None, "idle", now, actions)
            return
        self._conversation.tick(now, actions)
        if self._silence is not None and now >= self._wrote + self._silence / 2:
            self._wrote = now
            actions.append(Send(KEEP_ALIVE))

    def _late(self, element: Element, now: float, actions: list[Action]) -> None:
        if element.namespace == namespaces.ACKS and element.name == "a":
            self._conversation.acknowledged(element, actions)

    def _close(self, condition: str | None, text: str, now: float, actions: list[Action]) -> None:
        self._conversation.ask(now, actions)
        super()._close(condition, text, now, actions)

    def _ending(self, condition: str | None, text: str, by: str, actions: list[Action]) -> None:
        self._receiving.forget()
        self._conversation.end(actions)

    def _never_proven(self, now: float, actions: list[Action]) -> None:
        if self._state is State.OPEN and self._receiving.answered:
            # It has asked about keys, which proves nothing about it, but is all that such a stream is for.
            self._close(None, "idle", now, actions)
            return
        seconds = f"{self._settings.stream_establishment_timeout:g} seconds"
        if self._handshaking:
            raise StreamError("connection-timeout", f"there was no TLS within {seconds}")
        raise StreamError("connection-timeout", f"no domain was proven on this stream within {seconds}")
