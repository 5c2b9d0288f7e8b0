"""What a candidate would change is counted by kind, in memory that does not grow, and adds up over workers."""

from __future__ import annotations

import msgspec

from fsproxy.core.trial.tally import (
    CAPTURED,
    LONGEST_VALUE,
    MOST_EXAMPLES,
    MOST_KINDS,
    MOST_VALUES,
    OTHERS,
    Side,
    Tally,
    summed,
)

IP = Side(5, "ip:block:10.0.0.0/8")


def changes(tally: Tally) -> list[tuple[Side, Side, int, int, int]]:
    return [(each.old, each.new, each.pages, each.uploads, each.calls) for each in tally.changes.values()]


def test_pages_are_counted_by_both_sides_and_another_rule_with_the_same_code_is_no_change() -> None:
    tally = Tally()
    tally.note_page(CAPTURED, CAPTURED, "r-1", {})
    assert tally.changed == 0
    tally.note_page(CAPTURED, IP, "r-2", {})
    tally.note_page(CAPTURED, IP, "r-3", {})
    tally.note_page(IP, CAPTURED, "r-4", {})
    tally.note_page(IP, Side(5, "other"), "r-5", {})
    assert (tally.pages, tally.changed, tally.same_code) == (5, 3, 1)
    assert changes(tally) == [(CAPTURED, IP, 2, 0, 0), (IP, CAPTURED, 1, 0, 0)]
    assert [each.examples for each in tally.changes.values()] == [["r-2", "r-3"], ["r-4"]]


def test_uploads_and_calls_are_counted_beside_pages_of_the_same_kind() -> None:
    tally, late = Tally(), Side("RateLimited", "event Bought")
    tally.note_page(CAPTURED, IP, "r-1", {})
    tally.note_upload(CAPTURED, IP, "r-2", {})
    tally.note_upload(IP, Side(5, "other"), "r-3", {})
    tally.note_upload(CAPTURED, CAPTURED, "r-4", {})
    tally.note_calls(7, [(CAPTURED, late), (CAPTURED, late)], "r-4")
    assert (tally.uploads, tally.uploads_changed, tally.same_code) == (3, 1, 1)
    assert (tally.calls, tally.calls_changed) == (7, 2)
    assert changes(tally) == [(CAPTURED, IP, 1, 1, 0), (CAPTURED, late, 0, 0, 2)]
    assert [each.examples for each in tally.changes.values()] == [["r-1", "r-2"], ["r-4"]]


def test_no_number_of_kinds_examples_and_values_makes_it_grow() -> None:
    tally = Tally()
    for number in range(3 * MOST_KINDS):
        tally.note_calls(1, [(CAPTURED, Side("InvalidValue", f"event {number}"))], f"r-{number}")
        # Calls, whose names clients choose, leave room for pages.
        tally.note_page(CAPTURED, Side(5, f"rule-{number}"), f"r-{number}", {})
    assert len(tally.changes) == 2 * MOST_KINDS
    assert (tally.changed, tally.calls_changed, tally.beyond) == (3 * MOST_KINDS, 3 * MOST_KINDS, 4 * MOST_KINDS)
    for number in range(1000):
        tally.note_page(CAPTURED, Side(5, "rule-1"), f"s-{number}", {"org": f"o-{number}", "path": "x" * 500})
    change = next(each for each in tally.changes.values() if each.new.rule == "rule-1")
    assert len(change.examples) == MOST_EXAMPLES
    assert set(change.facts["path"]) == {"x" * LONGEST_VALUE}
    orgs = change.facts["org"]
    assert len(orgs) == MOST_VALUES + 2
    assert sum(orgs.values()) == 1000
    assert orgs[OTHERS] == 1000 - (MOST_VALUES + 1)
    assert sum(tally.facts["org"].values()) == 1000


def test_an_example_is_listed_once_and_the_first_ones_stay() -> None:
    tally = Tally()
    for number in (1, 1, 2, 3, 4, 5, 6):
        tally.note_page(CAPTURED, IP, f"r-{number}", {})
    (change,) = tally.changes.values()
    assert change.examples == ["r-1", "r-2", "r-3", "r-4", "r-5"]
    assert summed([tally, tally]).changes.popitem()[1].examples == change.examples


def test_the_tallies_of_workers_add_up_as_they_come_over_the_wire() -> None:
    one, other = Tally(), Tally()
    one.note_page(CAPTURED, IP, "r-1", {"org": "o-1"})
    other.note_page(CAPTURED, IP, "s-1", {"org": "o-1"})
    other.note_page(CAPTURED, Side(4, "d"), "s-2", {"org": "o-2"})
    other.note_upload(IP, Side(5, "other"), "s-3", {})
    other.note_calls(3, [(Side("InvalidValue", "event a b"), CAPTURED)], "s-3")
    late = Side("RateLimited", "event Bought")
    one.note_calls(2, [(CAPTURED, late), (CAPTURED, late)], "r-2")
    other.note_calls(4, [(CAPTURED, late)], "s-4")
    one.note_upload(CAPTURED, IP, "r-3", {})
    other.note_upload(CAPTURED, IP, "s-5", {})
    for tally in (one, other):
        tally.note_undecidable("the store did not answer")
        tally.beyond += 1
    sent = [msgspec.json.decode(msgspec.json.encode(each), type=Tally) for each in (one, other)]
    whole = summed(sent)
    assert (whole.pages, whole.changed, whole.uploads, whole.uploads_changed) == (3, 3, 3, 2)
    assert (whole.same_code, whole.calls, whole.calls_changed) == (1, 9, 4)
    assert (whole.undecidable, whole.beyond) == ({"the store did not answer": 2}, 2)
    assert changes(whole)[:2] == [(CAPTURED, IP, 2, 2, 0), (CAPTURED, late, 0, 0, 3)]
    assert next(iter(whole.changes.values())).examples == ["r-1", "r-3", "s-1", "s-5"]
    assert next(iter(whole.changes.values())).facts == {"org": {"o-1": 2}}
    assert whole.facts == {"org": {"o-1": 2, "o-2": 1}}
    assert summed([]) == Tally()
