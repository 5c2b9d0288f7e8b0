"""Reason 12: users who are being deleted."""

from __future__ import annotations

import pytest

from fsproxy.core.filters.deleting_user import DeletingUserFilter
from fsproxy.core.model import FilterName, Instant, Mode, Route, SessionFacts
from fsproxy.core.reasons import ReasonCode
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
