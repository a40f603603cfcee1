# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of the kernel about a TCP connection."""

from __future__ import annotations

import socket
import struct
from typing import Any

_INFO_ACKED = 120
"""Offset of tcpi_bytes_acked in struct tcp_info (linux/tcp.h), stable kernel interface."""


def acknowledged(sock: Any, *, accepted: bool) -> int | None:
    """Bytes that the peer's TCP has confirmed; None when that cannot be known (not on Linux, or no longer)."""
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_ACKED + 8)
        acked = int(struct.unpack_from("=Q", info, _INFO_ACKED)[0])
    except (OSError, AttributeError, struct.error):
        return None
    # Where we have made the connection, our SYN counts as one.
    return acked if accepted else max(0, acked - 1)


def keep_alive(sock: Any) -> None:
    """Let the kernel notice a dead peer even where the partner wants no keep-alive of ours."""
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 20), ("TCP_KEEPCNT", 4), ("TCP_USER_TIMEOUT", 60_000)):
        option = getattr(socket, name, None)
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
