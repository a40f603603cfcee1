# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The users of a stand-in server: their mailboxes, and how the server answers for them."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable

from . import stanzas
from .stanzas import Stanza


class Mailbox:
    """What one user got, in order. ``wait`` takes each stanza out once; ``history`` keeps all."""

    def __init__(self) -> None:
        self.history: list[Stanza] = []
        self._unread: list[Stanza] = []
        self._news = asyncio.Event()

    def put(self, stanza: Stanza) -> None:
        self.history.append(stanza)
        self._unread.append(stanza)
        self._news.set()

    async def wait(self, wanted: Callable[[Stanza], bool] = lambda _unused: True, timeout: float = 10.0) -> Stanza:
        """The first unread stanza that is wanted; TimeoutError when none comes."""
        async with asyncio.timeout(timeout):
            while True:
                for index, stanza in enumerate(self._unread):
                    if wanted(stanza):
                        return self._unread.pop(index)
                self._news.clear()
                await self._news.wait()


class Accounts:
    """A server's users. Subclasses say how a stanza leaves (``route``)."""

    def __init__(self, domains: Iterable[str], users: Iterable[str]) -> None:
        self.domains = tuple(domains)
        self.mailboxes: dict[str, Mailbox] = {}
        self.answers_pings = True
        self.ledger: list[dict[str, object]] = []
        self._news = asyncio.Event()
        self._waiting: dict[str, asyncio.Future[Stanza]] = {}
        self._numbers = itertools.count(1)
        for user in users:
            self.add_user(user)

    def add_user(self, address: str) -> Mailbox:
        return self.mailboxes.setdefault(self._account(address), Mailbox())

    def mailbox(self, address: str) -> Mailbox:
        return self.mailboxes[self._account(address)]

    @staticmethod
    def _account(address: str) -> str:
        local, domain, _unused = stanzas.split(address)
        return f"{stanzas.fold(local)}@{domain}"

    def note(self, event: str, **facts: object) -> None:
        """Write down what happened, for tests and for the demo."""
        self.ledger.append({"event": event, "at": time.monotonic(), **facts})
        self._news.set()

    def noted(self, event: str) -> list[dict[str, object]]:
        return [entry for entry in self.ledger if entry["event"] == event]

    async def wait_noted(self, event: str, timeout: float = 10.0, **facts: object) -> dict[str, object]:
        """The first entry of the ledger with these facts, past or to come."""
        async with asyncio.timeout(timeout):
            while True:
                for entry in self.noted(event):
                    if facts.items() <= entry.items():
                        return entry
                self._news.clear()
                await self._news.wait()

    # -- sending

    async def route(self, text: str, sender: str, to: str) -> None:
        """Put a stanza on its way; what cannot go is answered through ``bounce``."""
        raise NotImplementedError

    async def send(self, text: str) -> None:
        """Send one stanza, given as XML without a namespace of its own."""
        element = ET.fromstring(text)
        await self.route(text, element.get("from", ""), element.get("to", ""))

    async def send_message(self, sender: str, to: str, body: str, *, id_: str | None = None) -> str:
        id_ = id_ or f"message-{secrets.token_hex(6)}"
        await self.send(stanzas.message(sender, to, body, id_=id_))
        return id_

    async def ask(self, text: str, timeout: float = 10.0) -> Stanza:
        """Send an IQ and wait for its answer, matched by id and both addresses."""
        request = ET.fromstring(text)
        key = "|".join(request.get(name, "") for name in ("id", "to", "from"))
        answer = self._waiting[key] = asyncio.get_running_loop().create_future()
        try:
            await self.send(text)
            async with asyncio.timeout(timeout):
                return await answer
        finally:
            del self._waiting[key]

    async def ping(self, sender: str, to: str, timeout: float = 10.0) -> Stanza:
        return await self.ask(stanzas.ping(sender, to, f"p{next(self._numbers)}"), timeout)

    def bounce(self, text: str, type_: str, condition: str, words: str) -> None:
        """Hand the sender, one of ours, the error for a stanza that could not leave."""
        lost = Stanza.of(ET.fromstring(text))
        self.note("bounced", sender=lost.sender, to=lost.to, condition=condition, text=words)
        if not lost.is_answer:
            self.arrived(ET.fromstring(stanzas.error(lost, type_, condition, words)))

    # -- receiving

    def arrived(self, element: ET.Element) -> str | None:
        """Give a stanza to its user, and return the answer that the server owes."""
        stanza = Stanza.of(element)
        local, domain, _unused = stanzas.split(stanza.to)
        waiting = self._waiting.get(f"{stanza.id}|{stanza.sender}|{stanza.to}")
        if stanza.kind == "iq" and stanza.is_answer:
            if waiting and not waiting.done():
                waiting.set_result(stanza)
            return None
        mailbox = self.mailboxes.get(self._account(stanza.to)) if domain in self.domains else None
        if mailbox and stanza.kind != "iq":
            mailbox.put(stanza)
            return None
        if stanza.is_answer:
            return None
        if stanza.is_ping and self.answers_pings and (mailbox or not local):
            self.note("pinged", sender=stanza.sender, to=stanza.to)
            return stanzas.result(stanza)
        if stanza.is_ping and not self.answers_pings:
            return None
        if stanza.kind == "presence":
            return None
        return stanzas.error(stanza, "cancel", "service-unavailable")
