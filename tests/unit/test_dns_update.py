# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What srv_record is made of: keys, plans, batches."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.xmpp.federation.plugins.module_utils import _dns_update_key as tsig
from ansible_collections.xmpp.federation.plugins.module_utils._dns_update_client import batches
from ansible_collections.xmpp.federation.plugins.module_utils._dns_update_entries import entries
from ansible_collections.xmpp.federation.plugins.module_utils._dns_update_plan import (
    Change,
    Key,
    RecordSet,
    Srv,
    plan,
    record_set,
)
from ansible_collections.xmpp.federation.plugins.module_utils._records.errors import RecordError
from hypothesis import given
from hypothesis import strategies as st

SECRET = base64.b64encode(b"secret").decode()

KEY_FILE = f"""
/* several keys, as a named.conf may have them */
key edge. {{ # no quotes, name with a dot
    algorithm "HMAC-SHA512";
    secret "{SECRET}";
}};
// key "old" {{ algorithm hmac-md5; secret "AAAA"; }};
key "other" {{ secret "{SECRET}"; algorithm hmac-md5.sig-alg.reg.int; }};
server 192.0.2.1 {{ keys {{ edge; }}; }};
"""


def test_keys_of_a_bind_file() -> None:
    assert {name: clause.key() for name, clause in tsig.parse(KEY_FILE).items()} == {
        "edge": tsig.TsigKey("edge.", "hmac-sha512", b"secret"),
        "other": tsig.TsigKey("other", "hmac-md5", b"secret"),
    }


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        (KEY_FILE, {}, "say which one is meant"),
        (KEY_FILE, {"key_name": "third"}, "no key 'third'"),
        (KEY_FILE, {"key_name": "edge", "key_algorithm": "hmac-sha256"}, "says hmac-sha512"),
        ("", {}, "no key clause"),
        ('key "a" { algorithm hmac-sha256; };', {}, "lacks algorithm or secret"),
        ('key "a" { algorithm hmac-sha257; secret "AAAA"; };', {}, "is not one of"),
        ('key "a" { algorithm hmac-sha256; secret "%"; };', {}, "not Base64"),
        ('key "a" { algorithm hmac-sha256; secret "', {}, "lacks algorithm or secret"),
    ],
)
def test_key_files_that_will_not_do(tmp_path: Path, text: str, options: dict[str, str], words: str) -> None:
    path = tmp_path / "key"
    path.write_text(text)
    with pytest.raises(RecordError, match=words) as caught:
        tsig.from_options({"key_file": str(path), **options}, {})
    assert SECRET not in str(caught.value)


def test_key_file_that_is_not_there() -> None:
    with pytest.raises(RecordError, match="cannot be read"):
        tsig.from_options({"key_file": "/nonexistent"}, {})


def test_key_names_are_compared_as_names(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(KEY_FILE)
    key = tsig.from_options({"key_file": str(path), "key_name": "EDGE"}, {})
    assert key is not None
    assert key.algorithm == "hmac-sha512"
    assert "secret" not in repr(key)


names = st.sampled_from(["a.example", "b.example"])
targets = st.sampled_from(["x.example", "y.example", "z.example"])
small = st.one_of(st.none(), st.integers(0, 3))
addresses = st.one_of(st.none(), st.lists(st.sampled_from(["192.0.2.1", "2001:db8::1"]), min_size=1))
records = st.fixed_dictionaries(
    {
        "domain": names,
        "target": targets,
        "port": st.one_of(st.none(), st.integers(1, 3)),
        "priority": small,
        "weight": small,
        "addresses": addresses,
        "state": st.sampled_from(["present", "present", "absent", None]),
    }
)
held = st.dictionaries(
    st.builds(Key, st.sampled_from(["_xmpp-server._tcp.a.example", "_xmpp-server._tcp.b.example"]), st.just("SRV")),
    st.lists(st.builds(Srv, st.integers(0, 3), st.integers(0, 3), st.integers(1, 3), targets), min_size=1).map(
        lambda values: record_set(60, values)
    ),
)


@given(current=held, wanted=st.lists(records, max_size=5), purge=st.booleans())
def test_a_plan_ends_where_it_wants_to_be(current: Any, wanted: Any, purge: bool) -> None:
    try:
        listed = entries(wanted)
    except RecordError:
        return
    first = plan(current, listed, purge)
    after = {**current, **{change.key: change.after for change in first.changes}}
    second = plan(after, listed, purge)
    assert second.changes == ()
    assert [result for result in second.results if result["state"] == "present"] == [
        result for result in first.results if result["state"] == "present"
    ]
    for entry in listed:
        found = after.get(entry.owner)
        there = [srv for srv in (found.values if found else ()) if isinstance(srv, Srv) and srv.target == entry.target]
        assert len(there) == (1 if entry.state == "present" else 0)
        for option in ("port", "priority", "weight"):
            if entry.state == "present" and getattr(entry, option) is not None:
                assert getattr(there[0], option) == getattr(entry, option)
    assert all(change.before != change.after for change in first.changes)
    untouched = set(current) - {entry.owner for entry in listed}
    assert not untouched & {change.key for change in first.changes}


def test_one_owner_is_never_split() -> None:
    srv = RecordSet(60, (Srv(0, 0, 5269, "edge.a.example"),))
    changes = [Change(Key(f"n{number}.a.example", kind), None, srv) for number in range(50) for kind in ("SRV", "A")]
    made = batches(changes, limit=1000)
    assert len(made) > 5
    assert [change for batch in made for change in batch] == changes
    owners = [{change.key.name for change in batch} for batch in made]
    assert sum(map(len, owners)) == len(set.union(*owners))


def test_batches_fit_a_message() -> None:
    import dns.rdata
    import dns.update

    text = "a" * 63 + "." + "b" * 40
    srv = RecordSet(60, (Srv(65535, 65535, 65535, f"{text}.example"),))
    changes = [Change(Key(f"n{number}.{text}.{text[:90]}", "SRV"), srv, srv) for number in range(2000)]
    for batch in batches(changes):
        message = dns.update.UpdateMessage(".")
        for change in batch:
            rdata = dns.rdata.from_text("IN", "SRV", str(srv.values[0]))
            message.present(change.key.name + ".", rdata)
            message.delete(change.key.name + ".", "SRV")
            message.add(change.key.name + ".", 60, rdata)
        assert len(message.to_wire(max_size=65535)) < 65535
