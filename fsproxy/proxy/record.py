"""The end of every request: one audit record, and the counters that go with it."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import structlog

from fsproxy.clock import monotonic_ns, now
from fsproxy.core.audit.facts import page_facts, wants_no_name
from fsproxy.core.audit.line import (
    LONGEST_PATH,
    NOT_KNOWN,
    audit_rejections,
    audit_shadow,
    encode,
    ending,
    known_ending,
    second,
    visitor,
)
from fsproxy.core.audit.privacy import is_unnamed, safe
from fsproxy.core.audit.record import LineEnd, Outcome, is_sampled
from fsproxy.core.audit.redactions import audit_redactions
from fsproxy.core.model import PAGE, Instant, Mode, rule_hit
from fsproxy.core.wire.traceparent import NO_TRACE, trace_of
from fsproxy.proxy.blocked_lines import BlockedLines
from fsproxy.telemetry.ring import Recent
from fsproxy.telemetry.untrusted_peers import UntrustedPeers

if TYPE_CHECKING:
    from fsproxy.config.schema import AuditConfig
    from fsproxy.core.audit.line import Ending, Rejections
    from fsproxy.core.audit.privacy import MaskAddress
    from fsproxy.core.audit.record import AuditShadow
    from fsproxy.core.audit.redactions import Redactions
    from fsproxy.proxy.flow import Flow
    from fsproxy.proxy.generation import Generation
    from fsproxy.telemetry.audit_log import AuditLog
    from fsproxy.telemetry.metrics import Metrics
    from fsproxy.telemetry.orgs import OrgCounts

OK, SWITCHED = 200, 101
log = structlog.get_logger("fsproxy")


class Recorder:
    """Counts requests, and writes their audit lines."""

    def __init__(self, metrics: Metrics, audit: AuditLog, config: AuditConfig, recent: Recent | None = None) -> None:
        """``recent`` keeps the newest records for the admin API."""
        self._metrics = metrics
        self._orgs = metrics.orgs.named
        self._audit = audit
        self._recent = recent or Recent(metrics.orgs)
        self.untrusted = UntrustedPeers(self._pages)
        self.configure(config)
        metrics.counts["audit_lines_dropped"] = ("Audit lines that found no room.", lambda: audit.dropped)

    def configure(self, config: AuditConfig) -> None:
        """Use this configuration from the next line on. Which peers are trusted may have changed with it."""
        self.untrusted.start_again()
        self._mask = config.mask
        self._most_rejections = config.rejections
        self._blocked = BlockedLines(config.share_blocked) if config.share_blocked < 1 else None

    def record(self, flow: Flow) -> None:
        """Count the request, and write its line if its share says so. Never raise."""
        try:
            ended, at, facts, decision, calls = monotonic_ns(), now(), flow.facts, flow.decision, flow.calls
            total, waited, route, generation = ended - flow.started_ns, 0, flow.route, flow.generation
            org = facts.org if facts is not None else None
            counts = self._orgs.get(org) or self._admit(org, generation)
            if flow.sent_ns:
                # Up to the last byte of the upstream's answer, in nanoseconds.
                writer = flow.writer
                waited = ((writer.ended_ns if writer is not None else 0) or ended) - flow.sent_ns
                # The bytes of a socket's frames are in those of the socket.
                if writer is not None or flow.status == SWITCHED:
                    counts.up += flow.bytes_in
                    counts.down += flow.bytes_out if flow.failure is None or writer is None else writer.bytes_out
                if (answer := flow.answer) is not None and answer.status == OK and answer.is_new is not False:
                    counts.sessions += decision.new_session
            kind = None if facts is None else facts.route
            end = (known_ending if len(flow.path) + len(flow.method) <= LONGEST_PATH else ending)(
                route,
                kind,
                flow.method,
                flow.path,
                generation.number,
                generation.in_force,
                generation.audit_shares[PAGE if kind is PAGE else route],
                decision.block,
                flow.failure,
                flow.status,
                flow.rejected,
            )
            traffic = self._recent.traffic
            if not traffic.begin <= at < traffic.end:
                traffic.turn(at)
            self._metrics.count(counts, end, total, total - waited)
            if flow.client.dropped and route is PAGE:
                self._metrics.forwarding_dropped[()] += 1
                self.untrusted.note(flow.connection.peer or "")
            shadow: tuple[AuditShadow, ...] = ()
            rejections: Rejections = ()
            if decision.shadow or decision.failed or (calls is not None and not calls.is_clean):
                shadow, rejections = self._note_findings(flow, at, counts)
            redactions: Redactions = self._note_redactions(flow, at) if flow.redacted else ()
            if end.share or shadow or calls is not None:
                line = audit_line(flow, end, total, waited, self._mask, shadow, rejections, redactions)
                forwarded = end.outcome is _FORWARDED and not shadow and not (rejections and rejections[1])
                self._recent.note(line, end.where, at, forwarded=forwarded)
                left_out = self._blocked is not None and self._blocked.leaves_out(flow, at)
                if shadow or (
                    not left_out and (end.share >= 1.0 or rejections or is_sampled(end.share, flow.request_id))
                ):
                    self._audit.write(line)
        except Exception:
            self._metrics.own_failures[("record",)] += 1
            log.exception("an audit line was lost to a fault of ours")

    def _admit(self, org: str | None, generation: Generation) -> OrgCounts:
        """Return the counts of an org that is not counted by name yet."""
        return self._metrics.orgs.admit(org or "", listed=org in generation.snapshot.orgs)

    def _note_findings(self, flow: Flow, at: Instant, counts: OrgCounts) -> tuple[tuple[AuditShadow, ...], Rejections]:
        """Count what few requests have, and return it as their lines list it: shadow hits, and rejections."""
        metrics, recent, decision, calls, facts = self._metrics, self._recent, flow.decision, flow.calls, flow.facts
        for hit in decision.shadow:
            metrics.shadow[hit.code, hit.filter] += 1
            metrics.rule_hits[rule_hit(hit, Mode.SHADOW)] += 1
        for name in decision.failed:
            metrics.filter_failures[(name.value,)] += 1
        shadow: tuple[AuditShadow, ...] = ()
        if decision.shadow:
            shadow = audit_shadow(decision.shadow)
            recent.note_shadow(shadow, at, page=facts is not None and flow.route is PAGE)
        if calls is None:
            return shadow, ()
        cut = audit_rejections(calls.rejections, self._most_rejections)
        noted = audit_rejections(calls.shadow, self._most_rejections)
        if not cut[1] and not noted[1]:
            return shadow, ()
        counts.cut += cut[1] > 0 and not flow.rejected
        recent.note_rejections(safe(facts.org) if facts is not None and facts.org else "", cut, noted, at)
        return shadow, (*cut, *noted)

    def _note_redactions(self, flow: Flow, at: Instant) -> Redactions:
        """Count what the rules of redaction have found, and return it as lines list it."""
        redactions = audit_redactions(flow.generation.redaction or flow.generation.header_redaction, flow.redacted)
        for each in chain.from_iterable(redactions):
            self._metrics.redactions[(each.rule,)] += each.count
        self._recent.note_redactions(redactions, at)
        return redactions

    def _pages(self) -> int:
        return sum(count for (route, *_), count in self._metrics.orgs.ended().items() if route is PAGE)


def audit_line(
    flow: Flow,
    end: Ending,
    total: int,
    waited: int,
    mask: MaskAddress,
    shadow: tuple[AuditShadow, ...] = (),
    rejections: Rejections = (),
    redactions: Redactions = (),
) -> bytes:
    """Return the audit line. ``total``: nanoseconds, of which the upstream was waited for ``waited``."""
    facts, decision, writer = flow.facts, flow.decision, flow.writer
    given = flow.headers.get(b"traceparent")
    who, trace, page, length = NOT_KNOWN, NO_TRACE if given is None else trace_of(given), None, None
    if facts is not None:
        policy, unnamed = flow.policy or flow.generation.snapshot.policy(facts.org), end.unnamed
        if shadow and is_unnamed(decision.shadow):
            unnamed = True
        elif unnamed is None or (decision.failed and not unnamed):
            # Also by rules that were not reached or do not apply here.
            unnamed = wants_no_name(policy, facts, flow.arrived)
        who = visitor(facts, mask, unnamed=unnamed)
        if unnamed:
            trace = NO_TRACE  # other programs' records of the same trace may name the visitor
        if flow.route is PAGE:
            page = page_facts(facts, decision, policy, mask, flow.arrived, unnamed=unnamed)
            text: Any = facts.url
            length = len(text) if facts.parsed_url is not None else None
    values = (
        *trace,
        flow.bytes_in,
        flow.status or None,
        flow.bytes_out,
        writer.head.status if writer is not None and writer.head is not None else None,
        flow.answer.reason_code if flow.answer is not None else None,
        waited if flow.sent_ns else None,
        total - waited,
        decision.ledger_down,
        flow.failure,
        length,
        page,
    )
    time = int(flow.arrived * 1000)
    if redactions:
        rejections = (*(rejections or _NO_REJECTIONS), *redactions)
    rest = encode(LineEnd(shadow, decision.failed, *who, *values, *rejections))
    return end.start % (second(time // 1000), time % 1000, encode(flow.request_id), total, rest[1:])


_FORWARDED = Outcome.FORWARDED
_NO_REJECTIONS: Rejections = ((), 0, (), 0)
