# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Users at their chat clients: slixmpp, logged in over the cable of the lab."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass

from slixmpp import ClientXMPP
from slixmpp.stanza import Message

PASSWORD = "secret"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Answer:
    """What came of a message: the text that arrived, or the error that its sender got."""

    text: str = ""
    condition: str = ""
    explanation: str = ""

    @property
    def arrived(self) -> bool:
        return not self.condition


class User:
    """One client session. Messages are matched by their text, which is unique in a test run."""

    def __init__(self, jid: str, host: str) -> None:
        self.jid = jid
        self._host = host
        self._client = ClientXMPP(f"{jid}/lab", PASSWORD)
        # The servers of the lab let clients in without TLS; what is tested happens between servers.
        self._client.enable_starttls = self._client.enable_direct_tls = False
        self._client.enable_plaintext = True
        self._client.plugin["feature_mechanisms"].unencrypted_scram = True
        self._waiting: dict[str, asyncio.Future[Message]] = {}
        self.inbox: list[str] = []
        self._client.add_event_handler("message", self._received)
        self._client.add_event_handler("message_error", self._refused)

    async def log_in(self) -> None:
        started = asyncio.get_running_loop().create_future()

        def failed(event: str, why: object) -> None:
            if not started.done():
                started.set_exception(ConnectionError(f"{self.jid} at {self._host}: {event}: {why}"))

        for event in ("failed_auth", "connection_failed", "disconnected"):
            self._client.add_event_handler(event, functools.partial(failed, event))
        self._client.add_event_handler("session_start", lambda _event: started.done() or started.set_result(None))
        self._client.connect(self._host, 5222)
        await asyncio.wait_for(started, 20)
        self._client.send_presence()
        await self._client.get_roster()

    async def log_out(self) -> None:
        await self._client.disconnect(wait=2)

    def expect(self, text: str) -> asyncio.Future[Message]:
        return self._waiting.setdefault(text, asyncio.get_running_loop().create_future())

    def write(self, to: str, text: str, stanza_id: str = "") -> None:
        message = self._client.make_message(mto=to, mbody=text, mtype="chat")
        message["id"] = stanza_id or f"lab-{next(_numbers)}"
        message.send()

    def _received(self, message: Message) -> None:
        if message["type"] == "error":
            return
        self.inbox.append(message["body"])
        self._settle(message["body"], message)

    def _refused(self, message: Message) -> None:
        self._settle(message["id"], message)

    def _settle(self, key: str, message: Message) -> None:
        future = self.expect(key)
        if not future.done():
            future.set_result(message)


@contextlib.asynccontextmanager
async def logged_in(jid: str, host: str) -> AsyncIterator[User]:
    user = User(jid, host)
    await user.log_in()
    try:
        yield user
    finally:
        await user.log_out()


async def message(sender: User, receiver: User, to: str = "", timeout: float = 30) -> Answer:
    """Write to the receiver (under the address `to` if given); an answer is its arrival or the sender's error."""
    number = next(_numbers)
    text, stanza_id = f"message {number} of {sender.jid}", f"lab-error-{number}"
    arrived, refused = receiver.expect(text), sender.expect(stanza_id)
    sender.write(to or receiver.jid, text, stanza_id)
    done, _pending = await asyncio.wait((arrived, refused), timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    if arrived in done:
        return Answer(text=text)
    if refused in done:
        error = (await refused)["error"]
        return Answer(condition=error["condition"], explanation=error["text"])
    raise TimeoutError(f"neither a message nor an error within {timeout} s: {sender.jid} -> {to or receiver.jid}")
