# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The archive of wheels for hosts without a package index: which wheel serves which host."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.xmpp.federation.plugins.plugin_utils import _wheelhouse

HOST = {"platform": "linux-x86_64", "libc": ["glibc", "2.36"], "python_version": "3.11.2"}


def host(**other: Any) -> dict[str, Any]:
    return {**HOST, **other}


@pytest.mark.parametrize(
    ("wheel", "serves"),
    [
        ("foo-1.0-py3-none-any.whl", True),
        ("foo-1.0-py2.py3-none-any.whl", True),
        ("foo-1.1-py3-none-any.whl", False),
        ("bar-1.0-py3-none-any.whl", False),
        ("foo-1.0-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl", True),
        ("foo-1.0-cp311-abi3-manylinux_2_34_x86_64.whl", True),
        ("foo-1.0-cp39-abi3-manylinux_2_28_x86_64.whl", True),
        ("foo-1.0-cp312-abi3-manylinux_2_28_x86_64.whl", False),
        ("foo-1.0-cp312-cp312-manylinux_2_28_x86_64.whl", False),
        ("foo-1.0-cp311-cp311-manylinux_2_39_x86_64.whl", False),
        ("foo-1.0-cp311-cp311-manylinux_2_28_aarch64.whl", False),
        ("foo-1.0-cp311-cp311-musllinux_1_2_x86_64.whl", False),
        ("foo-1.0.whl", False),
    ],
)
def test_a_wheel_serves_a_host_or_not(wheel: str, serves: bool) -> None:
    assert _wheelhouse._fits(wheel, "foo==1.0", HOST) is serves


@pytest.mark.parametrize("requirement", ["Foo.Bar==1.0", "foo-bar==1.0", "foo_bar[extra]==1.0"])
def test_names_are_compared_as_the_package_index_does(requirement: str) -> None:
    assert _wheelhouse._fits("foo_bar-1.0-py3-none-any.whl", requirement, HOST)


def test_what_is_missing_is_told_for_each_host(tmp_path: Path) -> None:
    archive = str(tmp_path / "sub" / "wheelhouse.tar")
    wanted = ["foo==1.0", "bar==2.0"]
    assert _wheelhouse.missing(archive, wanted, HOST) == wanted
    _wheelhouse._write(
        archive, {"foo-1.0-cp311-cp311-manylinux_2_17_x86_64.whl": b"1", "bar-2.0-py3-none-any.whl": b"2"}
    )
    assert _wheelhouse.missing(archive, wanted, HOST) == []
    assert _wheelhouse.missing(archive, wanted, host(python_version="3.13.1")) == ["foo==1.0"]
    assert _wheelhouse.missing(archive, wanted, host(platform="linux-aarch64")) == ["foo==1.0"]


def test_wheels_of_versions_no_longer_pinned_leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(directory: str, wanted: list[str], _host: object) -> None:
        assert wanted == ["foo==1.1"]
        Path(directory, "foo-1.1-py3-none-any.whl").write_bytes(b"new")

    monkeypatch.setattr(_wheelhouse, "_download", download)
    archive = str(tmp_path / "wheelhouse.tar")
    kept = {"bar-2.0-py3-none-any.whl": b"2", "bar-2.0-cp313-cp313-manylinux_2_17_aarch64.whl": b"3"}
    _wheelhouse._write(archive, {**kept, "foo-1.0-py3-none-any.whl": b"old"})
    pinned = ["foo==1.1", "bar==2.0"]
    _wheelhouse.add(archive, _wheelhouse.missing(archive, pinned, HOST), pinned, HOST)
    assert _wheelhouse.wheels(archive) == {**kept, "foo-1.1-py3-none-any.whl": b"new"}


def test_the_same_wheels_give_the_same_archive(tmp_path: Path) -> None:
    content = {"b-1-py3-none-any.whl": b"b", "a-1-py3-none-any.whl": b"a"}
    for name in ("one.tar", "two.tar"):
        _wheelhouse._write(str(tmp_path / name), dict(reversed(content.items())) if name == "two.tar" else content)
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    with tarfile.open(tmp_path / "one.tar") as tar:
        assert tar.getnames() == sorted(content)
    assert _wheelhouse.wheels(str(tmp_path / "one.tar")) == content


def test_another_file_is_not_taken_for_a_wheelhouse(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("not an archive")
    with pytest.raises(ValueError, match="is not a wheelhouse"):
        _wheelhouse.wheels(str(tmp_path / "notes"))


def test_a_host_without_the_gnu_library_is_told_so() -> None:
    with pytest.raises(ValueError, match="GNU C library only"):
        _wheelhouse.platforms(host(libc=["", ""]))
