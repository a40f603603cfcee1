# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""edge_certificate over the years: renewal, planned roll-over, the way back, levels of regeneration."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import certificates
import pytest
from ansible_collections.xmpp.federation.plugins.module_utils import _certificate_files as files
from ansible_collections.xmpp.federation.plugins.module_utils import _certificate_module as module
from ansible_collections.xmpp.federation.plugins.modules import edge_certificate
from certificates import NOW, QUICK, Ca, Run, in_use, one, snapshot, without_later

run, ca = certificates.run, certificates.ca


@pytest.fixture
def sure(run: Run, config_dir: Path) -> Run:
    """Look, do, do again, look again: what is foreseen comes true, and is then there."""

    def run_all(**options: Any) -> dict[str, Any]:
        before = snapshot(config_dir)
        foreseen = run(check=True, **options)
        assert snapshot(config_dir) == before
        done = run(**options)
        assert foreseen.get("msg") == done.get("msg")
        if "failed" not in done:
            assert foreseen["changed"] == done["changed"]
            assert foreseen["diff"] == done["diff"]
            assert without_later(foreseen) == without_later(done)
            for check in (False, True):
                again = run(check=check, **options)
                assert (again["changed"], again["warnings"]) == (False, [])
                assert again["certificates"] == [{**entry, "changed": False} for entry in done["certificates"]]
        return done

    return run_all


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """Move the module's clock."""

    def move(by: timedelta) -> None:
        class Clock(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
                return NOW + by

        monkeypatch.setattr(module, "datetime", Clock)

    return move


def assigned(config_dir: Path) -> str:
    return Path(os.readlink(config_dir / "assigned" / "external")).name


def days(count: float) -> timedelta:
    return timedelta(days=count)


def iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


# Renewal


def test_renewal_at_a_public_ca(
    sure: Run, run: Run, config_dir: Path, tmp_path: Path, ca: Ca, at: Callable[[timedelta], None]
) -> None:
    answer = tmp_path / "answer.pem"
    options = {**QUICK, "certificate": str(answer), "renew_before": 10}
    answer.write_text(ca.sign(one(run(**options))["csr"]))
    assert one(sure(**options))["pending"] is False
    key = (config_dir / "certificates/external.1/key.pem").read_bytes()

    at(days(9.9))
    assert sure(**options)["changed"] is False
    at(days(10.1))
    due = one(sure(**options))
    # A key and a request beside it; what is in use stays.
    assert (due["stage"], due["pending"], assigned(config_dir)) == ("assigned", True, "external.1")
    assert (config_dir / "certificates/external.1/key.pem").read_bytes() == key
    answer.write_text(ca.sign(due["csr"], end=NOW + days(28)))
    renewed = one(sure(**options))
    assert (renewed["pending"], renewed["previous"], assigned(config_dir)) == (False, "external.1", "external.2")


def test_renewal_without_being_asked_for_does_not_happen(run: Run, ca: Ca, at: Callable[[timedelta], None]) -> None:
    run(certificate=ca.sign(one(run(**QUICK))["csr"]), **QUICK)
    at(days(19))
    assert run(**QUICK)["changed"] is False


@pytest.mark.parametrize("regenerate", ["partial_idempotence", "never"])
def test_renewal_of_what_is_issued_here(
    sure: Run, config_dir: Path, at: Callable[[timedelta], None], regenerate: str
) -> None:
    options = {**QUICK, "issue": "self_signed", "renew_before": 30, "regenerate": regenerate}
    sure(**options)
    first, old_key = in_use(config_dir)
    at(days(334))
    assert sure(**options)["changed"] is False
    at(days(336))
    assert sure(**options)["changed"] is True
    second, new_key = in_use(config_dir)
    assert second.not_valid_after_utc > first.not_valid_after_utc
    assert (old_key.public_key() == new_key.public_key()) is (regenerate == "never")


def test_a_ca_that_ends_gives_nothing_longer(run: Run, ca: Ca) -> None:
    options = {**QUICK, "issue": "own_ca", "ca_cert": ca.pem, "ca_key": ca.key_pem(), "renew_before": 60}
    run(**options)
    again = run(**options)
    assert again["changed"] is False
    changed = run(**options, friendly_name="Other")
    assert "the CA ends" in " ".join(changed["warnings"])


# Planned roll-over


def test_planned_roll_over(
    sure: Run, run: Run, config_dir: Path, ca: Ca, at: Callable[[timedelta], None]
) -> None:  # fmt: skip
    sure(issue="self_signed", **QUICK)
    request = one(run(state="requested", organization="New"))["csr"]
    certificate = ca.sign(request, start=NOW + days(2))
    assert "set `effective_date`" in run(certificate=certificate)["msg"]
    assert "not valid before" in run(certificate=certificate, effective_date=iso(NOW + days(1)))["msg"]
    assert "will have expired by then" in run(certificate=certificate, effective_date=iso(NOW + days(25)))["msg"]
    when = iso(NOW + days(3))
    staged = sure(certificate=certificate, effective_date=when)
    entry = one(staged)
    assert (entry["stage"], entry["pending"], entry["effective_date"]) == ("imported", False, when)
    assert when in entry["next_step"]
    assert assigned(config_dir) == "external.1"
    assert staged["diff"]["after"]["certificate external"]["effective_date"] == when
    # The date is kept with it: nobody has to say it again.
    assert run()["changed"] is False
    assert run(certificate=certificate)["changed"] is False
    later = iso(NOW + days(4))
    assert one(sure(certificate=certificate, effective_date=later))["effective_date"] == later
    at(days(3.5))
    assert sure(certificate=certificate)["changed"] is False
    at(days(4))
    used = one(sure(certificate=certificate, effective_date=later))
    assert (used["stage"], used["effective_date"], used["previous"]) == ("assigned", None, "external.1")
    assert assigned(config_dir) == "external.2"
    assert run()["changed"] is False


def test_effective_date_is_taken_back(sure: Run, run: Run, config_dir: Path, ca: Ca) -> None:
    request = one(run(**QUICK))["csr"]
    run(certificate=ca.sign(request), effective_date=iso(NOW + days(3)))
    assert not (config_dir / "assigned" / "external").exists()
    assert one(sure(effective_date=""))["stage"] == "assigned"


def test_a_date_that_was_taken_back_does_not_come_back(sure: Run, config_dir: Path) -> None:
    sure(issue="self_signed", **QUICK)
    sure(issue="self_signed", organization="New", effective_date=iso(NOW + days(3)))
    sure(effective_date="")
    sure(previous=True)
    sure(previous=False)
    assert assigned(config_dir) == "external.2"


def test_what_is_issued_here_can_wait_too(sure: Run, config_dir: Path, at: Callable[[timedelta], None]) -> None:
    sure(issue="self_signed", **QUICK)
    options = {"issue": "self_signed", "organization": "New", "effective_date": (NOW + days(3)).isoformat()}
    assert one(sure(**options))["stage"] == "imported"
    assert assigned(config_dir) == "external.1"
    at(days(3))
    assert one(sure(**options))["stage"] == "assigned"
    assert assigned(config_dir) == "external.2"


@pytest.mark.parametrize("text", ["tomorrow", "2026-13-01", "01.12.2026"])
def test_dates_that_are_none(run: Run, text: str) -> None:
    assert run(effective_date=text, **QUICK)["problems"][0]["key"] == "effective_date"


# The way back


def test_previous(sure: Run, run: Run, config_dir: Path) -> None:
    sure(issue="self_signed", **QUICK)
    assert "nothing that was assigned" in run(previous=True)["msg"]
    sure(issue="self_signed", organization="Bad")
    back = sure(previous=True)
    assert (one(back)["previous"], assigned(config_dir)) == ("external.2", "external.1")
    before, after = back["diff"]["before"], back["diff"]["after"]
    assert before["certificate external"]["assigned_to"] == ["external (generation 2)"]
    assert after["certificate external"]["assigned_to"] == ["external (generation 1)"]
    in_use(config_dir)
    # It stays so until somebody says otherwise.
    assert run()["changed"] is False
    assert run(issue="self_signed")["changed"] is False
    assert assigned(config_dir) == "external.1"
    forward = sure(previous=False)
    assert assigned(config_dir) == "external.2"
    assert one(forward)["previous"] == "external.1"
    sure(previous=True)
    # Another certificate is as good as ever.
    sure(issue="self_signed", organization="Good")
    assert assigned(config_dir) == "external.3"
    sure(previous=True)
    assert assigned(config_dir) == "external.1"


def test_previous_of_another_id(sure: Run, run: Run, config_dir: Path) -> None:
    sure(id="old", issue="self_signed", **QUICK)
    sure(id="new", issue="self_signed", **QUICK)
    assert "new.1 is assigned" in run(id="old", previous=True)["msg"]
    sure(id="new", previous=True)
    assert assigned(config_dir) == "old.1"
    in_use(config_dir)


def test_previous_that_has_expired(run: Run, ca: Ca, at: Callable[[timedelta], None]) -> None:
    run(certificate=ca.sign(one(run(**QUICK))["csr"], end=NOW + days(3)))
    run(certificate=ca.sign(one(run(organization="New"))["csr"]))
    at(days(4))
    result = run(previous=True)
    assert (result["problems"][0]["key"], "has expired" in result["msg"]) == ("previous", True)


@pytest.mark.parametrize("stop", ["_withdraw", "_assign", "between"])
def test_way_back_that_breaks_off(
    run: Run, config_dir: Path, monkeypatch: pytest.MonkeyPatch, stop: str
) -> None:  # fmt: skip
    run(issue="self_signed", **QUICK)
    run(issue="self_signed", organization="Bad")

    def break_off(*_unused: Any) -> None:
        raise OSError(28, "No space left on device", str(config_dir))

    real = files._link

    def second_link(path: str, target: str) -> None:
        if not path.endswith(files.PREVIOUS):
            break_off()
        real(path, target)

    with monkeypatch.context() as patched:
        if stop == "between":
            patched.setattr(files, "_link", second_link)
        else:
            patched.setattr(files.Files, stop, break_off)
        assert "No space left" in run(previous=True)["msg"]
    in_use(config_dir)
    assert run(previous=True)["changed"] is True
    assert assigned(config_dir) == "external.1"
    assert run(previous=True)["changed"] is False


# Levels


def test_never(sure: Run, run: Run, config_dir: Path) -> None:
    first = one(sure(state="requested", regenerate="never", **QUICK))
    result = run(state="requested", regenerate="never", key_type="ec_p384", organization="New")
    assert "`key_type` is ec_p256" in " ".join(result["warnings"])
    entry = one(result)
    assert (entry["key_type"], entry["key_path"]) == ("ec_p256", first["key_path"])
    assert entry["subject"]["organization"] == "New"
    run(issue="self_signed", regenerate="never")
    first_key = in_use(config_dir)[1]
    assert one(sure(issue="self_signed", regenerate="never", city="Elsewhere"))["previous"] == "external.1"
    assert in_use(config_dir)[1].public_key() == first_key.public_key()


def test_fail(sure: Run, run: Run) -> None:
    sure(state="requested", regenerate="fail", **QUICK)
    result = run(state="requested", regenerate="fail", key_type="ec_p384")
    assert (result["problems"][0]["key"], "ec_p256, 256 bits" in result["msg"]) == ("regenerate", True)
    assert sure(state="requested", regenerate="fail", organization="New")["changed"] is True


def test_full_idempotence(sure: Run, run: Run, config_dir: Path) -> None:
    key = Path(one(sure(state="requested", **QUICK))["key_path"]).resolve()
    key.write_bytes(b"broken")
    assert "regenerate: full_idempotence" in run(state="requested", regenerate="partial_idempotence")["msg"]
    sure(state="requested", regenerate="full_idempotence", **QUICK)
    assert key.read_bytes() == b"broken"
    assert (config_dir / "certificates/external.2/key.pem").exists()
    sure(issue="self_signed", regenerate="full_idempotence")
    in_use(config_dir)


@pytest.mark.parametrize("issue", ["none", "self_signed"])
def test_always(run: Run, config_dir: Path, issue: str) -> None:
    for turn in (1, 2, 3):
        foreseen = run(check=True, issue=issue, regenerate="always", **QUICK)
        assert (foreseen["changed"], run(issue=issue, regenerate="always", **QUICK)["changed"]) == (True, True)
        assert os.readlink(config_dir / "certificates/external") == f"external.{turn}"


# What cannot be together


@pytest.mark.parametrize(
    ("options", "key", "words"),
    [
        ({"renew_before": -1}, "renew_before", "out of range"),
        ({"renew_before": 99_999_999_999}, "renew_before", "out of range"),
        ({"renew_before": 365, "issue": "self_signed"}, "renew_before", "every run"),
        ({"renew_before": 9, "state": "absent"}, "renew_before", "not renewed"),
        ({"effective_date": "2030-01-01", "state": "imported"}, "effective_date", "nothing is put to use"),
        ({"previous": True, "state": "imported"}, "previous", "puts nothing to use"),
        ({"previous": True, "issue": "self_signed"}, "issue", "in hand"),
        ({"previous": True, "certificate": "/x"}, "certificate", "in hand"),
        ({"password": "of no use here"}, "password", "no PFX"),
        ({"ca_cert": "/x"}, "ca_cert", "no effect"),
        ({"key_usage": ["sign"]}, "key_usage", "not a key usage"),
        ({"key_usage": ["encipherOnly"]}, "key_usage", "keyAgreement"),
        ({"extended_key_usage": ["clientAuth"]}, "extended_key_usage", "serverAuth"),
        ({"extended_key_usage": ["serverAuth", "1..2"]}, "extended_key_usage", "not an extended key usage"),
    ],
)
def test_bad_options(run: Run, config_dir: Path, options: dict[str, Any], key: str, words: str) -> None:
    result = run(certificates=[{"id": "good", "state": "imported", **QUICK}, {**QUICK, **options}])
    (problem,) = result["problems"]
    assert (problem["where"], problem["key"]) == ("certificates[1]", key)
    assert words in f"{problem['message']}; {problem['remedy']}"
    assert not config_dir.exists()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["TLS Web Client Authentication", "serverauth"], ["serverAuth", "clientAuth"]),
        (["1.3.6.1.5.5.7.3.1", "1.2.3"], ["serverAuth", "1.2.3"]),
        ([], []),
    ],
)
def test_extended_key_usage_by_its_names(sure: Run, given: list[str], told: list[str]) -> None:
    entry = one(sure(extended_key_usage=given, key_usage=["Digital Signature", "CRL Sign"], **QUICK))
    assert entry["extended_key_usage"] == told
    assert entry["key_usage"] == ["digitalSignature", "cRLSign"]


def test_dns_names_only(sure: Run, run: Run, config_dir: Path, ca: Ca) -> None:
    options = {**QUICK, "dns_names_only": True, "extra_sans": ["more.example"]}
    entry = one(sure(**options))
    assert entry["names"] == ["DNS:a.example", "DNS:more.example", "DNS:xn--bcher-kva.example"]
    # Which of them are our domains is not forgotten.
    assert run()["changed"] is False
    assert "cover the XMPP domain xn--bcher" in run(certificate=ca.sign(entry["csr"], names=["a.example"]))["msg"]
    sure(certificate=ca.sign(entry["csr"]))
    in_use(config_dir)
    # A domain that was only a name before makes no other request, but counts from now on.
    moved = sure(xmpp_domains=[*certificates.DOMAINS, "more.example"], extra_sans=[])
    assert one(moved)["csr"] == entry["csr"]
    full = one(sure(dns_names_only=False))
    assert "SRVName:_xmpp-server.more.example" in full["names"]


# A run that is killed


def test_killed_at_any_write(run: Run, config_dir: Path) -> None:
    """At each rename in turn the process dies; what is in use agrees, and the next run goes on."""
    run(issue="self_signed", **QUICK)
    for turn in range(1, 40):
        options = {"issue": "self_signed", "organization": f"Turn {turn}"}
        arguments = {"config_dir": str(config_dir), **options}
        script = (
            "import json, os, signal, sys\n"
            f"sys.path[:0] = {[path for path in sys.path if path]!r}\n"
            "from ansible.module_utils.testing import patch_module_args\n"
            f"from {edge_certificate.__name__} import main\n"
            "left, real = [int(sys.argv[1])], os.rename\n"
            "def rename(*names, **more):\n"
            "    left[0] -= 1\n"
            "    if not left[0]:\n"
            "        os.kill(os.getpid(), signal.SIGKILL)\n"
            "    return real(*names, **more)\n"
            "os.rename = os.replace = rename\n"
            f"with patch_module_args(json.loads({json.dumps(arguments)!r})):\n"
            "    main()\n"
        )
        ended = subprocess.run([sys.executable, "-c", script, str(turn)], stdout=subprocess.DEVNULL, check=False)
        in_use(config_dir)
        survived = ended.returncode == 0
        assert survived or ended.returncode == -signal.SIGKILL
        assert run(**options)["changed"] is not survived
        assert run(**options)["changed"] is False
        assert not [path for path in config_dir.rglob("*.tmp") if path.name.startswith(".")]
        if survived:
            break
    assert survived
    assert turn > 4
