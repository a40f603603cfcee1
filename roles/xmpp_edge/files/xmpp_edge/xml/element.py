# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small tree, for what is read rather than passed on: negotiation, dialback, errors."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Element:
    """One element; ``attrs`` has plain names, and ``xml:lang``. Text and children keep their order in ``content``."""

    name: str
    namespace: str
    attrs: dict[str, str] = field(default_factory=dict)
    content: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Its own text, without that of its children."""
        return "".join(part for part in self.content if isinstance(part, str))

    @property
    def children(self) -> list[Element]:
        return [part for part in self.content if isinstance(part, Element)]

    def child(self, name: str, namespace: str) -> Element | None:
        """The first child of that name."""
        for part in self.content:
            if isinstance(part, Element) and part.name == name and part.namespace == namespace:
                return part
        return None
