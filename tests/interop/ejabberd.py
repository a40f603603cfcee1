# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ejabberd from the Debian package, with a configuration of its own on loopback."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from peers.lookup import Address

from .modes import Mode
from .server import Server, free_port, wait_port

LIBRARIES = "/usr/lib/x86_64-linux-gnu"
MISSING = (
    None
    if shutil.which("ejabberdctl") and shutil.which("erl")
    else "ejabberd is not there (as root: apt-get install ejabberd)"
)

# It asks the DNS server of the test for SRV records, but the system for addresses, which knows this name only.
EDGE_NAME = "localhost."

COMMON = """
hosts: ["{domain}"]
loglevel: debug
auth_method: internal
registration_timeout: infinity
acl: {{local: {{user_regexp: ""}}}}
access_rules: {{register: {{allow: all}}}}
modules:
  mod_roster: {{}}
  mod_disco: {{}}
  mod_ping: {{}}
  mod_register: {{ip_access: all, access: register}}
"""

INSIDE = """
  mod_version: {{}}
s2s_access: none
listen:
  - {{ip: "127.0.0.1", port: {c2s}, module: ejabberd_c2s}}
  - {{ip: "127.0.0.1", port: {components}, module: ejabberd_service, hosts: {{{hosts}}}}}
"""

# Like Google Talk: no TLS on offer, dialback only.
PARTNER = """
  mod_s2s_dialback: {{}}
s2s_use_starttls: false
listen:
  - {{ip: "127.0.0.1", port: {c2s}, module: ejabberd_c2s}}
  - {{ip: "127.0.0.1", port: {s2s}, module: ejabberd_s2s_in}}
"""

SECURE = """
{dialback}
certfiles: ["{directory}/key.pem", "{directory}/full.pem"]
ca_file: "{directory}/ca.pem"
s2s_use_starttls: required
listen:
  - {{ip: "127.0.0.1", port: {c2s}, module: ejabberd_c2s}}
  - {{ip: "127.0.0.1", port: {s2s}, module: ejabberd_s2s_in, tls: {direct}}}
"""


class Ejabberd(Server):
    """One Erlang node without a name, so that it needs no port mapper and any number of them can run."""

    registers = True

    async def start(self, config: str, **environment: str) -> None:
        path = self.directory / "ejabberd.yml"
        path.write_text(config)
        await self.launch(
            *("erl", "-noinput", "-mnesia", "dir", f'"{self.directory}/database"', "-s", "ejabberd"),
            ERL_LIBS=LIBRARIES,
            EJABBERD_CONFIG_PATH=str(path),
            EJABBERD_LOG_PATH=str(self.directory / "ejabberd.log"),
            ERL_CRASH_DUMP=str(self.directory / "crash.dump"),
            HOME=str(self.directory),
            **environment,
        )
        await wait_port(self.c2s, self, 40)


async def inside(
    directory: Path, domain: str, users: Mapping[str, str], components: list[str], secret: str
) -> Ejabberd:
    """The XMPP server behind the edge. Its ``users`` are not made here: each client registers its account."""
    server = Ejabberd(directory)
    server.components = free_port()
    hosts = ", ".join(f'"{name}": {{password: "{secret}"}}' for name in components)
    config = COMMON + INSIDE
    await server.start(config.format(domain=domain, c2s=server.c2s, components=server.components, hosts=hosts))
    await wait_port(server.components, server)
    return server


async def partner(directory: Path, domain: str, users: Mapping[str, str], s2s: int, resolver: Address) -> Ejabberd:
    """A partner that speaks plain TCP and dialback."""
    server = Ejabberd(directory)
    config = (COMMON + PARTNER).format(domain=domain, c2s=server.c2s, s2s=s2s)
    await server.start(config, ERL_INETRC=asking(directory, resolver))
    await wait_port(s2s, server)
    return server


async def secure(
    directory: Path, domain: str, users: Mapping[str, str], port: int, resolver: Address, mode: Mode
) -> Ejabberd:
    """A partner with TLS; key.pem, full.pem and ca.pem are in its directory already."""
    server = Ejabberd(directory)
    config = (COMMON + SECURE).format(
        dialback="  mod_s2s_dialback: {}" if mode.dialback else "",
        direct=str(mode.direct).lower(),
        directory=directory,
        domain=domain,
        c2s=server.c2s,
        s2s=port,
    )
    await server.start(config, ERL_INETRC=asking(directory, resolver))
    await wait_port(port, server)
    return server


def asking(directory: Path, resolver: Address) -> str:
    """The file that makes Erlang ask this DNS server."""
    inetrc = directory / "inetrc"
    address = resolver[0].replace(".", ",")
    inetrc.write_text(
        f'{{resolv_conf, "/dev/null"}}.\n{{lookup, [dns]}}.\nclear_ns.\n{{nameserver, {{{address}}}, {resolver[1]}}}.\n'
    )
    return str(inetrc)
