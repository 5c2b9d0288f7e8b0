"""Reason 3: what the ledger is asked."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fsproxy.core.filters.quota import QuotaFilter
from fsproxy.core.model import FilterName, Instant, Mode, Route, SessionFacts
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.settings import CoreSettings, Cycle, FilterSettings, OrgSettings, QuotaSettings

NOW = Instant(datetime(2026, 11, 21, 21, tzinfo=UTC).timestamp())


def _compile(quota: QuotaSettings, top: Mode = Mode.ENFORCE) -> QuotaFilter | None:
    return QuotaFilter.compile(OrgSettings(filters=FilterSettings(quota=quota)), CoreSettings(mode=top))


def _filter(quota: QuotaSettings, top: Mode = Mode.ENFORCE) -> QuotaFilter:
    made = _compile(quota, top)
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("sessions", "spill_over", "limit"),
    [
        (100_000, 0.0, 100_000),
        (100_000, 0.1, 110_000),
        (100, 0.1, 110),
        (1000, 0.001, 1001),
        (10, 0.29, 12),
        (10, 0.3, 13),
        (3, 0.5, 4),
        (7, 1.0, 14),
        (0, 0.5, 0),
        (10**15, 0.1, 11 * 10**14),
    ],
)
def test_spill_over_is_added_and_rounded_down(sessions: int, spill_over: float, limit: int) -> None:
    assert _filter(QuotaSettings(sessions=sessions, spill_over=spill_over)).terms(NOW).limit == limit


def test_the_terms_name_the_cycle_by_its_first_day_in_the_orgs_timezone() -> None:
    terms = _filter(QuotaSettings(sessions=5, anchor_day=22, timezone="Asia/Tokyo")).terms(NOW)
    assert terms.cycle == "2026-11-22"
    assert terms.ends == datetime(2026, 12, 21, 15, tzinfo=UTC).timestamp()


def test_the_terms_follow_the_clock_forth_and_back() -> None:
    made = _filter(QuotaSettings(sessions=5))
    days = [NOW, NOW + 1, NOW + 10 * 86_400, NOW + 9 * 86_400 + 3 * 3600 - 1, NOW + 400 * 86_400, NOW]
    assert [made.terms(Instant(day)).cycle for day in days] == [
        "2026-11-01",
        "2026-11-01",
        "2026-12-01",
        "2026-11-01",
        "2027-12-01",
        "2026-11-01",
    ]


def test_a_yearly_cycle_begins_in_its_month() -> None:
    quota = QuotaSettings(sessions=5, cycle=Cycle.YEARLY, anchor_month=12, anchor_day=24)
    assert _filter(quota).terms(NOW).cycle == "2025-12-24"


def test_a_shadow_quota_is_not_enforced() -> None:
    assert _filter(QuotaSettings(sessions=5)).terms(NOW).enforced
    assert not _filter(QuotaSettings(sessions=5, mode=Mode.SHADOW)).terms(NOW).enforced
    assert not _filter(QuotaSettings(sessions=5), Mode.SHADOW).terms(NOW).enforced


def test_it_never_says_no_by_itself_but_knows_what_the_ledgers_no_means() -> None:
    made = _filter(QuotaSettings(sessions=0, places={"sessions": "fsproxy.yaml:7:7"}))
    assert made.judge(SessionFacts(route=Route.PAGE), NOW) is None
    assert (made.hit.filter, made.hit.code) == (FilterName.QUOTA, ReasonCode.OVER_QUOTA)
    assert (made.hit.rule.id, made.hit.rule.where) == ("quota:sessions", "fsproxy.yaml:7:7")


def test_without_a_number_of_sessions_it_compiles_to_nothing_but_zero_is_one() -> None:
    assert _compile(QuotaSettings()) is None
    assert _compile(QuotaSettings(sessions=5, mode=Mode.OFF)) is None
    assert _compile(QuotaSettings(sessions=5), Mode.OFF) is None
    assert _filter(QuotaSettings(sessions=0)).terms(NOW).limit == 0


def test_a_cycle_ends_with_its_last_moment_also_when_it_was_asked_for_before() -> None:
    made = _filter(QuotaSettings(sessions=5))
    ends = datetime(2026, 12, 1, tzinfo=UTC).timestamp()
    assert [made.terms(Instant(at)).cycle for at in (ends - 1, ends, ends - 0.5, ends + 1)] == [
        "2026-11-01",
        "2026-12-01",
        "2026-11-01",
        "2026-12-01",
    ]
