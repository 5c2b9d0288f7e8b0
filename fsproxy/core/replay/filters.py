"""The filters in replay: they return what they lack instead of deciding by half of the facts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, unique
from functools import partial
from itertools import islice
from typing import Any, ClassVar, cast

from fsproxy.core.audit.facts import ADMITTED, UNDER_WAY, AuditFacts
from fsproxy.core.audit.line import LONGEST_RULE
from fsproxy.core.audit.privacy import safe
from fsproxy.core.filters.base import Filter
from fsproxy.core.filters.blocked_user import BlockedUserFilter
from fsproxy.core.filters.deleting_user import DeletingUserFilter
from fsproxy.core.filters.domain import DomainFilter, Share
from fsproxy.core.filters.geo import GeoFilter
from fsproxy.core.filters.ip import IpFilter
from fsproxy.core.filters.opt_out import OptOutFilter
from fsproxy.core.filters.org import OrgFilter
from fsproxy.core.filters.ramping import RampingFilter
from fsproxy.core.filters.script import ScriptFilter
from fsproxy.core.filters.url import UrlFilter
from fsproxy.core.filters.user_agent import UserAgentFilter
from fsproxy.core.model import FilterName, Hit, Instant, Mode, Rule, SessionFacts
from fsproxy.core.policy import OrgPolicy
from fsproxy.core.policy_rules import hits_in
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.replay.addresses import ask_ip
from fsproxy.core.replay.domains import ask_domain, ask_share
from fsproxy.core.replay.facts import MOST_RULES, USER_LACKS, Lacking, ReplayedFacts, is_cut

SHARES = "shares"
"""What the shares of domain rules are called among the filters' answers: the filter itself has another one."""
_AGENT = "the line does not hold the whole User-Agent"
_NOT_KNOWN = Rule("")

Ask = Callable[[ReplayedFacts, Instant], Hit | Lacking | str | None]
"""Returns a hit, None, or what is lacking; as a text if every rule of the filter needs it."""


class Undecidable(BaseException):
    """A rule needs what the line lacks. It is no Exception, as ``judge`` takes those for a filter's own failure."""

    def __init__(self, lacking: Lacking) -> None:
        self.lacking = lacking


@unique
class Part(Enum):
    """The part of the facts that a filter looks at. Pages with equal parts get equal answers from it."""

    PAGE = "page"
    AGENT = "agent"
    ADDRESS = "address"
    USER = "user"


@dataclass(frozen=True, slots=True)
class ReplayFilter:
    """A filter whose answer was found by ``ask`` before the pipeline calls ``judge``.

    If that answer is missing, ``judge`` raises Undecidable. In shadow, where nothing depends on it, ``judge`` hits with
    the rule "" instead.
    """

    on_pages_only: ClassVar[bool] = False

    name: FilterName | str
    """That of the filter, or ``SHARES``."""
    mode: Mode
    part: Part
    _ask: Ask
    rules: tuple[str, ...]
    """The ids of its first rules."""

    def ask(self, facts: ReplayedFacts, now: Instant) -> Hit | Lacking | None:
        """Return the filter's answer for a part of the facts, or what it lacks."""
        found = self._ask(facts, now)
        return Lacking(found, self.rules) if isinstance(found, str) else found

    def judge(self, facts: SessionFacts, now: Instant) -> Hit | None:  # noqa: ARG002 - the filters' protocol
        """See ``Filter.judge``. Raise Undecidable."""
        found = cast("ReplayedFacts", facts).answers[self.name]
        if isinstance(found, Lacking):
            if self.mode is Mode.SHADOW:
                name = FilterName.DOMAIN if self.name is SHARES else FilterName(self.name)
                return Hit(name, ReasonCode.UNSPECIFIED, _NOT_KNOWN)
            raise Undecidable(found)
        return found


@dataclass(frozen=True, slots=True)
class ReplayShares(ReplayFilter):
    """The shares of domain rules, for the pipeline to ask them in place of the filter's."""

    def share(self, facts: SessionFacts, now: Instant) -> Share | None:
        """Return a share that excludes the visitor; None: none does. Raise Undecidable."""
        hit = self.judge(facts, now)
        return Share(0.0, hit) if hit is not None else None


def replay_filters(policy: OrgPolicy, made: dict[int, ReplayFilter]) -> tuple[ReplayFilter, ...]:
    """Return those of all of a policy's filters but the quota.

    ``made`` has those of all policies before by the filter's id, as many orgs share a filter.
    """
    found = policy.on_page if policy.ramping is None else (*policy.on_page, policy.ramping)
    for each in found:
        if id(each) not in made:
            made[id(each)] = _replayed(each)
    shares = policy.shares
    if shares is not None and -id(shares) not in made:
        rules = tuple(safe(share.hit.rule.id, LONGEST_RULE) for share in islice(shares.shares.values(), MOST_RULES))
        made[-id(shares)] = ReplayShares(SHARES, shares.mode, Part.USER, partial(ask_share, shares), rules)
    return tuple(made[id(each)] for each in found) + (() if shares is None else (made[-id(shares)],))


def with_filters(policy: OrgPolicy, filters: Sequence[ReplayFilter]) -> OrgPolicy:
    """Return the policy with these filters in place of its own."""
    ramping = next((each for each in filters if each.name is FilterName.RAMPING), None)
    shares = next((each for each in filters if each.name is SHARES), None)
    return replace(
        policy,
        on_page=tuple(cast("Filter", each) for each in filters if each is not ramping and each is not shares),
        shares=cast("DomainFilter | None", shares),
        ramping=cast("RampingFilter | None", ramping),
    )


def _replayed(each: Filter) -> ReplayFilter:
    if isinstance(each, IpFilter | BlockedUserFilter | DeletingUserFilter) and each.run_time is not None:
        # Answers are remembered, and a list changes: replay goes by the file.
        each = replace(each, run_time=None)
    if isinstance(each, IpFilter):
        part, ask = Part.ADDRESS, ask_ip(each)
    elif isinstance(each, BlockedUserFilter):
        part, ask = Part.PAGE, partial(_blocked_user, {hit.rule.id: hit for hit in each.users.values()})
    else:
        part, question = _QUESTIONS.get(type(each), (Part.PAGE, type(each).judge))
        ask = partial(question, each)
    rules = dict.fromkeys(safe(hit.rule.id, LONGEST_RULE) for hit in islice(hits_in(each), MOST_RULES))
    return ReplayFilter(each.name, each.mode, part, ask, tuple(rules))


def _org(each: OrgFilter, facts: ReplayedFacts, now: Instant) -> Hit | str | None:
    hit = each.judge(facts, now)
    return f"org: {_AGENT}" if hit is None and each.mobile and facts.agent_cut else hit


def _script(each: ScriptFilter, facts: ReplayedFacts, now: Instant) -> Hit | str | None:
    hit = each.judge(facts, now)
    cut = any(is_cut(version or "") for version in (facts.audited.version, facts.audited.snippet))
    return "script: its version is cut in the line" if hit is None and each.versions and cut else hit


def _url(each: UrlFilter, facts: ReplayedFacts, now: Instant) -> Hit | str | None:
    most = each.max_length
    # Internationalised names are longer in the line than in the page's URL.
    if facts.url_grown and most is not None and facts.url_length <= most < len(str(facts.url)):
        return "url: its length is not known"
    return each.judge(facts, now)


def _user_agent(each: UserAgentFilter, facts: ReplayedFacts, now: Instant) -> Hit | str | None:
    return f"user_agent: {_AGENT}" if facts.agent_cut else each.judge(facts, now)


def _geo(each: GeoFilter, facts: ReplayedFacts, now: Instant) -> Hit | str | None:
    return each.judge(facts, now) if facts.audited.located else "geo: the location was not asked for"


def _opt_out(each: OptOutFilter, facts: ReplayedFacts, now: Instant) -> Hit | str | None:
    # The filter looks at cookies last, so a hit by a signal is certain.
    hit = each.judge(facts, now)
    if not facts.audited.cookies or (hit is not None and hit in (each.gpc, each.dnt)):
        return hit
    if all(_is_known(name, text, facts.audited) for name, _, _, text in each.cookies):
        return hit
    return "opt_out: whether the cookie was there was not asked then"


def _is_known(name: str, text: str, audited: AuditFacts) -> bool:
    if text in audited.opt_out or text in audited.no_opt_out or name in audited.no_opt_out:
        return True
    return any(each.startswith(f"{name}=") for each in audited.opt_out)  # so its value is known


def _deleting_user(each: DeletingUserFilter, facts: ReplayedFacts, now: Instant) -> Hit | str | None:
    audited = facts.audited
    hit = None if audited.unnamed or is_cut(facts.user_id) else each.judge(facts, now)
    if hit is not None or not (audited.unnamed or audited.identified or is_cut(facts.user_id)):
        return hit
    if facts.same_users and each.name.value in audited.lists:
        return each.hit if each.hit.rule.id in audited.listed else None
    return f"deleting_user: {USER_LACKS}"


def _blocked_user(rules: Mapping[str, Hit], facts: ReplayedFacts, _: Instant) -> Hit | str | None:
    audited = facts.audited
    if not audited.identified:
        return None
    if not facts.same_users or FilterName.BLOCKED_USER.value not in audited.lists:
        return f"blocked_user: {USER_LACKS}"
    return next((rules[rule] for rule in audited.listed if rule in rules), None)


def _ramping(each: RampingFilter, facts: ReplayedFacts, now: Instant) -> Hit | str | None:
    if facts.audited.session in {UNDER_WAY, ADMITTED}:
        return None  # the ledger admits them, whatever their bucket
    share = each.share(now)
    if 0 < share < 1 and (not (facts.user_id or facts.fresh_user_id) or is_cut(facts.user_id)):
        return f"ramping: {USER_LACKS}"
    return each.judge(facts, now)


_QUESTIONS: Mapping[type, tuple[Part, Callable[[Any, Any, Instant], Hit | Lacking | str | None]]] = {
    OrgFilter: (Part.AGENT, _org),
    ScriptFilter: (Part.PAGE, _script),
    UrlFilter: (Part.PAGE, _url),
    UserAgentFilter: (Part.AGENT, _user_agent),
    DomainFilter: (Part.PAGE, ask_domain),
    GeoFilter: (Part.PAGE, _geo),
    OptOutFilter: (Part.PAGE, _opt_out),
    DeletingUserFilter: (Part.USER, _deleting_user),
    RampingFilter: (Part.USER, _ramping),
}
"""For each filter, the part of the facts that it looks at, and a function that asks it."""
