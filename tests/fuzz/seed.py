# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What fuzzing begins with: files of text, and those with bytes that no text has as hexadecimal digits (``.hex``)."""

from __future__ import annotations

from pathlib import Path

SEEDS = Path(__file__).resolve().parent / "seeds"


def read(path: Path) -> bytes:
    """The bytes that a seed stands for."""
    return bytes.fromhex(path.read_text(encoding="ascii")) if path.suffix == ".hex" else path.read_bytes()


def sow(name: str, corpus: Path) -> None:
    """Put the seeds of one target beside what earlier runs have found."""
    for path in sorted((SEEDS / name).glob("*")):
        (corpus / f"seed-{path.stem}").write_bytes(read(path))
