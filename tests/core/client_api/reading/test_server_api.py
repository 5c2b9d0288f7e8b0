"""The server-side API's calls, one by one and in batches (wire.md 5)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from fsproxy.core.client_api.inspection import inspect
from fsproxy.core.client_api.outcome import CallsOutcome, decide_calls
from fsproxy.core.client_api.problems import problem_document
from fsproxy.core.client_api.reading.server_api import ServerCall, server_call, split_batch
from fsproxy.core.client_api.rewriting import rewrite
from fsproxy.core.json.strict import Fault
from fsproxy.core.model import Route
from fsproxy.core.settings import ClientApiSettings
from support.call_samples import compact

SETTINGS = ClientApiSettings()


def run(endpoint: ServerCall, body: bytes) -> tuple[CallsOutcome, bytes | None]:
    inspection = inspect(SETTINGS, Route.SERVER_API, body, endpoint=endpoint)
    outcome = decide_calls(inspection, {}, (), SETTINGS)
    return outcome, rewrite(inspection, outcome)


def codes(outcome: CallsOutcome) -> list[tuple[str, str, str | None]]:
    return [(each.code.value, each.kind.value, each.property) for each in outcome.rejections]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/users/v1/individual/ada%40x/customvars", ServerCall.CUSTOM_VARS),
        ("/users/v1/individual/ada/customevent", ServerCall.CUSTOM_EVENT),
        ("/v2/events", ServerCall.EVENT),
        ("/v2/users", ServerCall.USER),
        ("/v2/events/batch", ServerCall.EVENT_BATCH),
        ("/v2/users/batch", ServerCall.USER_BATCH),
        ("/v2/users/5", None),
        ("/users/v1/individual//customvars", None),
        ("/users/v1/individual/a/b/customvars", None),
        ("/customvars", None),
        ("customvars", None),
    ],
)
def test_paths(path: str, expected: ServerCall | None) -> None:
    assert server_call(path) is expected


@pytest.mark.parametrize(
    ("endpoint", "body", "expected"),
    [
        (ServerCall.CUSTOM_VARS, {"a_str": "x", "displayName": "A"}, []),
        (ServerCall.CUSTOM_VARS, {"a_str": "x", "b": 1}, [("MissingPropertyType", "set_user_vars", "b")]),
        (ServerCall.CUSTOM_EVENT, {"event": {"event_name": "E", "event_data": {"a_str": "x"}, "timestamp": "x"}}, []),
        (ServerCall.CUSTOM_EVENT, {"event": {"event_name": "E", "event_data": {"a": 1}}},
         [("MissingPropertyType", "event", "a")]),
        (ServerCall.CUSTOM_EVENT, {"event": {"event_data": {}}}, [("InvalidEventName", "event", None)]),
        (ServerCall.CUSTOM_EVENT, {"event": 5}, [("InvalidJson", "event", None)]),
        (ServerCall.EVENT, {"name": "E", "properties": {"a": 1, "b": None}, "session": {"id": "x"}},
         [("InvalidValue", "event", "b")]),
        (ServerCall.EVENT, {"name": "E", "properties": {"a": 1.5}, "schema": {"properties": {"a": "int"}}},
         [("InvalidValue", "event", "a")]),
        (ServerCall.EVENT, {"properties": {}}, [("InvalidEventName", "event", None)]),
        (ServerCall.EVENT, {"name": "E", "properties": 5, "schema": []},
         [("InvalidJson", "event", None), ("InvalidJson", "event", None)]),
        (ServerCall.USER, {"uid": "ada", "display_name": "A", "email": "a@b", "properties": {"a": 1}}, []),
        (ServerCall.USER, {"uid": "null"}, [("InvalidId", "identify", None)]),
        (ServerCall.USER, {"properties": {"a": 1}, "display_name": "x" * 257, "email": 5},
         [("ValueTooBig", "set_user_vars", "display_name"), ("InvalidValue", "set_user_vars", "email")]),
        (ServerCall.USER, {"uid": "ada", "properties": {"a": None}}, [("InvalidValue", "identify", "a")]),
    ],
)  # fmt: skip
def test_single_calls(endpoint: ServerCall, body: Any, expected: list[Any]) -> None:
    assert codes(run(endpoint, compact(body).encode())[0]) == expected


def test_rejected_properties_leave_the_properties_the_schema_and_the_user() -> None:
    body = b'{"uid":"ada","email":5,"properties":{"a":"x","b":2},"schema":{"properties":{"a":"int","b":"int"}}}'
    left = b'{"uid":"ada","properties":{"b":2},"schema":{"properties":{"b":"int"}}}'
    assert run(ServerCall.USER, body)[1] == left
    body = b'{"event":{"event_name":"E","event_data":{"a":1}}}'
    assert run(ServerCall.CUSTOM_EVENT, body)[1] == b'{"event":{"event_name":"E","event_data":{}}}'


def test_a_batch_loses_its_bad_items_and_keeps_the_bytes_of_the_others() -> None:
    good, bad = '{ "name" : "E","x":1.0}', '{"name":""}'
    repaired = '{"name":"F","properties":{"a":null,"b":1}}'
    body = f'{{"a":1, "requests":[ {bad} , {good},{bad}, {repaired} ,\n"x"] , "z":[] }}'.encode()
    outcome, left = run(ServerCall.EVENT_BATCH, body)
    assert codes(outcome) == [
        ("InvalidEventName", "event", None),
        ("InvalidEventName", "event", None),
        ("InvalidValue", "event", "a"),
        ("InvalidJson", "event", None),
    ]
    assert (outcome.status, outcome.rejected_calls) == (None, 3)
    assert left == f'{{"a":1, "requests":[ {good}, {{"name":"F","properties":{{"b":1}}}}] , "z":[] }}'.encode()


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        (ServerCall.CUSTOM_EVENT, {"Event": {"event_name": "E"}}),
        (ServerCall.CUSTOM_EVENT, {"event": {"event_name": "E", "EVENT_NAME": "F"}}),
        (ServerCall.CUSTOM_EVENT, {"event": {"event_name": "E", "Event_data": {}}}),
        *((ServerCall.EVENT, {"name": "E", each: {}}) for each in ("Name", "Properties", "Schema")),
        (ServerCall.EVENT, {"name": "E", "schema": {"PROPERTIES": {}}}),
        *(
            (ServerCall.USER, {"uid": "u", each: {}})
            for each in ("UID", "Display_Name", "Email", "Properties", "Schema")
        ),
        (ServerCall.USER, {"uid": "u", "schema": {"Properties": {}}}),
        (ServerCall.EVENT_BATCH, {"Requests": [{"name": "E"}]}),
        (ServerCall.EVENT_BATCH, {"requests": [{"Name": "E"}]}),
        (ServerCall.USER_BATCH, {"requests": [{"Uid": "u"}]}),
    ],
)
def test_a_name_that_is_read_must_be_spelled_right(endpoint: ServerCall, body: Any) -> None:
    outcome, _ = run(endpoint, compact(body).encode())
    assert [(each.code.value, each.detail) for each in outcome.rejections] == [
        ("InvalidJson", "a name in other letters than it has")
    ]


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        (ServerCall.CUSTOM_VARS, {"Uid": "x"}),
        (ServerCall.CUSTOM_EVENT, {"event": {"event_name": "E", "Timestamp": 1}, "Name": 1}),
        (ServerCall.EVENT, {"name": "E", "Session": {}, "EMAIL": 1, "schema": {"X": 1}}),
        (ServerCall.USER, {"uid": "u", "Name": 1}),
        (ServerCall.EVENT_BATCH, {"requests": [{"name": "E"}], "Name": 1}),
    ],
)
def test_other_names_may_be_spelled_in_any_way(endpoint: ServerCall, body: Any) -> None:
    outcome, left = run(endpoint, compact(body).encode())
    assert [each.code.value for each in outcome.rejections if each.code.value == "InvalidJson"] == []
    assert left is None or endpoint is ServerCall.CUSTOM_VARS


@pytest.mark.parametrize(
    ("endpoint", "body", "details"),
    [
        (ServerCall.CUSTOM_EVENT, {"event": []}, ["event is not an object"]),
        (ServerCall.CUSTOM_EVENT, {}, ["event is not an object"]),
        (ServerCall.CUSTOM_EVENT, [], ["not a JSON object"]),
        (
            ServerCall.CUSTOM_EVENT,
            {"event": {"event_name": "E", "event_data": 5}},
            ["event_data is not an object"],
        ),
        (ServerCall.EVENT, {"name": "E", "schema": 5, "properties": 5}, ["properties", "schema"]),
        (ServerCall.USER, {"uid": "u", "schema": {"properties": []}}, ["properties"]),
    ],
)
def test_what_is_no_object_is_named(endpoint: ServerCall, body: Any, details: list[str]) -> None:
    outcome, _ = run(endpoint, compact(body).encode())
    wanted = [each if " " in each else f"{each} is not an object" for each in details]
    assert [each.detail for each in outcome.rejections] == wanted


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b'{"requests":[]}', []),
        (b'{"a":[7], "requests" : [ 1 ,{}] }', [b"1", b"{}"]),
        (b'\xef\xbb\xbf {"requests":[1]}\n', [b"1"]),
        (b'{"re\\u0071uests":[1]}', [b"1"]),
        (b'{"requests":[1]}x', Fault.NOT_JSON),
        (b'{"requests":[1', Fault.NOT_JSON),
        (b'{"requests":{}}', Fault.NOT_JSON),
        (b' {"requests"', Fault.NOT_JSON),
        (b"[]", Fault.NOT_OBJECT),
        (b"", Fault.NOT_OBJECT),
        (b"{}", Fault.NOT_BATCH),
        (b'{"request":[]}', Fault.NOT_BATCH),
        (b'{"requests":[],"Requests":[]}', Fault.DUPLICATE),
        (b'{"REQUESTS":[]}', Fault.MISSPELT),
    ],
)
def test_a_batch_is_split_into_its_items_or_has_a_fault(body: bytes, found: list[bytes] | Fault) -> None:
    spans = split_batch(body)
    assert (spans if isinstance(spans, Fault) else [body[start:end] for start, end in spans]) == found


def test_a_batch_of_which_nothing_is_left_is_answered_with_400() -> None:
    big = '{"name":"E","properties":{"a":"' + "x" * 600_000 + '"}}'
    assert run(ServerCall.EVENT_BATCH, f'{{"requests":[{big},{big}]}}'.encode())[0].status == 400
    for body in (
        b'{"requests":[5]}',
        b'{"requests":5}',
        b"{}",
        b"[]",
        b"x",
        b'{"requests":[],"requests":[]}',
        b'{"requests":[]}x',
    ):
        assert run(ServerCall.USER_BATCH, body)[0].status == 400
    assert run(ServerCall.USER_BATCH, b'{"requests":[]}') == (CallsOutcome(is_clean=True), None)


@pytest.mark.parametrize("size", [512 * 1024 - 1, 512 * 1024, 512 * 1024 + 1])
def test_the_payload_of_a_batch_is_each_items_own(size: int) -> None:
    item = '{"name":"E"' + " " * (size - 12) + "}"
    outcome, left = run(ServerCall.EVENT_BATCH, f'{{"requests":[{item},{{"name":"F"}}]}}'.encode())
    if size > 512 * 1024:
        assert [each.code.value for each in outcome.rejections] == ["TooBigToParse"]
        assert left == b'{"requests":[{"name":"F"}]}'
    else:
        assert (outcome.rejections, left) == ((), None)


def test_the_answer_carries_the_vendors_members_too() -> None:
    outcome, _ = run(ServerCall.EVENT, b'{"name":"","properties":{"a":null}}')
    document = msgspec.json.decode(problem_document(outcome))
    assert (document["code"], document["message"]) == ("InvalidEventName", "not a string of 1 to 250 characters")
    assert len(document["errors"]) == 2
