# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Background work whose failure must not leave anybody waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


def watched(work: Coroutine[Any, Any, None], failed: Callable[[], None]) -> asyncio.Task[None]:
    """Start a task. Should it end by a fault of ours, that is told, and ``failed`` puts things in order."""
    loop = asyncio.get_running_loop()

    def over(task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        problem = task.exception()
        if problem is not None:
            loop.call_exception_handler({"message": "A background task failed.", "exception": problem})
            failed()

    task = loop.create_task(work)
    task.add_done_callback(over)
    return task
