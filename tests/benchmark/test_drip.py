# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a peer can make the parser do by one tag in many small pieces: CPU time, against that of expat alone.

expat before 2.6 reads an unfinished token again with every piece of it (CVE-2023-52425).
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from xml.parsers import expat

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "roles" / "xmpp_edge" / "files"))

from xmpp_edge.stream.settings import Settings
from xmpp_edge.xml.limits import Limits
from xmpp_edge.xml.parser import Parser

OPEN = b"<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'>"
SETTINGS = Settings()
CASES = [
    ("a stranger, 9 900 bytes one by one", SETTINGS.before, 9_900, 1),
    ("a partner, 32 000 bytes one by one", SETTINGS.after, 32_000, 1),
    ("inside, 524 288 bytes by 64", SETTINGS.inside, 524_288, 64),
]


def ours(limits: Limits, size: int, step: int) -> float:
    parser = Parser(limits)
    parser.feed(OPEN + b"<message><x a='")
    began = time.process_time()
    for _unused in range(0, size, step):
        assert parser.feed(b">" * step) == []
    return time.process_time() - began


def alone(size: int, step: int) -> float:
    parser = expat.ParserCreate("UTF-8", "\x0c")
    parser.Parse(OPEN + b"<message><x a='")
    began = time.process_time()
    for _unused in range(0, size, step):
        parser.Parse(b">" * step)
    return time.process_time() - began


def test_dripped_tags(capsys: pytest.CaptureFixture[str]) -> None:
    rows = []
    for name, limits, size, step in CASES:
        cost, again, whole = ours(limits, size, step), ours(limits, size // 2, step), alone(size, step)
        rows.append(f"| {name} | {cost * 1e3:.1f} | {whole * 1e3:.1f} | {cost / again:.1f} |")
        # Twice as much costs twice as much.
        assert cost / again < 3
    with capsys.disabled():
        print(f"\n| one tag that drips | ms | ms, {expat.EXPAT_VERSION} alone | against half of it |")
        print("| --- | --- | --- | --- |")
        print("\n".join(rows))
