"""Reason 10: the visitor opted out, by cookie, by Global Privacy Control or by Do Not Track."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Self

from fsproxy.core.filters.base import rule_at, rule_of
from fsproxy.core.matching.cookies import search_of_cookie
from fsproxy.core.model import FilterName, Hit, Instant, Mode, SessionFacts
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.settings import CoreSettings, Entry, OptOutSettings, OrgSettings


def problem(text: str) -> str | None:
    """Return what a cookie rule must be, or None if this is one (``name`` or ``name=value``)."""
    name = text.partition("=")[0]
    if not name or any(c in name for c in ' \t\r\n;,"'):
        return "a cookie's name, alone or with =value"
    return None


CookieRule = tuple[str, Callable[[str], re.Match[str] | None], Hit, str]
"""A cookie's name, the search for it in a header, the hit, and the text as configured."""


@dataclass(frozen=True, slots=True)
class OptOutFilter:
    """``cookies``: a listed cookie, with the listed value or with any; ``gpc``, ``dnt``: the headers."""

    name: ClassVar[FilterName] = FilterName.OPT_OUT
    on_pages_only: ClassVar[bool] = True

    mode: Mode
    cookies: tuple[CookieRule, ...]
    texts: tuple[str, ...]
    """The texts of all cookies."""
    gpc: Hit | None
    dnt: Hit | None

    @classmethod
    def compile(cls, org: OrgSettings, core: CoreSettings) -> Self | None:
        settings = org.filters.opt_out
        mode = core.mode_of(cls.name, settings.mode)
        if mode is Mode.OFF or not (settings.cookies or settings.gpc or settings.dnt):
            return None
        return cls(
            mode,
            tuple(_cookie_rule(entry) for entry in settings.cookies),
            tuple(entry.text for entry in settings.cookies),
            _header_rule("gpc", settings) if settings.gpc else None,
            _header_rule("dnt", settings) if settings.dnt else None,
        )

    def judge(self, facts: SessionFacts, now: Instant) -> Hit | None:
        if self.gpc and facts.gpc:
            return self.gpc
        if self.dnt and facts.dnt:
            return self.dnt
        header = facts.cookies
        for name, find, hit, _ in self.cookies:
            if name in header and find(header) is not None:
                return hit
        return None

    def found(self, header: str) -> tuple[str, ...]:
        """Return the texts of the rules whose cookies are in a ``Cookie`` header."""
        return tuple([text for name, find, _, text in self.cookies if name in header and find(header) is not None])


def _cookie_rule(entry: Entry) -> CookieRule:
    name, equals, value = entry.text.partition("=")
    hit = Hit(FilterName.OPT_OUT, ReasonCode.OPT_OUT_COOKIE, rule_of(FilterName.OPT_OUT, "cookie", entry))
    return name, search_of_cookie(name, value if equals else None), hit, entry.text


def _header_rule(key: str, settings: OptOutSettings) -> Hit:
    return Hit(FilterName.OPT_OUT, ReasonCode.OPT_OUT_COOKIE, rule_at(FilterName.OPT_OUT, key, settings.places))
