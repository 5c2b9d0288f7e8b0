"""Who only looks gets the answers that would be given, and changes none of them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fsproxy.core.limits.operations import (
    Admit,
    Admitted,
    Answer,
    Claim,
    Claimed,
    Confirm,
    Mark,
    Move,
    NameKind,
    Operation,
    QuotaTerms,
    RateKind,
    Recall,
    Release,
    Spend,
    Spent,
)
from fsproxy.core.model import Instant
from fsproxy.core.settings import Window
from support.ledgers import DAY, START, MemoryStore, Store, fresh_org

SESSIONS, USERS, NAMES = ["", "s1", "s2", "s3"], ["", "u1", "u2"], ["a", "b", "c", "d" * 300]
WINDOWS = [
    (Window(1, 1.0),),
    (Window(2, 10.0), Window(3, 60.0)),
    (Window(0, 5.0),),
    (),
    (Window(1, 1.0, per_page=True), Window(2, 10.0, per_page=True)),
    (Window(2, 10.0, per_page=True), Window(3, 60.0)),
]


@st.composite
def steps(draw: st.DrawFn) -> list[tuple[str, Any]]:
    """Operations of one body or page each, without the org, and the seconds before them."""
    kinds = st.sampled_from(["admit", "admit", "confirm", "release", "mark", "claim", "spend", "spend", "recall"])
    return draw(
        st.lists(st.tuples(st.sampled_from([0.0, 0.5, 15.0, 70.0, 1900.0, 2 * DAY]), kinds, st.integers(0, 10**6)), max_size=14)
    )  # fmt: skip


def operations(org: str, kind: str, seed: int, place: int, now: float) -> tuple[Operation, ...]:
    session, user = SESSIONS[seed % 4], USERS[seed // 4 % 3]
    token = f"{org}-{seed // 12 % max(place, 1)}"  # a token names one page in all the world
    match kind:
        case "admit":
            terms = None
            if seed % 5:
                terms = QuotaTerms(f"c{seed % 2}", seed // 7 % 3, Instant(START + 90 * DAY), bool(seed // 11 % 2))
            return (
                Admit(
                    org,
                    f"{org}-{place}",
                    session,
                    user,
                    bool(seed // 13 % 2),
                    terms,
                    ["", user][seed // 17 % 2],
                    bool(seed // 19 % 2),
                ),
            )
        case "confirm":
            sessions, users = ((each,) if each else () for each in (session, user))
            return (Confirm(org, token, sessions, users, bool(seed % 3), users if seed % 2 else (), 0),)
        case "release":
            return (Release(org, token),)
        case "mark":
            return (Mark(org, session, user, seed % 2),) if session or user else ()
        case "recall":
            return (Recall(org, session, user),) if session or user else ()
        case "claim":
            which = list(NameKind)[seed % 2 : seed % 2 + 1 + seed // 5 % 2]
            few = tuple(dict.fromkeys(NAMES[(seed + n) % 4] for n in range(1 + seed // 3 % 3)))
            of_page = Claim(org, NameKind.PAGE_PROPERTY, few, seed // 9 % 4 - 1, 60.0, f"p{seed % 2}", seed // 7 % 3)
            return (*(Claim(org, each, few, seed // 9 % 4, 60.0) for each in which), of_page)
        case _:
            windows, page = WINDOWS[seed % 6], ["", "p1", "p2"][seed // 6 % 3]
            kind_of_call, own = list(RateKind)[seed // 3 % 3], page or ["", "p3"][seed // 5 % 2]
            return tuple(
                Spend(org, "s1", kind_of_call, Instant(now - n * 0.25), windows, page, n * 250.0, n + 1, own)
                for n in range(1 + seed // 18 % 4)
            )


def told(answers: tuple[Answer, ...]) -> list[object]:
    """What decides in the answers: how much of a quota is used, and who holds what, is told to those who ask."""
    found: list[object] = []
    for each in answers:
        match each:
            case Admitted():
                passes = not each.under_way and each.user_admitted, not each.under_way and each.share_admitted
                found.append((each.under_way, passes, each.over_quota))
            case Claimed():
                found.append((each.refused, each.known))
            case Spent():
                found.append(msgspec.structs.replace(each, remaining=0))
            case _:
                found.append(each)
    return found


@given(steps())
@example([(0.0, "claim", 238), (0.0, "claim", 63)])
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_look_has_the_answers_that_are_given_then_and_changes_none(store: Store, drawn: list[Any]) -> None:
    if isinstance(store, MemoryStore):
        store = MemoryStore()  # time goes on in a ledger, and each example begins at the same one
    looked_at, left_alone, now = fresh_org(), fresh_org(), START
    for place, (after, kind, seed) in enumerate(drawn):
        now += after
        asked = operations(looked_at, kind, seed, place, now)
        if not asked:
            continue
        looked = store.look(asked, Instant(now))
        assert told(store.look(asked, Instant(now))) == told(looked)
        given_then = told(store.ask(asked, Instant(now)))
        assert told(looked) == given_then
        assert told(store.ask(operations(left_alone, kind, seed, place, now), Instant(now))) == given_then


def test_what_is_asked_without_an_answer_is_not_done(store: Store) -> None:
    org, now = fresh_org(), Instant(START)
    page = Admit(org, "t", "s", "u", False, None)
    asked = (Mark(org, "s", "u"), Confirm(org, "t", ("s",), ("u",), True), Release(org, "t"), Move(org, "s", "p", now))
    assert store.look(asked, now) == (None,) * 4
    (answer,) = store.ask((page,), now)
    assert isinstance(answer, Admitted)
    assert not answer.under_way


@pytest.mark.parametrize("limit", [0, 3])
def test_a_quota_of_which_nothing_is_known_is_looked_at(store: Store, limit: int) -> None:
    terms = QuotaTerms("2026-11-01", limit, Instant(START + DAY), True)
    (answer,) = store.look((Admit(fresh_org(), "t", "s", "u", False, terms),), Instant(START))
    assert isinstance(answer, Admitted)
    assert answer.over_quota == (limit == 0)
