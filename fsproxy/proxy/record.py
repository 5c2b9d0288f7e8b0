"""The end of every request: one audit record, and the counters that go with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from fsproxy.clock import monotonic_ns, now
from fsproxy.core.audit.line import EndedRequest, audit_record
from fsproxy.core.audit.privacy import address_mask, is_unnamed
from fsproxy.core.audit.record import Outcome
from fsproxy.core.model import Instant, Mode, Route
from fsproxy.core.pipeline import wants_no_name
from fsproxy.core.reasons import ReasonCode
from fsproxy.telemetry.ring import Recent

if TYPE_CHECKING:
    from fsproxy.config.schema import AuditConfig
    from fsproxy.core.model import Hit
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
            ended, at = monotonic_ns(), now()
            upstream_ns = _upstream_ns(flow, ended) if flow.sent_ns else 0
            self._count(flow, ended - flow.started_ns, upstream_ns, at)
            self._write(flow, ended - flow.started_ns, upstream_ns, at)
        except Exception:
            self._metrics.own_failures[("record",)] += 1
            log.exception("an audit line was lost to a fault of ours")

    def _count(self, flow: Flow, total: int, upstream_ns: int, at: Instant) -> None:
        metrics = self._metrics
        metrics.requests[(flow.route._value_, _CLASSES.get(flow.status // 100, "none"))] += 1
        metrics.total_latency.observe(total / 1e9)
        metrics.own_latency.observe((total - upstream_ns) / 1e9)
        if flow.route is Route.OTHER:
            return
        self._recent.traffic.add((flow.is_page, _end(flow)), at)
        decision = flow.decision
        block = decision.block
        if block is not None:
            _count_hit(metrics, block, Mode.ENFORCE)
        elif flow.facts is not None and not flow.failed:
            metrics.decisions[("0", "", "")] += 1
        for hit in decision.shadow:
            _count_hit(metrics, hit, Mode.SHADOW)
        for name in decision.failed:
            metrics.filter_failures[(name.value,)] += 1
        if flow.route is Route.PAGE:
            self._watch_forwarding(flow)

    def _watch_forwarding(self, flow: Flow) -> None:
        self._pages += 1
        if flow.client.dropped:
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

    def _write(self, flow: Flow, total: int, upstream_ns: int, at: Instant) -> None:
        share = flow.generation.audit_shares[Route.PAGE if flow.is_page else flow.route]
        if not share and not _is_remarkable(flow):
            return
        writer, request = flow.writer, flow.request
        head = writer.head if writer is not None else None
        calls, facts = flow.calls, flow.facts
        ended = EndedRequest(
            now=flow.arrived,
            route=flow.route,
            outcome=_outcome(flow),
            method=request.method,
            target=flow.path,
            request_id=flow.request_id,
            generation=flow.generation.number,
            mode=flow.generation.mode._value_,
            status=flow.status or None,
            request_bytes=flow.bytes_in,
            response_bytes=flow.bytes_out,
            upstream_status=head.status if head is not None else None,
            upstream_reason_code=flow.answer.reason_code if flow.answer is not None else None,
            duration=total,
            upstream_duration=upstream_ns if flow.sent_ns else None,
            own_duration=total - upstream_ns,
            facts=facts,
            policy=flow.generation.snapshot.policy(facts.org) if facts is not None else None,
            decision=flow.decision,
            failure=flow.failure,
            rejections=calls.rejections if calls is not None else (),
            shadow_rejections=calls.shadow if calls is not None else (),
            unnamed=_is_unnamed(flow),
        )
        record = audit_record(ended, self._mask, self._most_rejections)
        block = flow.decision.block
        self._recent.note(record, block.rule.where if block is not None else "", at)
        self._audit.write(record, share)


def _is_remarkable(flow: Flow) -> bool:
    """Return whether the line is written whatever its share. If not, and the share is 0, it need not be made."""
    decision = flow.decision
    return bool(decision.block or decision.shadow or flow.failure or flow.rejected or flow.calls)


_CODES = {each: str(int(each)) for each in ReasonCode}
_CLASSES = {each: f"{each}xx" for each in range(1, 10)}


def _is_unnamed(flow: Flow) -> bool:
    """Return whether the line must not name the visitor, also by rules that were not reached or do not apply here."""
    facts, decision = flow.facts, flow.decision
    if facts is None:
        return False
    block = decision.block
    if block is not None:
        if is_unnamed((block,)):
            return True
    elif flow.route is Route.PAGE and flow.failure is None and not decision.failed:
        return False  # all rules were asked, and none of them is in the decision
    return wants_no_name(flow.generation.snapshot.policy(facts.org), facts, flow.arrived)


def _upstream_ns(flow: Flow, ended: int) -> int:
    """Return how long the upstream was waited for, in nanoseconds, up to the last byte of its answer."""
    answered = flow.writer.ended_ns if flow.writer is not None else 0
    return (answered or ended) - flow.sent_ns


def _count_hit(metrics: Metrics, hit: Hit, mode: Mode) -> None:
    metrics.decisions[(_CODES[hit.code], hit.filter._value_, mode._value_)] += 1


def _end(flow: Flow) -> str:
    """Return the outcome as the traffic counts it: a block by its code."""
    block = flow.decision.block
    if block is not None:
        return _CODES[block.code]
    return _outcome(flow)._value_


def _outcome(flow: Flow) -> Outcome:
    if flow.decision.block is not None:
        return Outcome.BLOCKED
    if flow.failed:
        return Outcome.FAILED
    if flow.rejected:
        return Outcome.REJECTED
    return Outcome.CAPTURED if flow.is_page else Outcome.FORWARDED
