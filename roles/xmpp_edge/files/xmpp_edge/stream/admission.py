# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gates 1 to 3 before a stream that a partner opens: who may be here at all, and by which method.

Everything here raises Refusal when a gate is shut, and costs no more than a look into tables; ``offer_secured`` and
``admit_external`` have a certificate judged.
"""

from __future__ import annotations

from typing import Protocol

from ..xml.element import Element
from . import external
from .actions import Pair
from .external import SaslFailure
from .features import EXTERNAL, Features
from .machine import Refusal
from .policy import PartnerView, StreamPolicy
from .security import Credentials, Tls, Trust
from .settings import Settings


class Stream(Protocol):
    """What a stream knows about itself."""

    policy: StreamPolicy
    credentials: Credentials
    tls: Tls | None
    local: str | None
    remote: str | None
    stream_id: str

    @property
    def pairs(self) -> dict[Pair, str]:
        """The proven pairs, each with its method."""


def admit(policy: StreamPolicy, local: str | None, remote: str | None) -> PartnerView | None:
    """Gates 1 and 2, as far as the names are known; the partner, None while the peer has not said who it is."""
    if not policy.federation:
        raise Refusal("federation_off", "policy-violation", "this server does not federate", local, remote)
    if local is not None and local not in policy.domains:
        raise Refusal("unknown_host", "host-unknown", f"{local} is not served here", local, remote)
    if remote is None:
        return None
    if remote in policy.domains:
        raise Refusal("own_domain", "policy-violation", f"{remote} is served here", local, remote)
    partner = policy.partner(remote)
    if partner is None:
        text = f"{remote} is not among the partners of this server"
        raise Refusal("not_a_partner", "policy-violation", text, local, remote)
    return partner


def admit_dialback(local: str, remote: str, stream: Stream) -> None:
    """Gates 1 to 3 for a dialback request on a stream like this."""
    partner = admit(stream.policy, local, remote)
    assert partner is not None
    methods = partner.auth_methods
    if dialback_method(stream.tls) in methods:
        return
    if stream.tls is None:
        raise demands_tls(local, remote, stream.credentials)
    if "sasl_tls" in methods:
        text = f"the record of {remote} at this server demands SASL EXTERNAL, on a stream of its own"
        raise Refusal("dialback_not_allowed", "not-authorized", text, local, remote)
    raise _demands_no_tls(local, remote)


def dialback_method(tls: Tls | None) -> str:
    """What proof by dialback is called on a stream like this."""
    return "tcp_dialback" if tls is None else "tls_dialback"


def demands_tls(local: str | None, remote: str, credentials: Credentials) -> Refusal:
    """Why a partner whose record demands TLS cannot go on without."""
    if not credentials.certificate:
        text = f"the record of {remote} at this server demands TLS, for which this server has no certificate yet"
        return Refusal("no_certificate", "policy-violation", text, local, remote)
    text = f"the record of {remote} at this server demands TLS: use STARTTLS first"
    return Refusal("tls_required", "policy-violation", text, local, remote)


def _demands_no_tls(local: str | None, remote: str) -> Refusal:
    text = f"the record of {remote} at this server says that it has no TLS: connect without"
    return Refusal("tls_not_supported", "policy-violation", text, local, remote)


def offer_plain(
    partner: PartnerView | None, credentials: Credentials, version: int, local: str | None, remote: str | None
) -> Features:
    """What is offered on a stream without TLS; while the partner is unknown, whatever it may turn out to need."""
    if partner is None or remote is None:
        return Features(tls=credentials.certificate, dialback=True, dialback_errors=True)
    plain = "tcp_dialback" in partner.auth_methods
    if not plain and not (credentials.certificate and version):
        # A server from before version 1.0 reads no features, and so never learns of STARTTLS.
        raise demands_tls(local, remote, credentials)
    tls = credentials.certificate and partner.tls != "not_supported"
    return Features(tls=tls, tls_required=not plain, dialback=plain, dialback_errors=plain)


def offer_secured(
    partner: PartnerView | None, tls: Tls, local: str | None, remote: str | None
) -> tuple[Features, Trust | None]:
    """What is offered inside TLS, and what was found of the certificate where that matters.

    EXTERNAL is offered only when it would succeed: a peer that fails with it might not try dialback (XEP-0178).
    """
    if partner is None or remote is None:
        return Features(dialback=True, dialback_errors=True, bidi=True), None
    methods = partner.auth_methods
    dialback = "tls_dialback" in methods
    trust = tls.judge(remote) if "sasl_tls" in methods else None
    sasl = trust is not None and trust.trusted
    if not sasl and not dialback:
        if trust is None:
            raise _demands_no_tls(local, remote)
        raise Refusal("not_trusted", "not-authorized", distrust(remote, trust), local, remote)
    mechanisms = (EXTERNAL,) if sasl else ()
    return Features(mechanisms=mechanisms, dialback=dialback, dialback_errors=dialback, bidi=True), trust


def admit_external(element: Element, stream: Stream) -> Pair:
    """Gate 3 for SASL: whom it proves, by the header, the certificate and the record; raises SaslFailure as well."""
    local, remote, tls = stream.local, stream.remote, stream.tls
    if element.name == "abort":
        raise SaslFailure("aborted", "")
    if tls is None:
        raise SaslFailure("encryption-required", "there is no SASL here without TLS")
    if element.attrs.get("mechanism") != EXTERNAL:
        raise SaslFailure("invalid-mechanism", "servers prove themselves by EXTERNAL here")
    if stream.pairs:
        raise SaslFailure("malformed-request", "a domain is proven on this stream already; open another one")
    authzid = external.decode(element.text)
    partner = admit(stream.policy, local, remote)
    if partner is None or local is None or remote is None:
        raise SaslFailure("not-authorized", "the stream header does not say who you are: it has no 'from'")
    if "sasl_tls" not in partner.auth_methods:
        raise SaslFailure("invalid-mechanism", f"the record of {remote} at this server has no SASL")
    if authzid and not external.names(authzid, remote):
        raise SaslFailure("invalid-authzid", f"on this stream you can act for {remote} only, as its header says")
    # Judged again, because CAs and revocation lists may have been replaced since EXTERNAL was offered.
    trust = tls.judge(remote)
    if not trust.trusted:
        raise SaslFailure("not-authorized", distrust(remote, trust))
    return Pair(local, remote)


def offer_proven(partner: PartnerView | None) -> Features:
    """What is offered after SASL: dialback for further pairs, and acknowledgements."""
    dialback = partner is not None and "tls_dialback" in partner.auth_methods
    return Features(dialback=dialback, dialback_errors=dialback, acks=True)


def distrust(remote: str, trust: Trust) -> str:
    """Why a certificate does not prove a partner, for the administrators of both sides."""
    why = trust.text and f": {trust.text}"
    return f"the certificate that was presented does not prove {remote} here ({trust.reason}){why}"


def longest_silence(partner: PartnerView | None, settings: Settings) -> int:
    """After how many seconds without a byte a stream of this partner is closed (XEP-0478)."""
    seconds = settings.stream_inactivity_timeout
    if partner is None or partner.keepalive:
        seconds = min(seconds, settings.keepalive_interval)
    return max(1, int(seconds))
