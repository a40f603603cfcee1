# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of a stanza: through the gates, and on to the other side, or back to its sender with an error.

Here the promise is kept that nothing is lost in silence. Each stanza taken from one side is handed to the other, or
answered with an error, or was itself an error or a result, which nobody may answer; those are counted.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Literal

from .config import Snapshot
from .current import Current
from .disclaimer import Disclaimer
from .forgery import without_forged
from .gates import Verdict, decide, make_alike
from .inside.link import Link
from .inside.links import Links
from .jid import JID
from .net.connection import Connection
from .net.dial import Dialer
from .net.resolve import TIMEOUT
from .net.routes import Routes
from .stream.actions import Pair
from .xml.stanza import Stanza, error_reply

_PING = "<ping xmlns='urn:xmpp:ping'/>"
_TYPES = {
    "remote-server-not-found": "cancel",
    "policy-violation": "modify",
    "not-allowed": "cancel",
    "forbidden": "auth",
    "not-authorized": "auth",
    "item-not-found": "cancel",
    "service-unavailable": "cancel",
}
"""Everything else may succeed later."""
_MOST_VERDICTS = 20_000
# So many pairs of made-up addresses of full length would fill a hundred megabytes.
_WORTH_KEEPING = 512


class Relay:
    """Joins both sides; the only place that knows of both."""

    def __init__(self, current: Current, dialer: Dialer) -> None:
        self.current = current
        self.links = Links(current, self.from_inside, self.in_doubt_inside)
        self.routes = Routes(current, dialer, self.undeliverable, self.from_partner, self.links.handing_on)
        self._pings: dict[tuple[str, str, str], asyncio.Future[str | None]] = {}
        self._in: dict[tuple[str, str], Verdict] = {}
        self._out: dict[tuple[str, str], Verdict] = {}
        self._judged: Snapshot | None = None
        self._disclaimer = Disclaimer()

    # from partners

    def from_partner(self, stanza: Stanza, pair: Pair, source: Connection) -> None:
        """A stanza from a proven partner, its addresses honest and canonical."""
        sender, receiver = stanza.from_, stanza.to
        assert sender is not None
        assert receiver is not None
        if self._pings and self._answers_ping(stanza, sender, receiver):
            return
        names = (sender.bare, receiver.bare)
        verdict = self._in.get(names) if self._judged is self.current.snapshot else None
        if verdict is None:
            verdict = self._judge("in", names, sender, receiver)
        if not verdict.passed:
            self._refuse(stanza, verdict, "in")
            if self.links.is_up(sender.domain):
                self._back_to_partner(stanza, verdict.condition, verdict.error_type, verdict.text)
            else:
                # Who may be reached is not to be told by who gets which error while nobody can be.
                self._back_to_partner(stanza, TIMEOUT, "wait", _INSIDE_TEXTS[TIMEOUT])
            return
        honest = without_forged(stanza.payload, self.current.snapshot.domains)
        if honest is not stanza.payload:
            stanza.payload = honest
            self.current.audit.counters["forged_marks"] += 1
        condition = self.links.send(stanza, source)
        if condition is not None:
            self.current.audit.refused(
                "inside_" + condition.replace("-", "_"),
                cause=sender.domain,
                direction="in",
                sender=sender.full,
                receiver=receiver.full,
            )
            self._back_to_partner(stanza, condition, _type(condition), _INSIDE_TEXTS.get(condition, ""))
            return
        self._passed(stanza, "in", names)

    def in_doubt_inside(self, stanza: Stanza) -> None:
        """The inside link broke before it was certain that this arrived."""
        text = "The connection broke before it was certain that this arrived."
        self._back_to_partner(stanza, TIMEOUT, "wait", text)

    def _back_to_partner(self, stanza: Stanza, condition: str, error_type: str, text: str | None) -> None:
        reply = error_reply(stanza, condition, error_type, text)
        self.current.audit.counters["bounced_in" if reply is not None else "dropped_in"] += 1
        if reply is not None and reply.from_ is not None and reply.to is not None:
            self.routes.between(reply.from_.domain, reply.to.domain).send(reply)

    # from the inside server

    def from_inside(self, stanza: Stanza, link: Link) -> None:
        """A stanza from one of our users, or from one who claims to be: the inside server proves nothing to us."""
        sender, receiver = stanza.from_, stanza.to
        if sender is None or receiver is None:
            self.current.audit.refused("no_address", direction="out", link=link.name)
            return
        names = (sender.bare, receiver.bare)
        verdict = self._out.get(names) if self._judged is self.current.snapshot else None
        if verdict is None:
            verdict = self._judge("out", names, sender, receiver)
        if not verdict.passed:
            self._refuse(stanza, verdict, "out")
            self._back_inside(stanza, verdict.condition, verdict.error_type, verdict.text)
            return
        if len(stanza.payload) > self.current.bounds.partner_stanza:
            self._back_inside(stanza, "policy-violation", "modify", "This is larger than a partner would take.")
            return
        if stanza.type == "error":
            make_alike(stanza)
        self._passed(stanza, "out", names)
        route = self.routes.between(sender.domain, receiver.domain)
        disclaimer = self.current.snapshot.archiving_disclaimer
        if disclaimer is not None:
            notice = self._disclaimer.ahead_of(stanza, names, disclaimer)
            if notice is not None:
                self.current.audit.counters["disclaimers"] += 1
                route.send(notice)
        route.send(stanza)

    def undeliverable(self, stanza: Stanza, condition: str, text: str) -> None:
        """A route gives a stanza back."""
        if self._disclaimer.came_back(stanza) or (self._pings and self._ping_failed(stanza, text)):
            return
        self._back_inside(stanza, condition, _type(condition), text)

    def _back_inside(self, stanza: Stanza, condition: str, error_type: str, text: str | None) -> None:
        """An error in the name of the remote side, but only if the link may say that name."""
        reply = error_reply(stanza, condition, error_type, text)
        if reply is not None and reply.to is not None and reply.to.domain not in self.current.snapshot.domains:
            # Only who is ours gets an answer; anything else would be a way to send through the inside server.
            reply = None
        lost = reply is None or self.links.send(reply, None) is not None
        self.current.audit.counters["dropped_out" if lost else "bounced_out"] += 1

    # both

    def _judge(self, direction: Literal["in", "out"], names: tuple[str, str], sender: JID, receiver: JID) -> Verdict:
        """Ask the gates, and remember what they said for as long as the Snapshot lasts."""
        snapshot = self.current.snapshot
        if self._judged is not snapshot or len(self._in) + len(self._out) > _MOST_VERDICTS:
            self._in.clear()
            self._out.clear()
            self._judged = snapshot
        verdict = decide(snapshot, direction, sender, receiver)
        if len(names[0]) + len(names[1]) <= _WORTH_KEEPING:
            (self._in if direction == "in" else self._out)[names] = verdict
        return verdict

    def _passed(self, stanza: Stanza, direction: str, names: tuple[str, str]) -> None:
        audit = self.current.audit
        audit.counters[direction] += 1
        if names not in audit.seen:
            audit.first_pass(direction, names, names[direction == "out"].rpartition("@")[2])
        if self.current.snapshot.log_message_bodies and stanza.kind == "message":
            body = stanza.body()
            if body is not None and stanza.from_ is not None and stanza.to is not None:
                audit.body(direction, stanza.from_.full, stanza.to.full, body)

    def _refuse(self, stanza: Stanza, verdict: Verdict, direction: str) -> None:
        assert stanza.from_ is not None
        assert stanza.to is not None
        self.current.audit.refused(
            verdict.reason,
            # What one of our users asks for proves nothing of the domain that it is asked of.
            cause=stanza.from_.domain if direction == "in" else None,
            gate=verdict.gate,
            text=verdict.explanation,
            direction=direction,
            stanza=stanza.kind,
            sender=stanza.from_.full,
            receiver=stanza.to.full,
        )

    # pings of our own (XEP-0199)

    async def ping(self, pair: Pair) -> str | None:
        """Ask the partner's server for a sign of life; None when it gave one, else what went wrong."""
        if len(self._pings) >= self.current.bounds.pings:
            return "Too many checks are running."
        number = "ping-" + secrets.token_hex(8)
        stanza = Stanza(
            "iq",
            {"type": "get", "id": number},
            _PING,
            len(_PING),
            from_=JID(None, pair.local),
            to=JID(None, pair.remote),
        )
        answer: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._pings[pair.local, pair.remote, number] = answer
        try:
            self.routes.between(pair.local, pair.remote).send(stanza)
            return await answer
        finally:
            del self._pings[pair.local, pair.remote, number]

    def _answers_ping(self, stanza: Stanza, sender: JID, receiver: JID) -> bool:
        if stanza.kind != "iq" or stanza.type not in ("result", "error"):
            return False
        answer = self._pings.get((receiver.full, sender.full, stanza.id or ""))
        if answer is None:
            return False
        if not answer.done():
            # An error is an answer, too: the partner's server lives, and its words found the way back.
            answer.set_result(None)
        return True

    def _ping_failed(self, stanza: Stanza, text: str) -> bool:
        if stanza.kind != "iq" or stanza.from_ is None or stanza.to is None:
            return False
        answer = self._pings.get((stanza.from_.full, stanza.to.full, stanza.id or ""))
        if answer is None:
            return False
        if not answer.done():
            answer.set_result(text)
        return True


_INSIDE_TEXTS = {
    TIMEOUT: "The server of this domain cannot be reached at the moment; try again later.",
    "resource-constraint": "The server of this domain is busy; try again later.",
    "policy-violation": "This is larger than the server of this domain takes.",
}


def _type(condition: str) -> str:
    return _TYPES.get(condition, "wait")
