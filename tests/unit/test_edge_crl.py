# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Revocation lists from a real web server, good and bad, and what becomes of those that are there."""

from __future__ import annotations

import stat
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.xmpp.federation.plugins.module_utils import _crl_lists, _crl_module
from ansible_collections.xmpp.federation.plugins.modules import edge_crl
from certificates import NOW, PEM, Ca
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

Call = Callable[..., dict[str, Any]]
MODULE = "edge_crl"


def _list(ca: Ca, revoked: int = 0, age: int = 1, life: int = 7, form: Encoding = Encoding.DER) -> bytes:
    start = NOW - timedelta(days=age)
    builder = x509.CertificateRevocationListBuilder().issuer_name(ca.name)
    builder = builder.last_update(start).next_update(start + timedelta(days=life))
    for number in range(revoked):
        entry = x509.RevokedCertificateBuilder().serial_number(number + 1).revocation_date(start).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(ca.key, hashes.SHA256()).public_bytes(form)


class Web:
    """A web server that serves what it is given."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {}
        self.promised: dict[str, int] = {}
        pages, promised = self.pages, self.promised

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                page = pages.get(self.path)
                self.send_response(200 if page is not None else 404)
                self.send_header("Content-Length", str(promised.get(self.path, len(page or b""))))
                self.end_headers()
                self.wfile.write(page or b"")

            def log_message(self, *_unused: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server.server_port}{path}"


@pytest.fixture
def web() -> Iterator[Web]:
    found = Web()
    thread = threading.Thread(target=found.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield found
    found.server.shutdown()
    thread.join()
    found.server.server_close()


@pytest.fixture(scope="module")
def ca() -> Ca:
    return Ca("Example CA")


def test_a_list_is_fetched_and_kept(lawful: Call, config_dir: Path, web: Web, ca: Ca) -> None:
    web.pages["/pki/root.crl"] = _list(ca, 3)
    told = lawful(MODULE, config_dir=str(config_dir), url=web.url("/pki/root.crl"))
    path = config_dir / "crls/root.crl"
    assert told["crls"] == [
        {
            "name": "root.crl",
            "path": str(path),
            "source": web.url("/pki/root.crl"),
            "changed": True,
            "error": None,
            "issuer": "CN=Example CA",
            "this_update": (NOW - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "next_update": (NOW + timedelta(days=6)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "revoked": 3,
        }
    ]
    assert set(told["diff"]["after"]) == {
        f"directory {config_dir}",
        f"directory {config_dir}/crls",
        "revocation list root.crl",
    }
    assert path.read_bytes() == web.pages["/pki/root.crl"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o750


def test_a_newer_list_takes_the_place_of_an_older_one_only(
    call: Call, lawful: Call, config_dir: Path, web: Web, ca: Ca
) -> None:
    options = {"config_dir": str(config_dir), "url": web.url("/root.crl")}
    web.pages["/root.crl"] = _list(ca, age=3)
    lawful(MODULE, **options)
    web.pages["/root.crl"] = newer = _list(ca, 1, age=1, form=PEM)
    assert lawful(MODULE, **options)["diff"]["before"]["revocation list root.crl"]["revoked"] == 0
    web.pages["/root.crl"] = _list(ca, age=2)
    told = call(MODULE, **options)
    assert not told["changed"]
    assert "older than what is there" in told["warnings"][0]
    assert told["crls"][0]["revoked"] == 1
    kept = x509.load_der_x509_crl((config_dir / "crls/root.crl").read_bytes())
    assert kept == x509.load_pem_x509_crl(newer)


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (None, "the server says 404"),
        (b"", "not a certificate revocation list"),
        (b"<html>We have moved</html>", "not a certificate revocation list"),
        (b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", "not a certificate revocation list"),
        (b"0" * 3000, "larger than"),
    ],
)
def test_what_is_no_list_never_takes_its_place(
    call: Call, config_dir: Path, web: Web, ca: Ca, page: bytes | None, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_crl_lists, "LARGEST", 2000)
    options = {"config_dir": str(config_dir), "url": web.url("/root.crl")}
    web.pages["/root.crl"] = good = _list(ca)
    call(MODULE, **options)
    web.pages.pop("/root.crl")
    if page is not None:
        web.pages["/root.crl"] = page
    for check in (True, False):
        told = call(MODULE, check=check, **options)
        assert not told["changed"]
        assert words in told["warnings"][0]
        assert told["crls"][0]["error"].endswith("stays")
        assert told["crls"][0]["issuer"] == "CN=Example CA"
    assert (config_dir / "crls/root.crl").read_bytes() == good


def test_half_a_list_is_none(call: Call, config_dir: Path, web: Web, ca: Ca) -> None:
    web.pages["/root.crl"] = page = _list(ca)
    web.promised["/root.crl"] = len(page) + 1
    told = call(MODULE, config_dir=str(config_dir), url=web.url("/root.crl"))
    assert not told["changed"]
    assert "the connection broke" in told["crls"][0]["error"]
    assert not (config_dir / "crls").exists()


def test_several_lists_in_one_file_are_not_half_read(call: Call, config_dir: Path, tmp_path: Path, ca: Ca) -> None:
    both = tmp_path / "both.crl"
    both.write_bytes(_list(ca, form=PEM) * 2)
    assert "several lists" in call(MODULE, config_dir=str(config_dir), src=str(both))["crls"][0]["error"]


def test_strict_fails_and_keeps_what_is_good(call: Call, config_dir: Path, web: Web, ca: Ca) -> None:
    web.pages["/good.crl"] = _list(ca)
    lists = [{"url": web.url("/good.crl")}, {"url": web.url("/gone.crl")}, {"src": str(config_dir / "none.crl")}]
    told = call(MODULE, config_dir=str(config_dir), crls=lists, strict=True)
    assert told["failed"]
    assert told["changed"]
    assert "gone.crl" in told["msg"]
    assert "none.crl" in told["msg"]
    assert [one["error"] is None for one in told["crls"]] == [True, False, False]
    assert (config_dir / "crls/good.crl").exists()


def test_a_list_out_of_date_is_told(call: Call, config_dir: Path, tmp_path: Path, ca: Ca) -> None:
    old = tmp_path / "old.crl"
    old.write_bytes(_list(ca, age=9, life=2))
    told = call(MODULE, config_dir=str(config_dir), src=str(old))
    assert told["changed"]
    assert "out of date" in told["warnings"][0]


def test_purge_leaves_what_is_listed(lawful: Call, config_dir: Path, web: Web, ca: Ca) -> None:
    where = {"config_dir": str(config_dir)}
    for name in ("a", "b", "c"):
        web.pages[f"/{name}.crl"] = _list(ca)
    lawful(MODULE, crls=[{"url": web.url(f"/{name}.crl")} for name in ("a", "b", "c")], **where)
    assert lawful(MODULE, crls=[{"name": "c.crl", "state": "absent"}], **where)["removed"] == ["c.crl"]
    kept = web.url("/b.crl")
    assert lawful(MODULE, crls=[{"url": kept}], purge=True, **where)["removed"] == ["a.crl"]
    assert sorted(path.name for path in (config_dir / "crls").iterdir()) == ["b.crl"]
    assert lawful(MODULE, crls=[], purge=True, **where)["crls"] == []
    assert list((config_dir / "crls").iterdir()) == []


def test_modes_are_put_right(lawful: Call, config_dir: Path, web: Web, ca: Ca) -> None:
    web.pages["/a.crl"] = _list(ca)
    options = {"config_dir": str(config_dir), "url": web.url("/a.crl")}
    lawful(MODULE, **options)
    (config_dir / "crls/a.crl").chmod(0o666)
    told = lawful(MODULE, **options)
    assert told["diff"]["before"][f"file {config_dir}/crls/a.crl"]["mode"] == "0666"
    assert told["diff"]["after"][f"file {config_dir}/crls/a.crl"]["mode"] == "0640"
    assert stat.S_IMODE((config_dir / "crls/a.crl").stat().st_mode) == 0o640


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ({}, [("", "crls")]),
        ({"purge": True}, [("", "purge")]),
        ({"url": "http://ca.example/a.crl", "src": "/a.crl"}, [("", "url")]),
        ({"name": "a"}, [("a", "url")]),
        ({"url": "http://ca.example/"}, [("", "name")]),
        ({"url": "file:///etc/shadow"}, [("", "url")]),
        ({"url": "ldap://ca.example/cn=x"}, [("", "url")]),
        ({"url": "http://[::1/a.crl"}, [("", "url")]),
        ({"src": "a.crl"}, [("", "src")]),
        ({"name": "../../etc/passwd", "src": "/a.crl"}, [("../../etc/passwd", "name")]),
        ({"name": ".hidden", "src": "/a.crl"}, [(".hidden", "name")]),
        ({"url": "http://x.example/?format=der"}, [("", "name")]),
        ({"src": "/"}, [("", "name")]),
        ({"state": "present"}, [("", "url")]),
        ({"state": "absent"}, [("", "name")]),
        ({"src": "/a.crl", "timeout": 0}, [("", "timeout")]),
        (
            {
                "crls": [
                    {"src": "/a.crl"},
                    {"url": "http://x.example/a.crl"},
                    {"name": "b"},
                    {"src": "/c", "name": "a b"},
                ]
            },
            [("crls[1]", "name"), ("crls[2] (b)", "url"), ("crls[3] (a b)", "name")],
        ),
        ({"crls": [{"src": "/a.crl"}], "src": "/b.crl"}, [("", "crls")]),
    ],
)
def test_bad_options_are_told_at_once(
    call: Call, config_dir: Path, options: dict[str, Any], keys: list[tuple[str, str]]
) -> None:
    told = call(MODULE, config_dir=str(config_dir), **options)
    assert told["failed"]
    assert [(one["where"], one["key"]) for one in told["problems"]] == keys
    assert all(one["message"] and one["remedy"] for one in told["problems"])
    assert not config_dir.exists()


def test_what_the_user_has_not_written_is_not_blamed(call: Call, config_dir: Path) -> None:
    told = call(MODULE, config_dir=str(config_dir), crls=[{"url": "http://x.example/"}])
    (problem,) = told["problems"]
    assert problem["message"] == "this is missing, and http://x.example/ ends in none"
    assert problem["remedy"].startswith("give a name of ")


def test_a_dripping_server_is_given_no_more_time(ca: Ca, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    web.pages["/a.crl"] = _list(ca)
    ticks = iter([0.0, 100.0])
    monkeypatch.setattr(_crl_lists.time, "monotonic", lambda: next(ticks))
    with pytest.raises(ValueError, match="did not arrive within 5 seconds"):
        _crl_lists.fetch(web.url("/a.crl"), 5)


def test_check_mode_on_a_blank_host_needs_no_library(
    call: Call, config_dir: Path, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_crl_lists, "AVAILABLE", False)
    assert _crl_module.can_do_without(True, str(config_dir))
    assert not _crl_module.can_do_without(False, str(config_dir))
    told = call(MODULE, check=True, config_dir=str(config_dir), url=web.url("/a.crl"))
    assert told["changed"]
    assert told["diff"]["after"]["revocation list a.crl"] == {"source": web.url("/a.crl")}
    assert told["crls"][0]["issuer"] is None


def test_results_are_the_documented_ones(call: Call, config_dir: Path, web: Web, ca: Ca) -> None:
    told = yaml.safe_load(edge_crl.RETURN)
    web.pages["/root.crl"] = _list(ca, 3)
    done = call(MODULE, config_dir=str(config_dir), url=web.url("/root.crl"))
    refused = call(MODULE, config_dir=str(config_dir), crls=[{"name": "without"}])
    keys = {"changed", "failed", "diff", "msg", "warnings"}
    assert (set(done) | set(refused)) - keys == set(told)
    for name, entries in [("crls", done["crls"]), ("problems", refused["problems"])]:
        for entry in entries:
            assert set(entry) == set(told[name]["contains"])
            for key, value in entry.items():
                assert value is None or type(value).__name__ == told[name]["contains"][key]["type"], key
    assert set(done["crls"][0]) == set(told["crls"]["sample"][0])
