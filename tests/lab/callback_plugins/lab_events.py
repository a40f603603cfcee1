# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What each task did on each host, as JSON lines in the file that LAB_EVENTS names."""

from __future__ import annotations

import json
import os

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: lab_events
type: notification
short_description: Tasks and their results as JSON lines
description:
  - For the tests of the lab, which compare what two runs of a playbook did.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "lab_events"

    def __init__(self) -> None:
        super().__init__()
        self._path = os.environ.get("LAB_EVENTS", "")

    def _note(self, result, status: str) -> None:
        if not self._path:
            return
        answer = result.result
        event = {
            "host": result.host.get_name(),
            "task": result.task.get_name(),
            "status": status,
            "changed": bool(answer.get("changed")) and status != "skipped",
            "diff": answer.get("diff"),
            "msg": str(answer.get("msg", "")),
        }
        with open(self._path, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(event, default=str) + "\n")

    def v2_runner_on_ok(self, result) -> None:
        self._note(result, "ok")

    def v2_runner_on_skipped(self, result) -> None:
        self._note(result, "skipped")

    def v2_runner_on_failed(self, result, ignore_errors: bool = False) -> None:
        self._note(result, "ignored" if ignore_errors else "failed")

    def v2_runner_on_unreachable(self, result) -> None:
        self._note(result, "unreachable")
