# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What independent scanners find on the two ports: nothing below TLS 1.2, and no weak cipher."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from peers.authority import Authority
from peers.inside import Inside
from peers.lookup import Address

from .edge import Edge
from .modes import STRICT
from .server import free_port

OURS, THEIRS = "inside.example", "partner.example"
HEADER = (
    "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "
    f"from='{THEIRS}' to='{OURS}' version='1.0'>"
)
STARTTLS = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
KEYS = ["ec", "rsa2048"]


async def behind_starttls(edge: Address, scanner: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
    """Brings a scanner, which knows nothing of partners, to where TLS begins on the port for STARTTLS."""
    reader, writer = await asyncio.open_connection(*edge)
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        writer.write(HEADER.encode())
        await reader.readuntil(b"</stream:features>")
        writer.write(STARTTLS.encode())
        await reader.readuntil(b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        await asyncio.gather(pour(scanner, writer), pour(reader, answers))
    for each in (writer, answers):
        each.close()


async def pour(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    if sink.can_write_eof():
        with contextlib.suppress(OSError):
            sink.write_eof()


@asynccontextmanager
async def ports(directory: Path, key: str) -> AsyncIterator[dict[str, Address]]:
    """An edge with a certificate; where TLS begins at once, by port."""
    edge, ca = Edge(directory), Authority("Scanned CA", key=key)
    ca.issue(OURS, key=key).write(edge.config)
    direct = free_port()
    async with Inside(OURS, components=[THEIRS], secret=edge.secrets["inside_secret"]) as inside:
        edge.edge.update(
            direct_tls_port=direct,
            ca_file=str(ca.write(directory / "ca.pem")),
            inside={"server": "prosody", "host": "127.0.0.1", "port": inside.port},
        )
        edge.partners = [{"domain": THEIRS, **STRICT}]
        await edge.start()
        plain = "127.0.0.1", edge.port
        front = await asyncio.start_server(lambda *both: behind_starttls(plain, *both), "127.0.0.1", 0)
        try:
            yield {"direct": ("127.0.0.1", direct), "starttls": front.sockets[0].getsockname()}
        finally:
            front.close()
            await edge.stop()


async def output(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _unused = await process.communicate()
    return said.decode(errors="replace")


def need(tool: str, package: str) -> None:
    if not shutil.which(tool):
        pytest.skip(f"{tool} is not there (as root: apt-get install {package})")


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("port", ["starttls", "direct"])
def test_sslscan(tmp_path: Path, port: str, key: str) -> None:
    need("sslscan", "sslscan")

    async def scan() -> str:
        async with ports(tmp_path, key) as made:
            host, number = made[port]
            return await output("sslscan", "--xml=-", "--no-colour", f"--sni-name={OURS}", f"{host}:{number}")

    found = ET.fromstring(asyncio.run(scan())).find("ssltest")
    assert found is not None
    offered = {
        f"{each.get('type')} {each.get('version')}" for each in found.iter("protocol") if each.get("enabled") == "1"
    }
    assert offered == {"tls 1.2", "tls 1.3"}
    ciphers = [each.get("cipher", "") for each in found.iter("cipher")]
    assert len(ciphers) >= 6
    for cipher in ciphers:
        # Keys of their own for each connection, and no mode that needs a MAC beside it.
        assert cipher.startswith(("TLS_", "ECDHE-")), cipher
        assert "GCM" in cipher or "CHACHA20" in cipher, cipher
    assert all(int(each.get("bits", "0")) >= 128 for each in found.iter("cipher"))
    assert all(int(each.get("bits", "0")) >= 112 for each in found.iter("group"))
    assert [each.get("supported") for each in found.iter("renegotiation")] == ["0"]
    assert not [each for each in found.iter("compression") if each.get("supported") == "1"]
    assert not [each for each in found.iter("heartbleed") if each.get("vulnerable") == "1"]


def test_testssl(tmp_path: Path) -> None:
    need("testssl", "testssl.sh")
    report = tmp_path / "report.json"

    async def scan() -> str:
        async with ports(tmp_path / "edge", "ec") as made:
            host, number = made["starttls"]
            what = ("--protocols", "--std", "--renegotiation", "--robot", "--heartbleed", "--ccs")
            quiet = ("--warnings", "off", "--color", "0", "--quiet", "--sneaky", "--ip", "one")
            return await output("testssl", *what, *quiet, "--jsonfile", str(report), f"{host}:{number}")

    said = asyncio.run(scan())
    assert report.exists(), said
    findings = {each["id"]: each for each in json.loads(report.read_text())}
    assert findings["TLS1_2"]["severity"] == findings["TLS1_3"]["severity"] == "OK", said
    for absent in ("SSLv2", "SSLv3", "TLS1", "TLS1_1", "cipherlist_3DES_IDEA", "cipherlist_AVERAGE"):
        assert findings[absent]["finding"] == "not offered", said
    weak = [each for each in findings.values() if each["severity"] in ("LOW", "MEDIUM", "HIGH", "CRITICAL")]
    assert not weak, said
