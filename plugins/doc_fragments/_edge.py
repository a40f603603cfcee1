# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations


class ModuleDocFragment:
    """Options that all modules share which read or write the records of an edge."""

    DOCUMENTATION = r"""
options:
  config_dir:
    description:
      - The directory on the managed host that holds the records of the edge.
      - Where it is missing it is made when there is something to write.
    type: path
    default: /etc/xmpp-edge
"""

    OWN_DOMAINS = r"""
options:
  own_domains:
    description:
      - Our own domains as they are going to be, for rules that involve them.
      - This is looked at in check mode only. There a task before this one, such as M(xmpp.federation.edge_config),
        has not written the domains that this task will find in the real run.
      - Without this option, and in every real run, the domains are taken from the record of the edge.
    type: list
    elements: str
"""
