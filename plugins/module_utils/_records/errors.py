# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong with a record, told so that its author can put it right.

PRIVATE to the collection and to the service that it installs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where it stands, which key, what it is, and how to cure it."""

    where: str
    key: str
    message: str
    remedy: str

    def __str__(self) -> str:
        place = ": ".join(part for part in (self.where, self.key) if part)
        text = "; ".join(part for part in (self.message, self.remedy) if part)
        return f"{place}: {text}" if place else text

    def as_dict(self) -> dict[str, str]:
        return {"where": self.where, "key": self.key, "message": self.message, "remedy": self.remedy}


class RecordError(Exception):
    """Everything that is wrong, at once: nobody likes to mend one entry a run."""

    def __init__(self, problems: Iterable[Problem], written: Iterable[str] = ()) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        self.written: tuple[str, ...] = tuple(written)
        """Files that had been changed by then."""
        super().__init__("\n".join(str(problem) for problem in self.problems))
