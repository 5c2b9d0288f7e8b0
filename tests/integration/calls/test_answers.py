"""What is answered on direct and server routes, what is told of it, and that no value is ever in it."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from integration.calls.rig import Rig, bundle_of, first, fresh

pytestmark = pytest.mark.asyncio(loop_scope="session")

SECRET = "s3cr3t-value"


async def test_a_problem_document_lists_every_rejection_in_order(rig: Rig) -> None:
    body = {
        "name": "",
        "properties": {
            "a_int": SECRET,
            "1_str": "x",
            "b": 1,
            "n": {"c_foo": 1, "d_bool": "true"},
            "e_str": {"f_int": 1},
        },
    }
    got = await rig.direct("event", body)
    assert got.status == 400
    assert got.forwarded is None
    assert got.headers["Content-Type"] == "application/problem+json"
    assert got.headers["Cache-Control"] == "no-store"
    assert got.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
    document = got.json
    assert {"type", "title", "status", "detail", "errors"} <= set(document)
    assert document["status"] == 400
    assert got.codes == [
        ("InvalidEventName", None),
        ("InvalidValue", "a_int"),
        ("InvalidPropertyName", "1_str"),
        ("MissingPropertyType", "b"),
        ("InvalidPropertyType", "n.c_foo"),
        ("InvalidValue", "n.d_bool"),
        ("ExpectedAtom", "e_str"),
    ]
    for error in document["errors"]:
        assert set(error) == {"code", "call", "property", "detail"}
        assert error["call"] == ""
    assert got.headers["FSProxy-Rejected"] == "7"
    assert SECRET.encode() not in got.body


@pytest.mark.parametrize(
    ("call", "body", "said", "code"),
    [
        ("identify", {"uid": "null"}, "identify", "InvalidId"),
        ("identify", {}, "identify", "InvalidId"),
        ("identify", {"uid": ["a"], "a_int": 1}, "identify", "InvalidId"),
        ("setUserVars", {"a_int": "x"}, "set_user_vars", "InvalidValue"),
        ("event", {"properties": {}}, "event", "InvalidEventName"),
        ("event", {"name": "a", "properties": []}, "event", "InvalidJson"),
    ],
)
async def test_a_rejected_call_is_named_by_its_kind_where_it_has_no_name(
    rig: Rig, call: str, body: Any, said: str, code: str
) -> None:
    got = await rig.direct(call, body)
    assert got.status == 400
    (error,) = got.json["errors"]
    assert error["code"] == code
    assert error["call"] in {said, body.get("name", said)}


@pytest.mark.parametrize(("call", "body"), [("event", {"name": "a"}), ("event", {"n": "a"}), ("setUserVars", {})])
async def test_what_is_sent_empty_is_valid(rig: Rig, call: str, body: Any) -> None:
    assert (await rig.direct(call, body)).status == 200


async def test_an_event_of_which_every_property_fails_is_still_recorded(rig: Rig) -> None:
    got = await rig.direct("event", {"name": "a", "properties": {"x": 1, "n": {"y": 1}}})
    assert got.status == 200
    assert got.sent == b'{"name":"a","properties":{}}'
    assert got.headers["FSProxy-Rejected"] == "2"
    assert "FSProxy-Rejected" in got.headers["Access-Control-Expose-Headers"]


async def test_the_rest_of_a_cut_body_keeps_its_bytes_and_its_length_is_right(rig: Rig) -> None:
    body = b'{ "name" : "a" , "properties" : { "x_int" : "1" , "y_real" : 1.50e+1 } , "other" : [ 1 ] }'
    got = await rig.direct("event", body)
    assert got.sent == b'{ "name" : "a" , "properties" : { "y_real" : 1.50e+1 } , "other" : [ 1 ] }'
    assert got.forwarded is not None
    assert got.forwarded.value("Content-Length") == str(len(got.sent))


SERVER: list[tuple[str, Any, str]] = [
    ("/users/v1/individual/u%2F1/customvars", {"a_int": SECRET}, "InvalidValue"),
    ("/users/v1/individual/u1/customevent", {"event": {"event_name": "", "event_data": {}}}, "InvalidEventName"),
    ("/users/v1/individual/u1/customevent", {"event": [SECRET]}, "InvalidJson"),
    ("/users/v1/individual/u1/customevent", {"other": SECRET}, "InvalidJson"),
    ("/v2/events", {"properties": {}}, "InvalidEventName"),
    ("/v2/events", {"name": "a", "properties": SECRET}, "InvalidJson"),
    ("/v2/users", {"uid": "0", "properties": {}}, "InvalidId"),
    ("/v2/users", {"properties": {"a": [1, "x"]}}, "InvalidValue"),
    ("/v2/events/batch", {"requests": [{"name": ""}, {"name": 7}]}, "InvalidEventName"),
    ("/v2/events/batch", {"requests": {}}, "InvalidJson"),
    ("/v2/users/batch", {"other": 1}, "InvalidJson"),
]


@pytest.mark.parametrize(("path", "body", "code"), SERVER)
async def test_server_callers_get_the_vendors_members_too(rig: Rig, path: str, body: Any, code: str) -> None:
    got = await rig.server(path, body)
    assert got.status == 400, got.sent
    assert got.headers["Content-Type"] == "application/problem+json"
    document = got.json
    assert document["errors"][0]["code"] == code
    assert document["code"] == code
    assert isinstance(document["message"], str)
    assert SECRET.encode() not in got.body


async def test_a_server_call_of_512_kb_passes_and_one_byte_more_is_413(rig: Rig) -> None:
    for size, status in ((512 * 1024, 200), (512 * 1024 + 1, 413)):
        body = b'{"a_str":"x"' + b" " * (size - 13) + b"}"
        got = await rig.server("/users/v1/individual/u1/customvars", body)
        assert got.status == status
        assert (got.forwarded is not None) is (status == 200)


async def test_a_batch_loses_its_bad_items_and_the_rest_keeps_its_bytes(rig: Rig) -> None:
    body = (
        b'{"x":1,"requests":[ {"name":""} , {"name":"a","properties":{"n":null,"m":1}} , {"name":"b" } , '
        b'{"name":"c","properties":[]}, 7 , {"name":"a","name":"b"}],"y":2}'
    )
    got = await rig.server("/v2/events/batch", body)
    assert got.status == 200
    assert got.sent == b'{"x":1,"requests":[ {"name":"a","properties":{"m":1}} , {"name":"b" }],"y":2}'
    assert got.headers["FSProxy-Rejected"] == "5"


async def test_an_item_of_a_batch_may_have_512_kb(rig: Rig) -> None:
    def item(size: int) -> bytes:
        return b'{"name":"a"' + b" " * (size - 12) + b"}"

    body = b'{"requests":[%b,%b,%b]}' % (item(512 * 1024), item(512 * 1024 + 1), item(20))
    got = await rig.server("/v2/events/batch", body)
    assert got.sent == b'{"requests":[%b,%b]}' % (item(512 * 1024), item(20))
    line = await rig.line_of(got)
    assert [each["code"] for each in line["fsproxy.rejections"]] == ["TooBigToParse"]


async def test_users_have_reserved_members_beside_their_properties(rig: Rig) -> None:
    good = {
        "uid": "u1",
        "display_name": "x" * 256,
        "email": "x" * 128,
        "properties": {"a": 1},
        "schema": {"properties": {"a": "int"}},
    }
    got = await rig.server("/v2/users", good)
    assert json.loads(got.sent) == good
    assert "FSProxy-Rejected" not in got.headers
    bad = {**good, "display_name": "x" * 257, "email": 7, "properties": {"a": "x", "b": 1}}
    got = await rig.server("/v2/users", bad)
    assert got.headers["FSProxy-Rejected"] == "3"
    assert json.loads(got.sent) == {"uid": "u1", "properties": {"b": 1}, "schema": {"properties": {}}}


async def test_other_methods_and_paths_are_not_looked_at(rig: Rig) -> None:
    rig.upstream.allow_unexpected = True
    got = await rig.server("/v2/users/u1", {"properties": {"a": None}})
    assert json.loads(got.sent) == {"properties": {"a": None}}
    assert got.status == 404


async def test_rejections_in_the_line_are_bounded_counted_and_hold_no_value(rig: Rig) -> None:
    body = {
        "name": "n" * 200,
        "properties": {f"p{n}_int": SECRET for n in range(50)} | {"w\n\u202e" + "x" * 150: SECRET},
    }
    got = await rig.direct("event", body)
    line = await rig.line_of(got)
    assert line["fsproxy.rejections_count"] == 51
    assert got.headers["FSProxy-Rejected"] == "51"
    assert len(line["fsproxy.rejections"]) == 20
    assert line["fsproxy.rejections"][0] == {"code": "InvalidValue", "call": "n" * 100, "property": "p0_int"}
    assert line["fsproxy.decision"] == "forwarded"
    assert SECRET not in json.dumps(line)
    rejected = await rig.direct("event", {"name": "", "properties": {"a_int": SECRET}})
    line = await rig.line_of(rejected)
    assert line["fsproxy.decision"] == "rejected"
    assert line["http.response.status_code"] == 400
    assert SECRET not in (rig.proxy.folder / "stdout").read_text() + rig.proxy.log_text()


async def test_rejections_are_counted_by_code_kind_and_route(rig: Rig) -> None:
    def name(code: str, kind: str, route: str) -> str:
        return f'fsproxy_rejections_total{{code="{code}",kind="{kind}",route="{route}"}}'

    expected = {
        name("InvalidValue", "event", "bundle"): 2,
        name("InvalidEventName", "event", "event"): 1,
        name("InvalidId", "identify", "direct_identify"): 1,
        name("MissingPropertyType", "set_user_vars", "direct_set_user_vars"): 1,
    }
    before = await rig.metrics()
    await rig.upload(bundle_of(first("a", {"x_int": "x", "y_int": "x"})))
    await rig.upload(bundle_of(first("", {})), path="/rec/event")
    await rig.direct("identify", {"uid": ""})
    await rig.direct("setUserVars", {"a": 1, "b_int": 1})
    after = await rig.metrics()
    assert {each: after.get(each, 0) - before.get(each, 0) for each in expected} == expected


async def test_names_in_use_are_gauges_of_each_org(rig: Rig) -> None:
    org = fresh("gauge")
    await rig.upload(bundle_of(first("a", {"x_int": 1, "y_int": 1}), first("user", {"z_int": 1})), OrgId=org)
    found = await rig.metrics()
    gauges = {
        kind: found[f'fsproxy_names{{kind="{kind}",org="{org}"}}']
        for kind in ("event_name", "event_property", "user_property")
    }
    assert gauges == {"event_name": 1, "event_property": 2, "user_property": 1}
    for _ in range(120):
        await rig.upload(bundle_of(first("a", {})))
    orgs = {name for name in await rig.metrics() if name.startswith("fsproxy_names{")}
    assert len(orgs) == 300


async def test_a_connection_goes_on_after_a_refused_call(rig: Rig) -> None:
    """413 and 400 leave a kept-alive connection usable: all on one."""
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as client:
        url = f"{rig.proxy.url}/client/setUserVars?OrgId={fresh('o')}&SessionId={fresh('s')}"
        ports = set()
        for body, status in (
            (b"x" * 600_000, 413),
            (b"{", 400),
            (b'{"a_int":1}', 200),
            (b" " * 5_000_000, 413),
            (b"{}", 200),
        ):
            async with client.post(url, data=io.BytesIO(body)) as got:
                assert got.connection is not None or got.status
                if got.connection is not None and got.connection.transport is not None:
                    ports.add(got.connection.transport.get_extra_info("sockname"))
                await got.read()
            assert got.status == status
        assert len(ports) <= 1
