"""Merge the answers of several workers into one, as if one process had given it. Pure functions over ``answers``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, cast

from fsproxy.admin.answers import Decisions, Kept, OutcomeCounts, Rejections, ShadowReport, Traffic
from fsproxy.admin.decisions import matching
from fsproxy.admin.queries import Cursor, DecisionsQuery, TrafficQuery
from fsproxy.admin.redactions import RedactionReport
from fsproxy.admin.state_answers import MOST_ORGS, ReloadOutcome, UsageReport
from fsproxy.admin.views import REASONS
from fsproxy.reload.loads import MOST_LOADS
from fsproxy.state.memory.recent_names import MOST_NAMES
from fsproxy.telemetry.orgs import MOST_ORGS as MOST_COUNTED_ORGS
from fsproxy.telemetry.ring import MOST_GROUPS

Answer = Mapping[str, Any]
"""A worker's answer, decoded."""


def decisions(answers: Mapping[int, Answer], query: DecisionsQuery) -> Decisions:
    """Return the newest decisions of all workers, each with its worker's number. ``answers`` are by that number."""
    marked = ([{**each, "worker": number} for each in answer["decisions"]] for number, answer in answers.items())
    every = newest(marked)
    shown, told = every[: query.limit], list(answers.values())
    more = len(every) > len(shown) or any(answer["next"] for answer in told)
    counts = {name: sum(answer["counts"][name] for answer in told) for name in told[0]["counts"]}
    limits = {name: sum(answer["kept"][name] for answer in told) for name in ("decisions", "forwarded")}
    return {
        "decisions": shown,
        "next": str(_place(shown[-1])) if more else None,
        "matching": matching(cast("OutcomeCounts", counts), query),
        "counts": cast("OutcomeCounts", counts),
        "kept": cast("Kept", {**limits, "since": max(answer["kept"]["since"] for answer in told)}),
        "address": told[0]["address"],
        "number": sum(answer["number"] for answer in told),
    }


def privacy(states: Sequence[Answer]) -> list[str]:
    """Return the privacy rules that are in force on all workers."""
    return [name for name in states[0]["privacy"] if all(name in each["privacy"] for each in states)] if states else []


def newest(decisions: Iterable[Sequence[Any]], most: int | None = None) -> list[Any]:
    """Return the newest decisions of several lists."""
    return sorted(chain.from_iterable(decisions), key=_place, reverse=True)[:most]


def _place(decision: Answer) -> Cursor:
    return Cursor(int(decision["ended"] * 1e6), decision["worker"], decision["number"])


def rejections(answers: Sequence[Answer]) -> Rejections:
    """Return the sums by org, code, call and property."""
    names = ("org", "code", "call", "property")
    groups, cut = _groups((each["groups"] for each in answers), names, ("count",), "count")
    shadow, cut_shadow = _groups((each["shadow"] for each in answers), names, ("count",), "count")
    evicted, unlisted = (sum(each[name] for each in answers) for name in ("evicted", "unlisted"))
    return {"groups": groups, "shadow": shadow, "evicted": evicted + cut + cut_shadow, "unlisted": unlisted}


def shadow(answers: Sequence[Answer]) -> ShadowReport:
    """Return the sums by shadow rule."""
    names = ("rule", "filter", "reason_code")
    rules, cut = _groups((each["rules"] for each in answers), names, ("pages", "count"), "pages")
    return {"rules": rules, "evicted": sum(each["evicted"] for each in answers) + cut}


def redactions(answers: Sequence[Answer]) -> RedactionReport:
    """Return the sums by redaction rule and mode."""
    rules, cut = _groups((each["rules"] for each in answers), ("rule", "mode"), ("count",), "count")
    return {"rules": rules, "evicted": sum(each["evicted"] for each in answers) + cut}


def _groups(
    groups: Iterable[Iterable[Answer]], names: Sequence[str], counts: Sequence[str], order: str
) -> tuple[list[Any], int]:
    """Return one group for all with the same ``names``, the most frequent first, and how many were cut off.

    At most as many are left as one process keeps.
    """
    merged: dict[tuple[Any, ...], dict[str, Any]] = {}
    for each in chain.from_iterable(groups):
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


def traffic(answers: Sequence[Answer], query: TrafficQuery) -> Traffic:
    """Return the sums of the last minutes. The last one may have begun for one worker and not yet for another."""
    orgs = dict.fromkeys(chain.from_iterable(answer["orgs"] for answer in answers))
    return {
        "minutes": minutes(answers)[-query.bars :],
        "step": query.step,
        "org": query.org or None,
        "orgs": list(orgs)[: MOST_COUNTED_ORGS + 1],
        "loads": loads(answers),
        "reasons": REASONS,
    }


def loads(answers: Iterable[Answer]) -> list[Any]:
    """Return the loads of all workers, each generation once, when the first of them had it."""
    first: dict[int, Answer] = {}
    for each in chain.from_iterable(answer["loads"] for answer in answers):
        known = first.get(each["generation"])
        if known is None or each["at"] < known["at"]:
            first[each["generation"]] = each
    return sorted(first.values(), key=lambda each: each["at"])[-MOST_LOADS:]


def minutes(answers: Iterable[Answer]) -> list[Any]:
    """Return the sums by minute, oldest first."""
    merged: dict[int, Answer] = {}
    for each in chain.from_iterable(answer["minutes"] for answer in answers):
        known = merged.get(each["minute"])
        if known is None:
            merged[each["minute"]] = each
        else:
            merged[each["minute"]] = {
                "minute": each["minute"],
                "pages": _summed(known["pages"], each["pages"]),
                "requests": _summed(known["requests"], each["requests"]),
                **{name: known[name] + each[name] for name in ("upstream_failed", "rejected_in_part")},
            }
    return [merged[minute] for minute in sorted(merged)]


def _summed(one: Answer, other: Answer) -> dict[str, Any]:
    blocked = dict(one["blocked"])
    for code, count in other["blocked"].items():
        blocked[code] = blocked.get(code, 0) + count
    return {end: one[end] + other[end] for end in one if end != "blocked"} | {"blocked": blocked}


def usage(answers: Sequence[Answer]) -> UsageReport:
    """Return each org's use. All workers count in one store, so the highest count holds; the names are those of all.

    Each counts sessions and bytes for itself, so these are sums.
    """
    orgs: dict[str, Any] = {}
    for each in _in_turns([answer["orgs"] for answer in answers]):
        known = orgs.get(each["org"])
        if known is not None:
            orgs[each["org"]] = _org(known, each)
        elif len(orgs) < MOST_ORGS:
            orgs[each["org"]] = each
    since = min(answer["since"] for answer in answers)
    return {"known": any(answer["known"] for answer in answers), "since": since, "orgs": list(orgs.values())}


def _in_turns(lists: Sequence[Sequence[Any]]) -> Iterable[Any]:
    """Yield the first of each list, then the second of each: every list begins with the org that was active last."""
    for place in range(max(map(len, lists), default=0)):
        yield from (each[place] for each in lists if place < len(each))


def _org(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    quota = one["quota"] or other["quota"]
    if one["quota"] and other["quota"]:
        quota = max((one["quota"], other["quota"]), key=lambda each: -1 if each["used"] is None else each["used"])
    kinds = {kind: _kind(each, other["names"][kind]) for kind, each in one["names"].items()}
    size, others = one["upstream_bytes"], other["upstream_bytes"]
    if size is not None and others is not None:
        size = {way: size[way] + others[way] for way in size}
    counts = {"sessions": _sum(one["sessions"], other["sessions"]), "upstream_bytes": size or others}
    return {"org": one["org"], "quota": quota, **counts, "names": kinds}


def _kind(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    lists = {name: _names(one[name], other[name]) for name in ("newest", "refused")}
    return {**one, "known": _most(one["known"], other["known"]), **lists}


def _names(one: Sequence[Answer], other: Sequence[Answer]) -> list[Answer]:
    """Return each name once, with its latest time, the latest first."""
    latest: dict[str, Answer] = {}
    for each in sorted((*one, *other), key=lambda each: -each["at"]):
        latest.setdefault(each["name"], each)
    return list(latest.values())[:MOST_NAMES]


def _sum(one: int | None, other: int | None) -> int | None:
    """Return the sum of what is known."""
    return one + other if one is not None and other is not None else one if other is None else other


def _most(one: int | None, other: int | None) -> int | None:
    """Return the higher of two counts. None is an unknown count."""
    return max((each for each in (one, other) if each is not None), default=None)


# -- state


def reload(outcomes: Mapping[str, Answer], generation: int) -> ReloadOutcome:
    """Return the outcomes of all workers' reloads as one, each fault once. ``generation``: where no worker has one."""
    every = list(outcomes.values())
    telling = (each for each in every if each.get("error_count") or each.get("held_back"))
    outcome = {
        **next(telling, every[0] if every else {}),
        "generation": min((each["generation"] for each in every if "generation" in each), default=generation),
        "errors": list(dict.fromkeys(text for each in every for text in each["errors"])),
        "workers": {number: each.get("generation") for number, each in outcomes.items()},
    }
    return cast("ReloadOutcome", outcome)


def warnings(generations: Iterable[int]) -> list[str]:
    """Return the warning about workers that are behind."""
    every = ", ".join(map(str, sorted(generations)))
    return [f"the workers' generations of the configuration differ: {every}"] if "," in every else []


def worst(states: Iterable[Answer], part: str, badness: Callable[[Any], int]) -> Any:
    """Return that part of the state of the worker that is worst off."""
    return max((state[part] for state in states), key=badness, default={})


def upstream(states: Sequence[Answer]) -> dict[str, Any]:
    """Return the sum of the connections, and a failure that some worker reports."""
    every = [each["upstream"] for each in states]
    failures = (each["last_failure"] for each in every if each["last_failure"] is not None)
    return {"connections": sum(each["connections"] for each in every), "last_failure": next(failures, None)}
