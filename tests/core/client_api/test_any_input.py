"""Whatever is sent: acceptance or rejections, never another exception; and what goes on is clean."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from fsproxy.core.client_api.inspected import Inspection
from fsproxy.core.client_api.inspection import inspect
from fsproxy.core.client_api.limiting import spends
from fsproxy.core.client_api.outcome import decide_calls
from fsproxy.core.client_api.problems import problem_document
from fsproxy.core.client_api.reading.server_api import ServerCall
from fsproxy.core.client_api.rewriting import rewrite
from fsproxy.core.limits.page_clock import CallClock
from fsproxy.core.model import Instant, Route
from fsproxy.core.settings import ClientApiSettings, OnUninspectable
from support.call_samples import API, OPAQUE, SET_VARS, bundle, compact, event

SETTINGS = ClientApiSettings(value_size=40, property_name_length=12, on_uninspectable=OnUninspectable.BLOCK)

NAMES = st.sampled_from(
    [
        "a_str",
        "b_int",
        "c",
        "o",
        "p",
        "d_date",
        "e_strs",
        "9x",
        "",
        "sp ace_str",
        "uid",
        "email",
        "f_foo",
        "long_long_str",
        "pageName",
    ]
)
TYPES = st.sampled_from(["str", "int", "real", "date", "bool", "strs", "ints", "foo", ""])
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["x", "", "2024-02-29", "2024-02-30", "é" * 30, "\ud800", "0"])
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=5)
SCHEMAS = st.recursive(
    st.dictionaries(NAMES, TYPES, max_size=4),
    lambda inner: st.dictionaries(NAMES, TYPES | inner | st.lists(inner, max_size=2) | st.none(), max_size=4),
    max_leaves=6,
)
CALL_NAMES = st.sampled_from(["E", "", "Order Completed", "user", "page", "document", "other", "x" * 251]) | VALUES
TEXTS = OBJECTS.map(json.dumps) | SCHEMAS.map(json.dumps) | VALUES.map(json.dumps) | VALUES
ARGS = (
    st.tuples(CALL_NAMES, TEXTS).map(list)
    | st.tuples(CALL_NAMES, TEXTS, VALUES, st.sampled_from([1, 2, 3, None]) | VALUES, TEXTS).map(list)
    | VALUES
)
CALLS = st.builds(
    lambda kind, args, when: json.dumps({"Kind": kind, "Args": args, "When": when}),
    st.sampled_from([8193, 8197]),
    ARGS,
    VALUES,
)
GOOD_SHAPE = st.builds(
    lambda kind, name, props, version, schema: event(
        kind,
        [name, json.dumps(props)] if version is None else [name, json.dumps(props), None, version, json.dumps(schema)],
    ),
    st.sampled_from([8193, 8197]),
    st.sampled_from(["E", "Order Completed", "user", "page", "document"]),
    OBJECTS,
    st.sampled_from([None, 1, 2]),
    SCHEMAS,
)
EVENTS = st.lists(CALLS | GOOD_SHAPE | st.sampled_from([*OPAQUE, API, SET_VARS]), max_size=7)


def judged(inspection: Inspection) -> tuple[bytes, bool]:
    """Settle with nothing refused: what goes on, and whether anything was rejected."""
    outcome = decide_calls(inspection, inspection.names(range(len(inspection.calls))) and {}, (), SETTINGS)
    spends("o", "s", inspection, outcome, (), CallClock(Instant(0.0), 0.0, "p"), SETTINGS.rate)
    json.loads(problem_document(outcome))
    left = rewrite(inspection, outcome)
    assert (left is None) == (not outcome.changed or outcome.status is not None)
    return inspection.body if left is None else left, bool(outcome.rejections)


def is_clean(again: Inspection) -> bool:
    outcome = decide_calls(again, {}, (), SETTINGS)
    return not outcome.rejections and not outcome.changed and again.uninspectable is None


def opaque_in(body: bytes, route: Route = Route.BUNDLE) -> list[str]:
    """Give the exact bytes of all events that are no calls and belong to none."""
    inspection = inspect(SETTINGS, route, body)
    calls = {each.part for each in inspection.calls}
    texts = [body[start:end].decode() for start, end in inspection.parts]
    return [each for index, each in enumerate(texts) if index not in calls and each not in (API, SET_VARS)]


@settings(max_examples=200)
@given(EVENTS, st.sampled_from([Route.BUNDLE, Route.EVENT]))
def test_any_value_anywhere_in_a_call_of_a_bundle(events: list[str], route: Route) -> None:
    body = bundle(*events)
    left, _ = judged(inspect(SETTINGS, Route.BUNDLE, body))
    judged(inspect(SETTINGS, route, body))
    assert is_clean(inspect(SETTINGS, Route.BUNDLE, left))
    assert opaque_in(left) == opaque_in(body)


@settings(max_examples=200)
@given(
    OBJECTS
    | st.builds(lambda n, p: {"name": n, "properties": p}, CALL_NAMES, OBJECTS | VALUES)
    | st.builds(lambda p, s: {"name": "E", "properties": p, "schema": {"properties": s}}, OBJECTS, SCHEMAS)
    | st.builds(lambda u, p: {"uid": u, "email": 5, "display_name": "A", "properties": p}, VALUES, OBJECTS)
    | st.builds(lambda n, p: {"event": {"event_name": n, "event_data": p}}, CALL_NAMES, OBJECTS | VALUES)
    | VALUES,
    st.sampled_from([Route.DIRECT_EVENT, Route.DIRECT_IDENTIFY, Route.DIRECT_SET_USER_VARS, *ServerCall]),
    st.sampled_from([None, 1]),
)
def test_any_value_in_a_direct_call_or_a_batch(value: Any, target: Route | ServerCall, indent: int | None) -> None:
    endpoint = target if isinstance(target, ServerCall) else None
    if endpoint is not None and endpoint.is_batch:
        value = {"requests": [value, {"name": "E"}, value]}
    body = json.dumps(value, indent=indent).encode()
    route = Route.SERVER_API if isinstance(target, ServerCall) else target
    inspection = inspect(SETTINGS, route, body, endpoint=endpoint)
    if decide_calls(inspection, {}, (), SETTINGS).status is None:
        left, _ = judged(inspection)
        assert is_clean(inspect(SETTINGS, route, left, endpoint=endpoint))


PIECES = ['{"', "Evts", '":[', "8197", "8193", "Kind", '":', ",", "]", "}", "{", "[", '"', "\\", "\\ud800", "requests"]


@settings(max_examples=200)
@given(
    st.binary(max_size=100)
    | st.lists(st.sampled_from(PIECES), max_size=20)
    .map(lambda parts: "".join(parts).encode()),
    st.sampled_from([*Route]),
    st.sampled_from([None, *ServerCall]),
)  # fmt: skip
@example(b"[" * 200_000, Route.DIRECT_EVENT, None)
@example(b'{"Seq":1,"Evts":[8197,' + b'{"a":' * 200_000, Route.BUNDLE, None)
@example(b'{"Seq":1,"Evts":[8197,' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"]}", Route.EVENT, None)
@example(b'{"requests":[' + b"[" * 200_000, Route.SERVER_API, ServerCall.USER_BATCH)
def test_any_bytes_on_any_route(body: bytes, route: Route, endpoint: ServerCall | None) -> None:
    judged(inspect(SETTINGS, route, body, endpoint=endpoint))


@settings(max_examples=100)
@given(EVENTS, st.data())
def test_whatever_the_ledger_refuses_what_goes_on_asks_for_none_of_it(events: list[str], data: st.DataObject) -> None:
    inspection = inspect(SETTINGS, Route.BUNDLE, bundle(*events))
    refused = {
        kind: data.draw(st.sets(st.sampled_from(names), max_size=3))
        for kind, names in inspection.names(range(len(inspection.calls))).items()
    }
    over = data.draw(st.sets(st.integers(0, 8), max_size=3))
    left = rewrite(inspection, decide_calls(inspection, refused, over, SETTINGS))
    again = inspect(SETTINGS, Route.BUNDLE, inspection.body if left is None else left)
    assert is_clean(again)
    for kind, names in again.names(range(len(again.calls))).items():
        assert not set(names) & refused.get(kind, set())


@settings(max_examples=100)
@given(EVENTS)
def test_cutting_commutes_with_writing_the_bundle_anew(events: list[str]) -> None:
    spaced = bundle(*events).replace(b'"Evts":[', b'"Evts" : [ \n')
    plain, _ = judged(inspect(SETTINGS, Route.BUNDLE, bundle(*events)))
    left, _ = judged(inspect(SETTINGS, Route.BUNDLE, spaced))
    assert compact(json.loads(left)).encode("utf-8", "surrogatepass") == compact(json.loads(plain)).encode(
        "utf-8", "surrogatepass"
    )
