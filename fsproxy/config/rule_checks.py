"""How the texts of rules are checked: by the filters that will use them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fsproxy.core.filters import domain, geo, ip, opt_out, url, user_agent
from fsproxy.core.matching import origins

Check = Callable[[str], str | None]
"""Returns what is allowed, or None when the text is right."""


@dataclass(frozen=True, slots=True)
class RuleCheck:
    """The kind of text that a list holds."""

    noun: str
    """``a zone``: a wrong one "is not a zone"."""
    check: Check
    reason: Callable[[str], str] | None = None
    """Returns what exactly is wrong with a text, or "". Without it, what may have been meant is looked for."""
    blanks: bool = False
    """Whether a text may hold blanks, so that in a list file a comment behind it needs one after its ``#``, too."""


def _not_empty(text: str) -> str | None:
    return None if text else "a text that is not empty"


RULE_CHECKS: dict[str, RuleCheck] = {
    "domain": RuleCheck("a domain pattern", domain.problem),
    "ip": RuleCheck("an address pattern", ip.problem),
    "user_agent": RuleCheck("a user-agent pattern", user_agent.problem, user_agent.reason, blanks=True),
    "geo": RuleCheck("a zone", geo.problem),
    "opt_out": RuleCheck("a cookie", opt_out.problem),
    "url": RuleCheck("a scheme", url.problem),
    "origin": RuleCheck("an origin pattern", origins.problem),
    "text": RuleCheck("a text", _not_empty, blanks=True),
}
"""By the filter whose rules they are. ``origin`` is for those of ``cors``, ``text`` for texts compared as they are."""
