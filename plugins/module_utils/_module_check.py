# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``federation_check`` does: have the service try each partner, and knock at the inside server's own door.

PRIVATE to the collection.
"""

from __future__ import annotations

import contextlib
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Mapping
from xml.sax.saxutils import quoteattr

from ._module import CONFIG_DIR
from ._module_info import NotRunning, ask
from ._records import desired, names
from ._records.errors import Problem, RecordError

S2S_PORT = 5269
AT_ONCE = 8
_KNOCK_PATIENCE = 3.0
_ERROR = re.compile(rb"<stream:error[\s>].*?<([a-z-]+)", re.DOTALL)


def argument_spec() -> dict[str, dict[str, Any]]:
    return {
        "partners": {"type": "list", "elements": "str"},
        "timeout": {"type": "int", "default": 20},
        "strict": {"type": "bool", "default": False},
        "run_dir": {"type": "path", "default": "/run/xmpp-edge"},
        "config_dir": CONFIG_DIR,
    }


def check(params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The results, one for each partner, in the order asked for."""
    state = desired.load(params["config_dir"])
    partners = _partners(params["partners"], state)
    if not 1 <= params["timeout"] <= 300:
        raise RecordError(
            [Problem("", "timeout", f"{params['timeout']} is not between 1 and 300", "give it in seconds")]
        )
    if not partners:
        return []
    bypass = _bypass_step(state, partners[0])

    def one(domain: str) -> dict[str, Any]:
        found = _ask(params, domain)
        steps = [*found["steps"], bypass]
        return {"partner": domain, "passed": all(step["result"] != "fail" for step in steps), "steps": steps}

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(one, partners))


def remarks(params: Mapping[str, Any]) -> list[str]:
    """What the service itself wants to be seen to, such as a certificate that runs out; each is a sentence."""
    try:
        found = ask(params["run_dir"], {"command": "status"}).get("warnings", [])
    except NotRunning:
        return []
    return [str(text) for text in found] if isinstance(found, list) else []


def warnings(results: list[dict[str, Any]]) -> list[str]:
    """One sentence for each partner that something stands in the way to."""
    return [
        f"{result['partner']}: " + " ".join(f"[{step['step']}] {step['diagnosis']}" for step in failed)
        for result in results
        for failed in [[step for step in result["steps"] if step["result"] == "fail"]]
        if failed
    ]


def _partners(wanted: list[str] | None, state: desired.Desired) -> list[str]:
    if wanted is None:
        return [record["domain"] for record in state.partners]
    problems, found = [], []
    for index, text in enumerate(wanted):
        try:
            found.append(names.domain(text))
        except ValueError as exc:
            problems.append(Problem("", f"partners[{index}]", str(exc), "write a domain such as partner.example"))
    if problems:
        raise RecordError(problems)
    return found


def _ask(params: Mapping[str, Any], domain: str) -> dict[str, Any]:
    request = {"command": "test", "domain": domain, "timeout": params["timeout"]}
    try:
        return ask(params["run_dir"], request, params["timeout"] + 10)
    except NotRunning as exc:
        return {"steps": [_step("service", "fail", None, f"{exc}.")]}


def _step(name: str, result: str, begun: float | None, diagnosis: str) -> dict[str, Any]:
    latency = None if begun is None else round((time.monotonic() - begun) * 1000, 1)
    return {"step": name, "result": result, "latency_ms": latency, "diagnosis": diagnosis}


def _bypass_step(state: desired.Desired, partner: str) -> dict[str, Any]:
    """Knock at the inside server as a partner would: a stream for our domain belongs to the edge alone."""
    host = state.edge["inside"]["host"]
    if not state.edge["domains"]:
        return _step("bypass", "skip", None, "Not tried, because the edge serves no domain.")
    begun = time.monotonic()
    try:
        with socket.create_connection((host, S2S_PORT), _KNOCK_PATIENCE) as channel:
            if state.edge["listen_port"] == S2S_PORT and channel.getpeername()[0] == channel.getsockname()[0]:
                return _step("bypass", "pass", begun, f"Port {S2S_PORT} of {host} is the edge's own.")
            error = _knock(channel, state.edge["domains"][0], partner)
    except OSError:
        return _step("bypass", "pass", begun, f"Nobody takes streams of partners on port {S2S_PORT} of {host}.")
    if error:
        return _step("bypass", "pass", begun, f"The inside server refuses streams of partners ({error}).")
    return _step(
        "bypass",
        "fail",
        begun,
        f"The inside server takes streams of partners itself on port {S2S_PORT} of {host}, round the edge; "
        "switch its own server-to-server streams off (role xmpp_front_end).",
    )


def _knock(channel: socket.socket, domain: str, partner: str) -> str | None:
    """The condition with which the server ends the stream; None when it goes on with it."""
    deadline = time.monotonic() + _KNOCK_PATIENCE
    ours, theirs = quoteattr(names.unicode_domain(domain)), quoteattr(names.unicode_domain(partner))
    opening = (
        "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' "
        f"xmlns:stream='http://etherx.jabber.org/streams' version='1.0' from={theirs} to={ours}>"
        f"<db:result from={theirs} to={ours}>knock</db:result>"
    )
    channel.sendall(opening.encode("utf-8"))
    answer = b""
    with contextlib.suppress(socket.timeout):
        while len(answer) < 65536:
            channel.settimeout(max(deadline - time.monotonic(), 0.01))
            part = channel.recv(4096)
            if not part:
                return "closed"
            answer += part
            error = _ERROR.search(answer)
            if error:
                return error.group(1).decode()
    return None
