# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control socket: one JSON object a line in, one out.

The socket is how the command line, and through it the roles and modules, talks to the running service. Whoever may
open it (the service's user and group) is trusted, and still cannot make the service wait or read without end.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

NAME = "control.sock"
_LONGEST_REQUEST = 4096
_LONGEST_ANSWER = 16 * 1024 * 1024
_READ_TIMEOUT = 5.0
_MOST_AT_ONCE = 16

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class ControlError(Exception):
    """The service cannot be reached, or somebody else holds its socket."""


class Control:
    """Serves the socket; ``handler`` gets the request and gives the answer."""

    def __init__(self, directory: Path, handler: Handler) -> None:
        self.path = directory / NAME
        self._handler = handler
        self._server: asyncio.Server | None = None
        self._open = 0

    async def start(self) -> None:
        """Bind the socket; a left-over one of a dead service is replaced, a live one is an error."""
        await asyncio.to_thread(self._clear)
        mask = os.umask(0o117)
        try:
            self._server = await asyncio.start_unix_server(self._serve, path=str(self.path), limit=_LONGEST_REQUEST)
        except OSError as problem:
            raise ControlError(f"The control socket {self.path} cannot be made: {problem.strerror}.") from problem
        finally:
            os.umask(mask)

    def _clear(self) -> None:
        if not self.path.exists():
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(1)
            try:
                probe.connect(str(self.path))
            except TimeoutError:
                pass
            except OSError:
                self.path.unlink(missing_ok=True)
                return
        raise ControlError(f"Another xmpp-edge answers on {self.path}; stop it first or give another --run-dir.")

    async def stop(self) -> None:
        """Close the socket and take its name away."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self.path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            answer = await self._answer(reader)
            writer.write(json.dumps(answer).encode() + b"\n")
            async with asyncio.timeout(_READ_TIMEOUT):
                await writer.drain()
        except (OSError, TimeoutError):
            return
        finally:
            self._open -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> dict[str, Any]:
        if self._open > _MOST_AT_ONCE:
            return {"error": "Too many requests at once."}
        try:
            async with asyncio.timeout(_READ_TIMEOUT):
                line = await reader.readline()
            request = json.loads(line)
        except TimeoutError:
            return {"error": "No request came in time."}
        except (ValueError, RecursionError):
            # Too long a line is a ValueError of the reader, too.
            return {"error": f"A request is one JSON object on one line of at most {_LONGEST_REQUEST} bytes."}
        if not isinstance(request, dict) or not isinstance(request.get("command"), str):
            return {"error": "A request is a JSON object with a `command`."}
        return await self._handled(request)

    async def _handled(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer, also where making it failed."""
        work = asyncio.ensure_future(self._handler(request))
        await asyncio.wait([work])
        problem = work.exception()
        if problem is None:
            return work.result()
        asyncio.get_running_loop().call_exception_handler({"message": "A command failed.", "exception": problem})
        return {"error": "An internal error; the audit has a line about it."}


def call(directory: Path, request: dict[str, Any], timeout: float = 10.0) -> dict[str, Any]:
    """Ask the running service; the blocking side, for the command line."""
    path = directory / NAME
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
        channel.settimeout(timeout)
        try:
            channel.connect(str(path))
            channel.sendall(json.dumps(request).encode() + b"\n")
            answer = _read(channel)
        except FileNotFoundError as problem:
            raise ControlError(f"There is no {path}: xmpp-edge does not run, or has another --run-dir.") from problem
        except PermissionError as problem:
            raise ControlError(f"{path} may not be opened; be root or a member of the service's group.") from problem
        except TimeoutError as problem:
            raise ControlError(f"xmpp-edge did not answer on {path} within {timeout:g} s.") from problem
        except OSError as problem:
            raise ControlError(f"xmpp-edge cannot be reached on {path}: {problem.strerror}.") from problem
    try:
        decoded = json.loads(answer)
    except ValueError as problem:
        raise ControlError(f"xmpp-edge broke off its answer on {path}.") from problem
    if not isinstance(decoded, dict):
        raise ControlError(f"What answers on {path} is not xmpp-edge.")
    return decoded


def _read(channel: socket.socket) -> bytes:
    parts: list[bytes] = []
    size = 0
    while not parts or not parts[-1].endswith(b"\n"):
        part = channel.recv(65536)
        if not part:
            break
        size += len(part)
        if size > _LONGEST_ANSWER:
            break
        parts.append(part)
    return b"".join(parts)
