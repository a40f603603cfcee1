# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Server Dialback on a stream that was opened to us: the receiving and the authoritative server of XEP-0220."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from ..xml.element import Element
from ..xml.writer import write_element
from . import admission, dialback
from .actions import Action, Pair, Refused, Send, Verify
from .errors import StreamError
from .machine import Refusal
from .settings import Settings

# Gates 1 and 2: where the header left the sender open they stand here, and a stranger gets no second try.
_CLOSING = frozenset(("federation_off", "own_domain", "not_a_partner"))


class Stream(admission.Stream, Protocol):
    """What dialback asks of its stream."""

    def prove(self, pair: Pair, method: str, now: float, actions: list[Action]) -> None:
        """The pair is proven."""

    def strike(self, what: str) -> None:
        """Count what a sound peer never does; raises StreamError when it is too much."""


class Receiving:
    """The requests on one stream, which comes with each call: kept here it would be freed late."""

    __slots__ = ("_foreign_keys", "_settings", "_verifying", "answered")

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
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

    def element(self, stream: Stream, element: Element, now: float, actions: list[Action]) -> None:
        """A ``db:result`` or ``db:verify``."""
        sender, target = dialback.addresses(element)
        if "type" in element.attrs:
            # An answer, but this stream carries no questions of ours; taken at its word it would prove anybody's name.
            text = f"an answer to a dialback request that was never made, of type {element.attrs['type']!r}"
            actions.append(Refused("dialback_unsolicited", target, sender, text))
            stream.strike(text)
        elif element.name == "result":
            self._asked_for_proof(stream, Pair(local=target, remote=sender), element, now, actions)
        else:
            self._asked_about_key(stream, sender, target, element, actions)

    # Receiving server

    def _asked_for_proof(self, stream: Stream, pair: Pair, element: Element, now: float, actions: list[Action]) -> None:
        answer = dialback.result(pair.local, pair.remote)
        key = element.text
        pairs = stream.pairs
        if not _admitted(stream, pair, answer, actions):
            return
        if pair in pairs:
            answer.attrs["type"] = "valid"
            actions.append(Send(write_element(answer)))
        elif not key or len(key) > dialback.LONGEST_KEY:
            _deny(stream, answer, "not-acceptable", "there is no dialback key in it", actions)
        elif pair in self._verifying:
            _deny(stream, answer, "resource-constraint", "this pair is being verified already", actions)
        elif len(self._verifying) >= self._settings.verifications or len(pairs) >= self._settings.pairs:
            _deny(stream, answer, "resource-constraint", "no room for another pair on this stream", actions)
        else:
            self._verifying[pair] = now + self._settings.stream_establishment_timeout
            actions.append(Verify(pair, key, stream.stream_id))

    def verified(
        self, stream: Stream, pair: Pair, outcome: str, condition: str | None, now: float, actions: list[Action]
    ) -> bool:
        """The authoritative server has answered; anything that was not asked is ignored.

        False when nothing is proven on the stream, and nothing can be: it has to be closed.
        """
        if pair not in self._verifying:
            return True
        del self._verifying[pair]
        answer = dialback.result(pair.local, pair.remote)
        if outcome == "valid":
            # The policy may have been replaced while the answer was under way.
            if _admitted(stream, pair, answer, actions):
                answer.attrs["type"] = "valid"
                actions.append(Send(write_element(answer)))
                stream.prove(pair, admission.dialback_method(stream.tls), now, actions)
            return True
        if outcome == "error":
            condition = condition or "remote-server-timeout"
            text = f"the authoritative server of {pair.remote} could not be asked"
            actions.append(Refused("dialback_failed", pair.local, pair.remote, f"{text}: {condition}"))
            _deny(stream, answer, condition, text, actions)
            return True
        text = f"the authoritative server of {pair.remote} did not make this key"
        actions.append(Refused("dialback_invalid", pair.local, pair.remote, text))
        if stream.pairs:
            _deny(stream, answer, "forbidden", text, actions)
            return True
        answer.attrs["type"] = "invalid"
        actions.append(Send(write_element(answer)))
        return False

    def tick(self, stream: Stream, now: float, actions: list[Action]) -> None:
        """Give up questions that were not answered in time."""
        for pair in [pair for pair, until in self._verifying.items() if until <= now]:
            self.verified(stream, pair, "error", "remote-server-timeout", now, actions)

    # Authoritative server

    def _asked_about_key(
        self, stream: Stream, sender: str, target: str, element: Element, actions: list[Action]
    ) -> None:
        stream_id = element.attrs.get("id")
        if not stream_id:
            raise StreamError("improper-addressing", "a db:verify without 'id'")
        answer = dialback.verify(target, sender, stream_id)
        if not _admitted(stream, Pair(local=target, remote=sender), answer, actions):
            return
        true = dialback.is_key(element.text, stream.credentials, sender, target, stream_id)
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


def _admitted(stream: Stream, pair: Pair, answer: Element, actions: list[Action]) -> bool:
    """Gates 1 to 3; where they are shut, the request is answered."""
    try:
        admission.admit_dialback(pair.local, pair.remote, stream)
    except Refusal as refusal:
        if refusal.reason in _CLOSING and stream.remote is None and not stream.pairs:
            raise
        # XEP-0220 has words of its own for what a stream error would say.
        condition = "item-not-found" if refusal.condition == "host-unknown" else refusal.condition
        actions.append(Refused(refusal.reason, refusal.local, refusal.remote, refusal.text))
        _deny(stream, answer, condition, refusal.text, actions)
        return False
    return True


def _deny(stream: Stream, answer: Element, condition: str, text: str, actions: list[Action]) -> None:
    actions.append(Send(write_element(dialback.failure(answer, condition, text))))
    stream.strike("a dialback request that had to be refused")
