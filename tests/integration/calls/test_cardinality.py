"""Names per org, with small limits (3 user properties, 2 event names, 4 event properties), through a running proxy."""

from __future__ import annotations

import pytest

from integration.calls.conftest import OrgOf
from integration.calls.rig import Rig, bundle_of, calls_of, first, fresh, members, second

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_new_event_name_beyond_the_limit_rejects_the_call_and_known_ones_go_on(rig: Rig, org_of: OrgOf) -> None:
    org = org_of("small")
    got = await rig.upload(bundle_of(*(first(name, {}) for name in ("a", "b", "c", "a"))), OrgId=org)
    assert [each["Args"][0] for each in calls_of(got.sent)] == ["a", "b", "a"]
    direct = await rig.direct("event", {"name": "c", "properties": {}}, OrgId=org)
    assert direct.status == 400
    assert direct.codes == [("CardinalityExceeded", None)]
    assert (await rig.direct("event", {"name": "b", "properties": {}}, OrgId=org)).status == 200


async def test_event_properties_count_by_the_events_name(rig: Rig, org_of: OrgOf) -> None:
    org = org_of("small")
    one = {"x_int": 1, "y_int": 1, "z_int": 1}
    got = await rig.upload(bundle_of(first("a", one), first("b", one), first("a", one)), OrgId=org)
    assert [members(each) for each in calls_of(got.sent)] == [["x_int", "y_int", "z_int"], ["x_int"], [*one]]
    line = await rig.line_of(got)
    assert [each["property"] for each in line["fsproxy.rejections"]] == ["y_int", "z_int"]
    assert {each["code"] for each in line["fsproxy.rejections"]} == {"CardinalityExceeded"}


async def test_identify_and_set_user_vars_share_names_and_events_do_not(rig: Rig, org_of: OrgOf) -> None:
    org = org_of("small")
    assert (await rig.direct("identify", {"uid": "u1", "a_int": 1, "b_int": 1}, OrgId=org)).status == 200
    got = await rig.direct("setUserVars", {"a_int": 1, "b_int": 1, "c_int": 1, "d_int": 1}, OrgId=org)
    assert got.headers["FSProxy-Rejected"] == "1"
    assert got.sent == b'{"a_int":1,"b_int":1,"c_int":1}'
    all_new = await rig.direct("setUserVars", {"e_int": 1}, OrgId=org)
    assert all_new.status == 400
    assert all_new.codes == [("CardinalityExceeded", "e_int")]
    event = await rig.direct("event", {"name": "a", "properties": {"a_int": 1, "d_int": 1}}, OrgId=org)
    assert "FSProxy-Rejected" not in event.headers


async def test_both_generations_and_nested_names_count_as_one_name(rig: Rig, org_of: OrgOf) -> None:
    org = org_of("small")
    a, b = (
        first("user", {"a_int": 1, "n": {"b_str": "x"}}),
        second("user", {"a": 2, "n": {"b": "y"}, "c": 1}, {"a": "int", "n": {"b": "str"}, "c": "real"}),
    )
    got = await rig.upload(bundle_of(a, b), OrgId=org)
    assert [members(each) for each in calls_of(got.sent)] == [["a_int", "n"], ["a", "n", "c"]]
    other_type = await rig.upload(bundle_of(second("user", {"a": "x", "c": 1}, {"a": "str", "c": "real"})), OrgId=org)
    (call,) = calls_of(other_type.sent)
    assert members(call) == ["c"]
    assert members(call, 4) == ["c"]


async def test_reserved_names_and_page_variables_do_not_count(rig: Rig, org_of: OrgOf) -> None:
    org = org_of("small")
    reserved = dict.fromkeys(("displayName", "email", "acctId", "website"), "x")
    body = bundle_of(
        first("user", {"uid": "u1"}),
        first("user", reserved | {"a_int": 1, "b_int": 1, "c_int": 1}),
        first("page", {f"p{n}_int": n for n in range(10)}),
        first("document", {f"d{n}_int": n for n in range(10)}),
    )
    got = await rig.upload(body, OrgId=org)
    assert got.sent == body


async def test_orgs_are_apart(rig: Rig, org_of: OrgOf) -> None:
    for org in (org_of("small"), org_of("small")):
        got = await rig.upload(bundle_of(first("a", {}), first("b", {})), OrgId=org)
        assert len(calls_of(got.sent)) == 2


async def test_a_rejected_event_uses_up_no_names(rig: Rig, org_of: OrgOf) -> None:
    org = org_of("small")
    body = bundle_of(first("", {"x_int": 1}), first("a" * 251, {"y_int": 1}), first("a", {"bad_int": "x"}))
    await rig.upload(body, OrgId=org)
    got = await rig.upload(bundle_of(first("a", {f"p{n}_int": n for n in range(4)}), first("b", {})), OrgId=org)
    assert [len(members(each)) for each in calls_of(got.sent)] == [4, 0]


async def test_a_copy_takes_the_verdict_of_the_first_even_of_many_names(rig: Rig, org_of: OrgOf) -> None:
    """More refused names than are remembered with a verdict: they are asked for anew."""
    org = org_of("small")
    ids = {"OrgId": org, "SessionId": fresh("s"), "PageId": fresh("p")}
    body = bundle_of(first("a", {f"name_number_{n}_int": n for n in range(60)}))
    one, two = await rig.upload(body, **ids), await rig.upload(body, path="/rec/event", **ids)
    assert one.sent == two.sent
    assert len(members(calls_of(one.sent)[0])) == 4
    for _ in range(8):
        assert (await rig.upload(body, **ids)).sent == one.sent
    nine_more = [first("a", {}, 1001 + n) for n in range(10)]
    assert len(calls_of((await rig.upload(bundle_of(*nine_more), **ids)).sent)) == 9


async def test_server_callers_are_apart_by_their_credentials(rig: Rig) -> None:
    """An org of 500 user properties by default: one caller's use leaves the other's alone."""
    one, two = f"Basic {fresh('k')}", f"Basic {fresh('k')}"
    path = "/users/v1/individual/u/customvars"
    assert (await rig.server(path, {f"p{n}_int": 1 for n in range(500)}, one)).status == 200
    assert (await rig.server(path, {"new_int": 1}, one)).status == 400
    assert (await rig.server(path, {"p499_int": 1}, one)).status == 200
    assert (await rig.server(path, {"new_int": 1}, two)).status == 200


async def test_the_defaults_are_500_1000_and_5000(rig: Rig) -> None:
    org = fresh("o")
    key = f"Basic {org}"
    got = await rig.server("/users/v1/individual/u/customvars", {f"p{n}_int": 1 for n in range(501)}, key)
    assert got.headers["FSProxy-Rejected"] == "1"
    assert b"p500_int" not in got.sent
    batch = {"requests": [{"name": f"e{n}", "properties": {}} for n in range(1001)]}
    got = await rig.server("/v2/events/batch", batch, key)
    assert got.headers["FSProxy-Rejected"] == "1"
    assert got.sent.count(b'"name"') == 1000
    got = await rig.server("/v2/events", {"name": "e1", "properties": {f"p{n}": n for n in range(4999)}}, key)
    assert "FSProxy-Rejected" not in got.headers
    got = await rig.server("/v2/events", {"name": "e2", "properties": {"a": 1, "b": 1, "c": 1}}, key)
    assert got.headers["FSProxy-Rejected"] == "2"
    assert got.sent == b'{"name":"e2","properties":{"a":1}}'
