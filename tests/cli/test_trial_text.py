"""What a trial has found, in words: every line of it, and what does not fit a terminal."""

from __future__ import annotations

from typing import Any

from fsproxy.cli.trial_text import MOST_ROWS, lines

NOTHING: dict[str, Any] = {
    "state": "ended", "name": "new.yaml", "since": 1.0, "for": 600.0, "left": None, "share": 0.1,
    "ended_because": "its time is over", "restart_needed_for": [], "pages": 0, "changed": 0, "uploads": 0,
    "uploads_changed": 0, "calls": 0, "calls_changed": 0, "same_code": 0, "undecidable": 0, "undecidable_because": {},
    "changes": [], "beyond": 0,
}  # fmt: skip
HINT = "all behind one peer, 10.0.3.7: is this your own load balancer?"


def change(old: Any, new: Any, *, rules: tuple[str, str] = ("", ""), hint: str = "", **counts: int) -> dict[str, Any]:
    sides = {"old": {"code": old, "rule": rules[0]}, "new": {"code": new, "rule": rules[1]}}
    return {"pages": 0, "uploads": 0, "calls": 0, "examples": [], "hint": hint, **sides, **counts}


def test_nothing_has_come_yet() -> None:
    running = {**NOTHING, "state": "running", "left": 372.4}
    assert list(lines(running)) == ["new.yaml, 10% of the traffic: 3:47 of 10:00", "0 pages: none was judged"]


def test_a_small_share_is_not_told_as_none() -> None:
    assert next(lines({**NOTHING, "share": 0.004})) == "new.yaml, 0.4% of the traffic: its time is over"


def test_what_changes_most_comes_first_and_each_sort_by_itself() -> None:
    found = {
        **NOTHING,
        "pages": 31204,
        "changed": 412,
        "uploads": 9,
        "uploads_changed": 2,
        "calls": 1,
        "calls_changed": 1,
        "changes": [
            change(None, 4, rules=("", "domain:otherwise"), pages=14, uploads=2),
            change(None, 5, rules=("", "ip:block:10.0.0.0/8"), pages=398, hint=HINT) | {"examples": ["r-1", "r-2"]},
            change("RateLimited", None, rules=("event Bought", ""), calls=1),
            change(3, 99, rules=("a", "b"), pages=1),
        ],
        "beyond": 3,
        "undecidable_because": {"the store did not answer": 1200},
        "restart_needed_for": ["listen.port", "workers"],
    }
    assert list(lines(found)) == [
        "new.yaml, 10% of the traffic: its time is over",
        "31,204 pages: 412 (1.3 %) change",
        f"      398 captured -> 5 IP Filter       ip:block:10.0.0.0/8   {HINT}",
        "            for example r-1 r-2",
        "       14 captured -> 4 Domain Filter   domain:otherwise",
        "        1 3 Over quota -> 99            a -> b",
        "9 uploads: 2 (22.2 %) change",
        "        2 forwarded -> 4 Domain Filter   domain:otherwise",
        "1 API call: 1 (100.0 %) change",
        "        1 RateLimited -> accepted   event Bought",
        "3 more changes are of further kinds, which are counted together",
        "1,200 undecidable: the store did not answer",
        "Not tried, as only a restart changes them: listen.port, workers",
    ]


def test_a_hint_that_is_too_wide_has_its_own_line() -> None:
    found = {**NOTHING, "pages": 1, "changed": 1, "changes": [change(None, 5, rules=("", "r"), hint=HINT, pages=1)]}
    assert list(lines(found, 80))[2:] == ["        1 captured -> 5 IP Filter   r", f"            {HINT}"]
    assert list(lines(found, 200))[2:] == [f"        1 captured -> 5 IP Filter   r   {HINT}"]


def test_only_so_many_rows_are_shown() -> None:
    rows = [change(None, 5, rules=("", f"r-{number}"), pages=1) for number in range(MOST_ROWS + 7)]
    found = {**NOTHING, "pages": 99, "changed": len(rows), "changes": rows}
    shown = list(lines(found))
    assert len(shown) == 2 + MOST_ROWS + 1
    assert shown[-1].strip() == "7 more kinds of change: --json has them"
