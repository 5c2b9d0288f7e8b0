"""Sessions and the quota, through a running proxy: what counts, what is given back, what is learned (rules.md 1)."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
import pytest_asyncio

from support.generations import BUILDS
from support.proxy import POLL
from support.rig import Answer, Rig, page, running_rig
from support.upstream import reset, status

pytestmark = pytest.mark.asyncio(loop_scope="module")

ORGS_OF_EACH = 100
SIZES: dict[str, dict[str, Any]] = {
    "none": {"sessions": 0},
    "one": {"sessions": 1},
    "two": {"sessions": 2},
    "four": {"sessions": 4},
    "spill": {"sessions": 3, "spill_over": "50%"},
    "spill-none": {"sessions": 0, "spill_over": "100%"},
    "yearly": {"sessions": 1, "cycle": "yearly", "anchor_day": "02-29", "timezone": "Europe/Berlin"},
}
_numbers = count()


def fresh(size: str) -> str:
    """An org of this size that no other test uses; with too many of them, one that is not listed: code 1."""
    return f"o-{size}-{next(_numbers)}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[Rig]:
    listed = {
        f"o-{size}-{number}": {"filters": {"quota": quota}}
        for size, quota in SIZES.items()
        for number in range(ORGS_OF_EACH)
    }
    async with running_rig({"orgs": {"unlisted": "block", "listed": listed}}) as running:
        yield running


@pytest.fixture
def rig(shared: Rig) -> Rig:
    """The proxy that all tests here share, with its upstream as it is by default."""
    shared.upstream.answer = None
    return shared


async def codes(rig: Rig, org: str, times: int) -> list[int]:
    """The answers' codes to so many new sessions, one after the other; 0 is captured."""
    return [_code(await rig.page(OrgId=org)) for _ in range(times)]


def _code(answer: Answer) -> int:
    return 0 if answer.status == 200 else answer.json()["reason_code"]


@pytest.mark.parametrize(
    ("size", "limit"),
    [("none", 0), ("one", 1), ("two", 2), ("four", 4), ("spill", 4), ("spill-none", 0), ("yearly", 1)],
)
async def test_so_many_new_sessions_pass_and_every_further_one_is_over_quota(rig: Rig, size: str, limit: int) -> None:
    org = fresh(size)
    assert await codes(rig, org, limit + 2) == [0] * limit + [3, 3]
    assert len([each for each in rig.upstream.received if json.loads(each.body)["OrgId"] == org]) == limit


async def test_each_org_has_a_count_of_its_own(rig: Rig) -> None:
    first, second = fresh("one"), fresh("one")
    assert await codes(rig, first, 2) == [0, 3]
    assert await codes(rig, second, 2) == [0, 3]


@pytest.mark.parametrize("build", BUILDS)
async def test_two_pages_of_one_session_count_once_in_every_generation_of_recorders(
    rig: Rig, build: Callable[[Rig, str], Awaitable[list[Answer]]]
) -> None:
    org = fresh("two")
    for _ in range(2):
        assert [answer.status for answer in await build(rig, org)] == [200, 200, 200]
    assert (await build(rig, org))[0].status == 202
    assert await codes(rig, org, 1) == [3]


async def test_a_session_under_way_goes_on_when_the_quota_is_used_up(rig: Rig) -> None:
    org, session = fresh("one"), str(uuid4())
    assert (await rig.page(OrgId=org, SessionId=session)).status == 200
    assert await codes(rig, org, 1) == [3]
    for _ in range(3):
        again = await rig.page(OrgId=org, SessionId=session)
        assert again.status == 200
        assert (await rig.bundle(OrgId=org, SessionId=session)).status == 200
    assert await codes(rig, org, 1) == [3]


async def test_a_visitor_whose_page_names_no_session_goes_on_by_the_user_id(rig: Rig) -> None:
    org = fresh("one")
    for _ in range(3):
        assert (await rig.page(OrgId=org, UserId="user-1", SessionId=None)).status == 200
    assert _code(await rig.page(OrgId=org, UserId="user-2", SessionId=None)) == 3


async def test_a_cookie_of_another_org_names_no_session(rig: Rig) -> None:
    org = fresh("one")
    cookie = {"Cookie": "fs_uid=#o-other#user-1:session-1:1::1#/1"}
    assert (await rig.page(cookie, OrgId=org, SessionId=None)).status == 200
    assert _code(await rig.page(cookie, OrgId=org, SessionId=None)) == 3


@pytest.mark.parametrize(
    ("answer", "seen"),
    [(status(500), 500), (status(404), 404), (status(503), 503), (status(204), 204), (reset, 502)],
    ids=["500", "404", "503", "204", "reset"],
)
async def test_a_page_that_fails_upstream_gives_its_unit_back(rig: Rig, answer: Any, seen: int) -> None:
    org = fresh("one")
    rig.upstream.answer = answer
    for _ in range(3):
        assert (await rig.page(OrgId=org)).status == seen
    rig.upstream.answer = None
    assert await codes(rig, org, 2) == [0, 3]


async def test_a_page_that_the_upstream_blocks_gives_its_unit_back_and_its_code_is_audited(rig: Rig) -> None:
    org = fresh("one")
    said = b'{"reason_code":4,"reason":"by the upstream"}'
    rig.upstream.answer = status(202, said, Content_Type="application/json")
    for _ in range(2):
        answer = await rig.page(OrgId=org)
        assert (answer.status, answer.body) == (202, said)
        line = await rig.line(answer)
        assert (line["fsproxy.upstream.status_code"], line["fsproxy.upstream.reason_code"]) == (202, 4)
        assert line["fsproxy.decision"] == "captured"
        assert "fsproxy.reason_code" not in line
    rig.upstream.answer = None
    assert await codes(rig, org, 2) == [0, 3]


async def test_a_session_that_the_upstream_knows_already_costs_nothing(rig: Rig) -> None:
    """``IsNewSession: false``: another instance, or this one before a restart, has counted it."""
    org = fresh("one")
    rig.upstream.answer = status(200, b'{"SessionUUID":"s-known","UserUUID":"u-known","IsNewSession":false}')
    assert await codes(rig, org, 3) == [0, 0, 0]
    rig.upstream.answer = None
    assert await codes(rig, org, 2) == [0, 3]
    known = await rig.page(OrgId=org, SessionId="s-known")
    assert known.status == 200


@pytest.mark.parametrize("body", [b"", b"not json", b"[]", b'{"IsNewSession":"false"}', b"\xff\xfe"])
async def test_a_200_that_says_nothing_readable_still_counts(rig: Rig, body: bytes) -> None:
    org, session = fresh("one"), str(uuid4())
    rig.upstream.answer = status(200, body)
    assert (await rig.page(OrgId=org, SessionId=session)).status == 200
    assert await codes(rig, org, 1) == [3]
    assert (await rig.page(OrgId=org, SessionId=session)).status == 200


@pytest.mark.parametrize("session", ["asked for", "answered"])
async def test_ids_of_the_request_and_of_a_compressed_answer_are_both_the_sessions(rig: Rig, session: str) -> None:
    org = fresh("one")
    said = json.dumps({"SessionUUID": f"answered-{org}", "UserUUID": "u-9", "IsNewSession": True}).encode()
    packed = gzip.compress(said)
    rig.upstream.answer = status(200, packed, Content_Encoding="gzip")
    first = await rig.page({"Accept-Encoding": "gzip, deflate, br, zstd"}, OrgId=org, SessionId=f"asked for-{org}")
    assert (first.status, first.body, first.headers["Content-Encoding"]) == (200, packed, "gzip")
    (received,) = rig.forwarded(first)
    offered = {part.partition(";")[0].strip() for part in (received.value("Accept-Encoding") or "").split(",")}
    assert offered <= {"gzip", "identity"}
    assert (await rig.page(OrgId=org, SessionId=f"{session}-{org}")).status == 200
    assert await codes(rig, org, 1) == [3]


async def test_of_new_sessions_that_come_at_once_exactly_the_limit_is_let_in(rig: Rig) -> None:
    """Also while the upstream has not answered any of them yet."""
    org, before = fresh("four"), len(rig.upstream.received)
    rig.upstream.hold()
    pages = [asyncio.create_task(rig.page(OrgId=org)) for _ in range(12)]
    refused = []
    for ended in asyncio.as_completed(pages):
        refused.append(_code(await ended))
        if len(refused) == 8:
            break
    assert refused == [3] * 8
    await rig.upstream.arrived(before + 4)
    rig.upstream.release()
    assert sorted([_code(await each) for each in pages]) == [0] * 4 + [3] * 8
    assert len(rig.upstream.received) == before + 4
    assert await codes(rig, org, 1) == [3]


async def test_pages_of_one_session_that_come_at_once_need_one_unit(rig: Rig) -> None:
    org, session, before = fresh("one"), str(uuid4()), len(rig.upstream.received)
    rig.upstream.hold()
    pages = [asyncio.create_task(rig.page(OrgId=org, SessionId=session)) for _ in range(5)]
    await rig.upstream.arrived(before + 5)
    rig.upstream.release()
    assert [_code(await each) for each in pages] == [0] * 5
    assert await codes(rig, org, 1) == [3]


async def test_a_visitor_who_leaves_before_the_answer_gives_the_unit_back(rig: Rig) -> None:
    org, before = fresh("one"), len(rig.upstream.received)
    rig.upstream.hold()
    sent = rig.headers()
    body = json.dumps(page(OrgId=org)).encode()
    async with aiohttp.ClientSession() as other:
        leaving = asyncio.create_task(other.post(f"{rig.proxy.url}/rec/page", data=body, headers=sent))
        await rig.upstream.arrived(before + 1)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
    while not await rig.counted("fsproxy_unattended_exchanges"):
        await asyncio.sleep(POLL)
    rig.upstream.release()
    line = await rig.line(sent["X-Request-Id"])
    assert (line["fsproxy.error"], line["fsproxy.upstream.status_code"]) == ("client_gone", 200)
    assert line["fsproxy.decision"] == "failed"
    assert await codes(rig, org, 2) == [0, 3]


async def test_a_page_that_a_rule_blocks_uses_up_nothing(rig: Rig) -> None:
    org = fresh("one")
    for _ in range(3):
        assert _code(await rig.page({"Cookie": "fs_optout=1"}, OrgId=org)) == 10
        assert _code(await rig.page(OrgId=org, Url="nonsense")) == 9
    assert await codes(rig, org, 2) == [0, 3]


async def test_bundles_use_up_nothing(rig: Rig) -> None:
    org = fresh("one")
    for number in range(3):
        assert (await rig.bundle(OrgId=org, SessionId=f"s-{number}", UserId=f"u-{number}")).status == 200
    assert await codes(rig, org, 2) == [0, 3]


async def test_a_quota_in_shadow_blocks_nobody_and_notes_everyone_over_it() -> None:
    async with running_rig({"filters": {"quota": {"sessions": 1, "mode": "shadow"}}}) as rig:
        answers = [await rig.page() for _ in range(3)]
        assert [each.status for each in answers] == [200, 200, 200]
        lines = [await rig.line(each) for each in answers]
        assert "fsproxy.shadow" not in lines[0]
        noted = {"rule.id": "quota:sessions", "reason_code": 3, "filter": "quota"}
        assert [line["fsproxy.shadow"] for line in lines[1:]] == [[noted], [noted]]


async def test_an_upstream_that_refuses_connections_uses_up_nothing() -> None:
    async with running_rig({"filters": {"quota": {"sessions": 1}}}) as rig:
        await rig.upstream.refuse()
        for _ in range(2):
            answer = await rig.page()
            assert (answer.status, answer.headers["Access-Control-Allow-Credentials"]) == (502, "true")
        await rig.upstream.accept()
        assert [_code(await rig.page()) for _ in range(2)] == [0, 3]
