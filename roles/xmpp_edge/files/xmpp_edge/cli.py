# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line. Exit codes: 0 all is well; 1 the answer is no (records invalid, reload refused, test failed);
2 wrong usage; 3 the running service cannot be reached; 4 the service cannot start."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from . import __version__
from .observe.control import ControlError, call
from .records.errors import RecordError
from .release import RELEASE

OK, NO, USAGE, UNREACHABLE, NO_START = range(5)
_DEFAULTS = {"config_dir": Path("/etc/xmpp-edge"), "run_dir": Path("/run/xmpp-edge"), "json": False}


def main(arguments: list[str] | None = None) -> int:
    """Run one command and give its exit code."""
    # A default of the parser would win over an option that stands before the command; one of the namespace does not.
    options = _parser().parse_args(arguments, argparse.Namespace(**_DEFAULTS))
    commands = {"run": _run, "check": _check, "status": _status, "streams": _streams}
    commands |= {"reload": _reload, "drain": _drain, "test": _test}
    try:
        return commands[options.command](options)
    except ControlError as problem:
        _complain(options, str(problem))
        return UNREACHABLE
    except KeyboardInterrupt:
        return NO


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    for name, dest, meaning in (
        ("--config-dir", "config_dir", "where the records are"),
        ("--run-dir", "run_dir", "where the control socket is"),
    ):
        text = f"{meaning} ({_DEFAULTS[dest]})"
        common.add_argument(name, type=Path, default=argparse.SUPPRESS, metavar="DIR", help=text)
    common.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="answer as JSON")
    parser = argparse.ArgumentParser(
        prog="xmpp-edge",
        description="XMPP federation edge: a proxy between partner servers and the XMPP server inside.",
        epilog="Exit codes: 0 all is well; 1 the answer is no (records invalid, reload refused, test failed);"
        " 2 wrong usage; 3 the running service cannot be reached; 4 the service cannot start.",
        parents=[common],
    )
    parser.add_argument("--version", action="version", version=f"xmpp-edge {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, meaning in (
        ("run", "run the service in the foreground"),
        ("check", "check the records without using them"),
        ("status", "what the running service does"),
        ("streams", "the streams that are open"),
        ("reload", "check the records and have the running service use them"),
        ("drain", "let the running service finish and end"),
    ):
        commands.add_parser(name, help=meaning, description=meaning, parents=[common])
    test = commands.add_parser(
        "test",
        help="find out step by step whether a partner can be reached",
        description="find out step by step whether a partner can be reached",
        parents=[common],
    )
    test.add_argument("domain", metavar="DOMAIN", help="the partner's domain")
    test.add_argument("--timeout", type=_seconds, default=30.0, metavar="S", help="seconds for all steps (30)")
    return parser


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value <= 300:
        raise argparse.ArgumentTypeError("give a number of seconds above 0 and up to 300")
    return value


def _run(options: argparse.Namespace) -> int:
    from .net.listener import ListenError
    from .service import Service

    async def serve() -> None:
        service = Service(options.config_dir, options.run_dir)
        service.handle_signals()
        await service.start()
        await service.stopped.wait()
        await service.finish()

    try:
        options.run_dir.mkdir(mode=0o750, parents=True, exist_ok=True)
        asyncio.run(serve())
    except RecordError as problem:
        _complain(options, f"The records in {options.config_dir} cannot be used.\n{problem}")
        return NO_START
    except (ListenError, ControlError) as problem:
        _complain(options, str(problem))
        return NO_START
    except OSError as problem:
        _complain(options, f"The service cannot start: {problem}.")
        return NO_START
    return OK


def _check(options: argparse.Namespace) -> int:
    problem = _problem(options.config_dir)
    if problem is None:
        digest, warnings = _judged(options.config_dir)
        answer = {"valid": True, "records_hash": digest, "release": RELEASE, "warnings": warnings}
        told = "".join(f"\nWarning: {text}" for text in warnings)
        _answer(options, answer, f"The records are valid (hash {digest[:12]}).{told}")
        return OK
    problems = problem.splitlines()
    text = f"The records are not valid:\n{_lines(problems)}"
    _answer(options, {"valid": False, "problems": problems}, text, sys.stderr)
    return NO


def _problem(directory: Path) -> str | None:
    """Why the records cannot be used, found by doing all that a start does with them."""
    from . import config

    try:
        config.load(directory)
    except (RecordError, OSError) as problem:
        return str(problem)
    return None


def _judged(directory: Path) -> tuple[str, list[str]]:
    """The hash of valid records, and what is to be seen to in the certificates beside them."""
    from . import config, protection

    snapshot = config.load(directory)
    return snapshot.digest, list(protection.warnings(snapshot, protection.load(snapshot)))


def _status(options: argparse.Namespace) -> int:
    answer = _call(options, {"command": "status"})
    _answer(options, answer, _describe_status(answer))
    return OK


def _streams(options: argparse.Namespace) -> int:
    answer = _call(options, {"command": "streams"})
    _answer(options, answer, _describe_streams(answer["streams"]))
    return OK


def _reload(options: argparse.Namespace) -> int:
    problem = _problem(options.config_dir)
    if problem is not None:
        lines = problem.splitlines()
        text = f"The records are not valid; the running service keeps the old ones:\n{_lines(lines)}"
        _answer(options, {"reloaded": False, "problems": lines}, text, sys.stderr)
        return NO
    answer = call(options.run_dir, {"command": "reload"}, timeout=60)
    if "error" in answer:
        _answer(options, {"reloaded": False, "problems": [answer["error"]]}, answer["error"], sys.stderr)
        return NO
    _answer(options, answer, f"Reloaded; records {answer['records_hash'][:12]} are in force.")
    return OK


def _drain(options: argparse.Namespace) -> int:
    _answer(options, call(options.run_dir, {"command": "drain"}, timeout=60), "Drained; the service ends.")
    return OK


def _test(options: argparse.Namespace) -> int:
    request = {"command": "test", "domain": options.domain, "timeout": options.timeout}
    answer = call(options.run_dir, request, timeout=options.timeout + 10)
    if "error" in answer:
        _complain(options, answer["error"])
        return NO
    _answer(options, answer, _describe_test(answer))
    return OK if answer["passed"] else NO


def _call(options: argparse.Namespace, request: dict[str, Any]) -> dict[str, Any]:
    answer = call(options.run_dir, request)
    if "error" in answer:
        raise ControlError(answer["error"])
    return answer


def _describe_status(status: dict[str, Any]) -> str:
    listening = ", ".join(
        f"{entry['address']} port {entry['port']}{' (direct TLS)' if entry['direct_tls'] else ''}"
        for entry in status["listening"]
    )
    rows = [
        f"xmpp-edge {status['version']}, process {status['pid']}, records {status['records_hash'][:12]}",
        f"Federation: {'on' if status['federation'] else 'off'} for {', '.join(status['domains']) or 'no domain'}",
        f"Listening:  {listening or 'nowhere'}",
    ]
    if status["draining"]:
        rows.append("Stopping: no new streams are taken.")
    for key, title in (("resolver_error", "DNS"), ("reload_error", "Last reload")):
        if status[key]:
            rows.append(f"{title}: {status[key]}")
    rows.extend(f"Warning: {text}" for text in status["warnings"])
    rows.append("Certificates:" if status["certificates"] else "Certificates: none, so TLS is not offered")
    for certificate in status["certificates"]:
        names = ", ".join(certificate["names"])
        until = f"until {certificate['not_after'][:10]}, {certificate['days_left']} days left"
        rows.append(f"  {certificate['usage']:<11}{names} ({until})")
    rows.append("Inside links:" if status["inside"] else "Inside links: none, because there are no partners")
    for link in status["inside"]:
        error = f"\n    {_printable(link['error'])}" if link["error"] else ""
        rows.append(f"  {link['state']:<11}{', '.join(link['domains'])}{error}")
    rows.append("Partners:" if status["partners"] else "Partners: none")
    for partner in status["partners"]:
        counts = f"{partner['streams_in']} in, {partner['streams_out']} out"
        error = f"\n    {_printable(partner['last_error'])}" if partner["last_error"] else ""
        rows.append(f"  {partner['state']:<11}{partner['domain']} ({counts}){error}")
    rows.append("Counters:   " + (", ".join(f"{name} {count}" for name, count in status["counters"].items()) or "none"))
    return "\n".join(rows)


def _describe_streams(streams: list[dict[str, Any]]) -> str:
    rows = []
    for stream in streams:
        pairs = ", ".join(
            f"{pair['local']} - {pair['remote']}" + (f" by {pair['method']}" if pair["method"] else "")
            for pair in stream["pairs"]
        )
        facts = [stream["tls"] or "not encrypted"] * bool(stream["address"]) + ["both ways"] * bool(stream["bidi"])
        pairs = ", ".join([pairs or "nothing proven", *facts])
        waiting = f", {stream['queued']} waiting" if stream.get("queued") else ""
        error = f"\n      {_printable(stream['error'])}" if stream.get("error") else ""
        row = f"{stream['direction']:<4}{stream['state']:<12}{stream['address'] or '-'}  {pairs}"
        rows.append(f"{row}, {stream['stanzas']} stanzas{waiting}{error}")
    return "\n".join(rows) or "No streams are open."


def _describe_test(answer: dict[str, Any]) -> str:
    marks = {"pass": "ok", "fail": "FAILED", "skip": "skipped"}
    rows = []
    for step in answer["steps"]:
        latency = f" ({step['latency_ms']} ms)" if step["latency_ms"] is not None else ""
        rows.append(f"{step['step']:<12}{marks[step['result']]:<8}{_printable(step['diagnosis'])}{latency}")
    verdict = "can be reached." if answer["passed"] else "cannot be reached in full; see the steps that failed."
    return "\n".join([*rows, f"{answer['domain']} {verdict}"])


def _printable(text: str) -> str:
    """What repeats the words of others, who could write lines of ours in it, or what a terminal takes for orders."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _lines(problems: list[str]) -> str:
    return "\n".join(f"  {problem}" for problem in problems)


def _answer(options: argparse.Namespace, answer: dict[str, Any], text: str, out: Any = None) -> None:
    """JSON goes to standard output whatever it says, so that a program always finds it there."""
    if options.json:
        sys.stdout.write(json.dumps(answer, sort_keys=True) + "\n")
    else:
        (out or sys.stdout).write(text + "\n")


def _complain(options: argparse.Namespace, text: str) -> None:
    if options.json:
        sys.stdout.write(json.dumps({"error": text}) + "\n")
    sys.stderr.write(f"xmpp-edge: {text}\n")
