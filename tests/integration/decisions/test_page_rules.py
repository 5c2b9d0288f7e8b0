"""Domain rules with a path, a share and an end, through a running proxy (rules.md 7)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from itertools import count
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from fsproxy.core.limits.ramping import bucket
from support.rig import Rig, running_rig

pytestmark = pytest.mark.asyncio(loop_scope="module")

ORG, PAY = "o-PAGES-na1", "https://shop.example.com/pay/card"
RULES: list[dict[str, Any]] = [
    {"block": "**", "path": "/account/**"},
    {"block": "old.example.com", "until": "2020-01-01"},
    {"capture": "shop.example.com", "path": "/pay/*", "share": "50%", "id": "half"},
]
CONFIG: dict[str, Any] = {"filters": {"domain": {"rules": RULES}}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig() -> AsyncIterator[Rig]:
    async with running_rig(CONFIG) as running:
        yield running


async def test_pages_below_the_path_are_blocked_on_every_host_and_their_uploads_with_them(rig: Rig) -> None:
    for url in ("https://www.example.com/account", "https://b.example/%61ccount/7?x=1", "https://b.example//account/"):
        answer = await rig.page(OrgId=ORG, Url=url)
        assert (answer.status, answer.json()["reason_code"]) == (202, 4)
        line = await rig.line(answer)
        assert line["rule.id"] == "domain:block:**/account/**"
        assert "ccount" not in json.dumps({**line, "rule.id": ""})
    assert (await rig.page(OrgId=ORG, Url="https://b.example/accounts")).status == 200
    page = str(uuid4())
    assert (await rig.page(OrgId=ORG, PageId=page, Url="https://b.example/account/7")).status == 202
    origin = {"Origin": "https://b.example"}
    assert (await rig.bundle(origin, OrgId=ORG, PageId=page)).status == 202
    assert (await rig.bundle(origin, OrgId=ORG, PageId=str(uuid4()))).status == 200


async def test_a_rule_that_is_over_blocks_nobody_and_readiness_says_so(rig: Rig) -> None:
    assert (await rig.page(OrgId=ORG, Url="https://old.example.com/")).status == 200
    warnings = json.loads((await rig.admin("/readyz"))[1])["warnings"]
    assert any("domain:block:old.example.com" in each and "lapsed on 2020-01-01" in each for each in warnings)


async def test_a_share_is_sticky_and_a_blocked_first_visit_keeps_its_id(rig: Rig) -> None:
    first: dict[str, Any] = {}
    for _ in range(40):
        answer = await rig.page(OrgId=ORG, UserId="", Url=PAY)
        if answer.status == 202:
            first = answer.json()
            break
    assert first["reason_code"] == 8
    assert bucket(ORG, "half", first["user_id"]) >= 0.5
    again = await rig.page(OrgId=ORG, UserId=first["user_id"], Url=PAY)
    assert (again.status, again.json()["reason_code"], "user_id" in again.json()) == (202, 8, False)
    assert (await rig.line(again))["rule.id"] == "half"
    assert (await rig.page(OrgId=ORG, UserId=first["user_id"], Url="https://shop.example.com/")).status == 200


async def test_a_session_under_way_passes_the_share(rig: Rig) -> None:
    outside = next(u for u in map("visitor-{}".format, count()) if bucket(ORG, "half", u) >= 0.5)
    session = str(uuid4())
    assert (await rig.page(OrgId=ORG, UserId=outside, SessionId=str(uuid4()), Url=PAY)).status == 202
    assert (await rig.page(OrgId=ORG, UserId=outside, SessionId=session, Url="https://shop.example.com/")).status == 200
    assert (await rig.page(OrgId=ORG, UserId=outside, SessionId=session, Url=PAY)).status == 200


async def test_whom_the_share_admitted_passes_it_again_under_the_upstreams_id(rig: Rig) -> None:
    """Elsewhere a first visit is in no share, so nobody remembers it."""
    unlucky, strangers = "", ""
    while not unlucky or not strangers:
        for url in (PAY, "https://shop.example.com/"):
            answer = await rig.page(OrgId=ORG, UserId="", Url=url)
            user = answer.json().get("UserUUID", "")
            if user and bucket(ORG, "half", user) >= 0.5:
                unlucky, strangers = (user, strangers) if url == PAY else (unlucky, user)
    passed = await rig.page(OrgId=ORG, UserId=unlucky, SessionId=str(uuid4()), Url=PAY)
    assert passed.status == 200
    assert (await rig.line(passed))["fsproxy.facts"]["admitted_by"] == "half"
    assert (await rig.page(OrgId=ORG, UserId=strangers, SessionId=str(uuid4()), Url=PAY)).status == 202
