# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prosody from the Debian package, with a configuration of its own on loopback."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from peers.lookup import Address

from .modes import Mode
from .server import Server, free_port, wait_port

INSTALLED = shutil.which("prosody") and Path("/usr/share/doc/lua-unbound").exists()
# Without lua-unbound Prosody asks the system's resolver only, which knows nothing of the domains of a test.
MISSING = None if INSTALLED else "Prosody is not there (as root: apt-get install prosody lua-unbound)"

# What the edge is called in the SRV record that this server follows as a partner.
EDGE_NAME = "edge"

COMMON = """
run_as_root = true
daemonize = false
pidfile = "{directory}/prosody.pid"
data_path = "{directory}"
certificates = "{directory}"
log = {{ debug = "{directory}/prosody.log" }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {c2s} }}
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "internal_plain"
modules_enabled = {{ "roster", "saslauth", "disco", "ping", "presence", "message", "iq" }}
"""

INSIDE = """
modules_disabled = {{ "s2s", "tls" }}
component_ports = {{ {components} }}
component_interfaces = {{ "127.0.0.1" }}
VirtualHost "{domain}"
"""

# Like Google Talk: no TLS on offer, dialback only.
PARTNER = """
modules_disabled = {{ "tls" }}
s2s_ports = {{ {s2s} }}
s2s_require_encryption = false
s2s_secure_auth = false
unbound = {{ resolvconf = false; hoststxt = false; forward = {{ "{dns_host}@{dns_port}" }};
  options = {{ ["do-not-query-localhost:"] = "no"; ["module-config:"] = "iterator" }} }}
VirtualHost "{domain}"
modules_enabled = {{ "dialback" }}
"""

# TLS on every stream; what else there is comes from the mode under test.
SECURE = """
s2s_ports = {{ {starttls} }}
s2s_direct_tls_ports = {{ {direct} }}
s2s_require_encryption = true
s2s_secure_auth = {trusting}
ssl = {{ key = "{directory}/key.pem", certificate = "{directory}/full.pem", cafile = "{directory}/ca.pem" }}
unbound = {{ resolvconf = false; hoststxt = false; forward = {{ "{dns_host}@{dns_port}" }};
  options = {{ ["do-not-query-localhost:"] = "no"; ["module-config:"] = "iterator" }} }}
VirtualHost "{domain}"
modules_enabled = {{ "tls", {modules} }}
"""


class Prosody(Server):
    async def start(self, config: str, domain: str, users: Mapping[str, str]) -> None:
        accounts = self.directory / domain.replace(".", "%2e") / "accounts"
        accounts.mkdir(parents=True)
        for name, password in users.items():
            (accounts / f"{name}.dat").write_text(f'return {{ ["password"] = "{password}"; }};\n')
        path = self.directory / "prosody.cfg.lua"
        path.write_text(config)
        await self.launch("prosody", "-F", "--config", str(path))
        await wait_port(self.c2s, self)


async def inside(directory: Path, domain: str, users: Mapping[str, str], components: list[str], secret: str) -> Prosody:
    """The XMPP server behind the edge."""
    server = Prosody(directory)
    server.components = free_port()
    config = COMMON.format(directory=directory, c2s=server.c2s)
    config += INSIDE.format(components=server.components, domain=domain)
    for name in components:
        config += f'Component "{name}"\n  component_secret = "{secret}"\n'
    await server.start(config, domain, users)
    return server


async def secure(
    directory: Path, domain: str, users: Mapping[str, str], port: int, resolver: Address, mode: Mode
) -> Prosody:
    """A partner with TLS; key.pem, full.pem and ca.pem are in its directory already."""
    server = Prosody(directory)
    config = COMMON.format(directory=directory, c2s=server.c2s)
    config += SECURE.format(
        starttls="" if mode.direct else port,
        direct=port if mode.direct else "",
        trusting="true" if mode.only_trusted else "false",
        modules=", ".join(f'"{name}"' for name in (*mode.features, *(("dialback",) if mode.dialback else ()))),
        directory=directory,
        domain=domain,
        dns_host=resolver[0],
        dns_port=resolver[1],
    )
    await server.start(config, domain, users)
    await wait_port(port, server)
    return server


async def partner(directory: Path, domain: str, users: Mapping[str, str], s2s: int, resolver: Address) -> Prosody:
    """A partner that speaks plain TCP and dialback."""
    server = Prosody(directory)
    config = COMMON.format(directory=directory, c2s=server.c2s)
    config += PARTNER.format(s2s=s2s, domain=domain, dns_host=resolver[0], dns_port=resolver[1])
    await server.start(config, domain, users)
    await wait_port(s2s, server)
    return server
