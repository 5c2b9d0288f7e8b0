"""What several workers told, as if one had."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.admin import decisions
from fsproxy.admin.queries import Cursor, DecisionsQuery, TrafficQuery
from fsproxy.admin.state_answers import MOST_ORGS
from fsproxy.admin.workers import merged_views
from fsproxy.config.schema import AuditConfig
from fsproxy.core.model import Instant
from fsproxy.state.memory.recent_names import MOST_NAMES
from fsproxy.telemetry.ring import MOST_GROUPS, Noted

CAPTURED = b'{"fsproxy.decision":"captured"}'


def decision(number: int, at: str) -> dict[str, Any]:
    return {"number": number, "where": "", "ended": float(at), "line": {}, "story": []}


def told(*decisions: dict[str, Any], since: float = 1.0, more: str | None = None) -> dict[str, Any]:
    counts = {"all": len(decisions), "blocked": 1, "rejected": 0, "failed": 0, "captured": 0, "forwarded": 0}
    return {
        "decisions": list(decisions),
        "next": more,
        "matching": len(decisions),
        "counts": counts,
        "kept": {"decisions": 2000, "forwarded": 500, "since": since},
        "address": None,
        "number": len(decisions),
    }


def group(code: str, count: int, first: float, last: float) -> dict[str, Any]:
    return {"org": "o", "code": code, "call": "One", "property": None, "count": count, "first": first, "last": last}


def rejections(*groups: dict[str, Any], shadow: list[Any] | None = None, unlisted: int = 0) -> dict[str, Any]:
    return {"groups": list(groups), "shadow": shadow or [], "evicted": 0, "unlisted": unlisted}


def ends(captured: int = 0, **blocked: int) -> dict[str, Any]:
    codes = {code.removeprefix("b"): count for code, count in blocked.items()}
    return {"captured": captured, "forwarded": 0, "rejected": 0, "failed": 0, "blocked": codes}


def minute(at: int, pages: dict[str, Any]) -> dict[str, Any]:
    return {"minute": at, "pages": pages, "requests": pages, "upstream_failed": 2, "rejected_in_part": 3}


def minutes(*each: dict[str, Any], orgs: list[str] | None = None, loads: dict[int, float] | None = None) -> Any:
    told = [{"at": at, "generation": generation} for generation, at in (loads or {}).items()]
    return {"minutes": list(each), "orgs": orgs or [], "loads": told}


def kind(known: int | None, newest: dict[str, float] | None = None, refused: dict[str, float] | None = None) -> Any:
    lists = {
        name: [{"name": each, "at": at} for each, at in (names or {}).items()]
        for name, names in (("newest", newest), ("refused", refused))
    }
    return {"known": known, "limit": 10, "mode": "enforce", **lists}


def org(name: str, used: int | None = None, sessions: int | None = None, **kinds: Any) -> dict[str, Any]:
    quota = {"used": used, "limit": 5, "mode": "enforce", "cycle": "c", "ends": 9.0, "forecast": None}
    return {"org": name, "quota": quota, "sessions": sessions, "upstream_bytes": None, "names": kinds}


# -- decisions


def test_decisions_of_all_stand_newest_first_with_their_worker() -> None:
    first = told(decision(2, "03.000"), decision(1, "01.000"))
    second = told(decision(1, "02.000"), since=7.0)
    merged = merged_views.decisions({1: first, 2: second}, DecisionsQuery())
    assert [(each["worker"], each["number"]) for each in merged["decisions"]] == [(1, 2), (2, 1), (1, 1)]
    assert (merged["number"], merged["matching"], merged["next"]) == (3, 3, None)
    assert (merged["counts"]["all"], merged["counts"]["blocked"]) == (3, 2)
    assert merged["kept"] == {"decisions": 4000, "forwarded": 1000, "since": 7.0}


def test_no_more_decisions_are_told_than_were_asked_for_and_those_are_the_newest() -> None:
    first = told(*(decision(10 - number, f"{10 - number:02d}.000") for number in range(10)))
    merged = merged_views.decisions({1: first, 2: told(decision(1, "09.500"))}, DecisionsQuery(limit=3))
    assert [(each["worker"], each["number"]) for each in merged["decisions"]] == [(1, 10), (2, 1), (1, 9)]
    assert merged["next"] == str(Cursor(9_000_000, 1, 9))


def test_a_worker_that_has_more_than_it_told_makes_all_of_them_have_more() -> None:
    merged = merged_views.decisions({1: told(decision(5, "05.000"), more="x"), 2: told()}, DecisionsQuery(limit=1))
    assert merged["next"] == str(Cursor(5_000_000, 1, 5))


def test_of_one_worker_decisions_of_one_moment_keep_their_order() -> None:
    merged = merged_views.decisions({1: told(decision(2, "01.000"), decision(1, "01.000"))}, DecisionsQuery())
    assert [each["number"] for each in merged["decisions"]] == [2, 1]


@settings(max_examples=100)
@given(
    st.lists(st.lists(st.integers(0, 3), max_size=9), min_size=1, max_size=4),
    st.integers(1, 5),
)
def test_pages_of_several_workers_hold_each_request_once_in_order_though_new_ones_come(
    workers: list[list[int]], limit: int
) -> None:
    """Requests of several workers often end in the same microsecond here."""
    audit = AuditConfig()
    rings = {
        worker: [Noted(number, "", CAPTURED, Instant(at / 1e6)) for number, at in enumerate(sorted(ends), 1)]
        for worker, ends in enumerate(workers, 1)
    }
    pages: list[list[tuple[int, int]]] = []
    query = DecisionsQuery(limit=limit)
    while True:
        answers = {}
        for worker, ring in rings.items():
            before = str(Cursor.parse(query.before).of_worker(worker)) if query.before else ""
            found = decisions.find(ring, msgspec.structs.replace(query, before=before), audit)
            answers[worker] = told(
                *({"number": each.number, "ended": each.ended, "line": {}} for each in found[0]), more=found[2] or None
            )
        merged = merged_views.decisions(answers, query)
        pages.append([(each["worker"], each["number"]) for each in merged["decisions"]])
        for ring in rings.values():
            ring.append(Noted(len(ring) + 1, "", CAPTURED, Instant(9.0)))
        if merged["next"] is None:
            break
        assert len(pages[-1]) == limit
        query = DecisionsQuery(limit=limit, before=merged["next"])
    shown = [each for page in pages for each in page]
    every = [(worker, number + 1) for worker, ends in enumerate(workers, 1) for number in range(len(ends))]
    assert sorted(shown) == sorted(every)
    ends = {(worker, number): at for worker, sent in enumerate(workers, 1) for number, at in enumerate(sorted(sent), 1)}
    assert [ends[each] for each in shown] == sorted(ends.values(), reverse=True)


# -- groups


def test_a_group_of_several_workers_is_one_with_the_sum_the_first_and_the_last() -> None:
    one = rejections(group("A", 2, 10.0, 20.0), group("B", 1, 5.0, 5.0), unlisted=1)
    other = rejections(group("B", 4, 7.0, 9.0), group("A", 1, 8.0, 12.0), unlisted=2)
    merged = merged_views.rejections([one, other])
    assert merged["groups"] == [group("B", 5, 5.0, 9.0), group("A", 3, 8.0, 20.0)]
    assert merged["unlisted"] == 3


def test_groups_of_different_calls_and_of_shadow_stay_apart() -> None:
    other_call = {**group("A", 1, 1.0, 1.0), "call": "Two"}
    merged = merged_views.rejections(
        [rejections(group("A", 2, 2.0, 2.0)), rejections(other_call, shadow=[group("A", 7, 1.0, 2.0)])]
    )
    assert len(merged["groups"]) == 2
    assert merged["shadow"] == [group("A", 7, 1.0, 2.0)]


def test_as_many_groups_are_told_as_one_process_keeps_and_the_rest_is_counted() -> None:
    lists = [[group(f"{worker}-{number}", 1, 1.0, 1.0) for number in range(MOST_GROUPS)] for worker in range(2)]
    merged = merged_views.rejections([rejections(*each) for each in lists])
    assert (len(merged["groups"]), merged["evicted"]) == (MOST_GROUPS, MOST_GROUPS)


def test_what_is_merged_is_left_as_it_was() -> None:
    one = rejections(group("A", 2, 10.0, 20.0))
    merged_views.rejections([one, rejections(group("A", 1, 1.0, 30.0))])
    assert one == rejections(group("A", 2, 10.0, 20.0))


def test_a_shadow_rule_is_told_with_the_sums_of_pages_and_requests() -> None:
    rule = {"rule": "r", "filter": "ip", "reason_code": 5, "reason": "IP Filter"}
    one = {"rules": [{**rule, "pages": 1, "count": 4, "first": 3.0, "last": 4.0}], "evicted": 1}
    other = {"rules": [{**rule, "pages": 2, "count": 2, "first": 1.0, "last": 2.0}], "evicted": 2}
    merged = merged_views.shadow([one, other])
    assert merged == {"rules": [{**rule, "pages": 3, "count": 6, "first": 1.0, "last": 4.0}], "evicted": 3}


def test_a_redaction_rule_is_told_with_the_sums_of_its_matches_by_mode() -> None:
    rule = {"rule": "r", "mode": "enforce"}
    one = {"rules": [{**rule, "count": 4, "first": 3.0, "last": 4.0}], "evicted": 1}
    other = {"rules": [{**rule, "count": 2, "first": 1.0, "last": 2.0}, {"rule": "r", "mode": "shadow", "count": 1,
                                                                        "first": 1.0, "last": 1.0}], "evicted": 0}  # fmt: skip
    assert merged_views.redactions([one, other]) == {
        "rules": [{**rule, "count": 6, "first": 1.0, "last": 4.0}, other["rules"][1]],
        "evicted": 1,
    }


# -- traffic


def test_minutes_are_summed_by_end_and_reason() -> None:
    one = minutes(minute(60, ends(2, b5=1)), minute(120, ends(1)), orgs=["o-1"], loads={1: 9.0})
    other = minutes(minute(60, ends(3, b5=2, b4=1)), minute(120, ends(0)), orgs=["o-2", "o-1"], loads={1: 8.0, 2: 99.0})
    merged = merged_views.traffic([one, other], TrafficQuery(minutes=2))
    summed = [minute(60, ends(5, b5=3, b4=1)), minute(120, ends(1))]
    assert merged["minutes"] == [{**each, "upstream_failed": 4, "rejected_in_part": 6} for each in summed]
    assert merged["orgs"] == ["o-1", "o-2"]
    assert merged["loads"] == [{"at": 8.0, "generation": 1}, {"at": 99.0, "generation": 2}]
    assert merged["reasons"]["5"] == "IP Filter"


def test_a_minute_that_has_begun_for_one_of_them_alone_is_there() -> None:
    one = minutes(minute(60, ends(1)), minute(120, ends(1)))
    other = minutes(minute(120, ends(1)), minute(180, ends(1)))
    assert merged_views.traffic([one, other], TrafficQuery(minutes=2))["minutes"] == [
        {**minute(120, ends(2)), "upstream_failed": 4, "rejected_in_part": 6},
        minute(180, ends(1)),
    ]


# -- usage


def test_counts_that_all_read_in_one_store_are_not_added() -> None:
    one = {"known": True, "since": 1.0, "orgs": [org("o", 3, event_name=kind(4))]}
    other = {"known": True, "since": 1.0, "orgs": [org("o", 4, event_name=kind(3))]}
    merged = merged_views.usage([one, other])
    assert merged == {"known": True, "since": 1.0, "orgs": [org("o", 4, event_name=kind(4))]}


def test_sessions_and_bytes_that_each_counts_are_added() -> None:
    one, other = org("o", sessions=2), org("o", sessions=3)
    one["upstream_bytes"], other["upstream_bytes"] = {"up": 1, "down": 2}, {"up": 10, "down": 20}
    report = merged_views.usage(
        [{"known": True, "since": since, "orgs": [each]} for since, each in ((5.0, one), (4.0, other))]
    )
    assert report["since"] == 4.0
    assert (report["orgs"][0]["sessions"], report["orgs"][0]["upstream_bytes"]) == (5, {"up": 11, "down": 22})


def test_what_one_does_not_know_another_may() -> None:
    one = {"known": False, "since": 1.0, "orgs": [org("o", None, event_name=kind(None))]}
    other = {"known": True, "since": 1.0, "orgs": [org("o", 4, event_name=kind(3))]}
    merged = merged_views.usage([one, other])
    assert merged == {"known": True, "since": 1.0, "orgs": [org("o", 4, event_name=kind(3))]}
    assert merged_views.usage([one, one]) == one


def test_the_newest_names_of_all_are_told_each_once_the_newest_first() -> None:
    one = {"known": True, "since": 1.0, "orgs": [org("o", event_name=kind(4, {"b": 5.0, "a": 1.0}, {"x": 7.0}))]}
    other = {
        "known": True,
        "since": 1.0,
        "orgs": [org("o", event_name=kind(4, {"c": 3.0, "a": 2.0}, {"x": 8.0, "y": 1.0}))],
    }
    (merged,) = merged_views.usage([one, other])["orgs"]
    assert merged["names"]["event_name"] == kind(4, {"b": 5.0, "c": 3.0, "a": 2.0}, {"x": 8.0, "y": 1.0})


def test_names_and_orgs_stay_bounded() -> None:
    many = [
        {
            "known": True,
            "since": 1.0,
            "orgs": [
                org("o", event_name=kind(9, {f"{worker}-{number}": float(number) for number in range(MOST_NAMES)})),
                *(org(f"o-{worker}-{number}") for number in range(MOST_ORGS - 1)),
            ],
        }
        for worker in range(3)
    ]
    merged = merged_views.usage(many)
    assert len(merged["orgs"]) == MOST_ORGS
    assert len(merged["orgs"][0]["names"]["event_name"]["newest"]) == MOST_NAMES
    # Each tells of its orgs that were active last first: the most active of all are told.
    assert {each["org"] for each in merged["orgs"][1:4]} == {"o-0-0", "o-1-0", "o-2-0"}


# -- one is none


_ENDS = st.builds(ends, captured=st.integers(0, 9), b5=st.integers(0, 9), b4=st.integers(0, 9))


@settings(max_examples=60)
@given(st.lists(st.lists(_ENDS, min_size=3, max_size=3), min_size=1, max_size=4))
def test_a_sum_over_workers_does_not_depend_on_their_order(workers: list[list[dict[str, Any]]]) -> None:
    answers = [minutes(*(minute(60 * at, each) for at, each in enumerate(pages))) for pages in workers]
    merged = merged_views.traffic(answers, TrafficQuery(minutes=3))["minutes"]
    assert merged == merged_views.traffic(answers[::-1], TrafficQuery(minutes=3))["minutes"]
    assert sum(each["pages"]["captured"] for each in merged) == sum(
        pages["captured"] for worker in workers for pages in worker
    )


@pytest.mark.parametrize("answers", [1, 2])
def test_what_a_second_worker_that_saw_nothing_says_changes_nothing(answers: int) -> None:
    one = rejections(group("A", 2, 10.0, 20.0))
    assert merged_views.rejections([one, rejections()][:answers]) == one
