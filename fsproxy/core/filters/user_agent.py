"""Reason 6: the User-Agent is blocked, is a crawler's, or is missing."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import Any, ClassVar, Self

import re2

from fsproxy.core.filters.base import rule_of
from fsproxy.core.matching.pattern_set import PatternSet, options
from fsproxy.core.model import FilterName, Hit, Instant, Mode, Rule, SessionFacts
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.settings import CoreSettings, Entry, OrgSettings, UserAgentSettings

LOOKED_AT = 8192
"""Bytes of a User-Agent that are matched; browsers send a few hundred."""
LONGEST_KNOWN = 512
"""Characters of the longest User-Agent whose answer is remembered."""
MOST_KNOWN = 4096
_REGEX = "regex:"
_REGEX_MEMORY = 8 << 20
"""Bytes that one compiled expression may take. ``x{1000}`` ten times over would not fit."""
_CRAWLERS = "crawleruseragents"


class CrawlersMissingError(Exception):
    """``crawlers`` is true, but the list is not installed."""


def problem(text: str) -> str | None:
    """Return what a User-Agent pattern must be, or None if this is one."""
    if not text.removeprefix(_REGEX).strip():
        return "a text that the User-Agent contains, or regex: and an expression; not an empty one"
    if reason(text):
        return "a text that the User-Agent contains, or regex: and an expression in RE2's syntax (no look-around)"
    return None


def reason(text: str) -> str:
    """Return RE2's words for what is wrong with an expression, or "" if nothing is."""
    try:
        re2.compile(_plain_expression(text), options(_REGEX_MEMORY))
    except re2.error as error:
        said: bytes = error.args[0]
        return said.decode("utf-8", "replace")
    except UnicodeError:
        return "half a character"
    return ""


def crawlers_problem() -> str | None:
    """Return what ``crawlers`` must be where the list is not installed, or None if it is."""
    if find_spec(_CRAWLERS) is None:
        return "false, as crawler-user-agents is not installed (pip install fsproxy[crawlers])"
    return None


@dataclass(frozen=True, slots=True)
class UserAgentFilter:
    """``block`` and ``allow``: what a User-Agent contains; ``crawlers``: a maintained list is blocked as well.

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
        crawlers = _crawler_patterns() if settings.crawlers else []
        own = [_expression(entry, settings) for entry in settings.block]
        hits = [_hit(rule_of(cls.name, "block", entry)) for entry in settings.block]
        where = settings.places.get("crawlers", "")
        hits += [_hit(Rule(f"{cls.name}:crawler:{pattern}", where)) for pattern in crawlers]
        return cls(
            mode,
            PatternSet.of(own + crawlers),
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
    return text.removeprefix(_REGEX) if text.startswith(_REGEX) else escaped


def _crawler_patterns() -> list[str]:
    # The list is an optional package, and reads a file. So it is imported only where it is wanted, off the event loop.
    if crawlers_problem() is not None:
        raise CrawlersMissingError("crawler-user-agents is not installed")
    listed: list[dict[str, Any]] = import_module(_CRAWLERS).CRAWLER_USER_AGENTS_DATA
    return [each["pattern"] for each in listed]


def _hit(rule: Rule) -> Hit:
    return Hit(FilterName.USER_AGENT, ReasonCode.USER_AGENT, rule)


def _missing(settings: UserAgentSettings) -> Hit | None:
    if not settings.block_missing:
        return None
    return _hit(Rule(f"{FilterName.USER_AGENT}:missing", settings.places.get("block_missing", "")))
