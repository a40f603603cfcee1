#!/usr/bin/python
# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: edge_config
short_description: Manage the settings of an XMPP federation edge
version_added: 0.1.0
description:
  - Writes what holds for the edge as a whole. That is our own domains, the switch for all federation, the listeners,
    the link to the inside server, limits, timers and secrets.
  - Options that are left out leave a setting as it is. On a new edge they leave it at its default.
  - The service reads the settings when it starts or reloads; this module does neither.
author: xmpp.federation contributors (@xmpp-federation)
extends_documentation_fragment:
  - xmpp.federation._attributes
  - xmpp.federation._attributes.actiongroup_edge
  - xmpp.federation._edge
attributes:
  check_mode:
    support: full
    details:
      - A secret file that does not exist yet is no error in check mode, because an earlier task may be about to write
        it.
  diff_mode:
    support: full
    details:
      - Secrets are hidden. The diff shows whether one is set and whether it changes.
  idempotent:
    support: full
options:
  domains:
    description:
      - Our own domains, all of them. Case, order and a trailing dot do not matter. The list replaces the one before.
      - None of them can be a domain of a partner.
    type: list
    elements: str
  allow_federated_users:
    description:
      - The switch for all federation. While it is off the edge accepts no stream and opens none. It is off by
        default.
    type: bool
  listen:
    description:
      - The addresses to listen on for partners. These are V(0.0.0.0) and V(::) by default.
    type: list
    elements: str
  listen_port:
    description:
      - The port to listen on for partners, 5269 by default.
    type: int
  direct_tls_port:
    description:
      - The port to listen on for partners that speak TLS from the first byte (XEP-0368), at the same addresses. Without
        one, which is the default, and with V(0) there is no such listener. It cannot be O(listen_port).
      - Partners find it by SRV records C(_xmpps-server._tcp). It is of use only with a certificate, see
        M(xmpp.federation.edge_certificate).
    type: int
    version_added: 0.2.0
  inside:
    description:
      - The link to the XMPP server of our users. Keys that are left out stay as they are.
    type: dict
    suboptions:
      server:
        description:
          - Which software it is, because each takes a component in its own way. This is V(prosody) by default.
        type: str
        choices: [prosody, ejabberd, other]
      host:
        description:
          - The host name or address of its component listener, V(127.0.0.1) by default.
        type: str
      port:
        description:
          - The port of its component listener, 5347 by default.
        type: int
      tls:
        description:
          - Whether the link is encrypted. Prosody's component listener cannot do that.
        type: bool
      ca_file:
        description:
          - The certificates that its certificate has to be signed by, a file on the managed host. An empty text
            clears it.
        type: path
      secret:
        description:
          - The secret that the edge shows to the inside server.
        type: str
      secret_file:
        description:
          - A file on the managed host that holds this secret, as an alternative to O(inside.secret). A newline at its
            end does not count.
        type: path
  connection_limit:
    description:
      - How many connections with all partners together there may be, whoever has opened them, 1000 by default.
    type: int
  partner_connection_limit:
    description:
      - How many connections with one partner there may be, whoever has opened them, 20 by default. It cannot be higher than
        O(connection_limit).
      - A partner whose server has no bidirectional streams (XEP-0288) needs two for each pair of domains.
    type: int
  unauthenticated_limit:
    description:
      - How many connections may be open that have not proven yet who they are, 500 by default. Beyond that the oldest
        is closed.
    type: int
  keepalive_interval:
    description:
      - Where O(xmpp.federation.xmpp_partner#module:keepalive) of the partner is V(true), for how many seconds a stream may be
        silent, 300 by default. Streams to the partner are kept alive by whitespace before that. Streams from the partner
        are closed when nothing was heard for so long.
    type: int
  stream_establishment_timeout:
    description:
      - How many seconds a stream may take until it has proven who it is, 60 by default.
    type: int
  stream_inactivity_timeout:
    description:
      - After how many seconds without a stanza a stream is closed, 600 by default.
    type: int
  resolvers:
    description:
      - The DNS servers to ask, in this order, each as V(address), V(address:port) or V([IPv6 address]:port). With an
        empty list, which is the default, the system's are asked.
    type: list
    elements: str
  ca_file:
    description:
      - The CA certificates that the certificate of a partner has to come from, in PEM, a file on the managed host that
        the service can read. A partner may have a O(xmpp.federation.xmpp_partner#module:ca_file) of its own.
      - Without one, which is the default, those that the host trusts are taken. An empty text clears it.
    type: path
    version_added: 0.2.0
  check_crls:
    description:
      - Whether certificate revocation lists are asked about the certificate of a partner. They are the files in
        C(crls) below O(config_dir); M(xmpp.federation.edge_crl) fetches them.
      - With V(if_available), the default, a certificate is not trusted if it stands on a list of its CA. Where there is
        no list of that CA it passes.
      - With V(always) there also has to be a list in force of every CA on the way to the root, else the certificate is
        not trusted. With V(never) no list is looked at.
    type: str
    version_added: 0.2.0
    choices: [never, if_available, always]
  log_message_bodies:
    description:
      - Whether the text of messages is written to the log. It is not by default.
    type: bool
  archiving_disclaimer:
    description:
      - What users of partners are told when one of ours writes to them, such as that messages are kept. Without a text, which is the
        default, they are told nothing. An empty text clears it.
      - It is a message of its own from the domain of our user, ahead of the first message of a conversation. After twelve hours in which
        ours has not written, another conversation begins.
    type: str
    version_added: 0.2.0
  dialback_secret:
    description:
      - The secret behind the keys of Server Dialback. All hosts of one edge need the same.
      - Where there is none and none is given a random one is made.
    type: str
  dialback_secret_file:
    description:
      - A file on the managed host that holds this secret, as an alternative to O(dialback_secret). A newline at its
        end does not count.
    type: path
  state:
    description:
      - With V(default) every setting that this call does not name goes back to its default. Secrets stay.
      - With V(present), which is meant where this is left out, such settings stay as they are.
    type: str
    choices: [present, default]
seealso:
  - module: xmpp.federation.xmpp_partner
  - module: xmpp.federation.external_access_policy
  - module: xmpp.federation.edge_crl
  - module: xmpp.federation.edge_info
"""

EXAMPLES = r"""
- name: Let users of two domains federate
  xmpp.federation.edge_config:
    domains:
      - inside.example
      - bücher.example
    allow_federated_users: true
    inside:
      server: prosody
      host: 10.0.0.5
      secret: "{{ inside_secret }}"

- name: Stop all federation at once
  xmpp.federation.edge_config:
    allow_federated_users: false

- name: Exactly these settings, and the defaults for all others
  xmpp.federation.edge_config:
    state: default
    domains:
      - inside.example
    allow_federated_users: true
    connection_limit: 5000

- name: Say to users of partners that messages are kept
  xmpp.federation.edge_config:
    archiving_disclaimer: Messages with users of inside.example are archived.

- name: One dialback secret for all hosts of the edge
  xmpp.federation.edge_config:
    dialback_secret_file: /root/dialback-secret
"""

RETURN = r"""
edge:
  description:
    - All settings as they are after the call, with the names of the options. The secrets are not among them.
  returned: success
  type: dict
  sample:
    allow_federated_users: true
    archiving_disclaimer: null
    ca_file: null
    check_crls: if_available
    connection_limit: 1000
    direct_tls_port: null
    domains: [inside.example, xn--bcher-kva.example]
    inside:
      ca_file: null
      host: 10.0.0.5
      port: 5347
      server: prosody
      tls: false
    keepalive_interval: 300
    listen: ["0.0.0.0", "::"]
    listen_port: 5269
    log_message_bodies: false
    partner_connection_limit: 20
    resolvers: []
    stream_establishment_timeout: 60
    stream_inactivity_timeout: 600
    unauthenticated_limit: 500
secrets_set:
  description:
    - Which secrets are set, of V(dialback_secret) and V(inside_secret).
  returned: success
  type: list
  elements: str
  sample: [dialback_secret, inside_secret]
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
from ansible_collections.xmpp.federation.plugins.module_utils._module_edge import argument_spec, make_draft
from ansible_collections.xmpp.federation.plugins.module_utils._records.edge import FIELDS


def main() -> None:
    run(record_module(argument_spec(), make_draft, FIELDS), make_draft)


if __name__ == "__main__":
    main()
