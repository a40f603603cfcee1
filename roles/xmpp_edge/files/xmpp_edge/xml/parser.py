# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one parser: bytes of a stream in, its parts out. The only code that touches expat.

Restricted XML (RFC 6120, section 11.1), strict UTF-8, bounds on every part. No tree is made of a stanza: its canonical
inner XML is written while expat reads it.
"""

from __future__ import annotations

import re

from ..stream.errors import StreamError
from . import namespaces
from .element import Element
from .escape import escape_text
from .events import Event, StreamEnd, StreamStart, TooBig
from .limits import Limits
from .reader import PATIENCE, Over, Reader
from .refusals import refuse, too_big
from .stanza import Stanza
from .tags import Tag
from .vocabulary import LANG, SEPARATOR, Vocabulary, attributes, plain_attributes

__all__ = ["Event", "Parser", "StreamEnd", "StreamStart", "TooBig"]

_VOCABULARY = Vocabulary()
_USUAL = frozenset(("from", "to", "type", "id", "xml:lang"))
_KINDS = ("message", "presence", "iq")
_WHITE_SPACE = " \t\r\n"
# A tree costs about twenty times its text, and nothing that we read as a tree is large.
_TREE_ELEMENTS = 64
# The attributes of a stanza, together. Addresses have at most 3071 bytes each, and nobody needs a longer id.
_ATTRIBUTES = 8_192
# Text that drips makes a string of every drop; so many are put together.
_DROPS = 8_192
_NAME = re.compile(rb"<([^\s/>]+)")


class _Sink(list[str]):
    """Takes the place of the output while a stanza is passed over."""

    def append(self, piece: str) -> None:
        """Forget it."""


class Parser(Reader):
    """Reads one stream. ``namespace`` is its content namespace; ``limits`` may be changed while it reads.

    A stanza beyond a limit is an error; a ``forgiving`` parser passes over it and tells of it.
    """

    def __init__(self, limits: Limits, namespace: str = namespaces.SERVER, forgiving: bool = False) -> None:
        super().__init__(limits)
        self._content = namespace
        self._forgiving = forgiving
        self._kinds = {f"{namespace}{SEPARATOR}{kind}": kind for kind in _KINDS}
        # The top-level child that is being read, a stanza or a tree.
        self._elements = 0
        self._tag_bytes = 0
        self._attrs: dict[str, str] = {}
        self._out: list[str] = []
        self._trees: list[Element] = []
        self._too_big = ""
        self._start_handling()

    # What is unfinished, and what is too much

    def _check_unfinished(self, unread: int) -> None:
        # Between the children of the stream only an unfinished tag counts, so that white space may go on for ever.
        size = self._fed - self._begin if self._begin >= 0 else unread
        if size > self._most_bytes:
            if not self._open_tags or size > self._most_bytes * PATIENCE:
                raise too_big(f"more than {self._most_bytes} bytes")
            self._give_up(f"more than {self._most_bytes} bytes")
        if len(self._out) > _DROPS:
            if sum(map(len, self._out)) > self._most_bytes:
                self._give_up(f"more than {self._most_bytes} bytes")
            else:
                self._out[:-1] = ["".join(self._out[:-1])]

    def _forgo(self, tag: Tag, what: str) -> Stanza:
        if self._open_tags:
            stanza = Stanza(self._kinds[self._open_tags[0][2]], self._attrs)
        else:
            name, attrs = tag.addressing()
            if name not in _KINDS or self._trees or not self._in_stream:
                raise too_big(what)
            stanza = Stanza(name, attrs)
        self._give_up(what)
        return stanza

    def _passed_over(self, stanza: Stanza) -> None:
        self._events.append(TooBig(stanza, self._too_big))
        self._too_big = ""
        self._out = []

    def _give_up(self, what: str) -> None:
        """The stanza that is being read is beyond a limit."""
        if not self._forgiving:
            raise too_big(what)
        if not self._too_big:
            self._too_big = what
            self._out = _Sink([""])

    def _end(self) -> None:
        super()._end()
        self._out.clear()
        self._trees.clear()

    # expat's side

    def _start_handling(self) -> None:
        parser = self._expat
        parser.XmlDeclHandler = self._declaration
        parser.StartNamespaceDeclHandler = self._declare
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._finish
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = refuse("a document type declaration")
        parser.EntityDeclHandler = refuse("an entity declaration")
        parser.CommentHandler = refuse("a comment")
        parser.ProcessingInstructionHandler = refuse("a processing instruction")

    def _declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding is not None and encoding.upper() != "UTF-8":
            raise StreamError("unsupported-encoding", f"streams are UTF-8, not {encoding}")

    def _declare(self, prefix: str | None, uri: str | None) -> None:
        self._declared[prefix or ""] = uri or ""

    # The three handlers that follow run many times a stanza: their shape is the speed of the edge.

    def _start(self, name: str, attrs: dict[str, str]) -> None:
        open_tags = self._open_tags
        if open_tags:
            self._elements += 1
            if self._elements > self._most_elements or len(open_tags) > self._deepest:
                self._give_up(f"more than {self._most_elements} elements or {self._deepest} levels")
            opening, frame = open_tags[-1][3][name]
            if attrs:
                opening += attributes(attrs)
                frame = (opening + ">", opening + "/>", frame[2], frame[3])
                self._tag_bytes += len(opening)
                if self._tag_bytes > self._most_bytes:
                    self._give_up(f"more than {self._most_bytes} bytes of tags")
            self._out.append(frame[0])
            open_tags.append(frame)
        elif self._begin < 0 and name in self._kinds:
            self._begin = self._expat.CurrentByteIndex
            self._elements = 1
            self._tag_bytes = 0
            if LANG in attrs:
                attrs["xml:lang"] = attrs.pop(LANG)
            self._attrs = attrs if _USUAL.issuperset(attrs) else plain_attributes(attrs)
            open_tags.append(("", "", name, _VOCABULARY.scope(self._content)))
        else:
            self._start_other(name, attrs)

    def _finish(self, name: str) -> None:
        open_tags = self._open_tags
        if not open_tags:
            self._finish_other()
            return
        tag, empty, closing, _inside = open_tags.pop()
        out = self._out
        if not open_tags:
            self._finish_stanza(name)
        elif out[-1] is tag:
            # Nothing came since it was opened. No text can be this very object, for text has no < in it.
            out[-1] = empty
        else:
            out.append(closing)

    def _text(self, text: str) -> None:
        if self._open_tags:
            self._out.append(escape_text(text))
        elif self._trees:
            self._trees[-1].content.append(text)
        elif text.strip(_WHITE_SPACE):
            raise StreamError("bad-format", "there is text between the stanzas")

    def _finish_stanza(self, name: str) -> None:
        kind = self._kinds[name]
        size = self._expat.CurrentByteIndex - self._begin
        self._begin = -1
        out = self._out
        payload = ""
        most = self._most_bytes
        if out:
            # expat stands before the closing tag, which is this long in its shortest form.
            size += len(kind) + 3
            # Prefixes may be short and namespaces long: look before all of it is put together.
            if len(out) < 64 or sum(map(len, out)) <= most:
                payload = "".join(out)
        if size > most or len(payload) > most or (out and not payload):
            self._give_up(f"more than {most} bytes")
        if size > _ATTRIBUTES and sum(map(len, self._attrs.values())) > _ATTRIBUTES:
            self._give_up(f"more than {_ATTRIBUTES} bytes of attributes")
        if self._too_big:
            self._passed_over(Stanza(kind, self._attrs, "", size))
            return
        out.clear()
        self._events.append(Stanza(kind, self._attrs, payload, size))

    # What is rarer

    def _start_other(self, name: str, attrs: dict[str, str]) -> None:
        if self._trees:
            self._grow(name, attrs)
            return
        if not self._in_stream:
            self._start_stream(name, attrs)
            return
        self._begin = self._expat.CurrentByteIndex
        self._elements = 0
        self._grow(name, attrs)

    def _start_stream(self, name: str, attrs: dict[str, str]) -> None:
        namespace, _unused, local = name.rpartition(SEPARATOR)
        declared = self._declared
        size = self._expat.CurrentByteIndex
        size += sum(len(key) + len(value) for table in (attrs, declared) for key, value in table.items())
        if size > self._most_bytes:
            raise too_big(f"more than {self._most_bytes} bytes")
        self._in_stream = True
        self._begin = -1
        self._root = self._written_name()
        self._expat.StartNamespaceDeclHandler = None
        self._events.append(StreamStart(local, namespace, plain_attributes(attrs), dict(declared)))

    def _written_name(self) -> str:
        """The name of the element that begins here, with its prefix, which expat has resolved."""
        found = _NAME.match(self._expat.GetInputContext() or b"")
        return found[1].decode() if found else "stream:stream"

    def _finish_other(self) -> None:
        if not self._trees:
            self._events.append(StreamEnd())
            raise Over
        tree = self._trees.pop()
        if self._trees:
            return
        # The closing tag is not counted: it is at most as long as what has been.
        if self._expat.CurrentByteIndex - self._begin > self._most_bytes:
            raise too_big(f"more than {self._most_bytes} bytes")
        self._begin = -1
        self._events.append(tree)

    def _grow(self, name: str, attrs: dict[str, str]) -> None:
        self._elements += 1
        if self._elements > min(_TREE_ELEMENTS, self._most_elements) or len(self._trees) > self._deepest:
            raise too_big(f"more than {_TREE_ELEMENTS} elements")
        namespace, _unused, local = name.rpartition(SEPARATOR)
        tree = Element(local, namespace, plain_attributes(attrs))
        if self._trees:
            self._trees[-1].content.append(tree)
        self._trees.append(tree)
