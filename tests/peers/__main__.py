# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in as a process: ``python -m peers partner|inside config.json`` (with ``tests`` on the path).

The configuration holds the constructor's arguments (``domains``, ``users``, ``port``; ``resolver`` for a partner, and
``security`` with the directory of its certificate, ``place``, the file of the ``ca`` that it trusts, and ``dialback``;
``components``, ``secret``, ``style`` for an inside server) and, where the control is to be a unix socket rather than
standard input and output, its path as ``control``. The first line on standard output is ``{"ready": true, "port": N}``.
It ends at SIGTERM, SIGINT, a ``stop`` request, or the end of its standard input where that is the control.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

from .control import Desk
from .inside import Inside
from .partner import Partner
from .security import Security


def make(kind: str, config: dict[str, Any]) -> Partner | Inside:
    rest = {name: value for name, value in config.items() if name not in ("domains", "control", "resolver")}
    if kind == "inside":
        return Inside(*config["domains"], **rest)
    host, port = config["resolver"]
    if security := rest.pop("security", None):
        place, ca = Path(security.pop("place")), Path(security.pop("ca"))
        rest["security"] = Security.load(place, ca, **security)
    return Partner(*config["domains"], resolver=(host, port), **rest)


async def standard_streams() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=2**20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, sys.stdout)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def serve(kind: str, config: dict[str, Any]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with make(kind, config) as server:
        desk = Desk(server, stop)
        ready = json.dumps({"ready": True, "port": server.port})
        if path := config.get("control"):
            async with await asyncio.start_unix_server(desk.talk, path, limit=2**20):
                print(ready, flush=True)
                await stop.wait()
        else:
            print(ready, flush=True)
            await talk_on_standard_streams(desk, stop)


async def talk_on_standard_streams(desk: Desk, stop: asyncio.Event) -> None:
    talking = asyncio.create_task(desk.talk(*await standard_streams()))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({talking, stopping}, return_when=asyncio.FIRST_COMPLETED)
    for task in (talking, stopping):
        task.cancel()
    await asyncio.gather(talking, stopping, return_exceptions=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m peers", description="XMPP stand-ins on loopback")
    parser.add_argument("kind", choices=("partner", "inside"))
    parser.add_argument("config", type=Path)
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.kind, json.loads(arguments.config.read_text(encoding="utf-8"))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
