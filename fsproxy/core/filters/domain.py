"""Reason 4: the page's domain is blocked, or not among those that are captured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self

from fsproxy.core.filters.base import rule_at, rule_of
from fsproxy.core.limits.ramping import Draw, bucket
from fsproxy.core.matching.domains import DomainTable, parse_pattern
from fsproxy.core.matching.hosts import parse_origin
from fsproxy.core.matching.page_rules import Condition, PageRules
from fsproxy.core.model import PAGE, FilterName, Hit, Instant, Mode, Rule, SessionFacts
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.settings import CoreSettings, DomainRule, OrgSettings

_ALLOWED = (
    "a host without scheme or path, * for one whole label, perhaps a port (*.example.com, localhost:9000), or ** for "
    "any host"
)


def problem(text: str) -> str | None:
    """Return what a domain pattern must be, or None if this is one."""
    return _ALLOWED if parse_pattern(text) is None else None


@dataclass(frozen=True, slots=True)
class Share:
    """A rule that captures a share of its visitors. They are drawn as ramping draws, with the rule's id as salt."""

    part: float
    """0 to 1."""
    hit: Hit
    """For visitors outside of it."""

    @property
    def draw(self) -> Draw:
        """What to remember an admitted first visit by."""
        return Draw(self.hit.rule.id, self.part, self.hit.rule.id)

    def excludes(self, facts: SessionFacts) -> bool:
        """Return whether the visitor is outside of the share."""
        return bucket(facts.org or "", self.hit.rule.id, facts.user_id or facts.fresh_user_id) >= self.part


@dataclass(frozen=True, slots=True)
class DomainFilter:
    """Ordered ``rules``, capture or block, of which the first that matches wins; else ``otherwise``.

    Pages are judged by their own URL, other requests by the ``Origin`` header if it has a host. A rule with a path or
    a share is about pages alone (rules.md 7): other requests that it is the first to match are not judged.
    """

    name: ClassVar[FilterName] = FilterName.DOMAIN
    on_pages_only: ClassVar[bool] = False

    mode: Mode
    table: DomainTable
    verdicts: tuple[Hit | None, ...]
    """What each rule decides, in order; None is capture."""
    otherwise: Hit | None
    limited: PageRules | None
    """Finds the rule in place of ``table``; None if no rule has a path, a share or an end."""
    off_pages: tuple[Hit | None, ...] = field(compare=False, repr=False)
    """What each rule decides about other requests than pages."""
    shares: Mapping[int, Share]
    """By the rule's index."""

    @classmethod
    def compile(cls, org: OrgSettings, core: CoreSettings) -> Self | None:
        settings = org.filters.domain
        mode, rules = settings.mode.capped(core.mode), settings.rules
        blocks = not settings.otherwise_capture or any(not rule.capture or rule.share is not None for rule in rules)
        if mode is Mode.OFF or not blocks:
            return None
        hosts = [parse_pattern(rule.pattern.text) for rule in rules]
        is_limited = any(rule.path is not None or rule.share is not None or rule.until is not None for rule in rules)
        conditions = zip(hosts, rules, strict=True) if is_limited else ()
        verdicts = tuple(_verdict(rule) for rule in rules)
        return cls(
            mode,
            DomainTable.of(hosts),
            verdicts,
            None if settings.otherwise_capture else _hit(rule_at(cls.name, "otherwise", settings.places)),
            PageRules.of([Condition(host, r.path, r.until) for host, r in conditions]) if is_limited else None,
            tuple(hit if rule.path is None else None for hit, rule in zip(verdicts, rules, strict=True)),
            {index: _share(rule, rule.share) for index, rule in enumerate(rules) if rule.share is not None},
        )

    def judge(self, facts: SessionFacts, now: Instant) -> Hit | None:
        """Return the rule that blocks, or None. A page whose URL has no host gets ``otherwise``.

        Who is outside of a rule's share is not known here, but to the ledger (``pipeline``).
        """
        is_page = facts.route is PAGE
        url = facts.parsed_url if is_page else parse_origin(facts.origin)
        if url is None:
            return self.otherwise if is_page else None
        if self.limited is None:
            index = self.table.find(url)
        elif is_page:
            index = self.limited.find(url, str(facts.url), now)
        else:
            index = self.limited.find_by_host(url, now)
            return self.otherwise if index is None else self.off_pages[index]
        return self.otherwise if index is None else self.verdicts[index]

    def share(self, facts: SessionFacts, now: Instant) -> Share | None:
        """Return the share of the rule that decides about a page; None if it has none."""
        if self.limited is None or facts.parsed_url is None:
            return None
        index = self.limited.find(facts.parsed_url, str(facts.url), now)
        return None if index is None else self.shares.get(index)


def _verdict(rule: DomainRule) -> Hit | None:
    return None if rule.capture else _hit(named(rule))


def _share(rule: DomainRule, part: float) -> Share:
    return Share(part, Hit(FilterName.DOMAIN, ReasonCode.TRAFFIC_RAMPING, named(rule)))


def named(rule: DomainRule) -> Rule:
    """Return a rule with its id. Its share and its end may change without changing that."""
    verb = "capture" if rule.capture else "block"
    return rule_of(FilterName.DOMAIN, verb, rule.pattern, f"{rule.pattern.text}{rule.path or ''}")


def _hit(rule: Rule) -> Hit:
    return Hit(FilterName.DOMAIN, ReasonCode.DOMAIN_FILTER, rule)
