"""Reason 9: the page's URL is no URL, or not an accepted one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import ClassVar, Self

from fsproxy.core.matching.hosts import UrlProblem, origin_host
from fsproxy.core.model import FilterName, Hit, Instant, Mode, Rule, SessionFacts
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.settings import CoreSettings, OrgSettings, UrlSettings

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


def problem(text: str) -> str | None:
    """Return what an entry of ``schemes`` must be, or None if this is one."""
    return None if _SCHEME.fullmatch(text) else "a URL's scheme without its colon, such as https"


@unique
class UrlRule(StrEnum):
    """What can be wrong with a page's URL, in the order of the checks."""

    MISSING = "missing"
    NOT_STRING = "not_string"
    MAX_LENGTH = "max_length"
    CONTROL = "control"
    UNPARSEABLE = "unparseable"
    SCHEME = "scheme"
    HOST = "host"
    PORT = "port"
    MATCH_ORIGIN = "match_origin"


@dataclass(frozen=True, slots=True)
class UrlFilter:
    """``schemes``, ``max_length`` (characters), ``match_origin``; and every URL must be a valid one.

    ``http`` and ``https`` URLs need a host. Other schemes (``file``, ``about``) need none where they are allowed. With
    ``match_origin``, a missing or ``null`` Origin does not match.
    """

    name: ClassVar[FilterName] = FilterName.URL
    on_pages_only: ClassVar[bool] = True

    mode: Mode
    schemes: frozenset[str]
    max_length: int | None
    match_origin: bool
    hits: Mapping[UrlRule, Hit]

    @classmethod
    def compile(cls, org: OrgSettings, core: CoreSettings) -> Self | None:
        settings = org.filters.url
        mode = settings.mode.capped(core.mode)
        if mode is Mode.OFF:
            return None
        return cls(
            mode,
            frozenset(scheme.lower() for scheme in settings.schemes),
            settings.max_length,
            settings.match_origin,
            {rule: _hit(rule, settings) for rule in UrlRule},
        )

    def judge(self, facts: SessionFacts, now: Instant) -> Hit | None:
        text, url = facts.url, facts.parsed_url
        if text is None or text == "":
            return self.hits[UrlRule.MISSING]
        if not isinstance(text, str) or url is None:
            return self.hits[UrlRule.NOT_STRING]
        if self.max_length is not None and len(text) > self.max_length:
            return self.hits[UrlRule.MAX_LENGTH]
        # Nearly every URL is printable ASCII, which is a faster check.
        if not (text.isascii() and text.isprintable()) and _CONTROL.search(text) is not None:
            return self.hits[UrlRule.CONTROL]
        problem = url.problem
        if problem is not None and (problem is UrlProblem.UNPARSEABLE or url.scheme in self.schemes):
            return self.hits[UrlRule(problem.value)]
        if url.scheme not in self.schemes:
            return self.hits[UrlRule.SCHEME]
        if self.match_origin and origin_host(facts.origin) != url.host:
            return self.hits[UrlRule.MATCH_ORIGIN]
        return None


def _hit(rule: UrlRule, settings: UrlSettings) -> Hit:
    key = "schemes" if rule is UrlRule.SCHEME else rule.value
    made = Rule(f"{FilterName.URL}:{rule}", settings.places.get(key, ""))
    return Hit(FilterName.URL, ReasonCode.INVALID_URL, made)
