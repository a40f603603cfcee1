# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every option of edge_crl tells the truth: check mode, the run, the run again, and each option alone."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.xmpp.federation.plugins.module_utils import _crl_options
from certificates import NOW, Ca
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from truthful import Option, change, differences, options_of, shown

Call = Callable[..., dict[str, Any]]

FIRST = {"src": "{tmp}/first.crl", "name": "kept.crl"}
OPTIONS = {
    "name": Option("one.crl", "two.crl", shown=shown("revocation list two.crl")),
    "url": Option("{web}/first.crl", "{web}/second.crl", base={"name": "kept.crl"}),
    "src": Option("{tmp}/first.crl", "{tmp}/second.crl", base={"name": "kept.crl"}),
    "state": Option("present", "absent", base={"name": "kept.crl"}, beside={"src": "{tmp}/first.crl"}),
    "crls": Option([FIRST], [FIRST, {"src": "{tmp}/second.crl"}], base={}, shown=shown("revocation list second.crl")),
    "purge": Option(
        False,
        True,
        base={"crls": [FIRST]},
        before=(("edge_crl", {"src": "{tmp}/second.crl"}),),
        shown=shown("revocation list second.crl"),
    ),
    "config_dir": Option(
        "{tmp}/one",
        "{tmp}/two",
        shown=shown("directory {tmp}/two", "directory {tmp}/two/crls", "revocation list kept.crl"),
    ),
}
# How long to wait, and what to say of a list that cannot be had: neither changes what comes.
WAYS = {"timeout": (5, 6), "strict": (False, True)}


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """Two lists, as files and on a web server."""
    ca = Ca("Example CA")
    for age, name in ((2, "first"), (1, "second")):
        start = NOW - timedelta(days=age)
        builder = x509.CertificateRevocationListBuilder().issuer_name(ca.name)
        builder = builder.last_update(start).next_update(start + timedelta(days=30))
        (tmp_path / f"{name}.crl").write_bytes(builder.sign(ca.key, hashes.SHA256()).public_bytes(Encoding.DER))

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_unused: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        with contextlib.ExitStack() as stack:
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            yield f"http://127.0.0.1:{server.server_port}"


def test_every_option_has_values() -> None:
    spec = _crl_options.argument_spec()
    assert set(options_of(spec)) == {*OPTIONS, *WAYS}
    assert set(spec["crls"]["options"]) <= set(OPTIONS)


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_alone_is_a_change_that_the_diff_names(lawful: Call, tmp_path: Path, web: str, option: str) -> None:
    one = OPTIONS[option]
    first, second = (
        value.replace("{web}", web) if isinstance(value, str) else value for value in (one.first, one.second)
    )
    done = change(lawful, "edge_crl", option, one._replace(first=first, second=second), FIRST, tmp_path)
    expected = {name.replace("{tmp}", str(tmp_path)) for name in one.shown or {"revocation list kept.crl"}}
    found = differences(done["diff"])
    assert {path if path.startswith("directory") else path.partition("/")[0] for path in found} == expected


@pytest.mark.parametrize("option", WAYS)
def test_the_way_changes_nothing(lawful: Call, tmp_path: Path, web: str, option: str) -> None:
    first, second = WAYS[option]
    options = {"config_dir": str(tmp_path / "etc"), "url": f"{web}/first.crl"}
    assert lawful("edge_crl", **options, **{option: first})["changed"] is True
    assert lawful("edge_crl", **options, **{option: second})["changed"] is False
