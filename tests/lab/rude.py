# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A partner that sends addresses as they stand: real servers tidy them up before they send them."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Coroutine
from typing import Any, Self

from peers.partner import Partner

from .control_node import CONTROL, RESOLVER

DOMAIN = "rude.example"
USER = f"carl@{DOMAIN}"


class RudePartner:
    """Runs on the control node, where the lab's DNS says that rude.example is, in a thread of its own: it has to
    answer the edge while the tests wait for playbooks."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=DOMAIN)
        self._partner = Partner(DOMAIN, users=[USER], resolver=(RESOLVER, 53), host=CONTROL, port=5269)

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._partner.__aenter__())
        return self

    def __exit__(self, *_unused: object) -> None:
        self._call(self._partner.__aexit__())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def write(self, to: str, text: str) -> str:
        """Write to an address exactly as given; returns the id under which an error would come back."""
        return self._call(self._partner.send_message(f"{USER}/lab", to, text, id_=f"rude-{next(self._numbers)}"))

    def refusal(self, stanza_id: str) -> str:
        """Wait for the error that answers a message, and return its condition."""
        mailbox = self._partner.mailbox(USER)
        wanted = mailbox.wait(lambda stanza: stanza.id == stanza_id and stanza.type == "error", timeout=30)
        return self._call(wanted).condition
