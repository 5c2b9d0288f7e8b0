"""How the program is, at a glance: the answer that is made of its vital signs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from fsproxy import __version__
from fsproxy.admin.state_answers import State, WorkersAnswered
from fsproxy.admin.status.vitals import AGO_MINUTES, MINUTES, Vitals
from fsproxy.admin.status_answers import Sparks, Status
from fsproxy.config.schema import AddressPrivacy, Config
from fsproxy.core.model import FilterName
from fsproxy.core.settings import REDACT
from fsproxy.telemetry.conditions import Alert, urgency
from fsproxy.telemetry.durations import quantile
from fsproxy.telemetry.pulse import HOUR, MINUTE, SLOT_MINUTES, SLOTS, Latencies

_ADDRESSES = {
    AddressPrivacy.TRUNCATED: "audit lines have addresses without their last part",
    AddressPrivacy.HASHED: "audit lines have hashes in place of addresses",
    AddressPrivacy.NONE: "audit lines have no addresses",
}


def _alert(text: str, since: float) -> Alert:
    return {"id": f"warning:{text}", "level": "warn", "since": since, "text": text[:1].upper() + text[1:], "more": ""}


def status(
    vitals: Vitals,
    alerts: Sequence[Alert],
    state: Mapping[str, Any] | State,
    config: Config,
    workers: WorkersAnswered,
    warned: Mapping[str, float],
) -> Status:
    """Return the answer.

    ``alerts``: the conditions of the program. ``state``: the mode, the generation, the instance and the warnings, as in
    ``/readyz``. ``warned``: since when each warning is there that is no alert.
    """
    known = {alert["text"].casefold() for alert in alerts}
    more = (text for text in state["warnings"] if text.casefold() not in known)
    alerts = [*alerts, *(_alert(text, warned.get(text, vitals.time)) for text in more)]
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
            "privacy": privacy(config, state["privacy"]),
            "privacy_rules": state["privacy"],
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
            "alerts": sorted(alerts, key=lambda each: urgency(each["level"], each["since"])),
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
    found: int = sum(ends["blocked"].values()) + sum(ends[end] for end in _ENDS)
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


def privacy(config: Config, rules: Sequence[str]) -> list[str]:
    """Return what is in force to protect visitors, in words. ``rules``: the privacy rules in force."""
    shown, opt_out = config.audit.client_ip, config.core.default.filters.opt_out
    found = [_ADDRESSES[shown]] if shown in _ADDRESSES else []
    if FilterName.OPT_OUT in rules:
        found += ["visitors with an opt-out cookie are not captured"] if opt_out.cookies else []
        found += ["Sec-GPC: 1 is obeyed"] if opt_out.gpc else []
        found += ["DNT: 1 is obeyed"] if opt_out.dnt else []
    found += ["users who are being deleted are not captured"] if FilterName.DELETING_USER in rules else []
    found += ["what the rules of redaction find does not go on"] if REDACT in rules else []
    return found
