# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which domains a certificate names: dNSName, SRVName and xmppAddr (RFC 6120, 13.7.1; RFC 9525), and nothing else.

A name matches whole and as it stands: with a NUL, a space or a dot at its end it is not the domain. A wildcard is one
whole left-most label of a dNSName and stands for one label; directly below a top-level domain it stands for nothing.
A common name proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from cryptography import x509

_SRV_NAME = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.7")
_XMPP_ADDR = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.5")
_SERVICE = "_xmpp-server."
_IA5_STRING, _UTF8_STRING = 0x16, 0x0C
_SHOWN = 3
_SHOWN_CHARACTERS = 80
_FEWEST_LABELS = 2  # behind a wildcard


def names(certificate: x509.Certificate, ascii_domain: str, unicode_domain: str) -> bool:
    """Whether the certificate names the domain, in whichever of the three ways."""
    others = {_SRV_NAME: (_IA5_STRING, {_SERVICE + ascii_domain})}
    others[_XMPP_ADDR] = (_UTF8_STRING, {ascii_domain, unicode_domain})
    for name in _alternatives(certificate):
        if isinstance(name, x509.DNSName):
            if _covers(name.value.lower(), ascii_domain):
                return True
        elif isinstance(name, x509.OtherName) and name.type_id in others:
            tag, wanted = others[name.type_id]
            text = _text(name.value, tag)
            if text is not None and text.lower() in wanted:
                return True
    return False


def outside_constraints(authorities: Iterable[x509.Certificate], ascii_domain: str) -> bool:
    """Whether one of the CAs may not speak for the domain.

    The verifier holds dNSNames against name constraints. That an SRVName or an xmppAddr is no way round them is said
    here: what counts is the domain, however it is written.
    """
    return any(_outside(each, ascii_domain) for each in authorities)


def described(certificate: x509.Certificate) -> str:
    """What it names, for a text: hostile input, so bounded and printable."""
    shown: list[str] = []
    more = 0
    for name in _alternatives(certificate):
        text = _shown(name)
        if text is None:
            continue
        if len(shown) < _SHOWN:
            shown.append(text)
        else:
            more += 1
    return ", ".join(shown) + (f" and {more} more" if more else "")


def printable(text: str, longest: int = _SHOWN_CHARACTERS) -> str:
    """Text of a peer as it may stand in a log or in XML."""
    cut = text[:longest]
    return "".join(char if char.isprintable() else "?" for char in cut) + ("..." if len(text) > longest else "")


def _alternatives(certificate: x509.Certificate) -> Iterator[x509.GeneralName]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return iter(())
    return iter(extension.value)


def _covers(pattern: str, domain: str) -> bool:
    if pattern == domain:
        return True
    head, dot, parent = pattern.partition(".")
    if head != "*" or not dot or parent.count(".") + 1 < _FEWEST_LABELS:
        return False
    return domain.partition(".")[2] == parent


def _shown(name: x509.GeneralName) -> str | None:
    if isinstance(name, x509.DNSName):
        return printable(name.value)
    if isinstance(name, x509.OtherName) and name.type_id in (_SRV_NAME, _XMPP_ADDR):
        text = _text(name.value, _IA5_STRING if name.type_id == _SRV_NAME else _UTF8_STRING)
        kind = "SRVName" if name.type_id == _SRV_NAME else "xmppAddr"
        return f"{kind} {printable(text)}" if text is not None else None
    return None


def _text(der: bytes, tag: int) -> str | None:
    """The content of one DER string that is nothing else."""
    if len(der) < 2 or der[0] != tag:
        return None
    length, start = der[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[2:start], "big")
    if len(der) != start + length:
        return None
    try:
        return der[start:].decode("ascii" if tag == _IA5_STRING else "utf-8")
    except UnicodeDecodeError:
        return None


def _outside(authority: x509.Certificate, domain: str) -> bool:
    try:
        constraints = authority.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return False
    permitted = _trees(constraints.permitted_subtrees or ())
    excluded = _trees(constraints.excluded_subtrees or ())
    if permitted and not any(_within(domain, tree) for tree in permitted):
        return True
    return any(_within(domain, tree) for tree in excluded)


def _trees(subtrees: Sequence[x509.GeneralName]) -> list[str]:
    """The domains that name constraints speak of; one for SRVName or xmppAddr alone means the same domains."""
    found: list[str] = []
    for each in subtrees:
        if isinstance(each, x509.DNSName):
            found.append(each.value.lower())
        elif isinstance(each, x509.OtherName) and each.type_id == _SRV_NAME:
            text = _text(each.value, _IA5_STRING) or ""
            found.append(text.lower().removeprefix(_SERVICE))
        elif isinstance(each, x509.OtherName) and each.type_id == _XMPP_ADDR:
            found.append((_text(each.value, _UTF8_STRING) or "").lower())
    return found


def _within(domain: str, tree: str) -> bool:
    tree = tree.lstrip(".")
    return not tree or domain == tree or domain.endswith("." + tree)
