# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What comes from outside: the certificates that the user gives, and the CA that is to sign.

PRIVATE to the collection.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Sequence

from . import _certificate_bundle as bundle
from . import _certificate_crypto as crypto
from ._certificate_facts import KeyFacts
from ._certificate_files import REQUEST, Files
from ._certificate_options import ISSUED_DAYS, Wanted
from ._certificate_steps import Authority, Current, Given
from ._records.errors import Problem, RecordError


class LibraryMissingError(Exception):
    """Only the library could tell; a host that is still to get it is not to be blamed."""


class Taken(NamedTuple):
    """The certificates from the options, ours first, and a key that came along; or the file that is still awaited."""

    certificates: list[Any]
    key: Any
    facts: Given | None
    missing_file: str | None


def given(files: Files, entry: Wanted, current: Current, now: datetime) -> Taken:
    if entry.certificate is None:
        return Taken([], None, None, None)
    keys = {generation.key.public for generation in current.generations.values() if generation.readable}
    found: list[Any] = []
    key: Any = None
    problems: list[Problem] = []
    unread: list[bundle.Source | None] = []
    for option in ("certificate", "chain", "ca_cert"):
        value = getattr(entry, option)
        if value is None:
            continue
        try:
            source = bundle.read(value)
            if source is None and option == "certificate":
                return Taken([], None, None, value)
            if not crypto.AVAILABLE:
                unread.append(source)
                continue
            held = bundle.load(source, entry.password if option == "certificate" else None)
        except ValueError as exc:
            remedy = "give PEM, DER, PKCS#7 or PFX as a file on the host, or PEM or PKCS#7 as text"
            problems.append(Problem(entry.place, option, _one_line(exc), remedy))
            continue
        if option == "certificate":
            key = held.key
        found.append(held.certificates)
    if problems:
        raise RecordError(problems)
    if unread and unread[0] is not None and b"-----BEGIN" not in unread[0].content:
        raise LibraryMissingError(f"{entry.certificate}: it may hold a key, and cannot be read without `cryptography`")
    return _ours(files, entry, keys, found, key, now)


def _one_line(exc: ValueError) -> str:
    return str(exc).partition("\n")[0]


def _ours(
    files: Files, entry: Wanted, keys: set[str], found: Sequence[Sequence[Any]], key: Any, now: datetime
) -> Taken:  # fmt: skip
    roots = found[-1] if entry.ca_cert is not None else []
    certificates = [item for part in (found[:-1] if entry.ca_cert is not None else found) for item in part]
    brought: KeyFacts | None = None
    if key is not None:
        brought = crypto.key_facts(key)
        keys = {*keys, brought.public}
    if not keys:
        raise _not_ours(files, entry, "has no key yet that it could belong to", "make the request first")
    ours = [item for item in certificates if crypto.certificate_digest(item) in keys]
    if not ours:
        raise _not_ours(files, entry, "has no key that it belongs to", "leave this certificate out")
    # One file may hold the certificate that is in use and its successor.
    first = max(ours, key=crypto.until)
    try:
        chain = bundle.chain(first, [item for item in certificates if item not in ours], roots, bundle.host_store)
    except ValueError as exc:
        raise RecordError([Problem(entry.place, "chain", str(exc), "leave out what does not belong there")]) from None
    flaws = [("chain", flaw, "give the certificates of the CA that signed it") for flaw in chain.flaws]
    for item in chain.certificates:
        if crypto.until(item) < now:
            name = item.subject.rfc4514_string()
            flaws.append(("chain", f"the CA certificate of {name} has expired", "get the current one from the CA"))
    if chain.open_at is not None:
        message = f"its chain does not end: nobody has a certificate of {chain.open_at}"
        remedy = "give what is missing as `chain`, or the root of a private CA as `ca_cert`"
        flaws.append(("chain", message, remedy))
    # A key that is here already needs no second home.
    fingerprints = tuple(crypto.fingerprint(item) for item in chain.certificates)
    facts = Given(crypto.certificate_facts(first), fingerprints, tuple(flaws), brought)
    return Taken([first, *chain.certificates], key, facts, None)


def _not_ours(files: Files, entry: Wanted, message: str, remedy: str) -> RecordError:
    request = os.path.join(files.certificates, entry.id, REQUEST)
    return RecordError(
        [Problem(entry.place, "certificate", f"{entry.id} {message}", f"{remedy}, and have {request} signed")]
    )


def signer(entry: Wanted, now: datetime, check_mode: bool) -> tuple[crypto.Authority | None, list[Any]]:
    """Our own CA, and what of its chain has to be sent along: all but roots, which whoever trusts them has."""
    if entry.issue != "own_ca":
        return None, []
    # In check mode an earlier task may be about to bring them, and later ones may take the key away again.
    needed = [option for option in ("ca_cert", "ca_key") if not check_mode or _is_there(getattr(entry, option))]
    if "ca_cert" not in needed:
        return None, []
    certificates: list[Any] = []
    key: Any = None
    problems = []
    for option, remedy in (("ca_cert", "give the CA's certificate in PEM"), ("ca_key", "give the CA's key in PEM")):
        if option not in needed:
            continue
        try:
            text = _text(getattr(entry, option))
            if not crypto.AVAILABLE:
                continue
            if option == "ca_cert":
                certificates = crypto.load_certificates(text)
            else:
                key = crypto.load_key(text.encode(), entry.ca_key_passphrase)
                crypto.key_facts(key)
        except ValueError as exc:
            problems.append(Problem(entry.place, option, str(exc), remedy))
    if problems:
        raise RecordError(problems)
    if not crypto.AVAILABLE:
        return None, []
    found = crypto.Authority(certificates[0], key)
    wrong = crypto.authority_problem(found, now) if key is not None else None
    if wrong:
        raise RecordError([Problem(entry.place, "ca_cert", wrong, "give a CA certificate and its own key")])
    return found, [item for item in certificates if not crypto.signed_by(item, item)]


def _is_there(value: str | None) -> bool:
    return value is None or "-----BEGIN" in value or os.path.exists(os.path.expanduser(value))


def _text(value: str) -> str:
    """PEM text as it is, or that of a file."""
    if "-----BEGIN" in value:
        return value
    try:
        with open(os.path.expanduser(value), encoding="utf-8") as stream:
            return stream.read()
    except FileNotFoundError:
        raise ValueError("there is no such file") from None
    except (OSError, UnicodeDecodeError) as exc:
        raise ValueError(f"it cannot be read ({getattr(exc, 'strerror', None) or 'not a text'})") from None


def authority(
    files: Files,
    entry: Wanted,
    current: Current,
    signed_by: crypto.Authority | None,
    chain: Sequence[Any],
    now: datetime,
) -> Authority:
    """Which of the certificates in hand come from whom would issue now."""
    if entry.issue == "own_ca" and signed_by is None:
        # Nobody can tell yet; the run is going to be right about what is in hand.
        held = [generation for generation in current.generations.values() if generation.certificate]
        newest = max(held, key=lambda generation: generation.number, default=None)
        fingerprints = frozenset(one.certificate.fingerprint for one in held if one.certificate)
        return Authority("the CA", fingerprints, newest.chain if newest else (), now + timedelta(days=ISSUED_DAYS))
    issued = set()
    for number, generation in current.generations.items():
        certificate = files.certificate(entry.id, number) if generation.readable else None
        if certificate and crypto.signed_by(certificate, signed_by.certificate if signed_by else certificate):
            issued.add(crypto.fingerprint(certificate))
    if entry.issue == "self_signed":
        name = "itself"
    else:
        name = signed_by.certificate.subject.rfc4514_string() if signed_by else "the CA"
    until = crypto.until(signed_by.certificate) if signed_by else now + timedelta(days=ISSUED_DAYS)
    return Authority(name, frozenset(issued), tuple(crypto.fingerprint(item) for item in chain), until)
