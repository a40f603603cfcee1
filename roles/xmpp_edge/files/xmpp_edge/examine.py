# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stream to a partner tells about TLS, certificate and method, in words for an administrator."""

from __future__ import annotations

from .config import Partner
from .net.facts import Facts
from .net.route import Route

_METHODS = {
    "sasl_tls": "SASL EXTERNAL: our certificate proves us to the partner, and its certificate the partner to us",
    "tls_dialback": "dialback over TLS",
    "tcp_dialback": "dialback without TLS",
}
# Refusals that are about proof, and not about how to get there.
_OF_PROOF = frozenset(("sasl_failed", "no_common_method", "no_certificate", "not_trusted"))
_OF_TLS = frozenset(("tls_failed", "tls_not_offered", "tls_demanded"))
_REMEDIES = {
    "unknown_ca": "if that CA is theirs, name it in ca_file of the partner, or the key in pins",
    "self_signed": "if it is theirs, put its key into pins of the partner",
    "wrong_ca": "ca_file of the partner names another CA: set it anew if theirs has changed",
    "pin_mismatch": "set pins of the partner anew if their key has changed, and ask them first",
    "name_mismatch": "they need a certificate that names their domain",
    "no_certificate": "they have to present one",
    "no_crl": "have the edge fetch it (edge_crl), or set check_crls to if_available",
    "crl_expired": "have the edge fetch it anew (edge_crl); if the CA has no newer one, ask the CA",
}
# The verdict is written for the partner; of what is at fault on this side, our administrator hears in other words.
_HERE = {
    "ca_file_unusable": "the trusted CAs cannot be read; repair it here: put the file where ca_file names it, readable"
    " for the group of the service, and reload",
}
_ASK = "their administrator has to repair that"


class Skip(Exception):
    """The step cannot tell."""


class Fault(Exception):
    """The step failed; the text is the diagnosis."""


def tls(partner: Partner, domain: str, route: Route) -> str:
    """Whether the stream is encrypted, how, and if not, why."""
    facts = _facts(domain, route)
    if facts.version:
        how = "from the first byte" if facts.direct else "after STARTTLS"
        return f"{facts.version} with {facts.cipher} {how}, at {facts.endpoint}."
    if partner.tls == "not_supported":
        raise Skip(f"Not tried, because the record of {partner.domain} says that it has no TLS (tls: not_supported).")
    if not route.up and (facts.handshake or facts.reason in _OF_TLS):
        raise Fault(route.why)
    if not route.up:
        raise Skip("It did not come to that: see the step stream.")
    return f"{domain} has no TLS that works, and its record leaves that open (tls: optional); the stream is plain."


def certificate(partner: Partner, domain: str, route: Route) -> str:
    """Whose certificate was shown, and whether it proves the partner."""
    facts = _facts(domain, route)
    if facts.trust is None:
        raise Skip("None was shown, because there is no TLS.")
    if facts.trust.trusted:
        how = "; its key is pinned" if facts.trust.reason == "pinned" else ""
        return f"It proves {domain}{how}. {facts.certificate}"
    reason = facts.trust.reason
    text = _HERE.get(reason) or f"{facts.trust.text or reason}; {_REMEDIES.get(reason, _ASK)}"
    found = f"It does not prove {domain}: {text}. {facts.certificate}"
    if "tls_dialback" in partner.auth_methods:
        return f"{found} The record lets dialback prove it instead."
    raise Fault(found)


def method(domain: str, route: Route) -> str:
    """By what we are proven, and what else the stream can do."""
    facts = _facts(domain, route)
    if facts.method:
        more = [text for has, text in ((facts.bidi, "both ways"), (facts.acks, "with acknowledgements")) if has]
        also = f" It goes {' and '.join(more)}." if more else ""
        return f"By {_METHODS.get(facts.method, facts.method)}.{also}"
    if facts.reason in _OF_PROOF:
        raise Fault(why(route))
    raise Skip("It did not come to that: see the step stream.")


def why(route: Route) -> str:
    """Why there is no stream; what the step certificate has told at length is not told again."""
    trust = route.facts.trust if route.facts is not None else None
    if trust is None or not trust.text:
        return route.why
    return route.why.replace(trust.text, "see the step certificate")


def _facts(domain: str, route: Route) -> Facts:
    if route.up and route.stream is None:
        raise Skip(f"{domain} has opened a stream to us that goes both ways; `xmpp-edge streams` tells more of it.")
    facts = route.facts
    if facts is None or not facts.connected:
        raise Skip("It did not come to a connection: see the step stream.")
    return facts
