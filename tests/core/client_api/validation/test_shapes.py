"""A call that is compared with what is known gets the very verdict that the walk gives it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.client_api.calls import Call, ValidatedCall
from fsproxy.core.client_api.reading.arguments import CUSTOM_EVENT, VARIABLES, read_arguments
from fsproxy.core.client_api.reading.direct import read_event, read_identify, read_user_vars
from fsproxy.core.client_api.reading.server_api import ServerCall, read_server_call
from fsproxy.core.client_api.validation.call import validate_call
from fsproxy.core.client_api.validation.known_shapes import BUDGET, ShapeNames, Shapes
from fsproxy.core.limits.operations import NameKind
from fsproxy.core.settings import ClientApiSettings

SETTINGS = ClientApiSettings(value_size=400, property_name_length=40)
LIMIT = 512 * 1024
BIG = 10**308

GOOD: dict[str, st.SearchStrategy[Any]] = {
    "str": st.text(max_size=120) | st.sampled_from(["", ":", '"', "a\\b", "é" * 90, "x" * 400, "2026-01-01"]),
    "int": st.integers(-(2**63), 2**63 - 1),
    "real": st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False),
    "date": st.sampled_from(["2024-02-29", "2026-03-11T13:19:23Z", "2026-12-31T23:59:59.999+00:00", "0001-01-01"]),
    "bool": st.booleans(),
}
GOOD |= {f"{kind}s": st.lists(values, max_size=4) for kind, values in GOOD.items()}
ANY: st.SearchStrategy[Any] = st.one_of(
    *GOOD.values(),
    st.none(),
    st.sampled_from([49.0, 2**63, -(2**63) - 1, BIG, -BIG, 1e300, -0.0, "x" * 401, "é" * 300, "\x00" * 100]),
    st.sampled_from(["2023-02-29", "0000-01-01", "2026-13-01", "2026-01-01T24:00:00Z", "2026-01-01 ", "uid", "null"]),
    st.sampled_from([[1] * 250, [0.1] * 150, ["x" * 500], [[]], [{}], [{"a_str": "x"}], {}, {"a_str": 1}, [None], []]),
)
NAMES = st.builds("{}_{}".format, st.sampled_from(["a", "b", "c2", "long_" * 6]), st.sampled_from(list(GOOD)))


@st.composite
def objects(draw: st.DrawFn, depth: int = 2) -> dict[str, Any]:
    """Properties, nearly all of them valid: their types are their suffixes."""
    found: dict[str, Any] = {}
    for name in draw(st.lists(NAMES, max_size=5, unique=True)):
        found[name] = draw(GOOD[name.rpartition("_")[2]])
    for name in draw(st.lists(st.sampled_from(["o", "p", "items", "email"]), max_size=2 if depth else 0, unique=True)):
        found[name] = draw(objects(depth=depth - 1))
    return found


@st.composite
def mutants(draw: st.DrawFn, given: dict[str, Any]) -> dict[str, Any]:
    """The same with one thing changed somewhere: a value, a name, the order, what is there."""
    found = dict(given)
    place = draw(st.sampled_from([*found, None]))
    if place is not None and isinstance(found[place], dict) and draw(st.booleans()):
        found[place] = draw(mutants(found[place]))
    elif place is None:
        found[draw(NAMES | st.sampled_from(["uid", "displayName", "x", "9", ""]))] = draw(ANY)
    else:
        match draw(st.sampled_from(["value", "again", "gone", "last", "renamed"])):
            case "value":
                found[place] = draw(ANY)
            case "again":
                suffix = place.rpartition("_")[2]
                found[place] = draw(GOOD[suffix]) if suffix in GOOD else draw(ANY)
            case "gone":
                del found[place]
            case "last":
                found[place] = found.pop(place)
            case _:
                found[draw(NAMES)] = found.pop(place)
    return found


def text_of(value: object, *, spaced: bool) -> str:
    return json.dumps(value, ensure_ascii=spaced, separators=None if spaced else (",", ":"))


def read(form: str, given: dict[str, Any], *, spaced: bool = False) -> Call:
    """The call as it is read from one of its forms on the wire."""
    text = text_of(given, spaced=spaced)
    body = text.encode("utf-8", "surrogatepass")
    schema = json.dumps(schema_of(given))
    plain = text_of(stripped(given), spaced=spaced)
    call: Call | None
    match form:
        case "event":
            call = read_event(f'{{"name":"Bought","properties":{text}}}'.encode("utf-8", "surrogatepass"), LIMIT)
        case "vars":
            call = read_user_vars(body, LIMIT)
        case "identify":
            call = read_identify(text_of({"uid": "me"} | given, spaced=spaced).encode("utf-8", "surrogatepass"), LIMIT)
        case "server event":
            document = f'{{"name":"E","properties":{plain},"schema":{{"properties":{schema}}}}}'
            call = read_server_call(ServerCall.EVENT, document.encode("utf-8", "surrogatepass"), LIMIT)
        case "server user":
            document = f'{{"properties":{plain},"email":"me@example.com"}}'
            call = read_server_call(ServerCall.USER, document.encode("utf-8", "surrogatepass"), LIMIT)
        case "first":
            call = read_arguments(CUSTOM_EVENT, ["Bought", text], LIMIT)
        case "page":
            call = read_arguments(VARIABLES, ["page", text], LIMIT)
        case "second":
            call = read_arguments(CUSTOM_EVENT, ["Order Completed", plain, None, 1, schema], LIMIT)
        case "second user":
            call = read_arguments(VARIABLES, ["user", plain, None, 1, schema], LIMIT)
        case _:
            call = read_arguments(CUSTOM_EVENT, ["Bought", plain, None, 2, "{}"], LIMIT)
    assert call is not None
    return call


FORMS = [
    "event", "vars", "identify", "server event", "server user", "first", "page", "second", "second user", "inferred",
]  # fmt: skip


def stripped(given: dict[str, Any]) -> dict[str, Any]:
    """Names without their types, as calls of the second generation have them; of two equal ones the last stays."""
    return {
        (name if isinstance(value, dict) else name.rpartition("_")[0] or name): (
            stripped(value) if isinstance(value, dict) else value
        )
        for name, value in given.items()
    }


def schema_of(given: dict[str, Any]) -> dict[str, Any]:
    return {
        (name if isinstance(value, dict) else name.rpartition("_")[0] or name): (
            schema_of(value) if isinstance(value, dict) else name.rpartition("_")[2]
        )
        for name, value in given.items()
    }


def walked(call: Call) -> ValidatedCall:
    """What the walk says: settings that nobody has met have no shapes."""
    return validate_call(call, replace(SETTINGS))


@settings(max_examples=200)
@given(data=st.data(), form=st.sampled_from(FORMS), given_=objects(), spaced=st.booleans())
def test_what_was_learned_never_says_otherwise_than_the_walk(
    data: st.DataObject, form: str, given_: dict[str, Any], *, spaced: bool
) -> None:
    for _ in range(3):
        assert validate_call(read(form, given_), SETTINGS) == walked(read(form, given_))
    for _ in range(8):
        changed = data.draw(mutants(given_))
        call = read(form, changed, spaced=spaced)
        assert validate_call(call, SETTINGS) == walked(call)


@settings(max_examples=100)
@given(data=st.data(), form=st.sampled_from(FORMS), given_=objects())
def test_the_same_call_is_known_the_third_time_if_the_walk_passes_it_whole(
    data: st.DataObject, form: str, given_: dict[str, Any]
) -> None:
    call = read(form, given_)
    first = walked(call)
    verdicts = [validate_call(call, SETTINGS) for _ in range(3)]
    assert verdicts == [first] * 3
    known = type(verdicts[-1].names) is ShapeNames
    assert known == (not first.rejections and form != "server user")
    if known:
        assert verdicts[-1].names is validate_call(read(form, given_), SETTINGS).names


@pytest.mark.parametrize("value", [1, 1.5, -0.0, 2**64, True, "1", None, [1], {}, 1e308, BIG])
@pytest.mark.parametrize("first", [1, 1.5])
def test_a_real_may_be_whole_or_not_and_nothing_else(first: object, value: object) -> None:
    own = replace(SETTINGS)
    for _ in range(3):
        validate_call(read("event", {"a_real": first, "b_int": 1}), own)
    call = read("event", {"a_real": value, "b_int": 1})
    assert validate_call(call, own) == validate_call(call, replace(SETTINGS))


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("a_str", "x" * 400, "x" * 401),
        ("a_str", "é" * 200, "é" * 201),
        ("a_int", 2**63 - 1, 2**63),
        ("a_int", -(2**63), -(2**63) - 1),
        ("a_int", 1, 1.5),
        ("a_bool", True, 1),
        ("a_date", "2024-02-29", "2023-02-29"),
        ("a_date", "2026-01-01T00:00:00." + "0" * 379 + "Z", "2026-01-01T00:00:00." + "0" * 380 + "Z"),
        ("a_strs", ["x" * 396], ["x" * 397]),
        ("a_strs", ["x"], ["x", 1]),
        ("a_ints", [1] * 199, [1] * 200),
        ("a_ints", [1], [2**63]),
        ("a_reals", [1, 2.5], [1, True]),
        ("a_reals", [1e15] * 21, [1e15] * 22),
        ("a_dates", ["2024-02-29"], ["2024-02-30"]),
        ("a_bools", [], [None]),
        ("a_bools", [True], [{}]),
    ],
)
@pytest.mark.parametrize("filler", ["", "x" * 390])
def test_the_edges_of_a_known_value_are_those_of_the_walk(name: str, good: object, bad: object, filler: str) -> None:
    own = replace(SETTINGS)
    base = {"filler_str": filler}
    for _ in range(2):
        validate_call(read("event", base | {name: good}), own)
    for _ in range(2):
        judged = validate_call(read("event", base | {name: good}), own)
        assert (type(judged.names), judged.rejections) == (ShapeNames, ())
        assert validate_call(read("event", base | {name: bad}), own).rejections


def test_an_empty_list_of_no_declared_type_is_one_of_strings() -> None:
    own = replace(SETTINGS)
    for _ in range(3):
        assert validate_call(read("inferred", {"a_": [1.5]}), own).names == ("Bought/a_reals",)
    assert validate_call(read("inferred", {"a_": []}), own).names == ("Bought/a_strs",)


def test_a_length_of_a_reserved_name_holds_for_calls_that_are_known() -> None:
    own = replace(SETTINGS)
    for _ in range(3):
        judged = validate_call(read("vars", {"email": "x" * 128, "a_str": ""}), own)
    assert type(judged.names) is ShapeNames
    assert validate_call(read("vars", {"email": "x" * 129, "a_str": ""}), own).rejections
    assert not validate_call(read("vars", {"displayName": "x" * 129, "a_str": ""}), own).rejections


def test_names_that_the_ledger_refuses_are_rejected_of_a_known_call_too() -> None:
    own = replace(SETTINGS)
    call = read("event", {"a_str": "", "b_str": ""})
    for _ in range(3):
        validate_call(call, own)
    judged = validate_call(call, own, {NameKind.EVENT_PROPERTY: {"Bought/a_str"}})
    assert [each.property for each in judged.rejections] == ["a_str"]


def test_what_is_known_is_bounded_in_number() -> None:
    shapes = Shapes()
    own = replace(SETTINGS)
    for number in range(2000):
        call = read("event", {f"a{number}_{n}_str": "" for n in range(number % 300)})
        for _ in range(2):
            shapes.note(call, own, {}, validate_call(call, own))
    assert 256 < len(shapes) <= 256 * 4


def test_what_is_known_is_bounded_in_size() -> None:
    shapes = Shapes()
    own = replace(SETTINGS)
    for number in range(40):
        call = read("event", {f"a{number}_{n}_str": "" for n in range(3000 + number)})
        for _ in range(2):
            shapes.note(call, own, {}, validate_call(call, own))
    assert BUDGET / 2 < shapes.cost <= BUDGET
    assert shapes.find(call, own) is not None


def test_empty_objects_count_too() -> None:
    shapes = Shapes()
    own = replace(SETTINGS)
    call = read("event", {f"a{n}": {} for n in range(4000)})
    for _ in range(2):
        shapes.note(call, own, {}, validate_call(call, own))
    assert shapes.cost > 4000 * 400


def test_a_shape_that_is_too_large_is_not_kept() -> None:
    shapes = Shapes()
    own = replace(SETTINGS, property_name_length=512)
    call = read("event", {"x" * 400: {f"a{n}_str": "" for n in range(4000)}})
    for _ in range(3):
        shapes.note(call, own, {}, validate_call(call, own))
    assert len(shapes) == 0


def test_events_of_many_names_share_the_shape_of_their_properties() -> None:
    own = replace(SETTINGS)
    bought = read("event", {"a_str": "", "b_int": 1})
    for _ in range(2):
        validate_call(bought, own)
    for number in range(1, 200):
        name = f"Event {number}"
        call = msgspec.structs.replace(bought, name=name)
        judged = validate_call(call, own)
        assert judged.names == (f"{name}/a_str", f"{name}/b_int")
        again = validate_call(call, own)
        assert again == judged
        # The names of most events are kept; so many as a client makes up are not.
        assert (type(again.names) is ShapeNames) is (number < 64), number


def test_the_names_of_many_events_are_kept_within_the_same_bound() -> None:
    shapes = Shapes()
    own = replace(SETTINGS)
    call = read("event", {f"a{n}_str": "" for n in range(4000)})
    verdict = validate_call(call, own)
    for _ in range(2):
        shapes.note(call, own, {}, verdict)
    for number in range(60):
        found = shapes.find(msgspec.structs.replace(call, name=f"Event {number}"), own)
        assert found is not None
        assert found.names[0] == f"Event {number}/a0_str"
    assert BUDGET / 2 < shapes.cost <= BUDGET
