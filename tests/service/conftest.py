# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service is a package of its own: put it where it can be imported."""

from __future__ import annotations

import sys
from pathlib import Path

import hypothesis

ROOT = Path(__file__).resolve().parents[2]
for path in (ROOT / "roles" / "xmpp_edge" / "files", ROOT):
    if str(path) not in sys.path:
        sys.path.insert(0, str(path))

# How long one example takes says more about what else the machine does than about the code.
hypothesis.settings.register_profile("service", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("service")
