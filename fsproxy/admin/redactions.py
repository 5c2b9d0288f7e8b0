"""What the admin API says of redaction: how often each rule was found within 24 hours (rules.md 8)."""

from __future__ import annotations

from typing import Annotated, Literal, TypedDict

from msgspec import Meta

from fsproxy.admin.state_answers import Merged, UnixTime, about
from fsproxy.telemetry.ring import MOST_GROUPS, Recent


class RedactionCount(TypedDict):
    """What one redaction rule has found."""

    rule: str
    mode: Annotated[Literal["enforce", "shadow"], about("shadow: it was counted alone, and went on.")]
    count: Annotated[int, about("Matches.")]
    first: UnixTime
    last: UnixTime


class RedactionReport(Merged):
    """How often each redaction rule was found within 24 hours, the most frequent first. No text is kept."""

    rules: Annotated[list[RedactionCount], Meta(max_length=MOST_GROUPS)]
    evicted: int


def redactions(recent: Recent, now: float) -> RedactionReport:
    """Return what is kept of the last 24 hours."""
    rules: list[RedactionCount] = [
        {
            "rule": rule,
            "mode": "shadow" if alone else "enforce",
            "count": group.count,
            "first": group.first,
            "last": group.last,
        }
        for (rule, alone), group in recent.redactions.last_day(now)
    ]
    return {"rules": rules, "evicted": recent.redactions.evicted}
