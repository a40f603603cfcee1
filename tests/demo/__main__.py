# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``tests/demo/run`` plays the whole story, prints what happened and cleans up.

With KEEP=1 in the environment it leaves everything running; ``tests/demo/run say|status|log|stop`` are for that.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import subprocess
import sys

from peers.control import Remote, RemoteError

from .screen import Screen
from .stage import Stage, StageError
from .story import Demo, edge_command, server_name


async def story(stage: Stage, screen: Screen) -> None:
    task = asyncio.current_task()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await Demo(stage, screen).play()


def keep_notes(stage: Stage) -> str:
    return "\n".join([
        f"Left running in {stage.directory}",
        "  say something   tests/demo/run say alice@inside.example bob@gmail.example 'Hello'",
        "  look            tests/demo/run status        (the edge's own view)",
        "                  tests/demo/run log           (its audit, line by line)",
        "  stop it         tests/demo/run stop",
    ])  # fmt: skip


def run(stage: Stage) -> int:
    screen, code = Screen(), 1
    try:
        asyncio.run(story(stage, screen))
        code = 0 if screen.good else 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        screen.step("Interrupted")
        code = 130
    except StageError as problem:
        screen.step(f"The demo failed: {problem}")
    except Exception as problem:  # noqa: BLE001 - whatever it was, it is told, and everything is cleaned up
        screen.step(f"The demo failed: {type(problem).__name__}: {problem}")
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not leave processes behind
        if screen.rows:
            print(screen.table(), flush=True)
        close(stage, code)
    return code


def close(stage: Stage, code: int) -> None:
    """Leave the stage as the user wants it; after a failure the logs stay."""
    if os.environ.get("KEEP", "") not in ("", "0") and code != 130:
        stage.keep()
        print(keep_notes(stage))
        return
    stage.end(keep_logs=code == 1)
    print(
        f"Everything was stopped; the logs are in {stage.logs}" if code == 1 else "Everything was stopped and removed."
    )


# -- for a kept stage


def edge_log(stage: Stage) -> str:
    return (stage.directory / "state/xmpp-edge.log").read_text(encoding="utf-8").rstrip()


async def say(stage: Stage, sender: str, to: str, body: str) -> str:
    """Send a message and tell which came first, the message there or an error here."""
    ours, theirs = (Remote(stage.control(server_name(address))) for address in (sender, to))
    sent = await ours.ask("message", from_=f"{sender}/say", to=to, body=body)
    waits = [ours.ask("wait", user=sender, type="error", stanza_id=sent["stanza_id"])]
    with contextlib.suppress(RemoteError):  # nobody there has that name, so there is nobody to look at
        await theirs.ask("history", user=to)
        waits.append(theirs.ask("wait", user=to, stanza_id=sent["stanza_id"]))
    for first in asyncio.as_completed(waits, timeout=15):
        stanza = (await first)["stanza"]
        if stanza["type"] == "error":
            return f"refused: {stanza['condition']}: {stanza['text']}".rstrip(": ")
        return f"{to} got it after {(stanza['at'] - sent['at']) * 1000:.1f} ms"
    raise TimeoutError


def main() -> int:
    parser = argparse.ArgumentParser(description="The demo, and what KEEP=1 leaves behind")
    commands = parser.add_subparsers(dest="command")
    say_parser = commands.add_parser("say", help="send a message")
    for name in ("sender", "to", "body"):
        say_parser.add_argument(name)
    commands.add_parser("status", help="what the edge says of itself")
    commands.add_parser("log", help="the edge's audit")
    commands.add_parser("stop", help="end everything and remove the scratch directory")
    arguments = parser.parse_args()
    try:
        if arguments.command is None:
            return run(Stage.make())
        stage = Stage.kept()
        if arguments.command == "say":
            print(asyncio.run(say(stage, arguments.sender, arguments.to, arguments.body)))
        elif arguments.command == "status":
            return subprocess.run(edge_command(stage, "status"), check=False).returncode
        elif arguments.command == "log":
            print(edge_log(stage))
        else:
            stage.end()
    except (StageError, RemoteError, TimeoutError, OSError) as problem:
        print(problem or "no answer", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
