# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a request is to say: the options, and where they are silent what there is.

PRIVATE to the collection.
"""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from ._certificate_facts import (
    CURVES,
    DEFAULT_KEY_SIZE,
    SUBJECT,
    About,
    Asked,
    Generation,
    Request,
    domain_names,
    xmpp_domains,
)
from ._certificate_options import Wanted
from ._records import names
from ._records.errors import Problem, RecordError


def request(entry: Wanted, base: Generation | None) -> Request:
    """What the request is to say: the options; where they are silent, what the newest request says; then defaults."""
    subject, sip, xmpp, extra = _held(base)
    subject.update(entry.subject)
    sip = sip if entry.sip_domains is None else entry.sip_domains
    xmpp = xmpp if entry.xmpp_domains is None else entry.xmpp_domains
    extra = extra if entry.extra_sans is None else entry.extra_sans
    named = _named(entry, base, subject)
    offered = {*xmpp, *(f"sip.{name}" for name in sip), *_plain(extra)}
    if not named and subject.get("common_name") not in offered:
        # It was the first of names that are not asked for any more.
        subject.pop("common_name", None)
    if not subject.get("common_name"):
        usable = [name for name in (*xmpp, *(f"sip.{name}" for name in sip), *_plain(extra)) if len(name) <= 64]
        if not usable:
            remedy = "give `common_name`, `xmpp_domains`, `sip_domains` or `extra_sans`"
            raise RecordError([Problem(entry.place, "common_name", "there is no name to certify", remedy)])
        subject["common_name"] = usable[0]
    if base is not None and entry.regenerate == "never":
        # The key stays as it is, whatever is asked for.
        entry = entry._replace(key_type=base.key.type, key_size=base.key.size, exportable=base.about.exportable)
    key_type = entry.key_type or (base.key.type if base else "rsa")
    if key_type in CURVES and entry.key_size not in (None, CURVES[key_type]):
        raise RecordError([Problem(entry.place, "key_size", f"{key_type} has {CURVES[key_type]} bits", "leave it out")])
    same_type = base is not None and base.key.type == key_type
    default_size = base.key.size if base is not None and same_type else CURVES.get(key_type, DEFAULT_KEY_SIZE)
    held_digest = base.request.digest if base is not None and base.request else "sha256"
    size = entry.key_size or default_size
    if key_type not in CURVES and size in CURVES.values():
        remedy = "give 2048, 3072 or 4096"
        raise RecordError([Problem(entry.place, "key_size", f"{size} bits are no size for an RSA key", remedy)])
    dns_only = _first(entry.dns_names_only, base is not None and base.about.dns_only is not None)
    return Request(
        key_type=key_type,
        key_size=size,
        digest=entry.digest or held_digest,
        subject=tuple((option, subject[option]) for option in SUBJECT if subject.get(option)),
        names=alternative_names(subject["common_name"], sip, xmpp, extra, dns_only),
        about=_about(entry, base)._replace(
            dns_only=tuple(xmpp) if dns_only else None, asked=Asked(named, tuple(sip), tuple(extra))
        ),
    )


def _named(entry: Wanted, base: Generation | None, subject: Mapping[str, str]) -> str:
    """The common name that somebody has asked for, now or before; empty where none was."""
    if "common_name" in entry.subject:
        return entry.subject["common_name"]
    if base is not None and base.about.asked is not None:
        return base.about.asked.common_name
    # Of an older request nobody knows; without any there is none.
    return subject.get("common_name", "")


def _about(entry: Wanted, base: Generation | None) -> About:
    held = base.about if base else About()
    return About(
        friendly_name=_first(entry.friendly_name, held.friendly_name),
        exportable=_first(entry.exportable, held.exportable),
        key_usage=held.key_usage if entry.key_usage is None else entry.key_usage,
        extended_key_usage=held.extended_key_usage if entry.extended_key_usage is None else entry.extended_key_usage,
    )


def is_domain(text: str) -> bool:
    try:
        return bool(names.domain(text))
    except ValueError:
        return False


def _first(*values: Any) -> Any:
    return next(value for value in values if value is not None)


def _plain(extra: Sequence[str]) -> list[str]:
    return [name[4:] for name in extra if name.startswith("DNS:") and "*" not in name]


def alternative_names(
    common_name: str, sip: Sequence[str], xmpp: Sequence[str], extra: Sequence[str], dns_only: bool = False
) -> tuple[str, ...]:
    """The common name always stands among the alternative names too, because TLS looks only there."""
    found = {f"DNS:{common_name}", *extra, *(f"DNS:sip.{domain}" for domain in sip)}
    for domain in xmpp:
        found.add(f"DNS:{domain}")
        if not dns_only:
            found.update((f"SRVName:_xmpp-server.{domain}", f"xmppAddr:{domain}"))
    return tuple(sorted(found))


def _held(base: Generation | None) -> tuple[dict[str, str], Sequence[str], Sequence[str], Sequence[str]]:
    """Subject, SIP domains, XMPP domains and further names that the newest request has."""
    held = (base.request or base.certificate) if base else None
    if base is None or held is None:
        return {}, (), (), ()
    subject = dict(held.subject)
    if base.request is None and not is_domain(subject.get("common_name", "")):
        # A certificate from elsewhere may have anything as its common name.
        subject.pop("common_name", None)
    kinds = domain_names(held.names)
    xmpp = xmpp_domains(held.names, base.about)
    if base.about.asked is not None:
        return subject, base.about.asked.sip_domains, xmpp, base.about.asked.extra_sans
    rest = [name for name in kinds["DNS"] if name not in xmpp]
    sip = [name[4:] for name in rest if name.startswith("sip.")]
    extra = [f"DNS:{name}" for name in rest if not name.startswith("sip.") and name != subject.get("common_name")]
    return subject, sip, xmpp, [*extra, *(f"IP:{address}" for address in kinds["IP"])]
