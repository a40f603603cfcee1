# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs: the installed release and the word that its service manager gave it.

The one who installs compares both with what is on disk, and restarts the service where they differ. They are taken
when the process starts, for `current` may point elsewhere a minute later.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

_HOME = Path(sys.prefix).resolve()

# Empty where the package runs from a checkout.
RELEASE = _HOME.name if _HOME.parent.name == "releases" else ""
GENERATION = os.environ.get("XMPP_EDGE_GENERATION", "")
