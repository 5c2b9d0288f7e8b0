"""From what is known of a request at its end to its audit record (rules.md 6)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache

import msgspec

from fsproxy.core.audit.facts import audit_facts
from fsproxy.core.audit.privacy import MaskAddress, is_unnamed, safe
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


class Measures(msgspec.Struct, gc=False, kw_only=True):
    """What is counted while a request goes on: the shell fills it in, the record takes it over."""

    status: int | None = None
    """None when no answer was begun."""
    request_bytes: int | None = None
    response_bytes: int | None = None
    upstream_status: int | None = None
    upstream_reason_code: int | None = None
    duration: int | None = None
    upstream_duration: int | None = None
    own_duration: int | None = None
    """``duration`` less what was spent waiting for the client and the upstream."""


def timestamp(now: Instant) -> str:
    """RFC 3339, UTC, milliseconds."""
    milliseconds = int(now * 1000)
    return f"{_second(milliseconds // 1000)}.{milliseconds % 1000:03d}Z"


@lru_cache(maxsize=8)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def audit_record(
    *,
    now: Instant,
    route: Route,
    outcome: Outcome,
    method: str,
    target: str,
    request_id: str,
    generation: int,
    mode: str,
    mask: MaskAddress,
    measures: Measures,
    facts: SessionFacts | None = None,
    decision: Decision = CAPTURE,
    failure: Failure | None = None,
    rejections: Sequence[Rejection] = (),
    shadow_rejections: Sequence[Rejection] = (),
    most_rejections: int = 20,
    unnamed: bool = False,
    policy: OrgPolicy | None = None,
) -> AuditRecord:
    """The record of one request.

    ``target`` may have a query, which is not written. ``unnamed``: the caller knows that the visitor
    opted out or is being deleted, though another rule blocked first; then, as for a hit with code 10 or
    12, the line carries neither address nor user nor session. ``policy``: what a page was judged by.
    """
    block, shadow = decision.block, decision.shadow
    if block is not None or shadow:
        unnamed = unnamed or (block is not None and is_unnamed((block,))) or is_unnamed(shadow)
    told = None
    if facts is not None and route is Route.PAGE:
        told = audit_facts(facts, decision, policy, mask, now, unnamed=unnamed)
    org, page, agent, domain, country, region = _seen(facts) if facts is not None else _NOBODY
    session, user, fresh, ip, hashed = _named(facts, mask) if facts is not None and not unnamed else _NAMELESS
    url = facts.url if told is not None and facts is not None else None
    # _value_ is what the property ``value`` gives, without the property's price.
    return AuditRecord(
        timestamp=timestamp(now),
        version=VERSION,
        action=route._value_,
        outcome="unknown" if failure is Failure.CLIENT_GONE and outcome is Outcome.FAILED else outcome.ecs,
        decision=outcome._value_,
        method=method if method in _METHODS else safe(method, 32),
        path=audit_path(target, route),
        request_id=request_id,
        generation=generation,
        mode=mode,
        reason=block.code.text if block is not None else failure.summary if failure is not None else None,
        duration=measures.duration,
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
        request_bytes=measures.request_bytes,
        status=measures.status,
        response_bytes=measures.response_bytes,
        upstream_status=measures.upstream_status,
        upstream_reason_code=measures.upstream_reason_code,
        upstream_duration=measures.upstream_duration,
        own_duration=measures.own_duration,
        ledger_down=decision.ledger_down,
        error=failure.value if failure is not None else None,
        url_length=len(url) if isinstance(url, str) else None,
        facts=told,
        rejections=_listed(rejections, most_rejections) if rejections else (),
        rejections_count=len(rejections),
        shadow_rejections=_listed(shadow_rejections, most_rejections) if shadow_rejections else (),
        shadow_rejections_count=len(shadow_rejections),
    )


_NOBODY = (None, "", None, "", None, None)
_NAMELESS = ("", "", "", None, None)
_METHODS = frozenset({"POST", "GET", "OPTIONS", "HEAD", "PUT", "DELETE", "PATCH"})


def _seen(facts: SessionFacts) -> tuple[str | None, str, str | None, str, str | None, str | None]:
    """What stands in every line: org, page, User-Agent, host, country, region."""
    agent, location = facts.user_agent, facts.location
    return (
        _known_safe(facts.org) if facts.org is not None else None,
        safe(facts.page_id),
        (_known_safe if len(agent) <= LONGEST_AGENT else safe)(agent, LONGEST_AGENT) if agent else None,
        _host(facts.url) if facts.url is not None else "",
        location.country if location is not None else None,
        location.region if location is not None else None,
    )


def _named(facts: SessionFacts, mask: MaskAddress) -> tuple[str, str, str, str | None, str | None]:
    """Who it was: session, user, fresh user, and the address or in its place a hash of it."""
    masked = mask(facts.client_ip) if facts.client_ip is not None else None
    is_address = masked is None or "." in masked or ":" in masked
    return (
        safe(facts.session_id),
        safe(facts.user_id) if facts.user_id else "",
        facts.fresh_user_id,
        masked if is_address else None,
        None if is_address else masked,
    )


_known_safe = lru_cache(maxsize=4096)(safe)
"""Of texts that come again and again, and are short."""


def _host(url: object) -> str:
    """In the form in which hosts are compared; of what is none, what stands in its place."""
    parsed = parse_url(url).host if isinstance(url, str) else ""
    return parsed or safe(host_of(url), 253)


def audit_path(target: str, route: Route = Route.OTHER) -> str:
    """The path without its query, cut; the uid in a server API path is a user's and is not written."""
    return _known_path(target, route) if len(target) <= LONGEST_PATH else _path(target, route)


def _path(target: str, route: Route) -> str:
    path = normal_path(origin_form(target.partition("?")[0]))
    if route is Route.SERVER_API and not path.startswith(_NAMING):
        # Of another spelling, whose uid could stand anywhere, the one that was understood is written.
        path = next((each for each in spellings(path) if server_call(each) is not None), path)
    if path.startswith(_NAMING):
        path = _INDIVIDUAL.sub(r"\1{uid}", path)
    return safe(path, LONGEST_PATH)


# Nearly every request is for one of a few paths.
_known_path = lru_cache(maxsize=256)(_path)


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
