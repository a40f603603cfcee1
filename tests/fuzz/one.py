# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One target under atheris: ``python -m tests.fuzz.one TARGET [what libFuzzer takes]``, or one input to run again.

Findings are not caught here: libFuzzer writes the input to where it was told, and ends with an error.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "roles" / "xmpp_edge" / "files")]

import atheris  # noqa: E402

with atheris.instrument_imports(include=["xmpp_edge"]):
    from tests.fuzz.readers import TARGETS


def main() -> None:
    name, *arguments = sys.argv[1:]
    atheris.Setup([sys.argv[0], *arguments], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
