#!/usr/bin/python
# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: edge_certificate
short_description: Request, import and assign the certificate of an XMPP edge
version_added: 0.1.0
author: xmpp.federation contributors (@xmpp-federation)
description:
  - Does what a certificate wizard does, as one desired state. It makes a key and a request, takes the answer of the certificate authority,
    checks it, and assigns it to the edge.
  - Each key has a directory of its own, a generation C(certificates/<id>.<number>), with its request and its certificate. A key is never
    replaced. A request that needs another key makes another generation, and what is in use stays in use until the new key has its
    certificate.
  - The link C(certificates/<id>) names the generation with the current request, the link C(assigned/<usage>) the one that the edge uses.
    Assigning is one rename of that link, and C(assigned/<usage>.previous) keeps what was assigned before.
  - Options that are left out keep what the current request says.
  - The service is not told. What uses this module has to reload it when RV(ignore:changed) is true.
options:
  id:
    description:
      - Name of the certificate below C(<config_dir>/certificates), made of letters, digits, C(-) and C(_).
      - Where this is left out, it is the O(usage).
    type: str
  usage:
    description:
      - What the certificate is assigned to. V(external) is the side of the edge that partners see.
      - Where this is left out, it is V(external).
    type: str
    choices: [external]
  friendly_name:
    description: A name for people. It is kept beside the key, and is not part of the request.
    type: str
  key_type:
    description:
      - Type of the key.
      - A new request has V(rsa).
      - Another type makes a new key, and needs a new certificate.
    type: str
    choices: [rsa, ec_p256, ec_p384, ec_p521]
  key_size:
    description:
      - Length of an RSA key in bits, at least 2048.
      - A new request has 2048. The other types have the length in their names.
      - Another length makes a new key, and needs a new certificate.
    type: int
  exportable:
    description:
      - Whether the key may be used on other hosts, for instance on several edges behind one name.
      - A key that is not exportable is bound to the host that it was made on. This module refuses to work with it anywhere else.
      - A new request has V(true). The mark cannot be changed afterwards, so a change makes a new key.
    type: bool
  common_name:
    description:
      - Common name of the subject. It is added to the subject alternative names, because nobody looks for it anywhere else.
      - A new request has the first of O(xmpp_domains), O(sip_domains) or O(extra_sans). Another one takes its place when that name is not
        among them any more.
    type: str
  organization:
    description: Organization in the subject. Empty takes it out.
    type: str
  organizational_unit:
    description: Organizational unit in the subject. Empty takes it out.
    type: str
  country:
    description: Country in the subject, as two letters. Empty takes it out.
    type: str
  state_or_province:
    description: State or province in the subject. Empty takes it out.
    type: str
  city:
    description: City in the subject. Empty takes it out.
    type: str
  sip_domains:
    description: Domains for which C(sip.<domain>) is added to the subject alternative names.
    type: list
    elements: str
  xmpp_domains:
    description:
      - Domains of our users. Each is added to the subject alternative names as DNS name, as SRVName C(_xmpp-server.<domain>) and as
        xmppAddr.
      - A certificate is refused unless it covers all of them.
    type: list
    elements: str
  extra_sans:
    description: Further host names and IP addresses for the subject alternative names. A name may begin with C(*.).
    type: list
    elements: str
  dns_names_only:
    description:
      - Whether the request names the O(xmpp_domains) as DNS names only, without SRVName and xmppAddr.
      - Public CAs certify nothing else, and C(community.crypto) refuses to send other requests to an ACME CA.
      - A new request has V(false).
    version_added: 0.2.0
    type: bool
  key_usage:
    description:
      - What the key may be used for, in the words of RFC 5280, such as V(digitalSignature), or of OpenSSL, such as V(Digital Signature).
      - A new request has V(digitalSignature), with an RSA key V(keyEncipherment) too. An empty list asks for nothing.
    version_added: 0.2.0
    type: list
    elements: str
  extended_key_usage:
    description:
      - What the certificate may be used for. V(serverAuth), V(clientAuth) and further names or OIDs.
      - A new request has V(serverAuth). A certificate that is issued here has V(clientAuth) too.
      - Public CAs do not certify V(clientAuth) any more, and this proxy does not need it. ejabberd before 25.07 and some other servers take SASL
        EXTERNAL only from a certificate that has it. Where you need them and your CA still gives it, ask for V(serverAuth) and
        V(clientAuth). Without it those partners fall back to dialback.
      - An empty list asks for nothing.
    version_added: 0.2.0
    type: list
    elements: str
  digest:
    description:
      - Digest of the signature of the request, and of a certificate that is issued here.
      - A new request has V(sha256).
    type: str
    choices: [sha256, sha384, sha512]
  certificate:
    description:
      - The certificate that the authority has made of the request. Others that come with it are taken as its chain, in whatever order.
      - A file on the managed host in PEM, DER, PKCS#7 (C(.p7b)) or PKCS#12 (C(.pfx)); or the text itself, in PEM or, for DER and PKCS#7, in base64.
      - A PFX is taken from a file only, and a text with a private key is refused, because everybody would get to see the key. The key of
        a PFX is kept as a generation of its own where it is not here yet, and what options leave open is taken from its certificate.
      - It must belong to one of the keys of this certificate, cover every XMPP domain, be valid, be meant for servers, and have a chain that
        ends. Of several that belong here, the one that lasts longest is taken.
      - Where there is no such file yet, the task makes the request and ends well, with RV(certificates[].pending) true.
    type: str
  chain:
    description:
      - Certificates between O(certificate) and the root, as PEM, DER or PKCS#7, given like O(certificate). Their order is put right.
      - The chain has to end at a root that is given here or as O(ca_cert), or at a CA that the host trusts. A self-signed O(certificate) ends there.
      - The root itself is not sent to partners and so not kept.
    type: str
  password:
    description: Password of the PFX.
    version_added: 0.2.0
    type: str
  issue:
    description:
      - How to get a certificate without asking anybody, for laboratories and closed networks.
      - With V(self_signed), the key signs its own certificate. With V(own_ca), O(ca_cert) and O(ca_key) do.
      - The certificate is good for servers and clients and for 365 days. A new one, with a new key, is made when it has expired, when it
        ends within O(renew_before), or when anything that it says is to change.
      - Where this is left out, it is V(none).
    type: str
    choices: [none, self_signed, own_ca]
  ca_cert:
    description:
      - Certificate of the CA, in PEM, as text or as a file on the managed host.
      - Certificates of higher CAs may follow. All but self-signed ones go into the chain.
      - Beside O(certificate), the root (and further CAs) of a private CA that the host does not trust.
    type: str
  ca_key:
    description: Key of the CA (RSA or elliptic curve), in PEM, as text or as a file on the managed host.
    type: str
  ca_key_passphrase:
    description: Passphrase of O(ca_key).
    type: str
  renew_before:
    description:
      - Renew the certificate when it ends within so many days. A new key and request are made beside it, or a new certificate where O(issue)
        says how. The old one stays in use until the new one is in hand.
      - Where this is left out, nothing is renewed. A certificate that was issued here is replaced once it has expired.
    version_added: 0.2.0
    type: int
  effective_date:
    description:
      - When to put the certificate to use, as V(2026-12-01) or V(2026-12-01T03:00:00Z). Without a zone it is in UTC.
      - The certificate is imported or issued now and may become valid as late as then, but has to last longer. The first run at or after
        that date assigns it.
      - The date is kept with the certificate. Empty takes it back. A certificate that is in use already is left in use.
    version_added: 0.2.0
    type: str
  previous:
    description:
      - With V(true), what was assigned before is assigned again. A second run changes nothing.
      - What was taken out of use so stays out of use until this is V(false), also for runs that leave this option out. Another certificate
        is assigned as ever.
    version_added: 0.2.0
    type: bool
  regenerate:
    description:
      - What to do when the key in hand is not what is asked for. A key is never overwritten or removed. Another one is made beside it.
      - With V(never) the key in hand is kept whatever O(key_type), O(key_size) and O(exportable) say. New requests are made for the same key.
      - With V(fail) another type, size or exportability is an error.
      - With V(partial_idempotence) it makes another key. A key that cannot be read is an error.
      - With V(full_idempotence) a key that cannot be read is passed over, and another one is made.
      - With V(always) each run makes another key and request.
      - Where this is left out, it is V(partial_idempotence).
    version_added: 0.2.0
    type: str
    choices: [never, fail, partial_idempotence, full_idempotence, always]
  state:
    description:
      - How far to go. V(requested) makes key and request, V(imported) also takes the certificate, V(assigned) also puts it to use.
      - V(imported) and V(assigned) go as far as they can. Without a certificate they make the request and report that it is pending.
      - V(absent) takes it out of use and removes all keys, requests and certificates of this O(id).
      - Where this is left out, it is V(assigned).
    type: str
    choices: [requested, imported, assigned, absent]
  certificates:
    description:
      - Several certificates in one go.
      - An entry has the options that a single certificate has on the top level. Use one or the other.
    type: list
    elements: dict
    suboptions:
      id:
        description: See O(id).
        type: str
      usage:
        description: See O(usage).
        type: str
        choices: [external]
      friendly_name:
        description: See O(friendly_name).
        type: str
      key_type:
        description: See O(key_type).
        type: str
        choices: [rsa, ec_p256, ec_p384, ec_p521]
      key_size:
        description: See O(key_size).
        type: int
      exportable:
        description: See O(exportable).
        type: bool
      common_name:
        description: See O(common_name).
        type: str
      organization:
        description: See O(organization).
        type: str
      organizational_unit:
        description: See O(organizational_unit).
        type: str
      country:
        description: See O(country).
        type: str
      state_or_province:
        description: See O(state_or_province).
        type: str
      city:
        description: See O(city).
        type: str
      sip_domains:
        description: See O(sip_domains).
        type: list
        elements: str
      xmpp_domains:
        description: See O(xmpp_domains).
        type: list
        elements: str
      extra_sans:
        description: See O(extra_sans).
        type: list
        elements: str
      dns_names_only:
        description: See O(dns_names_only).
        type: bool
      key_usage:
        description: See O(key_usage).
        type: list
        elements: str
      extended_key_usage:
        description: See O(extended_key_usage).
        type: list
        elements: str
      digest:
        description: See O(digest).
        type: str
        choices: [sha256, sha384, sha512]
      certificate:
        description: See O(certificate).
        type: str
      chain:
        description: See O(chain).
        type: str
      password:
        description: See O(password).
        type: str
      issue:
        description: See O(issue).
        type: str
        choices: [none, self_signed, own_ca]
      ca_cert:
        description: See O(ca_cert).
        type: str
      ca_key:
        description: See O(ca_key).
        type: str
      ca_key_passphrase:
        description: See O(ca_key_passphrase).
        type: str
      renew_before:
        description: See O(renew_before).
        type: int
      effective_date:
        description: See O(effective_date).
        type: str
      previous:
        description: See O(previous).
        type: bool
      regenerate:
        description: See O(regenerate).
        type: str
        choices: [never, fail, partial_idempotence, full_idempotence, always]
      state:
        description: See O(state).
        type: str
        choices: [requested, imported, assigned, absent]
extends_documentation_fragment:
  - xmpp.federation._edge
  - xmpp.federation._attributes
  - xmpp.federation._attributes.actiongroup_edge
attributes:
  check_mode:
    support: full
    details:
      - What cannot be known before a key or certificate is made, such as its fingerprint, is V(null) in check mode.
      - A host that has neither keys nor C(cryptography) yet is told what it will get. A CA of our own is not looked at then.
  diff_mode:
    support: full
    details:
      - Shows subject, names, type and size of the key, digest, and what is known of the certificate. Never the key.
  idempotent:
    support: partial
    details:
      - With O(regenerate=always) each run makes another key. Everything else is idempotent.
      - What O(renew_before) and O(effective_date) ask for changes something on the day that they name.
  platform:
    platforms: posix
requirements:
  - cryptography 36 or later on the managed host. The environment of the installed proxy has it and is used where it is found.
seealso:
  - module: community.crypto.openssl_csr
  - module: community.crypto.x509_certificate
"""

EXAMPLES = r"""
- name: Make key and request
  xmpp.federation.edge_certificate:
    state: requested
    friendly_name: Edge 2026
    common_name: edge.example.org
    organization: Example
    country: DE
    sip_domains: [example.org]
    xmpp_domains: [example.org, example.net]
  register: edge_request

- name: Keep the request on the control node, for the public CA
  ansible.builtin.copy:
    content: "{{ edge_request.certificates[0].csr }}"
    dest: edge.csr
    mode: "0644"
  delegate_to: localhost
  become: false
  when: not ansible_check_mode

- name: Import and assign the answer of the CA, once it is there
  xmpp.federation.edge_certificate:
    xmpp_domains: [example.org, example.net]
    certificate: /root/edge-fullchain.pem

- name: Issue a certificate from the laboratory's own CA
  xmpp.federation.edge_certificate:
    xmpp_domains: [a.example, b.example]
    key_type: ec_p256
    issue: own_ca
    ca_cert: "{{ lookup('ansible.builtin.file', 'lab-ca.pem') }}"
    ca_key: "{{ vault_lab_ca_key }}"

- name: See what a longer key would do to the current certificate
  xmpp.federation.edge_certificate:
    key_type: rsa
    key_size: 4096
    state: requested
  check_mode: true
  diff: true

- name: Make requests for two certificates in one go
  xmpp.federation.edge_certificate:
    certificates:
      - id: main
        xmpp_domains: [example.org, example.net]
        key_type: ec_p256
        state: requested
      - id: spare
        xmpp_domains: [example.org, example.net]
        extended_key_usage: [serverAuth, clientAuth]
        state: requested

- name: Import what another host or a CA has packed with its key, to be used from the first of December
  xmpp.federation.edge_certificate:
    xmpp_domains: [example.org, example.net]
    certificate: /root/edge.pfx
    password: "{{ vault_pfx_password }}"
    effective_date: "2026-12-01"

- name: Import the answer of a private CA that the host does not trust
  xmpp.federation.edge_certificate:
    certificate: /root/edge.p7b
    ca_cert: /root/private-root.pem

- name: Issue from the laboratory's own CA, and again a month before the end
  xmpp.federation.edge_certificate:
    xmpp_domains: [a.example, b.example]
    issue: own_ca
    ca_cert: "{{ lookup('ansible.builtin.file', 'lab-ca.pem') }}"
    ca_key: "{{ vault_lab_ca_key }}"
    renew_before: 30

- name: Have a new request a month before the certificate of the public CA ends, and import the answer when it is there
  xmpp.federation.edge_certificate:
    xmpp_domains: [example.org, example.net]
    certificate: /root/edge-fullchain.pem
    renew_before: 30

- name: Go back to the certificate that was in use before
  xmpp.federation.edge_certificate:
    previous: true

- name: Make the request that ACME takes; playbooks/certificate_acme.yml does the whole
  xmpp.federation.edge_certificate:
    state: requested
    xmpp_domains: [example.org, example.net]
    dns_names_only: true
    renew_before: 30

- name: Take the certificate out of use and remove it
  xmpp.federation.edge_certificate:
    id: external
    state: absent
"""

RETURN = r"""
certificates:
  description: One entry for each certificate that was asked for, in the same order. It is a list for a single certificate too.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: Name of the certificate.
      type: str
      sample: external
    usage:
      description: What it is for.
      type: str
      sample: external
    state:
      description: How far it was to go.
      type: str
      sample: assigned
    stage:
      description: How far it got.
      type: str
      sample: requested
    pending:
      description:
        - Whether the current request still waits for its certificate. An older certificate may be in use meanwhile.
        - Always V(false) with O(state=requested), which waits for none.
      type: bool
      sample: true
    next_step:
      description: What has to be done where it is pending or waits for its O(effective_date), else V(null).
      type: str
      sample: Have /etc/xmpp-edge/certificates/external/csr.pem signed, and give the answer as `certificate`.
    changed:
      description: Whether this certificate was changed.
      type: bool
      sample: true
    friendly_name:
      description: The name for people.
      type: str
      sample: Edge 2026
    key_type:
      description: Type of the key of the current request.
      type: str
      sample: rsa
    key_size:
      description: Size of that key in bits.
      type: int
      sample: 2048
    exportable:
      description: Whether that key may be used on other hosts.
      type: bool
      sample: true
    subject:
      description: Subject of the current request, by options.
      type: dict
      sample: {"common_name": "edge.example.org"}
    names:
      description: Subject alternative names of the current request, with domains in A-labels.
      type: list
      elements: str
      sample: ["DNS:example.org", "SRVName:_xmpp-server.example.org", "xmppAddr:example.org"]
    digest:
      description: Digest of the current request.
      type: str
      sample: sha256
    key_usage:
      description: Key usages of the current request.
      type: list
      elements: str
      sample: [digitalSignature, keyEncipherment]
    extended_key_usage:
      description: Extended key usages of the current request.
      type: list
      elements: str
      sample: [serverAuth]
    csr_path:
      description: Where the current request is.
      type: str
      sample: /etc/xmpp-edge/certificates/external/csr.pem
    csr:
      description: The current request in PEM, or V(null) where check mode only foresees it.
      type: str
      sample: "-----BEGIN CERTIFICATE REQUEST-----..."
    key_path:
      description: Where the key of the certificate is, or that of the request where there is no certificate.
      type: str
      sample: /etc/xmpp-edge/certificates/external.1/key.pem
    certificate_path:
      description: Where the certificate in hand is, or V(null).
      type: str
      sample: /etc/xmpp-edge/certificates/external.1/cert.pem
    chain_path:
      description: Where its chain is, or V(null).
      type: str
      sample: /etc/xmpp-edge/certificates/external.1/chain.pem
    fingerprint:
      description: SHA-256 fingerprint of the certificate in hand, or V(null).
      type: str
      sample: 4c2ab1...
    issuer:
      description: Issuer of the certificate in hand, or V(null).
      type: str
      sample: CN=Example CA
    serial:
      description: Serial number of the certificate in hand in hexadecimal, or V(null).
      type: str
      sample: 1f00a3
    not_before:
      description: Since when the certificate in hand is valid, or V(null).
      type: str
      sample: "2026-11-22T12:00:00Z"
    not_after:
      description: Until when the certificate in hand is valid, or V(null).
      type: str
      sample: "2027-11-22T12:00:00Z"
    days_left:
      description: Full days until the certificate in hand ends, or V(null).
      type: int
      sample: 364
    effective_date:
      description: When the certificate in hand is to be put to use, where that is still to come, else V(null).
      type: str
      sample: "2026-12-01T00:00:00Z"
    previous:
      description: The generation that was assigned before, or V(null).
      type: str
      sample: external.1
problems:
  description: What is wrong with the options or the certificates, all of it.
  returned: when the options are refused
  type: list
  elements: dict
  contains:
    where:
      description: The entry, empty for an option on the top level.
      type: str
      sample: certificates[1]
    key:
      description: The option.
      type: str
      sample: certificate
    message:
      description: What is wrong.
      type: str
      sample: it does not cover the XMPP domain example.net
    remedy:
      description: How to put it right.
      type: str
      sample: have the current request signed; it names the domain
"""

from ..module_utils._certificate_module import can_do_without, run
from ..module_utils._certificate_options import OPTIONS, wanted
from ..module_utils._module import RecordModule
from ..module_utils._respawn import find


def main() -> None:
    module = RecordModule(OPTIONS, wanted)
    config_dir = module.params["config_dir"]
    missing = find(module, "cryptography.x509", "cryptography", config_dir)
    if missing and not can_do_without(module.check_mode, config_dir):
        module.fail_json(msg=missing)
    run(module)


if __name__ == "__main__":
    main()
