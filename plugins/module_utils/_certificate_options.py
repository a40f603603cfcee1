# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The user's certificates, checked and brought into canonical form; everything that is wrong is told at once.

PRIVATE to the collection.
"""

from __future__ import annotations

import ipaddress
import re
from datetime import datetime, timezone
from typing import Any, Callable, Iterable, Mapping, NamedTuple, Sequence

from ._certificate_facts import CURVES, EXTENDED_KEY_USAGES, KEY_USAGES, SERVER_AUTH, SUBJECT
from ._module import beside, given
from ._module_misfits import labelled
from ._records import names
from ._records.errors import Problem, RecordError

STATES = ["requested", "imported", "assigned", "absent"]
REGENERATE = ["never", "fail", "partial_idempotence", "full_idempotence", "always"]
# What an own CA and a self-signed certificate promise; public CAs give less.
ISSUED_DAYS = 365
# A hundred years.
LONGEST_DAYS = 36_500
ENTRY: dict[str, dict[str, Any]] = {
    "id": {"type": "str"},
    "usage": {"type": "str", "choices": ["external"]},
    "friendly_name": {"type": "str"},
    "key_type": {"type": "str", "choices": ["rsa", *CURVES], "no_log": False},
    "key_size": {"type": "int", "no_log": False},
    "exportable": {"type": "bool"},
    "common_name": {"type": "str"},
    "organization": {"type": "str"},
    "organizational_unit": {"type": "str"},
    "country": {"type": "str"},
    "state_or_province": {"type": "str"},
    "city": {"type": "str"},
    "sip_domains": {"type": "list", "elements": "str"},
    "xmpp_domains": {"type": "list", "elements": "str"},
    "extra_sans": {"type": "list", "elements": "str"},
    "dns_names_only": {"type": "bool"},
    "key_usage": {"type": "list", "elements": "str", "no_log": False},
    "extended_key_usage": {"type": "list", "elements": "str", "no_log": False},
    "digest": {"type": "str", "choices": ["sha256", "sha384", "sha512"]},
    "certificate": {"type": "str"},
    "chain": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "issue": {"type": "str", "choices": ["none", "self_signed", "own_ca"]},
    "ca_cert": {"type": "str"},
    "ca_key": {"type": "str", "no_log": True},
    "ca_key_passphrase": {"type": "str", "no_log": True},
    "renew_before": {"type": "int"},
    "effective_date": {"type": "str"},
    "previous": {"type": "bool"},
    "regenerate": {"type": "str", "choices": REGENERATE},
    "state": {"type": "str", "choices": STATES},
}
OPTIONS: dict[str, dict[str, Any]] = {
    **ENTRY,
    "certificates": {"type": "list", "elements": "dict", "options": ENTRY},
    "config_dir": {"type": "path", "default": "/etc/xmpp-edge"},
}
LONGEST = {"state_or_province": 128, "city": 128, "organization": 64, "organizational_unit": 64, "common_name": 64}
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SIGNER_OPTIONS = ("ca_key", "ca_key_passphrase")
_OID = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+\Z")
# The names that OpenSSL prints, which community.crypto takes too.
_LONG_NAMES = {
    "tlswebserverauthentication": SERVER_AUTH,
    "tlswebclientauthentication": "clientAuth",
    "anyextendedkeyusage": "anyExtendedKeyUsage",
    "contentcommitment": "nonRepudiation",
    "certificatesign": "keyCertSign",
}


class Wanted(NamedTuple):
    """One certificate as the user wants it; None is what was left open."""

    place: str
    id: str
    usage: str
    state: str
    friendly_name: str | None
    key_type: str | None
    key_size: int | None
    exportable: bool | None
    digest: str | None
    subject: Mapping[str, str]
    sip_domains: tuple[str, ...] | None
    xmpp_domains: tuple[str, ...] | None
    extra_sans: tuple[str, ...] | None
    dns_names_only: bool | None
    certificate: str | None
    chain: str | None
    password: str | None
    issue: str
    ca_cert: str | None
    ca_key: str | None
    ca_key_passphrase: str | None
    key_usage: tuple[str, ...] | None
    extended_key_usage: tuple[str, ...] | None
    renew_before: int | None
    effective: datetime | None
    at_once: bool
    previous: bool | None
    regenerate: str


class _Checker:
    def __init__(self, place: str) -> None:
        self.place = place
        self.problems: list[Problem] = []

    def add(self, key: str, message: str, remedy: str) -> None:
        self.problems.append(Problem(self.place, key, message, remedy))

    def each(self, key: str, values: Sequence[str] | None, parse: Callable[[str], str]) -> tuple[str, ...] | None:
        if values is None:
            return None
        found = []
        for value in values:
            try:
                found.append(parse(value))
            except ValueError as exc:
                self.add(key, str(exc), "correct it, or leave it out")
        return tuple(dict.fromkeys(found))


def wanted(options: Mapping[str, Any]) -> list[Wanted]:
    """Canonical entries, or RecordError with every problem of every entry and between entries."""
    found, problems = read(options)
    if problems:
        raise RecordError(problems)
    return found


def read(options: Mapping[str, Any]) -> tuple[list[Wanted], list[Problem]]:
    """Canonical entries as far as nothing is wrong with them, and every problem of the others and between entries."""
    single = options["certificates"] is None
    problems = [] if single else beside("certificates", given({name: options[name] for name in ENTRY}))
    found: list[Wanted] = []
    for index, raw in enumerate([options] if single else options["certificates"]):
        if raw is None:
            continue  # has been found not to fit
        check = _Checker("" if single else labelled(f"certificates[{index}]", raw["id"]))
        found.append(_entry(check, raw))
        problems.extend(check.problems)
    problems.extend(_repeats(found))
    wrong = {problem.where for problem in problems}
    return [entry for entry in found if entry.place not in wrong], problems


def _entry(check: _Checker, raw: Mapping[str, Any]) -> Wanted:
    usage = raw["usage"] or "external"
    entry = Wanted(
        place=check.place,
        id=_id(check, raw["id"] or usage),
        usage=usage,
        state=raw["state"] or "assigned",
        friendly_name=raw["friendly_name"],
        key_type=raw["key_type"],
        key_size=raw["key_size"],
        exportable=raw["exportable"],
        digest=raw["digest"],
        subject=_subject(check, raw),
        sip_domains=check.each("sip_domains", raw["sip_domains"], names.domain),
        xmpp_domains=check.each("xmpp_domains", raw["xmpp_domains"], names.domain),
        extra_sans=check.each("extra_sans", raw["extra_sans"], extra_san),
        dns_names_only=raw["dns_names_only"],
        certificate=raw["certificate"],
        chain=raw["chain"],
        password=raw["password"],
        issue=raw["issue"] or "none",
        ca_cert=raw["ca_cert"],
        ca_key=raw["ca_key"],
        ca_key_passphrase=raw["ca_key_passphrase"],
        key_usage=_usages(check, "key_usage", raw["key_usage"], _key_usage),
        extended_key_usage=_usages(check, "extended_key_usage", raw["extended_key_usage"], extended_usage),
        renew_before=raw["renew_before"],
        effective=_date(check, raw["effective_date"]),
        # Empty takes back a date that was set.
        at_once=raw["effective_date"] == "",
        previous=raw["previous"],
        regenerate=raw["regenerate"] or "partial_idempotence",
    )
    _sources(check, entry)
    _texts(check, entry)
    _key(check, entry)
    _times(check, entry)
    _previous(check, entry)
    return entry


def _id(check: _Checker, text: str) -> str:
    if not _ID.match(text):
        check.add("id", f"{text!r} cannot name a directory", "use letters, digits, - and _, at most 64 of them")
    return text


def _subject(check: _Checker, raw: Mapping[str, Any]) -> dict[str, str]:
    subject = {}
    for option in SUBJECT:
        value = raw[option]
        if value is None:
            continue
        if option == "common_name":
            value = (check.each(option, [value], names.domain) or ("",))[0]
        elif option == "country" and value:
            value = value.upper()
            if not re.match(r"[A-Z]{2}\Z", value):
                check.add(option, f"{raw[option]!r} is not a country code", "give two letters (ISO 3166), such as DE")
        if _CONTROL.search(value):
            check.add(option, "it holds control characters", "leave them out")
        if option in LONGEST and len(value) > LONGEST[option]:
            remedy = (
                "shorten it" if option != "common_name" else "give a shorter name here, and this one as `extra_sans`"
            )
            check.add(option, f"it is longer than {LONGEST[option]} characters", remedy)
        subject[option] = value
    return subject


def _sources(check: _Checker, entry: Wanted) -> None:
    """Where the certificate is to come from: a file, an own CA, or nowhere yet."""
    if entry.state in ("requested", "absent"):
        what = "a request" if entry.state == "requested" else "what is to be absent"
        for option in ("certificate", "chain"):
            if getattr(entry, option) is not None:
                check.add(option, f"{what} takes no certificate", "use the state `imported` or `assigned`")
        if entry.issue != "none":
            check.add("issue", f"{what} takes no certificate", "use the state `imported` or `assigned`")
    if entry.chain is not None and entry.certificate is None:
        check.add("chain", "there is no certificate that it belongs to", "give `certificate` too")
    if entry.issue != "none" and entry.certificate is not None:
        check.add("certificate", "it is issued here and imported at once", "give either `certificate` or `issue`")
    _companions(check, entry)


def _texts(check: _Checker, entry: Wanted) -> None:
    """Keys come by file: the text of an option is shown wherever Ansible shows what it was given."""
    for option in ("certificate", "chain", "ca_cert"):
        value = getattr(entry, option)
        if value == "":
            check.add(option, "it is empty", "give a file or a text, or leave it out")
        elif value is not None and "PRIVATE KEY-----" in value:
            check.add(option, "it holds a private key, which everybody would get to see", "give the name of a file")


def _companions(check: _Checker, entry: Wanted) -> None:
    """What only says something beside another option."""
    if entry.password is not None and entry.certificate is None:
        check.add("password", "there is no PFX that it opens", "give `certificate` too")
    for option in _SIGNER_OPTIONS:
        if getattr(entry, option) is not None and entry.issue != "own_ca":
            check.add(option, "it has no effect without a CA of our own", "set `issue: own_ca`, or leave it out")
    if entry.ca_cert is not None and entry.issue != "own_ca" and entry.certificate is None:
        remedy = "set `issue: own_ca`, give `certificate`, or leave it out"
        check.add("ca_cert", "it has no effect without a certificate to check or to issue", remedy)
    for option in ("ca_cert", "ca_key"):
        if getattr(entry, option) is None and entry.issue == "own_ca":
            check.add(option, "it is missing", "give the CA that is to sign, certificate and key")


def _key(check: _Checker, entry: Wanted) -> None:
    if entry.key_size is None:
        return
    if entry.key_type in CURVES:
        if entry.key_size != CURVES[entry.key_type]:
            check.add("key_size", f"{entry.key_type} has {CURVES[entry.key_type]} bits", "leave the option out")
    elif entry.key_type is None and entry.key_size in CURVES.values():
        return  # fits a key in hand or not, which shows when that is looked at
    elif entry.key_size not in range(2048, 16385, 8):
        remedy = "give 2048, 3072 or 4096"
        check.add("key_size", f"{entry.key_size} bits are no size for an RSA key that anybody accepts", remedy)


def _times(check: _Checker, entry: Wanted) -> None:
    if entry.renew_before is not None:
        if not 0 <= entry.renew_before <= LONGEST_DAYS:
            check.add("renew_before", f"{entry.renew_before} is out of range", "give a number of days, such as 30")
        elif entry.issue != "none" and entry.renew_before >= ISSUED_DAYS:
            message = f"a certificate that is issued here lasts {ISSUED_DAYS} days, so every run would issue another"
            check.add("renew_before", message, "give fewer days, such as 30")
        if entry.state == "absent":
            check.add("renew_before", "what is to be absent is not renewed", "leave it out")
    if (entry.effective or entry.at_once) and entry.state != "assigned":
        message = f"nothing is put to use with the state `{entry.state}`"
        check.add("effective_date", message, "use the state `assigned`, or leave it out")


def _previous(check: _Checker, entry: Wanted) -> None:
    if entry.previous is None:
        return
    if entry.state != "assigned":
        check.add("previous", f"the state `{entry.state}` puts nothing to use", "use the state `assigned`")
    if not entry.previous:
        return
    for option, is_given in (
        ("certificate", entry.certificate is not None),
        ("issue", entry.issue != "none"),
        ("effective_date", entry.effective is not None),
        ("renew_before", entry.renew_before is not None),
    ):
        if is_given:
            check.add(option, "`previous` goes back to what is in hand", "leave one of the two out")


def _usages(
    check: _Checker, option: str, values: Sequence[str] | None, parse: Callable[[str], str]
) -> tuple[str, ...] | None:
    found = check.each(option, values, parse)
    if found is None:
        return None
    if option == "extended_key_usage" and found and not {SERVER_AUTH, "anyExtendedKeyUsage"}.intersection(found):
        check.add(option, "without serverAuth no partner accepts the certificate", "add serverAuth")
    if option == "key_usage" and {"encipherOnly", "decipherOnly"}.intersection(found) and "keyAgreement" not in found:
        check.add(option, "encipherOnly and decipherOnly say nothing without keyAgreement", "add keyAgreement")
    return tuple(sorted(found, key=_place))


def _place(usage: str) -> tuple[int, str]:
    order = [*KEY_USAGES, *EXTENDED_KEY_USAGES]
    return (order.index(usage) if usage in order else len(order), usage)


def _known(text: str, known: Iterable[str]) -> str | None:
    short = text.replace(" ", "").replace("_", "").lower()
    short = _LONG_NAMES.get(short, short)
    return next((name for name in known if name.lower() == short.lower()), None)


def _key_usage(text: str) -> str:
    found = _known(text, KEY_USAGES)
    if found is None:
        raise ValueError(f"{text!r} is not a key usage; there are {', '.join(KEY_USAGES)}")
    return found


def extended_usage(text: str) -> str:
    """A name or an OID; an OID that has a name becomes it."""
    named = {oid: name for name, oid in EXTENDED_KEY_USAGES.items()}
    found = _known(text, EXTENDED_KEY_USAGES) or named.get(text) or (text if _OID.match(text) else None)
    if found is None:
        names_known = ", ".join(EXTENDED_KEY_USAGES)
        raise ValueError(f"{text!r} is not an extended key usage; give an OID or one of {names_known}")
    return found


def _date(check: _Checker, text: str | None) -> datetime | None:
    """A day, or a moment; without a zone it is in UTC."""
    if not text:
        return None
    # Python before 3.11 does not know the letter.
    plain = text[:-1] + "+00:00" if text.endswith(("Z", "z")) else text
    try:
        found = datetime.fromisoformat(plain)
        found = found if found.tzinfo else found.replace(tzinfo=timezone.utc)
        return found.astimezone(timezone.utc).replace(microsecond=0)
    except (ValueError, OverflowError):
        check.add("effective_date", f"{text!r} is not a date", "give it as 2026-12-01 or 2026-12-01T03:00:00Z")
        return None


def extra_san(text: str) -> str:
    """An address or a name, in the form that facts have; a name may begin with `*.`."""
    try:
        return f"IP:{ipaddress.ip_address(text)}"
    except ValueError:
        pass
    if text.startswith("*."):
        return f"DNS:*.{names.domain(text[2:])}"
    return f"DNS:{names.domain(text)}"


def _repeats(found: Sequence[Wanted]) -> list[Problem]:
    problems = []
    ids: dict[str, Wanted] = {}
    usages: dict[str, Wanted] = {}
    for entry in found:
        first = ids.setdefault(entry.id, entry)
        if first is not entry:
            message = f"{first.place} has the same id, {entry.id}"
            problems.append(Problem(entry.place, "id", message, "give each certificate an id of its own"))
        if entry.state == "assigned":
            first = usages.setdefault(entry.usage, entry)
            if first is not entry:
                message = f"{first.place} is assigned to {entry.usage} already"
                problems.append(Problem(entry.place, "usage", message, "assign one of the two"))
    return problems
