"""The one form of every call: what it is by itself, and what it is when nothing else is said."""

from __future__ import annotations

from typing import Any

import pytest

from fsproxy.core.client_api.calls import (
    MAX_LEAVES,
    ORDER_COMPLETED,
    Breach,
    Call,
    Typing,
    ValidatedCall,
    broken,
    too_big,
    unread,
)
from fsproxy.core.json.strict import Fault
from fsproxy.core.model import CallKind
from fsproxy.core.reasons import RejectionCode


@pytest.mark.parametrize(
    ("kind", "properties", "uid_only"),
    [
        (CallKind.IDENTIFY, {"uid": "u"}, True),
        (CallKind.IDENTIFY, {}, True),
        (CallKind.IDENTIFY, {"uid": "u", "a_int": 1}, False),
        (CallKind.SET_USER_VARS, {"uid": "u"}, False),
        (CallKind.EVENT, {}, False),
        (CallKind.PAGE, {"uid": "u"}, False),
    ],
)
def test_the_first_half_of_an_identify_has_nothing_but_a_uid(
    kind: CallKind, properties: dict[str, Any], *, uid_only: bool
) -> None:
    assert Call(kind=kind, properties=properties).is_uid_only is uid_only


@pytest.mark.parametrize(
    ("typing", "properties", "schema", "gives"),
    [
        (Typing.SUFFIX, {"uid": "u"}, {}, True),
        (Typing.SCHEMA, {"uid": "u"}, {}, True),
        (Typing.SCHEMA, {"uid": "u"}, {"a": "str"}, True),
        (Typing.SCHEMA, {"uid": "u"}, {"uid": "str"}, False),
        (Typing.INFERRED, {"uid": "u"}, {"uid": "str"}, True),
        (Typing.SUFFIX, {"uid": "u"}, {"uid": "str"}, True),
        (Typing.SUFFIX, {"a_int": 1}, {}, False),
        (Typing.SCHEMA, {}, {"uid": "str"}, False),
        (Typing.INFERRED, {}, {}, False),
    ],
)
def test_only_the_reserved_uid_is_one(
    typing: Typing, properties: dict[str, Any], schema: dict[str, Any], *, gives: bool
) -> None:
    call = Call(kind=CallKind.SET_USER_VARS, typing=typing, properties=properties, schema=schema)
    assert call.gives_uid is gives


def test_a_call_of_which_nothing_is_said_is_read_and_accepted() -> None:
    call, validated = Call(kind=CallKind.EVENT), ValidatedCall()
    assert (call.read, call.is_whole, call.typing, call.learned) == (True, False, Typing.SUFFIX, None)
    assert (validated.rejected, validated.is_shared, validated.survivors, validated.page_name) == (False, False, 0, "")
    assert (MAX_LEAVES, ORDER_COMPLETED) == (5_000, "Order Completed")


def test_a_call_that_cannot_be_read_has_its_breach_alone() -> None:
    assert too_big(9) == Breach(RejectionCode.TOO_BIG_TO_PARSE, "larger than 9 bytes")
    assert broken(Fault.NOT_JSON) == Breach(RejectionCode.INVALID_JSON, "not valid JSON")
    call = unread(CallKind.IDENTIFY, broken("words"))
    assert (call.kind, call.read, call.breaches) == (
        CallKind.IDENTIFY,
        False,
        (Breach(RejectionCode.INVALID_JSON, "words"),),
    )
