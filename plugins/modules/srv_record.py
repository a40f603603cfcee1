#!/usr/bin/python
# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: srv_record
short_description: Publish SRV records for XMPP federation by dynamic DNS update
version_added: 0.1.0
author: xmpp.federation contributors (@xmpp-federation)
description:
  - Makes the records C(_xmpp-server._tcp) and C(_xmpps-server._tcp) of our domains lead partners to the edge.
  - Works with every DNS server that takes dynamic updates (RFC 2136), such as BIND, Knot or PowerDNS, and signs queries and
    updates with TSIG.
  - Run it on the control node, or on any other host that reaches the server, with C(delegate_to).
  - The records are read first, with ordinary queries, and compared by what they mean. Only what differs is written, all records of a
    zone in one update. The update holds only if nobody else has changed the same records since they were read; only a time to live
    that somebody else has changed meanwhile goes unnoticed, because an update cannot ask for it.
  - A server that refuses, that is not authoritative, that fails or that does not answer makes the task fail, in check mode too. It is
    never taken for "there is no such record".
options:
  domain:
    description:
      - The domain that partners look up, the part after the C(@) of our users' addresses.
      - Names in other scripts are converted to A-labels.
    type: str
  service:
    description:
      - V(xmpp-server) is for servers that upgrade the connection to TLS or speak plain TCP, V(xmpps-server) for those that begin with TLS
        (XEP-0368).
      - Where this is left out, it is V(xmpp-server).
    type: str
    choices: [xmpp-server, xmpps-server]
  target:
    description:
      - The host that takes the connections, with its full name.
      - It must have addresses, in DNS or in O(addresses), and must not be an alias. SRV forbids both IP addresses and aliases.
      - If O(state=absent), the record that leads to this host. Where it is left out, all records of the domain and service.
      - A domain has one record for each target.
    type: str
  port:
    description:
      - The port that the host listens on.
      - A new record gets 5269, or 5270 if O(service=xmpps-server).
    type: int
  priority:
    description:
      - Targets with the lowest number are tried first.
      - A new record gets 0.
    type: int
  weight:
    description:
      - How much of the load a target gets among those of the same priority.
      - A new record gets 0.
    type: int
  ttl:
    description:
      - Time to live in seconds. All records of one domain and service share one.
      - It is given to the O(addresses) as well.
      - New records get 3600.
    type: int
  addresses:
    description:
      - The IPv4 and IPv6 addresses of the target. Its A and AAAA records become exactly these.
      - If O(state=absent), these addresses are taken away from the target.
      - Left out, address records are not touched.
    type: list
    elements: str
  state:
    description:
      - Whether the record is to be there.
      - Where this is left out, it is V(present).
    type: str
    choices: [present, absent]
  records:
    description:
      - Records to publish or remove, in one go.
      - An entry has the options that a single record has on the top level. Use one or the other.
      - An option that an entry leaves out keeps the value that the record has.
    type: list
    elements: dict
    suboptions:
      domain:
        description: See O(domain).
        type: str
        required: true
      service:
        description: See O(service).
        type: str
        choices: [xmpp-server, xmpps-server]
      target:
        description: See O(target).
        type: str
      port:
        description: See O(port).
        type: int
      priority:
        description: See O(priority).
        type: int
      weight:
        description: See O(weight).
        type: int
      ttl:
        description: See O(ttl).
        type: int
      addresses:
        description: See O(addresses).
        type: list
        elements: str
      state:
        description: See O(state).
        type: str
        choices: [present, absent]
  purge:
    description:
      - Remove every other target of the domains and services in O(records).
      - Domains that are not listed are not touched, because the zone may hold records that are none of our business.
    type: bool
    default: false
  server:
    description: Name or address of the primary DNS server of the zone, as seen from where the module runs.
    type: str
    required: true
  server_port:
    description: TCP port of the DNS server.
    type: int
    default: 53
  zone:
    description:
      - The zone that holds all the names.
      - Left out, the server is asked for the zone of each name, and they may be in different zones.
    type: str
  key_name:
    description:
      - Name of the TSIG key.
      - With O(key_file) it is needed only if the file holds several keys.
    type: str
  key_algorithm:
    description:
      - Algorithm of the TSIG key. With O(key_file), the file says it.
      - Without either it is V(hmac-sha256).
      - V(hmac-md5) and V(hmac-sha1) are for servers that know nothing better.
    type: str
    choices: [hmac-md5, hmac-sha1, hmac-sha224, hmac-sha256, hmac-sha384, hmac-sha512]
  key_secret:
    description:
      - The secret of the TSIG key, in Base64.
      - Where neither this nor O(key_file) is given, the module looks at the variables E(XMPP_FEDERATION_DNS_KEY_FILE),
        E(XMPP_FEDERATION_DNS_KEY_SECRET), E(XMPP_FEDERATION_DNS_KEY_NAME) and E(XMPP_FEDERATION_DNS_KEY_ALGORITHM) of its environment.
        This suits pipelines, which keep their secrets there.
    type: str
  key_file:
    description:
      - File with the TSIG key, as C(tsig-keygen) writes it, on the host where the module runs.
      - This keeps the secret out of the playbook and of the task's parameters.
    type: path
  timeout:
    description: How many seconds the server has for each of its answers.
    type: int
    default: 10
  verify:
    description:
      - Read the records again after an update, and fail if the server does not show them within O(timeout).
      - Then look at the other name servers of the zone, as long again, and warn of those that do not show them yet.
      - Look up targets that O(server) knows nothing about with the resolver of the host where the module runs, and refuse those that are
        aliases or have no address. Set this to V(false) where that resolver sees another DNS than the partners do.
    type: bool
    default: true
  resolver:
    description:
      - A resolver that is asked for the records after an update too, such as a public one that partners may use.
      - An address, with C(:port) where that is not 53. What it does not show yet is warned of.
      - It has no effect if O(verify=false).
    version_added: 0.2.0
    type: str
extends_documentation_fragment:
  - xmpp.federation._attributes
  - xmpp.federation._attributes.actiongroup_dns
attributes:
  check_mode:
    support: full
    details:
      - Asks the server as a real run does, with the same key, and sends no update.
      - Whether the key may update the zone shows in the real run only.
  diff_mode:
    support: full
  idempotent:
    support: full
  platform:
    platforms: posix
requirements:
  - dnspython 2.1 or later, where the module runs. The environment of an installed proxy has it and is used where it is found.
seealso:
  - module: community.general.nsupdate
"""

EXAMPLES = r"""
- name: Lead partners of example.org to the edge
  xmpp.federation.srv_record:
    domain: example.org
    target: edge.example.org
    addresses: [192.0.2.10, "2001:db8::10"]
    server: ns1.example.org
    key_file: /etc/ansible/keys/edge.key
  delegate_to: localhost

- name: Publish all domains with two edges each, and nothing else
  xmpp.federation.srv_record:
    records:
      - {domain: example.org, target: edge1.example.org, priority: 10}
      - {domain: example.org, target: edge2.example.org, priority: 20}
      - {domain: example.net, target: edge1.example.org, priority: 10}
      - {domain: example.net, target: edge2.example.org, priority: 20}
    purge: true
    server: 192.0.2.53
    key_name: edge
    key_secret: "{{ vault_dns_key }}"
  delegate_to: localhost
  run_once: true

- name: Show what a change would do, without an update
  xmpp.federation.srv_record:
    domain: example.org
    target: edge.example.org
    port: 5299
    server: ns1.example.org
    key_file: /etc/ansible/keys/edge.key
  delegate_to: localhost
  check_mode: true
  diff: true

- name: Publish with the key that a pipeline has in XMPP_FEDERATION_DNS_KEY_NAME and XMPP_FEDERATION_DNS_KEY_SECRET
  xmpp.federation.srv_record:
    domain: example.org
    target: edge.example.org
    server: ns1.example.org
    resolver: 9.9.9.9
  delegate_to: localhost

- name: Take a domain out of federation
  xmpp.federation.srv_record:
    domain: example.org
    state: absent
    server: ns1.example.org
    key_file: /etc/ansible/keys/edge.key
  delegate_to: localhost
"""

RETURN = r"""
records:
  description:
    - One entry for each record that was asked for, in the same order. It is a list for a single record too.
    - An entry that is absent shows what was removed.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The full name of the record.
      type: str
      sample: _xmpp-server._tcp.example.org
    domain:
      description: The domain in A-labels.
      type: str
      sample: example.org
    service:
      description: The service.
      type: str
      sample: xmpp-server
    target:
      description: The host, or V(null) where all targets were to be removed.
      type: str
      sample: edge.example.org
    port:
      description: The port, or V(null) where there is no record.
      type: int
      sample: 5269
    priority:
      description: The priority, or V(null) where there is no record.
      type: int
      sample: 0
    weight:
      description: The weight, or V(null) where there is no record.
      type: int
      sample: 0
    ttl:
      description: The time to live, or V(null) where there is no record.
      type: int
      sample: 3600
    addresses:
      description: The addresses of the target, or V(null) where they were not asked for.
      type: list
      elements: str
      sample: [192.0.2.10]
    zone:
      description: The zone that holds the record.
      type: str
      sample: example.org
    state:
      description: Whether the record was to be there.
      type: str
      sample: present
    changed:
      description: Whether this record, or an address of its target, was changed.
      type: bool
      sample: true
servers:
  description:
    - What the other name servers of the zones, and the O(resolver), show after the update.
    - Empty where nothing was written, in check mode, and if O(verify=false).
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the server, or address of the resolver.
      type: str
      sample: ns2.example.org
    zone:
      description: The zone, or V(null) for the resolver.
      type: str
      sample: example.org
    state:
      description: V(shown), V(behind) if it shows something else so far, V(unreachable) if it gave no usable answer.
      type: str
      sample: shown
    text:
      description: What it shows instead, or why it gives no answer.
      type: str
      sample: ""
rcode:
  description: The server's response code, or C(TIMEOUT), C(UNREACHABLE), C(CONFLICT) or C(MISMATCH).
  returned: when the server did not do what was asked
  type: str
  sample: REFUSED
applied:
  description: The record sets that had been changed when the task failed, because they went out in an earlier update.
  returned: when the server did not do what was asked
  type: list
  elements: str
  sample: ["_xmpp-server._tcp.example.org SRV"]
problems:
  description: What is wrong with the options, all of it.
  returned: when the options are refused
  type: list
  elements: dict
  contains:
    where:
      description: The entry, empty for an option on the top level.
      type: str
      sample: records[3]
    key:
      description: The option.
      type: str
      sample: target
    message:
      description: What is wrong.
      type: str
      sample: 192.0.2.10 is an address, and SRV leads to host names only
    remedy:
      description: How to put it right.
      type: str
      sample: give a host name, and its addresses as `addresses`
"""

from ..module_utils._dns_update_module import OPTIONS, read_options, run
from ..module_utils._module import RecordModule
from ..module_utils._respawn import require


def main() -> None:
    module = RecordModule(OPTIONS, read_options)
    require(module, "dns", "dnspython")
    run(module)


if __name__ == "__main__":
    main()
