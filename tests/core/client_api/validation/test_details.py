"""What a rejection says: fixed words with the limit in them, never the value."""

from __future__ import annotations

import pytest

from fsproxy.core.client_api.calls import MAX_LEAVES, Call, broken, too_big
from fsproxy.core.client_api.inspection import inspect
from fsproxy.core.client_api.reading.server_api import ServerCall
from fsproxy.core.client_api.validation.call import validate_call
from fsproxy.core.client_api.validation.details import (
    LONGEST_ECHO,
    cut,
    names_detail,
    property_detail,
    reserved_detail,
)
from fsproxy.core.json.strict import Fault
from fsproxy.core.limits.operations import NameKind
from fsproxy.core.model import CallKind, PropertyType, Route
from fsproxy.core.reasons import RejectionCode
from fsproxy.core.settings import CardinalitySettings, ClientApiSettings

SETTINGS = ClientApiSettings(property_name_length=40, value_size=90)
TYPES = "str, int, real, date, bool, strs, ints, reals, dates, bools"


@pytest.mark.parametrize(
    ("declared", "text"),
    [
        ("str", "not a string"),
        ("int", "not an integer of 64 bits"),
        ("real", "not a number"),
        ("date", "not an ISO-8601 date in UTC"),
        ("bool", "not true or false"),
        ("strs", "not a list of strings"),
        ("ints", "not a list of integers of 64 bits"),
        ("reals", "not a list of numbers"),
        ("dates", "not a list of ISO-8601 dates in UTC"),
        ("bools", "not a list of true and false"),
        (None, "its value does not show its type"),
    ],
)
def test_a_value_that_does_not_fit_is_told_what_it_is_not(declared: str | None, text: str) -> None:
    kind = PropertyType(declared) if declared else None
    assert property_detail(RejectionCode.INVALID_VALUE, SETTINGS, kind) == text


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (RejectionCode.INVALID_PROPERTY_NAME, "not a letter followed by letters, digits, _"),
        (RejectionCode.PROPERTY_NAME_TOO_LONG, "longer than 40 characters"),
        (RejectionCode.MISSING_PROPERTY_TYPE, f"declares no type; the types are {TYPES}"),
        (RejectionCode.INVALID_PROPERTY_TYPE, f"declares a type other than {TYPES}"),
        (RejectionCode.VALUE_TOO_BIG, "larger than 90 bytes"),
        (RejectionCode.CARDINALITY_EXCEEDED, "a new name beyond the first 5000 of a call"),
        (RejectionCode.EXPECTED_ATOM, "an object or list where one value belongs"),
    ],
)
def test_each_code_of_a_property_says_what_is_allowed(code: RejectionCode, text: str) -> None:
    assert property_detail(code, SETTINGS, None) == text


def test_where_hyphens_are_allowed_the_text_says_so() -> None:
    hyphens = ClientApiSettings(allow_hyphen=True)
    text = property_detail(RejectionCode.INVALID_PROPERTY_NAME, hyphens, None)
    assert text == "not a letter followed by letters, digits, _ and -"


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (RejectionCode.EXPECTED_ATOM, "an object or list where one value belongs"),
        (RejectionCode.VALUE_TOO_BIG, "longer than 256 characters"),
        (RejectionCode.INVALID_VALUE, "not a string"),
        (RejectionCode.CARDINALITY_EXCEEDED, "a new value beyond the limit on values of pageName"),
    ],
)
def test_a_reserved_property_is_told_its_own_limit(code: RejectionCode, text: str) -> None:
    assert reserved_detail(code, 256) == text


@pytest.mark.parametrize(
    ("kind", "most", "most_per_page", "text"),
    [
        (CallKind.EVENT, 500, 50, "a new name beyond the limit on names"),
        (CallKind.IDENTIFY, None, None, "a new name beyond the limit on names"),
        (CallKind.PAGE, 500, 50, "a new name beyond 50 of a page or 500 of all pages"),
        (CallKind.PAGE, 500, None, "a new name beyond 500 of all pages"),
        (CallKind.PAGE, None, 50, "a new name beyond 50 of a page"),
    ],
)
def test_a_refused_name_is_told_the_limits_that_hold(
    kind: CallKind, most: int | None, most_per_page: int | None, text: str
) -> None:
    limits = CardinalitySettings(page_properties=most, page_properties_per_page=most_per_page)
    assert names_detail(kind, ClientApiSettings(cardinality=limits)) == text


def test_a_name_of_an_event_and_a_uid_are_told_their_own_limits() -> None:
    for call, refused, code, text in (
        (Call(kind=CallKind.EVENT, name=""), None, "InvalidEventName", "not a string of 1 to 250 characters"),
        (
            Call(kind=CallKind.EVENT, name="E"),
            {NameKind.EVENT_NAME: {"E"}},
            "CardinalityExceeded",
            "a new name beyond the limit on event names",
        ),
        (
            Call(kind=CallKind.IDENTIFY, properties={"uid": ""}),
            None,
            "InvalidId",
            "its uid is not a string of 1 to 256 characters, or a placeholder",
        ),
    ):
        (rejection,) = validate_call(call, ClientApiSettings(), refused).rejections
        assert (rejection.code.value, rejection.property, rejection.detail) == (code, None, text)


def test_a_call_as_a_whole_is_told_its_limit_or_its_fault() -> None:
    assert too_big(512).detail == "larger than 512 bytes"
    assert broken("its Args are not a list").detail == "its Args are not a list"
    assert [broken(fault).detail for fault in Fault] == [
        "not UTF-8",
        "not valid JSON",
        "not a JSON object",
        "a number outside the range of a double",
        "the same name twice in one object",
        "no list of requests",
        "a name in other letters than it has",
    ]


def test_names_are_echoed_whole_up_to_1024_characters() -> None:
    assert LONGEST_ECHO == 1_024
    assert cut("x" * 1_024) == "x" * 1_024
    assert cut("x" * 1_025) == "x" * 1_024 + "…"


def test_too_many_properties_are_counted_for_the_caller_and_the_call_is_named() -> None:
    many = {f"a{number}_int": 1 for number in range(MAX_LEAVES + 1)}
    (rejection,) = validate_call(Call(kind=CallKind.EVENT, name="E", properties=many), SETTINGS).rejections
    assert (rejection.code, rejection.call, rejection.property, rejection.detail) == (
        RejectionCode.CARDINALITY_EXCEEDED, "E", f"a{MAX_LEAVES}_int", "a new name beyond the first 5000 of a call"
    )  # fmt: skip
    del many["a0_int"]
    assert not validate_call(Call(kind=CallKind.EVENT, name="E", properties=many), SETTINGS).rejections


def test_what_stands_beside_a_users_properties_is_judged_and_cut_like_them() -> None:
    body = b'{"uid":"u","display_name":5,"email":"a@b.example","properties":{"x":null}}'
    (call,) = inspect(SETTINGS, Route.SERVER_API, body, endpoint=ServerCall.USER).calls
    assert [(each.property, each.detail) for each in call.validated.rejections] == [
        ("display_name", "not a string"),
        ("x", "its value does not show its type"),
    ]
    assert not call.validated.rejected
    assert set(call.validated.cuts) == {("display_name",), ("properties", "x")}
