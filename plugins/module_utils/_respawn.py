# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A library that the module's interpreter lacks may be in the virtual environment of the installed proxy.

PRIVATE to the collection.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

from ansible.module_utils.basic import missing_required_lib
from ansible.module_utils.common.respawn import has_respawned, respawn_module

# Where the role puts the proxy, unless xmpp_edge_install_dir says otherwise.
INSTALL_DIR = "/opt/xmpp-edge"
# The role's link to its command, which leads to any other place.
COMMAND = "/usr/local/bin/xmpp-edge"


def places(config_dir: str | None = None) -> list[str]:
    """Directories where the proxy may be installed, best first.

    Beside the usual place, the one that the command leads to, and the one that belongs to `config_dir`: an
    installation under another root keeps the same layout, <root>/etc/xmpp-edge and <root>/opt/xmpp-edge.
    """
    found = [INSTALL_DIR]
    if os.path.islink(COMMAND):
        # <place>/current/bin/xmpp-edge
        found.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.readlink(COMMAND)))))
    suffix = "/etc/xmpp-edge"
    if config_dir and os.path.abspath(config_dir).endswith(suffix):
        found.insert(0, os.path.abspath(config_dir)[: -len(suffix)] + INSTALL_DIR)
    return list(dict.fromkeys(found))


def has_library(python: str, library: str, run_command: Any) -> bool:
    if not os.access(python, os.X_OK):
        return False
    code: int = run_command([python, "-c", f"import {library}"], check_rc=False)[0]
    return code == 0


def require(module: Any, library: str, distribution: str, config_dir: str | None = None) -> None:
    """Return where `library` can be imported; else run the module again where it can, or fail with what to install."""
    missing = find(module, library, distribution, config_dir)
    if missing:
        module.fail_json(msg=missing)


def find(module: Any, library: str, distribution: str, config_dir: str | None = None) -> str | None:
    """As `require`, but where there is no such library return what to say, instead of failing."""
    try:
        importlib.import_module(library)
    except ImportError:
        if not has_respawned():
            for place in places(config_dir):
                python = os.path.join(place, "current", "bin", "python")
                if has_library(python, library, module.run_command):
                    respawn_module(python)  # does not return
        looked = ", ".join(places(config_dir))
        also = f"The environment of the installed proxy has it too, and there is none in {looked}."
        return f"{missing_required_lib(distribution)}. {also}"
    return None
