# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way back to what was in use before. Pure.

PRIVATE to the collection.
"""

from __future__ import annotations

from datetime import datetime

from ._certificate_judgement import out_of_time
from ._certificate_options import Wanted
from ._certificate_steps import Current, number_of
from ._records.errors import Problem, RecordError


def before(wanted: Wanted, current: Current, now: datetime) -> str:
    """What was in use before what is in use now: the same answer however often it is asked."""
    usage = wanted.usage
    used, name = current.assigned.get(usage), current.previous.get(usage)
    held = current.generations.get(number_of(wanted.id, used) or 0)
    if held is not None and held.about.withdrawn:
        # A run that went back broke off.
        return held.about.withdrawn
    found = current.before.get(usage)
    if used is not None and found is not None and found.about.withdrawn == used:
        return used
    if used is None or found is None or found.certificate is None or name is None or name == used:
        message = f"there is nothing that was assigned to {usage} before"
        raise RecordError([Problem(wanted.place, "previous", message, "import and assign a certificate instead")])
    if held is None:
        message = f"{used} is assigned to {usage}"
        raise RecordError([Problem(wanted.place, "previous", message, f"go back with the id of {used}")])
    flaws = out_of_time(found.certificate, now, now)
    if flaws:
        raise RecordError([Problem(wanted.place, "previous", *flaw) for flaw in flaws])
    return name
