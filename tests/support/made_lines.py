"""Audit lines as the data plane writes them, of requests that never were."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from fsproxy.core.audit.line import Ending, audit_rejections, audit_shadow, line_start
from fsproxy.core.audit.privacy import UNNAMED, MaskAddress, truncated
from fsproxy.core.audit.record import Outcome
from fsproxy.core.model import Instant, Route, SessionFacts
from fsproxy.core.pipeline import CAPTURE, Decision, PageAnswer
from fsproxy.core.policy import OrgPolicy, Snapshot
from fsproxy.core.settings import CoreSettings
from fsproxy.proxy.record import audit_line

if TYPE_CHECKING:
    from fsproxy.proxy.flow import Flow

_PLAIN = replace(Snapshot.compile(CoreSettings(), 1).default, opt_out=None)
"""A policy that looks at no cookies."""


def line_of(
    facts: SessionFacts | None,
    outcome: Outcome = Outcome.CAPTURED,
    *,
    decision: Decision = CAPTURE,
    policy: OrgPolicy = _PLAIN,
    mask: MaskAddress = truncated,
    rejections: Any = (),
    shadow_rejections: Any = (),
    most_rejections: int = 20,
    total: int = 5_000_000,
    waited: int | None = None,
    upstream_status: int | None = None,
    upstream_reason_code: int | None = None,
    method: str = "POST",
    **known: Any,
) -> bytes:
    """Return the line of one request; ``known``: attributes of its flow that differ from a page's with status 200."""
    flow: dict[str, Any] = {
        "arrived": Instant(1795287341.564), "route": Route.PAGE, "path": "/rec/page", "request_id": "rid-1",
        "status": 200, "bytes_in": 0, "bytes_out": 0, "failure": None, "headers": {},
    }  # fmt: skip
    flow |= known
    made = SimpleNamespace(
        **flow,
        facts=facts,
        decision=decision,
        method=method,
        policy=policy,
        generation=SimpleNamespace(number=7, mode="enforce", snapshot=SimpleNamespace(policy=lambda _: policy)),
        writer=SimpleNamespace(head=SimpleNamespace(status=upstream_status)) if upstream_status is not None else None,
        answer=PageAnswer(202, reason_code=upstream_reason_code) if upstream_reason_code is not None else None,
        sent_ns=int(waited is not None),
    )
    cut, noted = audit_rejections(rejections, most_rejections), audit_rejections(shadow_rejections, most_rejections)
    shadow = audit_shadow(decision.shadow)
    block, route = decision.block, flow["route"]
    unnamed = None
    if block is not None:
        unnamed = True if block.code in UNNAMED else None
    elif outcome is Outcome.CAPTURED and route is Route.PAGE:
        unnamed = False
    start = line_start(route, outcome, method, flow["path"], 7, "enforce", block, flow["failure"])
    end = Ending(outcome, (route, 2, True, outcome, True), 1.0, "", unnamed, start)
    return audit_line(cast("Flow", made), end, total, waited or 0, mask, shadow, (*cut, *noted))
