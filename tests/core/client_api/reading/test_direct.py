"""The bodies of direct calls, as a page sends them without a recorder."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fsproxy.core.client_api.calls import Call
from fsproxy.core.client_api.reading.direct import (
    object_in,
    read_document,
    read_event,
    read_identify,
    read_user_vars,
    recognize_event,
)
from fsproxy.core.client_api.validation.call import validate_call
from fsproxy.core.client_api.validation.learned import EVENTS, SIGHTINGS
from fsproxy.core.json.member_names import KnownNames
from fsproxy.core.model import CallKind
from fsproxy.core.settings import ClientApiSettings

SETTINGS = ClientApiSettings(max_payload=2_000)


def details(call: Call) -> list[str]:
    return [each.detail for each in call.breaches]


@pytest.mark.parametrize(
    ("root", "name", "properties", "at"),
    [
        ({"name": "E", "properties": {"a_int": 1}}, "E", {"a_int": 1}, "properties"),
        ({"n": "E", "p": {"a_int": 1}}, "E", {"a_int": 1}, "p"),
        ({"name": "E", "n": "F", "properties": {}, "p": {"a_int": 1}}, "E", {}, "properties"),
        ({"name": None, "n": "F", "p": {}}, None, {}, "p"),
        ({"name": "E", "p": {"a_int": 1}}, "E", {"a_int": 1}, "p"),
        ({"name": "E"}, "E", {}, "p"),
        ({}, None, {}, "p"),
    ],
)
def test_an_event_has_its_name_and_properties_under_long_or_short_names(
    root: dict[str, Any], name: str | None, properties: dict[str, Any], at: str
) -> None:
    body = json.dumps(root).encode()
    call = read_event(body, SETTINGS)
    assert (call.kind, call.name, call.properties, call.at) == (CallKind.EVENT, name, properties, (at,))
    assert (call.breaches, call.read, call.size) == ((), True, len(body))


@pytest.mark.parametrize("wrong", [None, [], "x", 5])
def test_properties_that_are_no_object_are_a_breach(wrong: object) -> None:
    for holder in ("properties", "p"):
        call = read_event(json.dumps({"name": "E", holder: wrong}).encode(), SETTINGS)
        assert (call.name, call.properties, details(call)) == ("E", {}, [f"{holder} is not an object"])
    assert object_in({"x": {"a": 1}}, "x") == ({"a": 1}, ())
    assert object_in({}, "x") == ({}, ())


@pytest.mark.parametrize("read", [read_identify, read_user_vars])
def test_user_calls_have_their_properties_at_the_root(read: Any) -> None:
    body = b'{"uid":"u","a_int":1,"Name":1}'
    call = read(body, 100)
    kind = CallKind.IDENTIFY if read is read_identify else CallKind.SET_USER_VARS
    assert (call.kind, call.properties, call.at) == (kind, {"uid": "u", "a_int": 1, "Name": 1}, ())
    assert (call.size, call.read) == (len(body), True)


def test_a_body_may_be_as_large_as_its_limit_and_must_be_one_object() -> None:
    body = b'{"a_int":1}'
    for read in (read_identify, read_user_vars):
        assert read(body, len(body)).properties == {"a_int": 1}
        for wrong, limit, detail in (
            (body, len(body) - 1, "larger than 10 bytes"),
            (b"[]", 99, "not a JSON object"),
            (b"{", 99, "not valid JSON"),
        ):
            call = read(wrong, limit)
            assert (details(call), call.read, call.properties) == ([detail], False, {})


@pytest.mark.parametrize("name", ["Name", "NAME", "Properties", "N", "P"])
def test_an_event_with_a_name_in_other_letters_is_broken(name: str) -> None:
    call = read_event(json.dumps({"name": "E", name: {}}).encode(), SETTINGS)
    assert (details(call), call.read) == (["a name in other letters than it has"], False)


def test_only_the_names_that_are_read_must_be_spelled_right() -> None:
    body = b'{"A":1}'
    assert read_document(CallKind.EVENT, body, 99) == {"A": 1}
    assert read_document(CallKind.EVENT, body, 99, KnownNames(("A",))) == {"A": 1}
    assert isinstance(read_document(CallKind.EVENT, body, 99, KnownNames(("a",))), Call)


@pytest.mark.parametrize(
    ("body", "key"),
    [
        (b'{"name":"E","properties":{"a_int":1}}', b'{"name":"E","properties":'),
        (b'{ "name":"E", "properties" : {}}', b'{ "name":"E", "properties" : '),
        (b'{"properties":{"a_int":1},"name":"E"}', b'{"properties":'),
        (b'{"name":"E"}', None),
        (b'{"n":"E","p":{}}', None),
        (b'{"name":"E","more":1,"properties":{}}', None),
        (b'{"name":"%s","properties":{}}' % (b"x" * 600), None),
    ],
)
def test_what_precedes_the_properties_is_what_an_event_is_learned_by(body: bytes, key: bytes | None) -> None:
    assert read_event(body, SETTINGS).key == key


def test_an_event_that_is_learned_is_recognized_unless_it_is_to_be_read() -> None:
    body = b'{"name":"Direct","properties":{"a_str":"x"}}'
    call = read_event(body, SETTINGS)
    for _ in range(SIGHTINGS):
        assert recognize_event(body, SETTINGS) is None
        EVENTS.note(call, validate_call(call, SETTINGS), SETTINGS)
    known = recognize_event(body, SETTINGS)
    assert known is not None
    assert known.learned is not None
    assert read_event(body, SETTINGS) is known
    assert read_event(body, SETTINGS, anew=True) == call
    long = body.replace(b'"x"', b'"%s"' % (b"x" * 2_000))
    assert recognize_event(long, SETTINGS) is None
    assert details(read_event(long, SETTINGS)) == ["larger than 2000 bytes"]
