# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The XMPP federation edge: a proxy between partner servers and the XMPP server inside."""

from __future__ import annotations

__version__ = "0.1.0"
