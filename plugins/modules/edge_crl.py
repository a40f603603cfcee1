#!/usr/bin/python
# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: edge_crl
short_description: Keep the certificate revocation lists of an XMPP federation edge up to date
version_added: 0.2.0
description:
  - Fetches the lists that CAs publish of certificates that are valid no longer, and puts them where the service of the
    edge looks for them, which is the directory C(crls) below O(config_dir).
  - What came is read before it takes the place of a list that is there. What cannot be had, is no list, or is older than
    the list in use gives a warning, and what is in use stays.
  - Run it again before the lists run out, for instance by a scheduled run of the playbook. How much they count is up to
    O(xmpp.federation.edge_config#module:check_crls).
author: xmpp.federation contributors (@xmpp-federation)
extends_documentation_fragment:
  - xmpp.federation._attributes
  - xmpp.federation._attributes.actiongroup_edge
  - xmpp.federation._edge
attributes:
  check_mode:
    support: full
    details:
      - Lists are fetched, and not kept. On a host where nothing can read a list yet they are not fetched either.
  diff_mode:
    support: full
  idempotent:
    support: full
    details:
      - A list that its CA has published anew is a change.
options:
  name:
    description:
      - The name of the file. It is the last part of O(url) or O(src) where it is left out.
    type: str
  url:
    description:
      - Where the managed host fetches the list, with C(http://) or C(https://). A list is signed, so plain HTTP does no
        harm, and is what CAs use.
      - It may be in DER or in PEM, and have up to 32 MiB.
    type: str
  src:
    description:
      - A file on the managed host that holds the list, as an alternative to O(url).
    type: path
  state:
    description:
      - Whether the list is there. V(present) is meant where this is left out.
    type: str
    choices: [present, absent]
  crls:
    description:
      - The lists that this call is about, when there are several. It cannot be given together with the options of a
        single one.
    type: list
    elements: dict
    suboptions:
      name:
        description: See O(name).
        type: str
      url:
        description: See O(url).
        type: str
      src:
        description: See O(src).
        type: path
      state:
        description: See O(state).
        type: str
        choices: [present, absent]
  purge:
    description:
      - Remove every list that O(crls) does not name.
    type: bool
  strict:
    description:
      - Fail where a list cannot be had, in place of a warning. The others are put in place all the same.
    type: bool
  timeout:
    description:
      - How many seconds each list may take.
    type: int
    default: 20
requirements:
  - cryptography, on the managed host. The environment of an installed proxy has it and is used where it is found.
seealso:
  - module: xmpp.federation.edge_config
  - module: xmpp.federation.xmpp_partner
"""

EXAMPLES = r"""
- name: Exactly these lists
  xmpp.federation.edge_crl:
    purge: true
    crls:
      - url: http://crl.ca.example/root.crl
      - url: http://crl.ca.example/servers?format=der
        name: servers.crl

- name: A list that came by another way
  xmpp.federation.edge_crl:
    src: /var/lib/mirror/partners.crl
"""

RETURN = r"""
crls:
  description:
    - The lists that the call names, as they are after it.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The name of the file.
      type: str
    path:
      description: The file.
      type: str
    source:
      description: Where it comes from.
      type: str
    changed:
      description: Whether another list has come.
      type: bool
    error:
      description: Why none could be had, or nothing.
      type: str
    issuer:
      description: The name of the CA. This and the following are about the list in place, and nothing where there is none.
      type: str
    this_update:
      description: When the CA has made it, in UTC.
      type: str
    next_update:
      description: Until when it counts, in UTC, or nothing where it does not say.
      type: str
    revoked:
      description: How many certificates are on it.
      type: int
  sample:
    - changed: true
      error: null
      issuer: CN=Example CA
      name: root.crl
      next_update: "2026-12-01T00:00:00Z"
      path: /etc/xmpp-edge/crls/root.crl
      revoked: 3
      source: http://crl.ca.example/root.crl
      this_update: "2026-11-01T00:00:00Z"
removed:
  description: The names of lists that are there no longer.
  returned: success
  type: list
  elements: str
  sample: []
problems:
  description: What is wrong with the options, one entry for each thing.
  returned: when the options are refused
  type: list
  elements: dict
  contains:
    where:
      description: The entry of the list.
      type: str
    key:
      description: The option.
      type: str
    message:
      description: What is wrong with it.
      type: str
    remedy:
      description: What to do about it.
      type: str
"""

from ansible_collections.xmpp.federation.plugins.module_utils._crl_module import can_do_without, run
from ansible_collections.xmpp.federation.plugins.module_utils._crl_options import argument_spec, wanted
from ansible_collections.xmpp.federation.plugins.module_utils._module import RecordModule
from ansible_collections.xmpp.federation.plugins.module_utils._respawn import find


def main() -> None:
    module = RecordModule(argument_spec(), wanted)
    config_dir = module.params["config_dir"]
    missing = find(module, "cryptography.x509", "cryptography", config_dir)
    if missing and not can_do_without(module.check_mode, config_dir):
        module.fail_json(msg=missing)
    run(module)


if __name__ == "__main__":
    main()
