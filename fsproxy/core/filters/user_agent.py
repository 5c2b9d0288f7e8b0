"""Reason 6: the User-Agent is blocked, is a crawler's, or is missing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Self

import re2

from fsproxy.core.filters.base import rule_of
from fsproxy.core.matching import crawlers, pattern_set
from fsproxy.core.matching.pattern_set import REGEX, PatternSet
from fsproxy.core.model import FilterName, Hit, Instant, Mode, Rule, SessionFacts
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.settings import CoreSettings, Entry, OrgSettings, UserAgentSettings

LOOKED_AT = 8192
"""Bytes of a User-Agent that are matched; browsers send a few hundred."""
LONGEST_KNOWN = 512
"""Characters of the longest User-Agent whose answer is remembered."""
MOST_KNOWN = 4096


def problem(text: str) -> str | None:
    """Return what a User-Agent pattern must be, or None if this is one."""
    if not text.removeprefix(REGEX).strip():
        return "a text that the User-Agent contains, or regex: and an expression; not an empty one"
    if reason(text):
        return "a text that the User-Agent contains, or regex: and an expression in RE2's syntax (no look-around)"
    return None


def reason(text: str) -> str:
    """Return RE2's words for what is wrong with an expression, or "" if nothing is."""
    return pattern_set.reason(_plain_expression(text))


@dataclass(frozen=True, slots=True)
class UserAgentFilter:
    """``block`` and ``allow``: what a User-Agent contains; ``crawlers``: known crawlers are blocked as well.

    What is allowed is never blocked. The first of several rules that match makes the hit.
    """

    name: ClassVar[FilterName] = FilterName.USER_AGENT
    on_pages_only: ClassVar[bool] = False

    mode: Mode
    block: PatternSet
    hits: tuple[Hit, ...]
    """The hit of each pattern of ``block``."""
    allow: PatternSet
    missing: Hit | None
    known: dict[str, Hit | None] = field(default_factory=dict, compare=False, repr=False)
    """The latest answers, to answer faster. Browsers send the same few thousand texts."""

    @classmethod
    def compile(cls, org: OrgSettings, core: CoreSettings) -> Self | None:
        """See ``Filter.compile``. Raise CrawlersMissingError if the list is wanted and not installed."""
        settings = org.filters.user_agent
        mode = settings.mode.capped(core.mode)
        if mode is Mode.OFF or not (settings.block or settings.crawlers or settings.block_missing):
            return None
        known = _crawlers() if settings.crawlers else {}
        own = [_expression(entry, settings) for entry in settings.block]
        hits = [_hit(rule_of(cls.name, "block", entry)) for entry in settings.block]
        where = settings.places.get("crawlers", "")
        hits += [_hit(Rule(f"{cls.name}:crawler:{pattern}", where)) for pattern in known]
        return cls(
            mode,
            PatternSet.of([*own, *known.values()]),
            tuple(hits),
            PatternSet.of([_expression(entry, settings) for entry in settings.allow]),
            _missing(settings),
        )

    def judge(self, facts: SessionFacts, now: Instant) -> Hit | None:
        agent = facts.user_agent
        if not agent:
            return self.missing
        try:
            return self.known[agent]
        except KeyError:
            hit = self._find(_looked_at(agent))
        if len(agent) <= LONGEST_KNOWN:
            if len(self.known) >= MOST_KNOWN:
                self.known.clear()
            self.known[agent] = hit
        return hit

    def _find(self, text: bytes) -> Hit | None:
        index = self.block.first(text)
        if index is None or self.allow.first(text) is not None:
            return None
        return self.hits[index]


def _looked_at(agent: str) -> bytes:
    # It is cut before it is encoded as well: a header may be long, and a character is one byte or more.
    start = agent[:LOOKED_AT]
    try:
        return start.encode("utf-8", "surrogateescape")[:LOOKED_AT]
    except UnicodeEncodeError:  # surrogates that escape no byte come out of a JSON body, not out of a header
        return start.encode("utf-8", "surrogatepass")[:LOOKED_AT]


def _expression(entry: Entry, settings: UserAgentSettings) -> str:
    # The flag is in front instead of in a group around, because the expression may end in an open \Q.
    return _plain_expression(entry.text) if settings.case_sensitive else f"(?i){_plain_expression(entry.text)}"


def _plain_expression(text: str) -> str:
    escaped: str = re2.escape(text)
    return text.removeprefix(REGEX) if text.startswith(REGEX) else escaped


def _crawlers() -> dict[str, str]:
    """Return the expression of each known crawler by its name in rule ids. Names are those of bots, in any case."""
    names = crawlers.BLOCKED_BY_THE_VENDOR + crawlers.OF_THEIR_KIND
    found = {pattern: pattern for pattern in crawlers.listed()}
    found |= {name: re2.escape(name) for name in names}
    return {name: f"(?i){expression}" for name, expression in found.items()}


def _hit(rule: Rule) -> Hit:
    return Hit(FilterName.USER_AGENT, ReasonCode.USER_AGENT, rule)


def _missing(settings: UserAgentSettings) -> Hit | None:
    if not settings.block_missing:
        return None
    return _hit(Rule(f"{FilterName.USER_AGENT}:missing", settings.places.get("block_missing", "")))
