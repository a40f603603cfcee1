# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stream errors of the parser."""

from __future__ import annotations

from collections.abc import Callable
from xml.parsers import expat

from ..stream.errors import StreamError

_ERRORS = {
    expat.errors.codes[expat.errors.XML_ERROR_UNDEFINED_ENTITY]: "restricted-xml",
    expat.errors.codes[expat.errors.XML_ERROR_UNKNOWN_ENCODING]: "unsupported-encoding",
    expat.errors.codes[expat.errors.XML_ERROR_INCORRECT_ENCODING]: "unsupported-encoding",
}


def translate(error: expat.ExpatError) -> StreamError:
    condition = _ERRORS.get(error.code, "not-well-formed")
    return StreamError(condition, f"{expat.ErrorString(error.code)} (line {error.lineno}, column {error.offset})")


def too_big(what: str) -> StreamError:
    return StreamError("policy-violation", f"{what} in one stanza, or in the header", "stanza-too-big")


def refuse(what: str) -> Callable[..., None]:
    def handler(*_args: object) -> None:
        raise StreamError("restricted-xml", f"{what} is not allowed in a stream")

    return handler
