# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may stand before the stream header, and that nothing else of a document's beginning ever reaches expat.

A handler that refuses a document type declaration does not stop expat, which reads on to the end of the piece it has:
entities and all. So the declaration is seen here, before.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..stream.errors import StreamError

_MARK = b"\xef\xbb\xbf"
_UTF16 = (b"\xfe\xff", b"\xff\xfe", b"\x00<", b"<\x00")
_WHITE_SPACE = b" \t\r\n"


class Prolog:
    """Takes the first bytes of a stream, and gives them on as far as they are known to be harmless."""

    def __init__(self) -> None:
        self.over = False
        """The header has begun; from now on bytes need not come through here."""
        self._held = b""
        self._at_start = True
        self._searched = 0

    @property
    def held(self) -> int:
        """How many bytes are kept back."""
        return len(self._held)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Pieces for expat, each to be parsed before the next is asked for; raises StreamError."""
        self._held += data
        while not self.over and self._held:
            length = self._start() if self._at_start else self._length()
            if not length:
                return
            piece, self._held = self._held[:length], self._held[length:]
            self._searched = 0
            yield piece

    def _start(self) -> int:
        held = self._held
        # expat obeys a mark of UTF-16 whatever encoding it is told, so the first two bytes are seen together.
        if len(held) < 2:
            return 0
        if held.startswith(_UTF16):
            raise StreamError("unsupported-encoding", "streams are UTF-8")
        if held.startswith(_MARK):
            self._at_start = False
            return len(_MARK)
        if _MARK.startswith(held):
            return 0
        self._at_start = False
        return self._length()

    def _length(self) -> int:
        """How much of what is held may go on."""
        held = self._held
        blank = len(held) - len(held.lstrip(_WHITE_SPACE))
        if blank:
            return blank
        if held[:1] != b"<":
            raise StreamError("not-well-formed", "a stream begins with <stream:stream>")
        if held[1:2] == b"!":
            raise StreamError("restricted-xml", "a document type declaration or a comment is not allowed in a stream")
        if held[1:2] == b"?":
            # The XML declaration, else expat's handler for instructions refuses it; nothing behind it may come along.
            end = held.find(b"?>", max(self._searched - 1, 2))
            self._searched = len(held)
            return end + 2 if end >= 0 else 0
        self.over = len(held) > 1
        return len(held) if self.over else 0
