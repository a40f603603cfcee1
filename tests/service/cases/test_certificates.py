# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cases 46 to 58: certificates, each shown to the edge by a partner that connects and by one that it connects to.

The record is the strict one, TLS and SASL required, so that nothing but the certificate can let the partner in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from cryptography import x509
from net.harness import ALICE, BOB, OURS, THEIRS, Records, run
from peers.authority import (
    CLIENT,
    EXPIRED,
    NOT_YET,
    SERVER,
    Authority,
    Pair,
    self_signed,
    srv_name,
    xmpp_addr,
)
from peers.initiator import Ability
from peers.scripted import EVERYTHING, Scripted

from .stage import PAPERS, STRICT, edge, open_to

CA = PAPERS.ca
RSA_CA = Authority("CA with an RSA key", key="rsa2048")
OTHER_CA = Authority("Another CA that the edge trusts")
BELOW = CA.intermediate("Issuing CA")
OWN = self_signed(THEIRS)


@dataclass(frozen=True)
class Paper:
    """What the partner shows, and the reason of the audit for not trusting it; None where it is trusted."""

    number: int
    what: str
    pair: Callable[[], Pair]
    reason: str | None
    partner: dict[str, object] = field(default_factory=dict)
    change: Callable[[Records], None] | None = None


def leaf(*names: str | x509.GeneralName, **flaws: object) -> Callable[[], Pair]:
    return lambda: CA.issue(*names, **flaws)  # type: ignore[arg-type]


def crls(check: str, *lists: bytes) -> Callable[[Records], None]:
    """Revocation lists beside the records."""

    def change(records: Records) -> None:
        records.edge["check_crls"] = check
        (records.directory / "crls").mkdir()
        for number, content in enumerate(lists):
            (records.directory / "crls" / f"{number}.crl").write_bytes(content)

    return change


def their_ca(records: Records) -> None:
    """The partner's record names a CA, and it alone counts for this partner."""
    records.partners[0]["ca_file"] = str(OTHER_CA.write(records.directory / "their-ca.pem"))


REVOKED = CA.issue(THEIRS)
PAPERS_SHOWN = [
    Paper(46, "expired", leaf(THEIRS, days=EXPIRED), "expired"),
    Paper(46, "not-yet-valid", leaf(THEIRS, days=NOT_YET), "not_yet_valid"),
    Paper(46, "issuer-expired", lambda: CA.intermediate("Old", days=EXPIRED).issue(THEIRS), "expired"),
    Paper(47, "self-signed", lambda: OWN, "self_signed"),
    Paper(47, "self-signed-and-pinned", lambda: OWN, None, {"pins": [OWN.pin]}),
    Paper(47, "self-signed-and-another-pinned", lambda: OWN, "self_signed", {"pins": [PAPERS.theirs.pin]}),
    Paper(48, "unknown-ca", lambda: PAPERS.forged, "unknown_ca"),
    Paper(49, "another-ca-than-theirs", lambda: PAPERS.theirs, "wrong_ca", change=their_ca),
    Paper(49, "their-ca", lambda: OTHER_CA.issue(THEIRS), None, change=their_ca),
    Paper(49, "another-key-than-pinned", leaf(THEIRS), "pin_mismatch", {"pins": [PAPERS.theirs.pin]}),
    Paper(50, "common-name-only", leaf(common_name=THEIRS), "name_mismatch"),
    Paper(50, "common-name-beside-another-name", leaf("other.example", common_name=THEIRS), "name_mismatch"),
    Paper(51, "another-name", leaf("other.example"), "name_mismatch"),
    Paper(51, "our-own-name", leaf(OURS), "name_mismatch"),
    Paper(51, "the-name-of-the-srv-target", leaf(f"xmpp.{THEIRS}"), "name_mismatch"),
    Paper(52, "wildcard-over-a-top-level-domain", leaf("*.example"), "name_mismatch"),
    Paper(52, "wildcard-for-labels-below", leaf(f"*.{THEIRS}"), "name_mismatch"),
    Paper(52, "part-of-a-label", leaf("gm*.example"), "name_mismatch"),
    Paper(52, "star-alone", leaf("*"), "name_mismatch"),
    Paper(53, "capitals", leaf("GMail.Example"), None),
    Paper(53, "trailing-dot", leaf(f"{THEIRS}."), "name_mismatch"),
    Paper(53, "space", leaf(f"{THEIRS} "), "name_mismatch"),
    Paper(53, "nul", leaf(f"{THEIRS}\0.evil.example"), "name_mismatch"),
    Paper(54, "xmppaddr-of-a-user", leaf(xmpp_addr(BOB)), "name_mismatch"),
    Paper(54, "xmppaddr-with-a-resource", leaf(xmpp_addr(f"{THEIRS}/x")), "name_mismatch"),
    Paper(54, "xmppaddr-of-the-domain", leaf(xmpp_addr(THEIRS)), None),
    Paper(55, "srvname-for-clients", leaf(srv_name(THEIRS, "_xmpp-client")), "name_mismatch"),
    Paper(55, "srvname", leaf(srv_name(THEIRS)), None),
    Paper(56, "for-servers-only", leaf(THEIRS, usages=[SERVER]), None),
    Paper(56, "for-clients-only", leaf(THEIRS, usages=[CLIENT]), "wrong_usage"),
    Paper(56, "for-anything", leaf(THEIRS, usages=None), None),
    Paper(57, "revoked", lambda: REVOKED, "revoked", change=crls("if_available", CA.crl([REVOKED]))),
    Paper(57, "revoked-by-an-old-list", lambda: REVOKED, "revoked",
          change=crls("always", CA.crl([REVOKED], days=EXPIRED))),
    Paper(57, "not-revoked", lambda: PAPERS.theirs, None, change=crls("always", CA.crl([REVOKED]))),
    Paper(57, "list-expired-and-wanted", lambda: PAPERS.theirs, "crl_expired",
          change=crls("always", CA.crl(days=EXPIRED))),
    Paper(57, "list-expired-and-not-needed", lambda: PAPERS.theirs, None,
          change=crls("if_available", CA.crl(days=EXPIRED))),
    Paper(57, "no-list-and-wanted", lambda: PAPERS.theirs, "no_crl", change=crls("always")),
    Paper(57, "list-of-somebody-else", lambda: REVOKED, None,
          change=crls("if_available", CA.crl([REVOKED], signer=PAPERS.stranger_ca))),
    Paper(57, "list-of-somebody-else-and-wanted", lambda: REVOKED, "no_crl",
          change=crls("always", CA.crl([REVOKED], signer=PAPERS.stranger_ca))),
    Paper(58, "intermediate-sent", lambda: BELOW.issue(THEIRS), None),
    Paper(58, "intermediate-missing", lambda: BELOW.issue(THEIRS).without_chain(), "unknown_ca"),
    Paper(58, "12-deep", lambda: CA.deeper(12).issue(THEIRS), "chain_too_long"),
    Paper(58, "outside-of-name-constraints", lambda: CA.intermediate("Only others", permitted=["other.example"])
          .issue(THEIRS), "name_constraints"),
    Paper(58, "signed-by-a-leaf", lambda: CA.intermediate("No CA", is_ca=False).issue(THEIRS), "invalid_path"),
    Paper(58, "rsa-1024", leaf(THEIRS, key="rsa1024"), "weak_key"),
    Paper(58, "sha-1", lambda: RSA_CA.issue(THEIRS, sha1=True), "weak_signature",
          change=lambda records: records.edge.update(ca_file=str(RSA_CA.write(records.directory / "rsa.pem")))),
]  # fmt: skip
IDS = [f"case-{paper.number:03}-{paper.what}" for paper in PAPERS_SHOWN]


def prepared(paper: Paper) -> dict[str, object]:
    return {"negotiation": STRICT | paper.partner, "change": paper.change}


@pytest.mark.parametrize("paper", PAPERS_SHOWN, ids=IDS)
def test_a_partner_that_connects_shows(paper: Paper) -> None:
    async def test() -> None:
        ability = Ability(tls=True, external=True, identity=paper.pair())
        async with edge(**prepared(paper)) as here:  # type: ignore[arg-type]
            opened = await open_to(here, ability)
            if paper.reason is None:
                assert (opened.method, opened.refusal) == ("sasl_tls", ""), opened.text
                line = await here.audit.wait("authenticated", remote=THEIRS)
                assert (line["method"], line["encrypted"], line["trusted"]) == ("sasl_tls", True, True)
                return
            # The peer learns why, and nothing is offered that could not succeed.
            assert (opened.method, opened.refusal) == ("", "not-authorized")
            assert paper.reason in opened.text
            assert not any("EXTERNAL" in offered for offered in opened.offers)
            assert paper.reason in (await here.audit.wait("refused", reason="not_trusted"))["text"]

    run(test)


@pytest.mark.parametrize("paper", PAPERS_SHOWN, ids=IDS)
def test_a_partner_that_is_connected_to_shows(paper: Paper) -> None:
    async def test() -> None:
        async with (
            edge(**prepared(paper)) as here,  # type: ignore[arg-type]
            Scripted(THEIRS, offer=EVERYTHING, identity=paper.pair()) as server,
        ):
            here.lead_to(server.port)
            await here.inside.send_message(f"{ALICE}/desk", BOB, "x", id_="m")
            session = await server.session()
            if paper.reason is None:
                await session.until("message m")
                line = await here.audit.wait("authenticated", direction="out", remote=THEIRS)
                assert (line["method"], line["encrypted"], line["trusted"]) == ("sasl_tls", True, True)
                return
            bounce = await here.inside.mailbox(ALICE).wait()
            assert bounce.condition == "not-allowed"
            assert paper.reason in bounce.text
            assert not {"auth", "result"} & {step for each in server.sessions for step in each.steps}

    run(test)


def test_case_052_a_wildcard_is_one_whole_label() -> None:
    """The domain of the partner is one label below the wildcard's."""
    wild = CA.issue("*.partners.example")

    async def test(name: str, *, good: bool) -> None:
        async with edge(STRICT | {"domain": name}) as here:
            opened = await open_to(here, Ability(tls=True, external=True, identity=wild), local=name)
            assert (opened.method, opened.refusal) == (("sasl_tls", "") if good else ("", "not-authorized"))

    run(lambda: test("a.partners.example", good=True))
    run(lambda: test("a.b.partners.example", good=False))


def test_case_053_a_label_in_another_script() -> None:
    name, there = "bücher.example", "xn--bcher-kva.example"
    papers = CA.issue(there.replace("xn--", "XN--"))

    async def test() -> None:
        async with edge(STRICT | {"domain": there}) as here:
            opened = await open_to(here, Ability(tls=True, external=True, identity=papers, authzid=name), local=name)
            assert (opened.method, opened.refusal) == ("sasl_tls", "")
            assert (await here.audit.wait("authenticated"))["remote"] == name

    run(test)
