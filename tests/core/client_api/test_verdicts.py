"""What the limits decided about a call, as its repeats take it over."""

from __future__ import annotations

import pytest

from fsproxy.core.client_api.inspected import InspectedCall
from fsproxy.core.client_api.inspection import inspect
from fsproxy.core.client_api.verdicts import MOST_REMEMBERED, PASSED, LimitVerdict, refused_of, verdict_of
from fsproxy.core.limits.operations import NameKind
from fsproxy.core.model import Route
from fsproxy.core.settings import CardinalitySettings, ClientApiSettings
from support.call_samples import bundle, first, user

SETTINGS = ClientApiSettings(cardinality=CardinalitySettings(page_names=9, page_properties=9))
EVENT_NAME, EVENT_PROPERTY, USER_PROPERTY = NameKind.EVENT_NAME, NameKind.EVENT_PROPERTY, NameKind.USER_PROPERTY
PAGE_PROPERTY, PAGE_NAME = NameKind.PAGE_PROPERTY, NameKind.PAGE_NAME


def call_of(event: str) -> InspectedCall:
    return inspect(SETTINGS, Route.BUNDLE, bundle(event)).calls[0]


EVENT, USER = call_of(first("E", {"a_str": "x", "b_str": "x"})), call_of(user({"a_str": "x"}))
PAGE = call_of(first("page", {"a_str": "x", "pageName": "Home"}, 8193))
DOCUMENT, REJECTED = call_of(first("document", {"a_str": "x"}, 8193)), call_of(first("", {"a_str": "x"}))
REFUSED = {
    EVENT_NAME: frozenset({"E", "F", ""}),
    EVENT_PROPERTY: frozenset({"E/a_str", "F/b_str", "/a_str"}),
    USER_PROPERTY: frozenset({"a_str", "b_str"}),
    PAGE_PROPERTY: frozenset({"a_str", "z_str"}),
    PAGE_NAME: frozenset({PAGE.validated.page_name, "other"}),
}


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (EVENT, {EVENT_PROPERTY: {"E/a_str"}, EVENT_NAME: {"E"}}),
        (USER, {USER_PROPERTY: {"a_str"}}),
        (PAGE, {PAGE_PROPERTY: {"a_str"}, PAGE_NAME: {PAGE.validated.page_name}}),
        (DOCUMENT, {}),
        (REJECTED, {}),
    ],
)
def test_a_call_has_those_of_its_bodys_refused_names_that_are_its_own(
    call: InspectedCall, names: dict[NameKind, set[str]]
) -> None:
    assert refused_of(call, REFUSED) == names
    assert refused_of(call, REFUSED, is_alone=True) == (REFUSED if names else {})
    assert refused_of(call, {EVENT_NAME: frozenset({"F"}), PAGE_NAME: frozenset({"other"})}) == {}


def test_the_name_of_an_event_is_no_name_of_another_call() -> None:
    assert refused_of(USER, {EVENT_NAME: frozenset({"None", "a_str"})}) == {}


@pytest.mark.parametrize("limited", [False, True])
def test_a_verdict_gives_back_the_names_by_kind(*, limited: bool) -> None:
    refused = {EVENT_NAME: {"E"}, EVENT_PROPERTY: {"E/b", "E/a"}}
    verdict = verdict_of(refused, limited=limited)
    assert verdict == LimitVerdict(limited, ((EVENT_NAME, "E"), (EVENT_PROPERTY, "E/a"), (EVENT_PROPERTY, "E/b")))
    assert verdict.by_kind() == refused
    assert not verdict.names_anew


def test_a_call_that_no_limit_met_has_an_empty_verdict() -> None:
    assert PASSED == verdict_of({}, limited=False) == LimitVerdict(rate_limited=False, refused=(), names_anew=False)
    assert PASSED.by_kind() == {}


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        ({"n" * 256}, True),
        ({"n" * 257}, False),
        ({"n" * 128, "m" * 128}, True),
        ({"n" * 128, "m" * 129}, False),
        ({chr(0x100 + number) for number in range(256)}, True),
        ({chr(0x100 + number) for number in range(257)}, False),
        ({"", *(chr(0x100 + number) for number in range(256))}, False),
    ],
)
@pytest.mark.parametrize("limited", [False, True])
def test_up_to_256_characters_of_names_are_remembered(names: set[str], *, kept: bool, limited: bool) -> None:
    assert MOST_REMEMBERED == 256
    verdict = verdict_of({USER_PROPERTY: names}, limited=limited)
    assert (verdict.rate_limited, verdict.names_anew) == (limited, not kept)
    assert verdict.by_kind() == ({USER_PROPERTY: names} if kept else {})
