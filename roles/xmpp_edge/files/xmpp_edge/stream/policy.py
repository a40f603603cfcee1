# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the stream machines and the gates ask of the configuration, and nothing more of it."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Protocol


class PartnerView(Protocol):
    """One allowed partner."""

    @property
    def domain(self) -> str: ...

    @property
    def domains(self) -> Sequence[str]:
        """All its domains, ``domain`` first."""

    @property
    def partner_type(self) -> str: ...

    @property
    def tls(self) -> str: ...

    @property
    def sasl(self) -> str: ...

    @property
    def dialback(self) -> bool: ...

    @property
    def keepalive(self) -> bool: ...

    @property
    def auth_methods(self) -> Sequence[str]:
        """What its record leaves of ``sasl_tls``, ``tls_dialback``, ``tcp_dialback``."""


class StreamPolicy(Protocol):
    """Whom a stream may be with."""

    @property
    def federation(self) -> bool: ...

    @property
    def domains(self) -> Container[str]:
        """The domains that we serve."""

    def partner(self, domain: str) -> PartnerView | None:
        """The partner to whom a domain belongs."""


class PolicyView(Protocol):
    """The effective external access policy of one user."""

    @property
    def name(self) -> str: ...

    @property
    def federation_access(self) -> bool: ...

    @property
    def xmpp_access(self) -> bool: ...

    @property
    def public_cloud_access(self) -> bool: ...


class GatePolicy(StreamPolicy, Protocol):
    """Whom our users may reach, and who may reach them."""

    def policy_of(self, bare: str) -> PolicyView:
        """The effective policy of the user with this bare address."""
