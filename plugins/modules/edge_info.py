#!/usr/bin/python
# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: edge_info
short_description: Tell what an XMPP federation edge should be and what it is
version_added: 0.1.0
description:
  - Returns the desired state as the records say it, and the running state as the service says it.
  - Where nothing has been written yet the defaults are returned; where the service does not run the reason is.
    Neither is an error.
author: xmpp.federation contributors (@xmpp-federation)
extends_documentation_fragment:
  - xmpp.federation._attributes
  - xmpp.federation._attributes.info_module
  - xmpp.federation._attributes.actiongroup_edge
  - xmpp.federation._edge
options:
  filter:
    description:
      - Return only partners whose domain matches this shell pattern, such as V(*.example). Additional domains are not
        looked at.
    type: str
  users:
    description:
      - Addresses of users to tell the effective policy of.
    type: list
    elements: str
  run_dir:
    description:
      - The directory on the managed host in which the running service has its control socket.
    type: path
    default: /run/xmpp-edge
seealso:
  - module: xmpp.federation.edge_config
  - module: xmpp.federation.xmpp_partner
  - module: xmpp.federation.external_access_policy
"""

EXAMPLES = r"""
- name: Look at everything
  xmpp.federation.edge_info:
  register: edge

- name: Fail where the service runs on older records
  ansible.builtin.assert:
    that: edge.running.up_to_date

- name: Ask which policy decides about a user
  xmpp.federation.edge_info:
    users:
      - alice@inside.example
  register: alice

- name: Show it
  ansible.builtin.debug:
    msg: "{{ alice.effective[0].policy.name }} by {{ alice.effective[0].reason }}"
"""

RETURN = r"""
desired:
  description: What the records say.
  returned: success
  type: dict
  contains:
    edge:
      description: The settings of the edge, as M(xmpp.federation.edge_config) returns them.
      type: dict
    partners:
      description: The partners by domain, each as M(xmpp.federation.xmpp_partner) returns it.
      type: list
      elements: dict
    policies:
      description: The policies, the global one first. Where it is not written it is the closed one that holds then.
      type: list
      elements: dict
    grants:
      description: The name of the granted policy for each address that has a grant of its own.
      type: dict
    grant_to_all:
      description: The name of the policy that is granted to all users, or nothing.
      type: str
    secrets_set:
      description: Which secrets are set. Their values are never returned.
      type: list
      elements: str
    certificates:
      description: The certificates in use, one for each usage.
      type: list
      elements: dict
      contains:
        usage:
          description: What it is used for, the O(xmpp.federation.edge_certificate#module:usage) of the module that assigned it.
          type: str
        assigned:
          description: The name of its directory below C(certificates).
          type: str
        previous:
          description: The name of the directory of the one before, or nothing.
          type: str
        fingerprint:
          description: The SHA-256 hash of the certificate, or nothing where it cannot be read.
          type: str
        subject:
          description:
            - Its subject, by the options of M(xmpp.federation.edge_certificate). This and what follows is nothing where it cannot be
              read, and where neither this Python nor an installed proxy has cryptography.
          type: dict
        issuer:
          description: Who has issued it.
          type: str
        not_before:
          description: The beginning of its validity.
          type: str
        not_after:
          description: The end of its validity.
          type: str
        days_left:
          description: Full days until then.
          type: int
    records_hash:
      description:
        - A hash of all records, and of the certificates, CA files and revocation lists that count beside them. The running
          service tells the same of what it runs on.
      type: str
effective:
  description: The policy that decides about each address in O(users), in the same order.
  returned: success
  type: list
  elements: dict
  contains:
    address:
      description: The address in canonical form.
      type: str
    ours:
      description: Whether the address is in one of our own domains. About others no policy decides.
      type: bool
    policy:
      description: The policy, taken whole.
      type: dict
    reason:
      description: Why it is this one, V(grant), V(grant_to_all), V(site) or V(global).
      type: str
running:
  description: What the service says of itself.
  returned: success
  type: dict
  contains:
    reachable:
      description: Whether the service has answered.
      type: bool
    up_to_date:
      description: Whether it runs on the records, certificates and revocation lists as they are now.
      type: bool
    error:
      description: Why it has not answered, else empty.
      type: str
    status:
      description: Its answer, the same as that of C(xmpp-edge status --json). It is empty where there was none.
      type: dict
problems:
  description: What is wrong with the options or with the records, one entry for each thing.
  returned: when the options or the records are refused
  type: list
  elements: dict
  contains:
    where:
      description: The file.
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

from ansible_collections.xmpp.federation.plugins.module_utils._module import RecordModule
from ansible_collections.xmpp.federation.plugins.module_utils._module_info import argument_spec, gather
from ansible_collections.xmpp.federation.plugins.module_utils._records import material
from ansible_collections.xmpp.federation.plugins.module_utils._records.errors import RecordError
from ansible_collections.xmpp.federation.plugins.module_utils._respawn import find


def main() -> None:
    module = RecordModule(argument_spec())
    config_dir = module.params["config_dir"]
    if material.assigned(config_dir):
        find(module, "cryptography.x509", "cryptography", config_dir)
    try:
        found = gather(module.params)
    except RecordError as exc:
        module.fail_with(exc)
    else:
        module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
