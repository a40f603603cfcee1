# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Questions and updates as bytes, signed where there is a key, and the answers to them.

A run asks thousands of questions that differ in their names only. dnspython takes two thirds of the time of a question
to write and sign it, so that is done here, as RFC 1035 (4.1) and RFC 8945 (4.2) have it; all else is dnspython's.

PRIVATE to the collection.
"""

from __future__ import annotations

import struct
import time
from typing import Any, NamedTuple, Sequence

from ._dns_update_key import TsigKey
from ._dns_update_plan import Change, Key, RecordSet, Srv

QUERY = 0
FUDGE = 300
# A message has 64 KiB; the signature goes in, too.
LONGEST = 65_000
TSIG_HINTS = {
    "PeerBadKey": (
        "BADKEY",
        "the server knows no such key, or not for this zone; check `key_name` and `key_algorithm`",
    ),
    "PeerBadSignature": ("BADSIG", "the secret is not the one that the server has for this key"),
    "PeerBadTime": ("BADTIME", "the clocks of this host and of the server differ by more than five minutes"),
    "BadSignature": ("BADSIG", "the server's answer is not signed with this secret"),
    "BadTime": ("BADTIME", "the clocks of this host and of the server differ by more than five minutes"),
    "BadKey": ("BADKEY", "the server signed its answer with another key"),
    "BadAlgorithm": ("BADKEY", "the server signed its answer with another algorithm"),
    "UnknownTSIGKey": ("BADKEY", "the server signed its answer with another key"),
    "PeerBadTruncation": ("BADTRUNC", "the server wants longer signatures"),
}
CONFLICTS = ("NXRRSET", "YXRRSET", "NXDOMAIN", "YXDOMAIN")


class DnsError(Exception):
    """The server did not do what was asked; `rcode` is its word for it, TIMEOUT or UNREACHABLE where it gave none."""

    def __init__(self, what: str, rcode: str, hint: str, refused: bool = False) -> None:
        super().__init__(f"{what}: {rcode}: {hint}")
        self.what, self.rcode, self.hint = what, rcode, hint
        self.refused = refused
        """The server has not even looked at what was asked."""


class UncertainError(DnsError):
    """An update went out, and nobody can tell from the answer whether it was made."""


class Request:
    """One message to the server. `body` is all of it behind the header, `counts` are the four of the header.

    `changes` is whether it is an update; `doing` says for people what it is about.
    """

    __slots__ = ("body", "changes", "counts", "doing", "id", "mac", "opcode", "subject")

    def __init__(self, opcode: int, subject: Any, counts: Sequence[int], body: bytes, doing: str) -> None:
        self.opcode, self.subject, self.counts, self.body, self.doing = opcode, subject, counts, body, doing
        self.changes = opcode != QUERY
        self.id = 0
        self.mac = b""


class Refusal(NamedTuple):
    """All that is believed of an answer without a signature."""

    code: Any
    flags: int

    def rcode(self) -> Any:
        return self.code


class _Subject(NamedTuple):
    """What the first section asks about: a name and a type, or a zone and SOA."""

    name: Any
    type: int


class Wire:
    """Writes requests and reads answers; knows the key, and nothing of connections."""

    def __init__(self, key: TsigKey | None) -> None:
        import dns.exception
        import dns.flags
        import dns.message
        import dns.name
        import dns.opcode
        import dns.rcode
        import dns.rdataclass
        import dns.rdatatype
        import dns.rdtypes.ANY.TSIG
        import dns.rdtypes.IN.A
        import dns.rdtypes.IN.AAAA
        import dns.rdtypes.IN.SRV
        import dns.tsig
        import dns.update

        self.dns = dns
        self._unreadable = (dns.exception.DNSException, ValueError, IndexError, struct.error)
        self._key: Any = None
        self._keyring: Any = None
        if key is not None:
            algorithm = dns.name.from_text(_wire_algorithm(key.algorithm))
            self._key = dns.tsig.Key(dns.name.from_text(absolute(key.name)), key.secret, algorithm)
            self._keyring = {self._key.name: self._key}

    # Out

    def question(self, key: Key) -> Request:
        """Without recursion: only what the server itself says counts."""
        asked = _Subject(self.name(key.name), int(self.dns.rdatatype.from_text(key.type)))
        body = asked.name.to_wire() + struct.pack("!HH", asked.type, self.dns.rdataclass.IN)
        return Request(self.dns.opcode.QUERY, asked, (1, 0, 0, 0), body, f"asking for {key.type} of {key.name}")

    def update(self, zone: str, changes: Sequence[Change], what: str) -> Request:
        """RFC 2136: the changes as one, on the condition that every set still is what it was when it was read."""
        message = self.dns.update.UpdateMessage(absolute(zone))
        for change in changes:
            owner = self.name(change.key.name)
            if change.before is None:
                message.absent(owner, change.key.type)
            else:
                for rdata in self._rdatas(change.key, change.before):
                    message.present(owner, rdata)
        for change in changes:
            owner = self.name(change.key.name)
            if change.before is not None:
                message.delete(owner, change.key.type)
            if change.after is not None:
                for rdata in self._rdatas(change.key, change.after):
                    message.add(owner, change.after.ttl, rdata)
        try:
            wire = message.to_wire(max_size=LONGEST)
        except self.dns.exception.TooBig:
            owner = changes[0].key
            hint = f"{owner.type} of {owner.name} is more than one message can hold; give fewer records at one name"
            raise DnsError(what, "TOOBIG", hint) from None
        counts = struct.unpack("!HHHH", wire[4:12])
        subject = _Subject(self.name(zone), int(self.dns.rdatatype.SOA))
        return Request(self.dns.opcode.UPDATE, subject, counts, wire[12:], f"updating the zone {zone}")

    def name(self, text: str) -> Any:
        return self.dns.name.from_text(absolute(text))

    def _rdatas(self, key: Key, records: RecordSet) -> list[Any]:
        return [self._rdata(key, value) for value in records.values]

    def _rdata(self, key: Key, value: Any) -> Any:
        classes, types = self.dns.rdataclass, self.dns.rdatatype
        if isinstance(value, Srv):
            target = self.name(value.target)
            numbers = (value.priority, value.weight, value.port)
            return self.dns.rdtypes.IN.SRV.SRV(classes.IN, types.SRV, *numbers, target)
        if key.type == "A":
            return self.dns.rdtypes.IN.A.A(classes.IN, types.A, value)
        return self.dns.rdtypes.IN.AAAA.AAAA(classes.IN, types.AAAA, value)

    def frame(self, request: Request) -> bytes:
        """As it goes over TCP, signed now."""
        header = struct.pack("!HH", request.id, request.opcode << 11)
        first, second, third, additional = request.counts
        wire = header + struct.pack("!HHHH", first, second, third, additional) + request.body
        if self._key is not None:
            signature = self._sign(wire, request)
            wire = header + struct.pack("!HHHH", first, second, third, additional + 1) + request.body + signature
        return struct.pack("!H", len(wire)) + wire

    def _sign(self, wire: bytes, request: Request) -> bytes:
        types, classes = self.dns.rdatatype, self.dns.rdataclass
        blank = self.dns.rdtypes.ANY.TSIG.TSIG(
            classes.ANY, types.TSIG, self._key.algorithm, 0, FUDGE, b"", request.id, self.dns.rcode.NOERROR, b""
        )
        rdata, _context = self.dns.tsig.sign(wire, self._key, blank, int(time.time()), b"")
        request.mac = rdata.mac
        content = rdata.to_wire()
        head = struct.pack("!HHIH", types.TSIG, classes.ANY, 0, len(content))
        signature: bytes = self._key.name.to_wire() + head + content
        return signature

    # In

    def read(self, wire: bytes, request: Request, what: str) -> Any:
        """The answer to the request, as a message of dnspython, or a Refusal; raises DnsError."""
        try:
            answer = self.dns.message.from_wire(wire, keyring=self._keyring, request_mac=request.mac)
        except self._unreadable as exc:
            kind = type(exc).__name__
            word, hint = TSIG_HINTS.get(kind, (None, None))
            if word is None and self._key is not None:
                # A server that knows nothing of the zone or the key may refuse without signing.
                return self._unsigned(wire, what)
            refused = kind.startswith("Peer")
            raise DnsError(what, word or "FORMERR", hint or f"the answer cannot be read ({exc})", refused) from None
        if self._key is not None and not answer.had_tsig:
            return self._unsigned(wire, what)
        if not self._answers(answer, request):
            raise DnsError(what, "FORMERR", "the answer belongs to another question")
        if answer.flags & self.dns.flags.TC:
            raise DnsError(what, "TRUNCATED", "the server has cut its answer off, which it may not do over TCP")
        return answer

    def _unsigned(self, wire: bytes, what: str) -> Refusal:
        """Refusals are believed without a signature, because they only stop us; data is not."""
        (flags,) = struct.unpack("!H", wire[2:4])
        refusal = Refusal(self.dns.rcode.Rcode(flags & 0xF), flags)
        if self.dns.rcode.to_text(refusal.code) in ("NOERROR", "NXDOMAIN", *CONFLICTS):
            raise DnsError(what, "BADSIG", "the question was signed and the answer is not")
        return refusal

    def _answers(self, answer: Any, request: Request) -> bool:
        if not answer.flags & self.dns.flags.QR or answer.id != request.id or answer.opcode() != request.opcode:
            return False
        if not answer.question:
            # Who refuses may leave it out, and so may who has made an update.
            data = answer.rcode() in (self.dns.rcode.NOERROR, self.dns.rcode.NXDOMAIN)
            return request.opcode == self.dns.opcode.UPDATE or not data
        asked = answer.question[0]
        return (
            len(answer.question) == 1
            and (asked.name, asked.rdtype) == request.subject
            and asked.rdclass == self.dns.rdataclass.IN
        )


def absolute(name: str) -> str:
    return name if name.endswith(".") else name + "."


def _wire_algorithm(name: str) -> str:
    return "hmac-md5.sig-alg.reg.int." if name == "hmac-md5" else absolute(name)
