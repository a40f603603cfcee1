# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A partner server that opens a stream, as far as its abilities go, and tells what was offered and how it ended."""

from __future__ import annotations

import asyncio
import base64
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field, replace

from .lookup import Address
from .opening import ERROR, FEATURES, SERVER
from .partner import RESULT, dialback_key
from .security import SASL, TLS
from .tls import DEFAULT, Identity, Options, TlsError
from .wire import DIALBACK, PeerClosed, Wire, attributes, condition_of, header


@dataclass(frozen=True)
class Ability:
    """What the server that opens a stream can do, and whether it does so unasked."""

    tls: bool = False
    external: bool = False
    dialback: bool = False
    identity: Identity | None = None
    authzid: str | None = ""  # None: say "="
    insists: bool = False  # does what it can whether or not it is offered
    direct: bool = False
    options: Options = DEFAULT
    secret: str = "their secret"


@dataclass
class Opened:
    """How far a stream came that we opened."""

    wire: Wire
    method: str = ""  # sasl_tls, tls_dialback, tcp_dialback
    refusal: str = ""  # what ended it: a stream error's condition, "sasl <condition>", "dialback <condition>", "tls"
    text: str = ""
    offers: list[str] = field(default_factory=list)
    """The names of the features, stream by stream."""


async def initiate(address: Address, local: str, remote: str, ability: Ability) -> Opened:
    """Open a stream as far as the ability goes. Whoever can do nothing says a stanza at once."""
    opened = Opened(await Wire.connect(*address))
    try:
        async with asyncio.timeout(10):
            await _initiate(opened, local, remote, ability)
    except TlsError as problem:
        opened.refusal, opened.text = "tls", str(problem)
    except (PeerClosed, OSError) as problem:
        opened.refusal, opened.text = opened.refusal or "closed", str(problem)
    return opened


async def _initiate(opened: Opened, local: str, remote: str, ability: Ability) -> None:
    wire = opened.wire
    options = ability.options if ability.options.sni else replace(ability.options, sni=remote)
    if ability.direct:
        await wire.start_tls(ability.identity, options)
    answer, offered = await _open(opened, local, remote)
    if offered is None:
        return
    if ability.tls and wire.tls is None and (ability.insists or "starttls" in offered):
        await wire.send(f"<starttls xmlns='{TLS}'/>")
        if not await _told(opened, f"{{{TLS}}}proceed"):
            return
        await wire.start_tls(ability.identity, options)
        answer, offered = await _open(opened, local, remote)
        if offered is None:
            return
    if ability.external and (ability.insists or "EXTERNAL" in offered):
        authzid = "=" if ability.authzid is None else base64.b64encode((ability.authzid or local).encode()).decode()
        await wire.send(f"<auth xmlns='{SASL}' mechanism='EXTERNAL'>{authzid}</auth>")
        if await _told(opened, f"{{{SASL}}}success"):
            wire.restart()
            await _open(opened, local, remote)
            opened.method = "" if opened.refusal else "sasl_tls"
            return
        if not opened.refusal.startswith("sasl ") or not ability.dialback:
            return
        opened.refusal = ""
    if ability.dialback:
        key = dialback_key(ability.secret, remote, local, answer["id"])
        await wire.send(f"<db:result{attributes(from_=local, to=remote)}>{key}</db:result>")
        if await _told(opened, RESULT):
            opened.method = "tls_dialback" if wire.tls is not None else "tcp_dialback"
        return
    await wire.send(f"<message{attributes(from_=f'x@{local}', to=f'y@{remote}')}/>")
    await _told(opened, "")


async def _open(opened: Opened, local: str, remote: str) -> tuple[dict[str, str], set[str] | None]:
    """Headers both ways; the names in the features, None when there are none because the stream is over."""
    head = header(SERVER, from_=local, to=remote, version="1.0")
    await opened.wire.send(f"<?xml version='1.0'?>{head}")
    answer = await opened.wire.header()
    element = await _next(opened)
    if element is None or element.tag != FEATURES:
        return answer, None
    names = {child.tag.rpartition("}")[2] for child in element}
    names |= {mechanism.text or "" for mechanism in element.iter(f"{{{SASL}}}mechanism")} - {""}
    if element.find(f"{{{TLS}}}starttls/{{{TLS}}}required") is not None:
        names.add("required")
    opened.offers.append(" ".join(sorted(names - {"mechanisms"})))
    return answer, names


async def _told(opened: Opened, wanted: str) -> bool:
    """Whether the next word is the one we wait for; if not, what it says stands in ``refusal``."""
    element = await _next(opened)
    if element is None:
        return False
    kind, space = element.tag.rpartition("}")[2], element.tag.rpartition("}")[0].lstrip("{")
    if space == TLS and kind == "failure":
        opened.refusal = "starttls failure"
    elif space == SASL and kind == "failure":
        names = [child.tag.rpartition("}")[2] for child in element]
        opened.refusal = "sasl " + next((name for name in names if name != "text"), "")
        opened.text = next((child.text or "" for child in element if child.tag.endswith("}text")), "")
    elif space == DIALBACK and element.get("type") == "error":
        condition, opened.text = condition_of(element[0])
        opened.refusal = f"dialback {condition}"
    elif space == DIALBACK and element.get("type") != "valid":
        opened.refusal = f"dialback {element.get('type')}"
    elif element.tag != wanted:
        opened.refusal = f"unexpected {kind}"
    return not opened.refusal


async def _next(opened: Opened) -> ET.Element | None:
    element = await opened.wire.element()
    if element is not None and element.tag == ERROR:
        opened.refusal, opened.text = condition_of(element)
        return None
    if element is None:
        opened.refusal = opened.refusal or "closed"
    return element
