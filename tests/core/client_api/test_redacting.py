"""The values of a redacted call: the sizes of what goes on, and dates as they came."""

from __future__ import annotations

from fsproxy.core.client_api.calls import Call
from fsproxy.core.client_api.redacted_calls import inspect_redacted
from fsproxy.core.client_api.redacting import with_sizes_of
from fsproxy.core.model import CallKind, Route
from fsproxy.core.settings import ClientApiSettings
from support.call_samples import bundle, first
from support.redacting import redaction

DAY = "2026-01-01"


def test_dates_and_the_uid_stay_and_all_else_is_what_goes_on() -> None:
    old = Call(
        kind=CallKind.IDENTIFY,
        properties={"uid": "u", "d": DAY, "o": {"d": DAY, "s": "x"}, "l": [DAY, "x", {"d": DAY}], "n": 5},
        around={"uid": "u", "email": "a@b"},
    )
    masked = Call(
        kind=CallKind.SET_USER_VARS,
        properties={"uid": "*", "d": "*", "o": {"d": "*", "s": "*"}, "l": ["*", "*", {"d": "*"}], "n": 5},
        around={"uid": "*", "email": "*"},
        key="k",
    )
    found = with_sizes_of(old, masked)
    assert found.properties == {
        "uid": "u", "d": DAY, "o": {"d": DAY, "s": "*"}, "l": [DAY, "*", {"d": DAY}], "n": 5
    }  # fmt: skip
    assert found.around == {"uid": "u", "email": "*"}
    assert (found.kind, found.key) == (CallKind.IDENTIFY, None)


def test_what_is_found_between_calls_is_noted_where_it_is_in_the_body() -> None:
    opaque = '{"Kind":2,"Args":["ann@example.com"],"When":1}'
    body = bundle(opaque, first("E", {"a_int": 1}), opaque)
    places: list[int] = []
    rules = redaction({"mask": "email", "in": ["strings"]})
    inspect_redacted(ClientApiSettings(), Route.BUNDLE, body, None, rules, lambda at, _, __: places.append(at))
    assert places == [body.index(b'"ann@'), body.rindex(b'"ann@')]
