"""What would be decided about a session, and why, by the very functions that decide.

For ``fsproxy explain`` and for the admin API alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from fsproxy.admin.question import Asked, UnanswerableError, facts_of, question_of
from fsproxy.core.audit.rule_texts import rule_text
from fsproxy.core.limits.operations import Admitted, QuotaTerms
from fsproxy.core.model import FilterName, Hit, Instant, Route, SessionFacts
from fsproxy.core.pipeline import CAPTURE, Decision, Judgement, Step, judge, settle
from fsproxy.core.policy import OrgPolicy
from fsproxy.proxy.generation import Generation

UsedUnits = Callable[[str, QuotaTerms], int]
"""An org's units of the quota that are used up in a cycle."""


NOT_JUDGED: Mapping[Route, str] = {
    Route.OTHER: "it is no capture request: it is forwarded, and no rule looks at it",
    Route.SERVER_API: "server API calls pass no filters: only their calls are validated",
}
"""Why no rule looks at requests of these routes."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What would be decided under one generation, and what each filter said."""

    decision: Decision
    trace: tuple[Step, ...]
    generation: int
    mode: str
    not_given: tuple[str, ...] = ()
    """Fields that some rule looks at and the question leaves out: they are judged as if a visitor had none."""
    not_judged_because: str = ""
    """Why no rule looks at the request at all; "" when they do."""

    @property
    def outcome(self) -> str:
        """``captured``, ``blocked`` or ``not_judged``."""
        if self.not_judged_because:
            return "not_judged"
        return "captured" if self.decision.block is None else "blocked"

    @property
    def not_judged(self) -> list[str]:
        """The filters that have nothing to judge by."""
        judged = {step.filter for step in self.trace}
        return [name.value for name in FilterName if name not in judged]

    @property
    def means(self) -> str:
        """What the hit of the rule that blocks means, in words; "" when none does."""
        block = self.decision.block
        return "" if block is None else rule_text(block.filter.value, block.rule.id)

    def document(self) -> dict[str, Any]:
        """For machines."""
        block = self.decision.block
        return {
            "decision": self.outcome,
            "because": self.not_judged_because or None,
            "rules": [],
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
            "not_judged": [] if self.not_judged_because else self.not_judged,
            "not_given": list(self.not_given),
        }


def _rule(hit: Hit | None) -> dict[str, str] | None:
    return None if hit is None else {"id": hit.rule.id, "where": hit.rule.where}


def explain(generation: Generation, asked: Asked, moment: Instant, used: UsedUnits | None = None) -> Explanation:
    """Judge as a new session would be judged. Raises UnanswerableError.

    ``used``: what the ledger knows of quotas; None: nothing is used up yet.
    """
    if asked.url is None and not asked.request:
        raise UnanswerableError("url", "every page has one, and rules look at it: what is the page's URL?")
    question = question_of(generation, asked)
    if question.route in NOT_JUDGED:
        because = NOT_JUDGED[question.route]
        return Explanation(CAPTURE, (), generation.number, generation.mode.value, not_judged_because=because)
    facts = facts_of(question)
    policy = generation.snapshot.policy(facts.org)
    if question.location is None and policy.geo_source is not None:
        location = generation.locator.locate(policy.geo_source, question.client, question.headers)
        facts = msgspec.structs.replace(facts, location=location)
    decision, trace = _decide(policy, facts, moment, used)
    missing = () if asked.request else tuple(_not_given(generation, policy, facts))
    return Explanation(decision, trace, generation.number, generation.mode.value, missing)


def _not_given(generation: Generation, policy: OrgPolicy, facts: SessionFacts) -> Iterator[str]:
    """Yield the fields that a rule in force looks at and that nothing was said of."""
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
