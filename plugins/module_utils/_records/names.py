# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one canonical form of domains and addresses (RFC 6122, RFC 3490).

Domains are A-labels here (what DNS and TLS see); inside an address the domain is written in U-labels.
Two spellings that an XMPP server would take for the same account or host come out equal, so whoever
compares canonical names cannot be walked round.

PRIVATE to the collection and to the service that it installs.
"""

from __future__ import annotations

import re
import stringprep
from encodings import idna
from functools import lru_cache
from typing import Callable
from unicodedata import ucd_3_2_0

_CACHE = 16384
_PART_BYTES = 1023
_LABEL_CHARACTERS = 63
_DOTS = re.compile("[.\u3002\uff0e\uff61]")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\Z")
_PLAIN_DOMAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")
_PLAIN_LOCAL = re.compile(r"[a-z0-9!#$%()*+,.;=?\[\\\]^_`{|}~-]{1,1023}\Z")
_PLAIN_RESOURCE = re.compile(r"[ -~]{1,1023}\Z")
_NODE_FORBIDDEN = frozenset("\"&'/:<>@")

_COMMON_FORBIDDEN: tuple[Callable[[str], bool], ...] = (
    stringprep.in_table_c12,
    stringprep.in_table_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
    stringprep.in_table_c21,
)


def _check_direction(text: str) -> None:
    """RFC 3454, section 6: right-to-left text stands alone and is framed by right-to-left characters."""
    if not any(stringprep.in_table_d1(char) for char in text):
        return
    if any(stringprep.in_table_d2(char) for char in text):
        raise ValueError("it mixes left-to-right with right-to-left characters")
    if not (stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])):
        raise ValueError("right-to-left text must begin and end with a right-to-left character")


def _check_assigned(text: str) -> None:
    # A character younger than Unicode 3.2 has no agreed fold: two servers may disagree on whom it names.
    for char in text:
        if stringprep.in_table_a1(char):
            raise ValueError(f"the character U+{ord(char):04X} is not part of Unicode 3.2, which XMPP addresses use")


def _check_part(text: str, forbidden: tuple[Callable[[str], bool], ...]) -> str:
    if not text:
        raise ValueError("nothing is left of it in canonical form")
    for char in text:
        if any(table(char) for table in forbidden):
            raise ValueError(f"the character U+{ord(char):04X} is not allowed in it")
    _check_direction(text)
    if len(text.encode("utf-8")) > _PART_BYTES:
        raise ValueError(f"it is longer than {_PART_BYTES} bytes")
    return text


def _well_formed(text: str) -> None:
    # Lone surrogates can stand in a JSON string but in no XML or DNS message.
    try:
        encoded = text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("it holds half a surrogate pair") from None
    # The bound is for what is sent (RFC 6122, section 2.1), so it comes before the work that grows with the length.
    if len(encoded) > _PART_BYTES:
        raise ValueError(f"it is longer than {_PART_BYTES} bytes")


def _ascii_label(label: str) -> str:
    if not label:
        raise ValueError("it has an empty label (two dots in a row, or a dot in front)")
    if len(label) > _LABEL_CHARACTERS:
        raise ValueError(f"the label {label!r} is longer than {_LABEL_CHARACTERS} characters")
    try:
        if label.isascii():
            result = label.lower()
        else:
            _check_assigned(label)
            result = idna.ToASCII(label).decode("ascii").lower()
        if result.startswith("xn--"):
            # ToUnicode goes there and back, so that only the one true encoding of a name passes.
            _check_assigned(idna.ToUnicode(result))
    except UnicodeError:
        raise ValueError(f"the label {label!r} is not a valid international name (IDNA as in RFC 3490)") from None
    if len(result) > _LABEL_CHARACTERS:
        raise ValueError(f"the label {label!r} is longer than {_LABEL_CHARACTERS} characters")
    if not _LABEL.match(result):
        raise ValueError(f"the label {label!r} may hold letters, digits and inner hyphens only")
    return result


@lru_cache(maxsize=_CACHE)
def domain(text: str) -> str:
    """The domain in A-labels, lower case, without a trailing dot."""
    if not text:
        raise ValueError("a domain must not be empty")
    if len(text) <= 253 and _PLAIN_DOMAIN.match(text) and "xn--" not in text:
        result = text
    else:
        labels = _DOTS.split(text)
        if len(labels) > 1 and not labels[-1]:
            labels.pop()
        try:
            _well_formed(text)
            result = ".".join(_ascii_label(label) for label in labels)
        except ValueError as exc:
            raise ValueError(f"{text!r} is not a domain: {exc}") from None
    if len(result) > 253:
        raise ValueError(f"{text!r} is not a domain: it is longer than 253 characters")
    if result.rsplit(".", 1)[-1].isdigit():
        raise ValueError(f"{text!r} is not a domain: its last label is a number, as in an IP address")
    return result


@lru_cache(maxsize=_CACHE)
def unicode_domain(text: str) -> str:
    """The domain in U-labels, as it stands inside addresses."""
    plain = domain(text)
    if "xn--" not in plain:
        return plain
    return ".".join(idna.ToUnicode(label) for label in plain.split("."))


def _stable(prepare: Callable[[str], str], text: str) -> str:
    """A form is canonical only if preparing it again changes nothing; a few sequences never settle."""
    prepared = prepare(text)
    if prepare(prepared) != prepared:
        raise ValueError("it has no stable canonical form")
    return prepared


def _fold(char: str) -> str:
    """Table B.2. Python folds by its own, younger Unicode: what that leads to outside 3.2 the table does not have."""
    mapped = stringprep.map_table_b2(char)
    return char if any(stringprep.in_table_a1(one) for one in mapped) else mapped


def _nodeprep(text: str) -> str:
    mapped = "".join(_fold(char) for char in text if not stringprep.in_table_b1(char))
    return ucd_3_2_0.normalize("NFKC", mapped)


def _resourceprep(text: str) -> str:
    return ucd_3_2_0.normalize("NFKC", "".join(char for char in text if not stringprep.in_table_b1(char)))


@lru_cache(maxsize=_CACHE)
def localpart(text: str) -> str:
    """The part before the @ in canonical form (nodeprep)."""
    if _PLAIN_LOCAL.match(text):
        return text
    try:
        _well_formed(text)
        _check_assigned(text)
        return _check_part(
            _stable(_nodeprep, text), (stringprep.in_table_c11, *_COMMON_FORBIDDEN, _NODE_FORBIDDEN.__contains__)
        )
    except ValueError as exc:
        raise ValueError(f"{text!r} is not the local part of an address: {exc}") from None


@lru_cache(maxsize=_CACHE)
def resource(text: str) -> str:
    """The part after the / in canonical form (resourceprep).

    Characters younger than Unicode 3.2 (emoji, for one) pass: no gate looks at a resource.
    """
    if _PLAIN_RESOURCE.match(text):
        return text
    try:
        _well_formed(text)
        return _check_part(_stable(_resourceprep, text), _COMMON_FORBIDDEN)
    except ValueError as exc:
        raise ValueError(f"{text!r} is not a resource: {exc}") from None


@lru_cache(maxsize=_CACHE)
def bare_address(text: str) -> str:
    """A user's address, local part and domain, canonical; what follows a / is refused, not dropped."""
    if "/" in text:
        raise ValueError(f"{text!r} names one client of a user; leave out the / and what follows")
    local, separator, host = text.partition("@")
    if not (local and separator and host):
        raise ValueError(f"{text!r} is not an address; write user@domain")
    return f"{localpart(local)}@{unicode_domain(host)}"
