# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all streams have in common: header before error, the close handshake, and time.

A machine takes bytes and times and returns actions. It knows nothing of sockets, and its only randomness comes in as an
argument. Every way to the end of a stream leads through ``_end``, which makes Closed the last action there is.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Iterator

from ..xml import namespaces
from ..xml.element import Element
from ..xml.limits import Limits
from ..xml.parser import Event, Parser, StreamEnd, StreamStart
from ..xml.stanza import Stanza
from ..xml.writer import CLOSE, write_element
from . import conditions
from .actions import Action, Closed, Refused, Send
from .errors import StreamError
from .security import Tls
from .settings import Settings


class State(enum.Enum):
    """How far the stream itself is; what is proven on it stands elsewhere."""

    WAITING = "waiting"
    """The peer's header has not come."""
    OPEN = "open"
    CLOSING = "closing"
    """We have closed our half in order, the peer has not."""
    CLOSED = "closed"


class Refusal(StreamError):
    """A stream error that the audit tells by a word of its own."""

    def __init__(self, reason: str, condition: str, text: str, local: str | None, remote: str | None) -> None:
        super().__init__(condition, text)
        self.reason = reason
        self.local = local
        self.remote = remote


# After these the peer has done nothing wrong, and what it sends before it closes as well is taken in.
_PEACEFUL = frozenset((None, "system-shutdown", "reset", "connection-timeout"))


class Machine(ABC):
    """The base of the three streams. Calls after Closed are harmless and return nothing."""

    # An object with more than 30 attributes in its dictionary is slower at every one of them.
    __slots__ = (
        "_active",
        "_began",
        "_closing",
        "_closing_since",
        "_content",
        "_discard",
        "_header_sent",
        "_heard",
        "_limits",
        "_parser",
        "_settings",
        "_state",
        "_strikes",
        "_wrote",
        "tls",
    )

    def __init__(self, settings: Settings, limits: Limits, content: str, now: float) -> None:
        self._settings = settings
        self._content = content
        self._limits = limits
        # Made with the first bytes: most of what a silent stranger would cost is the parser.
        self._parser: Parser | None = None
        self.tls: Tls | None = None
        """How the stream is encrypted, None while it is not."""
        self._state = State.WAITING
        self._header_sent = False
        self._began = now
        self._heard = now
        """When bytes came in last."""
        self._wrote = now
        """When bytes went out last."""
        self._active = now
        """When a stanza passed last."""
        self._closing_since = now
        self._closing: tuple[str | None, str] = (None, "")
        self._discard = False
        self._strikes = 0

    # What the driver calls

    @property
    def closed(self) -> bool:
        """The last action has been returned."""
        return self._state is State.CLOSED

    @property
    def deadline(self) -> float | None:
        """When ``tick`` is needed next, None if never.

        Traffic mostly moves it later, and ``tick`` too early is harmless: a driver may look again only when its alarm
        rings, and after calls that returned anything but Deliver or the Send of a stanza.
        """
        if self._state is State.CLOSED:
            return None
        if self._state is State.CLOSING:
            return self._closing_since + self._settings.close_timeout
        return min(self._deadlines(), default=None)

    def receive(self, data: bytes, now: float) -> list[Action]:
        """Bytes have come in."""
        actions: list[Action] = []
        if self._state is State.CLOSED:
            return actions
        self._heard = now
        parser = self._parser
        if parser is None:
            parser = self._parser = self._make_parser()
        try:
            for event in parser.feed(data):
                if isinstance(event, Stanza):
                    self._stanza(event, now, actions)
                else:
                    self._event(event, now, actions)
                    if self._parser is not parser:
                        # Closed, or begun anew: what came with it belongs to a stream that is over (RFC 6120, 5.4.3.3).
                        break
        except StreamError as error:
            self._fail(error, actions)
        return actions

    def tick(self, now: float) -> list[Action]:
        """Time has passed."""
        actions: list[Action] = []
        if self._state is State.CLOSED:
            return actions
        if self._state is State.CLOSING:
            if now >= self._closing_since + self._settings.close_timeout:
                self._end(*self._closing, "us", actions)
            return actions
        try:
            self._tick(now, actions)
        except StreamError as error:
            self._fail(error, actions)
        return actions

    def secured(self, tls: Tls, now: float) -> list[Action]:
        """The TLS handshake is done, after StartTls or before the first byte: the stream begins anew on top of it."""
        actions: list[Action] = []
        if self._state in (State.WAITING, State.OPEN) and self.tls is None:
            self.tls = tls
            self._restart()
            self._secured(now, actions)
        return actions

    def tls_failed(self, text: str, now: float) -> list[Action]:
        """There will be no TLS on this connection, and so no stream."""
        actions: list[Action] = []
        if self._state is not State.CLOSED:
            local, remote = self._names()
            actions.append(Refused("tls_failed", local, remote, text))
            self._end("tls_failed", text, "us", actions)
        return actions

    def close(self, condition: str | None, text: str, now: float) -> list[Action]:
        """Close in order, with a stream error if there is a condition; Closed follows when the peer has closed too."""
        actions: list[Action] = []
        if self._state is State.OPEN:
            self._close(condition, text, now, actions)
        elif self._state is State.WAITING:
            if condition is not None:
                self._fail(StreamError(condition, text), actions)
                return actions
            if self._header_sent:
                actions.append(Send(CLOSE))
            self._end(None, text, "us", actions)
        return actions

    def distrust(self, text: str, now: float) -> list[Action]:
        """Its certificate proves the peer no longer (RFC 6120, 13.7.2.3): close, and listen no more to what it says."""
        actions = self.close("reset", text, now)
        self._discard = True
        return actions

    def eof(self, now: float) -> list[Action]:
        """The connection is gone, or was never made."""
        actions: list[Action] = []
        if self._state is State.CLOSING:
            self._end(*self._closing, "us", actions)
        elif self._state is not State.CLOSED:
            self._end(None, "the connection ended before the stream was closed", "peer", actions)
        return actions

    # What each stream does in its own way

    @abstractmethod
    def _header(self) -> bytes:
        """Our header, as far as it is known what to write in it."""

    @abstractmethod
    def _started(self, start: StreamStart, now: float, actions: list[Action]) -> None:
        """The peer's header has come."""

    @abstractmethod
    def _stanza(self, stanza: Stanza, now: float, actions: list[Action]) -> None: ...

    @abstractmethod
    def _element(self, element: Element, now: float, actions: list[Action]) -> None:
        """A child of the stream that is neither a stanza nor a stream error."""

    @abstractmethod
    def _deadlines(self) -> Iterator[float]: ...

    @abstractmethod
    def _tick(self, now: float, actions: list[Action]) -> None: ...

    @abstractmethod
    def _names(self) -> tuple[str | None, str | None]:
        """Our domain and theirs, as far as they are known; for the audit."""

    def _secured(self, now: float, actions: list[Action]) -> None:  # noqa: B027 - not every stream has TLS
        """TLS stands, and nothing of the stream before it holds any more."""

    def _late(self, element: Element, now: float, actions: list[Action]) -> None:  # noqa: B027
        """A child of the stream that came after we had closed our half."""

    def _is_receiving(self) -> bool:
        """We answer the peer's header, and so have to send ours before any error."""
        return False

    @abstractmethod
    def _ending(self, condition: str | None, text: str, by: str, actions: list[Action]) -> None:
        """The last word before Closed."""

    def _make_parser(self) -> Parser:
        return Parser(self._limits, self._content)

    # The parts they share

    def _restart(self) -> None:
        """Forget the stream, not the connection: new headers come, both ways."""
        if self._parser is not None:
            self._parser.close()
            self._parser = None
        self._state = State.WAITING
        self._header_sent = False

    def _trust(self, limits: Limits) -> None:
        """The peer has proven itself: from now on it may send more at once."""
        self._limits = limits
        if self._parser is not None:
            self._parser.limits = limits

    def _strike(self, what: str) -> None:
        """Count what a sound peer never does; it may do so a few times, not for ever."""
        self._strikes += 1
        if self._strikes >= self._settings.strikes:
            raise StreamError("policy-violation", f"too many times: {what}")

    def _event(self, event: Event, now: float, actions: list[Action]) -> None:
        if isinstance(event, StreamError):
            raise event
        if isinstance(event, StreamEnd):
            self._peer_closed(actions)
        elif isinstance(event, StreamStart):
            self._state = State.OPEN
            self._started(event, now, actions)
        elif isinstance(event, Element):
            if event.name == "error" and event.namespace == namespaces.STREAMS:
                self._peer_failed(event, actions)
            elif self._state is not State.CLOSING:
                self._element(event, now, actions)
            else:
                self._late(event, now, actions)

    def _peer_closed(self, actions: list[Action]) -> None:
        if self._state is State.CLOSING:
            self._end(*self._closing, "us", actions)
            return
        actions.append(Send(CLOSE))
        self._end(None, "", "peer", actions)

    def _peer_failed(self, error: Element, actions: list[Action]) -> None:
        condition, text = conditions.read(error, namespaces.STREAM_ERRORS)
        if condition is not None:
            # Only see-other-host has text of its own: where it would have us go.
            text = text or condition.text.strip()
        if self._state is not State.CLOSING:
            actions.append(Send(CLOSE))
        self._end(condition.name if condition is not None else "undefined-condition", text, "peer", actions)

    def _fail(self, error: StreamError, actions: list[Action]) -> None:
        if isinstance(error, Refusal):
            actions.append(Refused(error.reason, error.local, error.remote, error.text))
        if self._state is State.CLOSING:
            self._end(*self._closing, "us", actions)
            return
        if self._header_sent:
            actions.append(Send(_error(error) + CLOSE))
        elif self._is_receiving():
            actions.append(Send(self._header() + _error(error) + CLOSE))
        self._end(error.condition, error.text, "us", actions)

    def _close(self, condition: str | None, text: str, now: float, actions: list[Action]) -> None:
        error = _error(StreamError(condition, text)) if condition is not None else b""
        actions.append(Send(error + CLOSE))
        self._state = State.CLOSING
        self._closing_since = now
        self._closing = (condition, text)
        self._discard = condition not in _PEACEFUL

    def _end(self, condition: str | None, text: str, by: str, actions: list[Action]) -> None:
        self._state = State.CLOSED
        if self._parser is not None:
            self._parser.close()
            self._parser = None
        self._ending(condition, text, by, actions)
        actions.append(Closed(condition, text, by))


def _error(error: StreamError) -> bytes:
    content = conditions.write(error.condition, error.text, namespaces.STREAM_ERRORS)
    if error.application is not None:
        content.append(Element(error.application, namespaces.APPLICATION_ERRORS))
    return write_element(Element("error", namespaces.STREAMS, content=content))
