"""Makes the audit record of a request from what is known at its end (rules.md 6)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache

import msgspec

from fsproxy.core.audit.facts import audit_facts
from fsproxy.core.audit.privacy import MaskAddress, is_unnamed, known_safe, safe
from fsproxy.core.audit.record import VERSION, AuditRecord, AuditRejection, AuditShadow, Outcome
from fsproxy.core.client_api.reading.server_api import server_call
from fsproxy.core.failures import Failure
from fsproxy.core.matching.hosts import parse_url
from fsproxy.core.model import Hit, Instant, Rejection, Route, SessionFacts
from fsproxy.core.pipeline import CAPTURE, Decision
from fsproxy.core.policy import OrgPolicy
from fsproxy.core.wire.page import host_of
from fsproxy.core.wire.path_readings import spellings
from fsproxy.core.wire.routes import normal_path, origin_form

LONGEST_AGENT = 512
LONGEST_PATH = 256
LONGEST_RULE = 256

_NAMING = ("/users/v1/", "/v2/users/")
_INDIVIDUAL = re.compile(r"(/users/v1/individual/|/v2/users/(?!batch\Z))[^/]+")


class EndedRequest(msgspec.Struct, gc=False, kw_only=True):
    """What is known of a request at its end. Durations in nanoseconds, sizes in bytes."""

    now: Instant
    """When it arrived."""
    route: Route
    outcome: Outcome
    method: str
    target: str
    """The request target. It may have a query, which is not written."""
    request_id: str
    generation: int
    mode: str
    status: int | None = None
    """None if no answer was begun."""
    request_bytes: int | None = None
    response_bytes: int | None = None
    upstream_status: int | None = None
    upstream_reason_code: int | None = None
    duration: int | None = None
    upstream_duration: int | None = None
    own_duration: int | None = None
    """``duration`` without ``upstream_duration``."""
    facts: SessionFacts | None = None
    policy: OrgPolicy | None = None
    """The policy by which a page was decided."""
    decision: Decision = CAPTURE
    failure: Failure | None = None
    rejections: Sequence[Rejection] = ()
    shadow_rejections: Sequence[Rejection] = ()
    unnamed: bool = False
    """The visitor opted out or is being deleted, although another rule blocked first."""


def timestamp(now: Instant) -> str:
    """Return the time in the form of RFC 3339: UTC, with milliseconds."""
    milliseconds = int(now * 1000)
    return f"{_second(milliseconds // 1000)}.{milliseconds % 1000:03d}Z"


@lru_cache(maxsize=8)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def audit_record(request: EndedRequest, mask: MaskAddress, most_rejections: int) -> AuditRecord:
    """Return the record of a request, with at most so many rejections listed.

    If the visitor opted out or is being deleted, it has neither address nor user nor session.
    """
    facts, decision, failure, outcome = request.facts, request.decision, request.failure, request.outcome
    block, shadow, unnamed = decision.block, decision.shadow, request.unnamed
    if block is not None or shadow:
        unnamed = unnamed or (block is not None and is_unnamed((block,))) or is_unnamed(shadow)
    page_facts = url = None
    if facts is not None and request.route is Route.PAGE:
        page_facts, url = audit_facts(facts, decision, request.policy, mask, request.now, unnamed=unnamed), facts.url
    org, page, agent, domain, country, region = _visible(facts) if facts is not None else _NO_FACTS
    session, user, fresh, ip, hashed = _identifying(facts, mask) if facts is not None and not unnamed else _NAMELESS
    # ``_value_`` is what the property ``value`` of an enum returns, without the cost of the property.
    return AuditRecord(
        timestamp=timestamp(request.now),
        version=VERSION,
        action=request.route._value_,
        outcome="unknown" if failure is Failure.CLIENT_GONE and outcome is Outcome.FAILED else outcome.ecs,
        decision=outcome._value_,
        method=request.method if request.method in _METHODS else safe(request.method, 32),
        path=audit_path(request.target, request.route),
        request_id=request.request_id,
        generation=request.generation,
        mode=request.mode,
        reason=block.code.text if block is not None else failure.summary if failure is not None else None,
        duration=request.duration,
        reason_code=block.code._value_ if block is not None else None,
        rule=safe(block.rule.id, LONGEST_RULE) if block is not None else None,
        filter=block.filter._value_ if block is not None else None,
        shadow=tuple(map(_shadow, shadow)) if shadow else (),
        filters_failed=tuple(name.value for name in decision.failed) if decision.failed else (),
        org=org,
        session_id=session,
        page_id=page,
        user_id=user,
        fresh_user_id=fresh,
        client_ip=ip,
        client_address=hashed,
        country=country,
        region=region,
        user_agent=agent,
        domain=domain,
        request_bytes=request.request_bytes,
        status=request.status,
        response_bytes=request.response_bytes,
        upstream_status=request.upstream_status,
        upstream_reason_code=request.upstream_reason_code,
        upstream_duration=request.upstream_duration,
        own_duration=request.own_duration,
        ledger_down=decision.ledger_down,
        error=failure.value if failure is not None else None,
        url_length=len(url) if isinstance(url, str) else None,
        facts=page_facts,
        rejections=_listed(request.rejections, most_rejections) if request.rejections else (),
        rejections_count=len(request.rejections),
        shadow_rejections=_listed(request.shadow_rejections, most_rejections) if request.shadow_rejections else (),
        shadow_rejections_count=len(request.shadow_rejections),
    )


_NO_FACTS = (None, "", None, "", None, None)
_NAMELESS = ("", "", "", None, None)
_METHODS = frozenset({"POST", "GET", "OPTIONS", "HEAD", "PUT", "DELETE", "PATCH"})


def _visible(facts: SessionFacts) -> tuple[str | None, str, str | None, str, str | None, str | None]:
    """Return what every line has: org, page, User-Agent, host, country, region."""
    agent, location = facts.user_agent, facts.location
    return (
        known_safe(facts.org) if facts.org is not None else None,
        safe(facts.page_id),
        (known_safe if len(agent) <= LONGEST_AGENT else safe)(agent, LONGEST_AGENT) if agent else None,
        _host(facts.url) if facts.url is not None else "",
        location.country if location is not None else None,
        location.region if location is not None else None,
    )


def _identifying(facts: SessionFacts, mask: MaskAddress) -> tuple[str, str, str, str | None, str | None]:
    """Return what identifies the visitor: session, user, fresh user, and the address or else a hash of it."""
    masked = mask(facts.client_ip) if facts.client_ip is not None else None
    is_address = masked is None or "." in masked or ":" in masked
    return (
        safe(facts.session_id),
        safe(facts.user_id) if facts.user_id else "",
        facts.fresh_user_id,
        masked if is_address else None,
        None if is_address else masked,
    )


def _host(url: object) -> str:
    """Return the URL's host, normalised if it can be."""
    parsed = parse_url(url).host if isinstance(url, str) else ""
    return parsed or safe(host_of(url), 253)


def audit_path(target: str, route: Route = Route.OTHER) -> str:
    """Return the path without its query, shortened. A server API path is returned without the user's uid."""
    return _known_path(target, route) if len(target) <= LONGEST_PATH else _path(target, route)


def _path(target: str, route: Route) -> str:
    path = normal_path(origin_form(target.partition("?")[0]))
    if route is Route.SERVER_API and not path.startswith(_NAMING):
        # In an unusual spelling the uid could be anywhere, so the reading that matched is written instead.
        path = next((each for each in spellings(path) if server_call(each) is not None), path)
    if path.startswith(_NAMING):
        path = _INDIVIDUAL.sub(r"\1{uid}", path)
    return safe(path, LONGEST_PATH)


_known_path = lru_cache(maxsize=256)(_path)
"""Nearly every request is for one of a few paths."""


def _shadow(hit: Hit) -> AuditShadow:
    return AuditShadow(safe(hit.rule.id, LONGEST_RULE), int(hit.code), hit.filter.value)


def _listed(rejections: Sequence[Rejection], most: int) -> tuple[AuditRejection, ...]:
    return tuple(_rejection(each) for each in rejections[:most])


def _rejection(each: Rejection) -> AuditRejection:
    return AuditRejection(
        each.code.value,
        safe(each.call) if each.call is not None else each.kind.value,
        safe(each.property) if each.property is not None else None,
    )
