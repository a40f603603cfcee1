#!/usr/bin/python
# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: federation_check
short_description: Find out step by step whether partners can be reached through an XMPP federation edge
version_added: 0.1.0
author: xmpp.federation contributors (@xmpp-federation)
description:
  - Has the running service try the way to each partner, from "federation is on" to an answered ping (XEP-0199), and tells for each
    step whether it worked, how long it took, and what to do where it did not.
  - It opens streams and sends pings, and changes nothing else, so it does the same in check mode.
  - Beside what C(xmpp-edge test) does, it knocks at the inside server as a partner would. That server is not to take such streams
    itself, for then nothing of what the edge is told would hold.
extends_documentation_fragment:
  - xmpp.federation._attributes
  - xmpp.federation._attributes.info_module
  - xmpp.federation._attributes.actiongroup_edge
  - xmpp.federation._edge
options:
  partners:
    description:
      - Domains of the partners to try.
      - Where it is left out, all partners are tried, each by the domain that names its record.
    type: list
    elements: str
  timeout:
    description: How many seconds all steps for one partner may take, 1 to 300. Several partners are tried at the same time.
    type: int
    default: 20
  strict:
    description:
      - Fail where a step failed.
      - Otherwise each such partner gives a warning, because it may well be the partner's fault.
    type: bool
    default: false
  run_dir:
    description:
      - The directory on the managed host in which the running service has its control socket.
    type: path
    default: /run/xmpp-edge
seealso:
  - module: xmpp.federation.edge_info
  - module: xmpp.federation.xmpp_partner
"""

EXAMPLES = r"""
- name: Try all partners, and warn of those that cannot be reached
  xmpp.federation.federation_check:

- name: Insist on one of them
  xmpp.federation.federation_check:
    partners:
      - partner.example
    strict: true
"""

RETURN = r"""
results:
  description: What was found, one entry for each partner.
  returned: always, unless the options or the records are refused
  type: list
  elements: dict
  contains:
    partner:
      description: The partner's domain as an A-label.
      type: str
      sample: partner.example
    passed:
      description: Whether no step failed.
      type: bool
    steps:
      description: The steps in the order in which they were tried.
      type: list
      elements: dict
      contains:
        step:
          description:
            - V(federation) is on, V(partner) is listed, V(srv) names hosts, V(tcp) opens to one of them, V(own_srv) leads to this edge,
              V(inside_link) is up, V(tls) is as the record wants it, V(certificate) proves the partner, V(method) is the one that
              was used, V(stream) is proven, V(ping) is answered, V(bypass) round the edge is closed.
            - V(service) stands in their place where the service does not run.
          type: str
          sample: stream
        result:
          description: How it went. A step is skipped where an earlier one leaves nothing to try.
          type: str
          sample: pass
        latency_ms:
          description: Milliseconds that it took; V(null) where it was skipped.
          type: float
          sample: 12.5
        diagnosis:
          description: What was found, and what to do about it.
          type: str
problems:
  description: What is wrong with the options or with the records, one entry for each thing.
  returned: when the options or the records are refused
  type: list
  elements: dict
"""

from ansible_collections.xmpp.federation.plugins.module_utils._module import RecordModule
from ansible_collections.xmpp.federation.plugins.module_utils._module_check import (
    argument_spec,
    check,
    remarks,
    warnings,
)
from ansible_collections.xmpp.federation.plugins.module_utils._records.errors import RecordError


def main() -> None:
    module = RecordModule(argument_spec())
    try:
        results = check(module.params)
    except RecordError as exc:
        module.fail_with(exc)
        return
    found = warnings(results)
    for text in remarks(module.params):
        module.warn(text)
    if found and module.params["strict"]:
        module.fail_json("; ".join(found), results=results)
    for text in found:
        module.warn(text)
    module.exit_json(changed=False, results=results)


if __name__ == "__main__":
    main()
