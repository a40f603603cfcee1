# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fields: what a record is made of, and the one routine that brings a raw record into its normal form.

PRIVATE to the collection and to the service that it installs.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from dataclasses import dataclass
from typing import Any, Callable, Dict, Mapping

from . import members, names
from .errors import Problem, RecordError

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True)
class Field:
    """One key of a record.

    ``kind`` is ``bool``, ``int``, ``list`` (of ``elements``), ``dict`` (of ``fields``) or one of the kinds of text in
    ``TEXT_KINDS``. A field with ``nullable`` may hold ``None``; an empty text and the number 0 then mean ``None`` too,
    because a caller who leaves an option out cannot say ``null``. A list without ``ordered`` is kept sorted.
    """

    kind: str
    default: Any = None
    choices: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    elements: str | None = None
    secret: bool = False
    required: bool = False
    nullable: bool = False
    ordered: bool = False
    fields: Mapping[str, Field] | None = None


Fields = Mapping[str, Field]


def _text(value: str) -> str:
    value = value.replace("\r\n", "\n")
    if _CONTROL.search(value):
        raise ValueError("it holds control characters")
    if len(value) > 1000:
        raise ValueError("it is longer than 1000 characters")
    return value


def _path(value: str) -> str:
    if not value.startswith("/") or _CONTROL.search(value):
        raise ValueError(f"{value!r} is not an absolute path")
    return value


def _ip(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError(f"{value!r} is not an IPv4 or IPv6 address") from None


def _host(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        return names.domain(value)


def resolver(value: str) -> tuple[str, int]:
    """Address and port of a resolver, from an address with an optional port; raises ValueError."""
    bracketed = re.match(r"\[([^\]]*)\](?::([0-9]{1,5}))?\Z", value)
    plain = re.match(r"([0-9.]+):([0-9]{1,5})\Z", value)
    match = bracketed or plain
    host, port = (match.group(1), int(match.group(2) or 53)) if match else (value, 53)
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise ValueError(f"{value!r} is not the address of a resolver") from None
    if not 1 <= port <= 65535:
        raise ValueError(f"{value!r} has a port outside 1 to 65535")
    return str(address), port


def _resolver(value: str) -> str:
    """Port 53 goes without saying."""
    address, port = resolver(value)
    if port == 53:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _pin(value: str) -> str:
    """64 digits, bare: openssl prints colons between them, other servers write the name of the hash in front."""
    digits = re.sub(r"\Asha256:", "", value.lower()).replace(":", "")
    if not re.match(r"[0-9a-f]{64}\Z", digits):
        raise ValueError(f"{value!r} is not the SHA-256 hash of a public key")
    return digits


def _secret(value: str) -> str:
    # Never shown: the message must not carry the value.
    if _CONTROL.search(value) or "\n" in value or "\t" in value:
        raise ValueError("the secret holds control characters")
    if len(value) > 1000:
        raise ValueError("the secret is longer than 1000 characters")
    return value


TEXT_KINDS: dict[str, Callable[[str], str]] = {
    "text": _text,
    "path": _path,
    "ip": _ip,
    "host": _host,
    "resolver": _resolver,
    "secret": _secret,
    "pin": _pin,
    "domain": names.domain,
    "address": names.bare_address,
    "member": members.member,
}


class _Invalid(Exception):
    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class Reader:
    """Reads one raw record by its fields and collects every problem on the way."""

    def __init__(self, where: str, problems: list[Problem]) -> None:
        self.where = where
        self.problems = problems
        self._wrong: set[str] = set()

    def report(self, key: str, message: str, remedy: str) -> None:
        self._wrong.add(key.partition("[")[0])
        self.problems.append(Problem(self.where, key, message, remedy))

    def fine(self, *keys: str) -> bool:
        """Whether these hold what was written, so that a rule about them can be asked."""
        return self._wrong.isdisjoint(keys)

    def record(self, fields: Fields, raw: Any, prefix: str = "") -> dict[str, Any]:
        if not isinstance(raw, Mapping):
            self.report(prefix.rstrip("."), "this is not a mapping of keys to values", "give its keys and values")
            raw = {}
        for key in raw:
            if key not in fields:
                self.report(f"{prefix}{key}", "there is no such key", similar(str(key), fields))
        return {name: self._field(field, f"{prefix}{name}", name, raw) for name, field in fields.items()}

    def _field(self, field: Field, path: str, name: str, raw: Mapping[str, Any]) -> Any:
        if field.kind == "dict":
            return self.record(field.fields or {}, raw.get(name, {}), f"{path}.")
        if name not in raw:
            if field.required:
                self.report(path, "this is missing", "every record needs it")
            return default(field)
        value = raw[name]
        if field.nullable and (value is None or value == "" or (value == 0 and value is not False)):
            return None
        if type(value) is type(field.default) and value == field.default and not field.required:
            # Most values are defaults, and those are in normal form.
            return value
        try:
            if field.kind == "list":
                return self._list(field, path, value)
            return _scalar(field, field.kind, value)
        except _Invalid as exc:
            self.report(path, exc.message, exc.remedy)
            return default(field)

    def _list(self, field: Field, path: str, value: Any) -> list[Any]:
        if not isinstance(value, (list, tuple)):
            raise _Invalid(f"{value!r} is not a list", "write a list, with [] for none")
        seen: dict[Any, int] = {}
        for index, entry in enumerate(value):
            try:
                normal = _scalar(field, field.elements or "text", entry)
            except _Invalid as exc:
                self.report(f"{path}[{index}]", exc.message, exc.remedy)
                continue
            if normal in seen:
                self.report(f"{path}[{index}]", f"{entry!r} is the same as entry {seen[normal]}", "keep one of the two")
            else:
                seen[normal] = index
        return list(seen) if field.ordered else sorted(seen)


Rules = Callable[[Reader, Dict[str, Any]], None]


def normal_form(
    fields: Fields, raw: Any, where: str, derive: Rules | None = None, rules: Rules | None = None
) -> dict[str, Any]:
    """The full record; RecordError with everything that is wrong.

    ``derive`` fills in what follows from other keys; ``rules`` judges what lies between keys, as far as they are fine.
    """
    problems: list[Problem] = []
    reader = Reader(where, problems)
    record = reader.record(fields, raw)
    if derive is not None:
        derive(reader, record)
    if rules is not None:
        rules(reader, record)
    if problems:
        raise RecordError(problems)
    return record


def default(field: Field) -> Any:
    """A fresh copy of the default value."""
    if field.kind == "dict":
        return {name: default(inner) for name, inner in (field.fields or {}).items()}
    return list(field.default) if isinstance(field.default, (list, tuple)) else field.default


def closest(key: str, fields: Mapping[str, Any]) -> str | None:
    """What a key that does not exist may have been meant to be."""
    return next(iter(difflib.get_close_matches(key, list(fields), n=1)), None)


def similar(key: str, fields: Mapping[str, Any]) -> str:
    """A hint for a key that does not exist."""
    close = closest(key, fields)
    return f"did you mean {close}?" if close else f"known keys are {', '.join(sorted(fields))}"


def _scalar(field: Field, kind: str, value: Any) -> Any:
    if kind == "bool":
        if isinstance(value, bool):
            return value
        raise _Invalid(f"{value!r} is not a truth value", "write true or false")
    if kind == "int":
        return _integer(field, value)
    if not isinstance(value, str) or not _encodable(value):
        raise _Invalid("this is not a text" if field.secret else f"{value!r} is not a text", "write it as a text")
    if field.choices:
        if value in field.choices:
            return value
        raise _Invalid(f"{value!r} is not possible here", f"choose one of {', '.join(field.choices)}")
    try:
        return TEXT_KINDS[kind](value)
    except ValueError as exc:
        raise _Invalid(str(exc), _REMEDIES.get(kind, "correct it")) from None


def _encodable(value: str) -> bool:
    """A lone surrogate can come in by a JSON escape, but cannot be written to a file."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


_REMEDIES = {
    "domain": "write a domain name such as partner.example",
    "host": "write a host name or an IP address",
    "address": "write an address such as alice@inside.example",
    "member": "write an address such as alice@branch.example, or with one star *@branch.example",
    "ip": "write an address such as 192.0.2.1 or 2001:db8::1",
    "path": "write a path that begins with /",
    "resolver": "write an address, address:port or [IPv6 address]:port",
    "secret": "give another",
    "pin": "write its 64 hexadecimal digits; docs/operations.md has the command that prints them",
}


def _integer(field: Field, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _Invalid(f"{value!r} is not a whole number", "write a whole number")
    if (field.minimum is not None and value < field.minimum) or (field.maximum is not None and value > field.maximum):
        raise _Invalid(f"{value} is out of range", f"choose a number from {field.minimum} to {field.maximum}")
    return value
