"""The arguments of a call's event, in all the lengths that recorders of both generations send."""

from __future__ import annotations

from typing import Any

import pytest

from fsproxy.core.client_api.calls import Typing
from fsproxy.core.client_api.reading.arguments import read_arguments
from fsproxy.core.client_api.validation.call import validate_call
from fsproxy.core.client_api.validation.learned import EVENTS, SIGHTINGS
from fsproxy.core.model import CallKind
from fsproxy.core.settings import ClientApiSettings

LIMIT = 100
SETTINGS = ClientApiSettings(max_payload=LIMIT)


@pytest.mark.parametrize(
    ("more", "typing"),
    [
        ([], Typing.SUFFIX),
        (["dom"], Typing.SUFFIX),
        ([None, None], Typing.SUFFIX),
        ([None, 1], Typing.SCHEMA),
        ([None, 1, None], Typing.SCHEMA),
        ([None, 1, "{}"], Typing.SCHEMA),
        ([None, 1.0, "{}"], Typing.SCHEMA),
        ([None, 2], Typing.INFERRED),
        ([None, 2, "{}"], Typing.INFERRED),
        ([None, 3, "{}", "later"], Typing.INFERRED),
    ],
)
def test_without_a_schema_the_version_alone_says_where_types_stand(more: list[Any], typing: Typing) -> None:
    call = read_arguments(8197, ["E", '{"a":1}', *more], SETTINGS)
    assert call is not None
    assert (call.kind, call.name, call.properties, call.schema) == (CallKind.EVENT, "E", {"a": 1}, {})
    assert (call.typing, call.breaches) == (typing, ())


@pytest.mark.parametrize(
    ("args", "detail"),
    [
        (["E"], "not a string that holds JSON"),
        (["E", None], "not a string that holds JSON"),
        (["E", "[]"], "not a JSON object"),
        (["E", "{}", None, "1", "{}"], "its version is not a number"),
        (["E", "{}", None, True, "{}"], "its version is not a number"),
        (["E", "{}", None, 1, 5], "not a string that holds JSON"),
        (["E", "{}", None, 1, "{"], "not valid JSON"),
        (["E", '{"a":"' + "é" * 47 + '"}'], "larger than 100 bytes"),
    ],
)
def test_what_cannot_be_read_is_a_breach_of_the_call(args: list[Any], detail: str) -> None:
    call = read_arguments(8197, args, SETTINGS)
    assert call is not None
    assert [breach.detail for breach in call.breaches] == [detail]


def test_a_text_of_exactly_the_limit_in_bytes_is_read() -> None:
    text = '{"a":"' + "é" * 46 + '"}'
    assert len(text.encode()) == LIMIT
    call = read_arguments(8197, ["E", text], SETTINGS)
    assert call is not None
    assert call.breaches == ()


@pytest.mark.parametrize(
    ("scope", "kind"),
    [("user", CallKind.SET_USER_VARS), ("page", CallKind.PAGE), ("document", CallKind.DOCUMENT)],
)
def test_the_scope_of_variables_is_their_kind(scope: str, kind: CallKind) -> None:
    call = read_arguments(8193, [scope, '{"a_int":1}'], SETTINGS)
    assert call is not None
    assert (call.kind, call.name) == (kind, None)


def test_variables_of_a_scope_that_is_not_known_are_no_call_and_of_none_a_broken_one() -> None:
    assert read_arguments(8193, ["elsewhere", "{}"], SETTINGS) is None
    for args in ([], [5, "{}"], "user"):
        call = read_arguments(8193, args, SETTINGS)
        assert call is not None
        assert (call.kind, call.read) == (CallKind.SET_USER_VARS, False)


@pytest.mark.parametrize(
    ("args", "kind"),
    [
        (["user", '{"uid":"u"}'], CallKind.IDENTIFY),
        (["user", '{"uid":"u"}', None, 1, "{}"], CallKind.IDENTIFY),
        (["user", '{"uid":"u"}', None, 2, '{"uid":"str"}'], CallKind.IDENTIFY),
        (["user", '{"uid":"u"}', None, 1, '{"uid":"str"}'], CallKind.SET_USER_VARS),
        (["user", '{"uid":"u","a_int":1}'], CallKind.SET_USER_VARS),
        (["page", '{"uid":"u"}'], CallKind.PAGE),
    ],
)
def test_variables_that_are_a_uid_alone_identify(args: list[Any], kind: CallKind) -> None:
    call = read_arguments(8193, args, SETTINGS)
    assert call is not None
    assert call.kind is kind


@pytest.mark.parametrize(
    ("number", "args", "key"),
    [
        (8197, ["E", "{}"], ("E", Typing.SUFFIX, None)),
        (8197, ["E", "{}", None, 1, '{"a":"int"}'], ("E", Typing.SCHEMA, '{"a":"int"}')),
        (8197, ["E", "{}", None, 2, "x" * 2_048], ("E", Typing.INFERRED, "x" * 2_048)),
        (8197, ["E", "{}", None, 1, "x" * 3_000], None),
        (8197, ["E", "{}", None, 1, {}], None),
        (8197, [5, "{}"], None),
        (8197, ["E", 5], None),
        (8197, [5, 5], None),
        (8193, ["user", "{}"], None),
    ],
)
def test_an_event_is_learned_by_its_name_its_typing_and_its_schema(number: int, args: list[Any], key: Any) -> None:
    call = read_arguments(number, args, SETTINGS)
    assert call is not None
    assert call.key == key


def test_an_event_that_is_learned_is_recognized_unless_it_is_read_anew() -> None:
    settings = ClientApiSettings()
    args = ["Args", '{"a_str":"x"}']
    call = read_arguments(8197, args, settings)
    assert call is not None
    for _ in range(SIGHTINGS):
        assert read_arguments(8197, args, settings) == call
        EVENTS.note(call, validate_call(call, settings), settings)
    known = read_arguments(8197, args, settings)
    assert known is not None
    assert (known.learned, known.properties) == (validate_call(call, settings), {})
    assert read_arguments(8197, args, settings, anew=True) == call
