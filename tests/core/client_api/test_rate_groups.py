"""Which calls count as one against the rate, and which bodies are too much for an event loop."""

from __future__ import annotations

import pytest

from fsproxy.core.client_api.inspected import RateGroup
from fsproxy.core.client_api.inspection import inspect
from fsproxy.core.client_api.reading.server_api import ServerCall
from fsproxy.core.limits.operations import RateKind
from fsproxy.core.model import Route
from fsproxy.core.settings import ClientApiSettings
from support.call_samples import API, SET_VARS, bundle, first, user

SETTINGS = ClientApiSettings()
UID, VARS = user({"uid": "u"}), user({"a_int": 1})


def groups(*events: str) -> list[tuple[int, ...]]:
    return [group.calls for group in inspect(SETTINGS, Route.BUNDLE, bundle(*events)).rate_groups()]


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([UID, VARS], [(0, 1)]),
        ([UID, SET_VARS, VARS], [(0, 1)]),
        ([UID, SET_VARS, SET_VARS, VARS], [(0, 1)]),
        ([UID], [(0,)]),
        ([VARS, UID], [(0,), (1,)]),
        ([UID, UID], [(0,), (1,)]),
        ([UID, UID, VARS], [(0,), (1, 2)]),
        ([UID, '{"Kind":2,"Args":[]}', VARS], [(0,), (1,)]),
        ([UID, '"98"', VARS], [(0,), (1,)]),
        ([UID, "[" * 3_000 + "]" * 3_000, VARS], [(0,), (1,)]),
        ([UID, user({"a_int": 1}, when=10)], [(0, 1)]),
        ([UID, user({"a_int": 1}, when=11)], [(0,), (1,)]),
        ([UID, user({"a_int": 1}, when=0)], [(0, 1)]),
        ([UID, user({"a_int": 1}, when=-1)], [(0,), (1,)]),
        ([UID, user({"a_int": 1}, when=None)], [(0,), (1,)]),
        ([user({"uid": "u"}, when=None), VARS], [(0,), (1,)]),
        ([user({"uid": "u"}, when=None), user({"a_int": 1}, when=None)], [(0, 1)]),
        ([UID, user({"uid": "v", "a_int": 1})], [(0,), (1,)]),
        ([UID, API, first("E", {})], [(0,), (1,)]),
        ([first("page", {"a_int": 1}, 8193), VARS], [(0,), (1,)]),
        ([first("document", {"a_int": 1}, 8193), VARS], [(1,)]),
    ],
)
def test_a_uid_and_the_variables_right_after_it_count_once(events: list[str], expected: list[tuple[int, ...]]) -> None:
    assert groups(*events) == expected


def test_a_call_that_is_a_body_of_its_own_counts_alone() -> None:
    inspection = inspect(SETTINGS, Route.DIRECT_IDENTIFY, b'{"uid":"u"}')
    assert inspection.rate_groups() == (RateGroup(RateKind.USER, (0,), None),)
    assert inspection.calls[0].part == 0
    batch = inspect(
        SETTINGS, Route.SERVER_API, b'{"requests":[{"uid":"u"},{"uid":"v"}]}', endpoint=ServerCall.USER_BATCH
    )
    assert [group.calls for group in batch.rate_groups()] == [(0,), (1,)]


def test_more_than_100_calls_or_800_properties_are_much() -> None:
    for count, much in ((100, False), (101, True)):
        assert inspect(SETTINGS, Route.BUNDLE, bundle(*[first("E", {})] * count)).has_many_names is much
    for count, much in ((800, False), (801, True)):
        names = {f"a{number}_int": 1 for number in range(count)}
        assert inspect(SETTINGS, Route.BUNDLE, bundle(user(names))).has_many_names is much
        wrong = {f"a{number}_int": "x" for number in range(count - 1)} | {"b_int": 1}
        assert inspect(SETTINGS, Route.BUNDLE, bundle(first("E", wrong))).has_many_names is much


def test_repeats_within_one_upload_are_told_apart_by_their_order() -> None:
    same = first("E", {"a_int": 1})
    digests = [each.digest for each in inspect(SETTINGS, Route.BUNDLE, bundle(same, same, VARS, same)).calls]
    assert len(set(digests)) == 4
    assert digests[:2] == [each.digest for each in inspect(SETTINGS, Route.EVENT, bundle(same, same)).calls]
