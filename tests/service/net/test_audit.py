# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written, what is counted, and that a flood is neither written out nor hidden."""

from __future__ import annotations

import io
import json
import threading

import pytest
from xmpp_edge.observe.audit import Audit, Rate


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def make(**options) -> tuple[Audit, io.StringIO, Clock]:
    out, clock = io.StringIO(), Clock()
    return Audit(out, clock=clock, background=False, **options), out, clock


def lines(out: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_refusal_is_one_json_line_and_a_count():
    audit, out, _unused = make()
    audit.refused("not_a_partner", remote="stranger.example", address="192.0.2.1", text=None)
    (line,) = lines(out)
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "event": "refused",
        "reason": "not_a_partner",
        "remote": "stranger.example",
        "address": "192.0.2.1",
    }
    assert audit.counters["refused_not_a_partner"] == 1


def test_only_the_first_pass_of_a_pair_is_written():
    audit, out, _unused = make()
    for _unused in range(3):
        if ("bob@gmail.example", "alice@inside.example") not in audit.seen:
            audit.first_pass("in", ("bob@gmail.example", "alice@inside.example"), "gmail.example")
    assert [line["from"] for line in lines(out)] == ["bob@gmail.example"]


def test_a_flood_is_cut_and_what_was_left_out_is_told():
    audit, out, clock = make(strangers=Rate(1, 3))
    for number in range(100):
        audit.refused("not_a_partner", known=False, remote=f"s{number}.example")
    assert len(lines(out)) == 3
    assert audit.counters["refused_not_a_partner"] == 100
    clock.now += 1
    audit.refused("not_a_partner", known=False, remote="last.example")
    assert lines(out)[3:] == [
        {"time": lines(out)[3]["time"], "event": "left_out", "caused_by": "strangers", "lines": 97},
        {"time": lines(out)[4]["time"], "event": "refused", "reason": "not_a_partner", "remote": "last.example"},
    ]


def test_what_strangers_do_hides_neither_our_own_events_nor_those_of_partners():
    audit, out, _unused = make(strangers=Rate(1, 1))
    audit.refused("not_a_partner", known=False)
    audit.refused("not_a_partner", known=False)
    audit.event("reloaded")
    audit.partner("authenticated")
    assert [line["event"] for line in lines(out)] == ["refused", "reloaded", "authenticated"]


def test_what_one_partner_does_hides_nothing_of_another():
    audit, out, clock = make(partner=Rate(1, 3))
    for _unused in range(100_000):
        audit.refused("no_federation_access", cause="hostile.example", sender="m@hostile.example")
    audit.partner("authenticated", cause="gmail.example", remote="gmail.example")
    audit.first_pass("in", ("bob@gmail.example", "alice@inside.example"), "gmail.example")
    audit.refused("unknown_host", sender="alice@inside.example")
    audit.partner("stream_closed", cause="gmail.example", partner="gmail.example")
    events = ["refused"] * 3 + ["authenticated", "passed", "refused", "stream_closed"]
    assert [line["event"] for line in lines(out)] == events
    assert audit.counters["audit_left_out"] == 99_997
    clock.now += 1
    audit.refused("no_federation_access", cause="hostile.example", sender="m@hostile.example")
    told = lines(out)[len(events)]
    assert told == {
        "time": told["time"],
        "event": "left_out",
        "caused_by": "partner",
        "partner": "hostile.example",
        "lines": 99_997,
    }


def test_all_partners_together_do_not_fill_the_journal_either():
    audit, out, _unused = make(partners=Rate(1, 10), partner=Rate(1, 3))
    for number in range(100):
        audit.partner("authenticated", cause=f"p{number}.example")
    assert len(lines(out)) == 10
    audit.close()
    assert [line["lines"] for line in lines(out)[10:]] == [90]


def test_a_partner_that_is_forgotten_has_told_what_was_left_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("xmpp_edge.observe.audit._MOST_PARTNERS", 2)
    audit, out, _unused = make(partner=Rate(1, 1))
    for domain in ("a.example", "a.example", "b.example", "c.example"):
        audit.partner("authenticated", cause=domain)
    assert [line.get("partner") for line in lines(out) if line["event"] == "left_out"] == ["a.example"]
    audit.close()
    assert sum(line["event"] == "left_out" for line in lines(out)) == 1


def test_a_value_cannot_begin_a_new_line_and_has_a_length():
    audit, out, _unused = make()
    audit.refused("x", text='"}\n{"event": "passed"}' + "y" * 5000)
    (line,) = lines(out)
    assert len(line["text"]) == 1000


def test_lines_are_written_behind_the_loop_and_all_are_there_at_the_end():
    out = io.StringIO()
    audit = Audit(out)
    for number in range(50):
        audit.event("e", number=number)
    audit.close()
    assert [line["number"] for line in lines(out)] == list(range(50))


class Broken(io.StringIO):
    def write(self, _text: str) -> int:
        raise BrokenPipeError


def test_nobody_reading_is_counted_and_harms_nothing():
    audit = Audit(Broken(), background=False)
    audit.event("e")
    assert audit.counters["audit_left_out"] == 1


def test_pairs_of_long_addresses_are_not_remembered():
    audit, _out, _unused = make()
    audit.first_pass("in", ("b" * 1000 + "@gmail.example", "alice@inside.example"), "gmail.example")
    assert not audit.seen


class Stuck(io.StringIO):
    def __init__(self) -> None:
        super().__init__()
        self.goes_on = threading.Event()

    def write(self, text: str) -> int:
        self.goes_on.wait()
        return super().write(text)


def test_while_the_reader_hangs_only_so_much_is_kept_for_it():
    out = Stuck()
    audit = Audit(out)
    for _unused in range(1000):
        audit.body("in", "bob@gmail.example", "alice@inside.example", "x" * 60_000)
    left_out = audit.counters["audit_left_out"]
    out.goes_on.set()
    audit.close()
    assert left_out > 600
    assert len(out.getvalue()) < 20 << 20
    assert len(lines(out)) == 1000 - left_out
