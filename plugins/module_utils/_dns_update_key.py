# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The TSIG key that signs queries and updates: from options, or from a key file in BIND's own syntax.

PRIVATE to the collection.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Mapping, NamedTuple

from ._records.errors import Problem, RecordError

LONGEST_NAME = 253
DEFAULT_ALGORITHM = "hmac-sha256"
ALGORITHMS = ("hmac-md5", "hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512")

_OPTIONS = ("key_name", "key_algorithm", "key_secret", "key_file")
VARIABLES = {option: f"XMPP_FEDERATION_DNS_{option.upper()}" for option in _OPTIONS}

_COMMENT = re.compile(r'("(?:[^"\\\n]|\\.)*")|/\*.*?\*/|(?://|#)[^\n]*', re.DOTALL)
_TOKEN = re.compile(r'"((?:[^"\\\n]|\\.)*)"|([{};])|([^\s{};"]+)')


class TsigKey(NamedTuple):
    name: str
    algorithm: str
    secret: bytes

    def __repr__(self) -> str:
        return f"TsigKey({self.name!r}, {self.algorithm!r})"


def _fail(key: str, message: str, remedy: str) -> RecordError:
    return RecordError([Problem("", key, message, remedy)])


class Clause(NamedTuple):
    """`key "name" { algorithm ...; secret "..."; };` as it stands in a file."""

    name: str
    algorithm: str
    secret: str

    def __repr__(self) -> str:
        return f"Clause({self.name!r})"

    def key(self) -> TsigKey:
        """Raises ValueError. What stands where may be mixed up, so nothing of it is shown."""
        if not self.algorithm or not self.secret:
            raise ValueError("the clause of the key lacks algorithm or secret")
        return TsigKey(_name(self.name), _algorithm(self.algorithm), _secret(self.secret))


def parse(text: str) -> dict[str, Clause]:
    """All clauses of keys of a BIND configuration, by name; the rest is passed over. Raises ValueError."""
    tokens = [quoted or sign or word for quoted, sign, word in _TOKEN.findall(_COMMENT.sub(r"\1 ", text))]
    found: dict[str, Clause] = {}
    position = 0
    while position < len(tokens):
        if tokens[position] == "key" and tokens[position + 2 : position + 3] == ["{"]:
            end = tokens.index("}", position) if "}" in tokens[position:] else len(tokens)
            clause = _clause(tokens[position + 1], tokens[position + 3 : end])
            if found.setdefault(_canonical(clause.name), clause) != clause:
                raise ValueError("it holds two different keys of one name")
            position = end
        position += 1
    return found


def _clause(name: str, tokens: list[str]) -> Clause:
    values: dict[str, str] = {}
    for first, second in zip(tokens, tokens[1:]):
        if first in ("algorithm", "secret"):
            values.setdefault(first, second)
    return Clause(name, values.get("algorithm", ""), values.get("secret", ""))


def _name(text: str) -> str:
    """As a name in DNS has to be: labels of 1 to 63 characters, 253 in all."""
    labels = text.rstrip(".").split(".")
    if not text.isascii() or len(text) > LONGEST_NAME or not all(1 <= len(label) <= 63 for label in labels):
        raise ValueError("this is no name that a key can have in DNS")
    return text


def _canonical(name: str) -> str:
    return name.rstrip(".").lower()


def _algorithm(text: str) -> str:
    """BIND also allows `hmac-md5.sig-alg.reg.int`, and truncated digests as `hmac-sha256-128`, which are refused."""
    name = _canonical(text).replace(".sig-alg.reg.int", "")
    if name not in ALGORITHMS:
        raise ValueError(f"the algorithm of the key is not one of {', '.join(ALGORITHMS)}")
    return name


def _secret(text: str) -> bytes:
    try:
        secret = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        # The text itself is a secret and stays out of the message.
        raise ValueError("the secret is not Base64 text") from None
    if not secret:
        raise ValueError("the secret is empty")
    return secret


def from_options(options: Mapping[str, Any], environment: Mapping[str, str]) -> TsigKey | None:
    """The key that the options mean, or the environment where they name none; None where neither does."""
    if options.get("key_file") and options.get("key_secret"):
        raise _fail("key_secret", "it is given beside key_file", "give one of the two")
    if not (options.get("key_file") or options.get("key_secret")):
        options = _from_environment(options, environment)
    if options.get("key_file"):
        return _from_file(options["key_file"], options.get("key_name"), options.get("key_algorithm"))
    name = options.get("key_name") or environment.get(VARIABLES["key_name"])
    if not options.get("key_secret"):
        if name:
            raise _fail("key_name", "the key has no secret", "give `key_file` or `key_secret` too")
        return None
    if not name:
        raise _fail("key_name", "the secret belongs to no key", "give the name by which the server knows the key")
    try:
        secret = _secret(options["key_secret"])
    except ValueError as exc:
        raise _fail("key_secret", str(exc), "give it as the key file has it, in Base64") from None
    try:
        algorithm = _algorithm(options.get("key_algorithm") or DEFAULT_ALGORITHM)
    except ValueError as exc:
        raise _fail("key_algorithm", str(exc), "use what the server has for this key") from None
    try:
        return TsigKey(_name(name), algorithm, secret)
    except ValueError as exc:
        raise _fail("key_name", str(exc), "give the name by which the server knows the key") from None


def _from_environment(options: Mapping[str, Any], environment: Mapping[str, str]) -> Mapping[str, Any]:
    """The same options, with what they leave open taken from variables that are set."""
    found = {option: environment.get(variable) for option, variable in VARIABLES.items()}
    return {**options, **{option: options.get(option) or text for option, text in found.items()}}


def _from_file(path: str, name: str | None, algorithm: str | None) -> TsigKey:
    try:
        with open(path, encoding="utf-8-sig") as stream:
            text = stream.read()
    except (OSError, UnicodeDecodeError) as exc:
        raise _fail(
            "key_file", f"{path} cannot be read: {exc}", "name a readable file on the host that sends the update"
        ) from None
    try:
        keys = parse(text)
    except ValueError as exc:
        raise _fail("key_file", f"{path}: {exc}", "make the file with tsig-keygen") from None
    if not keys:
        raise _fail("key_file", f"{path} holds no key clause", "make the file with tsig-keygen")
    if name is None and len(keys) > 1:
        raise _fail("key_name", f"{path} holds the keys {', '.join(sorted(keys))}", "say which one is meant")
    clause = keys.get(_canonical(name)) if name else next(iter(keys.values()))
    if clause is None:
        raise _fail(
            "key_name", f"{path} holds no key {name!r}, but {', '.join(sorted(keys))}", "correct one of the two"
        )
    try:
        key = clause.key()
    except ValueError as exc:
        raise _fail("key_file", f"{path}: {exc}", "make the file with tsig-keygen") from None
    if algorithm and algorithm != key.algorithm:
        raise _fail("key_algorithm", f"{path} says {key.algorithm} for this key", "leave the option out")
    return key
