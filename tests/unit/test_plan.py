# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What plans promise, whatever the options: the plan of the result is empty, and nothing happens that is not told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.xmpp.federation.plugins.module_utils import _module_edge, _module_partner, _module_policy
from ansible_collections.xmpp.federation.plugins.module_utils._plan import (
    HIDDEN,
    HIDDEN_NEW,
    Draft,
    grouped,
    hide,
    listed,
)
from ansible_collections.xmpp.federation.plugins.module_utils._records import (
    desired,
    edge,
    files,
    partner,
    policy,
    secrets,
)
from ansible_collections.xmpp.federation.plugins.module_utils._records.errors import RecordError
from hypothesis import given
from hypothesis import strategies as st

NEGOTIATION = st.sampled_from(["required", "optional", "not_supported"])
DOMAINS = st.sampled_from(
    ["a.example", "B.example", "c.example.", "bücher.example", "xn--bcher-kva.example", "ours.example"]
)
USERS = st.sampled_from(
    ["alice@ours.example", "ALICE@ours.example", "bob@ours.example", "carol@Ours.example.", "x@a.example"]
)
STATE = st.sampled_from(["present", "absent"])


def _some(**options: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Any of these options, given or left out."""
    return st.fixed_dictionaries({name: st.none() | strategy for name, strategy in options.items()})


PARTNER = st.builds(
    lambda domain, rest: {**rest, "domain": domain},
    DOMAINS,
    _some(
        additional_domains=st.lists(DOMAINS, max_size=3),
        additional_domains_mode=st.sampled_from(["replace", "add", "remove"]),
        partner_type=st.sampled_from(["federated", "public_verified", "public_unverified"]),
        tls=NEGOTIATION,
        sasl=NEGOTIATION,
        dialback=st.booleans(),
        keepalive=st.booleans(),
        connection_limit=st.integers(0, 2000),
        proxy_fqdn=st.sampled_from(["", "host.example", "192.0.2.1"]),
        proxy_port=st.sampled_from([0, 5270]),
        description=st.sampled_from(["", "x"]),
        state=STATE,
    ),
)
POLICY = _some(
    name=st.sampled_from(["A", "B", "tag:A", "a", "global"]),
    scope=st.sampled_from(["global", "user"]),
    federation_access=st.booleans(),
    xmpp_access=st.booleans(),
    public_cloud_access=st.booleans(),
    description=st.sampled_from(["", "x"]),
    grant_to=st.lists(USERS, max_size=3),
    grant_to_all=st.booleans(),
    grant_mode=st.sampled_from(["add", "replace"]),
    state=STATE,
)
EDGE = _some(
    domains=st.lists(DOMAINS, max_size=3),
    allow_federated_users=st.booleans(),
    listen=st.lists(st.sampled_from(["0.0.0.0", "::", "0::0"]), max_size=2),
    listen_port=st.integers(0, 70000),
    connection_limit=st.integers(1, 50),
    partner_connection_limit=st.integers(1, 50),
    resolvers=st.lists(st.sampled_from(["192.0.2.1", "192.0.2.1:53", "[::1]:5353"]), max_size=2),
    inside=_some(
        server=st.sampled_from(["prosody", "ejabberd"]),
        port=st.integers(1, 65535),
        tls=st.booleans(),
        ca_file=st.sampled_from(["", "/ca.pem"]),
        secret=st.sampled_from(["one secret", "another secret"]),
    ),
    dialback_secret=st.sampled_from(["one secret", "another secret"]),
    state=st.sampled_from(["present", "default"]),
)


def _params(spec: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    return {**dict.fromkeys(spec), **options}


def _empty() -> dict[str, Any]:
    parts = {kind: files.empty(kind) for kind in files.KINDS}
    parts["edge"]["domains"] = ["ours.example"]
    return parts


def _law(module: Any, current: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    """Plan, check every promise, and return the state that follows; the state as it was if the options are refused."""
    drafts: list[Draft] = []
    refusals: list[RecordError] = []
    for check_mode in (True, False):
        try:
            drafts.append(module.make_draft(params, current, check_mode))
        except RecordError as exc:
            refusals.append(exc)
    if refusals:
        assert not drafts
        assert refusals[0].problems == refusals[1].problems
        assert all(problem.message and problem.remedy for problem in refusals[0].problems)
        return current
    told, done = drafts
    assert told.changes == done.changes
    assert told.results == done.results
    assert told.warnings == done.warnings
    after = {**current, **done.values}
    changed = [kind for kind in files.KINDS if after[kind] != current[kind]]
    assert bool(changed) == bool(done.changes)
    if not done.changes:
        assert done.warnings == ()
    again = module.make_draft(params, after, False)
    assert again.changes == ()
    assert again.values == done.values
    # What a module accepts the service loads.
    texts = {kind: files.encode(kind, after[kind]) for kind in files.KINDS}
    state = desired.assemble(dict(texts), "/etc/xmpp-edge")
    assert {kind: state.part(kind) for kind in files.KINDS} == after
    return after


@given(st.lists(st.tuples(st.lists(PARTNER, max_size=4), st.booleans()), max_size=4))
def test_partners(calls: list[tuple[list[dict[str, Any]], bool]]) -> None:
    current = _empty()
    entry = dict.fromkeys(_module_partner.entry_spec())
    for partners, purge in calls:
        params = _params(
            _module_partner.argument_spec(), {"partners": [{**entry, **one} for one in partners], "purge": purge}
        )
        current = _law(_module_partner, current, params)


@given(st.lists(PARTNER, max_size=4))
def test_one_partner_a_call(partners: list[dict[str, Any]]) -> None:
    """The single options and a list of one are the same thing."""
    spec = _module_partner.argument_spec()
    single, many = _empty(), _empty()
    for one in partners:
        entry = {**dict.fromkeys(_module_partner.entry_spec()), **one}
        single = _law(_module_partner, single, _params(spec, one))
        many = _law(_module_partner, many, _params(spec, {"partners": [entry]}))
        assert single == many


@given(st.lists(st.tuples(st.lists(POLICY, max_size=4), st.booleans()), max_size=4))
def test_policies(calls: list[tuple[list[dict[str, Any]], bool]]) -> None:
    current = _empty()
    entry = dict.fromkeys(_module_policy.entry_spec())
    for policies, purge in calls:
        params = _params(
            _module_policy.argument_spec(), {"policies": [{**entry, **one} for one in policies], "purge": purge}
        )
        current = _law(_module_policy, current, params)


@given(st.lists(EDGE, max_size=4))
def test_edge(calls: list[dict[str, Any]]) -> None:
    current = _empty()
    # A first secret is made by chance, so that two plans for it differ.
    current["secrets"]["dialback_secret"] = "first secret of this edge"
    for options in calls:
        inside = options["inside"]
        if inside is not None:
            options["inside"] = {**dict.fromkeys([*edge.INSIDE_FIELDS, "secret", "secret_file"]), **inside}
        current = _law(_module_edge, current, _params(_module_edge.argument_spec(), options))


def _other(value: Any) -> Any:
    """Another value that this field may hold as well."""
    others: dict[str, Any] = {
        "domain": "z.example",
        "additional_domains": ["z.example"],
        "partner_type": "federated",
        "tls": "optional",
        "sasl": "optional",
        "dialback": True,
        "keepalive": False,
        "connection_limit": 7,
        "proxy_fqdn": "z.example",
        "ca_file": "/etc/ssl/partner.pem",
        "pins": ["ab" * 32],
        "description": "other",
        "name": "Other",
        "federation_access": True,
        "public_cloud_access": True,
    }
    return others.get(value)


def test_every_option_counts() -> None:
    """No option that could be changed without the plan noticing."""
    current = _empty()
    base = {"domain": "a.example", "tls": "required", "sasl": "required", "proxy_fqdn": "host.example"}
    spec = _module_partner.argument_spec()
    current = _law(_module_partner, current, _params(spec, base))
    for name in partner.FIELDS:
        value = 5270 if name == "proxy_port" else _other(name)
        done = _module_partner.make_draft(_params(spec, {**base, name: value}), current, False)
        assert done.changes, name

    spec = _module_policy.argument_spec()
    current = _law(_module_policy, current, _params(spec, {"name": "A", "federation_access": False}))
    for name in set(policy.FIELDS) - {"scope", "members", "xmpp_access"}:
        done = _module_policy.make_draft(_params(spec, {"name": "A", name: _other(name)}), current, False)
        assert done.changes, name
    site = {"name": "A", "scope": "site"}
    current = _law(_module_policy, current, _params(spec, {**site, "members": ["*@ours.example"]}))
    assert _module_policy.make_draft(_params(spec, {**site, "members": ["a@ours.example"]}), current, False).changes
    current = _law(_module_policy, current, _params(spec, {"name": "A", "scope": "user", "members": []}))
    both = {"name": "A", "federation_access": True}
    current = _law(_module_policy, current, _params(spec, both))
    for more in ({"xmpp_access": True}, {"grant_to": ["a@ours.example"]}, {"grant_to_all": True}):
        assert _module_policy.make_draft(_params(spec, {**both, **more}), current, False).changes, more


def test_every_edge_option_counts() -> None:
    current = _empty()
    current["secrets"]["dialback_secret"] = "first secret of this edge"
    spec = _module_edge.argument_spec()
    values: dict[str, Any] = {
        "domains": ["z.example"],
        "listen": ["192.0.2.1"],
        "resolvers": ["192.0.2.1"],
        "connection_limit": 999,
        "ca_file": "/etc/ssl/partners.pem",
        "check_crls": "always",
        "archiving_disclaimer": "This is kept.",
    }
    for name, field in edge.FIELDS.items():
        if field.kind == "dict":
            continue
        value = values.get(name, (not field.default) if field.kind == "bool" else 11)
        assert _module_edge.make_draft(_params(spec, {name: value}), current, False).changes, name
    for name, value in {"server": "other", "host": "h.example", "port": 1, "secret": "x"}.items():
        inside = {**dict.fromkeys(spec["inside"]["options"]), name: value}
        assert _module_edge.make_draft(_params(spec, {"inside": inside}), current, False).changes, name


def test_secrets_are_hidden_on_both_sides() -> None:
    fields = secrets.FIELDS
    for before, after, shown in (
        ("", "", ("", "")),
        ("", "new", ("", HIDDEN)),
        ("old", "old", (HIDDEN, HIDDEN)),
        ("old", "new", (HIDDEN, HIDDEN_NEW)),
        ("old", "", (HIDDEN, "")),
    ):
        records = [{"dialback_secret": value, "inside_secret": ""} for value in (before, after)]
        found = hide(fields, records[0], records[1])
        assert (found[0]["dialback_secret"], found[1]["dialback_secret"]) == shown


def test_words_for_many() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed(list("abcdefg")) == "a, b, c, d, e and 2 more"
    assert grouped([("t", "a"), ("u", "b"), ("t", "c")]) == "a, c: t; b: u"
