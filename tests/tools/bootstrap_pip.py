# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A home directory in which ``ansible-test`` can make its virtual environments on any machine.

For each environment it wants a script ``get-pip`` under a name of its own, and downloads it when it is not there.
Python brings pip along, so a few lines do the same work. And it keeps most of the environment from pip: settings that
came by ``PIP_...`` variables are written to a configuration file, where pip finds them.
"""

from __future__ import annotations

import configparser
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

SCRIPT = """\
import subprocess
import sys

# In a process of its own: ensurepip switches pip's configuration off for whoever imports it.
subprocess.run([sys.executable, "-m", "ensurepip"], check=True)
arguments = [item for item in sys.argv[1:] if item not in ("--no-setuptools", "--no-wheel")]
sys.exit(subprocess.call([sys.executable, "-m", "pip", "install", *arguments]))
"""
# One line of `pip config list`, for example ``:env:.cert='/some/file'`` or ``global.index-url='https://...'``.
SETTING = re.compile(r"^(?P<section>[^.]+)\.(?P<key>[^=]+)='(?P<value>.*)'$")


def script_name() -> Path:
    """Where the installed ansible-test looks for its script, relative to the home directory."""
    spec = importlib.util.find_spec("ansible_test")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("ansible-test is not installed")
    package = Path(spec.submodule_search_locations[0])
    requirements = (package / "_internal/python_requirements.py").read_text(encoding="utf-8")
    target = (package / "_util/target/setup/requirements.py").read_text(encoding="utf-8")
    version = re.search(r"\bpip='([0-9.]+)'", requirements)
    name = re.search(r"'~/([^']*get_pip_%s\.py)'", target)
    if version is None or name is None:
        raise SystemExit("This ansible-test keeps its pip bootstrap elsewhere; see tests/tools/bootstrap_pip.py")
    return Path(name.group(1) % version.group(1).replace(".", "_"))


def pip_configuration() -> configparser.RawConfigParser:
    """What pip is told here, by whichever of its ways."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"]
    listed = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout
    found = configparser.RawConfigParser()
    found.add_section("global")
    for line in listed.splitlines():
        setting = SETTING.match(line)
        if setting is None:
            continue
        section = "global" if setting["section"] == ":env:" else setting["section"]
        if not found.has_section(section):
            found.add_section(section)
        # Values of several words are stored one a line.
        found.set(section, setting["key"], setting["value"].replace("\\n", "\n\t"))
    return found


def provide(home: Path) -> Path:
    """Prepare `home` for ansible-test, keeping what an earlier run left there; returns it."""
    script = home / script_name()
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(SCRIPT, encoding="utf-8")
    configuration = home / ".config/pip/pip.conf"
    configuration.parent.mkdir(parents=True, exist_ok=True)
    with configuration.open("w", encoding="utf-8") as out:
        pip_configuration().write(out)
    return home
