# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Talking to a stand-in that is a process of its own: one JSON object a line in, one a line out.

A request is ``{"do": "message", "from": ..., "to": ..., "body": ..., "id": 7}``; its answer carries the same ``id``
and either ``"ok": true`` with what was asked for, or ``"ok": false`` with the reason. Requests run side by side.
``Remote`` is the other end.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from . import stanzas
from .accounts import Accounts
from .stanzas import Stanza

Request = dict[str, Any]


class Desk:
    """Does what requests ask of a server."""

    def __init__(self, server: Accounts, stop: asyncio.Event) -> None:
        self.server, self._stop = server, stop

    async def answer(self, line: bytes) -> bytes:
        request: Request = {}
        try:
            request = json.loads(line)
            doing: Callable[[Request], Awaitable[Any]] = getattr(self, f"do_{request['do']}")
            reply = {"ok": True, **(await doing(request) or {})}
        except TimeoutError:
            reply = {"ok": False, "error": "timeout"}
        except Exception as problem:  # noqa: BLE001 - the one who asked decides what to make of it
            reply = {"ok": False, "error": f"{type(problem).__name__}: {problem}"}
        return json.dumps({"id": request.get("id"), **reply}).encode() + b"\n"

    async def do_message(self, request: Request) -> Request:
        at = time.monotonic()
        sent = await self.server.send_message(request["from"], request["to"], request["body"])
        return {"stanza_id": sent, "at": at}

    async def do_presence(self, request: Request) -> None:
        await self.server.send(stanzas.presence(request["from"], request["to"], request.get("type")))

    async def do_send(self, request: Request) -> None:
        await self.server.send(request["xml"])

    async def do_ping(self, request: Request) -> Request:
        answer = await self.server.ping(request["from"], request["to"], request.get("timeout", 10.0))
        return {"stanza": answer.as_dict()}

    async def do_wait(self, request: Request) -> Request:
        """The next unread stanza of ``user``; other keys are fields that it must have (``stanza_id`` for its id)."""
        asked = {name: value for name, value in request.items() if name not in ("do", "id", "user", "timeout")}
        if "stanza_id" in asked:
            asked["id"] = asked.pop("stanza_id")

        def wanted(stanza: Stanza) -> bool:
            return all(getattr(stanza, name) == value for name, value in asked.items())

        found = await self.server.mailbox(request["user"]).wait(wanted, request.get("timeout", 10.0))
        return {"stanza": found.as_dict()}

    async def do_history(self, request: Request) -> Request:
        return {"stanzas": [stanza.as_dict() for stanza in self.server.mailbox(request["user"]).history]}

    async def do_noted(self, request: Request) -> Request:
        """The first entry of the ledger for ``event`` with the other keys as facts."""
        facts = {name: value for name, value in request.items() if name not in ("do", "id")}
        return {"entry": await self.server.wait_noted(**facts)}

    async def do_ledger(self, request: Request) -> Request:
        return {"ledger": self.server.ledger}

    async def do_users(self, request: Request) -> Request:
        return {"users": sorted(self.server.mailboxes)}

    async def do_linked(self, request: Request) -> None:
        await self.server.wait_linked(*request.get("names", ()), timeout=request.get("timeout", 10.0))

    async def do_stop(self, request: Request) -> None:
        self._stop.set()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection; a slow request does not hold up the next. Who hangs up does not wait for answers."""
        tasks: set[asyncio.Task[None]] = set()

        async def one(line: bytes) -> None:
            writer.write(await self.answer(line))
            with contextlib.suppress(ConnectionError):
                await writer.drain()

        try:
            while line := await reader.readline():
                task = asyncio.create_task(one(line))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            for task in tasks:
                task.cancel()
            writer.close()


class RemoteError(Exception):
    """The stand-in could not do what it was asked."""


class Remote:
    """Requests to a stand-in behind a unix socket: ``await remote.ask("message", from_=..., to=..., body=...)``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ids = itertools.count(1)

    async def ask(self, do: str, **values: Any) -> Request:
        request = {name.rstrip("_"): value for name, value in values.items()}
        reader, writer = await asyncio.open_unix_connection(str(self.path), limit=2**24)
        try:
            writer.write(json.dumps({**request, "do": do, "id": next(self._ids)}).encode() + b"\n")
            line = await reader.readline()
        finally:
            writer.close()
        if not line:
            raise RemoteError(f"{self.path.name} closed the connection")
        reply: Request = json.loads(line)
        if reply.get("error") == "timeout":
            raise TimeoutError(f"{do} at {self.path.name}")
        if not reply["ok"]:
            raise RemoteError(reply["error"])
        return reply
