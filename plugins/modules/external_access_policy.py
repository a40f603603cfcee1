#!/usr/bin/python
# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: external_access_policy
short_description: Manage who of our users may talk to XMPP partners
version_added: 0.1.0
description:
  - Writes external access policies and grants them to users. The partners of the edge say which domains we talk to,
    the policies say who of us does.
  - A user is subject to one policy, taken whole. That is the one granted to this very user, else the one granted to
    all, else that of the site whose member the user is, else the global one. Where there is no global policy it allows
    nothing.
  - Options that are left out leave an existing policy as it is, and give a new one its default.
author: xmpp.federation contributors (@xmpp-federation)
extends_documentation_fragment:
  - xmpp.federation._attributes
  - xmpp.federation._attributes.actiongroup_edge
  - xmpp.federation._edge
  - xmpp.federation._edge.own_domains
attributes:
  check_mode:
    support: full
    details:
      - Where the edge has no domains yet and O(own_domains) is not given, check mode does not refuse grants outside
        our domains.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  name:
    description:
      - The name of the policy. The one of scope V(global) is called V(global), and needs no name.
      - A V(tag:) in front, as Lync writes it, does not count, and a V(site:) stands for O(scope=site).
    type: str
  scope:
    description:
      - Whether the policy holds for everybody who is subject to no other, V(global), for the O(members) of a site,
        V(site), or for those whom it is granted to, V(user).
      - V(user) is meant where this is left out, except for the name V(global).
    type: str
    choices: [global, site, user]
  members:
    description:
      - Who belongs to the site, if O(scope=site). The policy holds for them as soon as it is there, without a grant.
      - Addresses in our domains, or patterns with one star before the C(@), such as V(*@branch.example) or
        V(sales-*@inside.example).
      - A user can belong to one site only.
    version_added: 0.2.0
    type: list
    elements: str
  federation_access:
    description:
      - Whether users may talk to other organisations at all. It is V(false) for a new policy.
    type: bool
  xmpp_access:
    description:
      - Whether users may talk to XMPP partners, which needs O(federation_access) too. It is V(false) for a new
        policy.
    type: bool
  public_cloud_access:
    description:
      - Whether users may talk to partners whose type is V(public_verified) or V(public_unverified). It is V(false)
        for a new policy.
    type: bool
  description:
    description:
      - A text for people.
    type: str
  grant_to:
    description:
      - The addresses of users to grant the policy to, each in one of our domains. Who held another policy before
        holds this one.
    type: list
    elements: str
  grant_to_all:
    description:
      - With V(true) the policy is granted to all users who have no grant of their own. One policy at most is.
      - With V(false) it is taken back, if it was this policy that was granted to all.
    type: bool
  grant_mode:
    description:
      - With V(add) the users in O(grant_to) are added to those who hold the policy. With V(replace) nobody else holds
        it afterwards.
      - Where this is left out V(replace) is meant together with O(purge), and V(add) otherwise.
    type: str
    choices: [add, replace]
  state:
    description:
      - Whether the policy is there. V(present) is meant where this is left out.
      - A policy that is still granted is not removed, because its users might gain access by falling back to another.
      - Removing the global policy resets it, so that it allows nothing.
    type: str
    choices: [present, absent]
  policies:
    description:
      - The policies that this call is about, when there are several. It cannot be given together with the options of
        a single one.
    type: list
    elements: dict
    suboptions:
      name:
        description: See O(name).
        type: str
      scope:
        description: See O(scope).
        type: str
        choices: [global, site, user]
      members:
        description: See O(members).
        type: list
        elements: str
      federation_access:
        description: See O(federation_access).
        type: bool
      xmpp_access:
        description: See O(xmpp_access).
        type: bool
      public_cloud_access:
        description: See O(public_cloud_access).
        type: bool
      description:
        description: See O(description).
        type: str
      grant_to:
        description: See O(grant_to).
        type: list
        elements: str
      grant_to_all:
        description: See O(grant_to_all).
        type: bool
      grant_mode:
        description: See O(grant_mode).
        type: str
        choices: [add, replace]
      state:
        description: See O(state).
        type: str
        choices: [present, absent]
  purge:
    description:
      - Remove every policy that O(policies) does not name, together with its grants. With an empty list nobody may
        federate.
    type: bool
seealso:
  - module: xmpp.federation.xmpp_partner
  - module: xmpp.federation.edge_config
  - module: xmpp.federation.edge_info
"""

EXAMPLES = r"""
- name: All users may talk to all partners, public providers too
  xmpp.federation.external_access_policy:
    name: FedPic
    federation_access: true
    xmpp_access: true
    public_cloud_access: true
    grant_to_all: true

- name: Two people of the sales department, and nobody else, hold this policy
  xmpp.federation.external_access_policy:
    name: Sales
    federation_access: true
    xmpp_access: true
    grant_to:
      - alice@inside.example
      - bob@inside.example
    grant_mode: replace

- name: A branch office with a domain of its own may, whoever else may not
  xmpp.federation.external_access_policy:
    name: Branch
    scope: site
    members:
      - "*@branch.example"
    federation_access: true
    xmpp_access: true

- name: Exactly these policies and no others
  xmpp.federation.external_access_policy:
    purge: true
    policies:
      - scope: global
        federation_access: true
        xmpp_access: true
      - name: Closed
        description: For those who may not
        grant_to:
          - carol@inside.example

- name: Take a policy back from everybody, and remove it
  xmpp.federation.external_access_policy:
    name: FedPic
    grant_to: []
    grant_mode: replace
    grant_to_all: false
    state: absent
"""

RETURN = r"""
policies:
  description:
    - The policies that the call names as they are after it, the global one first, then by name. Removed ones are left
      out.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The name of the policy.
      type: str
    scope:
      description: V(global), V(site) or V(user).
      type: str
    members:
      description: Who belongs to the site.
      type: list
      elements: str
    federation_access:
      description: Whether other organisations may be talked to at all.
      type: bool
    xmpp_access:
      description: Whether XMPP partners may be talked to.
      type: bool
    public_cloud_access:
      description: Whether partners of the public types may be talked to.
      type: bool
    description:
      description: The text for people.
      type: str
  sample:
    - description: ""
      federation_access: true
      members: []
      name: FedPic
      public_cloud_access: true
      scope: user
      xmpp_access: true
created:
  description: The names of policies that were not there before.
  returned: success
  type: list
  elements: str
  sample: [FedPic]
updated:
  description: The names of policies that were there and have changed.
  returned: success
  type: list
  elements: str
  sample: []
removed:
  description: The names of policies that are there no longer.
  returned: success
  type: list
  elements: str
  sample: []
granted:
  description: The addresses of users who hold another policy than before, or one for the first time.
  returned: success
  type: list
  elements: str
  sample: [alice@inside.example]
revoked:
  description: The addresses of users who had a grant and have none any more.
  returned: success
  type: list
  elements: str
  sample: []
grant_to_all:
  description: The name of the policy that is granted to all users after the call, or nothing where there is none.
  returned: success
  type: str
  sample: FedPic
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
from ansible_collections.xmpp.federation.plugins.module_utils._module_policy import argument_spec, make_draft
from ansible_collections.xmpp.federation.plugins.module_utils._records.policy import FIELDS


def main() -> None:
    run(record_module(argument_spec(), make_draft, FIELDS), make_draft)


if __name__ == "__main__":
    main()
