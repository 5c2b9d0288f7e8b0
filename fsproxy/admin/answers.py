"""The admin port's answers about requests, as types. The OpenAPI document is made of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from msgspec import Meta

from fsproxy.admin.state_answers import Load, Merged, Reload, UnixTime, about
from fsproxy.admin.status_answers import Status
from fsproxy.config.schema import TopMode
from fsproxy.core.pipeline import Judgement
from fsproxy.reload.loads import MOST_LOADS
from fsproxy.telemetry.orgs import MOST_MINUTES, MOST_ORGS
from fsproxy.telemetry.ring import MOST_GROUPS

MOST_DECISIONS = 500
"""Decisions of one answer."""
MOST_NEW = 50
"""Decisions of one event: the newest."""
Outcome = Literal["captured", "blocked", "undecidable", "not_judged"]


class Decision(TypedDict):
    """One request that has ended."""

    number: Annotated[int, about("Counts the requests of one process in the order in which they ended.")]
    where: Annotated[
        str, Meta(description='file:line:column of the rule that blocked, in the line\'s generation; or "".')
    ]
    ended: Annotated[float, about("Unix time of its end. Its minute in /api/traffic is that of this time.")]
    line: Annotated[dict[str, Any], about("The audit line, whether or not it was written (audit.share).")]
    story: Annotated[
        list[Annotated[list[str], Meta(min_length=2, max_length=2)]],
        about("The line in words, as fsproxy why has them: labels and sentences. Places and today: by the rules now."),
    ]
    worker: NotRequired[Annotated[int, about("With workers above 1: the worker's number, from 1.")]]


class OutcomeCounts(TypedDict):
    """How many lines have each outcome.

    A request that went on with a part of its calls is counted as rejected, and as what it ended as.
    """

    all: int
    blocked: int
    rejected: int
    failed: int
    captured: int
    forwarded: int


class Kept(TypedDict):
    """How many lines are kept at the most, of all workers that answered."""

    decisions: Annotated[int, about("Of pages, and of whatever was blocked, rejected, failed or hit by a shadow rule.")]
    forwarded: Annotated[int, about("Of requests that were merely forwarded.")]
    since: Annotated[float, about("Unix time: since when none of the former is missing.")]


class AddressAsked(TypedDict):
    """How audit lines have an address (audit.client_ip), by which they are found."""

    asked: str
    listed_as: Annotated[str | None, about("null: lines hold no address, so none is found.")]
    stands_for: Annotated[
        float | None, about("How many addresses look alike in lines: 256 of IPv4 and 2**80 of IPv6, if truncated.")
    ]


class Decisions(Merged):
    """Requests, newest first."""

    decisions: Annotated[list[Decision], Meta(max_length=MOST_DECISIONS)]
    next: Annotated[str | None, about("before of the next answer; null: these are the last.")]
    matching: Annotated[int, about("Lines that are kept and meet all conditions, on whatever page.")]
    counts: Annotated[OutcomeCounts, about("Of the lines that meet all conditions but outcome.")]
    kept: Kept
    address: Annotated[AddressAsked | None, about("null: address was not asked for.")]
    number: Annotated[int, about("Requests so far, of this process or of all workers.")]


class Rule(TypedDict):
    """A rule of the configuration."""

    id: str
    where: Annotated[str, about('file:line:column in the configuration, or "" for a default.')]


class Step(TypedDict):
    """What one filter concluded."""

    filter: str
    judgement: Judgement
    rule: Rule | None


class ExplainedDecision(TypedDict):
    """What would be decided about a request, and why."""

    decision: Outcome
    because: Annotated[
        str | None,
        about(
            "Undecidable: the filter, and the fact that the audit line does not hold. Not judged: why no rule looks at "
            "the request."
        ),
    ]
    rules: Annotated[list[str], about("Undecidable: the rules that need that fact, the first three of many.")]
    reason_code: int | None
    reason: str | None
    rule: Rule | None
    means: Annotated[str | None, about("What the rule that blocks means, in words.")]
    mode: TopMode
    generation: int
    filters: Annotated[list[Step], about("In the order in which they decide.")]
    not_judged: Annotated[list[str], about("Filters without rules.")]
    not_given: Annotated[list[str], about("Fields of the question that rules look at and that were left out.")]


class SourceLine(TypedDict):
    """A line of the configuration, without secrets and ids of people."""

    number: int
    text: str
    start: Annotated[int, about("The first character of the rule, from 0.")]
    end: Annotated[int, about("The first one behind it.")]


class Explanation(ExplainedDecision):
    """What would be decided about a request, with the quota as it is used now, and where that limit is now."""

    source: Annotated[
        list[SourceLine],
        about(
            "The lines of the rule that blocks, or of those that an undecidable decision needs; none when the file has "
            "changed since it was loaded."
        ),
    ]

    quota_known: Annotated[bool, about("False: the store that counts the quota's use is down, and it is taken as 0.")]


class RejectionGroup(TypedDict):
    """Rejections with the same org, code, call and property."""

    org: str
    code: Annotated[str, about("For example InvalidPropertyName.")]
    call: str | None
    property: str | None
    count: int
    first: UnixTime
    last: UnixTime


class Rejections(Merged):
    """Calls and properties that were rejected within 24 hours, the most frequent first."""

    groups: Annotated[list[RejectionGroup], Meta(max_length=MOST_GROUPS)]
    shadow: Annotated[
        list[RejectionGroup],
        Meta(max_length=MOST_GROUPS, description="What a mode of shadow, or the plan of names, only reports."),
    ]
    evicted: Annotated[int, about("Groups that were dropped to make room, since the start.")]
    unlisted: Annotated[
        int, about("Rejections that are counted, but in no group: beyond audit.rejections of one request.")
    ]


class ShadowRule(TypedDict):
    """What one shadow rule would have blocked."""

    rule: str
    filter: str
    reason_code: int
    reason: str
    pages: Annotated[int, about("Sessions.")]
    count: Annotated[int, about("All requests, pages included.")]
    first: UnixTime
    last: UnixTime


class ShadowReport(Merged):
    """What shadow rules would have blocked within 24 hours."""

    rules: Annotated[list[ShadowRule], Meta(max_length=MOST_GROUPS)]
    evicted: int


class Ends(TypedDict):
    """How requests ended."""

    captured: int
    forwarded: int
    rejected: int
    failed: int
    blocked: Annotated[dict[str, int], about("By reason code.")]


class Minute(TypedDict):
    """How requests ended within one minute, or within as many as were asked for as a step."""

    minute: Annotated[int, about("Unix time at which it begins.")]
    pages: Ends
    requests: Annotated[Ends, about("All that carry captured data, pages included.")]
    upstream_failed: Annotated[int, about("Requests that failed, and it was the upstream's failure.")]
    rejected_in_part: Annotated[int, about("Requests that went on without some of their calls or properties.")]


class Traffic(Merged):
    """How requests ended, by minute or by some minutes."""

    minutes: Annotated[
        list[Minute], Meta(max_length=MOST_MINUTES, description="Oldest first; the last one is not over.")
    ]
    step: Annotated[int, about("How many minutes are summed. They begin where Unix time is a multiple of that.")]
    org: Annotated[str | None, about("Whose requests these are; null: everybody's.")]
    orgs: Annotated[
        list[str],
        Meta(
            max_length=MOST_ORGS + 1,
            description="Orgs that can be asked for, and (others): those for which there was no room.",
        ),
    ]
    loads: Annotated[list[Load], Meta(max_length=MOST_LOADS, description="The last ones, the start included.")]
    reasons: Annotated[dict[str, str], about("The text of each reason code.")]


class News(TypedDict):
    """What has happened since the event before."""

    time: UnixTime
    minutes: Annotated[list[Minute], Meta(max_length=3)]
    decisions: Annotated[
        list[Decision],
        Meta(max_length=MOST_NEW, description="New ones, newest first, without what was only forwarded."),
    ]


class Event(News, Merged):
    """The data of one server-sent event."""

    status: Status
    mode: TopMode
    generation: int
    warnings: NotRequired[list[str]]
    config: NotRequired[Reload]
    upstream: NotRequired[dict[str, Any]]
    store: NotRequired[dict[str, Any]]
