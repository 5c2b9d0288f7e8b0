"""Anything at all, on any route: an answer, never a failure of ours, and what went on is clean when sent again."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integration.calls.rig import OPAQUE, Exchange, Rig, bundle_of, compact, fresh

pytestmark = pytest.mark.asyncio(loop_scope="session")
MODEST = settings(
    max_examples=50,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)

KEYS = st.sampled_from(
    [
        "a_int",
        "a_str",
        "b_strs",
        "n",
        "uid",
        "email",
        "displayName",
        "name",
        "properties",
        "1x",
        "x_",
        "a-b_int",
        "pageName",
        "",
    ]
) | st.text(max_size=8)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=10)
    | st.sampled_from(["2020-01-01", "null", "x" * 9000, "str", "int", "strs"])
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)
PROPERTIES = st.dictionaries(KEYS, JSON, max_size=6)
TEXTS = st.one_of(PROPERTIES.map(compact), JSON.map(compact), st.text(max_size=20))
NAMES = st.one_of(
    st.sampled_from(["user", "page", "document", "Bought", "Order Completed", ""]), st.text(max_size=5), JSON
)
CALLS = st.fixed_dictionaries(
    {
        "Kind": st.sampled_from([8193, 8197, 8197, 98, 8193.0]) | JSON,
        "Args": st.one_of(
            st.tuples(NAMES, TEXTS),
            st.tuples(NAMES, TEXTS, st.none(), st.sampled_from([1, 2, 3]) | JSON, TEXTS),
            JSON,
            st.just(["api", "event"]),
        ),
        "When": st.integers(0, 10**6) | JSON,
    }
)


def unharmed(rig: Rig, got: Exchange, *, answers: bool) -> None:
    assert got.status in ({200, 400, 413, 429} if answers else {200}), (got.status, got.body)


async def clean_again(rig: Rig, got: Exchange, send: Any) -> None:
    """What went on passes whole when another session of another org sends it."""
    if got.forwarded is None:
        return
    again = await send(got.sent)
    assert again.sent == got.sent
    assert (await rig.line_of(again)).get("fsproxy.rejections_count", 0) == 0


@pytest.mark.parametrize("path", ["/rec/bundle/v2", "/rec/event"])
@MODEST
@given(st.lists(CALLS, min_size=1, max_size=5))
async def test_any_value_in_any_place_of_a_bundled_call(rig: Rig, path: str, calls: list[Any]) -> None:
    body = bundle_of(*(compact(each).encode("utf-8", "surrogatepass") for each in calls))
    got = await rig.upload(body, path=path)
    unharmed(rig, got, answers=path == "/rec/event")
    if got.forwarded is not None:
        assert got.sent.count(OPAQUE) == 2
    await clean_again(rig, got, lambda sent: rig.upload(sent, path=path))


@MODEST
@given(st.sampled_from(["event", "identify", "setUserVars"]), PROPERTIES | JSON, PROPERTIES, NAMES)
async def test_any_value_in_any_place_of_a_direct_call(
    rig: Rig, call: str, anything: Any, properties: Any, name: Any
) -> None:
    bodies = [anything, {"uid": name, **properties}, {"name": name, "properties": properties, "p": anything}]
    for body in bodies:
        got = await rig.direct(call, compact(body).encode("utf-8", "surrogatepass"))
        unharmed(rig, got, answers=True)
        await clean_again(rig, got, lambda sent: rig.direct(call, sent))


SERVER = [
    "/users/v1/individual/u/customvars", "/users/v1/individual/u/customevent", "/v2/events", "/v2/users",
    "/v2/events/batch", "/v2/users/batch",
]  # fmt: skip


@MODEST
@given(st.sampled_from(SERVER), JSON, PROPERTIES, PROPERTIES, NAMES)
async def test_any_value_in_any_place_of_a_server_call(
    rig: Rig, path: str, anything: Any, properties: Any, schema: Any, name: Any
) -> None:
    one = {"name": name, "uid": name, "properties": properties, "schema": {"properties": schema}, "email": anything}
    bodies = [anything, properties, one, {"event": {"event_name": name, "event_data": properties}}]
    bodies.append({"requests": [*bodies, one]})
    for body in bodies:
        got = await rig.server(path, compact(body).encode("utf-8", "surrogatepass"))
        unharmed(rig, got, answers=True)
        await clean_again(rig, got, lambda sent: rig.server(path, sent))


@MODEST
@given(
    st.one_of(
        st.binary(max_size=200),
        st.lists(
            st.sampled_from(
                [
                    b'{"Evts":[',
                    b'{"Kind":8197,"Args":["a","{}"],"When":1}',
                    b"]}",
                    b",",
                    b'{"Kind":8193',
                    b'"',
                    b"\\",
                    b"[",
                    b"{",
                    b"8197",
                ]
            ),
            max_size=12,
        ).map(b"".join),
    ),
    st.sampled_from(["", "query", "header", "lie"]),
)
async def test_any_bytes_as_a_bundle_go_on_as_they_came(rig: Rig, body: bytes, zipped: str) -> None:
    """Nothing in them is a call that breaks a rule, so they arrive, whatever they are."""
    if zipped == "lie":
        got = await rig.upload(body, ContentEncoding="gzip")
    else:
        got = await rig.upload(body, zipped=zipped)
    assert got.status == 200
    assert got.sent == body


@MODEST
@given(st.binary(max_size=120), st.sampled_from(["event", "identify", "setUserVars"]))
async def test_any_bytes_as_a_direct_call_are_answered(rig: Rig, body: bytes, call: str) -> None:
    for sent in (body, gzip.compress(body)):
        got = await rig.direct(call, sent)
        unharmed(rig, got, answers=True)
        if got.forwarded is None:
            assert json.loads(got.body)["errors"]


async def test_no_fault_of_ours_was_counted(rig: Rig) -> None:
    """After all of the above: nothing was survived, it simply did not happen."""
    await rig.upload(bundle_of(), OrgId=fresh("o"))
    found = await rig.metrics()
    assert {name: value for name, value in found.items() if name.startswith("fsproxy_own_failures") and value} == {}
