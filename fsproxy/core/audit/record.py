"""The audit record of a request, with the names of the Elastic Common Schema (rules.md 6)."""

from __future__ import annotations

from enum import StrEnum, unique
from zlib import crc32

import msgspec
from msgspec import field

from fsproxy.core.audit.facts import AuditFacts

VERSION = 1
"""The version of the line's form. A change that could break a reader increases it."""


@unique
class Outcome(StrEnum):
    """The outcome of a request; every request has exactly one (``fsproxy.decision``)."""

    CAPTURED = "captured"
    """A page whose session is captured."""
    BLOCKED = "blocked"
    FORWARDED = "forwarded"
    """A forwarded request other than a page."""
    REJECTED = "rejected"
    """Every call in it was invalid, so nothing was forwarded."""
    FAILED = "failed"

    @property
    def ecs(self) -> str:
        """Whether the proxy did what it should (``event.outcome``). Blocking is a success."""
        return "failure" if self._value_ == "failed" else "success"


class AuditShadow(msgspec.Struct, frozen=True, gc=False):
    """A rule that would have blocked."""

    rule: str = field(name="rule.id")
    reason_code: int
    filter: str


class AuditRejection(msgspec.Struct, frozen=True, gc=False):
    """An invalid call or property. Names are shortened and escaped; there is no value."""

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
    # A tag is the only constant that omit_defaults does not leave out.
    tag_field="ecs.version",
    tag="8.11.0",
):
    """One line. Unknown values are left out. Durations are in nanoseconds, sizes in bytes."""

    timestamp: str = field(name="@timestamp")
    version: int = field(name="fsproxy.audit.version")
    action: str = field(name="event.action")
    outcome: str = field(name="event.outcome")
    decision: str = field(name="fsproxy.decision")
    method: str = field(name="http.request.method")
    path: str = field(name="url.path")
    request_id: str = field(name="http.request.id")
    generation: int = field(name="fsproxy.generation")
    mode: str = field(name="fsproxy.mode")
    reason: str | None = field(default=None, name="event.reason")
    duration: int | None = field(default=None, name="event.duration")
    reason_code: int | None = field(default=None, name="fsproxy.reason_code")
    rule: str | None = field(default=None, name="rule.id")
    filter: str | None = field(default=None, name="fsproxy.filter")
    shadow: tuple[AuditShadow, ...] = field(default=(), name="fsproxy.shadow")
    filters_failed: tuple[str, ...] = field(default=(), name="fsproxy.filters_failed")
    org: str | None = field(default=None, name="organization.id")
    session_id: str = field(default="", name="fsproxy.session_id")
    page_id: str = field(default="", name="fsproxy.page_id")
    user_id: str = field(default="", name="fsproxy.user_id")
    fresh_user_id: str = field(default="", name="fsproxy.fresh_user_id")
    """The id by which ramping decided on a first visit. The visitor keeps it only if ramping blocked the visit."""
    client_ip: str | None = field(default=None, name="client.ip")
    client_address: str | None = field(default=None, name="client.address")
    """A hash in place of the address, as ``client.ip`` must hold an address."""
    country: str | None = field(default=None, name="client.geo.country_iso_code")
    region: str | None = field(default=None, name="client.geo.region_iso_code")
    user_agent: str | None = field(default=None, name="user_agent.original")
    domain: str = field(default="", name="url.domain")
    request_bytes: int | None = field(default=None, name="http.request.body.bytes")
    status: int | None = field(default=None, name="http.response.status_code")
    response_bytes: int | None = field(default=None, name="http.response.body.bytes")
    upstream_status: int | None = field(default=None, name="fsproxy.upstream.status_code")
    upstream_reason_code: int | None = field(default=None, name="fsproxy.upstream.reason_code")
    upstream_duration: int | None = field(default=None, name="fsproxy.upstream.duration")
    own_duration: int | None = field(default=None, name="fsproxy.own.duration")
    ledger_down: bool = field(default=False, name="fsproxy.ledger_down")
    error: str | None = field(default=None, name="fsproxy.error")
    url_length: int | None = field(default=None, name="fsproxy.url.length")
    """Characters of a page's URL."""
    facts: AuditFacts | None = field(default=None, name="fsproxy.facts")
    """On pages, the other facts by which they were decided."""
    rejections: tuple[AuditRejection, ...] = field(default=(), name="fsproxy.rejections")
    rejections_count: int = field(default=0, name="fsproxy.rejections_count")
    shadow_rejections: tuple[AuditRejection, ...] = field(default=(), name="fsproxy.shadow_rejections")
    """What ``client_api`` or one of its limits would have removed if its mode were ``enforce``."""
    shadow_rejections_count: int = field(default=0, name="fsproxy.shadow_rejections_count")


FIELD_NAMES = dict(zip(AuditRecord.__struct_fields__, AuditRecord.__struct_encode_fields__, strict=True))
"""The name of each attribute in the line."""


def is_due(share: float, record: AuditRecord) -> bool:
    """Return whether the line is written: always for blocked, rejected, failed and shadow-hit requests, else by share.

    The same request id always gives the same answer, on every instance.
    """
    if share >= 1.0 or record.decision in _ALWAYS or record.shadow or record.error:
        return True
    if record.rejections_count or record.shadow_rejections_count:
        return True
    return share > 0.0 and crc32(record.request_id.encode("utf-8", "surrogatepass")) < share * 2**32


_ALWAYS = frozenset({Outcome.BLOCKED.value, Outcome.REJECTED.value, Outcome.FAILED.value})
