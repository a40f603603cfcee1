#!/usr/bin/python
# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: edge_release
short_description: Install the bundled XMPP edge on a host
version_added: 0.1.0
author: xmpp.federation contributors (@xmpp-federation)
description:
  - Packs the proxy that comes with this collection into one wheel on the control node, and keeps a virtual environment
    with it and its pinned requirements on the host.
  - Each release has a directory of its own, C(<install_dir>/releases/<hash>). The link C(<install_dir>/current) names the
    one in use. An upgrade makes a new directory and renames the link, so a failed upgrade changes nothing.
  - The hash covers the sources, the pinned requirements, the host's Python version and its architecture. Where it is
    unchanged, the task costs one look at the host.
  - The service is not restarted. What uses this module has to do that when RV(ignore:changed) is true.
options:
  state:
    description:
      - With V(present), the release is installed and in use.
      - With V(downloaded), the wheels that the host needs are downloaded into O(wheelhouse) on the control node, and
        nothing is changed on the host.
    type: str
    choices: [present, downloaded]
    default: present
  install_dir:
    description: Directory of the releases on the host.
    type: path
    default: /opt/xmpp-edge
  python:
    description:
      - Python that the service is to run on, as a path or a name on the host's search path. It has to be 3.11 or later and
        able to make virtual environments.
      - Without it, C(/usr/bin/python3) is taken if it fits, else the first of C(python3) and C(python3.14) down to C(python3.11)
        that does.
    type: str
  wheelhouse:
    description:
      - Archive of wheels on the control node. With it, nothing is fetched from a package index by the host.
      - The playbook C(xmpp.federation.wheelhouse) makes it.
      - Required if O(state=downloaded).
    type: path
  keep:
    description: How many older releases to keep beside the one in use, for the way back. At least 1.
    type: int
    default: 2
  source:
    description:
      - Directory on the control node that holds the sources (C(xmpp_edge/)) and C(requirements.txt).
      - Without it, those that come with this collection are taken.
    type: path
attributes:
  check_mode:
    support: full
    description: Can run in check_mode and return changed status prediction without modifying target.
  diff_mode:
    support: full
    description: Will return details on what has changed, or possibly needs changing in check_mode.
  platform:
    support: full
    platforms: posix
    description: Target OS/families that can be operated against.
  idempotent:
    support: full
    description: A second run with the same parameters reports no change.
  safe_file_operations:
    support: full
    description: Uses safe steps so that an interruption leaves the old state or the new one.
requirements:
  - Python 3.11 or later with C(venv) and C(ensurepip) on the host (on Debian and Ubuntu the package C(python3-venv))
  - C(pip) for the Python that runs Ansible, if O(state=downloaded)
seealso:
  - module: xmpp.federation.edge_config
"""

EXAMPLES = r"""
- name: Install the edge from the package index that pip is configured for
  xmpp.federation.edge_release:

- name: Install it on a host that reaches no package index
  xmpp.federation.edge_release:
    wheelhouse: "{{ playbook_dir }}/wheelhouse.tar"

- name: Download what that host needs
  xmpp.federation.edge_release:
    state: downloaded
    wheelhouse: "{{ playbook_dir }}/wheelhouse.tar"
"""

RETURN = r"""
release:
  description: Hash of the release, the name of its directory.
  returned: if O(state=present)
  type: str
  sample: 5f1d0c9d7a3e42b8
previous:
  description: Hash of the release that was in use before, if there was one.
  returned: if O(state=present)
  type: str
  sample: 0b7e55aa0f4d9c11
path:
  description: Directory of the release.
  returned: if O(state=present)
  type: str
  sample: /opt/xmpp-edge/releases/5f1d0c9d7a3e42b8
version:
  description: Version of the proxy.
  returned: if O(state=present)
  type: str
  sample: 0.1.0
python:
  description: The Python that was chosen.
  returned: if O(state=present)
  type: str
  sample: /usr/bin/python3
python_version:
  description: Its version.
  returned: success
  type: str
  sample: 3.11.2
uid:
  description: User id under which the release is installed.
  returned: if O(state=present)
  type: int
  sample: 0
systemd:
  description: Whether the host runs systemd.
  returned: if O(state=present)
  type: bool
  sample: true
removed:
  description: Hashes of the older releases that were removed.
  returned: if O(state=present)
  type: list
  elements: str
  sample: []
wheelhouse:
  description: Archive of the wheels on the control node.
  returned: if O(state=downloaded)
  type: str
  sample: /home/admin/wheelhouse.tar
added:
  description: Requirements whose wheels were added to the archive.
  returned: if O(state=downloaded)
  type: list
  elements: str
  sample: [cryptography==50.0.2]
"""
