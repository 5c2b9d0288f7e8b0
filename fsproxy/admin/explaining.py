"""Explain what would be decided about a session or about a request of the past, with the functions that decide.

For ``fsproxy explain`` and for the admin API alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from fsproxy.admin.answers import ExplainedDecision, Outcome, Rule
from fsproxy.admin.question import Question, UnanswerableError, request_of
from fsproxy.core.audit.rule_texts import rule_text
from fsproxy.core.limits.operations import Admitted, QuotaTerms
from fsproxy.core.model import FilterName, Hit, Instant, Route, SessionFacts
from fsproxy.core.pipeline import CAPTURE, Decision, Judgement, Step, judge, settle
from fsproxy.core.policy import OrgPolicy
from fsproxy.core.policy_rules import hit_of
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.redact.redaction import Found
from fsproxy.core.replay.again import Replay
from fsproxy.core.replay.facts import page_line
from fsproxy.http.upstream.hosts import address_for
from fsproxy.proxy.generation import Generation

UsedUnits = Callable[[str, QuotaTerms], int]
"""Return the units of an org's quota that are used up in a cycle."""
NOT_JUDGED: Mapping[Route, str] = {
    Route.OTHER: "it is no capture request: it is forwarded, and no rule looks at it",
    Route.SERVER_API: "server API calls pass no filters: only their calls are validated",
}
"""Why no rule looks at requests of these routes."""
_UNJUDGED = "the mode is bypass, and no privacy rule is in force: nothing is judged"
_FAILED = "it failed before it was judged"
_NO_PAGE = "page: the line of a request that is no page does not hold what it was judged by"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What would be decided under one generation, and what each filter concluded."""

    decision: Decision
    trace: tuple[Step, ...]
    generation: Generation
    not_given: tuple[str, ...] = ()
    """Fields that some rule looks at and that the question leaves out. The rules see a visitor without them."""
    not_judged_because: str = ""
    """Why no rule looks at the request; "" when rules do."""
    goes_up_as: str = ""
    """The address to which the request goes up where ``upstream.rewrite`` changes its path."""

    redactions: tuple[dict[str, int], dict[str, int]] = ({}, {})
    """How often rules of redaction find something in the page's URL, by id: those in force, those in shadow mode."""

    @property
    def not_judged(self) -> list[str]:
        """The filters that have no rules."""
        judged = {step.filter for step in self.trace}
        return [name.value for name in FilterName if name not in judged]

    @property
    def means(self) -> str:
        """What the hit of the rule that blocks means, in words; "" when no rule blocks."""
        block = self.decision.block
        return "" if block is None else rule_text(block.filter.value, block.rule.id, block.code)

    def document(self) -> ExplainedDecision:
        """Return the answer of the admin API."""
        if self.not_judged_because:
            return _answer(self.generation, "not_judged", because=self.not_judged_because)
        block = self.decision.block
        answer = _answer(self.generation, "captured") if block is None else _blocked(self.generation, block)
        answer["filters"] = [
            {"filter": step.filter.value, "judgement": step.judgement, "rule": _rule(step.hit)} for step in self.trace
        ]
        answer["not_judged"] = self.not_judged
        answer["not_given"] = list(self.not_given)
        return answer


def _answer(
    generation: Generation, decision: Outcome, because: str = "", rules: tuple[str, ...] = ()
) -> ExplainedDecision:
    """Return an answer in which no rule blocks. ``because``: what is missing, or why no rule looks at the request."""
    return {
        "decision": decision,
        "because": because or None,
        "rules": list(rules),
        "reason_code": None,
        "reason": None,
        "rule": None,
        "means": None,
        "mode": generation.mode,
        "generation": generation.number,
        "filters": [],
        "not_judged": [],
        "not_given": [],
    }


def _blocked(generation: Generation, hit: Hit) -> ExplainedDecision:
    answer = _answer(generation, "blocked")
    answer["reason_code"], answer["reason"] = int(hit.code), hit.code.text
    answer["rule"], answer["means"] = _rule(hit), rule_text(hit.filter.value, hit.rule.id, hit.code)
    return answer


def _rule(hit: Hit | None) -> Rule | None:
    return None if hit is None else {"id": hit.rule.id, "where": hit.rule.where}


# -- a new session


def explain(generation: Generation, question: Question, moment: Instant, used: UsedUnits | None = None) -> Explanation:
    """Return what would be decided about a new session. Raise UnanswerableError for a question without an answer.

    ``used``: what the ledger knows of quotas; None: no unit is used.
    """
    if question.url is None and not question.request:
        raise UnanswerableError("url", "every page has one, and rules look at it: what is the page's URL?")
    request = request_of(generation, question)
    because = NOT_JUDGED.get(request.route) or ("" if generation.judges else _UNJUDGED)
    if because:
        rewritten = _rewritten(generation, request.path)
        return Explanation(CAPTURE, (), generation, not_judged_because=because, goes_up_as=rewritten)
    facts = request.facts()
    policy = generation.snapshot.policy(facts.org)
    if request.location is None and policy.geo_source is not None:
        location = generation.locator.locate(policy.geo_source, request.client, request.headers)
        facts = msgspec.structs.replace(facts, location=location)
    decision, trace = _decide(policy, facts, moment, used)
    missing = () if question.request else tuple(_not_given(generation, policy, facts))
    rewritten = _rewritten(generation, request.path)
    return Explanation(
        decision, trace, generation, missing, goes_up_as=rewritten, redactions=_redactions(generation, facts.url)
    )


def _redactions(generation: Generation, url: object) -> tuple[dict[str, int], dict[str, int]]:
    rules, found = generation.redaction, Found()
    if rules is None or not isinstance(url, str):
        return {}, {}
    rules.redacted(url, rules.in_url, found)
    return rules.counts(found)


def _rewritten(generation: Generation, path: str) -> str:
    upstream = generation.config.upstream
    address = address_for(upstream, path)
    return address if address != address_for(replace(upstream, rewrite=()), path) else ""


def _not_given(generation: Generation, policy: OrgPolicy, facts: SessionFacts) -> Iterator[str]:
    """Yield the fields that a rule in force looks at and that the question leaves out."""
    rules = {each.name for each in policy.on_page}
    if facts.org is None and (generation.snapshot.orgs or FilterName.ORG in rules):
        yield "org"
    if facts.client_ip is None and FilterName.IP in rules:
        yield "ip"
    if facts.user_agent is None and FilterName.USER_AGENT in rules:
        yield "user_agent"
    if (facts.location is None or not facts.location.country) and FilterName.GEO in rules:
        yield "country"


def _decide(
    policy: OrgPolicy, facts: SessionFacts, moment: Instant, used: UsedUnits | None
) -> tuple[Decision, tuple[Step, ...]]:
    trace: list[Step] = []
    decision = judge(policy, facts, moment, "explained", trace)
    admit = decision.admit
    answer = None
    if admit is not None:
        units = used(admit.org, admit.quota) if used is not None and admit.quota is not None else 0
        over = admit.quota is not None and units >= admit.quota.limit
        answer = Admitted(under_way=False, user_admitted=False, over_quota=over, used=units)
    decision = settle(policy, decision, answer)
    return decision, tuple(_answered(step, decision) for step in trace)


def _answered(step: Step, decision: Decision) -> Step:
    """Return the step; one that was left to the ledger with the ledger's answer."""
    if step.judgement is not Judgement.ASKS_LEDGER:
        return step
    if decision.block is not None:
        judgement = Judgement.HIT if decision.block == step.hit else Judgement.NOT_REACHED
    else:
        judgement = Judgement.SHADOW if step.hit in decision.shadow else step.judgement
    return Step(step.filter, judgement, step.hit)


# -- a request of the past


def explain_record(generation: Generation, record: Mapping[str, Any]) -> ExplainedDecision:
    """Return what would be decided about the request of an audit line, as ``why`` and ``replay`` would.

    Whether a session was under way, the location and the quota are taken from the line. Raise UnanswerableError for
    what is no audit line.
    """
    action = record.get("event.action")
    if action not in set(Route):
        raise UnanswerableError("record", "not an audit line: event.action is none of " + ", ".join(Route))
    if Route(action) in NOT_JUDGED:
        return _answer(generation, "not_judged", NOT_JUDGED[Route(action)])
    if action != Route.PAGE.value:
        return _answer(generation, "undecidable", _NO_PAGE)
    try:
        line = page_line(record)
        decided = Replay(generation.snapshot).decide(line)
    except msgspec.ValidationError as error:
        raise UnanswerableError("record", f"not an audit line: {error}") from None
    except ValueError:  # its text would repeat the value
        raise UnanswerableError("record", "not an audit line: its time or its address cannot be read") from None
    if not decided.judged:
        return _answer(generation, "not_judged", _FAILED)
    if decided.undecidable:
        return _answer(generation, "undecidable", decided.undecidable, decided.rules)
    if not decided.code:
        return _answer(generation, "captured")
    hit = hit_of(generation.snapshot.policy(line.org), decided.rule)
    answer = _answer(generation, "blocked")
    answer["reason_code"], answer["reason"] = decided.code, ReasonCode(decided.code).text
    answer["rule"] = {"id": decided.rule, "where": hit.rule.where if hit is not None else ""}
    answer["means"] = rule_text(hit.filter.value, decided.rule, decided.code) if hit is not None else None
    return answer
