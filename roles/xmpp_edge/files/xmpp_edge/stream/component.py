# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our link to the inside server: a component in its eyes (XEP-0114)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from ..jid import JID, JIDError, parse
from ..xml import namespaces
from ..xml.element import Element
from ..xml.parser import Event, Parser, StreamStart, TooBig
from ..xml.stanza import Stanza, error_reply
from ..xml.writer import KEEP_ALIVE, stream_header, write_element, write_stanza
from . import header
from .actions import Action, Deliver, Ready, Refused, Send
from .errors import StreamError
from .machine import Machine, State
from .settings import Settings


class Component(Machine):
    """The connecting side. What it delivers comes from the inside server, addresses canonical, gates not asked yet."""

    def __init__(self, domain: str, secret: str, settings: Settings, now: float) -> None:
        super().__init__(settings, settings.before, namespaces.COMPONENT, now)
        self.domain = domain
        self._established = False
        self._secret = secret

    @property
    def established(self) -> bool:
        """Stanzas can be sent."""
        return self._established and self._state is State.OPEN

    def connected(self, now: float) -> list[Action]:
        """The connection stands."""
        if self._state is State.CLOSED:
            return []
        self._wrote = now
        self._header_sent = True
        return [Send(self._header())]

    def send(self, stanza: Stanza, now: float) -> list[Action]:
        """Write a stanza; only when ``established``."""
        if not self.established:
            raise RuntimeError("no stanza can be sent on this link now")
        self._wrote = now
        return [Send(write_stanza(stanza))]

    def _make_parser(self) -> Parser:
        return Parser(self._limits, self._content, forgiving=True)

    def _names(self) -> tuple[str | None, str | None]:
        return self.domain, None

    def _header(self) -> bytes:
        return stream_header(namespaces.COMPONENT, {"to": self.domain})

    def _started(self, start: StreamStart, now: float, actions: list[Action]) -> None:
        header.check(start, namespaces.COMPONENT)
        text = header.stream_id(start) + self._secret
        # The protocol wants SHA-1 here; what it has to withstand is a listener on the path to the inside server.
        digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        self._wrote = now
        actions.append(Send(write_element(Element("handshake", namespaces.COMPONENT, content=[digest]), self._content)))

    def _element(self, element: Element, now: float, actions: list[Action]) -> None:
        if element.namespace != namespaces.COMPONENT or element.name != "handshake" or self._established:
            raise StreamError("unsupported-stanza-type", f"<{element.name}/> has no meaning here")
        self._established = True
        self._active = now
        self._trust(self._settings.inside)
        actions.append(Ready())

    def _stanza(self, stanza: Stanza, now: float, actions: list[Action]) -> None:
        if self._discard:
            return
        if not self._established:
            raise StreamError("not-authorized", "a stanza before the handshake")
        attrs = stanza.attrs
        try:
            stanza.from_ = parse(attrs.pop("from"))
            stanza.to = parse(attrs.pop("to"))
        except (KeyError, JIDError) as exc:
            self._misaddressed(stanza, exc, actions)
            return
        self._active = now
        actions.append(Deliver(stanza))

    def _event(self, event: Event, now: float, actions: list[Action]) -> None:
        if isinstance(event, TooBig):
            # Whoever can write to the inside server could otherwise break the link for everybody.
            self._outsized(event, actions)
        else:
            super()._event(event, now, actions)

    def _outsized(self, event: TooBig, actions: list[Action]) -> None:
        if self._discard or not self._established:
            return
        stanza = event.stanza
        try:
            stanza.from_ = parse(stanza.attrs.pop("from"))
            stanza.to = parse(stanza.attrs.pop("to"))
        except (KeyError, JIDError) as exc:
            self._misaddressed(stanza, exc, actions)
            return
        text = f"a {stanza.kind} with {event.what}"
        actions.append(Refused("stanza_too_big", stanza.from_.domain, stanza.to.domain, text))
        self._answer(stanza, "policy-violation", text, actions)

    def _answer(self, stanza: Stanza, condition: str, text: str, actions: list[Action]) -> None:
        reply = error_reply(stanza, condition, "modify", text)
        if reply is not None and self._state is State.OPEN:
            actions.append(Send(write_stanza(reply)))

    def _misaddressed(self, stanza: Stanza, exc: Exception, actions: list[Action]) -> None:
        # One bad address must not cost the link and all that is on it.
        text = f"an address is missing: {exc}" if isinstance(exc, KeyError) else str(exc)
        local = stanza.from_.domain if stanza.from_ is not None else None
        actions.append(Refused("improper_addressing", local, None, text))
        if stanza.from_ is not None:
            stanza.to = JID(None, self.domain)
            self._answer(stanza, "jid-malformed", text, actions)

    def _deadlines(self) -> Iterator[float]:
        if self._established:
            yield self._wrote + self._settings.keepalive_interval / 2
        else:
            yield self._began + self._settings.stream_establishment_timeout

    def _tick(self, now: float, actions: list[Action]) -> None:
        if self._established:
            if now >= self._wrote + self._settings.keepalive_interval / 2:
                self._wrote = now
                actions.append(Send(KEEP_ALIVE))
        elif now >= self._began + self._settings.stream_establishment_timeout:
            seconds = f"{self._settings.stream_establishment_timeout:g} seconds"
            raise StreamError("connection-timeout", f"the inside server did not accept us within {seconds}")

    def _ending(self, condition: str | None, text: str, by: str, actions: list[Action]) -> None:
        """Nothing is left to say: what was on the link is the relay's."""
