"""Hints say what the changed requests have in common, and nothing that all traffic has."""

from __future__ import annotations

import pytest

from fsproxy.core.trial.hints import ENOUGH, hint
from fsproxy.core.trial.tally import CAPTURED, VISITOR, Change, Side, Tally, summed

EVERYTHING = {"org": {"o-1": 500, "o-2": 500}, "country": {"FR": 100, "US": 900}, "path": {"/shop/": 300, "/": 700}}


PATH = {"path /shop/": ["v1", "v2", "v3", "v4"]}
WHOLE = "203.0.113.7"


def change(pages: int = 100, **facts: dict[str, int]) -> Change:
    return Change(CAPTURED, Side(5, "r"), pages=pages, facts=dict(facts), visitors=PATH)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (change(peer={"10.0.3.7": 100}), "all behind one peer, 10.0.3.7: is this your own load balancer?"),
        (change(peer={"10.0.3.7": 97, "10.0.3.8": 3}), "97 % behind one peer, 10.0.3.7: is this your own load balancer?"),
        (change(peer={"10.0.3.7": 94, "10.0.3.8": 6}), ""),
        (change(peer={"": 100}, address={"192.0.2.0/24": 100}), "all from 192.0.2.0/24"),
        (change(user={"a": 60, "b": 40}), "all of 2 visitors"),
        (change(user={"a": 100}), "all of 1 visitor"),
        (change(user={"a": 60, "b": 20, "c": 10, "d": 10}), ""),
        (change(user={"a": 60, "": 40}), ""),
        (change(9, user={"a": 9}), ""),
        (change(org={"o-2": 100}), "all of one org, o-2"),
        (change(country={"FR": 99, "US": 1}), "99 % from one country, FR"),
        (change(country={"US": 100}), ""),
        (change(path={"/shop/": 100}), "all under one path, /shop/"),
        (change(org={"o-1": 50, "o-2": 50}, path={"/shop/": 100}), "all under one path, /shop/"),
        (change(), ""),
        (change(ENOUGH - 1, org={"o-2": ENOUGH - 1}), ""),
        (change(ENOUGH, org={"o-2": ENOUGH}), "all of one org, o-2"),
    ],
)  # fmt: skip
def test_a_hint(found: Change, said: str) -> None:
    assert hint(found, EVERYTHING) == said


@pytest.mark.parametrize(
    ("visitors", "said"),
    [(4, f"all from {WHOLE}"), (3, ""), (1, ""), (0, "")],
)
def test_a_whole_address_is_said_only_of_more_than_three_visitors(visitors: int, said: str) -> None:
    found = change(address={WHOLE: 100})
    found.visitors = {f"address {WHOLE}": [f"v{each}" for each in range(visitors)]}
    assert hint(found, EVERYTHING) == said


@pytest.mark.parametrize("visitors", range(4))
def test_a_path_of_three_visitors_or_fewer_is_not_said(visitors: int) -> None:
    found = change(path={"/jane@doe.com/": 9}, pages=9)
    found.visitors = {"path /jane@doe.com/": [f"v{each}" for each in range(visitors)]}
    assert hint(found, EVERYTHING) == ""


def test_visitors_of_several_workers_are_told_apart_and_bounded() -> None:
    def tally(*visitors: str) -> Tally:
        made = Tally()
        for number, each in enumerate(visitors):
            made.note_page(CAPTURED, Side(5, "r"), f"r-{number}", {"path": "/shop/", "visitor": each})
        return made

    def said(*tallies: Tally) -> str:
        (found,) = summed(tallies).changes.values()
        assert all(len(each) <= 4 for each in found.visitors.values())
        return hint(found, EVERYTHING)

    one, other = tally("a", "b", "c", "a", ""), tally("a", "b", "c", "")
    assert said(one, other) == ""
    assert said(one, tally("d")) == "all under one path, /shop/"
    assert said(tally(*(f"v{each}" for each in range(50)))) == "all under one path, /shop/"
    assert VISITOR not in one.facts


def test_uploads_count_as_pages_do() -> None:
    found = Change(CAPTURED, Side(5, "r"), pages=1, uploads=9, facts={"org": {"o-2": 9, "o-1": 1}})
    assert hint(found, EVERYTHING) == ""
    found.facts = {"org": {"o-2": 10}}
    assert hint(found, EVERYTHING) == "all of one org, o-2"
