# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations


class ModuleDocFragment:
    """What a module promises, in the words of ``attributes``."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Tells what a run would do, and does nothing.
  diff_mode:
    description: Returns details of what has changed, or in check mode of what would change.
  idempotent:
    description: When run again with the same options the module reports no change.
  platform:
    description: Target operating systems on which the module works.
    platforms: posix
    support: full
"""

    # For modules that only read.
    INFO_MODULE = r"""
options: {}
attributes:
  check_mode:
    support: full
    details:
      - This module changes nothing.
  diff_mode:
    support: N/A
    details:
      - This module changes nothing.
  idempotent:
    support: full
    details:
      - This module changes nothing.
"""

    ACTIONGROUP_EDGE = r"""
options: {}
attributes:
  action_group:
    description:
      - Use C(group/xmpp.federation.edge) in C(module_defaults) to set options for all modules of the edge host.
    support: full
    membership:
      - xmpp.federation.edge
"""

    ACTIONGROUP_DNS = r"""
options: {}
attributes:
  action_group:
    description:
      - Use C(group/xmpp.federation.dns) in C(module_defaults) to set options for all modules that talk to DNS.
    support: full
    membership:
      - xmpp.federation.dns
"""
