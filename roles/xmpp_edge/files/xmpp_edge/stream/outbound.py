# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stream that we open to a partner's server.

We are the originating server of XEP-0220 on it, or the receiving server that asks the authoritative one.
"""

from __future__ import annotations

from collections.abc import Container, Iterator

from ..xml import namespaces
from ..xml.element import Element
from ..xml.parser import StreamStart
from ..xml.stanza import Stanza
from ..xml.writer import KEEP_ALIVE, stream_header, write_element, write_stanza
from . import dialback, features, header
from .actions import Action, Authenticated, Failed, Pair, Refused, Send, Verified
from .errors import StreamError
from .inbound import refuse_without_tls
from .machine import Machine, Refusal, State
from .policy import PartnerView
from .security import Credentials
from .settings import Settings

# What the senders of waiting stanzas are told when the partner's server ends the stream with one of these.
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
    "connection-timeout": "remote-server-timeout",
    "policy-violation": "policy-violation",
    "resource-constraint": "resource-constraint",
}


class Outbound(Machine):
    """One outbound stream, for ``stanzas`` (its pair is proven by dialback) or to ``verify`` keys.

    Make it when the connection attempt begins, then call ``connected``. Purpose ``stanzas`` gives exactly one of
    Authenticated and Failed; every ``verify`` gives exactly one Verified, before Closed at the latest. ``avoid`` names
    what an earlier attempt has failed with: ``tls``, ``sasl_tls``.
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
        super().__init__(settings, settings.before, namespaces.SERVER, now)
        self.pair = pair
        self.purpose = purpose
        self.stream_id = ""
        self._partner = partner
        self._credentials = credentials
        self._avoid = avoid
        self._version = 1
        self._dialback_declared = False
        self._ready = False
        """Header and features are behind us."""
        self._established = False
        self._settled = False
        """Authenticated or Failed has been said."""
        self._questions: dict[tuple[Pair, str], float] = {}
        self._unasked: list[bytes] = []

    # What the driver calls, besides what all machines have

    @property
    def established(self) -> bool:
        """Stanzas can be sent (purpose ``stanzas``), or questions go out at once (``verify``)."""
        return self._established and self._state is State.OPEN

    @property
    def accepting(self) -> bool:
        """Questions are taken; when not, a new stream has to be opened for them."""
        return self._state in (State.WAITING, State.OPEN)

    def connected(self, now: float) -> list[Action]:
        """The connection stands."""
        actions: list[Action] = []
        if self._state is State.CLOSED:
            return actions
        try:
            refuse_without_tls(self._partner, self.pair.local, self.pair.remote)
        except Refusal as refusal:
            actions.append(Refused(refusal.reason, refusal.local, refusal.remote, refusal.text))
            self._end("policy-violation", refusal.text, "us", actions)
            return actions
        self._header_sent = True
        self._write(self._header(), now, actions)
        return actions

    def send(self, stanza: Stanza, now: float) -> list[Action]:
        """Write a stanza; only when ``established``."""
        if not self.established or self.purpose != "stanzas":
            raise RuntimeError("no stanza can be sent on this stream now")
        self._wrote = self._active = now
        return [Send(write_stanza(stanza))]

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
        if self._ready:
            self._write(data, now, actions)
        else:
            self._unasked.append(data)
        self._active = now
        return actions

    # The header and the features

    def _names(self) -> tuple[str | None, str | None]:
        return self.pair.local, self.pair.remote

    def _header(self) -> bytes:
        attrs: dict[str, str | None] = {"from": self.pair.local, "to": self.pair.remote, "version": "1.0"}
        return stream_header(namespaces.SERVER, attrs)

    def _started(self, start: StreamStart, now: float, actions: list[Action]) -> None:
        header.check(start, namespaces.SERVER)
        self._version = header.version(start)
        sender = header.optional_domain(start, "from")
        if sender is not None and sender not in self._partner.domains:
            raise StreamError("invalid-from", f"this is {sender}, and not {self.pair.remote}")
        self.stream_id = header.stream_id(start)
        self._dialback_declared = namespaces.DIALBACK in start.declared.values()
        if not self._version:
            self._negotiated(now, actions)

    def _negotiated(self, now: float, actions: list[Action]) -> None:
        self._ready = True
        if self.purpose == "verify":
            self._established = True
            self._active = now
            if self._unasked:
                self._write(b"".join(self._unasked), now, actions)
                self._unasked.clear()
            return
        key = dialback.key(self._credentials.secret, self.pair.remote, self.pair.local, self.stream_id)
        self._write(write_element(dialback.result(self.pair.local, self.pair.remote, key)), now, actions)

    def _element(self, element: Element, now: float, actions: list[Action]) -> None:
        if element.namespace == namespaces.DIALBACK and element.name in ("result", "verify"):
            self._dialback(element, now, actions)
        elif element.namespace == namespaces.STREAMS and element.name == "features" and not self._ready:
            self._features(features.read(element), now, actions)
        else:
            raise StreamError("unsupported-stanza-type", f"<{element.name}/> has no meaning here")

    def _features(self, offered: features.Features, now: float, actions: list[Action]) -> None:
        local, remote = self.pair.local, self.pair.remote
        if offered.tls_required:
            text = f"{remote} demands TLS, which is not available here yet"
            raise Refusal("tls_not_available_yet", "unsupported-feature", text, local, remote)
        if not offered.dialback and not self._dialback_declared:
            text = f"{remote} does not offer Server Dialback"
            raise Refusal("no_common_method", "unsupported-feature", text, local, remote)
        self._negotiated(now, actions)

    # Answers

    def _dialback(self, element: Element, now: float, actions: list[Action]) -> None:
        sender, target = dialback.addresses(element)
        outcome = element.attrs.get("type", "")
        pair = Pair(local=target, remote=sender)
        if element.name == "verify":
            question = pair, element.attrs.get("id", "")
            if outcome and self._ready and self._questions.pop(question, None) is not None:
                actions.append(_verified(question, outcome, element))
                self._active = now
                return
        elif outcome and self._ready and pair == self.pair and self.purpose == "stanzas" and not self._settled:
            self._proven(outcome, element, now, actions)
            return
        text = f"a db:{element.name} of type {outcome!r} that answers nothing we asked"
        actions.append(Refused("dialback_unsolicited", target, sender, text))
        self._strike(text)

    def _proven(self, outcome: str, element: Element, now: float, actions: list[Action]) -> None:
        self._settled = True
        remote = self.pair.remote
        if outcome == "valid":
            self._established = True
            self._active = now
            actions.append(Authenticated(self.pair, "tcp_dialback"))
            return
        if outcome == "error":
            condition, text = dialback.failure_of(element)
            why = f"{remote} could not verify us: {condition}{text and f' ({text})'}"
            actions.append(Failed(self.pair, "remote-server-timeout", why))
        else:
            why = f"{remote} took our dialback key for false: the servers that answer for us must share one secret"
            actions.append(Failed(self.pair, "internal-server-error", why))
        self._close(None, why, now, actions)

    def _stanza(self, stanza: Stanza, now: float, actions: list[Action]) -> None:
        if not self._discard:
            raise StreamError("not-authorized", "stanzas to us belong on a stream that you open")

    # Time

    def _write(self, data: bytes, now: float, actions: list[Action]) -> None:
        self._wrote = now
        actions.append(Send(data))

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
                yield self._wrote + settings.keepalive_interval / 2

    def _tick(self, now: float, actions: list[Action]) -> None:
        settings = self._settings
        if not self._established:
            if now >= self._began + settings.stream_establishment_timeout:
                seconds = f"{settings.stream_establishment_timeout:g} seconds"
                raise StreamError("connection-timeout", f"the stream was not established within {seconds}")
        elif self.purpose == "verify":
            for question in [question for question, until in self._questions.items() if until <= now]:
                del self._questions[question]
                actions.append(Verified(*question, "error", "remote-server-timeout"))
            if not self._questions and now >= self._active + settings.verify_idle_timeout:
                self._close(None, "idle", now, actions)
        elif now >= self._active + settings.stream_inactivity_timeout:
            self._close(None, "idle", now, actions)
        elif self._partner.keepalive and now >= self._wrote + settings.keepalive_interval / 2:
            self._write(KEEP_ALIVE, now, actions)

    # The end

    def _ending(self, condition: str | None, text: str, by: str, actions: list[Action]) -> None:
        remote = self.pair.remote
        if self.purpose == "stanzas" and not self._settled:
            self._settled = True
            bounce = _BOUNCES.get(condition or "", "remote-server-timeout")
            said = ": ".join(part for part in (condition, text) if part)
            why = text if by == "us" else f"{remote} ended the stream ({said or 'without a word'})"
            actions.append(Failed(self.pair, bounce, why or "the stream was closed"))
        error = _VERIFY_ERRORS.get(condition or "", "remote-connection-failed")
        actions.extend(Verified(*question, "error", error) for question in self._questions)
        self._questions.clear()


def _verified(question: tuple[Pair, str], outcome: str, element: Element) -> Verified:
    if outcome == "error":
        condition, _unused = dialback.failure_of(element)
        return Verified(*question, "error", _VERIFY_ERRORS.get(condition, "remote-connection-failed"))
    return Verified(*question, "valid" if outcome == "valid" else "invalid")
