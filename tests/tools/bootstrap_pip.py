# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lets ``ansible-test`` make its virtual environments without fetching a script from the network.

For each environment it wants ``get-pip`` under a name of its own in its cache, and downloads it when it is not there.
Python brings pip along, so a few lines do the same work; packages then come from whatever index pip is set up for.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

SCRIPT = '''\
import ensurepip
import subprocess
import sys

ensurepip.bootstrap()
arguments = [item for item in sys.argv[1:] if item not in ("--no-setuptools", "--no-wheel")]
sys.exit(subprocess.call([sys.executable, "-m", "pip", "install", *arguments]))
'''


def script_path() -> Path:
    """Where the installed ansible-test looks for its script."""
    spec = importlib.util.find_spec("ansible_test")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("ansible-test is not installed")
    package = Path(spec.submodule_search_locations[0])
    requirements = (package / "_internal/python_requirements.py").read_text(encoding="utf-8")
    target = (package / "_util/target/setup/requirements.py").read_text(encoding="utf-8")
    version = re.search(r"\bpip='([0-9.]+)'", requirements)
    name = re.search(r"'(~/[^']*get_pip_%s\.py)'", target)
    if version is None or name is None:
        raise SystemExit("This ansible-test keeps its pip bootstrap elsewhere; see tests/tools/bootstrap_pip.py")
    return Path(name.group(1) % version.group(1).replace(".", "_")).expanduser()


def provide() -> None:
    """Write the script unless ansible-test has one already."""
    path = script_path()
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(SCRIPT, encoding="utf-8")


if __name__ == "__main__":
    provide()
    print(script_path())
