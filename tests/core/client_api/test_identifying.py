"""Which uids the calls of a body give to its session (rules.md 10)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fsproxy.core.client_api.inspected import accepted_uid, named_uids
from fsproxy.core.client_api.inspection import inspect
from fsproxy.core.model import Route
from fsproxy.core.settings import ClientApiSettings

SETTINGS = ClientApiSettings()


def bundle(*args: list[Any]) -> bytes:
    events = [{"Kind": 8193, "Args": each, "When": when} for when, each in enumerate(args)]
    return json.dumps({"Seq": 1, "When": 0, "Evts": events}).encode()


def user(properties: dict[str, Any], version: int | None = None, schema: dict[str, Any] | None = None) -> list[Any]:
    more = [] if version is None else [None, version, json.dumps(schema or {})]
    return ["user", json.dumps(properties), *more]


def uids(body: bytes, route: Route = Route.BUNDLE) -> tuple[tuple[str, ...], str]:
    inspection = inspect(SETTINGS, route, body)
    return named_uids(inspection), accepted_uid(inspection)


@pytest.mark.parametrize(
    "args",
    [
        user({"uid": "ann"}),
        user({"uid": "ann", "displayName": "Ann"}),
        user({"uid": "ann"}, 1),
        user({"uid": "ann", "age": 7}, 1, {"age": "int"}),
        user({"uid": "ann", "age": 7}, 2),
    ],
)
def test_a_user_call_with_a_uid_identifies_in_both_generations(args: list[Any]) -> None:
    assert uids(bundle(args)) == (("ann",), "ann")


@pytest.mark.parametrize(
    "args",
    [
        user({"age_int": 7}),
        user({"uid_str": "ann"}),
        user({"uid": "ann"}, 1, {"uid": "str"}),
        user({"uid": 7}),
        user({"uid": ["ann"]}),
        user({"uid": ""}),
        user({"of": {"uid": "ann"}}),
        ["page", '{"uid":"ann"}'],
        ["user", '{"uid":'],
    ],
)
def test_nothing_else_does(args: list[Any]) -> None:
    assert uids(bundle(args)) == ((), "")


def test_of_several_the_last_one_that_is_accepted_stands_and_all_are_named() -> None:
    body = bundle(user({"uid": "ann"}), user({"uid": "ben"}), user({"uid": "0"}), user({"uid": "c" * 257}))
    assert uids(body) == (("ann", "ben", "0", "c" * 257), "ben")


def test_direct_calls_identify_too() -> None:
    assert uids(b'{"uid":"ann","age_int":7}', Route.DIRECT_IDENTIFY) == (("ann",), "ann")
    assert uids(b'{"uid":"ann","age_int":7}', Route.DIRECT_SET_USER_VARS) == (("ann",), "ann")
    assert uids(b'{"name":"x","properties":{"uid":"ann"}}', Route.DIRECT_EVENT) == ((), "")
