# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole runs of ansible-playbook that make 1 to 10,000 objects: one call, a loop, and modules of other collections.

A run that those before it foretell to last over a minute is left out, and the table says so. Beside the seconds stands
the CPU time of everything that Ansible started, which says more on a machine that has other work.
"""

from __future__ import annotations

import base64
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from peers.dns_server import DnsServer

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / ".venv/peer-collections"
# Ten are there to foretell by what a hundred in a loop take.
COUNTS = (1, 10, 100, 1_000, 10_000)
PATIENCE = 60.0
SECRET = base64.b64encode(b"a secret of thirty-two bytes....").decode()

Tasks = Callable[[int, Path], list[dict[str, Any]]]


@pytest.fixture
def server() -> Iterator[DnsServer]:
    zones = {"a.example": ["edge A 192.0.2.10"]}
    with DnsServer(zones, keys={"edge": ("hmac-sha256", SECRET)}) as running:
        yield running


def _partner(number: int) -> dict[str, Any]:
    return {"domain": f"partner{number}.example", "tls": "not_supported", "sasl": "not_supported"}


def partners(count: int, home: Path) -> list[dict[str, Any]]:
    options = {"config_dir": str(home), "partners": [_partner(number) for number in range(count)]}
    return [{"xmpp.federation.xmpp_partner": options}]


def partners_in_a_loop(count: int, home: Path) -> list[dict[str, Any]]:
    options = {"config_dir": str(home), "tls": "not_supported", "sasl": "not_supported", "domain": "{{ item }}"}
    return [{"xmpp.federation.xmpp_partner": options, "loop": [_partner(number)["domain"] for number in range(count)]}]


def hba_rules(count: int, home: Path) -> list[dict[str, Any]]:
    rules = [
        {"contype": "host", "databases": "all", "users": f"user{number}", "source": "192.0.2.0/24", "method": "md5"}
        for number in range(count)
    ]
    options = {"dest": str(home / "pg_hba.conf"), "create": True, "rules": rules}
    return [{"community.postgresql.postgresql_pg_hba": options}]


def requests(count: int, home: Path) -> list[dict[str, Any]]:
    entries = [
        {"id": f"c{number}", "state": "requested", "key_type": "ec_p256", "xmpp_domains": [f"d{number}.example"]}
        for number in range(count)
    ]
    return [{"xmpp.federation.edge_certificate": {"config_dir": str(home), "certificates": entries}}]


def csrs(count: int, home: Path) -> list[dict[str, Any]]:
    key, names = f"{home}/{{{{ item }}}}.key", list(range(count))
    make = {"path": key, "type": "ECC", "curve": "secp256r1"}
    ask = {
        "path": f"{home}/{{{{ item }}}}.csr",
        "privatekey_path": key,
        "common_name": "d{{ item }}.example",
        "subject_alt_name": ["DNS:d{{ item }}.example"],
    }
    return [
        {"community.crypto.openssl_privatekey": make, "loop": names},
        {"community.crypto.openssl_csr": ask, "loop": names},
    ]


def services(server: DnsServer) -> Tasks:
    def make(count: int, _home: Path) -> list[dict[str, Any]]:
        records = [{"domain": f"d{number}n{count}.a.example", "target": "edge.a.example"} for number in range(count)]
        key = {"key_name": "edge", "key_secret": SECRET}
        where = {"server": server.host, "server_port": server.port, "timeout": 60, **key}
        return [{"xmpp.federation.srv_record": {**where, "records": records}}]

    return make


def updates(server: DnsServer) -> Tasks:
    def make(count: int, _home: Path) -> list[dict[str, Any]]:
        options = {
            "server": server.host,
            "port": server.port,
            "key_name": "edge",
            "key_secret": SECRET,
            "key_algorithm": "hmac-sha256",
            "protocol": "tcp",
            "zone": "a.example",
            "record": f"_xmpp-server._tcp.p{{{{ item }}}}n{count}",
            "type": "SRV",
            "value": "0 0 5269 edge.a.example.",
        }
        return [{"community.general.nsupdate": options, "loop": list(range(count))}]

    return make


class Took(NamedTuple):
    seconds: float
    cpu: float


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _foretold(count: int, small: tuple[int, Took], large: tuple[int, Took]) -> Took:
    (less, low), (more, high) = small, large
    times = (count - more) / (more - less)
    return Took(*(two + times * max(0.0, two - one) for one, two in zip(low, high, strict=True)))


class Runs:
    """Runs playbooks, and knows what one costs that does nothing."""

    def __init__(self, home: Path) -> None:
        self.home = home
        ours = home / "collections/ansible_collections/xmpp"
        ours.mkdir(parents=True)
        (ours / "federation").symlink_to(ROOT)
        self.floor = self._run([{"ansible.builtin.ping": {}}], home)

    def _run(self, tasks: list[dict[str, Any]], where: Path) -> Took:
        play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}
        book = where / "play.yml"
        # JSON, which Ansible reads faster than the YAML that it is, too.
        book.write_text(json.dumps([play]), encoding="utf-8")
        environment = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": f"{self.home / 'collections'}:{PEERS}",
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            "ANSIBLE_LOCAL_TEMP": str(self.home / "tmp"),
            # Nobody reads 10,000 lines; what is printed is a part of the price otherwise.
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.minimal",
        }
        command = [Path(sys.executable).with_name("ansible-playbook"), book]
        began, spent = time.monotonic(), _children()
        done = subprocess.run(command, env=environment, cwd=where, capture_output=True, text=True, check=False)
        took = Took(time.monotonic() - began, _children() - spent)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return took

    def row(self, name: str, tasks: Tasks) -> str:
        cells: list[str] = []
        found: list[tuple[int, Took]] = []
        for count in COUNTS:
            if len(found) > 1:
                # What one more costs, from the two largest runs so far: the first has the price of the start in it.
                foretold = _foretold(count, *found[-2:])
                if foretold.seconds > PATIENCE:
                    cells.append(f"over a minute (about {foretold.seconds:,.0f} / {foretold.cpu:,.0f})")
                    continue
            where = self.home / f"{name}-{count}".replace(" ", "-").replace("/", "-")
            where.mkdir()
            took = self._run(tasks(count, where), where)
            found.append((count, took))
            cells.append(f"{took.seconds:.1f} / {took.cpu:.1f}")
        return f"| {name} | {' | '.join(cells)} |"


def test_one_call_beside_loops_and_other_modules(
    server: DnsServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not PEERS.is_dir():
        pytest.skip("the other collections are not here; `make venv-collections` fetches them")
    rows: tuple[tuple[str, Tasks], ...] = (
        ("xmpp_partner, one call", partners),
        ("xmpp_partner, loop", partners_in_a_loop),
        ("community.postgresql.postgresql_pg_hba, one call", hba_rules),
        ("srv_record, one call", services(server)),
        ("community.general.nsupdate, loop", updates(server)),
        ("edge_certificate, key and request, one call", requests),
        ("community.crypto.openssl_privatekey and openssl_csr, loop", csrs),
    )
    runs = Runs(tmp_path)
    floor = f"{runs.floor.seconds:.1f} / {runs.floor.cpu:.1f}"
    with capsys.disabled():
        print(f"\nSeconds of ansible-playbook / CPU seconds of all that it starts; where it does nothing {floor}.\n")
        print(f"| objects made | {' | '.join(f'{count:,}' for count in COUNTS)} |\n| --- |{' --- |' * len(COUNTS)}")
        for name, tasks in rows:
            print(runs.row(name, tasks), flush=True)
