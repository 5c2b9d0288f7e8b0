"""Phrases that the commands and the admin API share."""

from __future__ import annotations

import pytest

from fsproxy.core.reasons import ReasonCode
from fsproxy.core.wording import counted, reason, sentence


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (5, "reason_code 5 (IP Filter)"),
        (-1, "reason_code -1 (Unspecified)"),
        (ReasonCode.OVER_QUOTA, "reason_code 3 (Over quota)"),
        (77, "reason_code 77"),
        ("5", "reason_code 5"),
        (None, "reason_code None"),
    ],
)
def test_a_known_code_is_named_with_its_text(code: object, words: str) -> None:
    assert reason(code) == words


@pytest.mark.parametrize(
    ("clause", "words"),
    [
        ("the org is disabled", "The org is disabled."),
        ("it was cut.", "It was cut."),
        ("is it there?", "Is it there?"),
        ("an IP address", "An IP address."),
        ("", "."),
    ],
)
def test_a_clause_becomes_a_sentence_with_one_full_stop(clause: str, words: str) -> None:
    assert sentence(clause) == words


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 pages, 0 entries"), (1, "1 page, 1 entry"), (2, "2 pages, 2 entries")]
)
def test_a_number_has_its_noun(count: int, words: str) -> None:
    assert f"{counted(count, 'page')}, {counted(count, 'entry', 'entries')}" == words
