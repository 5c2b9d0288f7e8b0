"""The audit line of a request, in pieces of JSON with the names of the Elastic Common Schema (rules.md 6).

A line is a template with what the configuration and the decision fix, which is made once for all requests with the
same ``Ending``, and a ``LineEnd`` with what each request has of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache

import msgspec

from fsproxy import __version__
from fsproxy.core.audit.privacy import LONGEST_NAME, UNNAMED, MaskAddress, safe, truncated
from fsproxy.core.audit.record import (
    ECS_CATEGORIES,
    ECS_VERSION,
    SERVICE,
    VERSION,
    AuditRejection,
    AuditShadow,
    Ended,
    Outcome,
)
from fsproxy.core.client_api.reading.server_api import server_call
from fsproxy.core.failures import Failure
from fsproxy.core.model import PAGE, FilterName, Hit, Mode, Rejection, Route, RuleHit, SessionFacts, rule_hit
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.wire.page import host_of
from fsproxy.core.wire.path_readings import spellings
from fsproxy.core.wire.routes import normal_path, origin_form

DATASET = f"{SERVICE}.audit"
LONGEST_AGENT = 512
LONGEST_PATH = 256
LONGEST_RULE = 256
LONGEST_HOST = 253

_NAMING = ("/users/v1/", "/v2/users/")
# A path in another case may be no call of the server API, and names a visitor all the same.
_INDIVIDUAL = re.compile(r"(/users/v1/individual/|/v2/users/(?!batch\Z))[^/]+", re.IGNORECASE)

_NAME = rf"[ -~]{{0,{LONGEST_NAME}}}\0"
_ordinary = re.compile(rf"{_NAME}{_NAME}{_NAME}{_NAME}[ -~]{{0,{LONGEST_AGENT}}}").fullmatch

encode = msgspec.json.Encoder().encode


@lru_cache(maxsize=8)
def second(seconds: int) -> bytes:
    """Return the time in the form of RFC 3339, without the fraction and the zone."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()


class Ending(msgspec.Struct, frozen=True, gc=False):
    """What requests that end alike have in common: how they are counted, and how their lines begin."""

    outcome: Outcome
    counted: Ended
    share: float
    """The share of lines that are written; 1.0 for all that is remarkable."""
    where: str
    """``file:line:column`` of the rule that blocked; "" without one."""
    unnamed: bool | None
    """Whether the line must not name the visitor, if nothing is in shadow mode; None: the rules must be asked."""
    start: bytes
    """The template of the line's beginning (``line_start``)."""
    hit: RuleHit | None = None
    """How the rule that blocked is counted."""


def ending(
    route: Route,
    kind: Route | None,
    method: str,
    path: str,
    generation: int,
    mode: str,
    share: float,
    block: Hit | None,
    failure: Failure | None,
    status: int,
    rejected: bool,  # noqa: FBT001 - by position, which is faster to look up
) -> Ending:
    """Return how a request ended.

    ``kind``: the route of its session's facts, which is not its own if a socket's frame stands for a page; None if it
    has none. ``mode``: its name, and behind it the privacy rules that are in force in spite of it. ``share``: that of
    unremarkable lines. ``rejected``: no call in it was valid.
    """
    page = (kind or route) is PAGE
    outcome, where, unnamed = Outcome.CAPTURED if page else Outcome.FORWARDED, "", None
    if block is not None:
        outcome, where, share = Outcome.BLOCKED, block.rule.where, 1.0
        unnamed = True if block.code in UNNAMED else None
    elif failure is not None or rejected:
        share = 1.0
        # An upload whose client left has not failed: it went up, and the upstream answered.
        if failure is not None and (failure is not Failure.CLIENT_GONE or page or not status):
            outcome = Outcome.FAILED
        elif rejected:
            outcome = Outcome.REJECTED
    elif route is PAGE:
        unnamed = False  # of a captured page all rules were asked, and none of them is in the decision
    by: tuple[Outcome | ReasonCode | Failure, FilterName | bool]
    hit: RuleHit | None = None
    if block is not None:
        by = block.code, block.filter
        # Uploads of a page that was blocked are blocked with it, and by then the place of its rule is not known.
        hit = rule_hit(block, Mode.ENFORCE) if page or where else None
    else:
        by = failure if outcome is Outcome.FAILED and failure is not None else outcome, kind is not None
    start = line_start(route, outcome, method, path, generation, mode, block, failure)
    return Ending(outcome, (route, status // 100, page, *by), share, where, unnamed, start, hit)


known_ending = lru_cache(maxsize=1024)(ending)
"""``ending`` for short paths and methods: nearly every request has one of a few."""


def line_start(
    route: Route,
    outcome: Outcome,
    method: str,
    path: str,
    generation: int,
    mode: str,
    block: Hit | None,
    failure: Failure | None,
) -> bytes:
    """Return the template of a line's beginning, with all that does not change from one such request to the next.

    It has five places, to be filled by ``%``: the ``second`` and the milliseconds of the time, the request's id as
    JSON, the duration in nanoseconds, and the members of the ``LineEnd``.
    """
    name, *privacy = mode.split()
    gone = failure is Failure.CLIENT_GONE and outcome is Outcome.FAILED
    fields: dict[str, object] = {
        "ecs.version": ECS_VERSION,
        "@timestamp": "%b.%03dZ",
        "fsproxy.audit.version": VERSION,
        "event.kind": "event",
        "event.category": ECS_CATEGORIES,
        "event.type": outcome.ecs_types,
        "event.dataset": DATASET,
        "event.action": route,
        "event.outcome": "unknown" if gone else outcome.ecs,
        "fsproxy.decision": outcome,
        "http.request.method": _literal(safe(method, 32)),
        "url.path": _literal(audit_path(path, route)),
        "http.request.id": msgspec.Raw(b"%b"),
        "fsproxy.generation": generation,
        "fsproxy.mode": name,
        **({"fsproxy.privacy": privacy} if name != "enforce" else {}),
        "service.name": SERVICE,
        "service.version": __version__,
    }
    if block is not None:
        fields["event.reason"] = block.code.text
    elif failure is not None:
        fields["event.reason"] = failure.summary
    fields["event.duration"] = msgspec.Raw(b"%d")
    if block is not None:
        fields["fsproxy.reason_code"] = block.code
        fields["rule.id"] = _literal(safe(block.rule.id, LONGEST_RULE))
        fields["fsproxy.filter"] = block.filter
    return encode(fields)[:-1] + b",%b"


def _literal(text: str) -> str:
    return text.replace("%", "%%")


Visitor = tuple[
    str | None, str, str, str, str, str, str | None, str | None, bool, str | None, str | None, str | None, str
]  # fmt: skip
"""The fields of a ``LineEnd`` from ``org`` to ``domain``."""
NOT_KNOWN: Visitor = (None, "", "", "", "", "", None, None, False, None, None, None, "")


def visitor(facts: SessionFacts, mask: MaskAddress, *, unnamed: bool) -> Visitor:
    """Return who sent the request and from where. ``unnamed``: without address, user and session."""
    org, session, page, user, fresh = facts.org, facts.session_id, facts.page_id, facts.user_id, facts.fresh_user_id
    agent, location, client = facts.user_agent, facts.location, facts.client_ip
    if unnamed:
        session = user = fresh = ""
        client = None
    # Nearly always all texts are short and safe, which one look at them together tells.
    if _ordinary(f"{org}\0{session}\0{page}\0{user}\0{agent}") is None:
        session, page, user = safe(session), safe(page), safe(user)
        org = safe(org) if org is not None else None
        agent = safe(agent, LONGEST_AGENT) if agent else None
    host, url = "", facts.parsed_url
    if url is not None:
        host = url.host or safe(host_of(facts.url), LONGEST_HOST)
    ip = address = country = region = None
    masked = False
    if client is not None:
        ip = mask(client)
        masked = ip is not None and mask is not str
        if mask is not truncated and mask is not str:  # a hash
            ip, address = None, ip
    if location is not None:
        country, region = location.country, location.region
    return org, session, page, user, user, fresh, ip, address, masked, country, region, agent or None, host


def audit_path(target: str, route: Route = Route.OTHER) -> str:
    """Return the path without its query, shortened. A server API path is returned without the user's uid."""
    path = normal_path(origin_form(target.partition("?")[0]))
    if route is Route.SERVER_API and not path.startswith(_NAMING):
        # In an unusual spelling the uid could be anywhere, so the reading that matched is written instead.
        path = next((each for each in spellings(path) if server_call(each) is not None), path)
    if path.lower().startswith(_NAMING):
        path = _INDIVIDUAL.sub(r"\1{uid}", path)
    return safe(path, LONGEST_PATH)


def audit_shadow(hits: Iterable[Hit]) -> tuple[AuditShadow, ...]:
    """Return the rules that would have blocked, as a line lists them."""
    return tuple(AuditShadow(safe(hit.rule.id, LONGEST_RULE), int(hit.code), hit.filter.value) for hit in hits)


def audit_rejections(rejections: Sequence[Rejection], most: int) -> ListedRejections:
    """Return at most so many rejections as a line lists them, and how many there were."""
    if not rejections:
        return (), 0
    listed = [
        AuditRejection(
            each.code._value_,
            safe(each.call) if each.call is not None else each.kind._value_,
            safe(each.property) if each.property is not None else None,
        )
        for each in rejections[:most]
    ]
    return tuple(listed), len(rejections)


ListedRejections = tuple[tuple[AuditRejection, ...], int]
Rejections = tuple[tuple[AuditRejection, ...], int, tuple[AuditRejection, ...], int] | tuple[()]
"""The last fields of a ``LineEnd``: those enforced and those in shadow mode, or nothing."""
