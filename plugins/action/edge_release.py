# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bring the bundled service to a host as one artifact; the documentation stands beside the modules."""

from __future__ import annotations

import json
import os
import shlex
import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.xmpp.federation.plugins.plugin_utils import _release, _release_host, _wheelhouse

# The system's own Python comes first: one that a version manager put into root's home cannot be read by the service.
_PYTHONS = ("/usr/bin/python3", "python3", "python3.14", "python3.13", "python3.12", "python3.11")

_FIT = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"
_WHY = (
    "import sys\nif sys.version_info < (3, 11): "
    'sys.exit("%s is Python %d.%d" % ((sys.executable,) + sys.version_info[:2]))\n'
    'sys.exit("%s (Python %d.%d) has no ensurepip" % ((sys.executable,) + sys.version_info[:2]))'
)


class ActionModule(ActionBase):
    """Pack, compare, and only if something differs transfer and install."""

    TRANSFERS_FILES = True
    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Do what the task asks for and return its result."""
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        _spec, arguments = self.validate_argument_spec(
            argument_spec={
                "state": {"type": "str", "choices": ["present", "downloaded"], "default": "present"},
                "install_dir": {"type": "path", "default": "/opt/xmpp-edge"},
                "python": {"type": "str"},
                "wheelhouse": {"type": "path"},
                "keep": {"type": "int", "default": 2},
                "source": {"type": "path"},
            },
            required_if=[("state", "downloaded", ("wheelhouse",))],
        )
        if arguments["keep"] < 1:
            raise AnsibleActionFail(
                "keep: the release that is running while the next one is installed has to stay; 1 or more"
            )
        root = arguments["source"] or _bundled()
        pinned = _read_requirements(os.path.join(root, "requirements.txt"))
        host = self._probe(arguments)
        if arguments["state"] == "downloaded":
            result.update(self._download(arguments["wheelhouse"], pinned, host))
        else:
            result.update(self._install(arguments, _pack(root, pinned), host))
        return result

    def _probe(self, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        candidates = [arguments["python"]] if arguments["python"] else list(_PYTHONS)
        script = _host_script()
        asked = json.dumps({"install_dir": arguments["install_dir"]})
        found = self._execute(
            f"for p in {shlex.join(candidates)}; do "
            f'if command -v "$p" >/dev/null 2>&1 && "$p" -I -c {shlex.quote(_FIT)} >/dev/null 2>&1; '
            f'then exec "$p" -I -c {shlex.quote(script)} probe {shlex.quote(asked)}; fi; done; '
            f'for p in {shlex.join(candidates)}; do command -v "$p" >/dev/null 2>&1 '
            f'&& "$p" -c {shlex.quote(_WHY)} 2>&1; done; echo none'
        )
        lines = found.splitlines()
        if lines and lines[-1].startswith("{"):
            answer: dict[str, t.Any] = json.loads(lines[-1])
            return answer
        raise AnsibleActionFail(_unfit(candidates, [line for line in lines if line != "none"], arguments["python"]))

    def _install(self, arguments: dict[str, t.Any], packed: Packed, host: dict[str, t.Any]) -> dict[str, t.Any]:
        short_version = ".".join(host["python_version"].split(".")[:2])
        release = _release.release_hash(packed.hash, short_version, host["platform"])
        install_dir = arguments["install_dir"]
        answer = {
            "changed": host["current"] != release or release not in host["complete"],
            "release": release,
            "previous": host["current"],
            "version": packed.version,
            "path": os.path.join(install_dir, "releases", release),
            "python": host["python"],
            "python_version": host["python_version"],
            "uid": host["uid"],
            "systemd": host["systemd"],
            "removed": [],
        }
        if answer["changed"] and not host["writable"]:
            raise AnsibleActionFail(
                f"{install_dir} cannot be written by user id {host['uid']}: become root, or choose another directory"
            )
        if release not in host["complete"] and arguments["wheelhouse"]:
            _look_into(arguments["wheelhouse"], packed.pinned, host)  # now, before anything is written
        if answer["changed"]:
            answer["diff"] = _diff(install_dir, host["current"], release)
        if answer["changed"] and not self._task.check_mode:
            answer["removed"] = self._transfer_and_install(arguments, packed, host, release)
        return answer

    def _transfer_and_install(
        self, arguments: dict[str, t.Any], packed: Packed, host: dict[str, t.Any], release: str
    ) -> list[str]:
        self._make_tmp_path()
        remote = {"wheel": packed.wheel_name, "requirements": "requirements.txt"}
        paths = {
            kind: self._connection._shell.join_path(self._connection._shell.tmpdir, name)
            for kind, name in remote.items()
        }
        self._transfer_data(paths["wheel"], packed.wheel)
        self._transfer_data(paths["requirements"], "\n".join(packed.pinned) + "\n")
        paths["wheelhouse"] = None
        if arguments["wheelhouse"] and release not in host["complete"]:
            paths["wheelhouse"] = self._connection._shell.join_path(self._connection._shell.tmpdir, "wheelhouse.tar")
            self._transfer_file(arguments["wheelhouse"], paths["wheelhouse"])
        self._fixup_perms2([self._connection._shell.tmpdir, *(path for path in paths.values() if path)])
        asked = {"install_dir": arguments["install_dir"], "release": release, "keep": arguments["keep"], **paths}
        try:
            words = [host["python"], "-I", "-c", _host_script(), "install", json.dumps(asked)]
            said = self._execute(shlex.join(words), environment=self._compute_environment_string())
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        answer = json.loads(said.splitlines()[-1])
        if "error" in answer:
            raise AnsibleActionFail(_with_remedy(answer["error"], arguments["wheelhouse"]))
        removed: list[str] = answer["removed"]
        return removed

    def _download(self, wheelhouse: str, pinned: list[str], host: dict[str, t.Any]) -> dict[str, t.Any]:
        try:
            missing = _wheelhouse.missing(wheelhouse, pinned, host)
            if missing and not self._task.check_mode:
                _wheelhouse.add(wheelhouse, missing, pinned, host)
        except (OSError, ValueError) as exc:
            raise AnsibleActionFail(str(exc)) from exc
        return {
            "changed": bool(missing),
            "wheelhouse": wheelhouse,
            "added": missing,
            "python_version": host["python_version"],
        }

    def _execute(self, command: str, environment: str = "") -> str:
        done = self._low_level_execute_command(f"{environment} {command}".strip())
        if done["rc"] != 0:
            raise AnsibleActionFail((done["stderr"] or done["stdout"] or "the host gave no answer").strip())
        return str(done["stdout"]).strip()


class Packed(t.NamedTuple):
    """The service, ready for the journey."""

    wheel_name: str
    wheel: bytes
    pinned: list[str]
    version: str
    hash: str


def _pack(root: str, pinned: list[str]) -> Packed:
    try:
        files = _release.sources(root)
    except (OSError, ValueError) as exc:
        raise AnsibleActionFail(f"source: {exc}") from exc
    wheel = _release.wheel(files, pinned)
    return Packed(
        _release.wheel_name(files), wheel, pinned, _release.version(files), _release.sources_hash(wheel, pinned)
    )


def _bundled() -> str:
    collection = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return os.path.join(collection, "roles", "xmpp_edge", "files")


def _read_requirements(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8") as stream:
            return _release.requirements(stream.read())
    except (OSError, ValueError) as exc:
        raise AnsibleActionFail(f"{path}: {exc}") from exc


def _look_into(wheelhouse: str, pinned: list[str], host: dict[str, t.Any]) -> None:
    remedy = "make it with: ansible-playbook xmpp.federation.wheelhouse"
    if not os.path.isfile(wheelhouse):
        raise AnsibleActionFail(f"wheelhouse {wheelhouse} is not on the control node; {remedy}")
    try:
        lacking = _wheelhouse.missing(wheelhouse, pinned, host)
    except (OSError, ValueError) as exc:
        raise AnsibleActionFail(str(exc)) from exc
    if lacking:
        raise AnsibleActionFail(
            f"wheelhouse {wheelhouse} has no wheel of {', '.join(lacking)} for Python {host['python_version']} "
            f"on {host['platform']}; {remedy}"
        )


def _host_script() -> str:
    with open(_release_host.__file__, encoding="utf-8") as stream:
        return stream.read()


def _unfit(candidates: list[str], seen: list[str], named: str | None) -> str:
    looked = f"looked for {', '.join(candidates)}; " + ("; ".join(seen) if seen else "none of them is there")
    if any("ensurepip" in line for line in seen):
        return (
            f"the host's Python cannot make virtual environments ({looked}). "
            "Install what is missing (on Debian and Ubuntu: apt install python3-venv) and run the play again"
        )
    where = "the Python named in python" if named else "a Python"
    return (
        f"{where} of version 3.11 or later was not found on the host ({looked}). "
        "Install one (for instance: dnf install python3.12) and name it in python (role variable xmpp_edge_python)"
    )


def _with_remedy(error: str, wheelhouse: str | None) -> str:
    if "pinned requirements" not in error:
        return error
    if wheelhouse:
        return (
            f"{error}. The wheelhouse lacks a wheel for this host; "
            "make it anew: ansible-playbook xmpp.federation.wheelhouse"
        )
    return (
        f"{error}. If the host reaches no package index, make a wheelhouse "
        "(ansible-playbook xmpp.federation.wheelhouse) and name it in wheelhouse (role variable xmpp_edge_wheelhouse)"
    )


def _diff(install_dir: str, before: str | None, after: str) -> dict[str, str]:
    link = os.path.join(install_dir, "current")
    return {
        "before_header": link,
        "after_header": link,
        "before": f"releases/{before}\n" if before else "",
        "after": f"releases/{after}\n",
    }
