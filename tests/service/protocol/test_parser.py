# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parser: what it accepts, in which form, and what it refuses."""

from __future__ import annotations

import time
import tracemalloc

import pytest
from xmpp_edge.stream.errors import StreamError
from xmpp_edge.xml import namespaces
from xmpp_edge.xml.element import Element
from xmpp_edge.xml.limits import Limits
from xmpp_edge.xml.parser import Event, Parser, StreamEnd, StreamStart, TooBig
from xmpp_edge.xml.stanza import Stanza

OPEN = "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' xmlns:x='urn:x'>"
LIMITS = Limits(size=10_000, elements=50, depth=20, tag=10_000)
WIDE = Limits(size=262_144, elements=10_000, depth=100, tag=32_768)


def parse(text: str | bytes, step: int = 0, limits: Limits = LIMITS) -> list[Event]:
    parser = Parser(limits)
    data = text.encode() if isinstance(text, str) else text
    step = step or max(1, len(data))
    return [event for begin in range(0, len(data), step) for event in parser.feed(data[begin : begin + step])]


def describe(events: list[Event]) -> list[str]:
    """Events in words, so that those of two runs can be compared."""
    return [
        f"{event.kind} {event.attrs} {event.payload}"
        if isinstance(event, Stanza)
        else event.condition
        if isinstance(event, StreamError)
        else repr(event)
        for event in events
    ]


def payload(inner: str) -> str:
    (_unused, stanza) = parse(f"{OPEN}<message>{inner}</message>")
    assert isinstance(stanza, Stanza)
    return stanza.payload


@pytest.mark.parametrize(
    ("inner", "canonical"),
    [
        ("", ""),
        ("<body>hi</body>", "<body>hi</body>"),
        ("<body a=\"1\" b='2' >hi</body >", "<body a='1' b='2'>hi</body>"),
        ("<body></body>", "<body/>"),
        ("<body/>", "<body/>"),
        ("<body><a/>t<a/></body>", "<body><a/>t<a/></body>"),
        ("<body><![CDATA[<&>]]></body>", "<body>&lt;&amp;&gt;</body>"),
        ("<body>&lt;&amp;&gt;&quot;&apos;&#x41;</body>", "<body>&lt;&amp;&gt;\"'A</body>"),
        ("<body>a\r\nb\rc&#13;</body>", "<body>a\nb\nc&#xD;</body>"),
        ("<body a='&lt;&amp;&gt;&quot;&apos;&#10;&#9;'/>", "<body a='&lt;&amp;&gt;\"&apos;&#xA;&#x9;'/>"),
        ("<body a='x\ny'/>", "<body a='x y'/>"),
        ("<a xmlns='urn:a'><b/><c xmlns=''/></a>", "<a xmlns='urn:a'><b/><c xmlns=''/></a>"),
        ("<p:a xmlns:p='urn:a'><p:b/><c/></p:a>", "<a xmlns='urn:a'><b/><c xmlns='jabber:server'/></a>"),
        ("<x:a/><x:a><b xmlns='urn:x'/></x:a>", "<a xmlns='urn:x'/><a xmlns='urn:x'><b/></a>"),
        ("<a xmlns='urn:a' xmlns:unused='urn:u'/>", "<a xmlns='urn:a'/>"),
        ("<a p:b='1' xmlns:p='urn:p'/>", "<a xmlns:ns0='urn:p' ns0:b='1'/>"),
        (
            "<a p:b='1' p:c='2' q:b='3' xmlns:p='urn:p' xmlns:q='urn:q'/>",
            "<a xmlns:ns0='urn:p' ns0:b='1' ns0:c='2' xmlns:ns1='urn:q' ns1:b='3'/>",
        ),
        ("<body xml:lang='de'>hallo</body>", "<body xml:lang='de'>hallo</body>"),
        ('<a xmlns="it\'s"/>', "<a xmlns='it&apos;s'/>"),
        ("<stream:a/>", "<a xmlns='http://etherx.jabber.org/streams'/>"),
        ("<message><body/></message>", "<message><body/></message>"),
        ("text <b/> tail", "text <b/> tail"),
        ("<b>\U0001f600é</b>", "<b>\U0001f600é</b>"),
        (
            "<forwarded xmlns='urn:f'><message xmlns='jabber:client'><body>x</body></message></forwarded>",
            "<forwarded xmlns='urn:f'><message xmlns='jabber:client'><body>x</body></message></forwarded>",
        ),
    ],
)
def test_payload_is_canonical(inner: str, canonical: str) -> None:
    assert payload(inner) == canonical
    assert payload(canonical) == canonical


def test_stream_is_told_in_parts() -> None:
    text = (
        f"<?xml version='1.0'?>{OPEN} <iq id='1' type='get' to='a' from='b' xml:lang='en' x:y='z' q='r'/>\n"
        "<x:e k='v'>t<x:f/></x:e></stream:stream>"
    )
    start, iq, element, end = parse(text)
    assert isinstance(start, StreamStart)
    assert start.declared == {"": namespaces.SERVER, "stream": namespaces.STREAMS, "x": "urn:x"}
    assert isinstance(iq, Stanza)
    assert (iq.kind, iq.payload) == ("iq", "")
    # Attributes in a namespace mean nothing to us, except xml:lang.
    assert iq.attrs == {"id": "1", "type": "get", "to": "a", "from": "b", "xml:lang": "en", "q": "r"}
    assert element == Element("e", "urn:x", {"k": "v"}, ["t", Element("f", "urn:x")])
    assert end == StreamEnd()
    assert describe(parse(text, step=1)) == describe([start, iq, element, end])


@pytest.mark.parametrize("empty", [False, True])
def test_size_is_the_length_as_received(empty: bool) -> None:
    text = "<iq id='abc'/>" if empty else "<iq id='abc'><q xmlns='urn:q'>\u20ac</q></iq>"
    for step in (0, 1):
        stanza = parse(OPEN + text + " <iq/>", step=step)[1]
        assert isinstance(stanza, Stanza)
        assert stanza.size == len(text.encode())


REFUSED = [
    ("doctype", "<!DOCTYPE stream:stream>" + OPEN, "restricted-xml"),
    ("internal subset", "<!DOCTYPE s [<!ENTITY a 'b'>]>" + OPEN, "restricted-xml"),
    ("external subset", "<!DOCTYPE s SYSTEM 'file:///etc/passwd'>" + OPEN, "restricted-xml"),
    ("parameter entity", "<!DOCTYPE s [<!ENTITY % p SYSTEM 'http://192.0.2.1/'> %p;]>" + OPEN, "restricted-xml"),
    ("comment before the stream", "<!-- c -->" + OPEN, "restricted-xml"),
    ("comment", OPEN + "<!-- c -->", "restricted-xml"),
    ("comment in a stanza", OPEN + "<iq><!-- c --></iq>", "restricted-xml"),
    ("processing instruction", OPEN + "<?php x?>", "restricted-xml"),
    ("processing instruction in a stanza", OPEN + "<iq><?a b?></iq>", "restricted-xml"),
    ("undefined entity", OPEN + "<message><body>&nbsp;</body></message>", "restricted-xml"),
    ("undefined entity in an attribute", OPEN + "<message a='&x;'/>", "restricted-xml"),
    ("second declaration", OPEN + "<?xml version='1.0'?>", "not-well-formed"),
    ("overlong UTF-8", OPEN.encode() + b"<iq a='\xc0\xaf'/>", "not-well-formed"),
    ("surrogate", OPEN.encode() + b"<iq a='\xed\xa0\x80'/>", "not-well-formed"),
    ("truncated UTF-8", OPEN.encode() + b"<iq a='\xe2\x82'/>", "not-well-formed"),
    ("Latin-1", OPEN.encode() + b"<iq a='\xe9'/>", "not-well-formed"),
    ("beyond Unicode", OPEN.encode() + b"<iq a='\xf4\x90\x80\x80'/>", "not-well-formed"),
    ("NUL", OPEN.encode() + b"<iq a='\x00'/>", "not-well-formed"),
    ("vertical tab", OPEN + "<iq a='\x0b'/>", "not-well-formed"),
    ("form feed", OPEN + "<iq xmlns='urn:\x0cx'/>", "not-well-formed"),
    ("form feed by reference", OPEN + "<iq xmlns='urn:&#12;x'/>", "not-well-formed"),
    ("U+FFFE", OPEN + "<iq a='\ufffe'/>", "not-well-formed"),
    ("U+FFFE by reference", OPEN + "<iq a='&#xFFFE;'/>", "not-well-formed"),
    ("U+FFFF", OPEN + "<iq a='\uffff'/>", "not-well-formed"),
    ("U+FFFF by reference", OPEN + "<iq><a>&#65535;</a></iq>", "not-well-formed"),
    ("surrogate by reference", OPEN + "<iq a='&#xD800;'/>", "not-well-formed"),
    (
        "a pair of surrogates",
        OPEN.encode() + "<iq a='\ud83d\ude00'/>".encode("utf-8", "surrogatepass"),
        "not-well-formed",
    ),
    ("beyond Unicode by reference", OPEN + "<iq a='&#x110000;'/>", "not-well-formed"),
    ("overlong NUL", OPEN.encode() + b"<iq><a>\xc0\x80</a></iq>", "not-well-formed"),
    ("overlong <", OPEN.encode() + b"<iq>\xe0\x80\xbcmessage/></iq>", "not-well-formed"),
    ("five bytes", OPEN.encode() + b"<iq><a>\xf8\x88\x80\x80\x80</a></iq>", "not-well-formed"),
    ("continuation without a beginning", OPEN.encode() + b"<iq><a>\x80</a></iq>", "not-well-formed"),
    ("text cut within a letter", OPEN.encode() + b"<iq><a>\xf0\x9f\x98</a></iq>", "not-well-formed"),
    ("NUL by reference", OPEN + "<iq a='&#0;'/>", "not-well-formed"),
    ("undeclared prefix", OPEN + "<nope:iq/>", "not-well-formed"),
    ("undeclared prefix of an attribute", OPEN + "<iq nope:a='b'/>", "not-well-formed"),
    ("xml rebound", OPEN + "<iq xmlns:xml='urn:x'/>", "not-well-formed"),
    ("xmlns bound", OPEN + "<iq xmlns:xmlns='urn:x'/>", "not-well-formed"),
    (
        "xml namespace under another prefix",
        OPEN + "<iq xmlns:p='http://www.w3.org/XML/1998/namespace'/>",
        "not-well-formed",
    ),
    ("prefix undeclared again", OPEN + "<iq xmlns:x=''/>", "not-well-formed"),
    ("attribute twice", OPEN + "<iq a='1' a='2'/>", "not-well-formed"),
    ("attribute twice under two prefixes", OPEN + "<iq xmlns:p='urn:x' p:a='1' x:a='2'/>", "not-well-formed"),
    ("< in an attribute", OPEN + "<iq a='<'/>", "not-well-formed"),
    ("wrong end tag", OPEN + "<iq></message>", "not-well-formed"),
    ("text between stanzas", OPEN + "<iq/>hello", "bad-format"),
    ("text between stanzas by reference", OPEN + "<iq/>&#65;", "bad-format"),
    ("CDATA between stanzas", OPEN + "<![CDATA[x]]>", "bad-format"),
    ("no-break space between stanzas", OPEN + "\u00a0", "bad-format"),
    ("UTF-16", OPEN.encode("utf-16"), "unsupported-encoding"),
    ("UTF-16 without a mark", OPEN.encode("utf-16-le"), "unsupported-encoding"),
    ("UTF-16 declared", "<?xml version='1.0' encoding='UTF-16'?>" + OPEN, "unsupported-encoding"),
    ("Latin-1 declared", "<?xml version='1.0' encoding='ISO-8859-1'?>" + OPEN, "unsupported-encoding"),
    ("HTTP", "GET / HTTP/1.1\r\nHost: inside.example\r\n\r\n", "not-well-formed"),
    ("TLS", bytes.fromhex("16030100f1010000ed0303"), "not-well-formed"),
    ("white space before the declaration", " <?xml version='1.0'?>" + OPEN, "not-well-formed"),
]


@pytest.mark.parametrize(("text", "condition"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_refused(text: str | bytes, condition: str) -> None:
    for step in (0, 1):
        events = parse(text, step=step)
        error = events[-1]
        assert isinstance(error, StreamError)
        assert error.condition == condition
        assert error.text
        assert not any(isinstance(event, StreamError) for event in events[:-1])


def test_what_came_before_an_error_in_the_same_piece_is_not_lost() -> None:
    parser = Parser(LIMITS)
    events = parser.feed((OPEN + "<iq id='1'/><iq id='2'/></wrong>").encode())
    assert [event.id for event in events if isinstance(event, Stanza)] == ["1", "2"]
    assert isinstance(events[-1], StreamError)
    assert parser.feed(b"<iq/>") == []


def test_nothing_is_read_behind_the_end() -> None:
    events = parse(OPEN + "</stream:stream><iq/> & junk <")
    assert isinstance(events[-1], StreamEnd)
    assert len(events) == 2


def message(size: int) -> str:
    return "<message><body>" + "x" * (size - 32) + "</body></message>"


def test_size_limit_is_exact() -> None:
    for step in (0, 1, 997):
        assert isinstance(parse(OPEN + message(LIMITS.size), step=step)[-1], Stanza)
        error = parse(OPEN + message(LIMITS.size + 1), step=step)[-1]
        assert isinstance(error, StreamError)
        assert (error.condition, error.application) == ("policy-violation", "stanza-too-big")


@pytest.mark.parametrize(
    "text",
    [
        OPEN[:-1] + " a='" + "x" * 65_536 + "'>",
        "<?xml version='1.0'" + " " * 70_000 + "?>",
        " " * 70_000 + OPEN,
        OPEN + "<message a='" + "x" * 65_536 + "'/>",
        OPEN + "<" + "m" * 65_536,
        OPEN + "<message><body>" + "x" * 65_536,
        OPEN + "<x:e>" + "x" * 65_536 + "</x:e>",
        OPEN + "<x:e>" + "x" * 10_000 + "</x:e>",
        OPEN + "<message>" + "<a/>" * 50 + "</message>",
        OPEN + "<x:e>" + "<a/>" * 65 + "</x:e>",
        OPEN + "<message>" + "<a>" * 21,
        OPEN + "<x:e>" + "<a>" * 21,
    ],
    ids=[
        "header",
        "declaration",
        "white space first",
        "attribute",
        "name",
        "text",
        "long element text",
        "element text",
        "children",
        "element children",
        "depth",
        "element depth",
    ],
)
def test_limits(text: str) -> None:
    for step in (0, 1):
        error = parse(text, step=step)[-1]
        assert isinstance(error, StreamError)
        assert error.condition == "policy-violation"


def test_limits_hold_per_stanza_and_white_space_is_free() -> None:
    text = OPEN + ((message(LIMITS.size) + " " * LIMITS.size + "\n") * 3)
    assert [type(event) for event in parse(text)] == [StreamStart, Stanza, Stanza, Stanza]


def test_limits_may_be_raised_while_reading() -> None:
    parser = Parser(Limits(200, 5, 5, 200))
    parser.feed(OPEN.encode())
    parser.limits = LIMITS
    assert isinstance(parser.feed(message(5000).encode())[-1], Stanza)


def test_a_long_tag_that_drips_costs_little() -> None:
    # expat 2.5 reads an unfinished tag again with every piece: 524 288 bytes in pieces of 64 took 2.1 s of CPU time.
    for filler in (b"x" * 64, b">" * 64):
        parser = Parser(WIDE)
        parser.feed(OPEN.encode())
        began = time.process_time()
        events = parser.feed(b"<message a='")
        while not events:
            events = parser.feed(filler)
        assert time.process_time() - began < 0.3
        assert isinstance(events[0], StreamError)
        assert (events[0].condition, events[0].application) == ("policy-violation", "stanza-too-big")


def test_a_tag_within_its_limit_may_drip() -> None:
    text = OPEN + f"<message><body b='{'z' * 20_000}>'>t</body></message><iq/>"
    assert describe(parse(text, 100, WIDE)) == describe(parse(text, 0, WIDE))
    assert len(parse(text, 100, WIDE)) == 3


def peak(text: str, limits: Limits) -> tuple[Event, int]:
    """The last event, and the most memory that Python held in between."""
    parser = Parser(limits)
    data = text.encode()
    tracemalloc.start()
    try:
        return parser.feed(data)[-1], tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_long_namespaces_times_many_attributes_before_authentication() -> None:
    # Every attribute gets the whole namespace in front of its name: in one piece this header would take 4 GB.
    attrs = "".join(f" p:a{number}=''" for number in range(12_000))
    error, memory = peak(f"{OPEN[:-1]} xmlns:p='{'u' * 130_000}'{attrs}>", LIMITS)
    assert isinstance(error, StreamError)
    assert error.condition == "policy-violation"
    assert memory < 1_000_000
    attrs = "".join(f" p:a{number}=''" for number in range(450))
    error, memory = peak(f"{OPEN[:-1]} xmlns:p='{'u' * 4_000}'{attrs}>", LIMITS)
    assert isinstance(error, StreamError)
    assert memory < 5_000_000


def test_long_namespaces_times_many_elements() -> None:
    # 9 000 elements of 6 bytes, each of which would be written with a namespace of 16 000.
    text = f"{OPEN}<message><x xmlns:p='{'u' * 16_000}'>{'<p:a/>' * 9_000}</x></message>"
    error, memory = peak(text, WIDE)
    assert isinstance(error, StreamError)
    assert (error.condition, error.application) == ("policy-violation", "stanza-too-big")
    assert memory < 2_000_000
    children = "<a p:b=''/>" * 9_000
    text = f"{OPEN}<message><x xmlns:p='{'u' * 16_000}'>{children}</x></message>"
    error, memory = peak(text, WIDE)
    assert isinstance(error, StreamError)
    assert memory < 4_000_000


def test_what_grows_when_it_is_written_counts_as_written() -> None:
    text = f"{OPEN}<message><body>{'>' * 9_000}</body></message>"
    assert isinstance(parse(text)[-1], StreamError)
    text = f"{OPEN}<message id='{'x' * 9_000}'/>"
    assert isinstance(parse(text)[-1], StreamError)


def test_a_forgiving_parser_passes_over_what_is_too_big() -> None:
    limits = Limits(2_000, 20, 5, 2_000)
    long = "<message id='1'><body>" + "x" * 3_000 + "</body></message>"
    for text, what in [
        (long, "more than 2000 bytes"),
        ("<message id='1'>" + "<a/>" * 30 + "</message>", "more than 20 elements or 5 levels"),
        ("<message id='1'>" + "<a>" * 9 + "</a>" * 9 + "<b/></message>", "more than 20 elements or 5 levels"),
        ("<message id='1'><x xmlns:p='" + "u" * 1_000 + "'><p:a/><p:a/><p:a/></x></message>", "more than 2000 bytes"),
        (
            "<message id='1'><x xmlns:p='" + "u" * 700 + "'><a p:b=''/><a p:b=''/><a p:b=''/></x></message>",
            "more than 2000 bytes of tags",
        ),
    ]:
        for step in (0, 1, 7):
            parser = Parser(limits, forgiving=True)
            data = f"{OPEN}<iq id='0'><a>0</a></iq>{text}<iq id='2'><a>2</a><b/></iq>".encode()
            events = [
                event
                for begin in range(0, len(data), step or len(data))
                for event in parser.feed(data[begin : begin + (step or len(data))])
            ]
            _start, before, passed, after = events
            assert isinstance(before, Stanza)
            assert isinstance(passed, TooBig)
            assert isinstance(after, Stanza)
            assert (passed.what, passed.stanza.attrs) == (what, {"id": "1"})
            assert passed.stanza.size == len(text)
            assert (before.payload, after.payload) == ("<a>0</a>", "<a>2</a><b/>")
    for hopeless in (long.replace("x", "x" * 20), "<x:e>" + "<a/>" * 100, "<message a='" + "x" * 40_000):
        parser = Parser(limits, forgiving=True)
        assert isinstance(parser.feed((OPEN + hopeless).encode())[-1], StreamError)


def test_long_names_do_not_pile_up() -> None:
    parser = Parser(WIDE)
    parser.feed(OPEN.encode())
    tracemalloc.start()
    for number in range(1_000):
        (stanza,) = parser.feed(f"<iq><{'u' * 30_000}{number}/></iq>".encode())
        assert isinstance(stanza, Stanza)
    assert tracemalloc.get_traced_memory()[0] < 12_000_000
    tracemalloc.stop()


def test_who_gives_no_chance_to_forget_names_is_cut_off() -> None:
    # There is always the beginning of another stanza, so that the parser can never begin anew.
    parser = Parser(WIDE)
    parser.feed(OPEN.encode() + b"<iq>")
    for number in range(4_000):
        event = parser.feed(f"<{'u' * 30_000}{number}/></iq><iq>".encode())[-1]
        if isinstance(event, StreamError):
            break
    assert isinstance(event, StreamError)
    assert event.condition == "policy-violation"


def test_names_do_not_pile_up() -> None:
    parser = Parser(LIMITS)
    parser.feed(OPEN.encode())
    parser.feed(b"<x:warm/>")
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(10_000):
        text = f"<iq id='{number}'><n{number} a{number}='1' xmlns='urn:{number}'/><x:x/></iq>"
        (stanza,) = parser.feed(text.encode())
        assert isinstance(stanza, Stanza)
        assert stanza.payload == f"<n{number} xmlns='urn:{number}' a{number}='1'/><x xmlns='urn:x'/>"
        assert stanza.size == len(text)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 4_000_000
    assert isinstance(parser.feed(b"</stream:stream>")[0], StreamEnd)


def test_billion_laughs_cost_nothing() -> None:
    entities = "".join(f"<!ENTITY l{n} '{f'&l{n - 1};' * 10 if n else 'lol' * 10}'>" for n in range(10))
    text = f"<!DOCTYPE s [{entities}]>{OPEN}<message><body>&l9;</body></message>"
    tracemalloc.start()
    began = time.process_time()
    error = parse(text)[-1]
    assert time.process_time() - began < 0.5
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()
    assert isinstance(error, StreamError)
    assert error.condition == "restricted-xml"


def test_many_elements_cost_no_more_than_their_text() -> None:
    text = OPEN + "<message>" + "<a/>" * 65_000 + "</message>"
    parser = Parser(Limits(300_000, 100_000, 20, 32_768))
    tracemalloc.start()
    parser.feed(text.encode())
    assert tracemalloc.get_traced_memory()[1] < 3_000_000
    tracemalloc.stop()


def test_peek_at_children() -> None:
    stanza = parse(
        OPEN + "<message><a xmlns='urn:a'><body>no</body></a><body xmlns='urn:b'>nor this</body>"
        "<body>yes &amp; <b>bold</b></body><body>late</body><ping xmlns='urn:xmpp:ping'/></message>"
    )[1]
    assert isinstance(stanza, Stanza)
    assert stanza.child("body") == "yes &amp; <b>bold</b>"
    assert stanza.body() == "yes & bold"
    assert stanza.child("body", "urn:b") == "nor this"
    assert stanza.child("ping", "urn:xmpp:ping") == ""
    assert stanza.child("ping") is None
    assert stanza.child("nothing") is None


def test_dripped_tags_cost_in_proportion() -> None:
    # Kept back, every byte is looked at once; expat alone takes 3.5 s for the first, and 1.3 s for the second.
    inside = Limits(1_048_576, 50_000, 1_000, 1_048_576)
    for limits, size, step in ((inside, 524_288, 64), (WIDE, 32_000, 1), (LIMITS, 9_900, 1)):
        parser = Parser(limits)
        parser.feed(OPEN.encode())
        began = time.process_time()
        parser.feed(b"<message a='")
        for _unused in range(0, size, step):
            assert parser.feed(b">" * step) == []
        if size < 100_000:
            (stanza,) = parser.feed(b"'/>")
            assert isinstance(stanza, (Stanza, StreamError))
        assert time.process_time() - began < 0.5


def test_a_long_header_and_a_long_reference_may_drip() -> None:
    text = f"<?xml version='1.0'{' ' * 2_000}?>\n{OPEN[:-1]} a='{'>' * 3_000}'><iq id='&#{'0' * 1_000}65;'/>"
    text += f"<message>&#{'0' * 1_000}65;</message>"
    assert describe(parse(text, 1)) == describe(parse(text)) == describe(parse(text, 600))
    assert len(parse(text)) == 3


def test_document_types_never_reach_expat() -> None:
    for begin in ("", "<?xml version='1.0'?>", "\ufeff", " \n", "<?xml version='1.0'?>\r\n"):
        for rest in ("<!", "<!DOCTYPE a [", "<!--"):
            for step in (0, 1):
                events = parse(begin + rest, step)
                assert describe(events) == ["restricted-xml"]
    # Without its beginning it is not known for one: nobody is kept waiting for that.
    assert parse("<") == []


def test_what_would_grow_without_bound_in_expat_does_not_reach_it() -> None:
    # 16 000 bytes of namespace before each of 2 000 attributes; and one tag after the other, inherited.
    attrs = "".join(f" p:a{number}=''" for number in range(2_000))
    for text, what in [
        (f"<message><x xmlns:p='{'u' * 16_000}'{attrs[:15_000]}/></message>", "bytes in one namespace"),
        (f"<message><x xmlns:p='{'u' * 16_000}'><y{attrs}/></x></message>", "bytes in one namespace"),
        (f"<message><x xmlns:p='{'u' * 4_000}'><y{attrs}/></x></message>", "attributes in one tag"),
        (f"<message><x xmlns:p='{'u' * 4_000}'>{'<p:a/>' * 9_000}</x></message>", "more than 262144 bytes"),
    ]:
        error, memory = peak(OPEN + text, WIDE)
        assert isinstance(error, StreamError)
        assert what in error.text
        assert memory < 5_000_000


@pytest.mark.parametrize("step", [0, 1, 7, 4_096])
def test_a_forgiving_parser_passes_over_tags_that_expat_must_not_have(step: int) -> None:
    limits = Limits(100_000, 1_000, 100, 30_000)
    many = "".join(f" a{number}='>'" for number in range(1_000))
    for inner in [
        f"<x xmlns:p='{'u' * 16_000}'><y/><y>]]<![CDATA[ <a> ]]></y></x>",
        f"<x{many}/><p a='&lt;'/>",
        f"<a><b><c{many}/></b>&lt;</a\n>",
        f"<a b='{'>' * 40_000}'><b/></a>",
        f"<a b='{'>' * 40_000}'/>",
    ]:
        text = f"{OPEN}<message from='a' id='1'>{inner}</message><iq id='2'/>"
        parser = Parser(limits, forgiving=True)
        data = text.encode()
        events = [
            event
            for begin in range(0, len(data), step or len(data))
            for event in parser.feed(data[begin : begin + (step or len(data))])
        ]
        _start, passed, after = events
        assert isinstance(passed, TooBig)
        assert passed.stanza.attrs == {"from": "a", "id": "1"}
        assert passed.stanza.size == len(text) - len(OPEN) - len("<iq id='2'/>")
        assert isinstance(after, Stanza)
        assert after.id == "2"
    for text in (f"<message from='&quot;' to='b'{many}/>", f"<message from='&quot;' to='b'{many}><a/></message>"):
        parser = Parser(limits, forgiving=True)
        data = f"{OPEN}{text}<iq id='2'/>".encode()
        _start, passed, after = [
            event
            for begin in range(0, len(data), step or len(data))
            for event in parser.feed(data[begin : begin + (step or len(data))])
        ]
        assert isinstance(passed, TooBig)
        assert passed.stanza.attrs == {"from": '"', "to": "b"}
        assert isinstance(after, Stanza)


def test_text_that_drips_is_put_together() -> None:
    parser = Parser(WIDE)
    parser.feed(OPEN.encode() + b"<message><body>")
    drop = "\u20ac".encode()
    tracemalloc.start()
    for _unused in range(80_000):
        parser.feed(drop)
    assert tracemalloc.get_traced_memory()[1] < 2_500_000
    tracemalloc.stop()
    (stanza,) = parser.feed(b"</body></message>")
    assert isinstance(stanza, Stanza)
    assert stanza.payload == "<body>" + "\u20ac" * 80_000 + "</body>"


def test_whoever_waits_for_the_end_of_what_is_no_tag_is_told_at_once() -> None:
    for rest in ("'a='b'", "'/'<", " b='<", "<"):
        parser = Parser(WIDE)
        parser.feed(f"{OPEN}<iq a='{'x' * 600}".encode())
        (error,) = [event for part in rest for event in parser.feed(part.encode())]
        assert isinstance(error, StreamError)
        assert error.condition == "not-well-formed"
    parser = Parser(WIDE, forgiving=True)
    many = "".join(f" a{number}=''" for number in range(1_000))
    (error,) = parser.feed(f"{OPEN}<message><a{many}/><b a='<'/></message>".encode())[1:]
    assert isinstance(error, StreamError)
