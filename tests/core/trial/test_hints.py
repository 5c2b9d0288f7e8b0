"""Hints say what the changed requests have in common, and nothing that all traffic has."""

from __future__ import annotations

import pytest

from fsproxy.core.trial.hints import ENOUGH, hint
from fsproxy.core.trial.tally import CAPTURED, Change, Side

EVERYTHING = {"org": {"o-1": 500, "o-2": 500}, "country": {"FR": 100, "US": 900}, "path": {"/shop/": 300, "/": 700}}


def change(pages: int = 100, **facts: dict[str, int]) -> Change:
    return Change(CAPTURED, Side(5, "r"), pages=pages, facts=dict(facts))


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


def test_uploads_count_as_pages_do() -> None:
    found = Change(CAPTURED, Side(5, "r"), pages=1, uploads=9, facts={"org": {"o-2": 9, "o-1": 1}})
    assert hint(found, EVERYTHING) == ""
    found.facts = {"org": {"o-2": 10}}
    assert hint(found, EVERYTHING) == "all of one org, o-2"
