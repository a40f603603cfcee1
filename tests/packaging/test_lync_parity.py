# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""docs/lync-parity.md has a row for every parameter of Lync's cmdlets, and the options that it names are there."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import Any

import pytest
import tree
import yaml

PAGE = tree.ROOT / "docs/lync-parity.md"
COMMON = {"Force", "WhatIf", "Confirm", "InMemory", "Instance", "LocalStore"}
CODE = re.compile(r"`([^`]+)`")
PARAMETER = re.compile(r"^[A-Z][A-Za-z0-9]+$")
# Said of an option in another collection; that the guide's options are right is for the guide's own test.
FOREIGN = {"ldap_search": {"filter", "dn", "bind_dn", "bind_pw", "server_uri"}}

PARAMETERS = {
    "Allowed partners": """Identity Domain AdditionalDomains PartnerType TlsNegotiation SaslNegotiation
        SupportDialbackNegotiation EnableKeepAlive ConnectionLimit ProxyFqdn Description Filter""",
    "Gateway": """Identity ConnectionLimit PartnerConnectionLimit DialbackPassphrase EnableLoggingAllMessageBodies
        KeepAliveInterval StreamEstablishmentTimeout StreamInactivityTimeout SubscriptionRefreshInterval Filter""",
    "Access edge": """AllowFederatedUsers AllowOutsideUsers AllowAnonymousUsers EnableArchivingDisclaimer
        KeepCrlsUpToDateForPeers MarkSourceVerifiableOnOutgoingMessages OutgoingTlsCountForFederatedPartners
        EnableDiscoveredPartnerContactsLimit MaxContactsPerDiscoveredPartner DiscoveredPartnerStandardRate
        DiscoveredPartnerReportPeriodMinutes MaxAcceptedCertificatesStored MaxRejectedCertificatesStored
        CertificatesDeletedPercentage EnableUserReplicator UseDnsSrvRouting EnablePartnerDiscovery
        DiscoveredPartnerVerificationLevel BeClearingHouse UseDefaultRouting DefaultRouteFqdn IsPublicProvider
        VerificationLevel DnsSrvCacheRecordCount SkypeSearchUrl Identity Filter""",
    "Policies": """Identity EnableFederationAccess EnableXmppAccess EnablePublicCloudAccess
        EnablePublicCloudAudioVideoAccess EnableOutsideAccess EnableAcsFederationAccess EnableTeamsConsumerAccess
        EnableTeamsConsumerInbound Description Tenant Filter ApplicableTo Include""",
    "Grants": "Identity PolicyName DomainController PassThru Group Rank Global",
    "Who is granted to": """Identity Filter LdapFilter OU OnLyncServer OnOfficeCommunicationServer OnModernServer
        UnAssignedUser ResultSize Credential DomainController""",
    "A trial message": """TargetFqdn Receiver UserSipAddress UserCredential Authentication RegistrarPort
        OutLoggerVariable OutVerboseVariable""",
    "Certificates": """New Output Type CA CaAccount CaPassword Template FriendlyName KeySize KeyAlg PrivateKeyExportable
        Organization OU Country State City ComputerFqdn AllSipDomain DomainName ClientEKU Path Password
        EffectiveDate Roll Thumbprint Reference Previous Identity Report List Retrieve Clear RequestId""",
}


@dataclass(frozen=True)
class Row:
    lync: str
    here: str
    reason: str


def _section(title: str) -> tuple[str, list[Row]]:
    """The module that a section is about, and its rows."""
    parts = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    (part,) = [part for part in parts if part.startswith(f"{title}:")]
    module = CODE.findall(part.splitlines()[0].partition("→")[2])[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in part.splitlines() if line.startswith("| ")
    ]
    assert all(len(row) == 3 for row in rows), title
    return module, [Row(*row) for row in rows[2:]]


def _documented(module: str, part: str) -> dict[str, Any]:
    source = ast.parse((tree.ROOT / f"plugins/modules/{module}.py").read_text(encoding="utf-8"))
    for node in source.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == part:
            found = yaml.safe_load(ast.literal_eval(node.value))
            assert isinstance(found, dict)
            return found
    raise AssertionError(module)


def _options(module: str) -> dict[str, Any]:
    found = _documented(module, "DOCUMENTATION")["options"]
    assert isinstance(found, dict)
    return found


def _is_there(module: str, code: str) -> bool:
    """Whether code in the middle column is an option, an option with a value, a module, or a switch of Ansible."""
    if code.startswith("--"):
        return True
    name, _colon, value = code.partition(": ")
    if "." in name:
        module, name = name.split(".")
        if module in FOREIGN:
            return name in FOREIGN[module]
    elif (tree.ROOT / f"plugins/modules/{name}.py").exists():
        return True
    option = _options(module).get(name)
    if option is None:
        return False
    return not value or value in map(str, option.get("choices", [])) or (option["type"], value) == ("bool", "true")


@pytest.mark.parametrize("title", PARAMETERS)
def test_every_parameter_has_a_row(title: str) -> None:
    named = [code for row in _section(title)[1] for code in CODE.findall(row.lync) if PARAMETER.match(code)]
    asked = PARAMETERS[title].split()
    assert set(asked) - set(named) == set(), "without a row"
    # What no cmdlet has is a slip of the pen.
    assert set(named) - set(asked) - {"Failure"} == set(), "not a parameter"


def test_parameters_of_all_cmdlets_have_a_row() -> None:
    preface = PAGE.read_text(encoding="utf-8").partition("\n## ")[0]
    rows = [line.split(" | ")[0] for line in preface.splitlines() if line.startswith("| `")]
    assert {code for row in rows for code in CODE.findall(row)} == COMMON


@pytest.mark.parametrize("title", PARAMETERS)
def test_options_that_are_named_are_there(title: str) -> None:
    module, rows = _section(title)
    for row in rows:
        named = CODE.findall(row.here)
        assert [code for code in named if not _is_there(module, code)] == []
        assert named or row.here == "none", row
        assert row.reason, row


def test_what_is_told_of_certificates_is_returned() -> None:
    (row,) = [row for row in _section("Certificates")[1] if row.lync == "`Get-`"]
    where, *named = CODE.findall(row.reason)
    assert where == "desired.certificates"
    assert named
    returned = _documented("edge_info", "RETURN")["desired"]["contains"]["certificates"]["contains"]
    assert [name for name in named if name not in returned] == []


def test_playbooks_that_are_named_are_there() -> None:
    modules = {path.stem for path in (tree.ROOT / "plugins/modules").glob("*.py")}
    playbooks = {path.stem for path in (tree.ROOT / "playbooks").glob("*.yml")}
    named = re.findall(r"`xmpp\.federation\.(\w+)`", PAGE.read_text(encoding="utf-8"))
    assert set(named) - modules - playbooks == set()


@pytest.mark.parametrize(
    ("title", "module"),
    [
        ("Allowed partners", "xmpp_partner"),
        ("Policies", "external_access_policy"),
        ("Gateway", "edge_config"),
        ("Certificates", "edge_certificate"),
    ],
)
def test_every_option_is_on_the_page(title: str, module: str) -> None:
    """An option that stands for nothing in Lync is named in the text of the page."""
    text = PAGE.read_text(encoding="utf-8")
    assert [name for name in _options(module) if f"`{name}" not in text] == [], title
