# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules find their libraries in the environment of the installed proxy."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.xmpp.federation.plugins.module_utils import _respawn


class FailedError(Exception):
    pass


class Module:
    def __init__(self, code: int = 0) -> None:
        self.code = code
        self.asked: list[list[str]] = []

    def run_command(self, command: list[str], check_rc: bool) -> tuple[int, str, str]:
        assert not check_rc
        self.asked.append(command)
        return self.code, "", ""

    def fail_json(self, msg: str, **_more: Any) -> None:
        raise FailedError(msg)


@pytest.fixture
def respawned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    pythons: list[str] = []

    def respawn(python: str) -> None:
        pythons.append(python)
        raise SystemExit(0)

    monkeypatch.setattr(_respawn, "respawn_module", respawn)
    monkeypatch.setattr(_respawn, "has_respawned", lambda: False)
    return pythons


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A host under `tmp_path`, with an installed proxy."""
    python = tmp_path / "opt/xmpp-edge/current/bin/python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    return python


def test_library_that_is_there(respawned: list[str]) -> None:
    _respawn.require(Module(), "json", "json")
    assert respawned == []


def test_library_of_the_installed_proxy(respawned: list[str], installed: Path, tmp_path: Path) -> None:
    module = Module()
    with pytest.raises(SystemExit):
        _respawn.require(module, "no_such_library", "a-library", str(tmp_path / "etc/xmpp-edge"))
    assert respawned == [str(installed)]
    assert module.asked == [[str(installed), "-c", "import no_such_library"]]


def test_proxy_in_another_place(respawned: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "elsewhere/current/bin/python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    command = tmp_path / "xmpp-edge"
    command.symlink_to(python.with_name("xmpp-edge"))
    monkeypatch.setattr(_respawn, "COMMAND", str(command))
    with pytest.raises(SystemExit):
        _respawn.require(Module(), "no_such_library", "a-library")
    assert respawned == [str(python)]


def test_proxy_without_the_library(respawned: list[str], installed: Path, tmp_path: Path) -> None:
    with pytest.raises(FailedError, match="a-library"):
        _respawn.require(Module(code=1), "no_such_library", "a-library", str(tmp_path / "etc/xmpp-edge"))
    assert respawned == []
    assert installed.exists()


def test_nothing_is_tried_twice(
    respawned: list[str], installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_respawn, "has_respawned", lambda: True)
    with pytest.raises(FailedError, match="a-library"):
        _respawn.require(Module(), "no_such_library", "a-library", str(tmp_path / "etc/xmpp-edge"))
    assert respawned == []
    assert installed.exists()
