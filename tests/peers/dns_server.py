# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An authoritative DNS server on loopback, for tests and for the demo.

It answers over UDP and TCP, takes RFC 2136 updates (prerequisites included) that are signed with TSIG,
remembers every question, and misbehaves on request.

In a test, in the same process::

    with DnsServer({"a.example": ["@ 300 IN A 192.0.2.1"]}, keys={"edge": ("hmac-sha256", "c2VjcmV0")}) as server:
        ...                                     # server.address is ("127.0.0.1", 40123)
        assert server.queries() == []

As a process of its own: ``python dns_server.py config.json``, see ``main``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import json
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Self, TextIO, cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rdtypes.ANY.TSIG
import dns.rrset
import dns.tsig
import dns.update
import dns.zone

# What may be asked of `behave`. `lie` says NOERROR to an update and forgets it; `truncate` sets TC on every UDP answer.
BEHAVIOURS = ("normal", "refused", "servfail", "notauth", "nxdomain", "timeout", "truncate", "lie")
WHAT = ("all", "query", "update")
APEX_KEPT = (dns.rdatatype.SOA, dns.rdatatype.NS)


@dataclasses.dataclass(frozen=True)
class Question:
    """One message that reached the server. `rcode` is None where no answer was sent."""

    opcode: str
    name: str
    type: str
    transport: str
    key: str | None
    rcode: str | None
    client: str
    time: float


class RefusalError(Exception):
    """The message gets this response code and nothing else."""

    def __init__(self, rcode: int) -> None:
        super().__init__(dns.rcode.to_text(dns.rcode.Rcode(rcode)))
        self.rcode = rcode


def make_zone(name: str, records: str | Iterable[str], ttl: int = 300) -> dns.zone.Zone:
    """A zone from master file text or lines; SOA and NS are added where they are not given."""
    text = records if isinstance(records, str) else "\n".join(records)
    text = f"$TTL {ttl}\n{text}\n"
    zone = dns.zone.from_text(text, origin=name, relativize=False, check_origin=False)
    assert zone.origin is not None
    for kind, value in (
        ("SOA", f"ns.{zone.origin} admin.{zone.origin} 1 3600 600 86400 60"),
        ("NS", f"ns.{zone.origin}"),
    ):
        if zone.get_rdataset(zone.origin, kind) is None:
            zone.replace_rdataset(zone.origin, dns.rdataset.from_text("IN", kind, ttl, value))
    return zone


class Zones:
    """The data: answers questions and applies updates; knows nothing of sockets."""

    def __init__(self, zones: Mapping[str, str | Iterable[str]], updaters: Mapping[str, Iterable[str]] | None) -> None:
        made = [make_zone(name, records) for name, records in zones.items()]
        self._zones = {zone.origin: zone for zone in made if zone.origin is not None}
        self._names: dict[dns.name.Name | None, tuple[set[dns.name.Name], int]] = {}
        self._updaters = {
            dns.name.from_text(name): set(map(dns.name.from_text, keys)) for name, keys in (updaters or {}).items()
        }

    def zone(self, name: str) -> dns.zone.Zone:
        return self._zones[dns.name.from_text(name)]

    def _zone_for(self, name: dns.name.Name) -> dns.zone.Zone | None:
        while True:
            if name in self._zones:
                return self._zones[name]
            if name == dns.name.root:
                return None
            name = name.parent()

    def rdataset(self, name: str, rdtype: str) -> dns.rdataset.Rdataset | None:
        """What stands under a name now, for assertions."""
        owner = dns.name.from_text(name)
        zone = self._zone_for(owner)
        return zone.get_rdataset(owner, rdtype) if zone else None

    def takes(self, name: dns.name.Name, key: dns.name.Name | None) -> bool:
        zone = self._zone_for(name)
        allowed = self._updaters.get(zone.origin) if zone is not None and zone.origin is not None else None
        return key is None or allowed is None or key in allowed

    def answer(self, query: dns.message.Message, response: dns.message.Message) -> None:
        question = query.question[0]
        name, rdtype = question.name, question.rdtype
        zone = self._zone_for(name)
        if zone is None or zone.origin is None:
            raise RefusalError(dns.rcode.REFUSED)
        response.flags |= dns.flags.AA
        for _unused in range(8):
            source = self._source(zone, name)
            found = zone.get_rdataset(source, rdtype)
            alias = zone.get_rdataset(source, dns.rdatatype.CNAME)
            if found is not None or alias is None:
                break
            response.answer.append(_rrset(name, alias))
            name = alias[0].target
            zone = self._zone_for(name)
            if zone is None:
                return
        assert zone is not None
        assert zone.origin is not None
        if found is not None:
            response.answer.append(_rrset(name, found))
            if not query.flags & dns.flags.RD and rdtype != dns.rdatatype.NS:
                response.authority.append(_rrset(zone.origin, zone.find_rdataset(zone.origin, "NS")))
            return
        if source not in self._existing(zone):
            response.set_rcode(dns.rcode.NXDOMAIN)
        response.authority.append(_rrset(zone.origin, zone.find_rdataset(zone.origin, "SOA")))

    def _source(self, zone: dns.zone.Zone, name: dns.name.Name) -> dns.name.Name:
        """The name itself, or the wildcard that answers for it (RFC 4592)."""
        existing = self._existing(zone)
        encloser = name
        while encloser not in existing and encloser != zone.origin:
            encloser = encloser.parent()
        wildcard = dns.name.Name((b"*", *encloser.labels)) if encloser != name else name
        return wildcard if wildcard in existing else name

    def _existing(self, zone: dns.zone.Zone) -> set[dns.name.Name]:
        """All names with records, and those between them and the apex, which exist without any."""
        size = len(zone.nodes)
        known, counted = self._names.get(zone.origin, (set(), -1))
        if counted != size:
            known = set()
            for name in zone:
                while name not in known and name != dns.name.root:
                    known.add(name)
                    name = name.parent()
            self._names[zone.origin] = known, size
        return known

    def update(self, message: dns.update.UpdateMessage, *, dry: bool = False) -> None:
        zone = self._zones.get(message.zone[0].name)
        if zone is None or zone.origin is None:
            raise RefusalError(dns.rcode.NOTAUTH)
        allowed = self._updaters.get(zone.origin)
        if not message.had_tsig or (allowed is not None and message.keyname not in allowed):
            raise RefusalError(dns.rcode.REFUSED)
        for rrset in (*message.prerequisite, *message.update):
            if not rrset.name.is_subdomain(zone.origin):
                raise RefusalError(dns.rcode.NOTZONE)
        _check_prerequisites(zone, message.prerequisite)
        if dry:
            return
        self._names.pop(zone.origin, None)
        with zone.writer() as transaction:
            for rrset in message.update:
                _apply(transaction, zone.origin, rrset)
            if transaction.changed():
                transaction.update_serial(name=zone.origin)


def _rrset(name: dns.name.Name, rdataset: dns.rdataset.Rdataset) -> dns.rrset.RRset:
    return dns.rrset.from_rdata_list(name, rdataset.ttl, list(rdataset))


def _check_prerequisites(zone: dns.zone.Zone, prerequisites: Iterable[dns.rrset.RRset]) -> None:
    """RFC 2136 3.2. Records that must be there with their values are gathered and compared as whole sets."""
    exact: dict[tuple[dns.name.Name, int], set[Any]] = {}
    for rrset in prerequisites:
        node = zone.get_node(rrset.name)
        found = zone.get_rdataset(rrset.name, rrset.rdtype) if rrset.rdtype != dns.rdatatype.ANY else node
        if rrset.deleting == dns.rdataclass.NONE and found is not None:
            raise RefusalError(dns.rcode.YXDOMAIN if rrset.rdtype == dns.rdatatype.ANY else dns.rcode.YXRRSET)
        if rrset.deleting == dns.rdataclass.ANY and found is None:
            raise RefusalError(dns.rcode.NXDOMAIN if rrset.rdtype == dns.rdatatype.ANY else dns.rcode.NXRRSET)
        if rrset.deleting is None:
            exact.setdefault((rrset.name, rrset.rdtype), set()).update(rrset)
    for (name, rdtype), wanted in exact.items():
        if set(zone.get_rdataset(name, dns.rdatatype.RdataType.make(rdtype)) or ()) != wanted:
            raise RefusalError(dns.rcode.NXRRSET)


def _apply(transaction: Any, origin: dns.name.Name, rrset: dns.rrset.RRset) -> None:
    """RFC 2136 3.4.2 for one record. An added record brings its TTL to the whole set, as BIND does."""
    name, rdtype = rrset.name, rrset.rdtype
    kept = name == origin and rdtype in APEX_KEPT
    if rrset.deleting == dns.rdataclass.ANY and rdtype == dns.rdatatype.ANY:
        for owner, rdataset in list(transaction.iterate_rdatasets()):
            if owner == name and not (name == origin and rdataset.rdtype in APEX_KEPT):
                transaction.delete(name, rdataset.rdtype)
    elif rrset.deleting == dns.rdataclass.ANY:
        if not kept:
            transaction.delete(name, rdtype)
    elif rrset.deleting == dns.rdataclass.NONE:
        if not kept:
            transaction.delete(name, dns.rdataset.from_rdata_list(rrset.ttl, list(rrset)))
    else:
        before = transaction.get(name, rdtype) or ()
        transaction.replace(name, dns.rdataset.from_rdata_list(rrset.ttl, [*before, *rrset]))


class DnsServer:
    """`start` and `stop` from any thread; the sockets live in a thread of their own.

    zones: name -> master file text or lines.    keys: name -> (algorithm, base64 secret).
    updaters: zone -> names of the keys that may update it; a zone that is not named takes every known key.
    strict: such a zone takes no questions that are signed with another key either, as Knot does it.
    """

    def __init__(
        self,
        zones: Mapping[str, str | Iterable[str]],
        keys: Mapping[str, tuple[str, str]] | None = None,
        updaters: Mapping[str, Iterable[str]] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        on_question: Callable[[Question], None] | None = None,
        strict: bool = False,
    ) -> None:
        self.strict = strict
        self.zones = Zones(zones, updaters)
        self.keys = {
            dns.name.from_text(name): dns.tsig.Key(name, secret, algorithm)
            for name, (algorithm, secret) in (keys or {}).items()
        }
        self.host, self.port = host, port
        self.clock_offset = 0
        self._on_question = on_question
        self._behaviour = dict.fromkeys(("query", "update"), "normal")
        self._special: dict[tuple[dns.name.Name, str], str] = {}
        self._before_update: list[Callable[[Zones], None]] = []
        self._log: list[Question] = []
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._done: asyncio.Event | None = None

    # What a test looks at and turns

    @property
    def address(self) -> tuple[str, int]:
        return self.host, self.port

    def behave(self, how: str, what: str = "all") -> None:
        """From now on answer queries, updates or all in this way; `normal` is the way back."""
        if how not in BEHAVIOURS or what not in WHAT:
            raise ValueError(f"behave({how!r}, {what!r}): one of {BEHAVIOURS} and one of {WHAT}")
        for kind in self._behaviour if what == "all" else (what,):
            self._behaviour[kind] = how

    def behave_for(self, name: str, rdtype: str, how: str) -> None:
        """From now on answer this one question in this way, whatever holds for others."""
        if how not in BEHAVIOURS:
            raise ValueError(f"behave_for({how!r}): one of {BEHAVIOURS}")
        self._special[dns.name.from_text(name), rdtype] = how

    def before_update(self, act: Callable[[Zones], None]) -> None:
        """Run this just before an update is looked at, as another editor who was faster. Each update takes one."""
        self._before_update.append(act)

    def questions(self, name: str | None = None, opcode: str | None = None) -> list[Question]:
        with self._lock:
            log = list(self._log)
        wanted = dns.name.from_text(name).to_text() if name else None
        return [q for q in log if wanted in (None, q.name) and opcode in (None, q.opcode)]

    def queries(self, name: str | None = None) -> list[Question]:
        return self.questions(name, "QUERY")

    def updates(self, name: str | None = None) -> list[Question]:
        return self.questions(name, "UPDATE")

    def forget(self) -> None:
        with self._lock:
            self._log.clear()

    def records(self, name: str, rdtype: str) -> list[str]:
        """What the zone holds, as sorted text without the TTL."""
        found = self.zones.rdataset(name, rdtype)
        return sorted(rdata.to_text() for rdata in found or ())

    def ttl(self, name: str, rdtype: str) -> int | None:
        found = self.zones.rdataset(name, rdtype)
        return None if found is None else int(found.ttl)

    # Life

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_unused: object) -> None:
        self.stop()

    def start(self) -> Self:
        tcp, udp = _bind(self.host, self.port)
        self.port = tcp.getsockname()[1]
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(tcp, udp, ready)), daemon=True)
        self._thread.start()
        ready.wait()
        return self

    def stop(self) -> None:
        if self._loop is not None and self._done is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._done.set)
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    async def _serve(self, tcp: socket.socket, udp: socket.socket, ready: threading.Event) -> None:
        self._loop, self._done = asyncio.get_running_loop(), asyncio.Event()
        transport, _unused = await self._loop.create_datagram_endpoint(lambda: _Datagrams(self._respond), sock=udp)
        tasks: set[asyncio.Task[None]] = set()

        async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            if task is not None:
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            with contextlib.suppress(asyncio.CancelledError):  # the end of the server, not of the connection
                await _stream(self._respond, reader, writer)

        server = await asyncio.start_server(client, sock=tcp)
        ready.set()
        await self._done.wait()
        transport.close()
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # One message

    def _respond(self, wire: bytes, transport: str, client: str) -> bytes | None:
        try:
            bare = dns.message.from_wire(wire, keyring=False)
        except (dns.exception.DNSException, ValueError):
            return None
        try:
            query = dns.message.from_wire(wire, keyring=self._key) if bare.had_tsig else bare
            response = dns.message.make_response(query)
            wire_out = self._decide(query, response, transport)
        except (dns.exception.DNSException, RefusalError) as problem:
            response, wire_out = _tsig_refusal(bare, problem)
        self._note(bare, transport, client, None if wire_out is None else dns.rcode.to_text(response.rcode()))
        return wire_out

    def _key(self, message: dns.message.Message, name: dns.name.Name) -> dns.tsig.Key | None:
        return self.keys.get(name)

    def _decide(self, query: dns.message.Message, response: dns.message.Message, transport: str) -> bytes | None:
        if self.clock_offset and query.tsig is not None and abs(self.clock_offset) > query.tsig[0].fudge:
            raise dns.tsig.BadTime
        section = query.question or query.sections[0]
        if self.strict and section and not self.zones.takes(section[0].name, query.keyname):
            raise dns.tsig.BadKey
        kind = "update" if query.opcode() == dns.opcode.UPDATE else "query"
        how = self._behaviour[kind]
        if kind == "query" and section:
            how = self._special.get((section[0].name, dns.rdatatype.to_text(section[0].rdtype)), how)
        if how == "timeout":
            return None
        try:
            if how in ("refused", "servfail", "notauth", "nxdomain"):
                raise RefusalError(dns.rcode.from_text(how))
            if isinstance(query, dns.update.UpdateMessage):
                if self._before_update:
                    self._before_update.pop(0)(self.zones)
                self.zones.update(query, dry=how == "lie")
            elif len(query.question) == 1 and kind == "query":
                self.zones.answer(query, response)
            else:
                raise RefusalError(dns.rcode.NOTIMP)
        except RefusalError as refusal:
            response.set_rcode(dns.rcode.Rcode(refusal.rcode))
        return _to_wire(query, response, transport, truncate=how == "truncate")

    def _note(self, query: dns.message.Message, transport: str, client: str, rcode: str | None) -> None:
        section = query.question or query.sections[0]
        question = Question(
            opcode=dns.opcode.to_text(query.opcode()),
            name=section[0].name.to_text() if section else "",
            type=dns.rdatatype.to_text(section[0].rdtype) if section else "",
            transport=transport,
            key=query.keyname.to_text() if query.had_tsig and query.keyname else None,
            rcode=rcode,
            client=client,
            time=time.time(),
        )
        with self._lock:
            self._log.append(question)
        if self._on_question is not None:
            self._on_question(question)


def _to_wire(query: dns.message.Message, response: dns.message.Message, transport: str, *, truncate: bool) -> bytes:
    limit = 65535 if transport == "tcp" else max(512, query.payload if query.edns >= 0 else 512)
    if not (truncate and transport == "udp"):
        try:
            return response.to_wire(max_size=limit)
        except dns.exception.TooBig:
            pass
    response.answer, response.authority, response.additional = [], [], []
    response.flags |= dns.flags.TC
    return response.to_wire(max_size=limit)


def _tsig_refusal(query: dns.message.Message, problem: Exception) -> tuple[dns.message.Message, bytes]:
    """RFC 8945 5.2: a signature that does not hold is NOTAUTH, the reason stands in an unsigned TSIG record."""
    response = dns.message.make_response(query)
    if query.tsig is None:
        response.set_rcode(dns.rcode.FORMERR)
        return response, response.to_wire()
    response.set_rcode(dns.rcode.NOTAUTH)
    known = {dns.tsig.BadTime: dns.rcode.BADTIME, dns.tsig.BadSignature: dns.rcode.BADSIG}
    error = next((code for kind, code in known.items() if isinstance(problem, kind)), dns.rcode.BADKEY)
    asked = query.tsig[0]
    answer = dns.rdtypes.ANY.TSIG.TSIG(  # type: ignore[no-untyped-call]
        dns.rdataclass.ANY, dns.rdatatype.TSIG, asked.algorithm, int(time.time()), 300, b"", query.id, error, b""
    )
    wire = bytearray(response.to_wire())
    wire[10:12] = struct.pack("!H", 1)  # one additional record: the TSIG that follows
    rdata = answer.to_wire() or b""
    owner = query.tsig.name.to_wire() or b""
    header = struct.pack("!HHIH", dns.rdatatype.TSIG, dns.rdataclass.ANY, 0, len(rdata))
    return response, bytes(wire) + owner + header + rdata


def _bind(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """UDP and TCP on one port; where the kernel chooses it, until one is free for both."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for attempt in range(50):
        tcp = socket.socket(family, socket.SOCK_STREAM)
        udp = socket.socket(family, socket.SOCK_DGRAM)
        try:
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tcp.bind((host, port))
            udp.bind((host, tcp.getsockname()[1]))
            return tcp, udp
        except OSError:
            tcp.close()
            udp.close()
            if port or attempt == 49:
                raise
    raise AssertionError("not reached")


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, respond: Callable[[bytes, str, str], bytes | None]) -> None:
        self._respond = respond
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        answer = self._respond(data, "udp", str(addr[0]))
        if answer is not None and self._transport is not None:
            self._transport.sendto(answer, addr)


async def _stream(
    respond: Callable[[bytes, str, str], bytes | None], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    try:
        while True:
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            answer = respond(await reader.readexactly(length), "tcp", str(writer.get_extra_info("peername")[0]))
            if answer is not None:
                writer.write(struct.pack("!H", len(answer)) + answer)
                await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


def from_config(config: Mapping[str, Any], log: TextIO | None = None) -> DnsServer:
    def write(question: Question) -> None:
        assert log is not None
        log.write(json.dumps(dataclasses.asdict(question)) + "\n")
        log.flush()

    server = DnsServer(
        config["zones"],
        keys={name: (key["algorithm"], key["secret"]) for name, key in config.get("keys", {}).items()},
        updaters=config.get("updaters"),
        host=config.get("host", "127.0.0.1"),
        port=config.get("port", 0),
        strict=config.get("strict", False),
        on_question=write if log else None,
    )
    server.behave(config.get("behaviour", "normal"))
    return server


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT. The first line on standard output is {"ready": true, "host": ..., "port": ...}.

    The configuration file: {"host", "port", "zones": {zone: text or [lines]}, "keys": {name: {"algorithm", "secret"}},
    "updaters": {zone: [key names]}, "strict", "behaviour", "log": path of a file that gets one JSON line a question}.
    """
    parser = argparse.ArgumentParser(description="Authoritative DNS server on loopback, for tests")
    parser.add_argument("config", type=Path)
    config = json.loads(parser.parse_args(arguments).config.read_text(encoding="utf-8"))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_unused: stop.set())
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(open(config["log"], "a", encoding="utf-8")) if config.get("log") else None
        server = stack.enter_context(from_config(config, log))
        print(json.dumps({"ready": True, "host": server.host, "port": server.port}), flush=True)
        stop.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
