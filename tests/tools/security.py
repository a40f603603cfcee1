# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tables of docs/security.md that tests are made of: ``security.py --write`` or ``security.py --check``.

They stand between marks of the form ``<!-- matrix inbound: begin -->`` and ``<!-- matrix inbound: end -->``, and come
from tests/service/cases and from the bounds of the service itself.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "security.md"
MARKED = re.compile(r"(<!-- ([\w ]+): begin -->\n).*?(<!-- \2: end -->)", re.DOTALL)

for place in (ROOT / "tests" / "service", ROOT / "roles" / "xmpp_edge" / "files"):
    if str(place) not in sys.path:
        sys.path.insert(0, str(place))

from cases.matrix import INBOUND_PEERS, METHODS, OUTBOUND_PEERS, ROWS, Row  # noqa: E402
from cases.table import AREAS, CASES, Case  # noqa: E402
from xmpp_edge.current import Bounds  # noqa: E402
from xmpp_edge.records.edge import FIELDS  # noqa: E402
from xmpp_edge.stream.settings import Settings  # noqa: E402

WORDS = {"R": "required", "O": "optional", "N": "not_supported"}


def table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def cases() -> str:
    """All numbered cases, area by area."""
    parts = []
    for area in AREAS:
        rows = ([f"{case.number:03}", case.title, outcome(case)] for case in CASES if case.area == area)
        parts.append(f"### {area}\n\n{table(['case', 'what', 'outcome'], rows)}")
    return "\n".join(parts)


def outcome(case: Case) -> str:
    return f"{case.outcome}. {case.why}" if case.why else case.outcome


def matrix(peers: Sequence[str], cells: Callable[[Row], tuple[str, ...] | None]) -> str:
    """The rows of one direction; what the record refuses stands in the list of records."""
    head = ["`tls`", "`sasl`", "`dialback`", *peers]
    rows = (
        [WORDS[row.tls], WORDS[row.sasl], str(row.dialback).lower(), *map(shown, found)]
        for row in ROWS
        if (found := cells(row)) is not None
    )
    return table(head, rows)


def shown(cell: str) -> str:
    """Methods stand out. What the sender gets for an outbound refusal is one condition, which the page names."""
    return f"**{cell}**" if cell in METHODS else cell.removesuffix("/not-allowed")


def refused() -> str:
    """The rows that are no record."""
    rows = ([WORDS[row.tls], WORDS[row.sasl], str(row.dialback).lower()] for row in ROWS if row.inbound is None)
    return table(["`tls`", "`sasl`", "`dialback`"], rows)


def limits() -> str:
    """Bounds before and after a pair of domains is proven, as the service has them."""
    settings, bounds = Settings(), Bounds()
    before, after = settings.before, settings.after
    handshakes = f"{bounds.handshakes:,} at once, {bounds.handshakes_per_second:g} a second"
    verifications = f"{settings.verifications:,} a stream, {bounds.verifications:,} a partner"

    def option(name: str) -> str:
        return f"`{name}`, {FIELDS[name].default}"

    rows = [
        ["bytes of a stanza", f"{before.size:,}", f"{after.size:,}, as advertised (XEP-0478)"],
        ["bytes of all that comes", f"{settings.unproven:,}", ""],
        ["elements of a stanza", f"{before.elements:,}", f"{after.elements:,}"],
        ["depth of a stanza", f"{before.depth:,}", f"{after.depth:,}"],
        ["bytes of one tag", f"{before.tag:,}", f"{after.tag:,}"],
        ["connections of one address", f"{bounds.per_address:,} (a /64 of IPv6 is one)", "as the two lines below"],
        ["connections in all", option("unauthenticated_limit"), option("connection_limit")],
        ["connections of one partner", "not counted: a name is free to forge", option("partner_connection_limit")],
        ["TLS handshakes of one address", handshakes, ""],
        ["seconds until a pair is proven", option("stream_establishment_timeout"), ""],
        ["seconds without a stanza", "", option("stream_inactivity_timeout")],
        ["seconds without a byte", "", f"{option('keepalive_interval')}, where the record has `keepalive`"],
        ["pairs of domains on one stream", "", f"{settings.pairs:,}"],
        ["dialback verifications in flight", verifications, ""],
        ["refused requests on one stream", f"{settings.strikes:,}, then closed", f"{settings.strikes:,}, then closed"],
        ["waiting for one pair of domains", "", f"{bounds.route_stanzas:,} stanzas or {bounds.route_bytes:,} bytes"],
    ]
    return table(["what", "before", "after"], iter(rows))


PARTS: dict[str, Callable[[], str]] = {
    "cases": cases,
    "matrix inbound": lambda: matrix(INBOUND_PEERS, lambda row: row.inbound),
    "matrix outbound": lambda: matrix(OUTBOUND_PEERS, lambda row: row.outbound),
    "matrix refused": refused,
    "limits": limits,
}


def render() -> str:
    """The page as it should be."""
    return MARKED.sub(lambda found: found[1] + PARTS[found[2]]() + found[3], PAGE.read_text(encoding="utf-8"))


def main(arguments: list[str]) -> int:
    wanted = render()
    if arguments == ["--write"]:
        PAGE.write_text(wanted, encoding="utf-8")
    elif wanted != PAGE.read_text(encoding="utf-8"):
        print(f"{PAGE.relative_to(ROOT)}: not the tables as they are; run `make docs`")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
