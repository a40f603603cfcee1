# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tags that are too long for expat, looked at byte by byte instead, and each byte once.

expat begins an unfinished token anew with every piece of it (CVE-2023-52425; only newer ones than Debian's put that
off), so a long one is kept back until its end has come. And expat writes the whole namespace in front of every
attribute, so that a tag of 64 KiB may take gigabytes; whether it will, is seen before.
"""

from __future__ import annotations

import html
import re

from ..stream.errors import StreamError

KEPT = 512
"""An unfinished token longer than this is kept back."""
PIECE = 4_096
"""The most that expat gets at once. A tag longer than both together is always kept back once, wherever pieces end."""
_LONG = PIECE + KEPT
_MOST_ATTRIBUTES = 256
_LONGEST_NAMESPACE = 1_024

# Outside of quotes and within them. A < is an error in both, and behind quotes there are not many bytes that are none;
# whoever waited for the end of such a tag would wait long.
_BORDERS = {b"": re.compile(rb"[<>'\"]"), b"'": re.compile(rb"[<']"), b'"': re.compile(rb'[<"]')}
_BEHIND_QUOTES = b" \t\r\n/>"
# Names begin behind white space only, or a long run of letters would be searched from each of them.
_ATTRIBUTE = re.compile(rb"(?<=\s)([^\s=<>/'\"]+)\s*=\s*(?:'[^']*'|\"[^\"]*\")")
_ADDRESSES = re.compile(r"(?<=\s)([^\s=<>/'\"]+)\s*=\s*('[^']*'|\"[^\"]*\")")
_NAME = re.compile(r"<([^\s/>]+)")
_ANSWERABLE = ("from", "to", "id", "type")
_CDATA = b"<![CDATA["


class Tag:
    """A tag, or a reference to a character, of which expat has the beginning."""

    def __init__(self, begin: bytes) -> None:
        if begin[:2] in (b"<!", b"<?"):
            what = "a comment, a processing instruction or a document type declaration"
            raise StreamError("restricted-xml", f"{what} is not allowed in a stream")
        self._reference = begin[:1] == b"&"
        self._quote = b""
        self._closed = False
        """A value has just ended."""
        self._pieces = [begin]
        self._last = begin[-2:]
        self.length = len(begin)
        self.over = self._end(begin, 1) >= 0
        """Its end has come, or a byte that makes it none; expat will tell."""

    def feed(self, data: bytes) -> bytes:
        """What of the data is behind the tag's end."""
        end = self._end(data, 0)
        self.over = end >= 0
        mine = data[:end] if self.over else data
        self._pieces.append(mine)
        self._last = (self._last + mine)[-2:]
        self.length += len(mine)
        return data[end:] if self.over else b""

    def _end(self, data: bytes, at: int) -> int:
        """Where it ends in this data, -1 if further on."""
        if self._reference:
            return data.find(b";") + 1 or -1
        while at < len(data):
            if self._closed and data[at] not in _BEHIND_QUOTES:
                return at + 1
            self._closed = False
            found = _BORDERS[self._quote].search(data, at)
            if found is None:
                return -1
            at = found.end()
            border = found[0]
            if border in b"<>":
                return at
            self._closed = bool(self._quote)
            self._quote = b"" if self._quote else border
        return -1

    @property
    def levels(self) -> int:
        """By how many levels it leads deeper."""
        return -1 if self._pieces[0][:2] == b"</" else 0 if self._last == b"/>" else 1

    @property
    def broken(self) -> bool:
        """It is no tag, and never was."""
        return self.over and self._last[-1:] != b">"

    def rest(self) -> bytes:
        """What expat does not have."""
        return b"".join(self._pieces[1:])

    def forget(self) -> None:
        """Its text is not needed any more."""
        del self._pieces[1:]

    def excess(self) -> str:
        """Why expat must not have the rest, '' if it may."""
        if self.length <= _LONG:
            return ""
        for number, found in enumerate(_ATTRIBUTE.finditer(b"".join(self._pieces))):
            if number >= _MOST_ATTRIBUTES:
                return f"more than {_MOST_ATTRIBUTES} attributes in one tag"
            if found[1].startswith(b"xmlns") and len(found[0]) > _LONGEST_NAMESPACE:
                return f"more than {_LONGEST_NAMESPACE} bytes in one namespace"
        return ""

    def addressing(self) -> tuple[str, dict[str, str]]:
        """Its name, and the attributes by which a stanza can be answered."""
        text = b"".join(self._pieces).decode(errors="replace")
        found = _NAME.match(text)
        attrs = {
            name: html.unescape(value[1:-1])
            for name, value in _ADDRESSES.findall(text)
            if len(value) <= _LONG and name in _ANSWERABLE
        }
        return found[1] if found else "", attrs


class Skip:
    """Passes over the rest of a stanza that expat is not to read, beginning within a tag of it."""

    def __init__(self, tag: Tag, depth: int) -> None:
        self._tag: Tag | None = tag
        self._depth = depth
        self._held = b""
        self._in_cdata = False
        self.over = False
        """The stanza's end has come."""
        self._leave(tag)

    def feed(self, data: bytes) -> bytes:
        """What of the data is behind the stanza's end."""
        data, self._held = self._held + data, b""
        while data and not self.over:
            if self._tag is not None:
                data = self._within(self._tag, data)
            elif self._in_cdata:
                text, end, data = data.partition(b"]]>")
                self._in_cdata = not end
                self._held = b"" if end else text[-2:]
            else:
                data = self._between(data)
        return data

    def _within(self, tag: Tag, data: bytes) -> bytes:
        rest = tag.feed(data)
        self._leave(tag)
        return rest

    def _leave(self, tag: Tag) -> None:
        tag.forget()
        if tag.broken:
            raise StreamError("not-well-formed", "a tag that is none, in a stanza that is passed over")
        if tag.over:
            self._tag = None
            self._depth += tag.levels
            self.over = self._depth <= 0

    def _between(self, data: bytes) -> bytes:
        begin = data.find(b"<")
        if begin < 0:
            return b""
        data = data[begin:]
        if data.startswith(_CDATA):
            self._in_cdata = True
            return data[len(_CDATA) :]
        if _CDATA.startswith(data):
            self._held = data
            return b""
        self._tag = Tag(data[:2])
        return data[2:]
