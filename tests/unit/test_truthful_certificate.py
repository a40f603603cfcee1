# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every option of edge_certificate tells the truth: check mode, the run, the run again, and each option alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.xmpp.federation.plugins.module_utils import _certificate_options
from certificates import NOW, PEM, Ca
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import pkcs12
from truthful import SECRET, Option, differences, merged, options_of, placed, shown

Call = Callable[..., dict[str, Any]]

MODULE = "edge_certificate"
# What nobody can know before a key is made or a certificate is issued; check mode says nothing of it, or the truth.
LATER = {"csr", "fingerprint", "issuer", "serial", "not_before", "not_after", "days_left"}
BASE = {"key_type": "ec_p256", "xmpp_domains": ["a.example"], "state": "requested"}
SIGNED = {"key_type": "ec_p256", "xmpp_domains": ["a.example"], "issue": "self_signed"}
OWN_CA = {**SIGNED, "issue": "own_ca", "ca_cert": "{tmp}/one.pem", "ca_key": "{tmp}/one.key"}
KEY = {"key_type": "ec_p256", "xmpp_domains": ["a.example"]}
IN_USE = {**KEY, "certificate": "{tmp}/first.pem"}
SOON, LATE = ((NOW + timedelta(days=days)).strftime("%Y-%m-%d") for days in (5, 10))

# Options of a request. What cannot be changed in a key or a request makes another, of the next generation.
ANOTHER = ("generation", "current_request")
REQUEST: dict[str, Option] = {
    "id": Option("one", "two", shown=shown("certificate two")),
    "friendly_name": Option("one", "two"),
    "key_type": Option("ec_p256", "ec_p384", shown=shown("key.type", "key.size", *ANOTHER)),
    "key_size": Option(2048, 3072, base={**BASE, "key_type": "rsa"}, shown=shown("key.size", *ANOTHER)),
    "exportable": Option(True, False, shown=shown("key.exportable", *ANOTHER)),
    "common_name": Option(
        "one.example", "two.example", shown=shown("subject.common_name", "names", "names_asked_for.common_name")
    ),
    "organization": Option("One", "Two", shown=shown("subject.organization")),
    "organizational_unit": Option("One", "Two", shown=shown("subject.organizational_unit")),
    "country": Option("DE", "FR", shown=shown("subject.country")),
    "state_or_province": Option("One", "Two", shown=shown("subject.state_or_province")),
    "city": Option("One", "Two", shown=shown("subject.city")),
    "sip_domains": Option(["b.example"], ["c.example"], shown=shown("names", "names_asked_for.sip_domains")),
    # The common name is the first of them where nobody has asked for another.
    "xmpp_domains": Option(["b.example"], ["c.example"], shown=shown("subject.common_name", "names")),
    "extra_sans": Option(["b.example"], ["192.0.2.1"], shown=shown("names", "names_asked_for.extra_sans")),
    "key_usage": Option(
        ["digitalSignature"],
        ["digitalSignature", "keyAgreement"],
        shown=shown("key_usage", "usages_asked_for.key_usage"),
    ),
    "extended_key_usage": Option(
        ["serverAuth"],
        ["serverAuth", "clientAuth"],
        shown=shown("extended_key_usage", "usages_asked_for.extended_key_usage"),
    ),
    "digest": Option("sha256", "sha512"),
    "dns_names_only": Option(False, True, shown=shown("names", "xmpp_domains_by_dns_name_only")),
    "state": Option("requested", "absent", shown=shown("")),
    "certificates": Option(
        [{**BASE, "id": "one"}],
        [{**BASE, "id": "one", "city": "New"}],
        base={},
        shown=shown("certificate one/subject.city"),
    ),
    "config_dir": Option("{tmp}/one", "{tmp}/two", shown=shown("directory {tmp}/two", "")),
}
# Options of what is in hand and in use; the diff names the certificate, and here is that it does at all.
IN_HAND: dict[str, Option] = {
    "certificate": Option("{tmp}/first.pem", "{tmp}/second.pem", base=KEY),
    "chain": Option("{tmp}/low.pem", "{tmp}/low-crossed.pem", base=KEY, beside={"certificate": "{tmp}/of-low.pem"}),
    "issue": Option("none", "self_signed", base=KEY),
    "ca_cert": Option("{tmp}/one.pem", "{tmp}/two.pem", base=OWN_CA, then={"ca_key": "{tmp}/two.key"}),
    "effective_date": Option(SOON, LATE, base=KEY, beside={"certificate": "{tmp}/second.pem"}, before=(("", IN_USE),)),
    "previous": Option(False, True, base={}, before=(("", IN_USE), ("", {**KEY, "certificate": "{tmp}/second.pem"}))),
}
# How to read what is given, and when and how readily to make another: with the same in hand nothing changes.
WAYS: dict[str, Option] = {
    "password": Option(
        SECRET,
        f"{SECRET} 2",
        beside={"certificate": "{tmp}/first.p12"},
        then={"certificate": "{tmp}/second.p12"},
        base=KEY,
    ),
    "ca_key": Option("{tmp}/one.key", "{tmp}/copy.key", base=OWN_CA),
    "ca_key_passphrase": Option(
        SECRET, f"{SECRET} 2", base=OWN_CA, beside={"ca_key": "{tmp}/locked.key"}, then={"ca_key": "{tmp}/locked2.key"}
    ),
    "renew_before": Option(10, 20, base=SIGNED),
    "regenerate": Option("never", "full_idempotence", base=SIGNED),
}
ONE_CHOICE = {"usage"}


@pytest.fixture
def files(tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that has been signed by several authorities, in files of several kinds."""
    one, two, root = Ca("One"), Ca("Two"), Ca("Root")
    low = Ca("Low", root)
    # The same authority with the same key, vouched for by another.
    crossed = (
        x509.CertificateBuilder()
        .subject_name(low.name)
        .issuer_name(two.name)
        .public_key(low.key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(low.certificate.not_valid_before_utc)
        .not_valid_after(low.certificate.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(two.key, hashes.SHA256())
    )
    (tmp_path / "store.pem").write_text(one.pem + two.pem + root.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "store.pem"))
    request = call(MODULE, config_dir=str(tmp_path / "etc"), **BASE)["certificates"][0]
    written = {
        "first.pem": one.sign(request["csr"]),
        "second.pem": two.sign(request["csr"]),
        "of-low.pem": low.sign(request["csr"]),
        "low.pem": low.pem,
        "low-crossed.pem": crossed.public_bytes(PEM).decode(),
        "one.pem": one.pem,
        "two.pem": two.pem,
        "one.key": one.key_pem(),
        "copy.key": one.key_pem(),
        "two.key": two.key_pem(),
        "locked.key": one.key_pem(SECRET),
        "locked2.key": one.key_pem(f"{SECRET} 2"),
    }
    for name, text in written.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    certificate = x509.load_pem_x509_certificate(written["first.pem"].encode())
    for name, password in (("first", SECRET), ("second", f"{SECRET} 2")):
        lock = serialization.BestAvailableEncryption(password.encode())
        packed = pkcs12.serialize_key_and_certificates(None, None, certificate, None, lock)
        (tmp_path / f"{name}.p12").write_bytes(packed)


@pytest.fixture
def lawful_here(call: Call, tmp_path: Path) -> Call:
    def run(**options: Any) -> dict[str, Any]:
        options = {"config_dir": str(tmp_path / "etc"), **placed(options, tmp_path)}
        told, done = call(MODULE, check=True, **options), call(MODULE, **options)
        assert "failed" not in done, done
        assert _without_later(told) == _without_later(done)
        for foreseen, made in zip(told["certificates"], done["certificates"], strict=True):
            assert all(foreseen[key] is None or foreseen[key] == made[key] for key in LATER)
        for check in (False, True):
            again = call(MODULE, check=check, **options)
            assert again.keys() == done.keys()
            assert again["changed"] is False
            assert again["diff"] == {"before": {}, "after": {}}
            assert again["warnings"] == []
        assert SECRET not in json.dumps(done)
        return done

    return run


def _without_later(result: dict[str, Any]) -> dict[str, Any]:
    return {**result, "certificates": [{**one, **dict.fromkeys(LATER)} for one in result["certificates"]]}


def test_every_option_has_values() -> None:
    spec = _certificate_options.OPTIONS
    assert set(options_of(spec)) == {*REQUEST, *IN_HAND, *WAYS, *ONE_CHOICE}
    assert all(len(spec[option]["choices"]) == 1 for option in ONE_CHOICE)
    assert set(spec["certificates"]["options"]) <= {*REQUEST, *IN_HAND, *WAYS, *ONE_CHOICE}


def _change(lawful_here: Call, option: str, one: Option, listed: bool) -> dict[str, Any]:
    done: dict[str, Any] = {}
    for _unused, options in one.before:
        lawful_here(**options)
    for value, more in ((one.first, {}), (one.second, one.then)):
        options = merged(BASE if one.base is None else one.base, one.beside, {option: value}, more)
        done = lawful_here(**({"certificates": [options]} if listed else options))
    return done


ENTRY = _certificate_options.ENTRY


@pytest.mark.parametrize(
    ("option", "listed"), [(option, listed) for option in REQUEST for listed in (False, True)[: 1 + (option in ENTRY)]]
)
def test_an_option_of_a_request_is_a_change_that_the_diff_names(
    lawful_here: Call, tmp_path: Path, option: str, listed: bool
) -> None:
    one = REQUEST[option]
    done = _change(lawful_here, option, one, listed)
    assert done["changed"] is True
    expected = {
        path if path.startswith(("certificate", "directory")) else f"certificate external/{path}".rstrip("/")
        for path in placed(list(one.shown or {option}), tmp_path)
    }
    assert differences(done["diff"]) == expected


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("option", IN_HAND)
def test_an_option_of_what_is_in_hand_is_a_change(lawful_here: Call, files: None, option: str, listed: bool) -> None:
    done = _change(lawful_here, option, IN_HAND[option], listed)
    assert done["changed"] is True
    assert differences(done["diff"])


@pytest.mark.parametrize("option", WAYS)
def test_the_way_changes_nothing(lawful_here: Call, files: None, option: str) -> None:
    assert _change(lawful_here, option, WAYS[option], False)["changed"] is False
