"""What several workers told, as if one had: pure functions over answers of the admin API (``openapi.json``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from fsproxy.admin.usage_view import MOST_ORGS
from fsproxy.admin.views import REASONS
from fsproxy.state.memory.recent_names import MOST_NAMES
from fsproxy.telemetry.ring import MOST_GROUPS

Answer = Mapping[str, Any]


def decisions(told: Mapping[int, Answer], most: int) -> dict[str, Any]:
    """``GET /api/decisions`` by the workers' numbers: the newest of all, each with its worker's number."""
    marked = ([{**each, "worker": number} for each in answer["decisions"]] for number, answer in told.items())
    return {"decisions": newest(marked, most), "number": sum(answer["number"] for answer in told.values())}


def newest(decisions: Iterable[Sequence[dict[str, Any]]], most: int) -> list[dict[str, Any]]:
    """The newest of several lists by their lines' time. Of one worker's, those of one moment keep their order."""
    return sorted(chain.from_iterable(decisions), key=_time, reverse=True)[:most]


def _time(decision: Answer) -> str:
    # Of the form 2026-11-21T22:27:49.042Z, so that texts sort as times do.
    time: str = decision["line"].get("@timestamp", "")
    return time


def rejections(told: Sequence[Answer]) -> dict[str, Any]:
    """``GET /api/rejections``: groups that several have are one."""
    names = ("org", "code", "call", "property")
    groups, cut = _groups((each["groups"] for each in told), names, ("count",), "count")
    shadow, cut_shadow = _groups((each["shadow"] for each in told), names, ("count",), "count")
    evicted = sum(each["evicted"] for each in told) + cut + cut_shadow
    return {"groups": groups, "shadow": shadow, "evicted": evicted, "unlisted": sum(each["unlisted"] for each in told)}


def shadow(told: Sequence[Answer]) -> dict[str, Any]:
    """``GET /api/shadow``."""
    names = ("rule", "filter", "reason_code")
    rules, cut = _groups((each["rules"] for each in told), names, ("pages", "count"), "pages")
    return {"rules": rules, "evicted": sum(each["evicted"] for each in told) + cut}


def _groups(
    told: Iterable[Iterable[Answer]], names: Sequence[str], counts: Sequence[str], order: str
) -> tuple[list[dict[str, Any]], int]:
    """Groups with the same ``names`` as one; the most frequent first, at most as many as one process keeps.

    The second is how many had to go.
    """
    merged: dict[tuple[Any, ...], dict[str, Any]] = {}
    for each in chain.from_iterable(told):
        key = tuple(each[name] for name in names)
        group = merged.get(key)
        if group is None:
            merged[key] = dict(each)
            continue
        for count in counts:
            group[count] += each[count]
        group["first"], group["last"] = min(group["first"], each["first"]), max(group["last"], each["last"])
    sort = sorted(merged.values(), key=lambda each: (-each[order], -each["count"], -each["last"]))
    return sort[:MOST_GROUPS], max(0, len(sort) - MOST_GROUPS)


def traffic(told: Sequence[Answer], most: int) -> dict[str, Any]:
    """``GET /api/traffic``: sums by minute, the last ones. A minute may have begun for one of them alone."""
    return {"minutes": minutes(told)[-most:], "reasons": REASONS}


def minutes(told: Iterable[Answer]) -> list[Answer]:
    """The sums by minute, oldest first."""
    merged: dict[int, Answer] = {}
    for each in chain.from_iterable(answer["minutes"] for answer in told):
        known = merged.get(each["minute"])
        if known is None:
            merged[each["minute"]] = each
        else:
            merged[each["minute"]] = {
                "minute": each["minute"],
                "pages": _summed(known["pages"], each["pages"]),
                "requests": _summed(known["requests"], each["requests"]),
            }
    return [merged[minute] for minute in sorted(merged)]


def _summed(one: Answer, other: Answer) -> dict[str, Any]:
    blocked = dict(one["blocked"])
    for code, count in other["blocked"].items():
        blocked[code] = blocked.get(code, 0) + count
    return {end: one[end] + other[end] for end in one if end != "blocked"} | {"blocked": blocked}


def usage(told: Sequence[Answer]) -> dict[str, Any]:
    """``GET /api/usage``: all count in one store, so that the most that one was told stands; newest names of all."""
    orgs: dict[str, dict[str, Any]] = {}
    for each in _in_turns([answer["orgs"] for answer in told]):
        known = orgs.get(each["org"])
        if known is not None:
            orgs[each["org"]] = _org(known, each)
        elif len(orgs) < MOST_ORGS:
            orgs[each["org"]] = each
    return {"known": any(answer["known"] for answer in told), "orgs": list(orgs.values())}


def _in_turns(lists: Sequence[Sequence[Any]]) -> Iterable[Any]:
    """The first of each, then the second of each: all begin with the org that was active last."""
    for place in range(max(map(len, lists), default=0)):
        yield from (each[place] for each in lists if place < len(each))


def _org(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    quota = one["quota"] or other["quota"]
    if one["quota"] and other["quota"]:
        quota = {**quota, "used": _most(one["quota"]["used"], other["quota"]["used"])}
    kinds = {kind: _kind(each, other["names"][kind]) for kind, each in one["names"].items()}
    return {"org": one["org"], "quota": quota, "names": kinds}


def _kind(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    lists = {name: _names(one[name], other[name]) for name in ("newest", "refused")}
    return {**one, "known": _most(one["known"], other["known"]), **lists}


def _names(one: Sequence[Answer], other: Sequence[Answer]) -> list[Answer]:
    """Each name once, with its latest time, the latest first."""
    latest: dict[str, Answer] = {}
    for each in sorted((*one, *other), key=lambda each: -each["at"]):
        latest.setdefault(each["name"], each)
    return list(latest.values())[:MOST_NAMES]


def _most(one: int | None, other: int | None) -> int | None:
    """Of two counts; None is not known."""
    return max((each for each in (one, other) if each is not None), default=None)
