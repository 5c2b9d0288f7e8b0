"""The problem document, member by member (RFC 9457, rules.md 3)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fsproxy.core.client_api.outcome import CallOutcome, CallsOutcome
from fsproxy.core.client_api.problems import problem_document
from fsproxy.core.model import CallKind, Rejection
from fsproxy.core.reasons import RejectionCode

OWN = Rejection(RejectionCode.INVALID_JSON, CallKind.SET_USER_VARS, None, None, "not valid JSON")
OF_PROPERTY = Rejection(RejectionCode.INVALID_VALUE, CallKind.EVENT, "E", "a.b_int", "not an integer of 64 bits")


def document(*rejections: Rejection, status: int | None = 400, server: bool = False) -> dict[str, Any]:
    outcome = CallsOutcome(calls=(CallOutcome(rejections=rejections),), status=status, for_server=server)
    found = json.loads(problem_document(outcome))
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("status", "said", "title"),
    [
        (400, 400, "Client API call rejected"),
        (413, 413, "Client API call too large"),
        (429, 429, "Too many client API calls"),
        (None, 400, "Client API call rejected"),
    ],
)
def test_each_status_has_its_title(status: int | None, said: int, title: str) -> None:
    found = document(OWN, status=status)
    assert (found["type"], found["status"], found["title"]) == ("about:blank", said, title)


def test_rejections_are_counted_in_words() -> None:
    assert document(OWN)["detail"] == "1 rejection"
    assert document(OWN, OF_PROPERTY)["detail"] == "2 rejections"
    assert document()["detail"] == "0 rejections"


def test_a_rejection_names_call_and_property_and_a_call_without_a_name_its_kind() -> None:
    assert document(OWN, OF_PROPERTY)["errors"] == [
        {"code": "InvalidJson", "call": "set_user_vars", "property": None, "detail": "not valid JSON"},
        {"code": "InvalidValue", "call": "E", "property": "a.b_int", "detail": "not an integer of 64 bits"},
    ]


def test_of_the_calls_beyond_the_most_only_the_first_is_listed() -> None:
    surplus = (Rejection(RejectionCode.RATE_LIMITED, CallKind.EVENT, None, None, "more than 9 calls in one body"),) * 3
    outcome = CallsOutcome((CallOutcome(rejections=(OWN,)),), surplus, surplus_is_cut=True, status=400)
    found = json.loads(problem_document(outcome))
    assert (found["detail"], [each["code"] for each in found["errors"]]) == (
        "4 rejections",
        ["InvalidJson", "RateLimited"],
    )


def test_callers_of_the_server_api_also_get_the_vendors_members_of_the_first_rejection() -> None:
    found = document(OF_PROPERTY, OWN, server=True)
    assert (found["message"], found["code"]) == ("a.b_int: not an integer of 64 bits", "InvalidValue")
    assert document(OWN, server=True)["message"] == "not valid JSON"
    assert not {"message", "code"} & document(OWN).keys()
    assert not {"message", "code"} & document(server=True).keys()
