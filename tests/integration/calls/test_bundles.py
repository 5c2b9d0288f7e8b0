"""What of a bundle is cut, and that nothing else of it changes (rules.md 3)."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from integration.calls.conftest import OrgOf
from integration.calls.rig import OPAQUE, Rig, bundle_of, compact, companion, events_of, first, second

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATHS = ["/rec/bundle", "/rec/bundle/v2", "/rec/event"]
ZIPPED = ["", "query", "header"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("zipped", ZIPPED)
async def test_what_is_valid_goes_on_byte_for_byte(rig: Rig, path: str, zipped: str) -> None:
    calls = (
        first("Bought", '{ "price_real" : 9.50e0 , "items_strs":["a"] }'),
        second("Bought", {"price": 9.5, "n": {"items": ["a"]}}, {"price": "real", "n": {"items": "strs"}}),
        second("Bought", {"any": "x", "many": [1, 2.5]}, {}, version=2),
        second("user", {"uid": "u1"}, {}),
        second("user", {"displayName": "x", "age": 1}, {"age": "int"}),
        first("page", {"pageName": "x", "a_int": 1}),
    )
    body = bundle_of(*calls)
    got = await rig.upload(body, path=path, zipped=zipped)
    assert got.status == 200
    assert got.sent == body


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("zipped", ZIPPED)
async def test_only_what_is_rejected_goes_with_its_companion_and_its_entry(rig: Rig, path: str, zipped: str) -> None:
    bad = second("Bought", {"b": "x", "n": {"c": "x"}, "a": 1}, {"b": "int", "n": {"c": "int"}, "a": "int"})
    good = second("Bought", {"a": 1}, {"a": "int"})
    before = bundle_of(first("", {}), bad, good, first("x" * 251, {}), first("kept", {}), first("user", {"a_int": "x"}))
    after = bundle_of(good, good, first("kept", {}))
    got = await rig.upload(before, path=path, zipped=zipped)
    assert got.status == 200
    assert got.sent == after
    assert got.forwarded is not None
    length = got.forwarded.value("Content-Length")
    assert length == str(len(got.sent)) or zipped
    assert got.forwarded.value("Content-Encoding") == ("gzip" if zipped == "header" else None)


async def test_a_companion_goes_only_with_the_call_directly_after_it(rig: Rig) -> None:
    lone = compact(companion()).encode()
    other = b'{"Kind":98,"Args":["dom","event"],"When":1}'
    bad = compact(first("", {})).encode()
    body = bundle_of(lone, OPAQUE, bad, other, bad, lone, bad, lone, companions=False)
    got = await rig.upload(body)
    assert got.sent == bundle_of(lone, OPAQUE, other, lone, companions=False)


@pytest.mark.parametrize("where", ["first", "last", "only"])
async def test_commas_stay_right_wherever_a_call_is_cut(rig: Rig, where: str) -> None:
    bad, good = compact(first("", {})), compact(first("kept", {}))
    events = {"first": [bad, good], "last": [good, bad], "only": [bad]}[where]
    got = await rig.upload(f'{{"Seq":1,"When":0,"Evts":[ {" , ".join(events)} ]}}'.encode())
    assert events_of(got.sent) == ([json.loads(good)] if where != "only" else [])


async def test_unknown_scopes_and_consent_are_no_calls(rig: Rig) -> None:
    others = [
        {"Kind": 8196, "Args": [True], "When": 1},
        {"Kind": 8193, "Args": ["account", '{"1":1}'], "When": 1},
        {"Kind": 81930, "Args": ["user", "no"], "When": 1},
    ]
    body = bundle_of(*others)
    assert (await rig.upload(body)).sent == body


@pytest.mark.parametrize(
    "args", [None, 7, {}, [], [1], ["a"], ["a", 7], ["a", None, None, "1", 5], ["user"], [None, "{}"]], ids=repr
)
async def test_args_that_no_recorder_sends_are_a_call_that_is_cut(rig: Rig, args: Any) -> None:
    got = await rig.upload(bundle_of({"Kind": 8197, "Args": args, "When": 1}, first("kept", {})))
    assert got.status == 200
    assert [each["Args"][0] for each in events_of(got.sent) if each["Kind"] == 8197] == ["kept"]


async def test_rec_event_of_which_no_call_is_left_is_a_problem(rig: Rig) -> None:
    got = await rig.upload(bundle_of(first("", {}), first("a", "{")), path="/rec/event")
    assert got.status == 400
    assert got.forwarded is None
    assert got.codes == [("InvalidEventName", None), ("InvalidJson", None)]
    assert got.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
    assert got.headers["Access-Control-Allow-Credentials"] == "true"
    without = bundle_of()
    assert (await rig.upload(without, path="/rec/event")).sent == without


@pytest.mark.parametrize("order", ["Order Completed", "Order completed"])
async def test_lists_of_objects_pass_in_one_event_alone(rig: Rig, order: str) -> None:
    items = [{"sku_str": "a", "n_int": "x"}, {"sku_str": "b", "n_int": 1}]
    got = await rig.direct("event", {"name": order, "properties": {"products": items, "a_int": 1}})
    assert got.headers["FSProxy-Rejected"] == "1"
    left = json.loads(got.sent)["properties"]
    assert left == (
        {"products": [{"sku_str": "a"}, items[1]], "a_int": 1} if order == "Order Completed" else {"a_int": 1}
    )


UNREADABLE = {
    "corrupt gzip": (b"\x1f\x8b\x08corrupt", {}, {"ContentEncoding": "gzip"}),
    "cut gzip": (gzip.compress(b'{"Seq":1,"When":0,"Evts":[]}' * 100)[:-9], {}, {"ContentEncoding": "gzip"}),
    "unknown encoding": (b"whatever", {"Content-Encoding": "br"}, {}),
    "unknown encoding in the query": (b"whatever", {}, {"ContentEncoding": "zstd"}),
    "not JSON": (b"not JSON", {}, {}),
    "cut JSON": (b'{"Seq":1,"When":0,"Evts":[{"Kind":8197', {}, {}),
    "no events": (b'{"Seq":1}', {}, {}),
    "a list": (b"[]", {}, {}),
    "events that are no list": (b'{"Evts":{"Kind":8197},"evts":8197}', {}, {}),
    "nothing": (b"", {}, {}),
}


@pytest.mark.parametrize("what", UNREADABLE)
@pytest.mark.parametrize("path", PATHS)
async def test_what_cannot_be_read_goes_on_or_not_as_configured(rig: Rig, org_of: OrgOf, what: str, path: str) -> None:
    body, headers, query = UNREADABLE[what]
    got = await rig.upload(body, headers=headers, path=path, **query)
    assert got.status == 200
    assert got.sent == body
    before = await rig.metrics()
    blocked = await rig.upload(body, headers=headers, path=path, OrgId=org_of("block"), **query)
    assert blocked.status == 400
    assert blocked.forwarded is None
    assert blocked.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
    after = await rig.metrics()
    name = f'fsproxy_uninspectable_total{{route="{"event" if path.endswith("event") else "bundle"}"}}'
    assert after[name] == before.get(name, 0) + 1


@pytest.mark.parametrize("path", [*PATHS, "/client/event", "/v2/events"])
async def test_a_bomb_is_413_and_costs_bounded_memory(rig: Rig, path: str) -> None:
    """200 MB of nothing in 200 KB, where 8 MB may come out."""
    bomb = gzip.compress(b"\0" * (200 << 20), 6)
    before = peak_kb(rig)
    for _ in range(3):
        got = await rig.upload(bomb, path=path, headers={"Content-Encoding": "gzip", "Authorization": "Basic x"})
        assert got.status == 413
        assert got.forwarded is None
    assert peak_kb(rig) - before < 80_000


def peak_kb(rig: Rig) -> int:
    lines = Path(f"/proc/{rig.proxy.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


async def test_exactly_max_decompressed_passes(rig: Rig) -> None:
    body = bundle_of()
    body = body[:-1] + b" " * ((8 << 20) - len(body)) + b"}"
    rig.upstream.allow_unexpected = True
    for size, status in ((len(body), 200), (len(body) + 1, 413)):
        sent = gzip.compress(body[:-1] + b" " * (size - len(body)) + b"}")
        got = await rig.upload(sent, ContentEncoding="gzip")
        assert got.status == status


async def test_members_of_gzip_may_follow_one_another(rig: Rig) -> None:
    body = bundle_of(first("", {}), first("kept", {}))
    got = await rig.upload(gzip.compress(body[:50]) + gzip.compress(body[50:]), ContentEncoding="gzip")
    assert gzip.decompress(got.sent) == bundle_of(first("kept", {}))


async def test_announced_by_header_and_query_it_is_compressed_once(rig: Rig) -> None:
    body = bundle_of(first("", {}), first("kept", {}))
    got = await rig.upload(gzip.compress(body), headers={"Content-Encoding": "GZIP"}, ContentEncoding="gzip")
    assert gzip.decompress(got.sent) == bundle_of(first("kept", {}))
