# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a plan is made of: the steps, what there is, what was given, and the plan itself. Values only.

PRIVATE to the collection.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Mapping, NamedTuple, Union

from ._certificate_facts import About, CertificateFacts, Generation, KeyFacts, Request


class MakeKey(NamedTuple):
    """A new generation: key, request and what is noted about them."""

    number: int
    request: Request


class CopyKey(NamedTuple):
    """A new generation for another request or certificate of a key that has one already."""

    number: int
    source: int


class AdoptKey(NamedTuple):
    """A new generation with the key that the user gave."""

    number: int
    request: Request


class WriteRequest(NamedTuple):
    number: int
    request: Request


class Note(NamedTuple):
    """Only what is noted beside a key."""

    number: int
    about: About


class Import(NamedTuple):
    """Certificates that the user gave, by their place in what was given; the first is our own."""

    number: int
    facts: CertificateFacts
    chain: tuple[str, ...]


class Issue(NamedTuple):
    number: int
    request: Request
    issuer: str


class Point(NamedTuple):
    """certificates/<id> names the generation with the current request."""

    number: int


class Assign(NamedTuple):
    """assigned/<usage> names the generation; `name` is its whole name, because it may belong to another id."""

    usage: str
    name: str


class Withdraw(NamedTuple):
    """Note at a generation that another took its place again; empty takes the note back."""

    name: str
    withdrawn: str


class Remove(NamedTuple):
    """All generations, and what they are assigned to."""

    numbers: tuple[int, ...]
    usages: tuple[str, ...]


Step = Union[MakeKey, CopyKey, AdoptKey, WriteRequest, Note, Import, Issue, Point, Assign, Withdraw, Remove]


class Current(NamedTuple):
    """What is on disk for one id. `assigned` and `previous` are the links as they are, `external` -> `external.1`."""

    generations: Mapping[int, Generation]
    pointed: int | None
    assigned: Mapping[str, str]
    previous: Mapping[str, str]
    # What `previous` names, by usage, as far as it is there and can be used.
    before: Mapping[str, Generation]


class Given(NamedTuple):
    """Certificates that the user gave: ours (the one with one of our keys) and the chain behind it, in order.

    `flaws` are what is wrong with the chain, as option, message and remedy. `key` is the key that came along.
    """

    facts: CertificateFacts
    chain: tuple[str, ...]
    flaws: tuple[tuple[str, str, str], ...] = ()
    key: KeyFacts | None = None


class Authority(NamedTuple):
    """Who would issue and the chain it would add, and which of the certificates in hand it did issue."""

    name: str
    issued: frozenset[str]
    chain: tuple[str, ...]
    until: datetime


class Plan(NamedTuple):
    """The steps in order, and what things are before and after them."""

    steps: tuple[Step, ...]
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    stage: str
    pending: bool
    request_in: int | None
    certificate_in: int | None
    generations: Mapping[int, Generation]
    notes: tuple[str, ...]
    effective: datetime | None = None


def number_of(id: str, generation: str | None) -> int | None:
    """The number of a generation of this id from its directory's name."""
    name, _dot, number = (generation or "").rpartition(".")
    return int(number) if name == id and is_number(number) else None


def is_number(text: str) -> bool:
    """As we write it: no other digits that Unicode has, and no zero in front."""
    return text.isascii() and text.isdigit() and text == str(int(text))
