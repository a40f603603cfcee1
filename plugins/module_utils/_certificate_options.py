# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The user's certificates, checked and brought into canonical form; everything that is wrong is told at once.

PRIVATE to the collection.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Callable, Mapping, NamedTuple, Sequence

from ._certificate_facts import CURVES, DEFAULT_KEY_SIZE, SUBJECT, Generation, Request, domain_names
from ._module import labelled
from ._records import names
from ._records.errors import Problem, RecordError

STATES = ["requested", "imported", "assigned", "absent"]
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
    "digest": {"type": "str", "choices": ["sha256", "sha384", "sha512"]},
    "certificate": {"type": "str"},
    "chain": {"type": "str"},
    "issue": {"type": "str", "choices": ["none", "self_signed", "own_ca"]},
    "ca_cert": {"type": "str"},
    "ca_key": {"type": "str", "no_log": True},
    "ca_key_passphrase": {"type": "str", "no_log": True},
    "state": {"type": "str", "choices": STATES},
}
OPTIONS: dict[str, dict[str, Any]] = {
    **ENTRY,
    "certificates": {"type": "list", "elements": "dict", "options": ENTRY},
    "config_dir": {"type": "path", "default": "/etc/xmpp-edge"},
}
RULES: dict[str, Any] = {"mutually_exclusive": [[option, "certificates"] for option in ENTRY]}

LONGEST = {"state_or_province": 128, "city": 128, "organization": 64, "organizational_unit": 64, "common_name": 64}
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")
_ISSUE_OPTIONS = ("ca_cert", "ca_key", "ca_key_passphrase")


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
    certificate: str | None
    chain: str | None
    issue: str
    ca_cert: str | None
    ca_key: str | None
    ca_key_passphrase: str | None


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
    single = options["certificates"] is None
    problems: list[Problem] = []
    found: list[Wanted] = []
    for index, raw in enumerate([options] if single else options["certificates"]):
        check = _Checker("" if single else labelled(f"certificates[{index}]", raw["id"]))
        found.append(_entry(check, raw))
        problems.extend(check.problems)
    problems.extend(_repeats(found))
    if problems:
        raise RecordError(problems)
    return found


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
        certificate=raw["certificate"],
        chain=raw["chain"],
        issue=raw["issue"] or "none",
        ca_cert=raw["ca_cert"],
        ca_key=raw["ca_key"],
        ca_key_passphrase=raw["ca_key_passphrase"],
    )
    _sources(check, entry)
    _key(check, entry)
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
    for option in _ISSUE_OPTIONS:
        if getattr(entry, option) is not None and entry.issue != "own_ca":
            check.add(option, "it has no effect without a CA of our own", "set `issue: own_ca`, or leave it out")
    for option in ("ca_cert", "ca_key"):
        if getattr(entry, option) is None and entry.issue == "own_ca":
            check.add(option, "it is missing", "give the CA that is to sign, certificate and key")


def _key(check: _Checker, entry: Wanted) -> None:
    if entry.key_size is None:
        return
    if entry.key_type in CURVES:
        if entry.key_size != CURVES[entry.key_type]:
            check.add("key_size", f"{entry.key_type} has {CURVES[entry.key_type]} bits", "leave the option out")
    elif entry.key_size not in range(2048, 16385, 8):
        remedy = "give 2048, 3072 or 4096"
        check.add("key_size", f"{entry.key_size} bits are no size for an RSA key that anybody accepts", remedy)


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


def request(entry: Wanted, base: Generation | None) -> Request:
    """What the request is to say: the options; where they are silent, what the newest request says; then defaults."""
    subject, sip, xmpp, extra = _held(base)
    subject.update(entry.subject)
    sip = sip if entry.sip_domains is None else entry.sip_domains
    xmpp = xmpp if entry.xmpp_domains is None else entry.xmpp_domains
    extra = extra if entry.extra_sans is None else entry.extra_sans
    if not subject.get("common_name"):
        usable = [name for name in (*xmpp, *(f"sip.{name}" for name in sip), *_plain(extra)) if len(name) <= 64]
        if not usable:
            remedy = "give `common_name`, `xmpp_domains`, `sip_domains` or `extra_sans`"
            raise RecordError([Problem(entry.place, "common_name", "there is no name to certify", remedy)])
        subject["common_name"] = usable[0]
    key_type = entry.key_type or (base.key.type if base else "rsa")
    if key_type in CURVES and entry.key_size not in (None, CURVES[key_type]):
        raise RecordError([Problem(entry.place, "key_size", f"{key_type} has {CURVES[key_type]} bits", "leave it out")])
    same_type = base is not None and base.key.type == key_type
    default_size = base.key.size if base is not None and same_type else CURVES.get(key_type, DEFAULT_KEY_SIZE)
    held_digest = base.request.digest if base is not None and base.request else "sha256"
    return Request(
        key_type=key_type,
        key_size=entry.key_size or default_size,
        exportable=_first(entry.exportable, base.exportable if base else None, True),
        friendly_name=_first(entry.friendly_name, base.friendly_name if base else None, ""),
        digest=entry.digest or held_digest,
        subject=tuple((option, subject[option]) for option in SUBJECT if subject.get(option)),
        names=alternative_names(subject["common_name"], sip, xmpp, extra),
    )


def _first(*values: Any) -> Any:
    return next(value for value in values if value is not None)


def _plain(extra: Sequence[str]) -> list[str]:
    return [name[4:] for name in extra if name.startswith("DNS:") and "*" not in name]


def alternative_names(
    common_name: str, sip: Sequence[str], xmpp: Sequence[str], extra: Sequence[str]
) -> tuple[str, ...]:  # fmt: skip
    """The common name always stands among the alternative names too, because TLS looks only there."""
    found = {f"DNS:{common_name}", *extra, *(f"DNS:sip.{domain}" for domain in sip)}
    for domain in xmpp:
        found.update((f"DNS:{domain}", f"SRVName:_xmpp-server.{domain}", f"xmppAddr:{domain}"))
    return tuple(sorted(found))


def _held(base: Generation | None) -> tuple[dict[str, str], Sequence[str], Sequence[str], Sequence[str]]:
    """Subject, SIP domains, XMPP domains and further names that the newest request has."""
    held = (base.request or base.certificate) if base else None
    if held is None:
        return {}, (), (), ()
    subject = dict(held.subject)
    kinds = domain_names(held.names)
    xmpp = kinds["xmppAddr"]
    rest = [name for name in kinds["DNS"] if name not in xmpp]
    sip = [name[4:] for name in rest if name.startswith("sip.")]
    extra = [f"DNS:{name}" for name in rest if not name.startswith("sip.") and name != subject.get("common_name")]
    return subject, sip, xmpp, [*extra, *(f"IP:{address}" for address in kinds["IP"])]
