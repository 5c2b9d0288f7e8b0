"""The vital signs of one process, and the sums of those of several: what the status is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec

from fsproxy.admin.status_answers import StoreStatus, UpstreamStatus
from fsproxy.admin.views import traffic
from fsproxy.core.model import Instant
from fsproxy.http.origin import Origin
from fsproxy.proxy.data_plane import DataPlane
from fsproxy.telemetry.conditions import alert
from fsproxy.telemetry.pulse import HOUR, Latencies, total

AGO_MINUTES = 5
"""The rate an hour ago is of so many minutes around that time."""
MINUTES = HOUR + AGO_MINUTES
"""Minutes of traffic that are looked at, the present one included."""
_UNKNOWN: UpstreamStatus = {
    "state": "unknown",
    "since": 0.0,
    "failed": 0,
    "kind": None,
    "address": None,
    "text": "no worker answers",
}
_NO_STORE: StoreStatus = {
    "kind": "redis",
    "state": "starting",
    "since": 0.0,
    "text": "no worker answers",
    "latency": None,
}


class Vitals(msgspec.Struct):
    """The vital signs of one process. Those of several can be added."""

    time: float
    started: float
    rate: float
    minutes: list[dict[str, Any]]
    """The last ``MINUTES`` of traffic, as ``answers.Minute``."""
    last_minute: Latencies
    last_hour: list[Latencies]
    upstream: UpstreamStatus
    store: StoreStatus


def vitals_of(data_plane: DataPlane, time: Instant) -> Vitals:
    """Return the vital signs of this process."""
    pulse, present = data_plane.pulse, data_plane.conditions.present()
    (upstream, upstream_since), (store, store_since) = pulse.state("upstream"), pulse.state("store")
    failing = next((each for each in present if each.id.startswith("upstream:") and "kind" in each.fields), None)
    config = data_plane.generation.config
    usual = Origin.of(config.upstream.url).address
    return Vitals(
        time=time,
        started=pulse.started,
        rate=pulse.rate,
        minutes=cast("list[dict[str, Any]]", traffic(data_plane.recent.traffic.minutes(MINUTES, time))),
        last_minute=pulse.last_minute(),
        last_hour=pulse.last_hour(),
        upstream={
            "state": "failing" if failing is not None else cast("Any", upstream),
            "since": failing.since if failing is not None else upstream_since,
            "failed": failing.count if failing is not None else 0,
            "kind": str(failing.fields["kind"]) if failing is not None else None,
            "address": str(failing.fields["address"]) if failing is not None else usual,
            "text": failing.text if failing is not None else "",
        },
        store={
            "kind": config.state.backend.value,
            "state": cast("Any", store),
            "since": store_since,
            "text": "" if store == "up" else next((alert(each)["text"] for each in present if "store" in each.id), ""),
            "latency": cast("dict[str, Any]", data_plane.state()["store"]).get("latency"),
        },
    )


def merged(every: Sequence[Vitals], minutes: list[Any], time: Instant) -> Vitals:
    """Return the vital signs of all workers as those of one process. ``minutes``: the sums of theirs."""
    if not every:
        return Vitals(time, time, 0.0, [], Latencies(), [], _UNKNOWN, _NO_STORE)
    return Vitals(
        time=time,
        started=min(each.started for each in every),
        rate=sum(each.rate for each in every),
        minutes=minutes[-MINUTES:],
        last_minute=total(each.last_minute for each in every),
        last_hour=[total(slots) for slots in zip(*(each.last_hour for each in every), strict=True)],
        upstream=_upstream([each.upstream for each in every]),
        store=max((each.store for each in every), key=lambda store: (store["state"] != "up", store["since"])),
    )


def _upstream(every: Sequence[UpstreamStatus]) -> UpstreamStatus:
    failing = [each for each in every if each["state"] == "failing"]
    if failing:
        first = min(failing, key=lambda each: each["since"])
        return {**first, "failed": sum(each["failed"] for each in failing)}
    known = [each for each in every if each["state"] == "up"] or every
    return max(known, key=lambda each: each["since"])
