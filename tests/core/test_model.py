"""The nouns' few verbs."""

from __future__ import annotations

import pytest

from fsproxy.core.model import CallKind, FilterName, Hit, Mode, Route, Rule, SessionFacts
from fsproxy.core.reasons import ReasonCode


@pytest.mark.parametrize(
    ("own", "cap", "result"),
    [
        (Mode.ENFORCE, Mode.ENFORCE, Mode.ENFORCE),
        (Mode.ENFORCE, Mode.SHADOW, Mode.SHADOW),
        (Mode.ENFORCE, Mode.OFF, Mode.OFF),
        (Mode.SHADOW, Mode.ENFORCE, Mode.SHADOW),
        (Mode.SHADOW, Mode.SHADOW, Mode.SHADOW),
        (Mode.SHADOW, Mode.OFF, Mode.OFF),
        (Mode.OFF, Mode.ENFORCE, Mode.OFF),
        (Mode.OFF, Mode.SHADOW, Mode.OFF),
        (Mode.OFF, Mode.OFF, Mode.OFF),
    ],
)
def test_a_cap_only_ever_weakens(own: Mode, cap: Mode, result: Mode) -> None:
    assert own.capped(cap) is result


def test_direct_routes_are_the_three_without_a_recorder() -> None:
    direct = {Route.DIRECT_EVENT, Route.DIRECT_IDENTIFY, Route.DIRECT_SET_USER_VARS}
    assert {route for route in Route if route.is_direct} == direct


def test_only_recorders_uploads_are_retried_on_502_alone() -> None:
    assert {route for route in Route if route.retries_only_502} == {Route.BUNDLE, Route.EVENT}


def test_user_kinds_are_identify_and_set_user_vars() -> None:
    assert {kind for kind in CallKind if kind.is_user} == {CallKind.IDENTIFY, CallKind.SET_USER_VARS}


def test_what_is_made_once_a_request_cannot_be_changed() -> None:
    facts = SessionFacts(route=Route.PAGE)
    with pytest.raises(AttributeError):
        facts.org = "o-1"  # type: ignore[misc]
    hit = Hit(FilterName.IP, ReasonCode.IP_FILTER, Rule("ip:block:10.0.0.0/8"))
    with pytest.raises(AttributeError):
        hit.code = ReasonCode.GEOGRAPHY  # type: ignore[misc]


def test_cookies_of_facts_without_any_are_shared_and_read_only() -> None:
    cookies = SessionFacts(route=Route.PAGE).cookies
    assert not cookies
    with pytest.raises(TypeError):
        cookies["a"] = "b"  # type: ignore[index]
