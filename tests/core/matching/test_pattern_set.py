"""Sets of expressions on RE2, whatever memory they need."""

from __future__ import annotations

import pytest
import re2

from fsproxy.core.matching import pattern_set
from fsproxy.core.matching.pattern_set import PatternSet, reason


def test_a_set_finds_all_its_patterns_that_match_and_names_the_first() -> None:
    made = PatternSet.of(["b", "a", "c"])
    assert (made.first(b"abc"), sorted(made.all(b"ac"))) == (0, [1, 2])
    assert (made.first(b"x"), made.all(b"x")) == (None, [])
    assert PatternSet.of([]).all(b"abc") == []


def test_the_text_that_a_set_is_checked_with_is_no_pattern_of_it() -> None:
    assert PatternSet.of(["a"]).all(pattern_set._PROBE.encode()) == []


def test_a_set_too_large_for_the_engines_own_memory_still_finds_its_last_pattern() -> None:
    """RE2 sets that ran out of memory match nothing and report nothing: 8 MB are full at 5,000 such patterns."""
    patterns = [f"(?i:agent-number-{number}-of-many)" for number in range(20_000)]
    made = PatternSet.of(patterns)
    assert made.first(b"x Agent-Number-19999-of-many y") == 19_999
    assert made.first(b"x Agent-Number-20000-of-many y") is None


def test_a_set_gets_more_memory_until_it_works_and_fails_loudly_when_there_is_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    patterns = [f"agent-number-{number}" for number in range(1000)]
    monkeypatch.setattr(pattern_set, "_LEAST_MEMORY", 1 << 12)
    assert PatternSet.of(patterns).first(b"agent-number-999") == 9
    monkeypatch.setattr(pattern_set, "_MOST_MEMORY", 1 << 13)
    with pytest.raises(re2.error, match=r"too many patterns, or too large ones$"):
        PatternSet.of(patterns)


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("a", ""),
        ("(", "missing )"),
        ("(?=x)", "invalid perl operator"),
        (r"\pL{400}", ""),
        (r"\pL{480}", "pattern too large"),
        ("\ud800", "half a character"),
    ],
)
def test_what_is_wrong_with_an_expression_is_returned_and_not_logged(
    expression: str, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert reason(expression).startswith(said)
    assert bool(reason(expression)) is bool(said)
    assert capfd.readouterr().err == ""


def test_an_expression_that_is_none_is_an_error_and_not_an_endless_search_for_memory() -> None:
    with pytest.raises(re2.error):
        PatternSet.of(["("])
