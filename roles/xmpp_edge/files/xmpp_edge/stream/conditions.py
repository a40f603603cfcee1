# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What errors of streams, stanzas and SASL have in common: a condition, and a text beside it, in one namespace."""

from __future__ import annotations

from ..xml.element import Element


def write(condition: str, text: str, namespace: str) -> list[Element | str]:
    """The content of an error; without a text there is no text element."""
    content: list[Element | str] = [Element(condition, namespace)]
    if text:
        content.append(Element("text", namespace, {"xml:lang": "en"}, [text]))
    return content


def read(error: Element | None, namespace: str) -> tuple[Element | None, str]:
    """The condition, None where there is none, and the text; what stands in other namespaces is passed over."""
    condition, text = None, ""
    for child in error.children if error is not None else ():
        if child.namespace == namespace:
            if child.name == "text":
                text = child.text
            else:
                condition = child
    return condition, text
