# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ejabberd from the Debian package, as the XMPP server behind the edge, with one link for all partner domains."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from .server import Server, free_port, wait_port

LIBRARIES = "/usr/lib/x86_64-linux-gnu"
MISSING = None if shutil.which("ejabberdctl") and shutil.which("erl") else "ejabberd is not installed"

CONFIG = """
hosts: ["{domain}"]
loglevel: debug
auth_method: internal
s2s_access: none
listen:
  - {{ip: "127.0.0.1", port: {c2s}, module: ejabberd_c2s}}
  - ip: "127.0.0.1"
    port: {components}
    module: ejabberd_service
    hosts: {{{hosts}}}
acl: {{local: {{user_regexp: ""}}}}
access_rules: {{register: {{allow: all}}}}
modules:
  mod_roster: {{}}
  mod_disco: {{}}
  mod_ping: {{}}
  mod_register: {{ip_access: all, access: register}}
registration_timeout: infinity
"""


class Ejabberd(Server):
    """One Erlang node without a name, so that it needs no port mapper and any number of them can run."""


async def inside(
    directory: Path, domain: str, users: Mapping[str, str], components: list[str], secret: str
) -> Ejabberd:
    """``users`` are not made here: a client registers its account (``register=True``)."""
    server = Ejabberd(directory)
    server.components = free_port()
    hosts = ", ".join(f'"{name}": {{password: "{secret}"}}' for name in components)
    config = directory / "ejabberd.yml"
    config.write_text(CONFIG.format(domain=domain, c2s=server.c2s, components=server.components, hosts=hosts))
    await server.launch(
        *("erl", "-noinput", "-mnesia", "dir", f'"{directory}/database"', "-s", "ejabberd"),
        ERL_LIBS=LIBRARIES,
        EJABBERD_CONFIG_PATH=str(config),
        EJABBERD_LOG_PATH=str(directory / "ejabberd.log"),
        ERL_CRASH_DUMP=str(directory / "crash.dump"),
        HOME=str(directory),
    )
    await wait_port(server.c2s, server, 40)
    await wait_port(server.components, server)
    return server
