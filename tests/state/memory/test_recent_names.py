"""The names that were new and refused last: bounded in number, in length and in orgs."""

from __future__ import annotations

from fsproxy.core.limits.operations import Claim, NameKind
from fsproxy.core.model import Instant
from fsproxy.state.memory.recent_names import LONGEST_NAME, MOST_NAMES, RecentNames

EVENT, USER = NameKind.EVENT_NAME, NameKind.USER_PROPERTY


def claim(org: str = "o", kind: NameKind = EVENT) -> Claim:
    return Claim(org, kind, (), 10, 60.0)


def test_new_and_refused_names_are_kept_apart_by_org_and_kind_with_their_times() -> None:
    recent = RecentNames()
    recent.record(claim(), ["a"], ["b"], Instant(1.0))
    recent.record(claim(kind=USER), ["c"], (), Instant(2.0))
    recent.record(claim("p"), [], ["d"], Instant(3.0))
    assert recent.newest("o", EVENT) == {"a": 1.0}
    assert recent.newest_refused("o", EVENT) == {"b": 1.0}
    assert (recent.newest("o", USER), recent.newest_refused("o", USER)) == ({"c": 2.0}, {})
    assert recent.newest_refused("p", EVENT) == {"d": 3.0}
    assert recent.newest("unknown", EVENT) == {}


def test_a_name_that_is_refused_again_is_the_last_and_stands_once() -> None:
    recent = RecentNames()
    for at, name in enumerate(["a", "b", "a"]):
        recent.record(claim(), [], [name], Instant(float(at)))
    assert list(recent.newest_refused("o", EVENT).items()) == [("b", 1.0), ("a", 2.0)]


def test_the_last_names_are_kept_cut_at_their_length() -> None:
    recent = RecentNames()
    names = [f"{number}-" + "x" * 1000 for number in range(3 * MOST_NAMES)]
    recent.record(claim(), names, names, Instant(1.0))
    kept = list(recent.newest("o", EVENT))
    assert kept == [name[:LONGEST_NAME] for name in names[-MOST_NAMES:]]
    assert len(recent.newest_refused("o", EVENT)) == MOST_NAMES


def test_the_org_that_was_active_longest_ago_goes_first() -> None:
    recent = RecentNames(2)
    for org in ("a", "b", "a", "c"):
        recent.record(claim(org), ["x"], (), Instant(1.0))
    assert recent.orgs(9) == ["c", "a"]
    assert recent.orgs(1) == ["c"]
    assert recent.newest("b", EVENT) == {}


def test_an_org_that_only_asked_is_among_the_active() -> None:
    recent = RecentNames(2)
    recent.record(claim("a"), ["x"], (), Instant(1.0))
    for org in ("b", "a", "b"):
        recent.touch(org)
    assert recent.orgs(9) == ["b", "a"]
    assert recent.newest("a", EVENT) == {"x": 1.0}, "seeing it again forgets nothing"
