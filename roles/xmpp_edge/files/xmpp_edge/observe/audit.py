# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Audit: one JSON line an event on standard output, from where it goes to the journal.

Every refusal and the first pass of a pair of addresses is written, the rest is counted. Lines that others can cause are
bounded in rate, each partner's by itself, so that a flood neither fills the journal nor hides anything but itself: what
was left out is told as a number.
A thread does the writing, because a journal that hangs must not stop the streams.
"""

from __future__ import annotations

import json
import queue
import sys
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TextIO

_MOST_PAIRS = 50_000
_MOST_PARTNERS = 10_000
# Characters of both addresses. A longer pair is not remembered, and written each time, as far as the rate allows.
_WORTH_KEEPING = 512
_MOST_WAITING = 16 << 20
_LONGEST_VALUE = 1_000
_LONGEST_BODY = 65_536
_KEYS = {"sender": "from", "receiver": "to"}
"""Python does not let arguments have the names that these have in a line."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Lines a second in the long run, and how many may come at once."""

    lines: float
    burst: float


class _Bucket:
    """Counts what a rate allows, and what it left out."""

    def __init__(self, rate: Rate, now: float, **named: str) -> None:
        self.left_out = 0
        self.named = named
        """Whose lines these are, in the words of the audit."""
        self._rate = rate
        self._tokens = rate.burst
        self._filled = now

    def take(self, now: float) -> bool:
        self._tokens = min(self._rate.burst, self._tokens + (now - self._filled) * self._rate.lines)
        self._filled = now
        if self._tokens < 1:
            self.left_out += 1
            return False
        self._tokens -= 1
        return True


class Audit:
    """Writes lines and keeps the counters; knows nothing of what the events mean.

    Strangers have one rate. Each partner has its own, which is a small part of that of all partners together: so
    neither a stranger nor a single partner can hide what another one does. Our own users are as one partner more.
    """

    def __init__(
        self,
        out: TextIO | None = None,
        *,
        strangers: Rate = Rate(10, 500),
        partners: Rate = Rate(100, 4000),
        partner: Rate = Rate(20, 500),
        clock: Callable[[], float] = time.monotonic,
        background: bool = True,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._out = out if out is not None else sys.stdout
        self._clock = clock
        self._strangers = _Bucket(strangers, clock(), caused_by="strangers")
        self._partners = _Bucket(partners, clock(), caused_by="partners")
        self._partner = partner
        self._each: OrderedDict[str | None, _Bucket] = OrderedDict()
        self.seen: OrderedDict[tuple[str, str], None] = OrderedDict()
        """Pairs of sender and receiver of which a pass has been written."""
        self._lines: queue.Queue[str | None] = queue.Queue(maxsize=10_000)
        # Characters given to the thread, and written by it: each counts alone, so neither needs a lock.
        self._put = self._taken = 0
        self._thread: threading.Thread | None = None
        if background:
            self._thread = threading.Thread(target=self._write_all, name="audit", daemon=True)
            self._thread.start()

    def event(self, name: str, **values: object) -> None:
        """Something that our own side decides how often it happens: always written."""
        self._line(name, values)

    def partner(self, name: str, *, cause: str | None = None, **values: object) -> None:
        """Something that a partner can cause often: written within its rate.

        ``cause`` is the partner's domain as it was proven, never a name that was only claimed; without one it is our
        side.
        """
        self._of_partner(cause, name, values)

    def stranger(self, name: str, **values: object) -> None:
        """Something that anybody can cause as often as they like: written within the rate for all strangers."""
        self._bounded(self._strangers, name, values)

    def refused(self, reason: str, *, known: bool = True, cause: str | None = None, **values: object) -> None:
        """A refusal, counted under its reason; ``known`` where its ``cause`` (see ``partner``) has proven who it is."""
        self.counters["refused_" + reason] += 1
        line = {"reason": reason, **values}
        if known:
            self._of_partner(cause, "refused", line)
        else:
            self._bounded(self._strangers, "refused", line)

    def first_pass(self, direction: str, names: tuple[str, str], partner: str) -> None:
        """The first stanza of a pair of addresses passed. Ask ``seen`` before: this is called once a pair."""
        if len(names[0]) + len(names[1]) <= _WORTH_KEEPING:
            self.seen[names] = None
        if len(self.seen) > _MOST_PAIRS:
            self.seen.popitem(last=False)
        self.partner("passed", cause=partner, direction=direction, sender=names[0], receiver=names[1])

    def body(self, direction: str, sender: str, receiver: str, text: str) -> None:
        """The text of a message; only called where the administrator has asked for it."""
        self.event("message", direction=direction, body=text[:_LONGEST_BODY], sender=sender, receiver=receiver)

    def close(self) -> None:
        """Write what is left; used once, at the end."""
        for bucket in (self._strangers, self._partners, *self._each.values()):
            self._tell_left_out(bucket)
        if self._thread is not None:
            try:
                self._lines.put(None, timeout=1)
            except queue.Full:
                return
            self._thread.join(timeout=2)

    def _of_partner(self, cause: str | None, name: str, values: dict[str, object]) -> None:
        self._bounded(self._own_of(cause), name, values, within=self._partners)

    def _own_of(self, cause: str | None) -> _Bucket:
        bucket = self._each.get(cause)
        if bucket is None:
            named = {"caused_by": "our side"} if cause is None else {"caused_by": "partner", "partner": cause}
            bucket = self._each[cause] = _Bucket(self._partner, self._clock(), **named)
            if len(self._each) > _MOST_PARTNERS:
                self._tell_left_out(self._each.popitem(last=False)[1])
        self._each.move_to_end(cause)
        return bucket

    def _bounded(self, bucket: _Bucket, name: str, values: dict[str, object], within: _Bucket | None = None) -> None:
        """Write a line if its cause, and all of its kind ``within`` which it counts, have not had too many."""
        now = self._clock()
        # A line that its own cause has no room for takes nothing from the others.
        if not bucket.take(now) or (within is not None and not within.take(now)):
            self.counters["audit_left_out"] += 1
            return
        self._tell_left_out(bucket)
        if within is not None:
            self._tell_left_out(within)
        self._line(name, values)

    def _tell_left_out(self, bucket: _Bucket) -> None:
        if bucket.left_out:
            self._line("left_out", {**bucket.named, "lines": bucket.left_out})
            bucket.left_out = 0

    def _line(self, name: str, values: dict[str, object]) -> None:
        longest = _LONGEST_BODY if name == "message" else _LONGEST_VALUE
        entry: dict[str, object] = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "event": name,
        }
        for key, value in values.items():
            if value is not None:
                entry[_KEYS.get(key, key)] = value[:longest] if isinstance(value, str) else value
        text = json.dumps(entry, ensure_ascii=True, default=str)
        if self._thread is None:
            self._write(text)
            return
        if self._put - self._taken > _MOST_WAITING:
            self.counters["audit_left_out"] += 1
            return
        try:
            self._lines.put_nowait(text)
            self._put += len(text)
        except queue.Full:
            self.counters["audit_left_out"] += 1

    def _write_all(self) -> None:
        while (text := self._lines.get()) is not None:
            self._write(text)
            self._taken += len(text)

    def _write(self, text: str) -> None:
        try:
            self._out.write(text + "\n")
            self._out.flush()
        except (OSError, ValueError):
            # Nobody reads any more. The streams matter more than their log.
            self.counters["audit_left_out"] += 1
