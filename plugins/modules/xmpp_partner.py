#!/usr/bin/python
# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: xmpp_partner
short_description: Manage the partner domains that an XMPP federation edge talks to
version_added: 0.1.0
description:
  - Writes the list of allowed partners of the edge. A domain that is not a partner gets no further than its first
    stream header.
  - Many partners are changed by one call with O(partners); that is faster than a loop by far.
  - Options that are left out leave an existing partner as it is, and give a new one its default.
  - How a partner proves itself follows from O(tls), O(sasl) and O(dialback). Combinations that leave no way are
    refused before anything is written, also in check mode; those that work worse than they look get a warning.
author: xmpp.federation contributors (@xmpp-federation)
extends_documentation_fragment:
  - xmpp.federation._attributes
  - xmpp.federation._attributes.actiongroup_edge
  - xmpp.federation._edge
  - xmpp.federation._edge.own_domains
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  domain:
    description:
      - The partner's domain, which is also the name of its record. Case, a trailing dot and the spelling of
        international names do not matter.
      - It can stand in one record only, and can be none of our own domains.
    type: str
  additional_domains:
    description:
      - Further domains of the same partner, which share all its settings. There is no matching of subdomains, so each
        has to be named.
    type: list
    elements: str
  additional_domains_mode:
    description:
      - What O(additional_domains) means for a partner that is there. V(replace) is meant where this is left out; with
        an empty list it clears the additional domains.
    type: str
    choices: [replace, add, remove]
  partner_type:
    description:
      - How far the partner is trusted. V(federated) is for organisations that we know, V(public_verified) for public
        providers that verify who their users are, V(public_unverified) for all other public providers.
      - Users of ours need V(true) for O(xmpp.federation.external_access_policy#module:public_cloud_access) in their
        policy to talk to a partner of the public types.
      - A new partner is V(public_unverified).
    type: str
    choices: [federated, public_verified, public_unverified]
  tls:
    description:
      - Whether streams with the partner are encrypted. V(optional) uses TLS where it is offered.
      - It is V(required) for a new partner.
    type: str
    choices: [required, optional, not_supported]
  sasl:
    description:
      - Whether the partner proves itself by its certificate (SASL EXTERNAL), which needs TLS.
      - It is V(required) for a new partner.
    type: str
    choices: [required, optional, not_supported]
  dialback:
    description:
      - Whether the partner may prove itself by Server Dialback, that is, by DNS alone.
      - For a new partner this is V(false) where O(tls) and O(sasl) are both V(required), for then it could not be
        used, and V(true) otherwise.
    type: bool
  keepalive:
    description:
      - Whether silent streams are kept alive by whitespace, in both directions. Then a stream from the partner is closed
        when nothing was heard for O(xmpp.federation.edge_config#module:keepalive_interval). It is V(true) for a new
        partner.
    type: bool
  connection_limit:
    description:
      - How many connections this partner may have. Without one, and with V(0), the
        O(xmpp.federation.edge_config#module:partner_connection_limit) of the edge holds.
    type: int
  proxy_fqdn:
    description:
      - The host that serves the partner, instead of the one that DNS names. An empty text clears it.
      - The partner has to prove its own domain all the same.
    type: str
  proxy_port:
    description:
      - The port on O(proxy_fqdn). Without one, and with V(0), that is 5269.
    type: int
  ca_file:
    description:
      - The CA certificates that the partner's certificate has to come from, in PEM, a file on the managed host that the
        service can read. It takes the place of the O(xmpp.federation.edge_config#module:ca_file) of the edge.
      - An empty text clears it. It cannot be given with O(tls) V(not_supported).
    type: path
    version_added: 0.2.0
  pins:
    description:
      - Public keys, one of which the partner's certificate has to have, or one of the CAs that it comes from. Each is
        the SHA-256 hash of its SubjectPublicKeyInfo in 64 hexadecimal digits. A prefix V(sha256:), colons and capitals do
        not matter. The list replaces the one before, and an empty one clears it.
      - They count beside the check of the certificate, not in its place. Only a certificate that is signed by itself is
        trusted for a pin alone, where the partner has no O(ca_file).
      - Name the next key before the partner changes to it. They cannot be given with O(tls) V(not_supported).
    type: list
    elements: str
    version_added: 0.2.0
  description:
    description:
      - A text for people.
    type: str
  state:
    description:
      - Whether the partner is there. V(present) is meant where this is left out.
    type: str
    choices: [present, absent]
  partners:
    description:
      - The partners that this call is about, when there are several. It cannot be given together with the options of
        a single one.
    type: list
    elements: dict
    suboptions:
      domain:
        description: See O(domain).
        type: str
        required: true
      additional_domains:
        description: See O(additional_domains).
        type: list
        elements: str
      additional_domains_mode:
        description: See O(additional_domains_mode).
        type: str
        choices: [replace, add, remove]
      partner_type:
        description: See O(partner_type).
        type: str
        choices: [federated, public_verified, public_unverified]
      tls:
        description: See O(tls).
        type: str
        choices: [required, optional, not_supported]
      sasl:
        description: See O(sasl).
        type: str
        choices: [required, optional, not_supported]
      dialback:
        description: See O(dialback).
        type: bool
      keepalive:
        description: See O(keepalive).
        type: bool
      connection_limit:
        description: See O(connection_limit).
        type: int
      proxy_fqdn:
        description: See O(proxy_fqdn).
        type: str
      proxy_port:
        description: See O(proxy_port).
        type: int
      ca_file:
        description: See O(ca_file).
        type: path
      pins:
        description: See O(pins).
        type: list
        elements: str
      description:
        description: See O(description).
        type: str
      state:
        description: See O(state).
        type: str
        choices: [present, absent]
  purge:
    description:
      - Remove every partner that O(partners) does not name. With an empty list nobody is left, and federation ends.
    type: bool
seealso:
  - module: xmpp.federation.edge_config
  - module: xmpp.federation.external_access_policy
  - module: xmpp.federation.edge_info
"""

EXAMPLES = r"""
- name: A partner with certificates that a public authority signed
  xmpp.federation.xmpp_partner:
    domain: partner.example
    partner_type: federated

- name: A partner with a CA of its own, and with a key that is known
  xmpp.federation.xmpp_partner:
    domain: branch.example
    partner_type: federated
    ca_file: /etc/ssl/branch-ca.pem
    pins:
      - "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

- name: A public provider that speaks plain TCP and proves itself by dialback alone
  xmpp.federation.xmpp_partner:
    domain: gmail.example
    tls: not_supported
    sasl: not_supported
    dialback: true
    keepalive: false

- name: Exactly these partners and no others
  xmpp.federation.xmpp_partner:
    purge: true
    partners:
      - domain: partner.example
        partner_type: federated
        additional_domains:
          - conference.partner.example
      - domain: provider.example
        sasl: optional

- name: One more domain for a partner
  xmpp.federation.xmpp_partner:
    domain: partner.example
    additional_domains:
      - sales.partner.example
    additional_domains_mode: add

- name: This partner is one no longer
  xmpp.federation.xmpp_partner:
    domain: provider.example
    state: absent
"""

RETURN = r"""
partners:
  description:
    - The partners that the call names, by domain, as they are after it. Removed ones are left out.
  returned: success
  type: list
  elements: dict
  contains:
    domain:
      description: The domain in A-labels, lower case.
      type: str
    additional_domains:
      description: Further domains, sorted.
      type: list
      elements: str
    partner_type:
      description: How far the partner is trusted.
      type: str
    tls:
      description: Whether TLS is V(required), V(optional) or V(not_supported).
      type: str
    sasl:
      description: Whether SASL EXTERNAL is V(required), V(optional) or V(not_supported).
      type: str
    dialback:
      description: Whether Server Dialback is allowed.
      type: bool
    keepalive:
      description: Whether silent streams are kept alive.
      type: bool
    connection_limit:
      description: The partner's own limit, or nothing where that of the edge holds.
      type: int
    proxy_fqdn:
      description: The host that is used instead of the one in DNS, or nothing.
      type: str
    proxy_port:
      description: The port on that host, or nothing where it is 5269.
      type: int
    ca_file:
      description: The partner's own file of CA certificates, or nothing where that of the edge holds.
      type: str
    pins:
      description: The public keys of which it or one of its CAs has to have one, in lower-case hexadecimal digits, sorted.
      type: list
      elements: str
    description:
      description: The text for people.
      type: str
    auth_methods:
      description:
        - The ways to prove itself that are left to the partner, of V(sasl_tls), V(tls_dialback) and V(tcp_dialback).
      type: list
      elements: str
  sample:
    - additional_domains: []
      auth_methods: [tcp_dialback]
      ca_file: null
      connection_limit: null
      description: ""
      dialback: true
      domain: gmail.example
      keepalive: false
      partner_type: public_unverified
      pins: []
      proxy_fqdn: null
      proxy_port: null
      sasl: not_supported
      tls: not_supported
created:
  description: The domains of partners that were not there before.
  returned: success
  type: list
  elements: str
  sample: [gmail.example]
updated:
  description: The domains of partners that were there and have changed.
  returned: success
  type: list
  elements: str
  sample: []
removed:
  description: The domains of partners that are there no longer.
  returned: success
  type: list
  elements: str
  sample: []
problems:
  description: What is wrong with the options or with the records, one entry for each thing.
  returned: when the options or the records are refused
  type: list
  elements: dict
  contains:
    where:
      description: The entry of the list, or the file.
      type: str
    key:
      description: The option, or the key in the file.
      type: str
    message:
      description: What is wrong with it.
      type: str
    remedy:
      description: What to do about it.
      type: str
"""

from ansible_collections.xmpp.federation.plugins.module_utils._module import record_module, run
from ansible_collections.xmpp.federation.plugins.module_utils._module_partner import argument_spec, make_draft
from ansible_collections.xmpp.federation.plugins.module_utils._records.partner import FIELDS


def main() -> None:
    run(record_module(argument_spec(), make_draft, FIELDS), make_draft)


if __name__ == "__main__":
    main()
