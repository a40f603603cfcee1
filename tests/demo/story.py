# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the demo does: two XMPP servers exchange messages through an edge, on this machine and without root."""

from __future__ import annotations

import asyncio
import base64
import grp
import json
import os
import pwd
import secrets
import statistics
import sys
from pathlib import Path
from typing import Any

import dns.asyncresolver
import yaml
from peers.control import Remote

from .play import install_collection, play
from .screen import Screen
from .stage import Stage, StageError, free_port

ALICE, CAROL = "alice@inside.example", "carol@inside.example"
BOB, EVE = "bob@gmail.example", "eve@stranger.example"
INVENTORY = Path(__file__).resolve().parent / "inventory.yml"
MORE_MESSAGES = 100


def edge_command(stage: Stage, *arguments: str) -> list[str]:
    """The command line of the service's own tool, for the edge of this stage."""
    here = stage.directory
    places = ["--config-dir", str(here / "config"), "--run-dir", str(here / "run")]
    return [str(here / "install/current/bin/xmpp-edge"), *arguments, *places]


def server_name(address: str) -> str:
    """Which stand-in serves an address."""
    domain = address.partition("@")[2]
    if domain not in ("inside.example", "gmail.example", "stranger.example"):
        raise StageError(f"{address}: the demo has users at inside.example, gmail.example and stranger.example only")
    return domain.partition(".")[0]


class Demo:
    def __init__(self, stage: Stage, screen: Screen) -> None:
        self.stage, self.screen = stage, screen
        names = ("dns", "edge", "inside", "gmail", "stranger")
        self.ports = {name: free_port() for name in names}
        self.servers = {name: Remote(stage.control(name)) for name in ("inside", "gmail", "stranger")}
        self.inside_secret = secrets.token_hex(16)
        self.dns_secret = base64.b64encode(secrets.token_bytes(32)).decode()

    async def play(self) -> None:
        """The whole story, from nothing."""
        screen = self.screen
        screen.step(f"Scratch directory {self.stage.directory}")
        screen.step("Building and installing the collection")
        screen.step(f"Installed {await install_collection(self.stage, screen)}")
        await self.start_stand_ins()
        await self.apply("site.yml, first run", "site-1.log")
        await self.show_dns()
        await self.prove()
        await self.messages()
        await self.stranger()
        await self.no_access()
        await self.apply("site.yml, second run", "site-2.log", changed=0)

    # -- the stage

    async def start_stand_ins(self) -> None:
        """An authoritative DNS server, a partner, a stranger, and the XMPP server behind the edge."""
        ports, stage = self.ports, self.stage
        zones: dict[str, list[str]] = {"inside.example": []}
        for name in ("gmail", "stranger"):
            srv = f"_xmpp-server._tcp 60 IN SRV 0 0 {ports[name]} xmpp"
            zones[f"{name}.example"] = [srv, "xmpp 60 IN A 127.0.0.1"]
        configs: dict[str, dict[str, Any]] = {
            "dns": {
                "zones": zones,
                "keys": {"edge-update": {"algorithm": "hmac-sha256", "secret": self.dns_secret}},
                "log": str(stage.logs / "dns-questions.log"),
            },
            "gmail": {"domains": ["gmail.example"], "users": [BOB]},
            "stranger": {"domains": ["stranger.example"], "users": [EVE]},
            "inside": {
                "domains": ["inside.example"],
                "users": [ALICE, CAROL],
                "components": ["gmail.example"],
                "secret": self.inside_secret,
            },
        }
        for name, config in configs.items():
            config["port"] = ports[name]
            if name != "dns":
                config["control"] = str(stage.control(name))
            if name in ("gmail", "stranger"):
                config["resolver"] = ["127.0.0.1", ports["dns"]]
            path = str(stage.write(f"{name}.json", config))
            kind = {"gmail": "partner", "stranger": "partner"}.get(name, name)
            command = ("peers/dns_server.py", path) if name == "dns" else ("-m", "peers", kind, path)
            await stage.start(name, *command)
        self.screen.step(
            "Started stand-ins: DNS server, partner gmail.example, stranger.example, and inside.example behind the edge"
        )

    def overlay(self) -> Path:
        """What differs from a real edge: other ports, the standalone service manager, scratch directories, no root."""
        facts = yaml.safe_load(INVENTORY.read_text(encoding="utf-8"))["federation"]["vars"]
        here = self.stage.directory
        variables = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "ansible_become": False,
            "vault_inside_secret": self.inside_secret,
            "vault_dns_secret": self.dns_secret,
            "xmpp_edge_inside": {**facts["xmpp_edge_inside"], "port": self.ports["inside"]},
            "xmpp_edge_dns": {**facts["xmpp_edge_dns"], "server_port": self.ports["dns"]},
            "xmpp_edge_listen": ["127.0.0.1"],
            "xmpp_edge_listen_port": self.ports["edge"],
            "xmpp_edge_resolvers": [f"127.0.0.1:{self.ports['dns']}"],
            "xmpp_edge_service_manager": "standalone",
            "xmpp_edge_python": getattr(sys, "_base_executable", sys.executable),
            "xmpp_edge_user": pwd.getpwuid(os.getuid()).pw_name,
            "xmpp_edge_group": grp.getgrgid(os.getgid()).gr_name,
            **{f"xmpp_edge_{name}_dir": str(here / name) for name in ("config", "state", "run", "install")},
        }
        hosts = yaml.safe_load(INVENTORY.read_text(encoding="utf-8"))["federation"]["children"]["xmpp_edge"]["hosts"]
        return self.stage.write("overlay.yml", {"all": {"hosts": dict.fromkeys(hosts, variables)}})

    # -- the story

    async def apply(self, what: str, log: str, changed: int | None = None) -> None:
        self.screen.step(f"Applying {what} (log: {self.stage.logs / log})")
        played = await play(self.stage, self.screen, "site", log, INVENTORY, self.overlay())
        good = changed is None or played.changed == changed
        self.screen.row(what, f"changed={played.changed}", played.seconds, as_expected=good)

    async def show_dns(self) -> None:
        """What the playbook wrote into DNS."""
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = ["127.0.0.1"], self.ports["dns"]
        name = "_xmpp-server._tcp.inside.example"
        record = (await resolver.resolve(name, "SRV"))[0]
        good = record.port == self.ports["edge"]
        self.screen.row("DNS, written by the playbook", f"{name} SRV {record.to_text()}", as_expected=good)

    async def prove(self) -> None:
        """The edge's own diagnosis of the way to its partner, which the playbook has asked for, too."""
        process = await asyncio.create_subprocess_exec(
            *edge_command(self.stage, "test", "gmail.example", "--json"), stdout=asyncio.subprocess.PIPE
        )
        report = json.loads((await process.communicate())[0])
        # Some steps are about what this partner's record leaves out, such as TLS.
        telling = "pass" if report["passed"] else "fail"
        steps = ", ".join(step["step"] for step in report["steps"] if step["result"] == telling)
        took = sum(step["latency_ms"] or 0 for step in report["steps"]) / 1000
        verdict = "passed" if report["passed"] else "failed"
        self.screen.row("xmpp-edge test gmail.example", f"{verdict}: {steps}", took, as_expected=report["passed"])

    async def deliver(self, sender: str, to: str, body: str) -> float:
        """Send a message, wait until it is there, and return the seconds that it took from server to server."""
        sent = await self.server_of(sender).ask("message", from_=f"{sender}/demo", to=to, body=body)
        got = await self.server_of(to).ask("wait", user=to, body=body, timeout=15)
        return float(got["stanza"]["at"]) - float(sent["at"])

    def server_of(self, address: str) -> Remote:
        return self.servers[server_name(address)]

    async def messages(self) -> None:
        for sender, to in ((ALICE, BOB), (BOB, ALICE)):
            took = await self.deliver(sender, to, f"Hello from {sender}")
            self.screen.row(f"{sender} -> {to}", "delivered", took)
            times = [await self.deliver(sender, to, f"message {number}") for number in range(MORE_MESSAGES)]
            slowest = f"delivered; median, slowest {max(times) * 1000:.1f} ms"
            self.screen.row(f"  {MORE_MESSAGES} more, one by one", slowest, statistics.median(times))

    async def refusal(self, sender: str, to: str) -> dict[str, Any]:
        """The error that a sender gets for a message."""
        await self.server_of(sender).ask("message", from_=f"{sender}/demo", to=to, body="May I?")
        got = await self.server_of(sender).ask("wait", user=sender, type="error", timeout=15)
        return {**got["stanza"], "answer": ": ".join(filter(None, (got["stanza"]["condition"], got["stanza"]["text"])))}

    async def stranger(self) -> None:
        """A domain that is not a partner is refused at its stream header: nobody looks it up."""
        error = await self.refusal(EVE, ALICE)
        asked = [line for line in self.dns_questions() if "stranger.example." in line["name"]]
        good = "policy-violation" in error["text"] and not asked
        self.screen.row(f"{EVE} -> {ALICE}", f"refused: {error['text']}", as_expected=good)
        self.screen.row("  DNS questions about stranger.example", str(len(asked)), as_expected=not asked)

    def dns_questions(self) -> list[dict[str, Any]]:
        lines = (self.stage.logs / "dns-questions.log").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    async def no_access(self) -> None:
        """A user of ours without access learns why; the partner's users cannot tell her from nobody."""
        error = await self.refusal(CAROL, BOB)
        self.screen.row(f"{CAROL} -> {BOB}", f"refused: {error['answer']}", as_expected=bool(error["text"]))
        answers = [(await self.refusal(BOB, to))["answer"] for to in (CAROL, "nobody@inside.example")]
        good = answers[0] == answers[1]
        self.screen.row(f"{BOB} -> {CAROL}", f"refused: {answers[0]}", as_expected=good)
        self.screen.row(f"{BOB} -> nobody@inside.example", f"refused: {answers[1]}", as_expected=good)
