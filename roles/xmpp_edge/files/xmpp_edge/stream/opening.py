# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a stream that we open comes about: header, features, TLS, and the proof of who we are."""

from __future__ import annotations

import enum
from abc import abstractmethod
from collections.abc import Container, Sequence
from dataclasses import replace

from ..xml import namespaces
from ..xml.element import Element
from ..xml.parser import StreamStart
from ..xml.writer import stream_header, write_element
from . import choice, dialback, external, features, header
from .actions import Action, Failed, Pair, Refused, Send, StartTls
from .errors import StreamError
from .features import EXTERNAL, Features
from .machine import Machine, Refusal
from .policy import PartnerView
from .security import Credentials, Trust
from .settings import Settings

_LONGEST = 500


class Step(enum.Enum):
    """What we wait for."""

    FEATURES = "features"
    """A header and features, on a stream that proves nothing yet."""
    PROCEED = "proceed"
    """The answer to <starttls/>."""
    HANDSHAKE = "handshake"
    """TLS itself."""
    SASL = "sasl"
    """The answer to <auth/>."""
    AGAIN = "again"
    """A header and features, after SASL."""
    DIALBACK = "dialback"
    """The answer to our dialback key."""
    DONE = "done"


class Opening(Machine):
    """The part of an outbound stream before its first stanza or question."""

    # As in Machine, so that those of the stream itself stay few.
    __slots__ = (
        "_avoid",
        "_bidi",
        "_challenged",
        "_connected",
        "_credentials",
        "_dialback_declared",
        "_failures",
        "_methods",
        "_nothing_left",
        "_offered",
        "_partner",
        "_settled",
        "_step",
        "_verdict",
        "pair",
        "purpose",
        "stream_id",
    )

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
        self._methods = _methods(partner, purpose)
        self._step = Step.FEATURES
        self._connected = False
        self._dialback_declared = False
        self._offered = Features()
        """What they have offered last."""
        self._verdict: Trust | None = None
        self._bidi = False
        """We have asked for stanzas both ways."""
        self._challenged = False
        self._failures: dict[str, str] = {}
        """The methods that have failed on this stream, and why."""
        self._nothing_left = False
        """Over TLS no method was."""
        self._settled = False
        """Authenticated or Failed has been said."""

    @property
    def retry_without(self) -> str | None:
        """What a new attempt may ``avoid`` because this one has stumbled over it, and the record can do without."""
        if self._step in (Step.SASL, Step.AGAIN) or "sasl_tls" in self._failures:
            return "sasl_tls" if "tls_dialback" in self._methods else None
        stumbled = self._nothing_left or self._step in (Step.PROCEED, Step.HANDSHAKE)
        return "tls" if stumbled and "tcp_dialback" in self._methods else None

    def connected(self, now: float) -> list[Action]:
        """The connection stands; with direct TLS, so does that."""
        actions: list[Action] = []
        if not self.closed:
            self._connected = True
            self._open(now, actions)
        return actions

    # What follows

    @abstractmethod
    def _ask(self, now: float, actions: list[Action]) -> None:
        """The stream is good for questions."""

    @abstractmethod
    def _proven(self, method: str, now: float, actions: list[Action]) -> None:
        """The pair is proven on this stream."""

    @abstractmethod
    def _answered(self, element: Element, pair: Pair, outcome: str, now: float, actions: list[Action]) -> bool:
        """Whether a db:verify answers a question of ours."""

    @abstractmethod
    def _acknowledgement(self, element: Element, now: float, actions: list[Action]) -> bool:
        """Whether an element of XEP-0198 has a meaning here."""

    # Header and features

    def _names(self) -> tuple[str | None, str | None]:
        return self.pair.local, self.pair.remote

    def _header(self) -> bytes:
        attrs: dict[str, str | None] = {"from": self.pair.local, "to": self.pair.remote, "version": "1.0"}
        return stream_header(namespaces.SERVER, attrs)

    def _open(self, now: float, actions: list[Action]) -> None:
        self._header_sent = True
        self._write(self._header(), now, actions)

    def _started(self, start: StreamStart, now: float, actions: list[Action]) -> None:
        if self._step is Step.HANDSHAKE:
            # Not TLS, but what somebody has put in its place.
            raise StreamError("policy-violation", "plain text where TLS was agreed upon")
        header.check(start, namespaces.SERVER)
        version = header.version(start)
        sender = header.optional_domain(start, "from")
        if sender is not None and sender not in self._partner.domains:
            raise StreamError("invalid-from", f"this is {sender}, and not {self.pair.remote}")
        self.stream_id = header.stream_id(start)
        self._dialback_declared = namespaces.DIALBACK in start.declared.values()
        if not version:
            self._features(Features(), now, actions)

    def _element(self, element: Element, now: float, actions: list[Action]) -> None:
        namespace, name = element.namespace, element.name
        if namespace == namespaces.DIALBACK and name in ("result", "verify"):
            self._dialback(element, now, actions)
        elif namespace == namespaces.STREAMS and name == "features" and self._step in (Step.FEATURES, Step.AGAIN):
            self._features(features.read(element), now, actions)
        elif namespace == namespaces.TLS and self._step is Step.PROCEED:
            self._starttls(name, now, actions)
        elif namespace == namespaces.SASL:
            self._sasl(element, now, actions)
        elif namespace != namespaces.ACKS or not self._acknowledgement(element, now, actions):
            raise StreamError("unsupported-stanza-type", f"<{name}/> has no meaning here")

    def _features(self, offered: Features, now: float, actions: list[Action]) -> None:
        if self._dialback_declared and not offered.dialback:
            offered = replace(offered, dialback=True)
        self._offered = offered
        if self._step is Step.AGAIN:
            self._step = Step.DONE
            self._proven("sasl_tls", now, actions)
        elif self.tls is not None:
            self._prove(now, actions)
        elif choice.without_tls(self._methods, self.pair, offered, self._avoid) == choice.STARTTLS:
            self._step = Step.PROCEED
            self._write(write_element(Element("starttls", namespaces.TLS)), now, actions)
        else:
            self._dial_back(now, actions)

    # TLS

    def _starttls(self, name: str, now: float, actions: list[Action]) -> None:
        local, remote = self.pair.local, self.pair.remote
        if name == "proceed":
            self._restart()
            self._step = Step.HANDSHAKE
            actions.append(StartTls(local, remote))
            return
        if name != "failure":
            raise StreamError("unsupported-stanza-type", f"<{name}/> is no answer to <starttls/>")
        text = f"{remote} offers TLS, and fails to begin it"
        actions.append(Refused("tls_failed", local, remote, text))
        self._fail_pair("remote-server-timeout", text, actions)
        self._close(None, text, now, actions)

    def _secured(self, now: float, actions: list[Action]) -> None:
        self._step = Step.FEATURES
        if self._connected:
            self._open(now, actions)

    @property
    def _trust_in_peer(self) -> Trust:
        """What its certificate is worth; looked at once."""
        if self._verdict is None:
            if self.tls is None:
                self._verdict = Trust(False, "no_tls", "the stream is not encrypted")
            else:
                self._verdict = self.tls.judge(self.pair.remote)
        return self._verdict

    # Proof

    def _prove(self, now: float, actions: list[Action]) -> None:
        """By what the record, their offer and their certificate allow on this encrypted stream; raises Refusal."""
        failed = dict(self._failures)
        if "sasl_tls" in self._avoid and "tls_dialback" in self._methods:
            failed.setdefault("sasl_tls", "it has failed before")
        trust = self._trust_in_peer if "sasl_tls" in self._methods else Trust(False, "not_asked")
        has_one = self._credentials.certificate
        try:
            method = choice.over_tls(self._methods, self.pair, self._offered, trust, failed, certificate=has_one)
        except Refusal:
            self._nothing_left = True
            raise
        if method == "sasl_tls":
            self._authenticate(now, actions)
        else:
            self._dial_back(now, actions)

    def _authenticate(self, now: float, actions: list[Action]) -> None:
        self._step = Step.SASL
        data = b""
        if self._offered.bidi:
            # Only here: dialback proves us to them, and this certificate is what proves them to us.
            self._bidi = True
            data = write_element(features.bidi(max_bytes=self._settings.after.size))
        self._write(data + write_element(external.auth(self.pair.local)), now, actions)

    def _sasl(self, element: Element, now: float, actions: list[Action]) -> None:
        local, remote = self.pair.local, self.pair.remote
        if self._step is not Step.SASL:
            # Taken at its word, it would prove us by nothing.
            text = f"<{element.name}/> for SASL, without having been asked"
            raise Refusal("sasl_unsolicited", "unsupported-stanza-type", text, local, remote)
        if element.name == "success":
            self._restart()
            self._step = Step.AGAIN
            self._open(now, actions)
        elif element.name == "challenge" and not self._challenged:
            self._challenged = True
            self._write(write_element(external.response(local)), now, actions)
        elif element.name == "failure":
            self._not_authenticated(f"{remote} has refused it: {said(*external.failure_of(element))}", now, actions)
        else:
            raise StreamError("unsupported-stanza-type", f"<{element.name}/> is no answer to {EXTERNAL}")

    def _not_authenticated(self, why: str, now: float, actions: list[Action]) -> None:
        """Go on with what is left on this stream, or close it in peace: the refusal was theirs."""
        self._failures["sasl_tls"] = why
        try:
            self._prove(now, actions)
        except Refusal as refusal:
            actions.append(Refused(refusal.reason, refusal.local, refusal.remote, refusal.text))
            self._fail_pair("not-allowed", refusal.text, actions)
            self._close(None, refusal.text, now, actions)

    def _dial_back(self, now: float, actions: list[Action]) -> None:
        self._step = Step.DIALBACK
        if self.purpose == "verify":
            self._ask(now, actions)
            return
        key = dialback.key(self._credentials.secret, self.pair.remote, self.pair.local, self.stream_id)
        self._write(write_element(dialback.result(self.pair.local, self.pair.remote, key)), now, actions)

    def _dialback(self, element: Element, now: float, actions: list[Action]) -> None:
        """An answer: to a question, to our key, or to nothing that we have asked."""
        sender, target = dialback.addresses(element)
        outcome = element.attrs.get("type", "")
        pair = Pair(local=target, remote=sender)
        if outcome and self._step is Step.DIALBACK:
            if element.name == "verify":
                if self._answered(element, pair, outcome, now, actions):
                    return
            elif pair == self.pair and self.purpose == "stanzas":
                self._key_answered(outcome, element, now, actions)
                return
        text = f"a db:{element.name} of type {outcome!r} that answers nothing we asked"
        actions.append(Refused("dialback_unsolicited", target, sender, text))
        self._strike(text)

    def _key_answered(self, outcome: str, element: Element, now: float, actions: list[Action]) -> None:
        self._step = Step.DONE
        remote = self.pair.remote
        if outcome == "valid":
            self._proven("tcp_dialback" if self.tls is None else "tls_dialback", now, actions)
            return
        if outcome == "error":
            why = f"{remote} could not verify us: {said(*dialback.failure_of(element))}"
            self._fail_pair("remote-server-timeout", why, actions)
        else:
            why = f"{remote} took our dialback key for false: the servers that answer for us must share one secret"
            self._fail_pair("internal-server-error", why, actions)
        self._close(None, why, now, actions)

    def _fail_pair(self, condition: str, text: str, actions: list[Action]) -> None:
        if self.purpose == "stanzas" and not self._settled:
            self._settled = True
            actions.append(Failed(self.pair, condition, text))

    def _write(self, data: bytes, now: float, actions: list[Action]) -> None:
        self._wrote = now
        actions.append(Send(data))


def said(condition: str, text: str) -> str:
    """The words of a peer, for errors to those who wait: each of these repeats them, so they had better be short."""
    condition, text = condition[:_LONGEST], text[:_LONGEST]
    return f"{condition} ({text})" if text else condition


def _methods(partner: PartnerView, purpose: str) -> Sequence[str]:
    """Questions are dialback; to ask them nobody has to authenticate."""
    if purpose == "verify":
        return [method for method in partner.auth_methods if method != "sasl_tls"]
    return partner.auth_methods
