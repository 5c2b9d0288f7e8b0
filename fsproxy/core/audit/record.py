"""The words of the audit line and the forms of its lists (rules.md 6)."""

from __future__ import annotations

from enum import StrEnum, unique
from zlib import crc32

import msgspec
from msgspec import field

from fsproxy.core.audit.facts import AuditFacts
from fsproxy.core.failures import Failure
from fsproxy.core.model import FilterName, Route
from fsproxy.core.reasons import ReasonCode

VERSION = 1
"""The version of the line's form. A change that could break a reader increases it."""
ECS_VERSION = "8.11.0"
"""Of the Elastic Common Schema, whose names and categories all lines have."""
SERVICE = "fsproxy"
"""``service.name`` in all lines, and the beginning of their ``event.dataset``."""


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
        return "failure" if self is Outcome.FAILED else "success"

    @property
    def ecs_types(self) -> tuple[str, str]:
        """What kind of access to a web server it was (``event.type``)."""
        return ("access", _TYPES.get(self, "allowed"))


_TYPES = {Outcome.BLOCKED: "denied", Outcome.REJECTED: "denied", Outcome.FAILED: "error"}
ECS_CATEGORIES = ("network", "web")
"""``event.category``. Of the two, ``network`` has ``allowed`` and ``denied`` among its types, ``web`` has ``error``."""


Ended = tuple[Route, int, bool, Outcome | ReasonCode | Failure, FilterName | bool]
"""How a request is counted: route, first digit of the status (0: none), whether it is a page, and its outcome with
whether anything was known of its session; a failure takes the place of ``failed``. For a block the reason and the
filter."""


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


class AuditRedaction(msgspec.Struct, frozen=True, gc=False):
    """How often a redaction rule was found. No text is written."""

    rule: str = field(name="rule.id")
    count: int


class LineEnd(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What a line has after its beginning (``line_start``), in this order. Unknown values are left out.

    Durations are in nanoseconds, sizes in bytes.
    """

    shadow: tuple[AuditShadow, ...] = field(name="fsproxy.shadow", default=())
    filters_failed: tuple[FilterName, ...] = field(name="fsproxy.filters_failed", default=())
    org: str | None = field(name="organization.id", default=None)
    session_id: str = field(name="fsproxy.session_id", default="")
    page_id: str = field(name="fsproxy.page_id", default="")
    user_id: str = field(name="fsproxy.user_id", default="")
    user: str = field(name="user.id", default="")
    """The same: the recorder's id. The site's own id of the visitor is in no line."""
    fresh_user_id: str = field(name="fsproxy.fresh_user_id", default="")
    """The id by which ramping decided on a first visit. The visitor keeps it only if ramping blocked the visit."""
    client_ip: str | None = field(name="client.ip", default=None)
    client_address: str | None = field(name="client.address", default=None)
    """A hash in place of the address, as ``client.ip`` must hold an address."""
    masked: bool = field(name="fsproxy.client_ip.masked", default=False)
    """Neither of the two is the visitor's address: it was truncated or hashed."""
    country: str | None = field(name="client.geo.country_iso_code", default=None)
    region: str | None = field(name="client.geo.region_iso_code", default=None)
    user_agent: str | None = field(name="user_agent.original", default=None)
    domain: str = field(name="url.domain", default="")
    trace_id: str | None = field(name="trace.id", default=None)
    span_id: str | None = field(name="span.id", default=None)
    """Of the ``traceparent`` header that came."""
    request_bytes: int | None = field(name="http.request.body.bytes", default=None)
    status: int | None = field(name="http.response.status_code", default=None)
    response_bytes: int | None = field(name="http.response.body.bytes", default=None)
    upstream_status: int | None = field(name="fsproxy.upstream.status_code", default=None)
    upstream_reason_code: int | None = field(name="fsproxy.upstream.reason_code", default=None)
    upstream_duration: int | None = field(name="fsproxy.upstream.duration", default=None)
    own_duration: int | None = field(name="fsproxy.own.duration", default=None)
    ledger_down: bool = field(name="fsproxy.ledger_down", default=False)
    error: Failure | None = field(name="fsproxy.error", default=None)
    url_length: int | None = field(name="fsproxy.url.length", default=None)
    """Characters of a page's URL."""
    facts: AuditFacts | None = field(name="fsproxy.facts", default=None)
    """On pages, the other facts by which they were decided."""
    rejections: tuple[AuditRejection, ...] = field(name="fsproxy.rejections", default=())
    rejections_count: int = field(name="fsproxy.rejections_count", default=0)
    shadow_rejections: tuple[AuditRejection, ...] = field(name="fsproxy.shadow_rejections", default=())
    """What ``client_api`` or one of its limits would have removed if its mode were ``enforce``."""
    shadow_rejections_count: int = field(name="fsproxy.shadow_rejections_count", default=0)
    redactions: tuple[AuditRedaction, ...] = field(name="fsproxy.redactions", default=())
    shadow_redactions: tuple[AuditRedaction, ...] = field(name="fsproxy.shadow_redactions", default=())
    """What rules in shadow mode have found, and would have redacted."""


def is_sampled(share: float, request_id: str) -> bool:
    """Return whether a line that nothing makes remarkable is written.

    The same request id always gives the same answer, on every instance.
    """
    if share >= 1.0:
        return True
    return share > 0.0 and crc32(request_id.encode("utf-8", "surrogatepass")) < share * 2**32
