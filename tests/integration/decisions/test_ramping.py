"""A share of the visitors, through a running proxy: sticky, and never taken back (rules.md 1, order 12)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import pytest
import pytest_asyncio

from fsproxy.core.limits.ramping import bucket
from support.rig import Rig, running_rig

pytestmark = pytest.mark.asyncio(loop_scope="module")

HALF, NONE = "o-HALF-na1", "o-NONE-na1"
CONFIG: dict[str, Any] = {
    "orgs": {
        "listed": {
            HALF: {"filters": {"ramping": {"share": "50%", "salt": "pepper"}}},
            NONE: {"filters": {"ramping": {"share": "0%"}}},
            "o-ALL-na1": {"filters": {"ramping": {"share": "100%"}}},
            "o-PAST-na1": {
                "filters": {
                    "ramping": {
                        "schedule": [{"from": "2020-01-01", "share": "0%"}, {"from": "2020-02-01", "share": "100%"}]
                    }
                }
            },
            "o-FUTURE-na1": {"filters": {"ramping": {"schedule": [{"from": "2199-01-01", "share": "100%"}]}}},
            "o-BOTH-na1": {"filters": {"ramping": {"share": "0%"}, "quota": {"sessions": 0}}},
        }
    }
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig() -> AsyncIterator[Rig]:
    async with running_rig(CONFIG) as running:
        yield running


def _user(*, inside: bool, share: float = 0.5) -> str:
    """A user id that falls within the share of ``HALF``, or outside."""
    return next(u for u in map("user-{}".format, count()) if (bucket(HALF, "pepper", u) < share) is inside)


async def test_a_visitor_falls_the_same_way_on_every_visit(rig: Rig) -> None:
    for _ in range(3):
        assert (await rig.page(OrgId=HALF, UserId=_user(inside=True))).status == 200
        outside = await rig.page(OrgId=HALF, UserId=_user(inside=False))
        assert (outside.status, outside.json()["reason_code"]) == (202, 8)
        assert "user_id" not in outside.json()


async def test_a_blocked_first_visit_is_given_an_id_to_keep_and_stays_blocked_by_it(rig: Rig) -> None:
    first = await rig.page(OrgId=NONE, UserId="")
    said = first.json()
    assert (first.status, said["reason_code"], said["reason"]) == (202, 8, "Traffic Ramping")
    assert said["cookie_domain"]
    assert len(said["user_id"]) == 36
    assert (await rig.page(OrgId=NONE, UserId=None)).json()["user_id"] != said["user_id"]
    second = await rig.page(OrgId=NONE, UserId=said["user_id"])
    assert (second.status, second.json()["reason_code"]) == (202, 8)


async def test_the_id_of_a_blocked_first_visit_is_the_one_that_it_was_judged_by(rig: Rig) -> None:
    """Else a visitor who was ramped out could be in at the next visit, at the same share."""
    given = []
    while len(given) < 5:
        answer = await rig.page(OrgId=HALF, UserId="")
        if answer.status == 202:
            given.append(answer.json()["user_id"])
    for user in given:
        assert bucket(HALF, "pepper", user) >= 0.5
        assert (await rig.page(OrgId=HALF, UserId=user)).json()["reason_code"] == 8


async def test_about_the_share_of_first_visits_is_let_in(rig: Rig) -> None:
    """200 fair coins: outside 60 to 140 in one run of a hundred million."""
    statuses = [(await rig.page(OrgId=HALF, UserId="")).status for _ in range(200)]
    assert 60 <= statuses.count(200) <= 140
    assert set(statuses) == {200, 202}


async def test_the_upstreams_id_of_an_admitted_first_visit_passes_later_wherever_it_falls(rig: Rig) -> None:
    """The upstream names the visitor anew, so that the next visit comes under an id that was never judged."""
    unlucky: list[str] = []
    while len(unlucky) < 4:
        answer = await rig.page(OrgId=HALF, UserId="")
        if answer.status == 200 and bucket(HALF, "pepper", answer.json()["UserUUID"]) >= 0.5:
            unlucky.append(answer.json()["UserUUID"])
    for user in unlucky:
        assert (await rig.page(OrgId=HALF, UserId=user)).status == 200


async def test_a_session_under_way_passes(rig: Rig) -> None:
    """Its bundles were forwarded, from before ramping began say: its next page is no new session."""
    outside = _user(inside=False)
    assert (await rig.bundle(OrgId=HALF, UserId="user-x", SessionId="session-x")).status == 200
    assert (await rig.page(OrgId=HALF, UserId=outside, SessionId="session-x")).status == 200
    assert (await rig.page(OrgId=HALF, UserId=outside)).status == 202


@pytest.mark.parametrize(("org", "status"), [("o-ALL-na1", 200), ("o-PAST-na1", 200), ("o-FUTURE-na1", 202)])
async def test_a_whole_share_and_a_schedule_that_is_over_or_has_not_begun(rig: Rig, org: str, status: int) -> None:
    assert (await rig.page(OrgId=org, UserId="")).status == status
    assert (await rig.page(OrgId=org, UserId="user-1")).status == status


async def test_ramping_is_judged_before_the_quota_and_consumes_nothing(rig: Rig) -> None:
    answer = await rig.page(OrgId="o-BOTH-na1", UserId="user-1")
    assert answer.json()["reason_code"] == 8
    assert "fsproxy.shadow" not in await rig.line(answer)


async def test_an_answer_of_another_filter_gives_no_id(rig: Rig) -> None:
    answer = await rig.page({"Cookie": "fs_optout=1"}, OrgId=NONE, UserId="")
    assert set(answer.json()) == {"reason_code", "reason", "cookie_domain"}


async def test_a_higher_share_keeps_who_was_in(rig: Rig) -> None:
    """The share is raised at a restart that forgets everything: who is in follows from the id alone."""
    users = [f"user-{number}" for number in range(40)]
    before = {user for user in users if (await rig.page(OrgId=HALF, UserId=user)).status == 200}
    raised = {"orgs": {"listed": {HALF: {"filters": {"ramping": {"share": "80%", "salt": "pepper"}}}}}}
    async with running_rig(raised) as later:
        after = {user for user in users if (await later.page(OrgId=HALF, UserId=user)).status == 200}
    assert before < after
    assert len(after) < len(users)
