"""The one record of a request's outcome, with names by the Elastic Common Schema (rules.md 6)."""

from __future__ import annotations

from enum import StrEnum, unique
from zlib import crc32

import msgspec

from fsproxy.core.audit.facts import AuditFacts

VERSION = 1
"""Of the line's form; a change that could break a reader raises it."""


@unique
class Outcome(StrEnum):
    """What became of a request. Exactly one each (``fsproxy.decision``)."""

    CAPTURED = "captured"
    """A page whose session is captured."""
    BLOCKED = "blocked"
    FORWARDED = "forwarded"
    """Anything but a page, sent on."""
    REJECTED = "rejected"
    """Every call in it was invalid: nothing was sent on."""
    FAILED = "failed"

    @property
    def ecs(self) -> str:
        """``event.outcome``: did the proxy do what it should? Blocking is a success."""
        return "failure" if self._value_ == "failed" else "success"


class AuditShadow(msgspec.Struct, frozen=True, gc=False, rename={"rule": "rule.id"}):
    """A rule that would have blocked."""

    rule: str
    reason_code: int
    filter: str


class AuditRejection(msgspec.Struct, frozen=True, gc=False):
    """An invalid call or property. Names are cut and escaped; never a value."""

    code: str
    call: str
    """The event's name, or the kind of a call that has none."""
    property: str | None


class AuditRecord(
    msgspec.Struct,
    frozen=True,
    gc=False,
    kw_only=True,
    omit_defaults=True,
    # A tag is the only constant that omit_defaults leaves in.
    tag_field="ecs.version",
    tag="8.11.0",
    rename={
        "timestamp": "@timestamp",
        "version": "fsproxy.audit.version",
        "action": "event.action",
        "outcome": "event.outcome",
        "reason": "event.reason",
        "duration": "event.duration",
        "decision": "fsproxy.decision",
        "reason_code": "fsproxy.reason_code",
        "rule": "rule.id",
        "filter": "fsproxy.filter",
        "shadow": "fsproxy.shadow",
        "filters_failed": "fsproxy.filters_failed",
        "org": "organization.id",
        "session_id": "fsproxy.session_id",
        "page_id": "fsproxy.page_id",
        "user_id": "fsproxy.user_id",
        "fresh_user_id": "fsproxy.fresh_user_id",
        "client_ip": "client.ip",
        "client_address": "client.address",
        "country": "client.geo.country_iso_code",
        "region": "client.geo.region_iso_code",
        "user_agent": "user_agent.original",
        "domain": "url.domain",
        "path": "url.path",
        "method": "http.request.method",
        "request_bytes": "http.request.body.bytes",
        "request_id": "http.request.id",
        "status": "http.response.status_code",
        "response_bytes": "http.response.body.bytes",
        "upstream_status": "fsproxy.upstream.status_code",
        "upstream_reason_code": "fsproxy.upstream.reason_code",
        "upstream_duration": "fsproxy.upstream.duration",
        "own_duration": "fsproxy.own.duration",
        "generation": "fsproxy.generation",
        "mode": "fsproxy.mode",
        "ledger_down": "fsproxy.ledger_down",
        "error": "fsproxy.error",
        "url_length": "fsproxy.url.length",
        "facts": "fsproxy.facts",
        "rejections": "fsproxy.rejections",
        "rejections_count": "fsproxy.rejections_count",
        "shadow_rejections": "fsproxy.shadow_rejections",
        "shadow_rejections_count": "fsproxy.shadow_rejections_count",
    },
):
    """One line. What is not known is not there. Durations in nanoseconds, sizes in bytes."""

    timestamp: str
    version: int
    action: str
    outcome: str
    decision: str
    method: str
    path: str
    request_id: str
    generation: int
    mode: str
    reason: str | None = None
    duration: int | None = None
    reason_code: int | None = None
    rule: str | None = None
    filter: str | None = None
    shadow: tuple[AuditShadow, ...] = ()
    filters_failed: tuple[str, ...] = ()
    org: str | None = None
    session_id: str = ""
    page_id: str = ""
    user_id: str = ""
    fresh_user_id: str = ""
    """Given to a first visit, by which ramping judged it; the visitor keeps it only when blocked by that."""
    client_ip: str | None = None
    client_address: str | None = None
    """A hash instead of an address; ``client.ip`` must hold an address."""
    country: str | None = None
    region: str | None = None
    user_agent: str | None = None
    domain: str = ""
    request_bytes: int | None = None
    status: int | None = None
    response_bytes: int | None = None
    upstream_status: int | None = None
    upstream_reason_code: int | None = None
    upstream_duration: int | None = None
    own_duration: int | None = None
    ledger_down: bool = False
    error: str | None = None
    url_length: int | None = None
    """Characters of a page's URL."""
    facts: AuditFacts | None = None
    """On pages: what else they were judged by."""
    rejections: tuple[AuditRejection, ...] = ()
    rejections_count: int = 0
    shadow_rejections: tuple[AuditRejection, ...] = ()
    """What ``client_api`` or one of its limits would have cut if its mode were ``enforce``."""
    shadow_rejections_count: int = 0


def is_due(share: float, record: AuditRecord) -> bool:
    """Whether a line is written: always for blocked, rejected, shadow-hit and failed requests, else by ``share``.

    The same request id always falls the same way, on every instance.
    """
    if share >= 1.0 or record.decision in _ALWAYS or record.shadow or record.error:
        return True
    if record.rejections_count or record.shadow_rejections_count:
        return True
    return share > 0.0 and crc32(record.request_id.encode("utf-8", "surrogatepass")) < share * 2**32


_ALWAYS = frozenset({Outcome.BLOCKED.value, Outcome.REJECTED.value, Outcome.FAILED.value})
