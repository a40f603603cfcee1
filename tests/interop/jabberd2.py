# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""jabberd2 from the Debian package: its router and its s2s daemon, with one component that has the users.

It is the third stack, in C, with habits of the years before XMPP 1.0: one connection for all pairs of domains, no SASL
between servers, and questions about keys on connections made for stanzas.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from pathlib import Path
from typing import Self

from peers.accounts import Mailbox
from peers.lookup import Address
from peers.stanzas import Stanza, result
from peers.wire import Wire, header

from .server import Server, free_port, wait_port

MISSING = None if shutil.which("jabberd2-s2s") else "jabberd2 is not there (as root: apt-get install jabberd2)"
COMPONENT = "jabber:component:accept"

ROUTER = """<router>
  <id>router</id>
  <log type='stdout'/>
  <local>
    <ip>127.0.0.1</ip><port>{port}</port>
    <users>{directory}/users.xml</users>
    <secret>router</secret>
  </local>
  <io><max_fds>1024</max_fds><limits><bytes>0</bytes><connects>0</connects></limits></io>
  <aci><acl type='all'><user>jabberd</user></acl></aci>
</router>
"""

USERS = "<users><user><name>jabberd</name><secret>router</secret></user></users>\n"

S2S = """<s2s>
  <id>s2s</id>
  <router>
    <ip>127.0.0.1</ip><port>{router}</port><user>jabberd</user><pass>router</pass>
    <retry><init>10</init><lost>3</lost><sleep>1</sleep></retry>
  </router>
  <log type='stdout'/>
  <local><ip>127.0.0.1</ip><port>{port}</port><secret>jabberd2</secret>{certificate}</local>
  <io><max_fds>1024</max_fds><limits><stanzasize>65535</stanzasize></limits></io>
  <check><interval>5</interval><queue>20</queue></check>
  <lookup>
    <srv>xmpp-server</srv>
    <min-ttl>1</min-ttl><max-ttl>60</max-ttl><bad-host-timeout>1</bad-host-timeout>
  </lookup>
  <out-conn-reuse/>
  <security>{security}</security>
</s2s>
"""


class Part(Server):
    """One of its daemons."""

    async def run(self, name: str, config: str, port: int, **environment: str) -> None:
        path = self.directory / f"{name}.xml"
        path.write_text(config)
        await self.launch(f"jabberd2-{name}", "-c", str(path), **environment)
        await wait_port(port, self)


class User:
    """All of a domain's users in one: a component of the router."""

    def __init__(self, address: str, router: int) -> None:
        self.full = f"{address}/tests"
        self.address, self.domain, self.local = address, address.partition("@")[2], address.partition("@")[0]
        self.mailbox = Mailbox()
        self._router = router

    async def __aenter__(self) -> Self:
        self._wire = await Wire.connect("127.0.0.1", self._router)
        await self._wire.send(header(COMPONENT, dialback=False, to=self.domain))
        stream = (await self._wire.header())["id"]
        digest = hashlib.sha1(f"{stream}router".encode()).hexdigest()
        await self._wire.send(f"<handshake>{digest}</handshake>")
        await self._wire.expect(f"{{{COMPONENT}}}handshake")
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_unused: object) -> None:
        await self._wire.close()
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self) -> None:
        while (element := await self._wire.element()) is not None:
            stanza = Stanza.of(element)
            if stanza.is_ping:
                await self.send(result(stanza))
            self.mailbox.put(stanza)

    async def send(self, text: str) -> None:
        """A stanza, as a client would write it: without ``from``."""
        name, _unused, rest = text.partition(" ")
        await self._wire.send(text if " from=" in text else f"{name} from='{self.full}' {rest}")

    async def wait(self, timeout: float = 10.0, **wanted: str) -> Stanza:
        return await self.mailbox.wait(lambda stanza: all(getattr(stanza, n) == v for n, v in wanted.items()), timeout)


class Jabberd2:
    """Both daemons; ``router`` is the port for components."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.router = free_port()
        self.parts = Part(directory / "router"), Part(directory / "s2s")

    async def start(self, port: int, resolver: Address, *, tls: bool) -> None:
        """With ``tls``, key.pem and full.pem are in its directory already."""
        router, s2s = self.parts
        (router.directory / "users.xml").write_text(USERS)
        await router.run("router", ROUTER.format(port=self.router, directory=router.directory), self.router)
        certificate = ""
        if tls:
            both = self.directory / "server.pem"
            both.write_bytes((self.directory / "full.pem").read_bytes() + (self.directory / "key.pem").read_bytes())
            certificate = f"<pemfile>{both}</pemfile>"
        config = S2S.format(
            router=self.router, port=port, certificate=certificate, security="<require_tls/>" if tls else ""
        )
        host, number = resolver
        await s2s.run("s2s", config, port, NAMESERVERS=host, RES_OPTIONS=f"port:{number}")

    async def stop(self) -> None:
        for part in reversed(self.parts):
            await part.stop()

    def logs(self) -> str:
        return "\n".join(part.logs() for part in self.parts)
