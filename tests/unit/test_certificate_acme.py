# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/certificate_acme.yml against Pebble, the ACME CA for tests: order, proof, answer, assignment, renewal."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dns.resolver
import pytest
import yaml
from certificates import PEM, Ca, in_use
from cryptography import x509
from cryptography.hazmat.primitives import serialization

ROOT = Path(__file__).resolve().parents[2]
DOMAINS = ["a.example", "b.example"]


ZONE = """$TTL 60
@ SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
ns A 127.0.0.1
a A 127.0.0.1
b A 127.0.0.1
"""
SECRET = "dGhpcyBpcyBhIHNlY3JldCBvZiB0aGUgdGVzdCwgbm90IG9mIGFueWJvZHk="
KEY = f'''key "edge-update-before" {{
\talgorithm hmac-sha512;
\tsecret "b2xk";
}};
key "edge-update" {{
\talgorithm hmac-sha256;
\tsecret "{SECRET}";
}};
'''
NAMED = """include "{home}/edge.key";
options {{
  directory "{home}";
  pid-file none;
  session-keyfile none;
  listen-on port {port} {{ 127.0.0.1; }};
  listen-on-v6 {{ none; }};
  recursion no;
  dnssec-validation no;
}};
controls {{ }};
zone example {{ type primary; file "{home}/example.zone"; allow-update {{ key edge-update; }}; }};
"""
# Where `make venv-collections` has unpacked community.crypto.
COLLECTIONS = ROOT / ".venv/peer-collections"
pytestmark = [
    pytest.mark.skipif(shutil.which("pebble") is None, reason="needs Pebble: apt-get install pebble"),
    pytest.mark.skipif(shutil.which("named") is None, reason="needs a DNS server: apt-get install bind9"),
    pytest.mark.skipif(
        not (COLLECTIONS / "ansible_collections/community/crypto").is_dir(),
        reason="needs community.crypto: make venv-collections",
    ),
]


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def wait_for(port: int) -> None:
    for _turn in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(port)


@dataclass
class Pebble:
    directory: str
    trusted: Path
    root: str
    webroot: Path
    dns: int
    key: Path


@pytest.fixture(scope="module")
def pebble(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    home = tmp_path_factory.mktemp("pebble")
    https = Ca("Pebble's own")
    key = Ca("localhost", https, is_ca=False)
    request = x509.CertificateSigningRequestBuilder().subject_name(key.name)
    san = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    csr = request.add_extension(san, False).sign(key.key, https.certificate.signature_hash_algorithm)  # type: ignore[arg-type]
    (home / "cert.pem").write_text(https.sign(csr.public_bytes(PEM).decode()))
    # Pebble reads the older form of keys only.
    older = serialization.PrivateFormat.TraditionalOpenSSL
    (home / "key.pem").write_bytes(key.key.private_bytes(PEM, older, serialization.NoEncryption()))
    (home / "trusted.pem").write_text(https.pem)
    webroot = home / "www"
    webroot.mkdir()
    acme, management, http, named = (free_port() for _turn in range(4))
    config = {
        "listenAddress": f"127.0.0.1:{acme}",
        "managementListenAddress": f"127.0.0.1:{management}",
        "certificate": str(home / "cert.pem"),
        "privateKey": str(home / "key.pem"),
        "httpPort": http,
        "tlsPort": free_port(),
    }
    (home / "pebble.json").write_text(json.dumps({"pebble": config}))
    (home / "example.zone").write_text(ZONE)
    (home / "edge.key").write_text(KEY)
    (home / "named.conf").write_text(NAMED.format(home=home, port=named))
    commands = [
        ["named", "-g", "-c", str(home / "named.conf")],
        ["pebble", "-config", str(home / "pebble.json"), "-dnsserver", f"127.0.0.1:{named}"],
        [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(webroot), str(http)],
    ]
    environment = {**os.environ, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"}
    with ExitStack() as stack, (home / "log").open("w") as log:
        for command in commands:
            process = stack.enter_context(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
            stack.callback(process.terminate)
        for port in (acme, management, http, named):
            wait_for(port)
        context = ssl.create_default_context(cafile=str(home / "trusted.pem"))
        with urllib.request.urlopen(f"https://localhost:{management}/roots/0", context=context) as answer:
            root = answer.read().decode()
        yield Pebble(f"https://localhost:{acme}/dir", home / "trusted.pem", root, webroot, named, home / "edge.key")


def play(place: Path, variables: dict[str, Any], trusted: Path, *arguments: str) -> tuple[int, str]:
    collections = place / "collections/ansible_collections"
    if not collections.exists():
        (collections / "xmpp").mkdir(parents=True)
        (collections / "xmpp/federation").symlink_to(ROOT)
    inventory = {
        "xmpp_edge": {"hosts": {"edge": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}}}
    }
    inventory["xmpp_edge"]["vars"] = {"ansible_become": False, **variables}
    # The control node is this one too.
    inventory["all"] = {"hosts": {"localhost": inventory["xmpp_edge"]["hosts"]["edge"]}}
    (place / "inventory.yml").write_text(yaml.safe_dump(inventory))
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": f"{place / 'collections'}:{COLLECTIONS}",
        "ANSIBLE_LOCAL_TEMP": str(place / "tmp"),
        "ANSIBLE_HOME": str(place / "home"),
        "ANSIBLE_NOCOLOR": "1",
        "SSL_CERT_FILE": str(trusted),
    }
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(place / "inventory.yml"), "--diff"]
    done = subprocess.run(
        [*command, "xmpp.federation.certificate_acme", *arguments],
        env=environment,
        cwd=place,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
    return done.returncode, done.stdout


def variables(pebble: Pebble, tmp_path: Path, **more: Any) -> dict[str, Any]:
    return {
        "xmpp_edge_domains": DOMAINS,
        "xmpp_edge_config_dir": str(tmp_path / "etc/xmpp-edge"),
        "xmpp_edge_acme_directory": pebble.directory,
        "xmpp_edge_acme_terms_agreed": True,
        "xmpp_edge_acme_email": "admin@a.example",
        "xmpp_edge_acme_webroot": str(pebble.webroot),
        "xmpp_edge_certificate": {
            "key_type": "ec_p256",
            "certificate": str(tmp_path / "answer.pem"),
            "ca_cert": pebble.root,
            **more,
        },
    }


def test_from_nothing_to_renewal(pebble: Pebble, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    given = variables(pebble, tmp_path)
    code, told = play(tmp_path, given, pebble.trusted, "--check")
    assert code == 0, told
    assert not (tmp_path / "etc/xmpp-edge").exists()
    code, told = play(tmp_path, given, pebble.trusted)
    assert code == 0, told
    first, _key = in_use(tmp_path / "etc/xmpp-edge")
    san = first.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(san.get_values_for_type(x509.DNSName)) == set(DOMAINS)
    assert "Pebble" in first.issuer.rfc4514_string()
    assert "PRIVATE KEY" not in told
    # No proof is left behind, and the next run has nothing to do.
    assert not list((pebble.webroot / ".well-known/acme-challenge").iterdir())
    code, told = play(tmp_path, given, pebble.trusted)
    assert code == 0, told
    assert "changed=0" in told
    assert in_use(tmp_path / "etc/xmpp-edge")[0] == first

    # Near its end (Pebble's last five years) it is ordered again, with another key.
    soon = variables(pebble, tmp_path, renew_before=365 * 20)
    code, told = play(tmp_path, soon, pebble.trusted)
    assert code == 0, told
    second, _key = in_use(tmp_path / "etc/xmpp-edge")
    assert second.public_key() != first.public_key()


def test_proof_by_dns(pebble: Pebble, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    given = variables(pebble, tmp_path)
    del given["xmpp_edge_acme_webroot"]
    given["xmpp_edge_dns"] = {
        "server": "127.0.0.1",
        "server_port": pebble.dns,
        "zone": "example",
        "key_file": str(pebble.key),
        # One of two keys, whose names begin alike.
        "key_name": "edge-update",
    }
    code, told = play(tmp_path, given, pebble.trusted)
    assert code == 0, told
    in_use(tmp_path / "etc/xmpp-edge")
    assert SECRET not in told
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], pebble.dns
    with pytest.raises(dns.resolver.NXDOMAIN):
        resolver.resolve("_acme-challenge.a.example.", "TXT")


def test_what_is_missing_is_told(pebble: Pebble, tmp_path: Path) -> None:
    given = variables(pebble, tmp_path)
    del given["xmpp_edge_acme_terms_agreed"]
    code, told = play(tmp_path, given, pebble.trusted)
    assert code != 0
    assert "xmpp_edge_acme_terms_agreed to true" in told
