# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``edge_info`` tells: the desired state by the records, the running state by the service itself.

PRIVATE to the collection.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import ssl
from datetime import datetime, timezone
from fnmatch import fnmatchcase
from typing import Any, Iterator, Mapping

from . import _certificate_crypto as crypto
from ._module import CONFIG_DIR
from ._records import desired, material, names, partner, policy
from ._records.errors import Problem, RecordError

PATIENCE = 10.0
LONGEST_ANSWER = 16 * 1024 * 1024
_SOCKET = "control.sock"
_LONGEST_ADDRESS = 100


class NotRunning(Exception):
    """The service gives no answer; the text says why."""


def argument_spec() -> dict[str, dict[str, Any]]:
    return {
        "filter": {"type": "str"},
        "users": {"type": "list", "elements": "str"},
        "run_dir": {"type": "path", "default": "/run/xmpp-edge"},
        "config_dir": CONFIG_DIR,
    }


def gather(params: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that the module returns."""
    state = desired.load(params["config_dir"])
    digest = state.digest()
    return {
        "desired": _desired(state, params["filter"], digest, _certificates(params["config_dir"])),
        "effective": _effective(state, params["users"] or []),
        "running": _running(params["run_dir"], digest),
    }


def _desired(
    state: desired.Desired, pattern: str | None, digest: str, certificates: list[dict[str, Any]]
) -> dict[str, Any]:
    policies = list(state.policies)
    if not any(record["name"] == policy.GLOBAL for record in policies):
        policies.insert(0, policy.closed())
    return {
        "edge": state.edge,
        "partners": [
            {**record, "auth_methods": list(partner.auth_methods(record))}
            for record in state.partners
            if pattern is None or _matches(record["domain"], pattern)
        ],
        "policies": policies,
        "grants": state.grants,
        "grant_to_all": state.grant_to_all,
        "secrets_set": sorted(name for name, value in state.secrets.items() if value),
        "certificates": certificates,
        "records_hash": digest,
    }


def _certificates(directory: str) -> list[dict[str, Any]]:
    """What is assigned; what only a library for certificates can tell is left open where there is none."""
    above = os.path.join(directory, material.ASSIGNED)
    return [
        {
            "usage": usage,
            "assigned": _link_target(os.path.join(above, usage)),
            "previous": _link_target(os.path.join(above, usage + material.PREVIOUS)),
            **_certificate(os.path.join(above, usage, "cert.pem")),
        }
        for usage in material.assigned(directory)
    ]


def _link_target(path: str) -> str | None:
    try:
        return os.path.basename(os.readlink(path))
    except OSError:
        return None


def _certificate(path: str) -> dict[str, Any]:
    found: dict[str, Any] = dict.fromkeys(("fingerprint", "subject", "issuer", "not_before", "not_after", "days_left"))
    try:
        with open(path, encoding="ascii") as stream:
            text = stream.read()
        found["fingerprint"] = hashlib.sha256(ssl.PEM_cert_to_DER_cert(text)).hexdigest()
        if crypto.AVAILABLE:
            facts = crypto.certificate_facts(crypto.load_certificates(text)[0])
            found.update(
                {key: value for key, value in facts.shown().items() if key in found}, subject=dict(facts.subject)
            )
            found["days_left"] = (facts.not_after - datetime.now(timezone.utc)).days
    except (OSError, ValueError):
        pass
    return found


def _matches(domain: str, pattern: str) -> bool:
    """A pattern may be written in either spelling of an international name."""
    lower = pattern.lower()
    return fnmatchcase(domain, lower) or fnmatchcase(names.unicode_domain(domain), lower)


def _effective(state: desired.Desired, users: list[str]) -> list[dict[str, Any]]:
    problems: list[Problem] = []
    found = []
    policies = {record["name"]: record for record in state.policies}
    members = policy.sites(state.policies)
    for index, text in enumerate(users):
        try:
            address = names.bare_address(text)
        except ValueError as exc:
            problems.append(Problem("", f"users[{index}]", str(exc), "write an address such as alice@inside.example"))
            continue
        record, reason = policy.effective(address, policies, state.grants, state.grant_to_all, members)
        ours = names.domain(address.partition("@")[2]) in state.edge["domains"]
        found.append({"address": address, "ours": ours, "policy": dict(record), "reason": reason})
    if problems:
        raise RecordError(problems)
    return found


def _running(directory: str, digest: str) -> dict[str, Any]:
    try:
        status = ask(directory, {"command": "status"})
    except NotRunning as exc:
        return {"reachable": False, "up_to_date": False, "error": str(exc), "status": {}}
    return {"reachable": True, "up_to_date": status.get("records_hash") == digest, "error": "", "status": status}


def ask(directory: str, request: Mapping[str, Any], patience: float = PATIENCE) -> dict[str, Any]:
    """One question to the running service, one answer."""
    with _address(directory) as address, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
        channel.settimeout(patience)
        try:
            channel.connect(address)
            channel.sendall(json.dumps(request).encode() + b"\n")
            line = _line(channel)
        except FileNotFoundError:
            raise NotRunning(f"there is no {_SOCKET} in {directory}: the service does not run") from None
        except socket.timeout:
            raise NotRunning(f"the service did not answer within {patience:.0f} seconds") from None
        except OSError as exc:
            raise NotRunning(f"the service cannot be reached in {directory}: {exc.strerror}") from None
    try:
        answer = json.loads(line)
    except ValueError:
        raise NotRunning("the service broke off its answer") from None
    if not isinstance(answer, dict) or "error" in answer:
        raise NotRunning(str(answer.get("error")) if isinstance(answer, dict) else "this is not the service's answer")
    return answer


@contextlib.contextmanager
def _address(directory: str) -> Iterator[str]:
    """The path of the socket; the system takes 107 bytes at most, so a deeper one goes by an open directory."""
    path = os.path.join(directory, _SOCKET)
    if len(os.fsencode(path)) <= _LONGEST_ADDRESS or not os.path.isdir(directory):
        yield path[:_LONGEST_ADDRESS]
        return
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{handle}/{_SOCKET}"
    finally:
        os.close(handle)


def _line(channel: socket.socket) -> bytes:
    parts = []
    size = 0
    while size <= LONGEST_ANSWER:
        part = channel.recv(65536)
        parts.append(part)
        size += len(part)
        if not part or part.endswith(b"\n"):
            break
    return b"".join(parts)
