# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which way to prove ourselves: what a partner's record demands, against what its server offers.

Pure. The methods of the record are the whole law: nothing is tried that is not among them, and what they leave is tried
in their order. Where nothing is left, the refusal says what each of them has failed for.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

from .actions import Pair
from .features import EXTERNAL, Features
from .machine import Refusal
from .security import Trust

STARTTLS = "starttls"

_NAMES = {
    "sasl_tls": "SASL EXTERNAL over TLS",
    "tls_dialback": "dialback over TLS",
    "tcp_dialback": "dialback without TLS",
}


def without_tls(methods: Sequence[str], pair: Pair, offered: Features, avoid: Container[str]) -> str:
    """The next step on a stream that is plain as yet: ``starttls`` or ``tcp_dialback``; raises Refusal.

    ``offered.dialback`` is to be true also where the header alone speaks of it.
    """
    _check_any(methods, pair)
    plain = "tcp_dialback" in methods
    if offered.tls and _wants_tls(methods) and not (plain and "tls" in avoid):
        return STARTTLS
    remote = pair.remote
    if not plain:
        # Whoever sits between us could have taken the offer out; there is no way on without it (RFC 7590, section 3.1).
        text = f"{remote} offers no TLS, and its record here demands it"
        raise Refusal("tls_not_offered", "policy-violation", text, pair.local, remote)
    if offered.tls_required:
        text = f"{remote} demands TLS, "
        text += "which has failed before" if _wants_tls(methods) else "and its record here says that it has none"
        raise Refusal("tls_demanded", "unsupported-feature", text, pair.local, remote)
    if not offered.dialback:
        raise _nothing_left(pair, ["tcp_dialback"], offered, {"tcp_dialback": ("no_common_method", "")})
    return "tcp_dialback"


def over_tls(
    methods: Sequence[str],
    pair: Pair,
    offered: Features,
    trust: Trust,
    failed: Mapping[str, str],
    *,
    certificate: bool,
) -> str:
    """The method to use on an encrypted stream: ``sasl_tls`` or ``tls_dialback``; raises Refusal.

    ``failed`` says which methods have failed on this way already, and why; ``certificate`` that we have one to show.
    """
    _check_any(methods, pair)
    if not _wants_tls(methods):
        text = f"the record of {pair.remote} here leaves TLS out"
        raise Refusal("tls_not_supported", "unsupported-feature", text, pair.local, pair.remote)
    obstacles: dict[str, tuple[str, str]] = {}
    left = [method for method in methods if method != "tcp_dialback"]
    for method in left:
        if method in failed:
            obstacles[method] = "sasl_failed", failed[method]
        elif method == "tls_dialback":
            if offered.dialback:
                return method
            obstacles[method] = "no_common_method", ""
        elif not certificate:
            obstacles[method] = "no_certificate", "this edge has no certificate to show"
        elif not trust.trusted:
            obstacles[method] = "not_trusted", f"its certificate is not trusted ({trust.reason}): {trust.text}"
        elif EXTERNAL not in offered.mechanisms:
            obstacles[method] = "no_common_method", "perhaps it does not trust our certificate"
        else:
            return method
    raise _nothing_left(pair, left, offered, obstacles)


def _check_any(methods: Sequence[str], pair: Pair) -> None:
    """A record has a method always; but that may be SASL, by which no questions are asked."""
    if not methods:
        text = f"the record of {pair.remote} here leaves dialback out"
        raise Refusal("dialback_not_allowed", "policy-violation", text, pair.local, pair.remote)


def _wants_tls(methods: Sequence[str]) -> bool:
    return "sasl_tls" in methods or "tls_dialback" in methods


# Conditions of the stream error, where it is not the peer that lacks what we need.
_CONDITIONS = {"not_trusted": "not-authorized", "no_certificate": "internal-server-error"}


def _nothing_left(
    pair: Pair, methods: Sequence[str], offered: Features, obstacles: Mapping[str, tuple[str, str]]
) -> Refusal:
    reasons = {reason for reason, _unused in obstacles.values()}
    reason = reasons.pop() if len(reasons) == 1 else "no_common_method"
    demanded = " or ".join(_NAMES[method] for method in methods)
    text = f"the record of {pair.remote} here takes {demanded}, and {pair.remote} offers {_offers(offered)}"
    known = [(method, said) for method, (_unused, said) in obstacles.items() if said]
    for method, said in known:
        text += f"; {said}" if len(methods) == 1 else f"; {_NAMES[method]}: {said}"
    return Refusal(reason, _CONDITIONS.get(reason, "unsupported-feature"), text, pair.local, pair.remote)


def _offers(offered: Features) -> str:
    names = [f"SASL {name[:20]}" for name in offered.mechanisms[:5]]
    if offered.dialback:
        names.append("dialback")
    return " and ".join(names) or "neither SASL nor dialback"
