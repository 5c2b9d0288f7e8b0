"""Values deeper than one step of the engine takes in are skipped by their brackets, whatever they are made of."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fsproxy.core.client_api.reading.bundle import Uninspectable, read_bundle
from fsproxy.core.json.scanner import ScanError, elements_of, end_of_value, members_of, name_of
from fsproxy.core.settings import ClientApiSettings

DEPTHS = (1, 5, 6, 7, 50, 5_000)


def lists(depth: int) -> bytes:
    return b"[" * depth + b'"]"' + b"]" * depth


def objects(depth: int) -> bytes:
    return b'{"a":' * depth + b'"\\"}"' + b"}" * depth


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("made", [lists, objects])
def test_a_value_ends_with_its_own_last_bracket(made: Callable[[int], bytes], depth: int) -> None:
    value = made(depth)
    assert end_of_value(value, 0) == len(value)
    assert end_of_value(b"x" + value + b"]}", 1) == len(value) + 1
    with pytest.raises(ScanError):
        end_of_value(value[:-1], 0)


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_list_or_an_object_may_end_with_the_text_itself(depth: int) -> None:
    for value in (lists(depth), objects(depth)):
        text = b"[1, " + value + b" ]"
        assert elements_of(text, 0) == ([(1, 2), (4, 4 + len(value))], len(text))
        text = b'{"n":1,"m" : ' + value + b" }"
        members, end = members_of(text, 0)
        assert [name_of(text, each) for each in members] == ["n", "m"]
        assert text[members[1].value_start : members[1].end] == value
        assert end == len(text)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("tail", [b"", b" ", b",", b"}", b":", b'"', b"1"])
def test_a_list_that_does_not_end_as_one_is_an_error(depth: int, tail: bytes) -> None:
    with pytest.raises(ScanError):
        elements_of(b"[" + lists(depth) + tail, 0)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("tail", [b"", b" ", b",", b"]", b":", b'"', b"1"])
def test_an_object_that_does_not_end_as_one_is_an_error(depth: int, tail: bytes) -> None:
    with pytest.raises(ScanError):
        members_of(b'{"a":' + objects(depth) + tail, 0)


@pytest.mark.parametrize(
    "body", [b'{"Seq":1,"When":1,"Evts":[{"Kind":1}', b'{"Seq":1,"Evts":[', b'"Evts":[{"Kind":1}]}', b"]}", b"[]}"]
)
def test_half_a_bundle_without_a_call_is_no_bundle(body: bytes) -> None:
    """Both its head and its tail must be there before it is taken for one at a glance."""
    assert isinstance(read_bundle(body, ClientApiSettings(max_payload=1_000)), Uninspectable)
