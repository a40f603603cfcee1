# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The CA of the lab: signs for the partner, lends its key to the edge, and publishes whom it trusts no longer."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from peers.authority import Authority, Pair, xmpp_addr

from .control_node import CONTROL, SECURE, Lab

PARTNER_DOMAIN = "partner.example"
_CERTIFICATES = "/etc/prosody/certs"


class LabAuthority:
    """Runs a web server for its list on the control node."""

    def __init__(self) -> None:
        self.ca = Authority("Lab CA")
        self.partner = self.ca.issue(PARTNER_DOMAIN, xmpp_addr(PARTNER_DOMAIN))
        self.revoked: list[Pair] = []
        self._made = 0
        authority = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = self.path == "/lab.crl"
                self.send_response(200 if found else 404)
                self.end_headers()
                self.wfile.write(authority.published if found else b"")

            def log_message(self, *_unused: object) -> None:
                pass

        self._server = ThreadingHTTPServer((CONTROL, 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="lab-ca")
        self.publish()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_unused: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def list_url(self) -> str:
        return f"http://{CONTROL}:{self._server.server_port}/lab.crl"

    @property
    def key_pem(self) -> str:
        return self.ca.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def publish(self, *revoked: Pair) -> None:
        """A list that is newer than the one before."""
        self._made += 1
        self.revoked.extend(revoked)
        # Lists tell their time in whole seconds, and tests are quicker than that.
        self.published = self.ca.crl(self.revoked, days=(-1 + self._made / 1440, 30))

    def equip(self, lab: Lab, pair: Pair | None = None) -> None:
        """What the partner's administrator does: install the certificate, and trust this CA."""
        pair = pair or self.partner
        lab.put(SECURE, f"{_CERTIFICATES}/{PARTNER_DOMAIN}.crt", pair.cert_pem + pair.chain_pem)
        lab.put(SECURE, f"{_CERTIFICATES}/{PARTNER_DOMAIN}.key", pair.key_pem)
        lab.put(SECURE, "/usr/local/share/ca-certificates/lab.crt", self.ca.pem)
        lab.ssh(SECURE, f"chown prosody {_CERTIFICATES}/{PARTNER_DOMAIN}.*; update-ca-certificates >/dev/null")
        lab.ssh(SECURE, "systemctl restart prosody")
