"""Rates per session on the page's own clock, through a running proxy (rules.md 2, Rate and Repeats)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fsproxy.clock import now
from integration.calls.rig import Exchange, Rig, bundle_of, calls_of, first, fresh, second

pytestmark = pytest.mark.asyncio(loop_scope="session")


def events(whens: list[float], name: str = "Bought") -> list[dict[str, Any]]:
    return [first(name, {"n_int": number}, when) for number, when in enumerate(whens)]


def whens_of(exchange: Exchange) -> list[float]:
    return [each["When"] for each in calls_of(exchange.sent)]


async def test_ten_events_in_a_second_pass_and_the_eleventh_is_cut(rig: Rig) -> None:
    whens = [n * 90.0 for n in range(11)]
    got = await rig.upload(bundle_of(*events(whens)))
    assert got.status == 200
    assert whens_of(got) == whens[:10]
    line = await rig.line_of(got)
    assert line["fsproxy.rejections"] == [{"code": "RateLimited", "call": "Bought", "property": None}]


async def test_the_eleventh_passes_a_whole_second_after_the_first(rig: Rig) -> None:
    whens = [n * 90.0 for n in range(10)]
    assert whens_of(await rig.upload(bundle_of(*events([*whens, 999.0, 1000.0])))) == [*whens, 1000.0]


async def test_thirty_events_a_minute_pass(rig: Rig) -> None:
    whens = [n * 1900.0 for n in range(32)]
    assert whens_of(await rig.upload(bundle_of(*events(whens)))) == [*whens[:30]]
    whens = [n * 1900.0 for n in range(30)]
    late = [59_999.0, 60_000.0]
    assert whens_of(await rig.upload(bundle_of(*events(whens + late)))) == [*whens, 60_000.0]


async def test_user_calls_have_windows_of_their_own(rig: Rig) -> None:
    users = [first("user", {"a_int": n}, n * 100.0) for n in range(6)]
    whens = [n * 90.0 for n in range(10)]
    got = await rig.upload(bundle_of(*users, *events(whens)))
    kinds = [each["Kind"] for each in calls_of(got.sent)]
    assert kinds == [8193] * 5 + [8197] * 10
    slow = [first("user", {"a_int": n}, n * 4000.0) for n in range(13)]
    assert len(whens_of(await rig.upload(bundle_of(*slow)))) == 12


@pytest.mark.parametrize("generation", [1, 2])
async def test_identify_with_variables_counts_as_one(rig: Rig, generation: int) -> None:
    def user(properties: dict[str, Any], when: float) -> dict[str, Any]:
        if generation == 1:
            return first("user", properties, when)
        return second("user", properties, dict.fromkeys(set(properties) - {"uid"}, "int"), when=when)

    key = "a_int" if generation == 1 else "a"
    pairs = [call for n in range(7) for call in (user({"uid": f"u{n}"}, n * 10.0), user({key: n}, n * 10.0))]
    got = await rig.upload(bundle_of(*pairs))
    assert len(calls_of(got.sent)) == 10
    line = await rig.line_of(got)
    assert line["fsproxy.rejections_count"] == 2


async def test_page_and_document_variables_and_invalid_calls_spend_nothing(rig: Rig) -> None:
    pages = [first(scope, {"a_int": 1}, 0) for scope in ("page", "document") for _ in range(20)]
    invalid = [first("", {}, 0) for _ in range(20)]
    got = await rig.upload(bundle_of(*pages, *invalid, *events([0.0] * 10)))
    assert len(calls_of(got.sent)) == 50


@pytest.mark.parametrize(
    "copies", [["/rec/event", "/rec/bundle/v2"], ["/rec/bundle/v2"] * 3, ["/rec/bundle", "/rec/event"]]
)
async def test_a_copy_takes_the_firsts_verdict_and_spends_nothing(rig: Rig, copies: list[str]) -> None:
    ids = {"OrgId": fresh("o"), "SessionId": fresh("s"), "PageId": fresh("p")}
    sent_at = int(now() * 1000)
    query = {**ids, "PageStart": sent_at - 10_000, "ClientTime": sent_at}
    body = bundle_of(*events([n * 10.0 for n in range(12)]))
    sent = [(await rig.upload(body, path=path, **query)).sent for path in copies]
    assert all(each == sent[0] for each in sent)
    assert len(calls_of(sent[0])) == 10
    other = await rig.upload(bundle_of(*events([2000.0 + n for n in range(11)])), **query)
    assert len(calls_of(other.sent)) == 10


async def test_copies_at_the_same_moment_are_one(rig: Rig) -> None:
    ids = {"OrgId": fresh("o"), "SessionId": fresh("s"), "PageId": fresh("p")}
    body = bundle_of(*events([n * 10.0 for n in range(200)]))
    target = "/rec/bundle/v2?" + "&".join(f"{name}={value}" for name, value in ids.items())
    seen = len(rig.upstream.received)
    answers = await asyncio.gather(*(rig.client.post(f"{rig.proxy.url}{target}", data=body) for _ in range(4)))
    assert {each.status for each in answers} == {200}
    bodies = {each.body for each in rig.upstream.received[seen:]}
    assert len(bodies) == 1
    assert len(calls_of(bodies.pop())) == 20


async def test_equal_calls_in_one_upload_are_different_calls(rig: Rig) -> None:
    same = [first("Bought", {"a_int": 1}, 5.0) for _ in range(12)]
    assert len(calls_of((await rig.upload(bundle_of(*same))).sent)) == 10


async def test_a_call_without_a_page_id_is_never_a_copy(rig: Rig) -> None:
    ids = {"OrgId": fresh("o"), "SessionId": fresh("s"), "PageId": ""}
    body = bundle_of(*events([0.0] * 6))
    counts = [len(calls_of((await rig.upload(body, **ids)).sent)) for _ in range(2)]
    assert counts == [6, 4]


@pytest.mark.parametrize("skew", [0, -3_600_000, 3_600_000])
async def test_bundles_that_come_together_after_an_outage_are_judged_by_when_they_happened(rig: Rig, skew: int) -> None:
    """Three bundles of a minute, at once: 10 a second pass, and a client's clock an hour off changes nothing."""
    ids = {"OrgId": fresh("o"), "SessionId": fresh("s"), "PageId": fresh("p")}
    client_now = int(now() * 1000) + skew
    start = client_now - 120_000
    query = {"PageStart": start, "ClientTime": client_now}
    total = 0
    for part in range(3):
        whens = [part * 60_000.0 + n * 10 for n in range(10)]
        got = await rig.upload(bundle_of(*events(whens), seq=part + 1), **ids, **query)
        total += len(calls_of(got.sent))
    assert total == 30


async def test_bundles_out_of_order_are_judged_by_when_they_happened(rig: Rig) -> None:
    ids = {"OrgId": fresh("o"), "SessionId": fresh("s"), "PageId": fresh("p")}
    sent_at = int(now() * 1000)
    query = {"PageStart": sent_at - 60_000, "ClientTime": sent_at}
    later = await rig.upload(bundle_of(*events([50_000.0 + n for n in range(10)])), **ids, **query)
    earlier = await rig.upload(bundle_of(*events([20_000.0 + n for n in range(11)])), **ids, **query)
    middle = await rig.upload(bundle_of(*events([50_500.0, 51_001.0 + 9])), **ids, **query)
    assert len(calls_of(later.sent)) == 10
    assert len(calls_of(earlier.sent)) == 10
    assert whens_of(middle) == [51_010.0]


async def test_two_tabs_share_their_sessions_limit(rig: Rig) -> None:
    org, session = fresh("o"), fresh("s")
    sent_at = int(now() * 1000)
    counts = []
    for age in (60_000, 20_000):
        query = {"PageStart": sent_at - age, "ClientTime": sent_at}
        body = bundle_of(*events([age - 5000.0 + n * 10 for n in range(8)]))
        got = await rig.upload(body, OrgId=org, SessionId=session, PageId=fresh("p"), **query)
        counts.append(len(calls_of(got.sent)))
    assert counts[0] == 8
    assert counts[1] in {2, 3}  # the two pages' clocks meet to within the time that the requests took


async def test_another_session_and_another_org_have_limits_of_their_own(rig: Rig) -> None:
    org, session = fresh("o"), fresh("s")
    for ids in ((org, session), (org, fresh("s")), (fresh("o"), session)):
        got = await rig.upload(bundle_of(*events([0.0] * 11)), OrgId=ids[0], SessionId=ids[1])
        assert len(calls_of(got.sent)) == 10


@pytest.mark.parametrize(
    ("call", "limit", "window"), [("event", 10, "1s"), ("identify", 5, "1s"), ("setUserVars", 5, "1s")]
)
async def test_direct_calls_over_the_rate_are_429_with_what_to_wait_for(
    rig: Rig, call: str, limit: int, window: str
) -> None:
    bodies = {"event": {"name": "Bought"}, "identify": {"uid": "u1"}, "setUserVars": {"a_int": 1}}
    ids = {"OrgId": fresh("o"), "SessionId": fresh("s")}
    answers = await asyncio.gather(*(rig_post(rig, call, bodies[call], ids) for _ in range(limit * 2)))
    statuses = sorted(status for status, *_ in answers)
    assert statuses == [200] * limit + [429] * limit
    _, headers, body = next(each for each in answers if each[0] == 429)
    assert headers["Content-Type"] == "application/problem+json"
    assert 1 <= int(headers["Retry-After"]) <= 60
    policy = '"1s";q=10;w=1, "60s";q=30;w=60' if call == "event" else '"1s";q=5;w=1, "60s";q=12;w=60'
    assert headers["RateLimit-Policy"] == policy
    assert headers["RateLimit"].startswith(f'"{window}";r=0;t=')
    assert headers["FSProxy-Rejected"] == "1"
    assert "Retry-After" in headers["Access-Control-Expose-Headers"]
    (error,) = body["errors"]
    assert (error["code"], error["property"]) == ("RateLimited", None)
    assert error["call"] == ("Bought" if call == "event" else "identify" if call == "identify" else error["call"])


async def rig_post(rig: Rig, call: str, body: Any, ids: dict[str, str]) -> tuple[int, Any, Any]:
    query = "&".join(f"{name}={value}" for name, value in ids.items())
    async with rig.client.post(
        f"{rig.proxy.url}/client/{call}?{query}", json=body, headers={"Origin": "https://a.example"}
    ) as got:
        return got.status, got.headers, await got.json(content_type=None)


async def test_rec_event_of_which_no_call_is_left_is_429(rig: Rig) -> None:
    ids = {"OrgId": fresh("o"), "SessionId": fresh("s"), "PageId": fresh("p")}
    whole = await rig.upload(bundle_of(*events([0.0] * 10)), path="/rec/event", **ids)
    assert whole.status == 200
    over = await rig.upload(bundle_of(*events([1.0])), path="/rec/event", **ids)
    assert over.status == 429
    assert int(over.headers["Retry-After"]) >= 1
    assert over.forwarded is None
    bundle = await rig.upload(bundle_of(*events([2.0])), **ids)
    assert bundle.status == 200
    assert calls_of(bundle.sent) == []


async def test_server_calls_have_no_rate(rig: Rig) -> None:
    key = f"Basic {fresh('k')}"
    statuses = {(await rig.server("/v2/events", {"name": "Bought"}, key)).status for _ in range(40)}
    assert statuses == {200}


async def test_without_a_session_the_user_and_then_the_address_counts(rig: Rig) -> None:
    org = fresh("o")
    for user in ("a", "b"):
        answers = [
            await rig.direct("setUserVars", {"a_int": 1}, OrgId=org, SessionId="", UserId=user) for _ in range(13)
        ]
        assert [each.status for each in answers].count(200) in range(5, 13)
        assert answers[-1].status == 429


@pytest.mark.parametrize("path", ["/rec/bundle", "/rec/bundle/v2", "/rec/event"])
@pytest.mark.parametrize("repeats", [1, 2])
async def test_calls_after_a_held_up_first_upload_are_not_pressed_together(rig: Rig, path: str, repeats: int) -> None:
    """As builds without ``ClientTime`` sent them: 3 calls, and 23 at 1.43 a second in the next upload."""
    ids = {"OrgId": fresh("o"), "SessionId": fresh("s"), "PageId": fresh("p"), "ClientTime": "", "PageStart": ""}
    for whens in ([3100.0, 4000.0, 4771.0], [5466.0 + n * 700 for n in range(23)]):
        for _ in range(repeats):
            assert whens_of(await rig.upload(bundle_of(*events(whens)), path=path, **ids)) == whens


async def test_a_page_of_another_clock_is_limited_with_it_once_the_first_has_moved(rig: Rig) -> None:
    """The first page's ten calls were made 60 s before the other's, as its next upload shows."""
    ids = {"OrgId": fresh("o"), "SessionId": fresh("s"), "ClientTime": "", "PageStart": ""}
    one, other = ids | {"PageId": fresh("p")}, ids | {"PageId": fresh("p")}
    whens = [n * 90.0 for n in range(10)]
    assert whens_of(await rig.upload(bundle_of(*events(whens)), **one)) == whens
    assert whens_of(await rig.upload(bundle_of(*events(whens, "Other")), **other)) == []
    late = [60_810.0]
    assert whens_of(await rig.upload(bundle_of(*events(late)), **one)) == late
    more = [n * 90.0 + 1 for n in range(9)]
    assert whens_of(await rig.upload(bundle_of(*events(more, "Other")), **other)) == more


@pytest.mark.parametrize("zipped", ["", "query"])
async def test_of_a_body_with_too_many_calls_the_first_are_judged_and_the_rest_is_cut(rig: Rig, zipped: str) -> None:
    whens = [n * 2_000.0 for n in range(5_010)]
    got = await rig.upload(bundle_of(*events(whens)), zipped=zipped)
    assert got.status == 200
    assert whens_of(got) == whens[:5_000]
    line = await rig.line_of(got)
    assert line["fsproxy.rejections_count"] == 10
    assert {each["code"] for each in line["fsproxy.rejections"]} == {"RateLimited"}


@pytest.mark.parametrize("path", ["/rec/bundle", "/rec/bundle/v2", "/rec/event"])
@pytest.mark.parametrize("generation", [1, 2])
async def test_the_variables_of_a_refused_uid_reach_nobody(rig: Rig, path: str, generation: int) -> None:
    def user(properties: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
        return first("user", properties) if generation == 1 else second("user", properties, schema)

    calls = [
        user({"uid": "undefined"}, {}),
        user({"plan_str": "gold"} if generation == 1 else {"plan": "gold"}, {"plan": "str"}),
        *events([1000.0]),
    ]
    ids = {"OrgId": fresh("o"), "SessionId": fresh("s"), "PageId": fresh("p")}
    for _ in range(2):
        got = await rig.upload(bundle_of(*calls), path=path, **ids)
        assert [each["Kind"] for each in calls_of(got.sent)] == [8197]
        line = await rig.line_of(got)
        assert [(each["code"], each["property"]) for each in line["fsproxy.rejections"]] == [("InvalidId", None)]
