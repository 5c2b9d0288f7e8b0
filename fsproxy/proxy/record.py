"""The end of every request: one audit record, and the counters that go with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from fsproxy.clock import monotonic_ns, now
from fsproxy.core.audit.facts import page_facts
from fsproxy.core.audit.line import (
    LONGEST_PATH,
    NO_REJECTIONS,
    NOT_KNOWN,
    audit_rejections,
    audit_shadow,
    encode,
    known_start,
    line_start,
    second,
    visitor,
)
from fsproxy.core.audit.privacy import address_mask, is_unnamed, safe
from fsproxy.core.audit.record import LineEnd, Outcome, is_sampled
from fsproxy.core.model import OTHER, PAGE, Instant
from fsproxy.core.pipeline import wants_no_name
from fsproxy.core.reasons import ReasonCode
from fsproxy.telemetry.ring import Recent

if TYPE_CHECKING:
    from fsproxy.config.schema import AuditConfig
    from fsproxy.core.audit.line import ListedRejections
    from fsproxy.core.audit.privacy import MaskAddress
    from fsproxy.core.audit.record import AuditShadow
    from fsproxy.core.model import SessionFacts
    from fsproxy.core.policy import OrgPolicy
    from fsproxy.proxy.flow import Flow
    from fsproxy.telemetry.audit_log import AuditLog
    from fsproxy.telemetry.metrics import Metrics

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
        self._pages = 0
        self._dropped = 0
        self.unlisted_proxy = False
        """Forwarding headers from untrusted peers were dropped on more than 1 % of pages."""

    def configure(self, config: AuditConfig) -> None:
        """Use this configuration from the next line on."""
        self._mask = address_mask(config.client_ip.value, config.client_ip_key)
        self._most_rejections = config.rejections

    def record(self, flow: Flow) -> None:
        """Count the request, and write its line if its share says so. Never raise."""
        try:
            ended, at, page = monotonic_ns(), now(), flow.is_page
            total, waited = ended - flow.started_ns, 0
            if flow.sent_ns:
                # Up to the last byte of the upstream's answer, in nanoseconds.
                answered = flow.writer.ended_ns if flow.writer is not None else 0
                waited = (answered or ended) - flow.sent_ns
            outcome = _outcome(flow, page=page)
            self._count(flow, outcome, total, waited, at, page=page)
            share = flow.generation.audit_shares[PAGE if page else flow.route]
            decision = flow.decision
            remarkable = decision.block is not None or decision.shadow or flow.failure is not None or flow.rejected
            if share or remarkable or flow.calls is not None:
                self._write(flow, outcome, total, waited, at, share=1.0 if remarkable else share)
        except Exception:
            self._metrics.own_failures[("record",)] += 1
            log.exception("an audit line was lost to a fault of ours")

    def _count(self, flow: Flow, outcome: Outcome, total: int, waited: int, at: Instant, *, page: bool) -> None:
        metrics, route, decision = self._metrics, flow.route, flow.decision
        metrics.requests[route._value_, _CLASSES.get(flow.status // 100, "none")] += 1
        metrics.total_latency.observe(total / 1e9)
        metrics.own_latency.observe((total - waited) / 1e9)
        if route is OTHER:
            return
        block = decision.block
        if block is not None:
            end = _CODES[block.code]
            metrics.decisions[end, block.filter._value_, "enforce"] += 1
        else:
            end = outcome._value_
            if flow.facts is not None and outcome is not _FAILED:
                metrics.decisions["0", "", ""] += 1
        self._recent.traffic.add((page, end), at)
        for hit in decision.shadow:
            metrics.decisions[_CODES[hit.code], hit.filter._value_, "shadow"] += 1
        for name in decision.failed:
            metrics.filter_failures[(name.value,)] += 1
        if route is PAGE:
            self._pages += 1
            if flow.client.dropped:
                self._watch_forwarding()

    def _watch_forwarding(self) -> None:
        self._metrics.forwarding_dropped[()] += 1
        self._dropped += 1
        remarkable = self._pages >= ENOUGH_PAGES and self._dropped > self._pages * DROPPED_SHARE
        if remarkable and not self.unlisted_proxy:
            self.unlisted_proxy = True
            log.warning(
                "forwarding headers of untrusted peers are dropped: is a load balancer missing in "
                "client_ip.trusted_proxies?",
                pages=self._pages,
                dropped=self._dropped,
            )

    def _write(self, flow: Flow, outcome: Outcome, total: int, waited: int, at: Instant, *, share: float) -> None:
        """Keep the line for the admin API, and write it by its share, which is 1 if it is remarkable."""
        decision, calls, facts, recent = flow.decision, flow.calls, flow.facts, self._recent
        shadow: tuple[AuditShadow, ...] = ()
        if decision.shadow:
            shadow = audit_shadow(decision.shadow)
            recent.note_shadow(shadow, at, page=facts is not None and flow.route is PAGE)
        cut = noted = NO_REJECTIONS
        if calls is not None:
            cut = audit_rejections(calls.rejections, self._most_rejections)
            noted = audit_rejections(calls.shadow, self._most_rejections)
            if cut[1] or noted[1]:
                share = 1.0
                recent.note_rejections(safe(facts.org) if facts is not None and facts.org else "", cut, noted, at)
        line = audit_line(flow, outcome, total, waited, shadow, cut, noted, self._mask)
        where = decision.block.rule.where if decision.block is not None else ""
        recent.note(line, where, forwarded=outcome is _FORWARDED and not shadow and not cut[1])
        if share >= 1.0 or is_sampled(share, flow.request_id):
            self._audit.write(line)


def audit_line(
    flow: Flow,
    outcome: Outcome,
    total: int,
    waited: int,
    shadow: tuple[AuditShadow, ...],
    cut: ListedRejections,
    noted: ListedRejections,
    mask: MaskAddress,
) -> bytes:
    """Return the audit line. ``total``: nanoseconds, of which the upstream was waited for ``waited``."""
    facts, decision, path, method = flow.facts, flow.decision, flow.path, flow.method
    generation, writer = flow.generation, flow.writer
    start = (known_start if len(path) + len(method) <= LONGEST_PATH else line_start)(
        flow.route, outcome, method, path, generation.number, generation.mode, decision.block, flow.failure
    )
    who, page, length = NOT_KNOWN, None, None
    if facts is not None:
        policy = flow.policy or generation.snapshot.policy(facts.org)
        unnamed = _is_unnamed(flow, facts, policy)
        text = facts.url
        url = facts.parsed_url
        who = visitor(facts, url, mask, unnamed=unnamed)
        if flow.route is PAGE:
            page = page_facts(facts, url, decision, policy, mask, flow.arrived, unnamed=unnamed)
            length = len(text) if isinstance(text, str) else None
    end = LineEnd(
        shadow,
        decision.failed,
        *who,
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
        *cut,
        *noted,
    )
    milliseconds = int(flow.arrived * 1000)
    time = (second(milliseconds // 1000), milliseconds % 1000)
    return start % (*time, encode(flow.request_id), total, encode(end)[1:])


_CAPTURED, _BLOCKED, _FORWARDED, _REJECTED, _FAILED = Outcome
_CODES = {each: str(int(each)) for each in ReasonCode}
_CLASSES = {each: f"{each}xx" for each in range(1, 10)}


def _is_unnamed(flow: Flow, facts: SessionFacts, policy: OrgPolicy) -> bool:
    """Return whether the line must not name the visitor, also by rules that were not reached or do not apply here."""
    decision = flow.decision
    if (decision.block is not None and is_unnamed((decision.block,))) or is_unnamed(decision.shadow):
        return True
    if decision.block is None and flow.route is PAGE and flow.failure is None and not decision.failed:
        return False  # all rules were asked, and none of them is in the decision
    return wants_no_name(policy, facts, flow.arrived)


def _outcome(flow: Flow, *, page: bool) -> Outcome:
    if flow.decision.block is not None:
        return _BLOCKED
    if flow.failure is not None and flow.failed:
        return _FAILED
    if flow.rejected:
        return _REJECTED
    return _CAPTURED if page else _FORWARDED
