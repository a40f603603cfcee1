# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Namespaces, by short names."""

from __future__ import annotations

SERVER = "jabber:server"
COMPONENT = "jabber:component:accept"
STREAMS = "http://etherx.jabber.org/streams"
DIALBACK = "jabber:server:dialback"
DIALBACK_FEATURE = "urn:xmpp:features:dialback"
TLS = "urn:ietf:params:xml:ns:xmpp-tls"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
BIDI = "urn:xmpp:bidi"
BIDI_FEATURE = "urn:xmpp:features:bidi"
LIMITS = "urn:xmpp:stream-limits:0"
ACKS = "urn:xmpp:sm:3"
STREAM_ERRORS = "urn:ietf:params:xml:ns:xmpp-streams"
STANZA_ERRORS = "urn:ietf:params:xml:ns:xmpp-stanzas"
APPLICATION_ERRORS = "urn:xmpp:errors"
XML = "http://www.w3.org/XML/1998/namespace"
