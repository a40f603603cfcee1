# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Talks to one authoritative server over one TCP connection: many questions at once, and dynamic updates.

An answer is data only where the server says NOERROR or NXDOMAIN with authority; everything else is a `DnsError` with
a hint, so that "I may not tell you" is never taken for "there is nothing".

PRIVATE to the collection.
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
import struct
import time
from typing import Any, Iterable, NamedTuple, Sequence

from ._dns_update_key import TsigKey
from ._dns_update_plan import Change, Key, RecordSet, Srv, record_set
from ._dns_update_wire import CONFLICTS, DnsError, Request, UncertainError, Wire, absolute

# Questions on their way at one time; servers answer a connection's questions as they come.
WINDOW = 100
HEADER = 12
# Bytes of an update, estimated from above.
LIMIT = 50_000
SHORTEST = 0.01

HINTS = {
    "REFUSED": {
        "query": "does the server serve this zone, and may this host and key ask it (allow-query, views)?",
        "update": "may this key update the zone (allow-update)? is the zone frozen, or this a secondary server of it? "
        "without a key, give `key_file` or `key_secret`",
    },
    "NOTAUTH": {
        "query": "the server is not authoritative for the zone; give the primary server as `server`",
        "update": "the server is not the primary server of the zone; give that one as `server`, or correct `zone`",
    },
    "SERVFAIL": {
        "query": "the server has the zone but cannot use it; its log says why (zone not loaded, expired, bad file)",
        "update": "the server failed while it applied the update; its log says why (journal not writable, zone frozen)",
    },
    "NOTZONE": {"update": "a name lies outside the zone; leave `zone` out, and it is found"},
    "NOTIMP": {"update": "the server takes no dynamic updates"},
    "FORMERR": {"update": "the server does not understand the update"},
}


class ConflictError(Exception):
    """The zone changed between reading and writing."""


class Answer(NamedTuple):
    """`found` is the set that was asked for, `alias` the CNAME that stands instead, `zone` the one with the name."""

    found: RecordSet | None
    alias: str | None
    zone: str | None


class Client:
    """`timeout` is what each answer may take, in seconds; `until` ends everything, on the monotonic clock."""

    def __init__(
        self, server: str, port: int, key: TsigKey | None, timeout: float, until: float | None = None
    ) -> None:  # fmt: skip
        self.server = server
        self._port, self._timeout, self._until = port, timeout, until
        self._wire = Wire(key)
        self._dns = self._wire.dns
        self._socket: socket.socket | None = None

    def __str__(self) -> str:
        return f"{self.server} port {self._port}"

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    # Questions

    def ask(self, keys: Iterable[Key], outside: bool = False) -> dict[Key, Answer | None]:
        """One answer a key. With `outside`, a name that the server knows nothing about is None instead of an error."""
        wanted = list(dict.fromkeys(keys))
        answers: dict[Key, Answer | None] = {}
        for start in range(0, len(wanted), WINDOW):
            part = wanted[start : start + WINDOW]
            try:
                answers.update(self._ask(part, outside))
            except DnsError as exc:
                # Knot takes a key for the zones only that it is good for.
                if not outside or exc.rcode != "BADKEY":
                    raise
                self.close()
                answers.update(self._ask_each(part))
        return answers

    def _ask(self, keys: Sequence[Key], outside: bool) -> dict[Key, Answer | None]:
        messages = self._exchange([self._wire.question(key) for key in keys])
        return {key: self._read(key, message, outside) for key, message in zip(keys, messages)}

    def _ask_each(self, keys: Sequence[Key]) -> dict[Key, Answer | None]:
        answers: dict[Key, Answer | None] = {}
        for key in keys:
            try:
                answers.update(self._ask([key], outside=True))
            except DnsError as exc:
                if exc.rcode != "BADKEY":
                    raise
                answers[key] = None
        return answers

    def _read(self, key: Key, message: Any, outside: bool) -> Answer | None:
        rcode = self._dns.rcode.to_text(message.rcode())
        authoritative = bool(message.flags & self._dns.flags.AA)
        if outside and (rcode in ("REFUSED", "NOTAUTH") or (rcode in ("NOERROR", "NXDOMAIN") and not authoritative)):
            return None
        what = f"{self}, asked for {key.type} of {key.name}"
        if rcode not in ("NOERROR", "NXDOMAIN"):
            raise DnsError(what, rcode, HINTS.get(rcode, {}).get("query", "the server gave no usable answer"))
        if not authoritative:
            raise DnsError(what, "NOTAUTH", HINTS["NOTAUTH"]["query"])
        return self._answer(key, message)

    def _answer(self, key: Key, message: Any) -> Answer:
        types = self._dns.rdatatype
        owner = self._wire.name(key.name)
        found, alias, zone = None, None, None
        if message.answer and all(rrset.name != owner for rrset in message.answer):
            what = f"{self}, asked for {key.type} of {key.name}"
            raise DnsError(what, "FORMERR", "the answer speaks of other names only")
        for rrset in (*message.answer, *message.authority):
            if rrset.rdclass != self._dns.rdataclass.IN:
                continue
            # With authority, both name the zone that the answer comes from.
            if rrset.rdtype in (types.SOA, types.NS) and owner.is_subdomain(rrset.name):
                zone = _text(rrset.name)
            if rrset.name != owner:
                continue
            if rrset.rdtype == types.CNAME:
                alias = _text(rrset[0].target)
            elif types.to_text(rrset.rdtype) == key.type:
                found = _from_wire(rrset)
        return Answer(found, alias, zone)

    # Updates

    def update(self, zone: str, changes: Sequence[Change]) -> None:
        """Apply the changes as one: only if every set still is what it was when it was read.

        Raises ConflictError where one is not, UncertainError where no answer says what has become of it, and DnsError.
        """
        what = f"{self}, updating the zone {zone}"
        request = self._wire.update(zone, changes, what)
        # A connection that has been idle may be closed by now, which would only be noticed after the update is sent.
        self.close()
        self._connect(what)
        try:
            (answer,) = self._exchange([request])
        except DnsError as exc:
            if exc.refused:
                raise
            hint = f"{exc.hint}; whether the update was made is not certain"
            raise UncertainError(exc.what, exc.rcode, hint) from None
        rcode = self._dns.rcode.to_text(answer.rcode())
        if rcode in CONFLICTS:
            raise ConflictError(f"{what}: {rcode}: another editor changed one of the records at the same time")
        if rcode != "NOERROR":
            raise DnsError(what, rcode, HINTS.get(rcode, {}).get("update", "the server did not take the update"))

    def see_that_it_fits(self, zone: str, changes: Sequence[Change]) -> None:
        """What `update` would refuse to send, before anything is sent. Only a single name can have too much."""
        if sum(map(_cost, changes)) > LIMIT:
            self._wire.update(zone, changes, f"{self}, updating the zone {zone}")

    # The connection

    def _exchange(self, requests: Sequence[Request]) -> list[Any]:
        """Send all, then gather the answers in whatever order they come.

        Some servers end a connection after a number of questions or a while; what they left unanswered is asked again.
        """
        first = secrets.randbelow(65536)
        pending = {(first + number) % 65536: number for number in range(len(requests))}
        for identifier, number in pending.items():
            requests[number].id = identifier
        answers: dict[int, Any] = {}
        while pending:
            before = len(pending)
            reused = self._socket is not None
            what = f"{self}, {requests[min(pending.values())].doing}"
            stream = self._connect(what)
            try:
                stream.sendall(b"".join(self._wire.frame(requests[number]) for number in pending.values()))
                self._gather(stream, requests, pending, answers)
            except socket.timeout:
                self.close()
                raise DnsError(what, "TIMEOUT", f"no answer within {self._timeout:g} s") from None
            except DnsError:
                # What else comes on this connection answers nothing that is still to be asked.
                self.close()
                raise
            except (OSError, EOFError) as exc:
                self.close()
                if requests[0].changes or (len(pending) == before and not reused):
                    hint = f"the connection broke ({str(exc) or 'closed by the server'})"
                    raise DnsError(what, "UNREACHABLE", hint) from None
        return [answers[number] for number in range(len(requests))]

    def _gather(
        self, stream: socket.socket, requests: Sequence[Request], pending: dict[int, int], answers: dict[int, Any]
    ) -> None:
        while pending:
            wire = self._frame(stream)
            asked = pending.pop(struct.unpack("!H", wire[:2])[0], None) if len(wire) >= HEADER else None
            if asked is None:
                raise DnsError(str(self), "FORMERR", "it sent an answer that belongs to no question of ours")
            answers[asked] = self._wire.read(wire, requests[asked], f"{self}, {requests[asked].doing}")

    def _connect(self, what: str) -> socket.socket:
        if self._socket is None:
            try:
                self._socket = socket.create_connection((self.server, self._port), timeout=self._patience())
            except socket.timeout:
                hint = (
                    f"no connection within {self._timeout:g} s; is the address right, and TCP port {self._port} open?"
                )
                raise DnsError(what, "TIMEOUT", hint) from None
            except (OSError, UnicodeError) as exc:
                why = getattr(exc, "strerror", None) or exc
                hint = f"no connection ({why}); is the address right, and TCP port {self._port} open?"
                raise DnsError(what, "UNREACHABLE", hint) from None
        return self._socket

    def _patience(self) -> float:
        """Seconds for the next answer."""
        if self._until is None:
            return self._timeout
        return max(SHORTEST, min(self._timeout, self._until - time.monotonic()))

    def _frame(self, stream: socket.socket) -> bytes:
        until = time.monotonic() + self._patience()
        (length,) = struct.unpack("!H", _exactly(stream, 2, until))
        return _exactly(stream, length, until)


def elsewhere(name: str, timeout: float) -> Answer | None:
    """What this host's resolver says of a target that the server knows nothing about; None where it cannot tell."""
    import dns.exception
    import dns.resolver

    try:
        resolver = dns.resolver.Resolver()
        resolver.lifetime = timeout
        for kind in ("A", "AAAA"):
            try:
                answer = resolver.resolve(absolute(name), kind, raise_on_no_answer=False)
            except dns.resolver.NXDOMAIN:
                return Answer(None, None, None)
            canonical = _text(answer.canonical_name)
            if canonical != name:
                return Answer(None, canonical, None)
            if answer.rrset is not None:
                return Answer(_from_wire(answer.rrset), None, None)
    except (dns.exception.DNSException, OSError):
        return None
    return Answer(None, None, None)


def resolve(key: Key, resolver: tuple[str, int], timeout: float) -> RecordSet | None:
    """What a resolver says of a record set; raises DnsError where it does not know."""
    import dns.exception
    import dns.resolver

    asked = dns.resolver.Resolver(configure=False)
    asked.nameservers, asked.port, asked.lifetime = [resolver[0]], resolver[1], timeout
    try:
        answer = asked.resolve(absolute(key.name), key.type, raise_on_no_answer=False)
    except dns.resolver.NXDOMAIN:
        return None
    except (dns.exception.DNSException, OSError, ValueError) as exc:
        what = f"{resolver[0]} port {resolver[1]}, asked for {key.type} of {key.name}"
        raise DnsError(what, "TIMEOUT", f"no usable answer ({type(exc).__name__})") from None
    return _from_wire(answer.rrset) if answer.rrset is not None else None


def batches(changes: Sequence[Change], limit: int = LIMIT) -> list[list[Change]]:
    """Changes in messages that fit into 64 KiB, estimated from above; all changes of one owner name stay together."""
    by_owner: dict[str, list[Change]] = {}
    for change in changes:
        by_owner.setdefault(change.key.name, []).append(change)
    result: list[list[Change]] = []
    size = limit
    for group in by_owner.values():
        cost = sum(_cost(change) for change in group)
        if not result or size + cost > limit:
            result.append([])
            size = 0
        result[-1].extend(group)
        size += cost
    return result


def _cost(change: Change) -> int:
    values = [*(change.before.values if change.before else ()), *(change.after.values if change.after else ())]
    return 2 * (len(change.key.name) + 12) + sum(len(change.key.name) + len(str(value)) + 20 for value in values)


def _exactly(stream: socket.socket, count: int, until: float) -> bytes:
    data = b""
    while len(data) < count:
        left = until - time.monotonic()
        if left <= 0:
            raise socket.timeout
        stream.settimeout(left)
        part = stream.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def _text(name: Any) -> str:
    return str(name.to_text(omit_final_dot=True)).lower()


def _from_wire(rrset: Any) -> RecordSet | None:
    values: list[Any] = []
    for rdata in rrset:
        if hasattr(rdata, "priority"):
            values.append(Srv(rdata.priority, rdata.weight, rdata.port, _text(rdata.target)))
        else:
            # There is more than one way to write some addresses.
            values.append(str(ipaddress.ip_address(rdata.address)) if hasattr(rdata, "address") else rdata.to_text())
    return record_set(rrset.ttl, values)
