"""Reason 4: the page's domain is blocked, or not among those that are captured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from fsproxy.core.filters.base import rule_at, rule_of
from fsproxy.core.matching.domains import DomainTable, parse_pattern
from fsproxy.core.matching.hosts import parse_origin
from fsproxy.core.model import PAGE, FilterName, Hit, Instant, Mode, Rule, SessionFacts
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.settings import CoreSettings, DomainRule, OrgSettings


def problem(text: str) -> str | None:
    """Return what a domain pattern must be, or None if this is one."""
    if parse_pattern(text) is None:
        return "a host without scheme or path, * for one whole label, perhaps a port (*.example.com, localhost:9000)"
    return None


@dataclass(frozen=True, slots=True)
class DomainFilter:
    """Ordered ``rules``, capture or block, of which the first that matches wins; else ``otherwise``.

    Pages are judged by their own URL, other requests by the ``Origin`` header if it has a host.
    """

    name: ClassVar[FilterName] = FilterName.DOMAIN
    on_pages_only: ClassVar[bool] = False

    mode: Mode
    table: DomainTable
    verdicts: tuple[Hit | None, ...]
    """What each rule decides, in order; None is capture."""
    otherwise: Hit | None

    @classmethod
    def compile(cls, org: OrgSettings, core: CoreSettings) -> Self | None:
        settings = org.filters.domain
        mode = settings.mode.capped(core.mode)
        blocks = not settings.otherwise_capture or any(not rule.capture for rule in settings.rules)
        if mode is Mode.OFF or not blocks:
            return None
        return cls(
            mode,
            DomainTable.of(parse_pattern(rule.pattern.text) for rule in settings.rules),
            tuple(_verdict(rule) for rule in settings.rules),
            None if settings.otherwise_capture else _hit(rule_at(cls.name, "otherwise", settings.places)),
        )

    def judge(self, facts: SessionFacts, now: Instant) -> Hit | None:
        """Return the rule that blocks, or None. A page whose URL has no host gets ``otherwise``."""
        url = facts.parsed_url if facts.route is PAGE else parse_origin(facts.origin)
        if url is None:
            return self.otherwise if facts.route is PAGE else None
        index = self.table.find(url)
        return self.otherwise if index is None else self.verdicts[index]


def _verdict(rule: DomainRule) -> Hit | None:
    return None if rule.capture else _hit(rule_of(FilterName.DOMAIN, "block", rule.pattern))


def _hit(rule: Rule) -> Hit:
    return Hit(FilterName.DOMAIN, ReasonCode.DOMAIN_FILTER, rule)
