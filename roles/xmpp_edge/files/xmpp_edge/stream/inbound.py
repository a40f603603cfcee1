# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stream that a partner's server opens to us: receiving and authoritative server of XEP-0220."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from ..jid import JIDError, parse
from ..xml import namespaces
from ..xml.element import Element
from ..xml.parser import StreamStart
from ..xml.stanza import Stanza
from ..xml.writer import stream_header, write_element
from . import dialback, features, header
from .actions import Action, Authenticated, Deliver, Pair, Refused, Send, Verify
from .errors import StreamError
from .features import Features
from .machine import Machine, Refusal, State
from .policy import PartnerView, StreamPolicy
from .security import Credentials
from .settings import Settings


class Inbound(Machine):
    """One inbound stream.

    ``make_id`` gives stream ids (unique, not to be guessed, no white space); ``policy`` and ``credentials`` may be
    replaced while it runs.
    Times are those of one monotonic clock.
    """

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
        self._version = 1
        self._pairs: dict[Pair, str] = {}
        self._by_domains: dict[tuple[str, str], Pair] = {}
        self._verifying: dict[Pair, float] = {}
        self._answered = 0
        self._foreign_keys = 0
        self._keepalive_expected = False

    @property
    def pairs(self) -> Mapping[Pair, str]:
        """The proven pairs, each with its method."""
        return MappingProxyType(self._pairs)

    # The header

    def _is_receiving(self) -> bool:
        return True

    def _names(self) -> tuple[str | None, str | None]:
        return self.local, self.remote

    def _header(self) -> bytes:
        attrs = {"from": self.local, "to": self.remote, "id": self.stream_id}
        if self._version:
            attrs |= {"version": "1.0", "xml:lang": "en"}
        return stream_header(namespaces.SERVER, attrs)

    def _started(self, start: StreamStart, now: float, actions: list[Action]) -> None:
        header.check(start, namespaces.SERVER)
        self._version = header.version(start)
        self.remote = header.optional_domain(start, "from")
        local = header.optional_domain(start, "to")
        if local is None and self._version:
            raise StreamError("improper-addressing", "the stream header has no 'to'")
        if local is not None and local in self.policy.domains:
            self.local = local
        self._admit(local, self.remote)
        self._header_sent = True
        answer = self._header()
        if self._version:
            answer += write_element(features.write(Features(dialback=True, dialback_errors=True)))
        actions.append(Send(answer))

    def _admit(self, local: str | None, remote: str | None) -> None:
        """Gates 1 and 2, as far as the names are known; raises Refusal. Costs no more than a look into tables."""
        if not self.policy.federation:
            raise Refusal("federation_off", "policy-violation", "this server does not federate", local, remote)
        if local is not None and local not in self.policy.domains:
            raise Refusal("unknown_host", "host-unknown", f"{local} is not served here", local, remote)
        if remote is None:
            return
        if remote in self.policy.domains:
            raise Refusal("own_domain", "policy-violation", f"{remote} is served here", local, remote)
        partner = self.policy.partner(remote)
        if partner is None:
            text = f"{remote} is not among the partners of this server"
            raise Refusal("not_a_partner", "policy-violation", text, local, remote)
        refuse_without_tls(partner, local, remote)

    # Dialback

    def _element(self, element: Element, now: float, actions: list[Action]) -> None:
        if element.namespace != namespaces.DIALBACK or element.name not in ("result", "verify"):
            raise StreamError("unsupported-stanza-type", f"<{element.name}/> has no meaning here")
        sender, target = dialback.addresses(element)
        if "type" in element.attrs:
            # An answer, but this stream carries no questions of ours; taken at its word it would prove anybody's name.
            text = f"an answer to a dialback request that was never made, of type {element.attrs['type']!r}"
            actions.append(Refused("dialback_unsolicited", target, sender, text))
            self._strike(text)
        elif element.name == "result":
            self._asked_for_proof(Pair(local=target, remote=sender), element, now, actions)
        else:
            self._asked_about_key(sender, target, element, actions)

    def _asked_for_proof(self, pair: Pair, element: Element, now: float, actions: list[Action]) -> None:
        answer = dialback.result(pair.local, pair.remote)
        key = element.text
        try:
            self._admit(pair.local, pair.remote)
        except Refusal as refusal:
            self._refuse_pair(refusal, answer, actions)
            return
        if pair in self._pairs:
            answer.attrs["type"] = "valid"
            actions.append(Send(write_element(answer)))
        elif not key or len(key) > dialback.LONGEST_KEY:
            self._deny(answer, "not-acceptable", "there is no dialback key in it", actions)
        elif pair in self._verifying:
            self._deny(answer, "resource-constraint", "this pair is being verified already", actions)
        elif len(self._verifying) >= self._settings.verifications or len(self._pairs) >= self._settings.pairs:
            self._deny(answer, "resource-constraint", "no room for another pair on this stream", actions)
        else:
            self._verifying[pair] = now + self._settings.stream_establishment_timeout
            actions.append(Verify(pair, key, self.stream_id))

    def _refuse_pair(self, refusal: Refusal, answer: Element, actions: list[Action]) -> None:
        if refusal.condition == "host-unknown":
            condition = "item-not-found"
        elif self.remote is None and not self._pairs:
            # The header left the sender open, so this is where gate 2 stands.
            raise refusal
        else:
            condition = refusal.condition
        actions.append(Refused(refusal.reason, refusal.local, refusal.remote, refusal.text))
        self._deny(answer, condition, refusal.text, actions)

    def _deny(self, answer: Element, condition: str, text: str, actions: list[Action]) -> None:
        actions.append(Send(write_element(dialback.failure(answer, condition, text))))
        self._strike("a dialback request that had to be refused")

    def verified(self, pair: Pair, stream_id: str, outcome: str, condition: str | None, now: float) -> list[Action]:
        """The authoritative server's answer to a Verify; anything that was not asked is ignored."""
        actions: list[Action] = []
        if self._state is not State.OPEN or stream_id != self.stream_id or pair not in self._verifying:
            return actions
        del self._verifying[pair]
        try:
            self._answer(pair, outcome, condition, now, actions)
        except StreamError as error:
            self._fail(error, actions)
        return actions

    def _answer(self, pair: Pair, outcome: str, condition: str | None, now: float, actions: list[Action]) -> None:
        answer = dialback.result(pair.local, pair.remote)
        if outcome == "valid":
            try:
                # The policy may have been replaced while the answer was under way.
                self._admit(pair.local, pair.remote)
            except Refusal as refusal:
                self._refuse_pair(refusal, answer, actions)
                return
            answer.attrs["type"] = "valid"
            actions.append(Send(write_element(answer)))
            self._prove(pair, "tcp_dialback", now, actions)
            return
        if outcome == "error":
            condition = condition or "remote-server-timeout"
            text = f"the authoritative server of {pair.remote} could not be asked"
            actions.append(Refused("dialback_failed", pair.local, pair.remote, f"{text}: {condition}"))
            self._deny(answer, condition, text, actions)
            return
        text = f"the authoritative server of {pair.remote} did not make this key"
        actions.append(Refused("dialback_invalid", pair.local, pair.remote, text))
        if self._pairs:
            self._deny(answer, "forbidden", text, actions)
        else:
            answer.attrs["type"] = "invalid"
            actions.append(Send(write_element(answer)))
            self._close(None, "dialback_invalid", now, actions)

    def _prove(self, pair: Pair, method: str, now: float, actions: list[Action]) -> None:
        if not self._pairs:
            partner = self.policy.partner(pair.remote)
            self._keepalive_expected = partner is not None and partner.keepalive
            self._trust(self._settings.after)
            self._active = now
        self._pairs[pair] = method
        self._by_domains[pair.local, pair.remote] = pair
        actions.append(Authenticated(pair, method))

    def _asked_about_key(self, sender: str, target: str, element: Element, actions: list[Action]) -> None:
        stream_id = element.attrs.get("id")
        if not stream_id:
            raise StreamError("improper-addressing", "a db:verify without 'id'")
        answer = dialback.verify(target, sender, stream_id)
        try:
            self._admit(target, sender)
        except Refusal as refusal:
            self._refuse_pair(refusal, answer, actions)
            return
        true = dialback.is_key(element.text, self.credentials.secret, sender, target, stream_id)
        answer.attrs["type"] = "valid" if true else "invalid"
        actions.append(Send(write_element(answer)))
        if true:
            self._answered += 1
        else:
            text = f"a key that is not ours: somebody claims to be {target}, or two edges of it have different secrets"
            actions.append(Refused("key_not_ours", target, sender, text))
            self._foreign_keys += 1
            if self._foreign_keys >= self._settings.foreign_keys:
                raise StreamError("policy-violation", "too many questions about keys that are not ours")

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
            raise self._dishonest(stanza, exc) from None
        self._active = now
        actions.append(Deliver(stanza, pair))

    def _dishonest(self, stanza: Stanza, exc: Exception) -> StreamError:
        """Gate 4: why a stanza cannot be from where it says, to where it says."""
        if not self._pairs:
            return StreamError("not-authorized", f"a {stanza.kind} before any domain is proven on this stream")
        if isinstance(exc, JIDError):
            return StreamError("improper-addressing", str(exc))
        if stanza.from_ is None or stanza.to is None:
            return StreamError("improper-addressing", f"a {stanza.kind} between servers needs 'from' and 'to'")
        local, remote = stanza.to.domain, stanza.from_.domain
        if all(pair.remote != remote for pair in self._pairs):
            text = f"{remote} is not proven on this stream"
            return Refusal("from_not_proven", "invalid-from", text, local, remote)
        if local not in self.policy.domains:
            return Refusal("no_relay", "host-unknown", f"{local} is not served here", local, remote)
        text = f"{remote} is not proven towards {local} on this stream"
        return Refusal("pair_not_proven", "not-authorized", text, local, remote)

    # Time and the end

    def _deadlines(self) -> Iterator[float]:
        yield from self._verifying.values()
        settings = self._settings
        if not self._pairs:
            yield self._began + settings.stream_establishment_timeout
            return
        yield self._active + settings.stream_inactivity_timeout
        if self._keepalive_expected:
            yield self._heard + settings.keepalive_interval

    def _tick(self, now: float, actions: list[Action]) -> None:
        for pair in [pair for pair, until in self._verifying.items() if until <= now]:
            del self._verifying[pair]
            self._answer(pair, "error", "remote-server-timeout", now, actions)
        settings = self._settings
        if not self._pairs:
            if now >= self._began + settings.stream_establishment_timeout:
                self._never_proven(now, actions)
        elif self._keepalive_expected and now >= self._heard + settings.keepalive_interval:
            text = f"nothing was heard for {settings.keepalive_interval:g} seconds, not even a keep-alive"
            raise StreamError("connection-timeout", text)
        elif now >= self._active + settings.stream_inactivity_timeout:
            self._close(None, "idle", now, actions)

    def _ending(self, condition: str | None, text: str, by: str, actions: list[Action]) -> None:
        self._verifying.clear()

    def _never_proven(self, now: float, actions: list[Action]) -> None:
        if self._state is State.OPEN and self._answered:
            # It has asked about keys, which proves nothing about it, but is all that such a stream is for.
            self._close(None, "idle", now, actions)
            return
        seconds = f"{self._settings.stream_establishment_timeout:g} seconds"
        raise StreamError("connection-timeout", f"no domain was proven on this stream within {seconds}")


def refuse_without_tls(partner: PartnerView, local: str | None, remote: str) -> None:
    """Gate 3 on a stream without TLS; raises Refusal."""
    if "tcp_dialback" not in partner.auth_methods:
        text = f"the record of {remote} at this edge demands TLS, which is not available yet"
        raise Refusal("tls_not_available_yet", "policy-violation", text, local, remote)
