"""From the names of a request's calls to claims, and from the answers to refused names."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsproxy.core.limits.cardinality import (
    NOTHING_REFUSED,
    CallNames,
    Refused,
    event_property,
    event_property_claims,
    first_claims,
    refused_by,
)
from fsproxy.core.limits.operations import Claim, Claimed, NameKind, Spent
from fsproxy.core.model import CallKind, Mode
from fsproxy.core.settings import CardinalitySettings

SEED = CardinalitySettings()
BOUGHT = CallNames(CallKind.EVENT, "Bought", ("price_real", "items_strs"))
LEFT = CallNames(CallKind.EVENT, "Left", ("price_real",))
IDENTIFY = CallNames(CallKind.IDENTIFY, None, ("plan_str", "age_int"))
SET_USER_VARS = CallNames(CallKind.SET_USER_VARS, None, ("plan_str", "cart.total_real"))


def test_event_names_and_user_properties_are_claimed_first_one_claim_a_kind_each_name_once() -> None:
    assert first_claims("o", [BOUGHT, IDENTIFY, BOUGHT, SET_USER_VARS, LEFT], SEED) == (
        Claim("o", NameKind.EVENT_NAME, ("Bought", "Left"), 1_000, SEED.retention),
        Claim("o", NameKind.USER_PROPERTY, ("plan_str", "age_int", "cart.total_real"), 500, SEED.retention),
    )


def test_identify_and_set_user_vars_share_names() -> None:
    (claim,) = first_claims("o", [IDENTIFY, SET_USER_VARS], SEED)
    assert claim.names.count("plan_str") == 1


def test_the_same_property_of_two_events_is_two_names() -> None:
    (claim,) = event_property_claims("o", [BOUGHT, LEFT, LEFT], NOTHING_REFUSED, SEED)
    assert claim.kind is NameKind.EVENT_PROPERTY
    assert claim.limit == 5_000
    assert claim.names == ("price_real@Bought", "items_strs@Bought", "price_real@Left")


pairs = st.tuples(st.text("@a._", max_size=4), st.from_regex(r"[a-c][a-c_.]{0,3}", fullmatch=True))


@given(pairs, pairs)
def test_no_two_pairs_of_event_and_property_share_a_name(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (event_property(*one) == event_property(*other)) is (one == other)


def test_a_refused_event_uses_up_no_property_names() -> None:
    (claim,) = event_property_claims("o", [BOUGHT, LEFT], Refused(event_names=frozenset({"Bought"})), SEED)
    assert claim.names == ("price_real@Left",)


def test_page_and_document_variables_have_no_limit() -> None:
    calls = [CallNames(CallKind.PAGE, None, ("a_str",)), CallNames(CallKind.DOCUMENT, None, ("b_str",))]
    assert first_claims("o", calls, SEED) == ()
    assert event_property_claims("o", calls, NOTHING_REFUSED, SEED) == ()


def test_calls_without_properties_claim_none() -> None:
    assert first_claims("o", [CallNames(CallKind.IDENTIFY, None, ())], SEED) == ()
    assert event_property_claims("o", [CallNames(CallKind.EVENT, "Bought", ())], NOTHING_REFUSED, SEED) == ()


def test_nothing_is_claimed_where_cardinality_is_off() -> None:
    off = replace(SEED, mode=Mode.OFF)
    assert first_claims("o", [BOUGHT, IDENTIFY], off) == ()
    assert event_property_claims("o", [BOUGHT], NOTHING_REFUSED, off) == ()


def test_in_shadow_claims_say_so() -> None:
    shadow = replace(SEED, mode=Mode.SHADOW)
    assert [claim.enforced for claim in first_claims("o", [BOUGHT, IDENTIFY], shadow)] == [False, False]


def test_answers_become_refused_names_over_both_rounds() -> None:
    claims = first_claims("o", [BOUGHT, LEFT, IDENTIFY], SEED)
    answers = (Claimed(frozenset({"Left"}), 1_000), Claimed(frozenset({"age_int"}), 500))
    first = refused_by(claims, answers)
    assert first.event("Left")
    assert not first.event("Bought")
    assert first.property(CallKind.IDENTIFY, None, "age_int")
    assert first.property(CallKind.SET_USER_VARS, None, "age_int")
    assert not first.property(CallKind.IDENTIFY, None, "plan_str")

    more = event_property_claims("o", [BOUGHT, LEFT], first, SEED)
    both = refused_by(more, (Claimed(frozenset({"price_real@Bought"}), 5_000), Spent(passed=True)), first)
    assert both.property(CallKind.EVENT, "Bought", "price_real")
    assert not both.property(CallKind.EVENT, "Bought", "items_strs")
    assert not both.property(CallKind.IDENTIFY, None, "price_real")
    assert both.event("Left")


@pytest.mark.parametrize("answer", [Claimed(frozenset(), 3), None])
def test_an_answer_that_refuses_nothing_changes_nothing(answer: Claimed | None) -> None:
    claims = first_claims("o", [BOUGHT], SEED)
    assert refused_by(claims, (answer,)) is NOTHING_REFUSED
