"""Who says whether a rule's text is right: the filter that will judge by it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

Check = Callable[[str], str | None]
"""What is allowed, or None when the text is right."""


@dataclass(frozen=True, slots=True)
class RuleCheck:
    """The kind of text that a list holds."""

    noun: str
    """``a zone``: a wrong one "is not a zone"."""
    check: Check


def _of_filter(name: str) -> Check:
    # UNTIL ALL FILTERS ARE MERGED: one that is not there yet checks nothing. Then: plain imports in the table below.
    try:
        module = importlib.import_module(f"fsproxy.core.filters.{name}")
    except ModuleNotFoundError:
        return _not_empty
    check: Check = getattr(module, "problem", getattr(module, "cookie_problem", _not_empty))
    return check


def _not_empty(text: str) -> str | None:
    return None if text else "a text that is not empty"


RULE_CHECKS: dict[str, RuleCheck] = {
    "domain": RuleCheck("a domain pattern", _of_filter("domain")),
    "ip": RuleCheck("an address pattern", _of_filter("ip")),
    "user_agent": RuleCheck("a user-agent pattern", _of_filter("user_agent")),
    "geo": RuleCheck("a zone", _of_filter("geo")),
    "opt_out": RuleCheck("a cookie", _of_filter("opt_out")),
    "text": RuleCheck("a text", _not_empty),
}
"""By the filter whose rules they are; ``text`` is for what is compared as it stands."""
