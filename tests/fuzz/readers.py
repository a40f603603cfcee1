# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is fuzzed beside whole streams: each reader by itself, on text that need not have come through anything else."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable
from typing import TypeVar
from xml.etree import ElementTree as ET

from xmpp_edge.forgery import without_forged
from xmpp_edge.jid import JIDError, parse
from xmpp_edge.stream import acks, dialback, external, features, header
from xmpp_edge.stream.errors import StreamError
from xmpp_edge.stream.external import SaslFailure
from xmpp_edge.xml import namespaces
from xmpp_edge.xml.element import Element
from xmpp_edge.xml.limits import Limits
from xmpp_edge.xml.parser import Event, Parser, StreamEnd, StreamStart, TooBig
from xmpp_edge.xml.stanza import Stanza
from xmpp_edge.xml.writer import stream_header, write_element, write_stanza

from . import certificates, conversation, pairs
from .world import OURS, SECRET, THEIRS, credentials

Result = TypeVar("Result")

OPEN = stream_header(namespaces.SERVER, {})
LIMITS = Limits(size=3_000, elements=20, depth=6, tag=1_500)
WIDE = Limits(size=1 << 20, elements=1 << 20, depth=1 << 10, tag=1 << 20)


def luck(data: bytes) -> random.Random:
    """Choices that belong to this input, so that inputs can be plain XML."""
    return random.Random(zlib.crc32(data))


def cut(data: bytes) -> list[bytes]:
    """The data in pieces of some length."""
    chance = luck(data)
    longest = chance.choice((1, 2, 7, 40, 600) if len(data) < 400 else (20, 300, 3_000))
    pieces = []
    while data:
        length = chance.randint(1, longest)
        pieces.append(data[:length])
        data = data[length:]
    return pieces


def parser(data: bytes) -> None:
    """Any bytes: one dead end at most, bounded memory, the same in pieces, and canonical when written."""
    pieces = cut(data)
    _fed(Parser(LIMITS), pieces, LIMITS)
    _fed(Parser(LIMITS, forgiving=True), pieces, LIMITS)
    whole = _fed(Parser(WIDE), [data], WIDE)
    told = _shapes(_fed(Parser(WIDE), pieces, WIDE))
    # A fault may be told later when it comes in pieces: in a long tag, with the tag's end.
    rest = _shapes(whole)[len(told) :]
    assert _shapes(whole)[: len(told)] == told
    assert rest in ([], ["error"])
    for event in whole:
        if isinstance(event, Stanza):
            _stable(event)


def _fed(reader: Parser, pieces: list[bytes], limits: Limits) -> list[Event]:
    events: list[Event] = []
    most = 0
    for number, piece in enumerate(pieces):
        events += reader.feed(piece)
        if number % 64:
            continue
        most = max(most, _held(reader))
    assert most <= 2 * limits.size + limits.tag + 16_384, f"{most} bytes are held"
    ends = [event for event in events if isinstance(event, (StreamError, StreamEnd))]
    assert ends in ([], events[-1:]), "an end is the last"
    assert sum(isinstance(event, StreamStart) for event in events) <= 1
    if ends:
        assert reader.feed(b"<iq/>") == []
    for event in events:
        if isinstance(event, Stanza):
            assert len(event.payload) <= limits.size
    return events


def _held(reader: Parser) -> int:
    """How many characters it keeps of what it was given."""
    tag = reader._tag
    return sum(map(len, reader._out)) + (tag.length if tag is not None else 0) + len(reader._unread)


def _shapes(events: list[Event]) -> list[str]:
    return [_shape(event) for event in events]


def _shape(event: Event) -> str:
    if isinstance(event, Stanza):
        return f"{event.kind} {event.attrs} {event.payload} {event.size}"
    if isinstance(event, TooBig):
        return f"too big {event.stanza.kind} {event.stanza.attrs}"
    if isinstance(event, Element):
        return write_element(event).decode()
    # Which of two faults side by side is told depends on where the pieces end.
    return "error" if isinstance(event, StreamError) else repr(event)


def _stable(stanza: Stanza) -> None:
    written = write_stanza(stanza)
    reader = Parser(Limits(size=8 << 20, elements=1 << 20, depth=1 << 10, tag=8 << 20))
    reader.feed(OPEN)
    events = reader.feed(written)
    if any(isinstance(event, StreamError) for event in events):
        # Written out in full, a namespace or a number of attributes may be beyond what anybody has.
        assert len(written) > 4_096, events
        return
    (again,) = events
    assert isinstance(again, Stanza)
    assert (again.kind, again.attrs, again.payload) == (stanza.kind, stanza.attrs, stanza.payload)
    assert write_stanza(again) == written
    stanza.body()
    stanza.child("error")


def headers(data: bytes) -> None:
    """A stream header."""
    for event in Parser(WIDE).feed(data):
        if isinstance(event, StreamStart):
            for content in (namespaces.SERVER, namespaces.COMPONENT):
                _only_stream_errors(lambda start=event, content=content: header.check(start, content))
            _only_stream_errors(lambda start=event: header.version(start))
            _only_stream_errors(lambda start=event: header.stream_id(start))
            for name in ("from", "to"):
                domain = _only_stream_errors(lambda start=event, name=name: header.optional_domain(start, name))
                assert domain is None or header.domain(domain, name) == domain


def _only_stream_errors(call: Callable[[], Result]) -> Result | None:
    try:
        return call()
    except StreamError:
        return None


def _elements(data: bytes) -> list[Element]:
    """The children of a stream, as far as they can be read."""
    reader = Parser(WIDE)
    reader.feed(OPEN)
    return [event for event in reader.feed(data) if isinstance(event, Element)]


def _written(element: Element) -> Element:
    """What comes back of an element that is written."""
    reader = Parser(WIDE)
    reader.feed(OPEN)
    (back,) = reader.feed(write_element(element))
    assert isinstance(back, Element), back
    assert write_element(back) == write_element(element)
    return back


def dialbacks(data: bytes) -> None:
    """Elements of Server Dialback."""
    for element in _elements(data):
        found = _only_stream_errors(lambda element=element: dialback.addresses(element))
        condition, text = dialback.failure_of(element)
        if found is None:
            continue
        sender, target = found
        assert dialback.addresses(_written(dialback.result(sender, target, element.text))) == found
        answer = dialback.failure(dialback.verify(target, sender, element.attrs.get("id", "1")), condition, text)
        assert dialback.failure_of(_written(answer))[0] == condition
        stream_id = element.attrs.get("id", "")
        true = dialback.is_key(element.text, credentials(), THEIRS, OURS, stream_id)
        assert true == (
            element.text == dialback.key(SECRET, THEIRS, OURS, stream_id) and not any(map(str.isspace, stream_id))
        )


def externals(data: bytes) -> None:
    """Elements of SASL."""
    for element in _elements(data):
        condition, text = external.failure_of(element)
        assert external.failure_of(_written(external.failure(condition, text)))[0] == condition
        try:
            authzid = external.decode(element.text)
        except SaslFailure as failure:
            _written(external.failure(failure.condition, failure.text))
            continue
        if external.names(authzid, THEIRS):
            assert parse(authzid).domain == THEIRS
        assert external.encode(authzid) == (element.text or external.EMPTY)


def acknowledgements(data: bytes) -> None:
    """A stream of XEP-0198 elements against both counters."""
    sent, received = acks.Sent(most=50), acks.Received()
    told = acknowledged = 0
    notes = 0
    chance = luck(data)
    for number, element in enumerate(_elements(data)):
        for _unused in range(chance.randint(0, 3)):
            if not sent.full:
                notes += 1
                sent.note(Stanza("message", {"id": str(notes)}, "<a/>"), number)
        before = len(sent)
        received.arrived += chance.randint(0, 2)
        answer = received.answer(chance.randint(0, 9))
        assert told <= received.handed_on <= received.arrived
        told = received.handed_on
        assert acks.handled(_read_back(answer)) == told
        count = _only_stream_errors(lambda element=element: acks.handled(element))
        if count is None:
            continue
        try:
            sent.acknowledged(count)
        except StreamError:
            assert len(sent) == before
            break
        acknowledged += before - len(sent)
        assert count == acknowledged % (1 << 32)
        assert sent.waiting is None
    assert [stanza.id for stanza in sent.take()] == [str(number + 1) for number in range(acknowledged, notes)]


def _read_back(data: bytes) -> Element:
    (element,) = _elements(data)
    return element


def offers(data: bytes) -> None:
    """Stream features."""
    for element in _elements(data):
        found = features.read(element)
        again = features.read(_written(features.write(found)))
        if all(name == name.strip() for name in found.mechanisms):
            assert (again.tls, again.mechanisms, again.dialback, again.bidi) == (
                found.tls,
                found.mechanisms,
                found.dialback,
                found.bidi,
            )
        assert features.read(_written(features.write(again))) == again


def addresses(data: bytes) -> None:
    """Addresses: one canonical form, which is its own."""
    text = data.decode(errors="surrogateescape" if data[:1] == b"\x00" else "replace")
    try:
        jid = parse(text)
    except JIDError:
        return
    again = parse(jid.full)
    assert (again.local, again.domain, again.resource) == (jid.local, jid.domain, jid.resource)
    for part in (jid.local, jid.domain, jid.resource):
        assert part is None or 0 < len(part.encode()) <= 1023
    assert parse(jid.bare).resource is None
    # What is written between quotes comes back as it was.
    stanza = Stanza("message", {}, "", 0, jid, jid)
    reader = Parser(WIDE)
    reader.feed(OPEN)
    (back,) = reader.feed(write_stanza(stanza))
    assert isinstance(back, Stanza)
    assert back.attrs == {"from": jid.full, "to": jid.full}


def forgeries(data: bytes) -> None:
    """What a payload says in our name: nothing of it is left, and all else is as it was."""
    reader = Parser(WIDE)
    reader.feed(OPEN)
    for stanza in reader.feed(data):
        if not isinstance(stanza, Stanza):
            continue
        clean = without_forged(stanza.payload, (OURS,))
        if "}" in stanza.payload:
            # The other parser puts that between namespace and name, and takes no namespace with it.
            continue
        assert without_forged(clean, (OURS,)) == clean
        before, after = _children(stanza.payload), _children(clean)
        assert after == [child for child in before if not _speaks_for_us(child)]


def _children(payload: str) -> list[tuple[str, dict[str, str], str]]:
    """Name, attributes and all of each child, by another parser."""
    root = ET.fromstring(f"<message>{payload}</message>")
    for child in root:
        # Text between them stays, whoever it stands behind now.
        child.tail = None
    return [(child.tag, child.attrib, ET.tostring(child, encoding="unicode")) for child in root]


def _speaks_for_us(child: tuple[str, dict[str, str], str]) -> bool:
    name, attrs, _unused = child
    if name in ("{urn:xmpp:carbons:2}received", "{urn:xmpp:carbons:2}sent"):
        return True
    maker = {"{urn:xmpp:sid:0}stanza-id": "by", "{urn:xmpp:delay}delay": "from"}.get(name)
    if maker is None or maker not in attrs:
        return False
    try:
        return parse(attrs[maker]).domain == OURS
    except JIDError:
        return True


TARGETS: dict[str, Callable[[bytes], None]] = {
    "parser": parser,
    "header": headers,
    "dialback": dialbacks,
    "external": externals,
    "acks": acknowledgements,
    "features": offers,
    "forgery": forgeries,
    "jid": addresses,
    "certificates": certificates.certificates,
    "inbound": conversation.inbound,
    "outbound": conversation.outbound,
    "component": conversation.component,
    "pair": pairs.pair,
}
