# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put this checkout on the import path as the collection that it is, and run modules as Ansible does.

Works alone, under pytest-ansible and under ansible-test, which bring an import path of their own.
"""

from __future__ import annotations

import atexit
import functools
import importlib
import importlib.util
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "ansible_collections.xmpp.federation"

# How long an example takes says more about the machine's other work than about the code.
settings.register_profile("unit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unit")


def _found() -> Path | None:
    try:
        spec = importlib.util.find_spec(f"{PACKAGE}.plugins")
    except ImportError:
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))).resolve()


def _link() -> None:
    base = Path(tempfile.mkdtemp(prefix="collections-"))
    atexit.register(shutil.rmtree, base, ignore_errors=True)
    home = base / "ansible_collections" / "xmpp"
    home.mkdir(parents=True)
    (home / "federation").symlink_to(ROOT, target_is_directory=True)
    sys.path.insert(0, str(base))
    importlib.invalidate_caches()


@functools.lru_cache(maxsize=1)
def _provide() -> None:
    if _found() is None:
        _link()
    if _found() != ROOT / "plugins":
        raise RuntimeError(f"the tests would run against {_found()}, which is not this checkout")


def pytest_collect_file() -> None:
    """Before the first test is imported; earlier, pytest-ansible has not yet installed its own importer."""
    _provide()


Call = Callable[..., dict[str, Any]]


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run a module's real ``main()`` and return what it reports: ``call("xmpp_partner", check=True, domain=...)``."""
    from ansible.module_utils import basic
    from ansible.module_utils.testing import patch_module_args

    def run(name: str, /, check: bool = False, **options: Any) -> dict[str, Any]:
        module = importlib.import_module(f"{PACKAGE}.plugins.modules.{name}")
        arguments = {**options, "_ansible_check_mode": check, "_ansible_diff": True, "_ansible_module_name": name}
        # Whether warnings travel in the result depends on who has loaded ansible-core before; hear them at the source.
        warnings: list[str] = []
        monkeypatch.setattr(basic.AnsibleModule, "warn", lambda _self, text, **_more: warnings.append(text))
        capfd.readouterr()
        with patch_module_args(arguments), pytest.raises(SystemExit):
            module.main()
        result = json.loads(capfd.readouterr().out)
        assert isinstance(result, dict)
        # What Ansible adds for itself; from 2.22 on this names the secrets that it is to mask.
        told = {key: value for key, value in result.items() if key != "invocation" and not key.startswith("_ansible_")}
        return {**told, "warnings": warnings}

    return run


@pytest.fixture
def lawful(call: Call) -> Call:
    """Run a module as a user does who looks first: check, do, do again, look again; return what the real run told.

    What check mode tells is what the run then does, and the same again changes nothing.
    """

    def run(name: str, /, **options: Any) -> dict[str, Any]:
        told = call(name, check=True, **options)
        done = call(name, **options)
        assert told == done
        if "failed" not in done:
            for check in (False, True):
                again = call(name, check=check, **options)
                assert again.keys() == done.keys()
                assert again["changed"] is False
                assert again["diff"] == {"before": {}, "after": {}}
                assert again["warnings"] == []
        return done

    return run


@pytest.fixture
def config_dir(tmp_path: Path) -> Path:
    """Where the records would be, on a host where nothing has been made yet."""
    return tmp_path / "etc" / "xmpp-edge"
