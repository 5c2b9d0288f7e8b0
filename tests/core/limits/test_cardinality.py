"""From the names of a request's calls to claims, and from the answers to refused names."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fsproxy.core.client_api.inspection import inspect
from fsproxy.core.limits.cardinality import (
    NO_NAMES,
    event_of,
    event_property_claims,
    first_claims,
    refused_names,
)
from fsproxy.core.limits.operations import UNCOUNTED, Claim, Claimed, NameKind, Spent
from fsproxy.core.model import Mode, Route
from fsproxy.core.name_digest import name_digest
from fsproxy.core.settings import CardinalitySettings, ClientApiSettings

SEED = CardinalitySettings()
EVENT_NAME, EVENT_PROPERTY, USER_PROPERTY = NameKind.EVENT_NAME, NameKind.EVENT_PROPERTY, NameKind.USER_PROPERTY
PAGE_PROPERTY, PAGE_NAME = NameKind.PAGE_PROPERTY, NameKind.PAGE_NAME
LIMITED = replace(SEED, page_properties=500, page_properties_per_page=50, page_names=1_000)
NAMES = {
    EVENT_NAME: ("Bought", "Left"),
    EVENT_PROPERTY: ("Bought/price_real", "Bought/items_strs", "Left/price_real"),
    USER_PROPERTY: ("plan_str", "cart.total_real"),
}


def test_event_names_and_user_properties_are_claimed_first_with_the_seeds_limits() -> None:
    assert first_claims("o", "", NAMES, SEED) == (
        Claim("o", EVENT_NAME, ("Bought", "Left"), 1_000, 30 * 86_400.0),
        Claim("o", USER_PROPERTY, ("plan_str", "cart.total_real"), 500, 30 * 86_400.0),
    )


def test_event_properties_are_claimed_next() -> None:
    assert event_property_claims("o", NAMES, NO_NAMES, SEED) == (
        Claim("o", EVENT_PROPERTY, NAMES[EVENT_PROPERTY], 5_000, 30 * 86_400.0),
    )


def test_a_refused_event_uses_up_no_property_names() -> None:
    (claim,) = event_property_claims("o", NAMES, {EVENT_NAME: frozenset({"Bought"})}, SEED)
    assert claim.names == ("Left/price_real",)
    assert event_property_claims("o", NAMES, {EVENT_NAME: frozenset({"Bought", "Left"})}, SEED) == ()


@pytest.mark.parametrize("event", ["Bought", "a/b", "/", "x/y_str"])
def test_an_events_name_may_hold_anything(event: str) -> None:
    assert event_of(f"{event}/cart.price_real") == event


PAGE_NAMES = {PAGE_PROPERTY: ("a_str", "b_int"), PAGE_NAME: (name_digest("Home"),)}


@pytest.mark.parametrize(
    ("settings", "page", "wanted"),
    [
        (SEED, "p", []),
        (LIMITED, "p", [("page_property", 500, "p", 50), ("page_name", 1_000, "", 0)]),
        (LIMITED, "", [("page_property", 500, "", 0), ("page_name", 1_000, "", 0)]),
        (replace(SEED, page_properties_per_page=5), "p", [("page_property", UNCOUNTED, "p", 5)]),
        (replace(SEED, page_properties_per_page=5), "", []),
        (replace(SEED, page_properties=7), "p", [("page_property", 7, "", 0)]),
        (replace(SEED, page_names=0), "p", [("page_name", 0, "", 0)]),
        (replace(LIMITED, mode=Mode.OFF), "p", []),
    ],
)
def test_what_a_page_sets_is_claimed_as_far_as_it_is_limited(
    settings: CardinalitySettings, page: str, wanted: list[tuple[str, int, str, int]]
) -> None:
    claims = first_claims("o", page, PAGE_NAMES, settings)
    assert [(each.kind.value, each.limit, each.page, each.page_limit) for each in claims] == wanted
    assert settings.counts_pages is (settings != SEED)


@pytest.mark.parametrize("kind", [PAGE_PROPERTY, PAGE_NAME])
def test_a_page_may_set_properties_alone_or_its_name_alone(kind: NameKind) -> None:
    claims = first_claims("o", "p", {kind: PAGE_NAMES[kind]}, LIMITED)
    assert [(each.kind, each.names) for each in claims] == [(kind, PAGE_NAMES[kind])]


def test_no_names_ask_nothing() -> None:
    assert first_claims("o", "", NO_NAMES, SEED) == ()
    assert first_claims("o", "", {EVENT_PROPERTY: ("Bought/price_real",)}, SEED) == ()
    assert event_property_claims("o", {EVENT_NAME: ("Bought",)}, NO_NAMES, SEED) == ()


def test_nothing_is_claimed_where_cardinality_is_off() -> None:
    settings = replace(SEED, mode=Mode.OFF)
    assert first_claims("o", "", NAMES, settings) == ()
    assert event_property_claims("o", NAMES, NO_NAMES, settings) == ()


def test_in_shadow_the_same_is_claimed() -> None:
    settings = replace(SEED, mode=Mode.SHADOW)
    assert first_claims("o", "", NAMES, settings) == first_claims("o", "", NAMES, SEED)
    assert event_property_claims("o", NAMES, NO_NAMES, settings) == event_property_claims("o", NAMES, NO_NAMES, SEED)


def test_answers_become_refused_names_over_both_rounds() -> None:
    claims = first_claims("o", "", NAMES, SEED)
    first = refused_names(claims, (Claimed(frozenset({"Left"}), 1_000), Claimed(frozenset({"plan_str"}), 500)))
    assert first == {EVENT_NAME: {"Left"}, USER_PROPERTY: {"plan_str"}}
    more = event_property_claims("o", NAMES, first, SEED)
    both = refused_names(more, (Claimed(frozenset({"Bought/price_real"}), 5_000), Spent(passed=True)), first)
    assert both == {EVENT_NAME: {"Left"}, USER_PROPERTY: {"plan_str"}, EVENT_PROPERTY: {"Bought/price_real"}}


@pytest.mark.parametrize("answer", [Claimed(frozenset(), 3), None])
def test_an_answer_that_refuses_nothing_changes_nothing(answer: Claimed | None) -> None:
    assert refused_names(first_claims("o", "", NAMES, SEED), (answer,)) == NO_NAMES


def test_the_names_that_an_inspection_gives_are_the_names_that_are_claimed() -> None:
    body = b'{"Seq":1,"When":0,"Evts":[{"Kind":8197,"Args":["a/b","{\\"price_real\\":9.5}"],"When":5}]}'
    names = inspect(ClientApiSettings(), Route.BUNDLE, body).names([0])
    (event,) = first_claims("o", "", names, SEED)
    (prop,) = event_property_claims("o", names, NO_NAMES, SEED)
    assert event.names == ("a/b",)
    assert [event_of(each) for each in prop.names] == ["a/b"]
    assert event_property_claims("o", names, {EVENT_NAME: {"a/b"}}, SEED) == ()
