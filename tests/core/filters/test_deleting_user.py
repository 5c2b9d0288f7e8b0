"""Reason 12: users who are being deleted."""

from __future__ import annotations

import pytest

from fsproxy.core.filters.deleting_user import DeletingUserFilter
from fsproxy.core.model import FilterName, Instant, Mode, Route, SessionFacts
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.run_time_lists import RunTimeList
from fsproxy.core.settings import CoreSettings, DeletingUserSettings, Entry, FilterSettings, OrgSettings
from fsproxy.core.uid_digest import uid_digest

NOW = Instant(1_795_287_301.0)
SECRET = "jane@example.com"
LISTED = DeletingUserSettings(
    block=(Entry(SECRET, "deleting.txt:17:1", "jane-was-here"), Entry("6b1f4a2e-1", "deleting.txt:18:1")),
    places={"block": "fsproxy.yaml:12:5"},
)


def _compile(settings: DeletingUserSettings, top: Mode = Mode.ENFORCE) -> DeletingUserFilter | None:
    return DeletingUserFilter.compile(
        OrgSettings(filters=FilterSettings(deleting_user=settings)), CoreSettings(mode=top)
    )


@pytest.mark.parametrize(
    ("app_id", "user_id", "hits"),
    [
        (SECRET, "", True),
        ("", "6b1f4a2e-1", True),
        ("6b1f4a2e-1", SECRET, True),
        ("JANE@example.com", "", False),
        ("someone", "else", False),
        ("", "", False),
    ],
)
def test_a_listed_uid_or_user_id_is_blocked(app_id: str, user_id: str, *, hits: bool) -> None:
    made = _compile(LISTED)
    assert made is not None
    for route in (Route.PAGE, Route.BUNDLE):
        hit = made.judge(SessionFacts(route=route, app_id=app_id, user_id=user_id), NOW)
        assert (hit is not None) is hits
        if hit is not None:
            assert (hit.filter, hit.code) == (FilterName.DELETING_USER, ReasonCode.USER_ACTIVELY_BEING_DELETED)


def test_a_session_that_has_a_listed_uid_is_blocked_whatever_the_request_says() -> None:
    made = _compile(LISTED)
    assert made is not None
    for uids, hits in (((uid_digest(SECRET),), True), ((7, uid_digest("6b1f4a2e-1")), True), ((7,), False)):
        assert (made.judge(SessionFacts(route=Route.BUNDLE, uids=uids), NOW) is not None) is hits


def test_the_rule_tells_nothing_about_the_user() -> None:
    """Neither the uid, nor an explicit id, nor the entry's line."""
    made = _compile(LISTED)
    assert made is not None
    hit = made.judge(SessionFacts(route=Route.PAGE, app_id=SECRET), NOW)
    assert hit is not None
    assert (hit.rule.id, hit.rule.where) == ("deleting_user:listed", "fsproxy.yaml:12:5")


def test_an_empty_entry_never_blocks_every_first_visit() -> None:
    made = _compile(DeletingUserSettings(block=(Entry(""), Entry("x"))))
    assert made is not None
    assert made.judge(SessionFacts(route=Route.PAGE), NOW) is None


def test_nothing_listed_compiles_to_nothing() -> None:
    assert _compile(DeletingUserSettings()) is None
    assert _compile(DeletingUserSettings(block=(Entry(""),))) is None
    assert _compile(DeletingUserSettings(block=(Entry("x"),), mode=Mode.OFF)) is None
    assert _compile(DeletingUserSettings(block=(Entry("x"),)), Mode.OFF) is not None, (
        "no top-level mode weakens a privacy rule"
    )


def test_a_user_who_was_listed_at_run_time_is_blocked_until_then_by_any_id() -> None:
    listed = RunTimeList()
    for each in (SECRET, "jo"):
        listed.put(uid_digest(each), NOW + 1, NOW)
    core = CoreSettings(run_time={FilterName.DELETING_USER: listed})
    org = OrgSettings(filters=FilterSettings(deleting_user=DeletingUserSettings(block=(Entry(SECRET),))))
    both, alone = DeletingUserFilter.compile(org, core), DeletingUserFilter.compile(OrgSettings(), core)
    assert both is not None
    assert alone is not None

    def rule(judging: DeletingUserFilter, later: float = 0.0, **facts: object) -> str | None:
        hit = judging.judge(SessionFacts(route=Route.BUNDLE, **facts), Instant(NOW + later))  # type: ignore[arg-type]
        assert hit is None or hit.code is ReasonCode.USER_ACTIVELY_BEING_DELETED
        return None if hit is None else hit.rule.id

    found = [
        (rule(both, **facts), rule(alone, **facts), rule(alone, 1.0, **facts))
        for facts in (
            {"app_id": SECRET},
            {"user_id": SECRET},
            {"uids": (uid_digest(SECRET),)},
            {"app_id": "jo"},
            {"user_id": "jo"},
            {"uids": (7, uid_digest("jo"))},
            {"app_id": "someone", "user_id": "else", "uids": (7,)},
        )
    ]
    later = "deleting_user:run-time"
    listed_too = ("deleting_user:listed", later, None)
    assert found == [*[listed_too] * 3, *[(later, later, None)] * 3, (None, None, None)]
    uids = ("jo", "someone", SECRET, "")
    assert both.named(uids, NOW) == (uid_digest("jo"), uid_digest(SECRET))
    assert alone.named(uids, NOW) == (uid_digest("jo"), uid_digest(SECRET))
    assert alone.named(uids, Instant(NOW + 1)) == ()
    assert both.named(uids, Instant(NOW + 1)) == (uid_digest(SECRET),)
