# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The numbered cases: what has gone wrong in XMPP servers, what comes of it here, and where that is proven.

The numbers are stable: tests carry them in their ids, audits and documents refer to them. docs/security.md is written
from this table, and test_table.py fails when a number is missing or a proof does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass

HEADER, XML, TLS, CERTIFICATES = "Stream header", "XML", "TLS and downgrade", "Certificates"
SASL, DIALBACK, ROUTING, AVAILABILITY = "SASL EXTERNAL", "Dialback", "Routing and forged addresses", "Availability"
AREAS = (HEADER, XML, TLS, CERTIFICATES, SASL, DIALBACK, ROUTING, AVAILABILITY)


@dataclass(frozen=True)
class Case:
    """``proof`` are test ids below tests/service, where they do not carry the number themselves."""

    number: int
    area: str
    title: str
    outcome: str
    proof: tuple[str, ...] = ()
    why: str = ""
    """Why an outcome is not the one that might be expected."""

    @property
    def own(self) -> tuple[str, ...]:
        """Patterns of the ids of tests that carry the number."""
        return (f"*case-{self.number:03}-*", f"*::test_*{self.number:03}_*")


def _case(number: int, area: str, title: str, outcome: str, *proof: str, why: str = "") -> Case:
    return Case(number, area, title, outcome, proof, why)


_ROUTES, _INCOMING, _RESOLVE = "net/test_routes.py::test_", "net/test_incoming.py::test_", "net/test_resolve.py::test_"


CASES = (
    _case(1, HEADER, "First bytes that are no XML: HTTP, a TLS hello on the STARTTLS port",
          "our header, `not-well-formed`, closed",
          _INCOMING + "other_protocols_are_turned_away"),
    _case(2, HEADER, "Another stream namespace", "`invalid-namespace`"),
    _case(3, HEADER, "Content namespace `jabber:client`, or none, on the server port", "`invalid-namespace`"),
    _case(4, HEADER, "Another prefix than `stream`, or none; another root",
          "`bad-namespace-prefix`; another root is `bad-format`"),
    _case(5, HEADER, "No `to`", "`improper-addressing`"),
    _case(6, HEADER, "A `to` that is not ours", "`host-unknown`"),
    _case(7, HEADER, "`from` empty, not a domain, or not a valid one", "`improper-addressing`"),
    _case(8, HEADER, "`from` is a domain of ours", "`policy-violation`"),
    _case(9, HEADER, "`from` is nobody we federate with",
          "`policy-violation` before TLS, dialback, and any DNS query",
          _INCOMING + "a_stranger_gets_a_reason_and_costs_no_lookup"),
    _case(10, HEADER, "Version 2.0, garbage, or none",
          "`unsupported-version`; none is a server from before 1.0, who gets no features and may do plain dialback "
          "where its record has that"),
    _case(11, HEADER, "A header after TLS or SASL with another `from` or `to`", "`improper-addressing`"),
    _case(12, HEADER, "UTF-16, or a declaration of another encoding", "`unsupported-encoding`"),
    _case(13, HEADER, "64 KiB in one attribute before authentication", "`policy-violation`, and memory stays flat"),
    _case(14, HEADER, "One byte a second, never done", "`connection-timeout` after `stream_establishment_timeout`"),
    _case(15, HEADER, "A connection, and then nothing", "closed after `stream_establishment_timeout`",
          _INCOMING + "whoever_says_nothing_is_dropped_in_time_and_no_parser_was_made"),
    _case(16, HEADER, "One connection more than an address, or a partner, may have",
          "an address: closed before a byte is parsed; a partner: `resource-constraint` when it has proven itself",
          _INCOMING + "one_address_may_have_so_many_unproven_connections",
          _INCOMING + "when_there_are_too_many_the_oldest_goes", _INCOMING + "a_partner_may_have_so_many_streams"),
    _case(17, HEADER, "` from='victim'` inside of another attribute's value", "it is text; there is one parser"),
    _case(18, HEADER, "An attribute twice", "`not-well-formed`"),
    _case(19, HEADER, "A stream id that comes again or can be guessed", "128 bits from the system, never again"),
    _case(20, XML, "DOCTYPE, nested, external and parameter entities", "`restricted-xml`, nothing is expanded"),
    _case(21, XML, "A comment", "`restricted-xml`"),
    _case(22, XML, "A processing instruction", "`restricted-xml`"),
    _case(23, XML, "An undefined entity", "`restricted-xml`"),
    _case(24, XML, "Invalid UTF-8: overlong, surrogates, cut short", "`not-well-formed`, however it is split"),
    _case(25, XML, "NUL, vertical tab, U+FFFE", "`not-well-formed`"),
    _case(26, XML, "The parser's own separator in a namespace",
          "no confusion: it is a character that XML does not have (`not-well-formed`)"),
    _case(27, XML, "A prefix that is not declared", "`not-well-formed`"),
    _case(28, XML, "`xml:` or `xmlns:` bound anew", "`not-well-formed`"),
    _case(29, XML, "`db:result` under another namespace, dialback under another prefix",
          "names are read by namespace: the first is `unsupported-stanza-type`, the second is dialback"),
    _case(30, XML, "A stanza in another namespace", "`unsupported-stanza-type`"),
    _case(31, XML, "Text between stanzas", "`bad-format`"),
    _case(32, XML, "10 000 elements deep", "`policy-violation`"),
    _case(33, XML, "100 000 empty children", "`policy-violation`"),
    _case(34, XML, "A stanza one byte over the limit, after authentication",
          "`policy-violation` with `stanza-too-big`; the streams of other partners notice nothing"),
    _case(35, XML, "Bytes behind `</stream:stream>`", "ignored"),
    _case(36, TLS, "A stanza before TLS, which the record requires", "`policy-violation`"),
    _case(37, TLS, "`db:result` before TLS, which the record requires", "a dialback error `policy-violation`"),
    _case(38, TLS, "The record requires TLS, and the server does not offer it",
          "`policy-violation` to it, `not-allowed` to the sender, and nothing in plain text"),
    _case(39, TLS, "Somebody between takes `<starttls/>` out of the features", "as 38"),
    _case(40, TLS, "Plain text behind `<proceed/>`, or behind `<starttls/>`", "discarded"),
    _case(41, TLS, "`<failure/>` instead of `<proceed/>`", "closed; the sender gets an error, nothing goes in plain"),
    _case(42, TLS, "`<starttls/>` within TLS, or where it is not offered; `<proceed/>` unasked",
          "within TLS and unasked `unsupported-stanza-type`; not offered `<failure/>`, closed"),
    _case(43, TLS, "TLS 1.0 and 1.1, SSLv3, RC4, compression, renegotiation",
          "the handshake fails; renegotiation is refused",
          "net/test_tls.py::test_renegotiation_is_refused",
          "net/test_tls.py::test_what_is_old_or_weak_finds_no_handshake",
          why="OpenSSL 4 knows neither SSLv3 nor RC4 nor compression; TLS 1.0 and 1.1 it would speak if it were let."),
    _case(44, TLS, "ALPN `h2` on the direct port; a name in SNI that we do not have",
          "`no_application_protocol`; another name gets the default certificate"),
    _case(45, TLS, "EXTERNAL offered, or asked for, on a stream without TLS", "not used, not given"),
    _case(46, CERTIFICATES, "Expired, not yet valid", "not trusted"),
    _case(47, CERTIFICATES, "Self-signed", "not trusted, unless its key is pinned"),
    _case(48, CERTIFICATES, "An unknown CA", "not trusted"),
    _case(49, CERTIFICATES, "The right name by another CA than this partner's", "not trusted where it has a `ca_file`"),
    _case(50, CERTIFICATES, "The name in the common name only", "not trusted"),
    _case(51, CERTIFICATES, "A name of somebody else", "not trusted"),
    _case(52, CERTIFICATES, "Wildcards",
          "`*` is one whole label, the first, and stands for one; `p*.`, a bare `*` and `*.example` match nothing"),
    _case(53, CERTIFICATES, "NUL, spaces, a trailing dot, capitals in a name",
          "capitals are one name, everything else is none"),
    _case(54, CERTIFICATES, "xmppAddr of a user", "not trusted; that of the domain is"),
    _case(55, CERTIFICATES, "SRVName of `_xmpp-client`", "not trusted; that of `_xmpp-server` is"),
    _case(56, CERTIFICATES, "Key usages of one side only",
          "for servers only: trusted, from a connecting server as well; for clients only: not trusted",
          why="Public CAs sign for servers only, and a server is what has to be proven, whoever opened the "
          "connection."),
    _case(57, CERTIFICATES, "Revoked; the list is expired, or of somebody else",
          "revoked: never; no usable list: as `check_crls` says"),
    _case(58, CERTIFICATES, "Intermediate missing, 12 deep, outside of name constraints, RSA-1024, SHA-1",
          "not trusted"),
    _case(59, CERTIFICATES, "A session taken up again after the policy has changed",
          "there is no resumption: each connection is a full handshake"),
    _case(60, SASL, "An authzid that is not the stream's `from`", "`invalid-authzid`"),
    _case(61, SASL, "An authzid that the certificate has, and that is not on the list", "`invalid-authzid`"),
    _case(62, SASL, "Mechanism PLAIN", "`invalid-mechanism`"),
    _case(63, SASL, "Bad base64", "`incorrect-encoding`"),
    _case(64, SASL, "EXTERNAL without a certificate", "not offered; asked for all the same: `not-authorized`"),
    _case(65, SASL, "Failure after failure", "`policy-violation` after a few"),
    _case(66, SASL, "A stanza behind `<success/>` without a new header",
          "with it: discarded; after it: `not-authorized`. Never delivered"),
    _case(67, SASL, "`<success/>` that nobody asked for", "`unsupported-stanza-type`, nothing is sent"),
    _case(68, DIALBACK, "`db:result` of type valid that nobody asked for, both ways", "proves nothing; it is counted"),
    _case(69, DIALBACK, "`db:verify` of type valid: never asked, for another stream or id, too late",
          "proves nothing"),
    _case(70, DIALBACK, "A key that was made for another stream", "`invalid`"),
    _case(71, DIALBACK, "One stream, one id, two senders", "two questions, each proven for itself"),
    _case(72, DIALBACK, "A sender that is not on the list", "dialback error `policy-violation`, and no DNS query"),
    _case(73, DIALBACK, "A `to` that is not ours", "dialback error `item-not-found`, the stream stays"),
    _case(74, DIALBACK, "The authoritative server is not reached, ends early, answers with an error",
          "`remote-connection-failed`, `remote-server-timeout`, `remote-server-not-found`; the stream stays"),
    _case(75, DIALBACK, "Dialback where the record does not have it",
          "dialback error: `not-authorized` where it has EXTERNAL only, `policy-violation` where it has dialback "
          "within TLS"),
    _case(76, DIALBACK, "A key with a type", "an answer that nobody asked for: proves nothing"),
    _case(77, DIALBACK, "1000 requests at once", "10 are asked about, `resource-constraint` for the rest, then closed"),
    _case(78, DIALBACK, "The partner's name leads to us, to loopback, to the inside server",
          "refused before a connection is made",
          "net/test_dial.py::test_78_dns_that_leads_into_this_host_is_not_followed",
          "net/test_dial.py::test_78_our_own_ports_are_never_called_even_where_all_is_on_one_machine",
          why="Private addresses (RFC 1918, ULA) are allowed: closed networks federate too, and there partners "
          "have them."),
    _case(79, DIALBACK, "The authoritative server says `invalid`",
          "the first pair: `invalid` and closed; a later one: `forbidden`, the stream stays"),
    _case(80, DIALBACK, "The border between domain and stream id moved (CVE-2016-0756)", "`invalid`"),
    _case(81, ROUTING, "`from` of another domain, a subdomain, ours, none, or no address",
          "`invalid-from`; none or no address `improper-addressing`"),
    _case(82, ROUTING, "`to` a third domain", "`host-unknown`, never relayed"),
    _case(83, ROUTING, "`to` another domain of ours, for which the pair is not proven", "`not-authorized`"),
    _case(84, ROUTING, "From inside: a sender that is not ours, a user without access, an unknown partner",
          "a stanza error that names the gate; none to a sender that is not ours",
          "net/test_links.py::test_the_inside_server_cannot_send_for_others_nor_to_strangers"),
    _case(85, ROUTING, "Look-alikes, other forms and capitals of a domain", "one canonical form is compared"),
    _case(86, ROUTING, "A resource with control characters; parts of 1023 and 1024 bytes",
          "`improper-addressing`; 1023 pass, 1024 do not"),
    _case(87, ROUTING, "Forged `stanza-id`, `delay`, carbons in the name of our domain", "taken out of the stanza"),
    _case(88, ROUTING, "Questions without end to the bare domain; errors that answer errors",
          "the edge answers none of them itself, and never an error"),
    _case(89, ROUTING, "A bounce for an error or a result", "there is none"),
    _case(90, ROUTING, "A probe whether a user exists, or has no access", "one answer for both, byte for byte",
          _INCOMING + "a_refused_user_and_an_unknown_one_get_the_same_answer",
          _INCOMING + "an_unknown_user_reads_like_a_refused_one",
          why="How long the inside server takes to say that there is no such user is not hidden: only an answer later "
          "than it could ever take would hide that."),
    _case(91, AVAILABILITY, "A peer that stops reading",
          "bounded buffer, then a time-out; what was begun is in doubt and bounced, the rest goes on the next stream",
          _ROUTES + "a_peer_that_does_not_read_is_given_up_and_every_stanza_is_answered_for",
          _INCOMING + "whoever_takes_no_answers_is_asked_no_more_and_dropped"),
    _case(92, AVAILABILITY, "A partner's queue is full", "`resource-constraint` to the sender",
          _ROUTES + "a_full_queue_refuses_what_comes_after", _ROUTES + "a_queue_is_bounded_in_bytes_too"),
    _case(93, AVAILABILITY, "1000 stanzas for a partner that is down", "one attempt, then a jittered pause",
          _ROUTES + "a_thousand_waiting_stanzas_cause_one_attempt_and_keep_their_order",
          _ROUTES + "who_cannot_be_reached_costs_one_attempt_and_every_sender_is_told_in_order"),
    _case(94, AVAILABILITY, "The inside server is down", "an error `wait` to the partner; streams stay",
          "net/test_links.py::test_while_a_link_is_down_partners_get_an_error_and_afterwards_it_works"),
    _case(95, AVAILABILITY, "A reload takes a partner away", "its streams are closed, the others untouched"),
    _case(96, AVAILABILITY, "A reload with a bad file", "the old configuration stays, and the reload says why",
          "net/test_reload.py::test_a_bad_file_changes_nothing_and_is_told",
          "net/test_cli.py::test_check_says_valid_with_the_hash_and_invalid_with_every_problem"),
    _case(97, AVAILABILITY, "Certificate files are replaced while a handshake is under way",
          "it ends with the old pair, the next has the new one; key and certificate never differ",
          "net/test_tls_certificates.py::test_a_certificate_that_changes_within_a_handshake_does_not_disturb_it"),
    _case(98, AVAILABILITY, "No file descriptor left", "accepting pauses, nothing ends",
          "net/test_cli.py::test_no_file_descriptor_left_is_survived"),
    _case(99, AVAILABILITY, "The clock jumps",
          "timers do not: their clock is monotonic; certificates are judged by the new time"),
    _case(100, AVAILABILITY, "`kill -9` while draining", "nothing is sent twice; what was waiting is lost",
          why="Nothing is kept on disk, so a process that is killed can neither deliver nor bounce."),
    _case(101, AVAILABILITY, "DNS: `.`, aliases, weight 0, 50 records, TTL 0, truncated, SERVFAIL, only AAAA",
          "each as RFC 2782 says; a name server in trouble is `remote-server-timeout`, no service "
          "`remote-server-not-found`",
          _RESOLVE + "a_dot_says_no_and_nothing_else_is_tried",
          _RESOLVE + "a_target_that_is_an_alias_is_followed",
          _RESOLVE + "weights_of_zero_only_keep_all_targets",
          _RESOLVE + "many_records_are_cut_and_truncation_leads_to_tcp",
          _RESOLVE + "a_ttl_of_zero_is_asked_anew_each_time",
          _RESOLVE + "truncated_answers_are_asked_for_again_over_tcp",
          _RESOLVE + "a_name_server_in_trouble_is_not_an_absent_record",
          _RESOLVE + "aaaa_alone_is_enough",
          _RESOLVE + "no_such_name_for_one_kind_of_address_leaves_the_other",
          _ROUTES + "what_dns_says_decides_the_error",
          why="DNSSEC is checked by the resolver that the edge asks: a bogus answer is SERVFAIL there."),
)  # fmt: skip
