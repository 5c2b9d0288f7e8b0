"""The end of every request: one audit record, and the counters that go with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from fsproxy.clock import monotonic_ns, now
from fsproxy.core.audit.facts import page_facts
from fsproxy.core.audit.line import (
    LONGEST_PATH,
    NOT_KNOWN,
    audit_rejections,
    audit_shadow,
    encode,
    known_start,
    line_start,
    second,
    visitor,
)
from fsproxy.core.audit.privacy import UNNAMED, address_mask, is_unnamed, safe
from fsproxy.core.audit.record import LineEnd, Outcome, is_sampled
from fsproxy.core.model import OTHER, PAGE, Instant
from fsproxy.core.pipeline import wants_no_name
from fsproxy.telemetry.ring import Recent

if TYPE_CHECKING:
    from fsproxy.config.schema import AuditConfig
    from fsproxy.core.audit.line import Rejections
    from fsproxy.core.audit.privacy import MaskAddress
    from fsproxy.core.audit.record import AuditShadow
    from fsproxy.core.model import SessionFacts
    from fsproxy.core.policy import OrgPolicy
    from fsproxy.proxy.flow import Flow
    from fsproxy.telemetry.audit_log import AuditLog
    from fsproxy.telemetry.metrics import Ended, Metrics

DROPPED_SHARE = 0.01
"""From this share of pages on, untrusted forwarding headers are worth a warning: most likely there is a load balancer
in front that ``client_ip.trusted_proxies`` does not list (rules.md 4)."""
ENOUGH_PAGES = 100
log = structlog.get_logger("fsproxy")


class Recorder:
    """Counts requests, and writes their audit lines."""

    def __init__(self, metrics: Metrics, audit: AuditLog, config: AuditConfig, recent: Recent | None = None) -> None:
        """``recent`` keeps the newest records for the admin API."""
        self._metrics = metrics
        self._audit = audit
        self._recent = recent or Recent()
        self.configure(config)
        metrics.counts["audit_lines_dropped"] = ("Audit lines that found no room.", lambda: audit.dropped)
        self.unlisted_proxy = False
        """Forwarding headers from untrusted peers were dropped on more than 1 % of pages."""

    def configure(self, config: AuditConfig) -> None:
        """Use this configuration from the next line on."""
        self._mask = address_mask(config.client_ip.value, config.client_ip_key)
        self._most_rejections = config.rejections

    def record(self, flow: Flow) -> None:
        """Count the request, and write its line if its share says so. Never raise."""
        try:
            ended, at, waited, recent = monotonic_ns(), now(), 0, self._recent
            total = ended - flow.started_ns
            if flow.sent_ns:
                # Up to the last byte of the upstream's answer, in nanoseconds.
                answered = flow.writer.ended_ns if flow.writer is not None else 0
                waited = (answered or ended) - flow.sent_ns
            route, facts, decision, calls = flow.route, flow.facts, flow.decision, flow.calls
            page = route is PAGE or (facts is not None and facts.route is PAGE)
            share, status = flow.generation.audit_shares[PAGE if page else route], flow.status // 100
            block, where = decision.block, ""
            shadow: tuple[AuditShadow, ...] = ()
            rejections: Rejections = ()
            how: Ended
            if block is not None:
                outcome, share, where = _BLOCKED, 1.0, block.rule.where
                how = route, status, page, block.code, block.filter
            else:
                outcome = _CAPTURED if page else _FORWARDED
                if flow.failure is not None or flow.rejected:
                    outcome, share = _FAILED if flow.failed else _REJECTED if flow.rejected else outcome, 1.0
                how = route, status, page, outcome, facts is not None
            self._metrics.count(how, total, total - waited)
            if route is not OTHER:
                recent.traffic.add(how, at)
                if route is PAGE and flow.client.dropped:
                    self._watch_forwarding()
            if decision.shadow or decision.failed or (calls is not None and not calls.is_clean):
                shadow, rejections = self._note_findings(flow, at)
            if share or shadow or calls is not None:
                line = audit_line(flow, outcome, total, waited, self._mask, shadow, rejections)
                forwarded = outcome is _FORWARDED and not shadow and not (rejections and rejections[1])
                recent.note(line, where, forwarded=forwarded)
                if share >= 1.0 or shadow or rejections or is_sampled(share, flow.request_id):
                    self._audit.write(line)
        except Exception:
            self._metrics.own_failures[("record",)] += 1
            log.exception("an audit line was lost to a fault of ours")

    def _note_findings(self, flow: Flow, at: Instant) -> tuple[tuple[AuditShadow, ...], Rejections]:
        """Count what few requests have, and return it as their lines list it: shadow hits, and rejections."""
        metrics, recent, decision, calls, facts = self._metrics, self._recent, flow.decision, flow.calls, flow.facts
        for hit in decision.shadow:
            metrics.shadow[hit.code, hit.filter] += 1
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
        recent.note_rejections(safe(facts.org) if facts is not None and facts.org else "", cut, noted, at)
        return shadow, (*cut, *noted)

    def _watch_forwarding(self) -> None:
        metrics = self._metrics
        metrics.forwarding_dropped[()] += 1
        if self.unlisted_proxy:
            return
        dropped = metrics.forwarding_dropped[()]
        pages = sum(count for (route, *_), count in metrics.ended.items() if route is PAGE)
        if pages >= ENOUGH_PAGES and dropped > pages * DROPPED_SHARE:
            self.unlisted_proxy = True
            log.warning(
                "forwarding headers of untrusted peers are dropped: is a load balancer missing in "
                "client_ip.trusted_proxies?",
                pages=pages,
                dropped=dropped,
            )


def audit_line(
    flow: Flow,
    outcome: Outcome,
    total: int,
    waited: int,
    mask: MaskAddress,
    shadow: tuple[AuditShadow, ...] = (),
    rejections: Rejections = (),
) -> bytes:
    """Return the audit line. ``total``: nanoseconds, of which the upstream was waited for ``waited``."""
    facts, decision, route, generation, writer = flow.facts, flow.decision, flow.route, flow.generation, flow.writer
    start = (known_start if len(flow.path) + len(flow.method) <= LONGEST_PATH else line_start)(
        route, outcome, flow.method, flow.path, generation.number, generation.mode, decision.block, flow.failure
    )
    who, page, length = NOT_KNOWN, None, None
    if facts is not None:
        policy, url = flow.policy or generation.snapshot.policy(facts.org), facts.parsed_url
        # Of a page that is captured all rules were asked, and none of them is in the decision.
        unnamed = (outcome is not _CAPTURED or route is not PAGE or bool(shadow or decision.failed)) and _is_unnamed(
            flow, facts, policy
        )
        who = visitor(facts, url, mask, unnamed=unnamed)
        if route is PAGE:
            page = page_facts(facts, url, decision, policy, mask, flow.arrived, unnamed=unnamed)
            text: Any = facts.url
            length = len(text) if url is not None else None
    values = (
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
    end = LineEnd(shadow, decision.failed, *who, *values, *rejections)
    time = int(flow.arrived * 1000)
    return start % (second(time // 1000), time % 1000, encode(flow.request_id), total, encode(end)[1:])


_CAPTURED, _BLOCKED, _FORWARDED, _REJECTED, _FAILED = Outcome


def _is_unnamed(flow: Flow, facts: SessionFacts, policy: OrgPolicy) -> bool:
    """Return whether the line must not name the visitor, also by rules that were not reached or do not apply here."""
    decision, block = flow.decision, flow.decision.block
    if (block is not None and block.code in UNNAMED) or (decision.shadow and is_unnamed(decision.shadow)):
        return True
    if block is None and flow.route is PAGE and flow.failure is None and not decision.failed:
        return False  # all rules were asked, and none of them is in the decision
    return wants_no_name(policy, facts, flow.arrived)
