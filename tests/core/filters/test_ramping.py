"""Reason 8: a share of new sessions."""

from __future__ import annotations

from datetime import UTC, date, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.filters.ramping import RampingFilter
from fsproxy.core.limits.ramping import Draw, bucket
from fsproxy.core.model import FilterName, Instant, Mode, Route, SessionFacts
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.settings import CoreSettings, FilterSettings, OrgSettings, RampingSettings, RampingStep

NOW = Instant(1_795_287_301.0)


def _compile(ramping: RampingSettings, top: Mode = Mode.ENFORCE) -> RampingFilter | None:
    return RampingFilter.compile(OrgSettings(filters=FilterSettings(ramping=ramping)), CoreSettings(mode=top))


def _in(ramping: RampingSettings, user: str = "", fresh: str = "", org: str = "o-1", now: Instant = NOW) -> bool:
    made = _compile(ramping)
    assert made is not None
    return made.judge(SessionFacts(route=Route.PAGE, org=org, user_id=user, fresh_user_id=fresh), now) is None


def test_who_is_outside_the_share_is_hit_with_reason_8() -> None:
    made = _compile(RampingSettings(share=0.0, places={"share": "fsproxy.yaml:9:9"}))
    assert made is not None
    hit = made.judge(SessionFacts(route=Route.PAGE, user_id="u"), NOW)
    assert hit is not None
    assert (hit.filter, hit.code) == (FilterName.RAMPING, ReasonCode.TRAFFIC_RAMPING)
    assert (hit.rule.id, hit.rule.where) == ("ramping:share", "fsproxy.yaml:9:9")


def test_the_bucket_of_org_salt_and_user_decides() -> None:
    place = bucket("o-1", "pepper", "u-1")
    assert _in(RampingSettings(share=place + 1e-9, salt="pepper"), "u-1")
    assert not _in(RampingSettings(share=place, salt="pepper"), "u-1")


def test_a_first_visit_is_judged_by_its_fresh_id_as_it_will_be_by_its_kept_one() -> None:
    half = RampingSettings(share=0.5)
    for number in range(50):
        fate = _in(half, fresh=f"u-{number}")
        assert _in(half, f"u-{number}") is fate
        assert _in(half, f"u-{number}", fresh="another") is fate


@settings(max_examples=200)
@given(user=st.text(st.characters()), lower=st.floats(0, 1), higher=st.floats(0, 1))
def test_raising_the_share_never_drops_who_was_in(user: str, lower: float, higher: float) -> None:
    lower, higher = sorted((lower, higher))
    made = [_compile(RampingSettings(share=min(share, 1 - 1e-9))) for share in (lower, higher)]
    facts = SessionFacts(route=Route.PAGE, org="o-1", user_id=user)
    passes = [m is not None and m.judge(facts, NOW) is None for m in made]
    assert passes != [True, False]


def test_about_a_share_of_the_users_is_in_and_another_org_or_salt_picks_others() -> None:
    def chosen(salt: str, org: str) -> set[int]:
        return {n for n in range(4000) if _in(RampingSettings(share=0.25, salt=salt), f"u-{n}", org=org)}

    first, salted, other = chosen("", "o-1"), chosen("x", "o-1"), chosen("", "o-2")
    assert all(850 < len(each) < 1150 for each in (first, salted, other))
    assert first not in (salted, other)


def test_a_schedule_goes_before_the_share_and_nobody_is_in_before_its_first_day() -> None:
    steps = (RampingStep(date(2026, 1, 1), 0.5), RampingStep(date(2026, 1, 11), 1.0))
    ramping = RampingSettings(schedule=steps)

    def how_many(*day: int) -> int:
        now = Instant(datetime(*day, tzinfo=UTC).timestamp())
        return sum(_in(ramping, f"u-{n}", now=now) for n in range(1000))

    assert how_many(2025, 12, 31) == 0
    assert 440 < how_many(2026, 1, 1) < 560
    assert 690 < how_many(2026, 1, 6) < 810
    assert how_many(2026, 1, 11) == how_many(2030, 1, 1) == 1000


def test_the_whole_share_compiles_to_nothing_and_so_does_mode_off() -> None:
    assert _compile(RampingSettings()) is None
    assert _compile(RampingSettings(share=0.5, mode=Mode.OFF)) is None
    assert _compile(RampingSettings(share=0.5), Mode.OFF) is None
    shadow = _compile(RampingSettings(share=0.5), Mode.SHADOW)
    assert shadow is not None
    assert shadow.mode is Mode.SHADOW
    assert _compile(RampingSettings(schedule=(RampingStep(date(2026, 1, 1), 1.0),))) is not None


def test_an_admitted_first_visit_is_remembered_by_the_least_share_that_is_to_come() -> None:
    constant = _compile(RampingSettings(share=0.5, salt="pepper"))
    steps = (RampingStep(date(2020, 1, 1), 0.8), RampingStep(date(2100, 1, 1), 0.1))
    scheduled = _compile(RampingSettings(share=0.5, salt="pepper", schedule=steps))
    assert constant is not None
    assert scheduled is not None
    assert (constant.draw(NOW), scheduled.draw(NOW)) == (Draw("pepper", 0.5), Draw("pepper", 0.1))


def test_the_rule_of_a_schedule_is_named_by_it() -> None:
    steps = (RampingStep(date(2030, 1, 1), 1.0),)
    made = _compile(RampingSettings(schedule=steps, places={"schedule": "f:1:1", "share": "f:2:2"}))
    assert made is not None
    assert (made.hit.rule.id, made.hit.rule.where) == ("ramping:schedule", "f:1:1")


def test_a_visitor_without_an_org_is_judged_as_one_of_the_empty_org() -> None:
    place = bucket("", "", "u-1")
    made = _compile(RampingSettings(share=place))
    more = _compile(RampingSettings(share=place + 1e-9))
    assert made is not None
    assert more is not None
    facts = SessionFacts(route=Route.PAGE, org=None, user_id="u-1")
    assert made.judge(facts, NOW) is not None
    assert more.judge(facts, NOW) is None
