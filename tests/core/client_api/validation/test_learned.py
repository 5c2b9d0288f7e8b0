"""A text that is compared with what was learned gets the very verdict that the walk through its properties gives it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.client_api.calls import Call
from fsproxy.core.client_api.reading.arguments import CUSTOM_EVENT, read_arguments
from fsproxy.core.client_api.reading.direct import read_event
from fsproxy.core.client_api.validation.call import validate_call
from fsproxy.core.client_api.validation.learned import EVENTS, MOST_IN_ALL, MOST_PROPERTIES, SIGHTINGS, LearnedEvents
from fsproxy.core.settings import ClientApiSettings

SETTINGS = ClientApiSettings(value_size=400, property_name_length=200)
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
FORMS = ["event", "first", "second", "inferred"]


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
    """The same with one thing changed somewhere: a value, a name, what is there."""
    found = dict(given)
    place = draw(st.sampled_from([*found, None]))
    if place is not None and isinstance(found[place], dict) and draw(st.booleans()):
        found[place] = draw(mutants(found[place]))
    elif place is None:
        found[draw(NAMES | st.sampled_from(["uid", "displayName", "x", "9", ""]))] = draw(ANY)
    else:
        match draw(st.sampled_from(["value", "again", "gone", "renamed"])):
            case "value":
                found[place] = draw(ANY)
            case "again":
                suffix = place.rpartition("_")[2]
                found[place] = draw(GOOD[suffix]) if suffix in GOOD else draw(ANY)
            case "gone":
                del found[place]
            case _:
                found[draw(NAMES)] = found.pop(place)
    return found


def text_of(form: str, given: dict[str, Any], *, spaced: bool = False) -> str:
    separators = None if spaced else (",", ":")
    if form == "event":
        given = {"name": "Bought", "properties": given}
    return json.dumps(stripped(given) if form in ("second", "inferred") else given, separators=separators)


def read(form: str, text: str, schema: dict[str, Any], own: ClientApiSettings, *, anew: bool = False) -> Call:
    """The call as it is read from one of its forms on the wire."""
    match form:
        case "event":
            return read_event(text.encode(), own, anew=anew)
        case "first":
            args = ["Bought", text]
        case "second":
            args = ["Bought", text, None, 1, json.dumps(schema)]
        case _:
            args = ["Bought", text, None, 2, "{}"]
    call = read_arguments(CUSTOM_EVENT, args, own, anew=anew)
    assert call is not None
    return call


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


def teach(form: str, given: dict[str, Any], own: ClientApiSettings) -> None:
    call = read(form, text_of(form, given), schema_of(given), own, anew=True)
    for _ in range(SIGHTINGS):
        EVENTS.note(call, validate_call(call, own), own)


def is_learned(form: str, given: dict[str, Any], own: ClientApiSettings) -> bool:
    return read(form, text_of(form, given), schema_of(given), own).learned is not None


@settings(max_examples=200)
@given(data=st.data(), form=st.sampled_from(FORMS), given_=objects(), spaced=st.booleans())
def test_what_was_learned_never_says_otherwise_than_the_walk(
    data: st.DataObject, form: str, given_: dict[str, Any], *, spaced: bool
) -> None:
    own = replace(SETTINGS)
    teach(form, given_, own)
    for _ in range(6):
        changed = data.draw(mutants(given_))
        text, schema = text_of(form, changed, spaced=spaced), schema_of(given_)
        call, anew = read(form, text, schema, own), read(form, text, schema, own, anew=True)
        found, walked = validate_call(call, own), validate_call(anew, own)
        assert (found.rejected, found.rejections) == (walked.rejected, walked.rejections)
        assert set(found.names) == set(walked.names)
        assert (call.kind, call.name, call.typing, call.at) == (anew.kind, anew.name, anew.typing, anew.at)


@pytest.mark.parametrize("form", ["event", "first", "second"])
def test_an_event_that_was_admitted_often_enough_is_learned(form: str) -> None:
    own = replace(SETTINGS)
    given_ = {"a_str": "x:y", "b_int": 1, "c_real": 1, "d_bool": True, "o": {"e_date": "2026-01-01", "p": {}}}
    call = read(form, text_of(form, given_), schema_of(given_), own)
    for _ in range(SIGHTINGS):
        assert not is_learned(form, given_, own)
        EVENTS.note(call, validate_call(call, own), own)
    assert is_learned(form, given_ | {"a_str": "other", "c_real": 2.5}, own)
    turned = text_of(form, dict(reversed(given_.items())))
    assert read(form, turned, schema_of(given_), own).learned is not None
    assert not is_learned(form, given_, replace(SETTINGS))


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("a_str", "x" * 400, "x" * 401),
        ("a_str", "é" * 50, "é" * 201),
        ("a_int", 2**63 - 1, 2**63),
        ("a_int", -(2**63), -(2**63) - 1),
        ("a_int", 1, 1.5),
        ("a_real", 1, True),
        ("a_real", 1.5, None),
        ("a_real", -(2**64), "1"),
        ("a_bool", True, 1),
        ("a_date", "2023-02-28", "2023-02-29"),
        ("a_date", "2026-01-01T00:00:00." + "0" * 379 + "Z", "2026-01-01T00:00:00." + "0" * 380 + "Z"),
        ("a_strs", ["x"], ["x", 1]),
        ("a_bools", [], [None]),
        ("a_bools", [True], [{}]),
    ],
)
def test_the_edges_of_a_learned_value_are_those_of_the_walk(name: str, good: object, bad: object) -> None:
    own = replace(SETTINGS)
    teach("event", {name: good}, own)
    assert is_learned("event", {name: good}, own)
    assert not is_learned("event", {name: bad}, own)


@pytest.mark.parametrize(
    "text",
    [
        '{"name":"Bought","properties":{"a_str":"x","b_str":"y","a_str":"z"}}',
        '{"name":"Bought","properties":{"a_str":"x","b_str":":","a_str":"z"}}',
        '{"name":"Bought","properties":{"a_str":"x","b_str":"y"},"name":"Sold"}',
        '{"name":"Bought","properties":{"a_str":"x","b_str":"y"},"name":"Bought"}',
        '{"name":"Bought","properties":{"a_str":"x","b_str":"y"},"Name":"Bought"}',
        '{"name":"Bought","properties":{"a_str":"x"}}',
        '{"name":"Bought","properties":{"a_str":"x","B_str":"y"}}',
        '{"name":"Bought","properties":{"a_str":"x","b_str":"\\ud83d"}}',
        '{"name":"Bought","properties":{"a_str":"x","b_str":"y"}} ,',
    ],
)
def test_a_text_that_two_readers_could_read_differently_is_not_one_that_was_learned(text: str) -> None:
    own = replace(SETTINGS)
    teach("event", {"a_str": "x", "b_str": "y"}, own)
    assert is_learned("event", {"a_str": "x", "b_str": ":"}, own)
    assert read_event(text.encode(), own).learned is None


def test_long_texts_are_recognized_only_if_their_characters_are_bytes() -> None:
    own = replace(SETTINGS)
    teach("first", {"a_str": "x", "b_str": "y"}, own)
    teach("first", {"a_strs": ["x"]}, own)
    assert is_learned("first", {"a_str": "x" * 400, "b_str": "y" * 400}, own)
    for long in ("é" * 201, "\\" * 400):
        text = json.dumps({"a_str": long, "b_str": "y" * 400}, ensure_ascii=False)
        assert read("first", text, {}, own).learned is None
    assert not is_learned("first", {"a_strs": ["x" * 390]}, own)
    assert not is_learned("first", {"a_str": "x", "b_str": "y"}, replace(own, max_payload=10))


def test_what_is_learned_is_bounded() -> None:
    events, own = LearnedEvents(), ClientApiSettings()

    def learn(number: int, count: int, begin: str = "a") -> Call:
        properties = {f"{begin}{number}_{n}_str": "" for n in range(count)}
        call = read_arguments(CUSTOM_EVENT, [f"E{number}", json.dumps(properties)], own, anew=True)
        assert call is not None
        for _ in range(SIGHTINGS):
            events.note(call, validate_call(call, own), own)
        return call

    learn(0, MOST_PROPERTIES + 1)
    learn(0, 100, "long" * 100)
    assert len(events) == 0
    last = [learn(number, 1000) for number in range(1, 30)][-1]
    assert MOST_IN_ALL - 2000 < len(events) <= MOST_IN_ALL
    text = json.dumps({f"a29_{n}_str": "" for n in range(1000)})
    assert events.find(last.key, text, own) is not None
    for number in range(100, 3000):
        learn(number, 0)
    assert len(events) <= MOST_IN_ALL
