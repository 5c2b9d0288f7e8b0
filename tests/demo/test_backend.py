"""The demo backend answers as a capture backend does (wire.md 1, 2, 4, 5 and 6)."""

import gzip
import json
from typing import Any

import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient

from fsproxy.demo.backend import create_backend

AUTHORIZED = {"Authorization": "Basic a2V5"}
Backend = TestClient[web.Request, web.Application]
NOW = 1_795_287_301_510
ORIGIN = "https://shop.example.com"
PAGE = {
    "OrgId": "o-TEST1-na1",
    "UserId": "",
    "SessionId": "7b2863c8-447d-4fc6-9127-3695e6fc0ed2",
    "PageId": "fbadc8eb-af04-4aeb-90b0-6c2c3f16376d",
    "Url": "https://shop.example.com/cart",
    "SnippetVersion": "2.0.0",
    "CompiledTimestamp": 1770727426,
}
BUNDLE = {"Seq": 1, "When": 63, "Evts": [{"Kind": 8197, "Args": ["Bought", '{"price_real":9.5}'], "When": 60}]}
BUNDLE_BYTES = json.dumps(BUNDLE).encode()


@pytest.fixture
async def backend(aiohttp_client: AiohttpClient) -> Backend:
    return await aiohttp_client(create_backend(clock=lambda: NOW))


async def page(backend: Backend, **changes: object) -> dict[str, Any]:
    response = await backend.post("/rec/page", data=json.dumps(PAGE | changes), headers={"Content-Type": "text/plain"})
    assert response.status == 200
    return await response.json()


async def received(backend: Backend, limit: int = 20) -> dict[str, Any]:
    response = await backend.get("/_demo/received", params={"limit": limit})
    assert response.status == 200
    return await response.json()


async def test_a_first_visit_gets_a_user_a_session_and_a_page(backend: Backend) -> None:
    answer = await page(backend)
    ids = [answer["UserUUID"], answer["SessionUUID"], answer["PageUUID"]]
    assert len(set(ids)) == 3
    assert all(len(one) == 36 for one in ids)
    assert answer["IsNewSession"] is True
    assert answer["CookieDomain"] == "shop.example.com"
    assert answer["PageStart"] == NOW
    assert answer["BundleUploadIntervalMS"] > 0
    assert answer["Flags"]["UseClientSideId"] is True


async def test_the_next_page_of_a_session_keeps_its_session_and_user(backend: Backend) -> None:
    first = await page(backend)
    again = await page(backend, SessionId=first["SessionUUID"], UserId=first["UserUUID"])
    assert again["SessionUUID"] == first["SessionUUID"]
    assert again["UserUUID"] == first["UserUUID"]
    assert again["PageUUID"] != first["PageUUID"]
    assert again["IsNewSession"] is False


async def test_another_user_in_a_known_session_begins_a_new_one(backend: Backend) -> None:
    first = await page(backend)
    other = await page(backend, SessionId=first["SessionUUID"], UserId="someone-else")
    assert other["SessionUUID"] != first["SessionUUID"]
    assert other["UserUUID"] == "someone-else"
    assert other["IsNewSession"] is True


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b'{"OrgId":"o"}', b'{"OrgId":5,"Url":"https://a.example/"}', b'{"OrgId":NaN,"Url":"x"}'],
    ids=["empty", "list", "cut", "no url", "org is a number", "not json"],
)
async def test_what_is_no_page_request_is_answered_400(backend: Backend, body: bytes) -> None:
    response = await backend.post("/rec/page", data=body)
    assert response.status == 400
    assert (await response.json())["code"] == "invalid_body"


async def test_an_unparseable_url_has_no_cookie_domain(backend: Backend) -> None:
    assert (await page(backend, Url="http://[broken"))["CookieDomain"] == ""


@pytest.mark.parametrize(("path", "status"), [("/rec/page", 400), ("/nowhere", 404), ("/rec/beacon", 200)])
async def test_every_answer_names_the_exact_origin_and_allows_credentials(
    backend: Backend, path: str, status: int
) -> None:
    response = await backend.post(path, headers={"Origin": ORIGIN})
    assert response.status == status
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert response.headers["Access-Control-Allow-Credentials"] == "true"
    assert response.headers["Vary"] == "Origin"


async def test_without_an_origin_there_is_no_cors_header(backend: Backend) -> None:
    response = await backend.post("/rec/beacon")
    assert "Access-Control-Allow-Origin" not in response.headers


async def test_a_preflight_is_granted(backend: Backend) -> None:
    headers = {"Origin": ORIGIN, "Access-Control-Request-Headers": "content-type"}
    response = await backend.options("/client/event", headers=headers)
    assert response.status == 204
    assert response.headers["Access-Control-Allow-Headers"] == "content-type"
    assert "POST" in response.headers["Access-Control-Allow-Methods"]


@pytest.mark.parametrize("path", ["/rec/bundle", "/rec/bundle/v2", "/rec/event"])
@pytest.mark.parametrize("query", ["?Seq=1", "?Seq=1&ContentEncoding=gzip"])
async def test_a_bundle_is_answered_with_its_time_plain_or_gzip_by_query(
    backend: Backend, path: str, query: str
) -> None:
    body = gzip.compress(BUNDLE_BYTES) if "gzip" in query else BUNDLE_BYTES
    response = await backend.post(path + query, data=body)
    assert response.status == 200
    assert await response.json() == {"BundleTime": NOW}
    last = (await received(backend))["received"][-1]
    assert last["path"] == path
    assert last["query"]["Seq"] == "1"
    assert last["body"] == BUNDLE


@pytest.mark.parametrize(
    "body",
    [b"not gzip", gzip.compress(BUNDLE_BYTES, mtime=0)[:-9], gzip.compress(b'{"Seq":1}', mtime=0)],
    ids=["no gzip", "cut", "no Evts"],
)
async def test_a_bundle_that_cannot_be_read_is_answered_400(backend: Backend, body: bytes) -> None:
    response = await backend.post("/rec/bundle/v2?ContentEncoding=gzip", data=body)
    assert response.status == 400


async def test_the_settings_of_an_org_are_there(backend: Backend) -> None:
    response = await backend.get("/s/settings/o-TEST1-na1/v1/web")
    assert response.status == 200
    assert (await response.json())["OrgId"] == "o-TEST1-na1"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/rec/integrations"),
        ("POST", "/rec/except"),
        ("POST", "/rec/beacon?orgId=o&userId=1&sessionId=2"),
        ("POST", "/rec/queryResources"),
        ("POST", "/rec/uploadResource"),
        ("GET", "/s/fs.js"),
        ("GET", "/datalayer/v4/latest.js"),
    ],
)
async def test_the_other_routes_of_a_recorder_are_answered_200(backend: Backend, method: str, path: str) -> None:
    assert (await backend.request(method, path)).status == 200


@pytest.mark.parametrize("path", ["/client/event", "/client/identify", "/client/setUserVars"])
async def test_direct_calls_take_an_object(backend: Backend, path: str) -> None:
    assert (await backend.post(path, json={"name": "Bought"})).status == 200
    assert (await backend.post(path, json=["Bought"])).status == 400


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/users/v1/individual/u1/customvars", {"plan_str": "gold"}),
        ("/users/v1/individual/u1/customevent", {"event": {"event_name": "Bought", "event_data": {}}}),
        ("/v2/events", {"name": "Bought"}),
        ("/v2/users", {"uid": "u1"}),
        ("/v2/events/batch", {"requests": []}),
        ("/v2/users/batch", {"requests": []}),
    ],
)
async def test_the_server_api_asks_for_authorization_and_then_accepts(
    backend: Backend, path: str, body: object
) -> None:
    refused = await backend.post(path, json=body)
    assert refused.status == 401
    assert set(await refused.json()) == {"message", "code"}
    assert (await backend.post(path, json=body, headers=AUTHORIZED)).status == 200
    assert (await backend.post(path, data=b"[]", headers=AUTHORIZED)).status == 400


async def test_a_batch_without_requests_is_answered_400(backend: Backend) -> None:
    assert (await backend.post("/v2/events/batch", json={}, headers=AUTHORIZED)).status == 400


async def test_a_user_of_the_server_api_is_given_back(backend: Backend) -> None:
    response = await backend.post("/v2/users", json={"uid": "u1", "email": "a@b.c", "x": 1}, headers=AUTHORIZED)
    assert await response.json() == {"id": "1", "uid": "u1", "email": "a@b.c"}


async def test_a_content_encoding_header_is_understood_too(backend: Backend) -> None:
    headers = {"Content-Encoding": "gzip", "Authorization": "Basic a2V5"}
    response = await backend.post("/v2/events", data=gzip.compress(b'{"name":"Bought"}'), headers=headers)
    assert response.status == 200


async def test_page_bundle_and_event_frames_are_answered_by_cmd_4_5_and_7(backend: Backend) -> None:
    async with backend.ws_connect("/rec/sock") as socket:
        await socket.send_json({"Cmd": 1, "Seq": 1, "Page": PAGE})
        answer = await socket.receive_json()
        assert (answer["Cmd"], answer["Seq"]) == (4, 1)
        assert answer["Page"]["IsNewSession"] is True
        await socket.send_json({"Cmd": 2, "Seq": 2, "Bundle": {"Bundle": BUNDLE, "OrgId": "o-TEST1-na1"}})
        assert await socket.receive_json() == {"Cmd": 5, "Seq": 2, "Bundle": {"BundleTime": NOW}}
        await socket.send_json({"Cmd": 6, "Seq": 3, "Bundle": {"Bundle": BUNDLE, "OrgId": "o-TEST1-na1"}})
        assert await socket.receive_json() == {"Cmd": 7, "Seq": 3, "Bundle": {"BundleTime": NOW}}
    frames = [one for one in (await received(backend))["received"] if one["method"] == "WEBSOCKET"]
    assert [frame["body"]["Cmd"] for frame in frames] == [1, 2, 6]


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[]",
        '{"Cmd":9,"Seq":3}',
        '{"Cmd":1,"Seq":3,"Page":{}}',
        '{"Cmd":2,"Seq":3,"Bundle":[]}',
        '{"Cmd":[6]}',
        '{"Cmd":6}',
    ],
)
async def test_a_frame_that_is_not_understood_fails_with_a_status(backend: Backend, text: str) -> None:
    async with backend.ws_connect("/rec/sock") as socket:
        await socket.send_str(text)
        answer = await socket.receive_json()
    assert answer["Cmd"] == 3
    assert answer["Fail"]["Status"] == 400


async def test_a_binary_frame_ends_the_socket(backend: Backend) -> None:
    async with backend.ws_connect("/rec/sock") as socket:
        await socket.send_bytes(b"\x00")
        message = await socket.receive()
        assert message.type is WSMsgType.CLOSE
        assert message.data == 1003


async def test_received_shows_the_last_requests_newest_last_without_credentials(backend: Backend) -> None:
    headers = {"Cookie": "fs_uid=secret; theme=dark", "Authorization": "Basic secret", "X-Forwarded-For": "203.0.113.9"}
    await backend.post("/rec/beacon?orgId=1", headers=headers)
    await page(backend)
    shown = await received(backend)
    assert shown["total"] == 2
    assert [one["path"] for one in shown["received"]] == ["/rec/beacon", "/rec/page"]
    first = shown["received"][0]
    assert "secret" not in json.dumps(first)
    assert first["headers"]["Cookie"].startswith("fs_uid=")
    assert first["headers"]["X-Forwarded-For"] == "203.0.113.9"
    assert [one["path"] for one in (await received(backend, limit=1))["received"]] == ["/rec/page"]
    assert (await received(backend, limit=0))["received"] == []


async def test_received_can_be_forgotten(backend: Backend) -> None:
    await page(backend)
    assert (await backend.delete("/_demo/received")).status == 204
    assert await received(backend) == {"total": 0, "received": []}


async def test_a_limit_that_is_no_number_is_answered_400(backend: Backend) -> None:
    assert (await backend.get("/_demo/received?limit=all")).status == 400
