"""Calls that two readers could read differently, and valid JSON that few readers take: over the wire (rules.md 2, 4)."""

from __future__ import annotations

import json

import pytest

from integration.calls.rig import Rig, bundle_of, calls_of, compact, first, second

pytestmark = pytest.mark.asyncio(loop_scope="session")

MARK = b"\xef\xbb\xbf"
HALF = r"cut \ud83d"
END = '{"Kind":99,"Args":[],"When":9}'


def event(text: str, name: str = '"E"', kind: str = '"Kind":8197') -> bytes:
    return f'{{{kind},"Args":[{name},{json.dumps(text)}],"When":1}}'.encode()


@pytest.mark.parametrize("zipped", ["", "query"])
async def test_half_an_emoji_is_forwarded_as_it_was_written(rig: Rig, zipped: str) -> None:
    good = f'{{"a_str":"{HALF}","b_int":1}}'
    body = bundle_of(event(good), event(good, f'"{HALF}"'))
    got = await rig.upload(body, zipped=zipped)
    assert got.sent == body
    left = f'{{"a_str":"{HALF}"}}'
    cut = bundle_of(event(f'{{"a_str":"{HALF}","b_int":"x"}}', f'"{HALF}"'), companions=False)
    got = await rig.upload(cut, zipped=zipped)
    assert got.sent == bundle_of(event(left, f'"{HALF}"'), companions=False)
    line = await rig.line_of(got)
    assert [(each["code"], each["call"]) for each in line["fsproxy.rejections"]] == [("InvalidValue", "cut \ufffd")]


async def test_half_an_emoji_that_was_escaped_once_keeps_its_escape_when_something_is_cut(rig: Rig) -> None:
    raw = r'{"Kind":8197,"Args":["E","{\"a_str\":\"cut \ud83d\",\"b_int\":%s,\"\ud83d_str\":1}"],"When":1}'
    got = await rig.upload(bundle_of((raw % r"\"x\"").encode()))
    assert got.sent == bundle_of(rb'{"Kind":8197,"Args":["E","{\"a_str\":\"cut \ud83d\"}"],"When":1}')


async def test_half_an_emoji_in_a_direct_and_a_server_call_and_in_a_schema(rig: Rig) -> None:
    body = rf'{{"name":"{HALF}","properties":{{"a_str":"{HALF}","b_int":"x","\ud83d_str":1}}}}'.encode()
    got = await rig.direct("event", body)
    assert got.sent == rf'{{"name":"{HALF}","properties":{{"a_str":"{HALF}"}}}}'.encode()
    body = rf'{{"uid":"{HALF}","properties":{{"a":"{HALF}","b":1}},"schema":{{"properties":{{"b":"str"}}}}}}'.encode()
    got = await rig.server("/v2/users", body)
    assert got.sent == rf'{{"uid":"{HALF}","properties":{{"a":"{HALF}"}},"schema":{{"properties":{{}}}}}}'.encode()
    got = await rig.direct("setUserVars", b'{"a_str":"\xed\xa0\xbd"}')
    assert (got.status, got.codes) == (400, [("InvalidJson", None)])


async def test_a_value_of_8192_bytes_counts_half_an_emoji_as_three(rig: Rig) -> None:
    for filler, status in (("x" * 8189, 200), ("x" * 8190, 400)):
        got = await rig.direct("setUserVars", rf'{{"a_str":"\ud83d{filler}"}}'.encode())
        assert got.status == status


BAD = [
    event("{}", '""', '"kind":8197'),
    event("{}", '""', '"Kind":57,"kind":8197'),
    event("{}", '""', '"kind":57,"KIND":8197'),
    event("{}", '""', '"Kind":8197.0'),
    event("{}", '""', '"Kind":8.197e3'),
    event("{}", '""', '"\\u212aind":8197'),
    event('{"a_int":"x","b_int":1}', kind='"kind":8197'),
    b'{"Kind":8197,"Args":["E","{}"],"args":["","{}"],"When":1}',
    b'{"Kind":8197,"args":["",""],"Args":["E","{}"],"ARGS":["","{}"],"When":1}',
]


@pytest.mark.parametrize("bad", BAD, ids=range(len(BAD)))
async def test_an_event_that_one_reader_would_reject_is_cut_and_the_bundle_goes_on(rig: Rig, bad: bytes) -> None:
    got = await rig.upload(bundle_of(bad, first("Kept", {"a_int": 1}), companions=False))
    assert got.status == 200
    assert got.sent == bundle_of(first("Kept", {"a_int": 1}), companions=False)


async def test_an_event_that_both_readers_take_goes_on_as_it_came(rig: Rig) -> None:
    body = bundle_of(
        event('{"a_int":1}', kind='"kind":8197'), event("{}", kind='"Kind":8193.0,"kind":57'), event("{}", kind='"Kind":8197.0')
    )  # fmt: skip
    assert (await rig.upload(body)).sent == body


BAD_EVENT, GOOD_EVENT = event("{}", '""').decode(), event('{"a_int":1}').decode()


@pytest.mark.parametrize(
    ("body", "left"),
    [
        (f'{{"Evts":[{BAD_EVENT},{END}],"evts":[{END}]}}', f'{{"Evts":[{END}],"evts":[{END}]}}'),
        (f'{{"Evts":[{END}],"evts":[{END},{BAD_EVENT}]}}', f'{{"Evts":[{END}],"evts":[{END}]}}'),
        (f'{{"evts":[{BAD_EVENT},{END}]}}', f'{{"evts":[{END}]}}'),
        (f'{{"Evts":[{END}],"Evts":[{BAD_EVENT},{GOOD_EVENT}]}}', f'{{"Evts":[{END}],"Evts":[{GOOD_EVENT}]}}'),
        (f'{{"Evts":[{BAD_EVENT}],"Evts":[{END}]}}', f'{{"Evts":[],"Evts":[{END}]}}'),
        (f'{{"Seq":1,"Evts":[{END}],"Evt\u017f":[{BAD_EVENT}],"x":[1]}}', f'{{"Seq":1,"Evts":[{END}],"Evt\u017f":[],"x":[1]}}'),
        (f'{{"Evts":5,"EVTS":[{BAD_EVENT},{END}]}}', f'{{"Evts":5,"EVTS":[{END}]}}'),
    ],
)  # fmt: skip
@pytest.mark.parametrize("mark", [b"", MARK])
async def test_every_list_that_a_reader_takes_for_the_events_is_judged(
    rig: Rig, body: str, left: str, mark: bytes
) -> None:
    got = await rig.upload(mark + body.encode())
    assert (got.status, got.sent) == (200, mark + left.encode())


MISSPELT = [
    ("/client/event", {"Name": "E", "properties": {}}),
    ("/client/event", {"name": "E", "properties": {}, "Properties": {"a": 1}}),
    ("/users/v1/individual/u/customevent", {"Event": {"event_name": "E", "event_data": {}}}),
    ("/users/v1/individual/u/customevent", {"event": {"event_name": "E", "Event_Data": {}}}),
    ("/v2/events", {"name": "E", "NAME": "", "properties": {}}),
    ("/v2/events", {"name": "E", "properties": {}, "schema": {"Properties": {}}}),
    ("/v2/users", {"uid": "u", "UID": "0"}),
    ("/v2/events/batch", {"Requests": [{"name": "E"}]}),
]


@pytest.mark.parametrize(("path", "body"), MISSPELT)
async def test_a_direct_or_server_call_with_a_name_in_other_letters_is_refused(
    rig: Rig, path: str, body: object
) -> None:
    data = compact(body).encode()
    got = await (rig.direct("event", data) if path.startswith("/client") else rig.server(path, data))
    assert (got.status, got.codes, got.forwarded) == (400, [("InvalidJson", None)], None)


async def test_a_byte_order_mark_is_skipped_and_forwarded(rig: Rig) -> None:
    kept, cut = b'{"a_int":1}', b'{"a_int":1,"b_int":"x"}'
    for send in (
        lambda body: rig.direct("setUserVars", body),
        lambda body: rig.server("/users/v1/individual/u/customvars", body),
    ):
        assert (await send(MARK + kept)).sent == MARK + kept
        assert (await send(MARK + cut)).sent == MARK + kept
    batch = b'{"requests":[{"name":"E"},{"name":""}]}'
    assert (await rig.server("/v2/events/batch", MARK + batch)).sent == MARK + b'{"requests":[{"name":"E"}]}'


@pytest.mark.parametrize("deep", ["[", '{"a":', '[{"a":'])
@pytest.mark.parametrize("size", [1_000, 60_000, 240_000])
async def test_a_deep_value_is_one_rejection_and_the_rest_goes_on(rig: Rig, deep: str, size: int) -> None:
    depth = size // len(deep)
    value = deep * depth + "1" + "".join("]" if each == "[" else "}" for each in reversed(deep) if each in "[{") * depth
    text = f'{{"a_int":1,"b":{value}}}'
    got = await rig.direct("setUserVars", text.encode())
    assert (got.status, got.headers["FSProxy-Rejected"], got.sent) == (200, "1", b'{"a_int":1}')
    got = await rig.upload(bundle_of(first("E", text)))
    assert [json.loads(each["Args"][1]) for each in calls_of(got.sent)] == [{"a_int": 1}]
    broken = f'{{"a_int":1,"b":{deep * depth}'
    assert (await rig.direct("setUserVars", broken.encode())).codes == [("InvalidJson", None)]
    assert calls_of((await rig.upload(bundle_of(first("E", broken)))).sent) == []


async def test_a_rejection_of_a_call_without_a_name_names_its_kind(rig: Rig) -> None:
    calls = [first(scope, {"a": 1, "b_int": 1}) for scope in ("user", "page", "document")]
    got = await rig.upload(bundle_of(*calls, first("user", {"uid": "0"}, 5_000), first("Bought", {"a": 1})))
    line = await rig.line_of(got)
    assert [each["call"] for each in line["fsproxy.rejections"]] == [
        "set_user_vars", "page", "document", "identify", "Bought"
    ]  # fmt: skip


async def test_dates_with_offsets_pass_where_a_schema_of_the_second_generation_says_so(rig: Rig) -> None:
    date = {"when": "2024-01-01T00:00:00+05:30", "z": "2024-01-01T00:00:00Z"}
    for version, left in ((1, ["z"]), (2, ["when", "z"])):
        got = await rig.upload(bundle_of(second("E", date, {"when": "date", "z": "date"}, version)))
        assert [list(json.loads(each["Args"][1])) for each in calls_of(got.sent)] == [left]
