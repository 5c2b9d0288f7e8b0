"""The answer of ``GET /api/status``, as types. The OpenAPI document is made of them."""

from __future__ import annotations

from typing import Annotated, Literal, TypedDict

from msgspec import Meta

from fsproxy.admin.state_answers import UnixTime, WorkersAnswered, about
from fsproxy.config.schema import TopMode
from fsproxy.telemetry.conditions import Alert
from fsproxy.telemetry.pulse import SLOTS

Seconds = Annotated[float | None, about("Seconds; null: there was no such request.")]
Spark = Annotated[
    list[float], Meta(min_length=SLOTS, max_length=SLOTS, description="Of two minutes each, oldest first.")
]


class Shares(TypedDict):
    """How much of the last hour's requests ended so, from 0 to 1."""

    blocked: Annotated[float, about("Of pages.")]
    rejected: Annotated[float, about("Of all requests that carry captured data: in whole or in part.")]
    failed: Annotated[float, about("Of all requests that carry captured data.")]


class HourCounts(TypedDict):
    """Requests of the last hour."""

    pages: int
    requests: Annotated[int, about("All that carry captured data, pages included.")]
    blocked: Annotated[int, about("Pages.")]
    rejected: Annotated[int, about("Requests, in whole or in part.")]
    failed: Annotated[int, about("Requests.")]


class LatencyQuantiles(TypedDict):
    """Of the requests that ended within the last minute. They are at most 12 % off."""

    own_p50: Annotated[Seconds, about("Time that fsproxy itself adds.")]
    own_p99: Seconds
    upstream_p50: Annotated[Seconds, about("Time from sending a request up to the last byte of its answer.")]
    upstream_p99: Seconds


class Sparks(TypedDict):
    """The last hour, without the present minute."""

    requests: Spark
    blocked: Annotated[Spark, about("Pages.")]
    rejected: Spark
    failed: Spark
    latency: Annotated[Spark, about("own_p99 in seconds; 0 where there was no request.")]
    upstream: Annotated[Spark, about("upstream_p50 in seconds; 0 where there was no request.")]


class HourAgo(TypedDict):
    """The same an hour ago."""

    rate: Annotated[float | None, about("Of five minutes; null: the program is younger.")]


class UpstreamStatus(TypedDict):
    """Whether the upstream answers."""

    state: Annotated[Literal["up", "failing", "unknown"], about("unknown: no request has gone to it yet.")]
    since: UnixTime
    failed: Annotated[int, about("Failing: requests in a row.")]
    kind: Annotated[str | None, about("Failing: the kind of the last failure, such as upstream_refused.")]
    address: Annotated[str | None, about("Failing: host and port. Up: that of upstream.url.")]
    text: Annotated[str, about('In words; "" when it is up.')]


class StoreStatus(TypedDict):
    """Whether the store of the limits answers."""

    kind: Literal["memory", "redis"]
    state: Literal["up", "down", "starting"]
    since: UnixTime
    text: Annotated[str, about('In words; "" when it is up.')]
    latency: Annotated[float | None, about("Seconds of a question, asked every 30 s; null: in memory, or not known.")]


class Status(TypedDict):
    """How the program is, at a glance."""

    time: UnixTime
    started: Annotated[float, about("Unix time: of several workers, the oldest one's start.")]
    version: str
    instance: Annotated[str, about("As /readyz names it.")]
    workers: WorkersAnswered
    mode: TopMode
    privacy: Annotated[list[str], about("What is in force to protect visitors, in words.")]
    privacy_rules: Annotated[list[str], about("The privacy rules in force, which mode does not weaken.")]
    generation: int
    rate: Annotated[float, about("Requests a second that carry captured data, of the last ten seconds.")]
    share: Shares
    hour: HourCounts
    latency: LatencyQuantiles
    sparks: Sparks
    hour_ago: HourAgo
    upstream: UpstreamStatus
    store: StoreStatus
    alerts: Annotated[list[Alert], about("What is not as it should be, the worst first: as in the log and /readyz.")]


class OwnStatus(Status):
    """How the program is, and what the caller may do."""

    may_change: Annotated[bool, about("false: by admin.read_token, which may only read.")]
