"""What would be decided about a session, and why, by the very functions that decide.

For ``fsproxy explain`` and for the admin API alike.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec

from fsproxy.core.client_address import ClientAddress, ClientAddresses, parse_address
from fsproxy.core.facts import bundle_facts, bundle_query, page_facts
from fsproxy.core.header_values import index
from fsproxy.core.limits.operations import Admitted, QuotaTerms
from fsproxy.core.meaning import meaning
from fsproxy.core.model import FilterName, Hit, Instant, Location, Route, SessionFacts
from fsproxy.core.page import PageBody, read_page
from fsproxy.core.pipeline import Decision, Judgement, Step, judge, settle
from fsproxy.core.policy import OrgPolicy
from fsproxy.shell.generation import Generation

PEER = "127.0.0.1"
_ZONE = re.compile("[A-Z][A-Z0-9](-[A-Z0-9]{1,3})?")
"""Also what says that a country is not known, such as XX and T1."""
UsedUnits = Callable[[str, QuotaTerms], int]
"""An org's units of the quota that are used up in a cycle."""


class UnanswerableError(ValueError):
    """A question that cannot be answered: ``key`` is what is wrong of it."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__(f"{key}: {text}")
        self.key = key
        self.text = text


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A session to be explained; what is not known is left out. A field goes over what ``request`` says of it."""

    url: str | None = None
    ip: str | None = None
    user_agent: str | None = None
    org: str | None = None
    country: str | None = None
    """ISO 3166, e.g. ``US`` or ``US-CA``; None: as ``geo.source`` finds it."""
    cookies: tuple[str, ...] = ()
    """``name=value`` each."""
    app_id: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    origin: str | None = None
    """None: the URL's."""
    headers: tuple[str, ...] = ()
    """``Name: value`` each."""
    request: dict[str, Any] = {}
    """A recorded request (method, url, headers, body), or a page request's body alone."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What would be decided under one generation, and what each filter said."""

    decision: Decision
    trace: tuple[Step, ...]
    generation: int
    mode: str

    @property
    def not_judged(self) -> list[str]:
        """The filters that have nothing to judge by."""
        judged = {step.filter for step in self.trace}
        return [name.value for name in FilterName if name not in judged]

    @property
    def means(self) -> str:
        """What the hit of the rule that blocks means, in words; "" when none does."""
        block = self.decision.block
        return "" if block is None else meaning(block.filter.value, block.rule.id)

    def document(self) -> dict[str, Any]:
        """For machines."""
        block = self.decision.block
        return {
            "decision": "captured" if block is None else "blocked",
            "reason_code": None if block is None else int(block.code),
            "reason": None if block is None else block.code.text,
            "rule": _rule(block),
            "means": self.means or None,
            "mode": self.mode,
            "generation": self.generation,
            "filters": [
                {"filter": step.filter.value, "judgement": step.judgement.value, "rule": _rule(step.hit)}
                for step in self.trace
            ],
            "not_judged": self.not_judged,
        }


def _rule(hit: Hit | None) -> dict[str, str] | None:
    return None if hit is None else {"id": hit.rule.id, "where": hit.rule.where}


def explain(generation: Generation, asked: Asked, moment: Instant, used: UsedUnits | None = None) -> Explanation:
    """Judge as a new session would be judged. Raises UnanswerableError.

    ``used``: what the ledger knows of quotas; None: nothing is used up yet.
    """
    question = _question(generation, asked)
    facts = _facts(question)
    policy = generation.snapshot.policy(facts.org)
    if question.location is None and policy.geo_source is not None:
        location = generation.locator.locate(policy.geo_source, question.client, question.headers)
        facts = msgspec.structs.replace(facts, location=location)
    decision, trace = _decide(policy, facts, moment, used)
    return Explanation(decision, trace, generation.number, generation.mode.value)


def _decide(
    policy: OrgPolicy, facts: SessionFacts, moment: Instant, used: UsedUnits | None
) -> tuple[Decision, tuple[Step, ...]]:
    trace: list[Step] = []
    verdict = judge(policy, facts, moment, "explained", trace)
    admit = verdict.admit
    answer = None
    if admit is not None:
        units = used(admit.org, admit.quota) if used is not None and admit.quota is not None else 0
        over = admit.quota is not None and units >= admit.quota.limit
        answer = Admitted(under_way=False, user_admitted=False, over_quota=over, used=units)
    decision = settle(policy, verdict, answer)
    return decision, tuple(_answered(step, decision) for step in trace)


def _answered(step: Step, decision: Decision) -> Step:
    """A step that was left to the ledger, with its answer."""
    if step.judgement is not Judgement.ASKS_LEDGER:
        return step
    if decision.block is not None:
        judgement = Judgement.HIT if decision.block == step.hit else Judgement.NOT_REACHED
    else:
        judgement = Judgement.SHADOW if step.hit in decision.shadow else step.judgement
    return Step(step.filter, judgement, step.hit)


# -- from what is asked to what the filters are told


@dataclass(frozen=True, slots=True)
class _Question:
    """One request, to be explained."""

    route: Route
    page: PageBody
    query: str
    headers: dict[bytes, bytes]
    client: ClientAddress
    location: Location | None


def _question(generation: Generation, asked: Asked) -> _Question:
    # A page's body alone is also taken.
    recorded = {"body": asked.request} if "OrgId" in asked.request else asked.request
    said = recorded.get("headers") or {}
    if not isinstance(said, dict):
        raise UnanswerableError("request", "headers is an object of names and values")
    target = str(recorded.get("url") or "/rec/page")
    route = generation.routes.match(str(recorded.get("method") or "POST"), target)
    page = _page(recorded.get("body"), route)
    given = {"url": asked.url, "org_id": asked.org, "app_id": asked.app_id}
    given |= {"user_id": asked.user_id, "session_id": asked.session_id}
    page = msgspec.structs.replace(page, **{k: v for k, v in given.items() if v is not None})
    headers = _headers(said, asked, page)
    client = generation.clients.resolve(PEER, headers)
    if asked.ip:
        client = _client_at(generation.clients, asked.ip, headers)
    code = (asked.country or "").upper()
    if code and _ZONE.fullmatch(code) is None:
        raise UnanswerableError("country", "a code as in ISO 3166 is expected, such as US or US-CA")
    country = code.partition("-")[0]
    return _Question(
        route if route is not Route.OTHER else Route.PAGE,
        page,
        target.partition("?")[2],
        headers,
        client,
        Location(country, code if "-" in code else None) if country else None,
    )


def _page(body: object, route: Route) -> PageBody:
    if body is None:
        return PageBody()
    text = body if isinstance(body, str) else json.dumps(body)
    page = read_page(text.encode(errors="surrogatepass"))
    if page is None and route is Route.PAGE:
        raise UnanswerableError("request", "the page's body is not a JSON object: it is answered 400")
    return page or PageBody()


def _client_at(clients: ClientAddresses, ip: str, headers: dict[bytes, bytes]) -> ClientAddress:
    address = parse_address(ip)
    if address is None:
        raise UnanswerableError("ip", "not an address")
    # The headers count as if a trusted proxy had passed them on.
    return msgspec.structs.replace(clients.resolve(None, headers), address=address, trusted=True)


def _headers(said: Mapping[str, object], asked: Asked, page: PageBody) -> dict[bytes, bytes]:
    if any(":" not in line for line in asked.headers):
        raise UnanswerableError("headers", "Name: value is expected")
    pairs = [(str(name), str(value)) for name, value in said.items()]
    pairs += [(name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in asked.headers)]
    if asked.user_agent is not None:
        pairs.append(("User-Agent", asked.user_agent))
    pairs += [("Cookie", cookie) for cookie in asked.cookies]
    origin = asked.origin
    names = {name.lower() for name, _ in pairs}
    if origin is None and "origin" not in names and isinstance(page.url, str):
        origin = _origin_of(page.url)
    if origin is not None:
        pairs.append(("Origin", origin))
    return index(tuple((n.encode("latin-1", "replace"), v.encode("utf-8", "surrogatepass")) for n, v in pairs))


def _origin_of(url: str) -> str | None:
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else None


def _facts(question: _Question) -> SessionFacts:
    if question.route is not Route.PAGE:
        query = bundle_query(question.query)
        return bundle_facts(question.route, query, question.headers, question.client, question.location)
    fresh = "" if question.page.user_id else "a-first-visit"
    return page_facts(question.page, question.headers, question.client, question.location, fresh_user_id=fresh)
