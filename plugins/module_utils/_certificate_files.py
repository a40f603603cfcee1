# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keys and certificates on disk.

    certificates/external -> external.2     the generation with the current request
    certificates/external.1/                key.pem csr.pem cert.pem chain.pem about.json
    certificates/external.2/                key.pem csr.pem about.json   (its certificate is still awaited)
    assigned/external -> ../certificates/external.1
    assigned/external.previous -> ...       what was assigned before

A generation appears whole, by one rename. Its chain is written before its certificate, and what is assigned changes by
one rename, so nobody ever finds a key beside a certificate of another key.

PRIVATE to the collection.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from datetime import datetime
from typing import Any, Callable, Iterator, Mapping, NamedTuple, Sequence

from . import _certificate_crypto as crypto
from . import _store as store
from ._certificate_about import about_from_json, about_json
from ._certificate_facts import About, Generation, KeyFacts
from ._certificate_options import ISSUED_DAYS, Wanted
from ._certificate_steps import (
    AdoptKey,
    Assign,
    CopyKey,
    Current,
    Import,
    Issue,
    MakeKey,
    Note,
    Point,
    Remove,
    Step,
    Withdraw,
    WriteRequest,
    is_number,
    number_of,
)
from ._file_attributes import attributes_of, make_directory, set_attributes
from ._plan import Change
from ._records.errors import Problem, RecordError
from ._records.material import PREVIOUS

KEY, REQUEST, CERTIFICATE, CHAIN, ABOUT = "key.pem", "csr.pem", "cert.pem", "chain.pem", "about.json"
NAMES = (KEY, REQUEST, CERTIFICATE, CHAIN, ABOUT)


class Material(NamedTuple):
    """What the steps need that a plan does not hold: certificates and a key that were given, and who issues."""

    given: Sequence[Any]
    key: Any
    authority: crypto.Authority | None
    issuer_chain: Sequence[Any]
    now: datetime


class Names(NamedTuple):
    """What is there by name, of all ids: looked at once, because a look for each takes the square of their number."""

    numbers: Mapping[str, Sequence[int]]
    assigned: Mapping[str, str]
    previous: Mapping[str, str]


class Files:
    def __init__(self, config_dir: str) -> None:
        self.config_dir = config_dir
        self.certificates = os.path.join(config_dir, "certificates")
        self.assigned = os.path.join(config_dir, "assigned")
        self._do: dict[type, Callable[[str, Any, Material], None]] = {
            MakeKey: self._make_key,
            CopyKey: self._copy_key,
            WriteRequest: self._write_request,
            AdoptKey: self._adopt_key,
            Note: self._note,
            Import: self._import,
            Issue: self._issue,
            Point: self._point,
            Assign: self._assign,
            Withdraw: self._withdraw,
            Remove: self._remove,
        }

    def home(self, id: str, number: int) -> str:
        return os.path.join(self.certificates, f"{id}.{number}")

    def path(self, id: str, number: int, name: str) -> str:
        return os.path.join(self.home(id, number), name)

    # Reading

    def anything(self) -> bool:
        return bool(_listed(self.certificates))

    def names(self) -> Names:
        numbers: dict[str, list[int]] = {}
        for name in _listed(self.certificates):
            owner, _dot, number = name.rpartition(".")
            if is_number(number) and os.path.isdir(os.path.join(self.certificates, name)):
                numbers.setdefault(owner, []).append(int(number))
        links = {name: os.path.basename(target) for name, target in _links(self.assigned)}
        previous = {name[: -len(PREVIOUS)]: target for name, target in links.items() if name.endswith(PREVIOUS)}
        assigned = {name: target for name, target in links.items() if not name.endswith(PREVIOUS)}
        return Names(numbers, assigned, previous)

    def read(self, names: Names, id: str, place: str, usable: bool = True, forgiving: bool = False) -> Current:
        """What there is. Where it only has to go away it need not be `usable`; `forgiving` passes over broken keys."""
        generations = {
            number: self._generation(id, number, place, forgiving) if usable else _unread(number)
            for number in names.numbers.get(id, ())
        }
        link = os.path.join(self.certificates, id)
        if os.path.lexists(link) and not os.path.islink(link):
            raise RecordError([Problem(place, "id", f"{link} is not a link", "move it away, or choose another id")])
        pointed = number_of(id, os.readlink(link)) if os.path.islink(link) else None
        before = {usage: self._named(name, place) for usage, name in names.previous.items()} if usable else {}
        found = {usage: generation for usage, generation in before.items() if generation is not None}
        return Current(generations, pointed, names.assigned, names.previous, found)

    def _named(self, name: str, place: str) -> Generation | None:
        """A generation of any id, as far as it is there and can be used."""
        owner, _dot, number = name.rpartition(".")
        if not is_number(number) or not os.path.isdir(self.home(owner, int(number))):
            return None
        try:
            found = self._generation(owner, int(number), place, forgiving=True)
        except RecordError:
            return None
        return found if found.readable else None

    def _generation(self, id: str, number: int, place: str, forgiving: bool) -> Generation:
        try:
            key = crypto.key_facts(crypto.load_key(_bytes(self.path(id, number, KEY)) or b""))
        except ValueError as exc:
            if forgiving:
                return _unread(number)
            path = self.path(id, number, KEY)
            remedy = (
                "put the key back from a copy, move its directory away, or set `regenerate: full_idempotence` to have"
                " a new one made beside it"
            )
            raise RecordError([Problem(place, "id", f"{path} cannot be used: {exc}", remedy)]) from None
        about = self._about(id, number, place)
        request = _bytes(self.path(id, number, REQUEST))
        certificate = self.certificate(id, number)
        return Generation(
            number=number,
            key=key,
            request=crypto.request_facts(request) if request else None,
            certificate=crypto.certificate_facts(certificate) if certificate else None,
            chain=self._chain(id, number),
            about=about,
        )

    def _chain(self, id: str, number: int) -> tuple[str, ...]:
        text = (_bytes(self.path(id, number, CHAIN)) or b"").decode(errors="replace")
        try:
            return tuple(map(crypto.fingerprint, crypto.load_certificates(text))) if text else ()
        except ValueError:
            return ("unreadable",)

    def certificate(self, id: str, number: int) -> Any:
        """The certificate of a generation, or None; one that cannot be read or is not the key's counts as none."""
        found = _bytes(self.path(id, number, CERTIFICATE))
        key = _bytes(self.path(id, number, KEY))
        if found is None or key is None:
            return None
        try:
            certificate = crypto.load_certificates(found.decode())[0]
        except ValueError:
            return None
        own = crypto.public_digest(crypto.load_key(key).public_key())
        return certificate if crypto.certificate_digest(certificate) == own else None

    def damaged(self, current: Current, entry: Wanted) -> list[str]:
        """The certificate in use, where there is a file and nothing can be made of it."""
        number = number_of(entry.id, current.assigned.get(entry.usage))
        held = current.generations.get(number or 0)
        path = self.path(entry.id, number or 0, CERTIFICATE)
        broken = held is not None and held.readable and held.certificate is None and os.path.exists(path)
        return [path] if broken and entry.state != "absent" and crypto.AVAILABLE else []

    def request_pem(self, id: str, number: int) -> str | None:
        found = _bytes(self.path(id, number, REQUEST))
        return None if found is None else found.decode()

    def _about(self, id: str, number: int, place: str) -> About:
        path = self.path(id, number, ABOUT)
        try:
            return about_from_json(_bytes(path))
        except LookupError:
            message = f"{path} was written by a newer version of this collection"
            raise RecordError([Problem(place, "id", message, "use that version")]) from None
        except PermissionError:
            message = f"the key in {os.path.dirname(path)} is not exportable and comes from another host"
            remedy = "move the directory away, and a key of this host's own is made"
            raise RecordError([Problem(place, "exportable", message, remedy)]) from None

    def drift(self, id: str, numbers: Sequence[int]) -> list[Change]:
        """Modes and owners that are not as they were made: a key that too many can read, or that the proxy cannot."""
        paths = []
        for number in sorted(numbers):
            home = self.home(id, number)
            names = sorted(set(NAMES).intersection(_listed(home)))
            paths += [home, *(os.path.join(home, name) for name in names)]
        return _drift("file", paths)

    def drift_above(self) -> list[Change]:
        """The same of the directories of all: who may write there may put another key in place."""
        return _drift("directory", [path for path in (self.certificates, self.assigned) if os.path.isdir(path)])

    # Writing

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        with store._lock(self.config_dir):
            yield

    def prepare(self) -> None:
        """Once before anything is applied."""
        for directory in (self.certificates, self.assigned):
            make_directory(directory)
        self._sweep()

    def apply(self, id: str, steps: Sequence[Step], material: Material) -> None:
        for step in steps:
            self._do[type(step)](id, step, material)

    def repair(self, change: Change) -> None:
        set_attributes(change.subject.partition(" ")[2])

    def _sweep(self) -> None:
        """Take away what a run that broke off left behind; under the lock nobody else is writing."""
        homes = [os.path.join(self.certificates, name) for name in _listed(self.certificates)]
        for directory in (self.certificates, self.assigned, *filter(os.path.isdir, homes)):
            for name in _listed(directory):
                if name.startswith(".") and name.endswith(".tmp"):
                    _take_away(os.path.join(directory, name))

    def _make_key(self, id: str, step: MakeKey, _material: Material) -> None:
        key = crypto.make_key(step.request)
        contents = {
            KEY: crypto.key_pem(key),
            REQUEST: crypto.make_request(key, step.request),
            ABOUT: about_json(step.request.about),
        }
        self._appear(self.home(id, step.number), contents)

    def _adopt_key(self, id: str, step: AdoptKey, material: Material) -> None:
        contents = {
            KEY: crypto.key_pem(material.key),
            REQUEST: crypto.make_request(material.key, step.request),
            ABOUT: about_json(step.request.about),
        }
        self._appear(self.home(id, step.number), contents)

    def _copy_key(self, id: str, step: CopyKey, _material: Material) -> None:
        contents = {name: _bytes(self.path(id, step.source, name)) for name in (KEY, REQUEST)}
        about = about_from_json(_bytes(self.path(id, step.source, ABOUT)))
        contents[ABOUT] = about_json(about._replace(effective=None, withdrawn=""))
        self._appear(self.home(id, step.number), {name: text for name, text in contents.items() if text is not None})

    def _write_request(self, id: str, step: WriteRequest, _material: Material) -> None:
        key = crypto.load_key(_bytes(self.path(id, step.number, KEY)) or b"")
        self._write(id, step.number, REQUEST, crypto.make_request(key, step.request))
        self._write(id, step.number, ABOUT, about_json(step.request.about))

    def _note(self, id: str, step: Note, _material: Material) -> None:
        self._write(id, step.number, ABOUT, about_json(step.about))

    def _import(self, id: str, step: Import, material: Material) -> None:
        self._certify(id, step.number, material.given[0], material.given[1:])

    def _issue(self, id: str, step: Issue, material: Material) -> None:
        key = crypto.load_key(_bytes(self.path(id, step.number, KEY)) or b"")
        issued = crypto.issue(key, step.request, material.authority, material.now, ISSUED_DAYS)
        self._certify(id, step.number, issued, material.issuer_chain)

    def _certify(self, id: str, number: int, certificate: Any, chain: Sequence[Any]) -> None:
        """The chain first: what makes a generation complete is its certificate."""
        self._write(id, number, CHAIN, crypto.certificates_pem(chain))
        self._write(id, number, CERTIFICATE, crypto.certificates_pem([certificate]))

    def _point(self, id: str, step: Point, _material: Material) -> None:
        _link(os.path.join(self.certificates, id), f"{id}.{step.number}")

    def _assign(self, _id: str, step: Assign, _material: Material) -> None:
        link = os.path.join(self.assigned, step.usage)
        target = os.path.join("..", "certificates", step.name)
        if os.path.islink(link) and os.path.exists(link) and os.readlink(link) != target:
            _link(link + PREVIOUS, os.readlink(link))
        _link(link, target)

    def _withdraw(self, _id: str, step: Withdraw, _material: Material) -> None:
        owner, _dot, number = step.name.rpartition(".")
        about = about_from_json(_bytes(self.path(owner, int(number), ABOUT)))
        self._write(owner, int(number), ABOUT, about_json(about._replace(withdrawn=step.withdrawn)))

    def _remove(self, id: str, step: Remove, _material: Material) -> None:
        for name, target in _links(self.assigned):
            if number_of(id, os.path.basename(target)) is not None:
                os.unlink(os.path.join(self.assigned, name))
        for path in (os.path.join(self.certificates, id), *(self.home(id, number) for number in step.numbers)):
            if os.path.lexists(path):
                aside = os.path.join(self.certificates, _temporary())
                os.rename(path, aside)
                _take_away(aside)

    def _write(self, id: str, number: int, name: str, content: bytes) -> None:
        store.write_file(self.path(id, number, name), content, store.FILE_MODE)

    def _appear(self, home: str, contents: Mapping[str, bytes]) -> None:
        aside = os.path.join(self.certificates, _temporary())
        os.mkdir(aside, 0o700)
        set_attributes(aside, 0o700)
        store.write_files(aside, contents, store.FILE_MODE)
        set_attributes(aside)
        os.rename(aside, home)
        store._sync_directory(self.certificates)


def _drift(kind: str, paths: Sequence[str]) -> list[Change]:
    compared = [(path, *attributes_of(path)) for path in paths]
    return [Change(f"{kind} {path}", found, wanted) for path, found, wanted in compared if found != wanted]


def _unread(number: int) -> Generation:
    return Generation(number, KeyFacts("unreadable", 0, ""), None, None, ())


def _bytes(path: str) -> bytes | None:
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def _listed(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return []


def _links(directory: str) -> list[tuple[str, str]]:
    paths = [(name, os.path.join(directory, name)) for name in _listed(directory)]
    return [(name, os.readlink(path)) for name, path in paths if os.path.islink(path)]


def _temporary() -> str:
    return f".{secrets.token_hex(8)}.tmp"


def _take_away(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def _link(path: str, target: str) -> None:
    aside = os.path.join(os.path.dirname(path), _temporary())
    os.symlink(target, aside)
    os.rename(aside, path)
    store._sync_directory(os.path.dirname(path))
