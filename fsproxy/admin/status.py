"""How the program is, at a glance: made of the vital signs of one process, or of the sums of several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import msgspec

from fsproxy import __version__
from fsproxy.admin.state_answers import State, WorkersAnswered
from fsproxy.admin.status_answers import Sparks, Status, StoreStatus, UpstreamStatus
from fsproxy.admin.views import traffic
from fsproxy.config.schema import AddressPrivacy, Config, TopMode
from fsproxy.core.model import Instant, Mode
from fsproxy.http.origin import Origin
from fsproxy.proxy.data_plane import DataPlane
from fsproxy.telemetry.conditions import Alert, alert
from fsproxy.telemetry.durations import quantile
from fsproxy.telemetry.pulse import HOUR, MINUTE, SLOT_MINUTES, SLOTS, Latencies, total

AGO_MINUTES = 5
"""The rate an hour ago is of so many minutes around that time."""
MINUTES = HOUR + AGO_MINUTES
"""Minutes of traffic that are looked at, the present one included."""
_ADDRESSES = {
    AddressPrivacy.TRUNCATED: "audit lines have addresses without their last part",
    AddressPrivacy.HASHED: "audit lines have hashes in place of addresses",
    AddressPrivacy.NONE: "audit lines have no addresses",
}
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
_LEVELS = ("bad", "warn", "info")


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
    alerts: list[Alert]


def vitals_of(data_plane: DataPlane, time: Instant) -> Vitals:
    """Return the vital signs of this process."""
    pulse, present = data_plane.pulse, data_plane.conditions.present()
    alerts = [alert(each) for each in present]
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
            "text": "" if store == "up" else next((each["text"] for each in alerts if "store" in each["id"]), ""),
            "latency": cast("dict[str, Any]", data_plane.state()["store"]).get("latency"),
        },
        alerts=alerts,
    )


def merged(every: Sequence[Vitals], minutes: list[Any], time: Instant) -> Vitals:
    """Return the vital signs of all workers as those of one process. ``minutes``: the sums of theirs."""
    if not every:
        return Vitals(time, time, 0.0, [], Latencies(), [], _UNKNOWN, _NO_STORE, [])
    return Vitals(
        time=time,
        started=min(each.started for each in every),
        rate=sum(each.rate for each in every),
        minutes=minutes[-MINUTES:],
        last_minute=total(each.last_minute for each in every),
        last_hour=[total(slots) for slots in zip(*(each.last_hour for each in every), strict=True)],
        upstream=_upstream([each.upstream for each in every]),
        store=max((each.store for each in every), key=lambda store: (store["state"] != "up", store["since"])),
        alerts=_alerts(alert for each in every for alert in each.alerts),
    )


def _upstream(every: Sequence[UpstreamStatus]) -> UpstreamStatus:
    failing = [each for each in every if each["state"] == "failing"]
    if failing:
        first = min(failing, key=lambda each: each["since"])
        return {**first, "failed": sum(each["failed"] for each in failing)}
    known = [each for each in every if each["state"] == "up"] or every
    return max(known, key=lambda each: each["since"])


def _alert(text: str, since: float) -> Alert:
    return {"id": f"warning:{text}", "level": "warn", "since": since, "text": text[:1].upper() + text[1:], "more": ""}


def _alerts(every: Iterable[Alert]) -> list[Alert]:
    """Return each alert once, with the earliest time: the worst first, and of one level the oldest first.

    Those that several workers have say of how many it is.
    """
    found: dict[str, Alert] = {}
    times = Counter[str]()
    for each in every:
        times[each["id"]] += 1
        known = found.get(each["id"])
        if known is None or each["since"] < known["since"]:
            found[each["id"]] = each
    for name, each in found.items():
        if times[name] > 1:
            found[name] = {**each, "more": f"{each['more']} In {times[name]} workers.".strip()}
    return sorted(found.values(), key=lambda each: (_LEVELS.index(each["level"]), each["since"]))


def status(
    vitals: Vitals,
    state: Mapping[str, Any] | State,
    config: Config,
    workers: WorkersAnswered,
    warned: Mapping[str, float],
) -> Status:
    """Return the answer.

    ``state``: the mode, the generation, the instance and the warnings, as in ``/readyz``. ``warned``: since when each
    warning is there that is no alert.
    """
    told = {alert["text"].casefold() for alert in vitals.alerts}
    more = (text for text in state["warnings"] if text.casefold() not in told)
    alerts = [*vitals.alerts, *(_alert(text, warned.get(text, vitals.time)) for text in more)]
    own, upstream = vitals.last_minute.own, vitals.last_minute.upstream
    hour = [_counts(minute) for minute in vitals.minutes[-HOUR - 1 :]]
    whole = {name: sum(each[name] for each in hour) for name in _counts(_NOTHING)}
    old = vitals.minutes[:AGO_MINUTES]
    is_old = len(vitals.minutes) == MINUTES and old[0]["minute"] >= vitals.started
    ago = sum(_counts(minute)["requests"] for minute in old) / (AGO_MINUTES * MINUTE)
    return cast(
        "Status",
        {
            "time": vitals.time,
            "started": vitals.started,
            "version": __version__,
            "instance": state["instance"],
            "workers": workers,
            "mode": state["mode"],
            "privacy": privacy(config, TopMode(state["mode"])),
            "generation": state["generation"],
            "rate": round(vitals.rate, 2),
            "share": {
                "blocked": _share(whole["blocked"], whole["pages"]),
                "rejected": _share(whole["rejected"], whole["requests"]),
                "failed": _share(whole["failed"], whole["requests"]),
            },
            "hour": whole,
            "latency": {
                "own_p50": quantile(own, 0.5),
                "own_p99": quantile(own, 0.99),
                "upstream_p50": quantile(upstream, 0.5),
                "upstream_p99": quantile(upstream, 0.99),
            },
            "sparks": _sparks(vitals, hour[:-1]),
            "hour_ago": {"rate": round(ago, 2) if is_old else None},
            "upstream": vitals.upstream,
            "store": vitals.store,
            "alerts": _alerts(alerts),
        },
    )


_ENDS = ("captured", "forwarded", "rejected", "failed")
_NOTHING: dict[str, Any] = {
    "rejected_in_part": 0,
    **{kind: {**dict.fromkeys(_ENDS, 0), "blocked": {}} for kind in ("pages", "requests")},
}


def _counts(minute: Mapping[str, Any]) -> dict[str, int]:
    pages, requests = minute["pages"], minute["requests"]
    return {
        "pages": _sum(pages),
        "requests": _sum(requests),
        "blocked": sum(pages["blocked"].values()),
        "rejected": requests["rejected"] + minute["rejected_in_part"],
        "failed": requests["failed"],
    }


def _sum(ends: Mapping[str, Any]) -> int:
    found: int = sum(ends["blocked"].values()) + sum(
        ends[end] for end in ("captured", "forwarded", "rejected", "failed")
    )
    return found


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _sparks(vitals: Vitals, hour: list[dict[str, int]]) -> Sparks:
    hour = [_counts(_NOTHING)] * (HOUR - len(hour)) + hour

    def line(name: str) -> list[float]:
        return [sum(each[name] for each in hour[at : at + SLOT_MINUTES]) for at in range(0, HOUR, SLOT_MINUTES)]

    slots = vitals.last_hour or [Latencies()] * SLOTS
    return {
        "requests": line("requests"),
        "blocked": line("blocked"),
        "rejected": line("rejected"),
        "failed": line("failed"),
        "latency": [quantile(slot.own, 0.99) or 0.0 for slot in slots],
        "upstream": [quantile(slot.upstream, 0.5) or 0.0 for slot in slots],
    }


def privacy(config: Config, mode: TopMode) -> list[str]:
    """Return what is in force to protect visitors, in words. ``mode``: the one in force."""
    shown = config.audit.client_ip
    found = [_ADDRESSES[shown]] if shown in _ADDRESSES else []
    opt_out = config.core.default.filters.opt_out
    if mode.cap.capped(opt_out.mode) is Mode.ENFORCE:
        found += ["visitors with an opt-out cookie are not captured"] if opt_out.cookies else []
        found += ["Sec-GPC: 1 is obeyed"] if opt_out.gpc else []
        found += ["DNT: 1 is obeyed"] if opt_out.dnt else []
    return found
