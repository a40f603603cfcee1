# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Server Dialback on a stream that was opened to us: the receiving and the authoritative server of XEP-0220."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from ..xml.element import Element
from ..xml.writer import write_element
from . import dialback
from .actions import Action, Pair, Refused, Send, Verify
from .admission import admit_dialback, dialback_method
from .errors import StreamError
from .machine import Refusal
from .policy import StreamPolicy
from .security import Credentials, Tls
from .settings import Settings

# Gates 1 and 2: where the header left the sender open they stand here, and a stranger gets no second try.
_CLOSING = frozenset(("federation_off", "own_domain", "not_a_partner"))

Prove = Callable[[Pair, str, float, list[Action]], None]
"""Called with what is proven, and by which method."""


class Stream(Protocol):
    """What dialback asks of its stream."""

    policy: StreamPolicy
    credentials: Credentials
    tls: Tls | None
    stream_id: str
    remote: str | None

    @property
    def pairs(self) -> dict[Pair, str]:
        """The proven pairs, each with its method."""


class Receiving:
    """The requests on one stream. ``prove`` and ``strike`` are the stream's; either may raise StreamError."""

    def __init__(self, stream: Stream, settings: Settings, prove: Prove, strike: Callable[[str], None]) -> None:
        self._stream = stream
        self._settings = settings
        self._prove = prove
        self._strike = strike
        self._verifying: dict[Pair, float] = {}
        self._foreign_keys = 0
        self.answered = 0
        """Questions about keys that were ours."""

    @property
    def busy(self) -> bool:
        """Something is being verified."""
        return bool(self._verifying)

    def forget(self) -> None:
        """The stream is over, or begins anew; an answer that comes later finds nobody who asked."""
        self._verifying.clear()

    def deadlines(self) -> Iterator[float]:
        yield from self._verifying.values()

    def element(self, element: Element, now: float, actions: list[Action]) -> None:
        """A ``db:result`` or ``db:verify``."""
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

    # Receiving server

    def _asked_for_proof(self, pair: Pair, element: Element, now: float, actions: list[Action]) -> None:
        answer = dialback.result(pair.local, pair.remote)
        key = element.text
        pairs = self._stream.pairs
        if not self._admitted(pair, answer, actions):
            return
        if pair in pairs:
            answer.attrs["type"] = "valid"
            actions.append(Send(write_element(answer)))
        elif not key or len(key) > dialback.LONGEST_KEY:
            self._deny(answer, "not-acceptable", "there is no dialback key in it", actions)
        elif pair in self._verifying:
            self._deny(answer, "resource-constraint", "this pair is being verified already", actions)
        elif len(self._verifying) >= self._settings.verifications or len(pairs) >= self._settings.pairs:
            self._deny(answer, "resource-constraint", "no room for another pair on this stream", actions)
        else:
            self._verifying[pair] = now + self._settings.stream_establishment_timeout
            actions.append(Verify(pair, key, self._stream.stream_id))

    def _admitted(self, pair: Pair, answer: Element, actions: list[Action]) -> bool:
        """Gates 1 to 3; where they are shut, the request is answered."""
        stream = self._stream
        try:
            admit_dialback(stream.policy, pair.local, pair.remote, stream.tls, stream.credentials)
        except Refusal as refusal:
            if refusal.reason in _CLOSING and stream.remote is None and not stream.pairs:
                raise
            # XEP-0220 has words of its own for what a stream error would say.
            condition = "item-not-found" if refusal.condition == "host-unknown" else refusal.condition
            actions.append(Refused(refusal.reason, refusal.local, refusal.remote, refusal.text))
            self._deny(answer, condition, refusal.text, actions)
            return False
        return True

    def _deny(self, answer: Element, condition: str, text: str, actions: list[Action]) -> None:
        actions.append(Send(write_element(dialback.failure(answer, condition, text))))
        self._strike("a dialback request that had to be refused")

    def verified(self, pair: Pair, outcome: str, condition: str | None, now: float, actions: list[Action]) -> bool:
        """The authoritative server has answered; anything that was not asked is ignored.

        False when nothing is proven on the stream, and nothing can be: it has to be closed.
        """
        if pair not in self._verifying:
            return True
        del self._verifying[pair]
        answer = dialback.result(pair.local, pair.remote)
        if outcome == "valid":
            # The policy may have been replaced while the answer was under way.
            if self._admitted(pair, answer, actions):
                answer.attrs["type"] = "valid"
                actions.append(Send(write_element(answer)))
                self._prove(pair, dialback_method(self._stream.tls), now, actions)
            return True
        if outcome == "error":
            condition = condition or "remote-server-timeout"
            text = f"the authoritative server of {pair.remote} could not be asked"
            actions.append(Refused("dialback_failed", pair.local, pair.remote, f"{text}: {condition}"))
            self._deny(answer, condition, text, actions)
            return True
        text = f"the authoritative server of {pair.remote} did not make this key"
        actions.append(Refused("dialback_invalid", pair.local, pair.remote, text))
        if self._stream.pairs:
            self._deny(answer, "forbidden", text, actions)
            return True
        answer.attrs["type"] = "invalid"
        actions.append(Send(write_element(answer)))
        return False

    def tick(self, now: float, actions: list[Action]) -> None:
        """Give up questions that were not answered in time."""
        for pair in [pair for pair, until in self._verifying.items() if until <= now]:
            self.verified(pair, "error", "remote-server-timeout", now, actions)

    # Authoritative server

    def _asked_about_key(self, sender: str, target: str, element: Element, actions: list[Action]) -> None:
        stream_id = element.attrs.get("id")
        if not stream_id:
            raise StreamError("improper-addressing", "a db:verify without 'id'")
        answer = dialback.verify(target, sender, stream_id)
        if not self._admitted(Pair(local=target, remote=sender), answer, actions):
            return
        true = dialback.is_key(element.text, self._stream.credentials, sender, target, stream_id)
        answer.attrs["type"] = "valid" if true else "invalid"
        actions.append(Send(write_element(answer)))
        if true:
            self.answered += 1
            return
        text = f"a key that is not ours: somebody claims to be {target}, or two edges of it have different secrets"
        actions.append(Refused("key_not_ours", target, sender, text))
        self._foreign_keys += 1
        if self._foreign_keys >= self._settings.foreign_keys:
            raise StreamError("policy-violation", "too many questions about keys that are not ours")
