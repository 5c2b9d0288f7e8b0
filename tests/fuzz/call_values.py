"""Direct and server-side calls: strict JSON, values that fit their types, and what is left is clean (rules.md 2)."""

from __future__ import annotations

import json
import math
import re
from datetime import datetime
from typing import Any, Never

from fsproxy.core.client_api.inspection import inspect
from fsproxy.core.client_api.outcome import decide_calls
from fsproxy.core.client_api.problems import problem_document
from fsproxy.core.client_api.reading.server_api import ServerCall
from fsproxy.core.client_api.rewriting import rewrite
from fsproxy.core.client_api.validation.values import VALIDATORS, json_size
from fsproxy.core.json.scanner import BYTE_ORDER_MARK
from fsproxy.core.json.strict import Fault, parse_object
from fsproxy.core.json.surrogates import with_stand_ins
from fsproxy.core.model import PropertyType, Route
from fsproxy.core.settings import ClientApiSettings
from fuzz.harness import Target, head_and_rest

SIZE = 60
SETTINGS = ClientApiSettings(value_size=SIZE, property_name_length=24)
_ROUTES: tuple[tuple[Route, ServerCall | None], ...] = (
    (Route.DIRECT_EVENT, None),
    (Route.DIRECT_IDENTIFY, None),
    (Route.DIRECT_SET_USER_VARS, None),
    *((Route.SERVER_API, each) for each in ServerCall),
)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|\+00:00)", re.ASCII)


def check_call(data: bytes) -> None:
    """The first byte chooses a route; the body's problems are found, and what goes on has none."""
    variant, body = head_and_rest(data)
    route, endpoint = _ROUTES[variant % len(_ROUTES)]
    inspection = inspect(SETTINGS, route, body, endpoint=endpoint)
    outcome = decide_calls(inspection, {}, (), SETTINGS)
    answer = json.loads(problem_document(outcome))
    assert len(answer["errors"]) == len(outcome.rejections)
    if outcome.status is not None:
        assert outcome.status in {400, 413, 429}
        return
    left = rewrite(inspection, outcome)
    assert (left is not None) == outcome.changed
    if left is not None:
        settled = decide_calls(inspect(SETTINGS, route, left, endpoint=endpoint), {}, (), SETTINGS)
        assert not settled.rejections
        assert not settled.changed
        assert len(left) < len(body)
        # What is set beside a batch's items is not read, and goes on as it came.
        assert _reads(left) or not _reads(body)


def _reads(body: bytes) -> bool:
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True


def check_value(data: bytes) -> None:
    """A JSON document as strict readers read it; every value in it against every type, beside a plain reading."""
    found = parse_object(data)
    assert repr(found) == repr(_strictly(data)) or isinstance(found, Fault) == isinstance(_strictly(data), Fault)
    if isinstance(found, Fault):
        return
    for value in found.values():
        for declared in PropertyType:
            assert (VALIDATORS[declared](value, SIZE) is None) == _fits(declared, value)


class _Broken(ValueError):  # noqa: N818 - not an error of ours
    """Not what a strict reader takes."""


def _strictly(data: bytes) -> dict[str, Any] | Fault:
    try:
        root = json.loads(
            with_stand_ins(data.removeprefix(BYTE_ORDER_MARK).decode()),
            object_pairs_hook=_once,
            parse_constant=_never,
            parse_float=_finite,
        )
        _within(root)
    except (ValueError, RecursionError):
        return Fault.NOT_JSON
    return root if isinstance(root, dict) else Fault.NOT_OBJECT


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise _Broken
    return dict(pairs)


def _never(_: str) -> Never:
    raise _Broken


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise _Broken
    return number


def _within(value: Any) -> None:
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            float(value)
        except OverflowError:
            raise _Broken from None
    elif isinstance(value, dict):
        for each in value.values():
            _within(each)
    elif isinstance(value, list):
        for each in value:
            _within(each)


def _fits(declared: PropertyType, value: Any) -> bool:
    if declared.value.endswith("s"):
        if not isinstance(value, list):
            return False
        return all(map(_ATOMS[PropertyType(declared.value[:-1])], value)) and json_size(value) <= SIZE
    return _ATOMS[declared](value) and json_size(value) <= SIZE


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return _is_number(value) and value == int(value) and -(2**63) <= value <= 2**63 - 1


def _is_day(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    year, _, rest = value[1:].partition("-")
    if len(year) == 6 and value[0] in "+-" and year.isascii() and year.isdigit() and value[:7] != "-000000":
        # The calendar repeats itself every 400 years.
        value = f"{int(value[:7]) % 400 + 2000}-{rest}"
    elif value.startswith("0000-"):
        value = f"2000{value[4:]}"
    if not (_DAY.fullmatch(value) or _MOMENT.fullmatch(value)):
        return False
    try:
        datetime.fromisoformat(re.sub(r"\.\d+", "", value))
    except ValueError:
        return False
    return True


_ATOMS = {
    PropertyType.STR: lambda value: isinstance(value, str),
    PropertyType.INT: _is_whole,
    PropertyType.REAL: _is_number,
    PropertyType.DATE: _is_day,
    PropertyType.BOOL: lambda value: isinstance(value, bool),
}

CALLS = Target(
    "calls",
    check_call,
    seeds=(
        b'\0{"name":"Bought","properties":{"price_real":9.5,"items_strs":["a"],"x":1,"o":{"n_int":"1","b_bool":true}}}',
        b'\0{ "n" : "E" , "p" : { "a_str" : "' + b"x" * 70 + b'" , "b_date":"2024-02-30" } }',
        b'\1{"uid":"u1","displayName":"A","email":5,"a_int":1,"a_int":2}',
        b'\2{"a_str":"x","b_ints":[1,2.0,null],"c_foo":1,"website":"w"}',
        b'\3{"a_str":"x","uid":"u","l_strs":[{}]}',
        b'\4{"event":{"event_name":"E","event_data":{"a_int":"1","b_int":1},"timestamp":"t"}}',
        b'\5{"name":"Order Completed","user":{"id":"1"},"properties":{"p":1,"l":[{"q":1}]},"schema":{"properties":{"p":"str"}}}',
        b'\6{"uid":"u","display_name":7,"email":"e","properties":{"a":1,"b":null},"schema":{}}',
        b'\7{"requests":[{"name":"E"},{"name":""},{"name":"F","properties":{"a":null}}],"more":[1]}',
        b'\x08{"requests":[{"uid":"u","properties":{"b":[1,"x"]}}]}',
    ),
    tokens=(
        *(
            b"_str",
            b"_int",
            b"_dates",
            b'"properties":{',
            b'"schema":{',
            b'"name":',
            b'"uid":',
            b'"requests":[',
            b"null",
        ),
        *(
            b"1e400",
            b"-0.0",
            b"9223372036854775808",
            b"\\ud800",
            b"\\u005f",
            b'"2024-02-29T23:59:60Z"',
            b"{",
            b"}",
            b"[",
        ),
        *(b"]", b",", b":", b'"', b" ", b"\n", b"{}", b"[" * 70, b'{"a":' * 66, b"NaN", b"true"),
    ),
    inputs=4000,
)
VALUES = Target(
    "values",
    check_value,
    seeds=(
        b'{"a":"2024-02-29","b":"2023-02-29T10:00:00Z","c":"2024-12-31T23:59:59.123456789+00:00","d":"0000-01-01"}',
        b'{"a":[1,2.0,-3],"b":[true,false],"c":["x",""],"d":[],"e":[null],"f":[[1]],"g":{"h":1}}',
        b'{"a":9223372036854775807,"b":-9223372036854775809,"c":1e3,"d":1.5,"e":0.0,"f":true,"g":null,"h":1e308}',
        '{"a":"é\U0001f600","b":"'.encode() + b"x" * 59 + b'","c":["2024-01-01","2024-01-01T00:00Z"]}',
        b'{"a":' + b"[" * 62 + b"1" + b"]" * 62 + b"}",
    ),
    tokens=(
        *(
            b"T",
            b"Z",
            b"+00:00",
            b"-02-29",
            b":60",
            b"1e400",
            b"-0",
            b".",
            b"e",
            b"9" * 30,
            b"\\ud83d\\ude00",
            b"\\ud83d",
        ),
        *(b"null", b"true", b'"a":', b",", b"[", b"]", b"{", b"}", b'"', b" ", b"\\", "٣".encode(), b"NaN"),
    ),
    inputs=6000,
)
