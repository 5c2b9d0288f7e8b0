"""The end of every request: one audit record, and the counters that go with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from fsproxy.clock import monotonic_ns, now
from fsproxy.core.audit.line import Measures, audit_record
from fsproxy.core.audit.privacy import address_mask, is_unnamed
from fsproxy.core.audit.record import Outcome
from fsproxy.core.model import Instant, Mode, Route
from fsproxy.core.pipeline import wants_no_name
from fsproxy.core.reasons import ReasonCode
from fsproxy.telemetry.ring import CAPTURED, FAILED, FORWARDED, REJECTED, Recent

if TYPE_CHECKING:
    from fsproxy.config.schema import AuditConfig
    from fsproxy.core.model import Hit
    from fsproxy.proxy.flow import Transaction
    from fsproxy.telemetry.audit_log import AuditLog
    from fsproxy.telemetry.metrics import Metrics

DROPPED_SHARE = 0.01
"""From this share of pages on, untrusted forwarding headers are worth a warning: most likely a load balancer
stands before us that ``client_ip.trusted_proxies`` does not list (rules.md 4)."""
ENOUGH_PAGES = 100
log = structlog.get_logger("fsproxy")


class Recorder:
    """Writes what became of requests."""

    def __init__(self, metrics: Metrics, audit: AuditLog, config: AuditConfig, recent: Recent | None = None) -> None:
        """``recent``: where what happened lately is kept for the admin API."""
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
        """From the next line on, follow this configuration."""
        self._mask = address_mask(config.client_ip.value, config.client_ip_key)
        self._most_rejections = config.rejections

    def record(self, tx: Transaction) -> None:
        """Count the request, and write its line if its share says so. Never raises."""
        try:
            ended, at = monotonic_ns(), now()
            upstream_ns = _upstream_ns(tx, ended) if tx.sent_ns else 0
            self._count(tx, ended - tx.started_ns, upstream_ns, at)
            self._write(tx, ended - tx.started_ns, upstream_ns, at)
        except Exception:
            self._metrics.own_failures[("record",)] += 1
            log.exception("an audit line was lost to a fault of ours")

    def _count(self, tx: Transaction, total: int, upstream_ns: int, at: Instant) -> None:
        metrics = self._metrics
        metrics.requests[(tx.route._value_, _CLASSES.get(tx.status // 100, "none"))] += 1
        metrics.total_latency.observe(total / 1e9)
        metrics.own_latency.observe((total - upstream_ns) / 1e9)
        if tx.route is Route.OTHER:
            return
        self._recent.traffic.add((tx.is_page, _end(tx)), at)
        decision = tx.decision
        block = decision.block
        if block is not None:
            _count_hit(metrics, block, Mode.ENFORCE)
        elif tx.facts is not None and not tx.failed:
            metrics.decisions[("0", "", "")] += 1
        for hit in decision.shadow:
            _count_hit(metrics, hit, Mode.SHADOW)
        for name in decision.failed:
            metrics.filter_failures[(name.value,)] += 1
        if tx.route is Route.PAGE:
            self._watch_forwarding(tx)

    def _watch_forwarding(self, tx: Transaction) -> None:
        self._pages += 1
        if tx.client.dropped:
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

    def _write(self, tx: Transaction, total: int, upstream_ns: int, at: Instant) -> None:
        share = tx.generation.audit_shares[Route.PAGE if tx.is_page else tx.route]
        if not share and not _is_remarkable(tx):
            return
        relay, request = tx.relay, tx.request
        head = relay.head if relay is not None else None
        calls, facts = tx.calls, tx.facts
        record = audit_record(
            now=tx.arrived,
            route=tx.route,
            outcome=_outcome(tx),
            method=request.method,
            target=tx.path,
            request_id=tx.request_id,
            generation=tx.generation.number,
            mode=tx.generation.mode._value_,
            mask=self._mask,
            measures=Measures(
                status=tx.status or None,
                request_bytes=tx.bytes_in,
                response_bytes=tx.bytes_out,
                upstream_status=head.status if head is not None else None,
                upstream_reason_code=tx.answer.reason_code if tx.answer is not None else None,
                duration=total,
                upstream_duration=upstream_ns if tx.sent_ns else None,
                own_duration=total - upstream_ns,
            ),
            facts=facts,
            policy=tx.generation.snapshot.policy(facts.org) if facts is not None else None,
            decision=tx.decision,
            failure=tx.failure,
            rejections=calls.rejections if calls is not None else (),
            shadow_rejections=calls.shadow if calls is not None else (),
            most_rejections=self._most_rejections,
            unnamed=_is_unnamed(tx),
        )
        block = tx.decision.block
        self._recent.note(record, block.rule.where if block is not None else "", at)
        self._audit.write(record, share)


def _is_remarkable(tx: Transaction) -> bool:
    """Whether the line is written whatever its share, as ``audit.is_due`` says; else it need not even be made."""
    decision = tx.decision
    return bool(decision.block or decision.shadow or tx.failure or tx.rejected or tx.calls)


_CODES = {each: str(int(each)) for each in ReasonCode}
_CLASSES = {each: f"{each}xx" for each in range(1, 10)}


def _is_unnamed(tx: Transaction) -> bool:
    """Whether the line must not say who it was, by rules that were not reached or are not judged here."""
    facts, decision = tx.facts, tx.decision
    if facts is None:
        return False
    block = decision.block
    if block is not None:
        if is_unnamed((block,)):
            return True
    elif tx.route is Route.PAGE and tx.failure is None and not decision.failed:
        return False  # all rules were asked, and what they said stands in the decision
    return wants_no_name(tx.generation.snapshot.policy(facts.org), facts, tx.arrived)


def _upstream_ns(tx: Transaction, ended: int) -> int:
    """How long the upstream was waited for; its answer's last byte ends it."""
    relay_ended = tx.relay.ended_ns if tx.relay is not None else 0
    return (relay_ended or ended) - tx.sent_ns


def _count_hit(metrics: Metrics, hit: Hit, mode: Mode) -> None:
    metrics.decisions[(_CODES[hit.code], hit.filter._value_, mode._value_)] += 1


def _end(tx: Transaction) -> str:
    """The outcome, as the traffic is counted: a block by its code."""
    block = tx.decision.block
    if block is not None:
        return _CODES[block.code]
    if tx.failed:
        return FAILED
    if tx.rejected:
        return REJECTED
    return CAPTURED if tx.is_page else FORWARDED


def _outcome(tx: Transaction) -> Outcome:
    if tx.decision.block is not None:
        return Outcome.BLOCKED
    if tx.failed:
        return Outcome.FAILED
    if tx.rejected:
        return Outcome.REJECTED
    return Outcome.CAPTURED if tx.is_page else Outcome.FORWARDED
