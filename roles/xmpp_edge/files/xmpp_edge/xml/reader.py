# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How bytes get to expat: in small pieces, never a long tag in parts, and never what it would multiply.

What comes out of it is the parser's; see there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from xml.parsers import expat

from ..stream.errors import StreamError
from .escape import escape_attribute
from .events import Event
from .limits import Limits
from .names import Names
from .prolog import Prolog
from .refusals import too_big, translate
from .stanza import Stanza
from .tags import KEPT, PIECE, Skip, Tag
from .vocabulary import SEPARATOR, Frame

PATIENCE = 16
"""A forgiving parser passes over what is too large, up to so many times the limit."""


class Over(Exception):
    """Ends the parser's work from inside of a handler."""


class Reader(ABC):
    """One stream of bytes, and the expat that reads it."""

    def __init__(self, limits: Limits) -> None:
        self._events: list[Event] = []
        self._in_stream = False
        self._over = False
        # The name of the stream element, and its namespace declarations.
        self._root = ""
        self._declared: dict[str, str] = {}
        self._prolog: Prolog | None = Prolog()
        # How far expat has come, in its own count of bytes; what of that is a tag without its end.
        self._fed = 0
        self._unread = b""
        self._tag: Tag | None = None
        self._skip: Skip | None = None
        self._skipped = Stanza("", {})
        # The top-level child that is being read: where it began, or -1 between two of them; and if it is a stanza.
        self._begin = 0
        self._open_tags: list[Frame] = []
        self.limits = limits
        self._names = Names()
        self._expat = self._make_expat()

    @property
    def limits(self) -> Limits:
        return self._limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self._limits = limits
        self._most_bytes = limits.size
        self._most_elements = limits.elements
        self._deepest = limits.depth
        self._longest_tag = limits.tag
        self._step = min(PIECE, limits.tag)

    def feed(self, data: bytes) -> list[Event]:
        """The parts that these bytes complete. A StreamError is the last part there is: the parser is dead then."""
        if self._over:
            return []
        events: list[Event] = []
        self._events = events
        try:
            if self._prolog is not None:
                self._begin_reading(self._prolog, data)
            else:
                self._pieces(data)
        except StreamError as error:
            events.append(error)
            self._end()
        except expat.ExpatError as error:
            events.append(translate(error))
            self._end()
        except Over:
            self._end()
        return events

    def _begin_reading(self, prolog: Prolog, data: bytes) -> None:
        for piece in prolog.feed(data):
            if prolog.over:
                self._prolog = None
            elif len(piece) > self._most_bytes:
                raise too_big(f"more than {self._most_bytes} bytes")
            self._pieces(piece)
        if self._prolog is not None and self._fed + prolog.held > self._most_bytes:
            raise too_big(f"more than {self._most_bytes} bytes")

    def _pieces(self, data: bytes) -> None:
        # A piece is parsed whole before any limit can stop expat.
        step = self._step
        if len(data) <= step:
            self._piece(data)
            return
        for begin in range(0, len(data), step):
            self._piece(data[begin : begin + step])

    def _piece(self, data: bytes) -> None:
        if self._tag is not None:
            data = self._complete(self._tag, data)
        if self._skip is not None:
            data = self._pass_over(self._skip, data)
        if data:
            self._parse(data)

    def _parse(self, data: bytes) -> None:
        self._fed += len(data)
        self._expat.Parse(data, False)
        unread = self._fed - self._expat.CurrentByteIndex
        self._unread = (self._unread + data)[-unread:] if unread else b""
        self._check_unfinished(unread)
        if unread > KEPT and self._prolog is None and self._unread[0] in b"<&":
            tag = Tag(self._unread)
            if not tag.over:
                self._tag = tag
                self._check_tag(tag)
        names = self._names
        if len(names.table) > names.next:
            names.weigh()
        if names.too_many:
            self._begin_anew()

    # Long tags

    def _complete(self, tag: Tag, data: bytes) -> bytes:
        """Take in more of a tag that is kept back; gives what is behind it."""
        data = tag.feed(data)
        self._check_tag(tag)
        if tag.over and self._tag is not None:
            self._tag = None
            self._parse(tag.rest())
        return data

    def _check_tag(self, tag: Tag) -> None:
        before = self._fed - self._begin - len(self._unread) if self._begin >= 0 else 0
        if tag.length > self._longest_tag:
            what = f"more than {self._longest_tag} bytes in one tag"
        elif not self._open_tags and before + tag.length > self._most_bytes:
            what = f"more than {self._most_bytes} bytes"
        else:
            what = tag.excess() if tag.over else ""
        if what:
            self._skipped = self._forgo(tag, what)
            self._skipped.size = before + tag.length
            self._tag = None
            self._skip = Skip(tag, len(self._open_tags))

    def _pass_over(self, skip: Skip, data: bytes) -> bytes:
        """The rest of a stanza; gives what is behind it."""
        rest = skip.feed(data)
        stanza = self._skipped
        stanza.size += len(data) - len(rest)
        if stanza.size > self._most_bytes * PATIENCE:
            raise too_big(f"more than {self._most_bytes} bytes")
        if skip.over:
            self._skip = None
            self._open_tags.clear()
            self._begin = -1
            self._unread = b""
            self._passed_over(stanza)
            self._begin_anew()
        return rest

    # The end, and a new beginning

    def close(self) -> None:
        """Nothing more will be read. Not to be called by who is called by it."""
        if not self._over:
            self._end()

    def _end(self) -> None:
        self._over = True
        self._open_tags.clear()
        # The handlers and the parser hold each other, and a crowd of strangers comes and goes faster than cycles are
        # looked for.
        self._expat = expat.ParserCreate()

    def _make_expat(self) -> expat.XMLParserType:
        made = expat.ParserCreate("UTF-8", SEPARATOR, self._names.table)
        made.buffer_text = True
        return made

    def _begin_anew(self) -> None:
        """Between two stanzas: forget all names but those of the header."""
        if self._tag is not None or self._begin >= 0:
            return
        self._names = Names()
        self._expat = self._make_expat()
        prefixes = "".join(
            f" xmlns{prefix and ':'}{prefix}='{escape_attribute(uri)}'" for prefix, uri in self._declared.items()
        )
        header = f"<{self._root}{prefixes}>".encode()
        self._expat.Parse(header, False)
        self._start_handling()
        self._expat.StartNamespaceDeclHandler = None
        self._expat.Parse(self._unread, False)
        self._fed = len(header) + len(self._unread)

    # What the parser does

    @abstractmethod
    def _start_handling(self) -> None:
        """Listen to expat."""

    @abstractmethod
    def _check_unfinished(self, unread: int) -> None:
        """Look at how much there is of what has begun, of which ``unread`` bytes are a tag without its end."""

    @abstractmethod
    def _forgo(self, tag: Tag, what: str) -> Stanza:
        """The stanza that is lost because expat must not have this tag; raises StreamError if nothing else may be."""

    @abstractmethod
    def _passed_over(self, stanza: Stanza) -> None:
        """Such a stanza is at its end."""
