# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which question about a dialback key is asked next, and which is not asked at all when there are too many.

Anybody can send us keys in a partner's name, and each makes us ask the partner. So askers take turns, and where there
is no room the one with the most questions loses one: whoever floods us with forged keys waits for himself only.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

from ..stream.actions import Pair

Answer = Callable[[str, str | None], None]
"""Called once with the outcome and, for an error, the dialback condition."""


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """Whether the partner has sent this key on the stream with this id; ``asker`` is the address that it came from."""

    pair: Pair
    key: str
    stream_id: str
    answer: Answer
    asker: str = ""


class Questions:
    """Those that wait, by asker."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: OrderedDict[str, deque[Question]] = OrderedDict()
        self._number = 0

    def __len__(self) -> int:
        return self._number

    def put(self, question: Question) -> Question | None:
        """Let it wait. Gives back the one for which there is no room, which may be this one."""
        mine = len(self._waiting.get(question.asker, ()))
        refused: Question | None = None
        if self._number >= self._most:
            asker = max(self._waiting, key=lambda name: len(self._waiting[name]), default=question.asker)
            if len(self._waiting.get(asker, ())) <= mine + 1:
                return question
            refused = self._waiting[asker].pop()
            self._number -= 1
        self._waiting.setdefault(question.asker, deque()).append(question)
        self._number += 1
        return refused

    def next(self) -> Question | None:
        """The next one, of the asker whose turn it is."""
        if not self._waiting:
            return None
        asker, waiting = self._waiting.popitem(last=False)
        question = waiting.popleft()
        self._number -= 1
        if waiting:
            # To the end of the row.
            self._waiting[asker] = waiting
        return question

    def empty(self) -> list[Question]:
        """All of them, taken out."""
        questions = [question for waiting in self._waiting.values() for question in waiting]
        self._waiting.clear()
        self._number = 0
        return questions
