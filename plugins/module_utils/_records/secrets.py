# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The secrets of the edge, apart from all that may be read aloud.

PRIVATE to the collection and to the service that it installs.
"""

from __future__ import annotations

from typing import Any, Mapping

from .fields import Field, Fields, normal_form

FIELDS: Fields = {
    # Keys the dialback of XEP-0185; all members of one edge pool share it.
    "dialback_secret": Field("secret", "", secret=True),
    # What the edge shows to the inside server; empty as long as nobody has given it.
    "inside_secret": Field("secret", "", secret=True),
}


def normalise(raw: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """The full record in normal form; RecordError with everything that is wrong, without a word of a secret."""
    return normal_form(FIELDS, raw, where)
