"""How a configuration's rules are compiled, and what is made of a match."""

from __future__ import annotations

import hmac

import pytest

from fsproxy.core.redact.redaction import HASH_LENGTH, Found, Match, merged, utf16_length
from support.redacting import KEY, redaction

ANN = "ann@example.com"
ALL = frozenset({0, 1, 2})


def test_a_hash_is_keyed_with_the_configured_key_and_has_32_digits() -> None:
    expected = hmac.new(KEY.encode(), "größe\ud83d".encode("utf-8", "surrogatepass"), "sha256").hexdigest()
    assert redaction({"hash": "email"}).hashed("größe\ud83d") == expected[:32]
    assert HASH_LENGTH == 32


@pytest.mark.parametrize("action", ["mask", "exclude", "hash"])
def test_each_action_is_done_to_what_was_found_alone(action: str) -> None:
    rules, found = redaction({action: "email"}, {action: "regex:x😀x"}), Found()
    text = f"<{ANN}>, x😀x, x😀x!"
    hashed = rules.hashed("x😀x")
    assert (
        rules.redacted(text, ALL, found)
        == {
            "mask": f"<{'*' * len(ANN)}>, ****, ****!",
            "exclude": "<>, , !",
            "hash": f"<{rules.hashed(ANN)}>, {hashed}, {hashed}!",
        }[action]
    )
    assert found == {0: 1, 1: 2}
    assert rules.redacted(text, frozenset(), found) is text
    assert rules.redacted("nothing", ALL, found) == "nothing"


@pytest.mark.parametrize(
    ("on_error", "modes", "closed"),
    [
        ("drop", ["enforce"], True),
        ("drop", ["shadow", "enforce"], True),
        ("drop", ["shadow"], False),
        ("forward", ["enforce"], False),
    ],
)
def test_what_cannot_be_read_is_lost_only_where_a_rule_is_enforced(
    on_error: str, modes: list[str], *, closed: bool
) -> None:
    rules = redaction(*({"mask": "email", "mode": each} for each in modes), on_error=on_error)
    assert rules.fails_closed is closed


def test_how_often_each_rule_was_found_is_listed_in_the_order_of_the_rules() -> None:
    rules = redaction(
        {"mask": "email", "id": "b"}, {"mask": "ip", "mode": "shadow"}, {"mask": "card", "id": "a"}, {"hash": "ip", "id": "b"}
    )  # fmt: skip
    enforced, shadow = rules.counts({3: 5, 2: 1, 0: 2, 1: 7})
    assert list(enforced.items()) == [("b", 7), ("a", 1)]
    assert shadow == {"redact:mask:ip": 7}


@pytest.mark.parametrize(
    ("matches", "apart"),
    [
        ([], []),
        ([(0, 2, 1), (2, 4, 0)], [(0, 2, 1), (2, 4, 0)]),
        ([(2, 4, 0), (0, 2, 1)], [(0, 2, 1), (2, 4, 0)]),
        ([(0, 3, 1), (2, 4, 0)], [(0, 4, 0)]),
        ([(0, 3, 0), (2, 4, 1)], [(0, 4, 0)]),
        ([(0, 9, 1), (2, 4, 0), (3, 5, 2)], [(0, 9, 0)]),
        ([(0, 2, 2), (0, 4, 1)], [(0, 4, 1)]),
    ],
)
def test_of_matches_that_overlap_one_is_left_with_the_action_of_the_first_rule(
    matches: list[tuple[int, int, int]], apart: list[tuple[int, int, int]]
) -> None:
    found = merged(Match(begin, end, index, str(index)) for begin, end, index in matches)
    assert [(each.begin, each.end, each.index, each.text) for each in found] == [
        (*each, str(each[2])) for each in apart
    ]


@pytest.mark.parametrize(
    ("text", "units"), [("", 0), ("abc", 3), ("äöü", 3), ("a😀b", 4), ("\uffff", 1), ("\U00010000", 2)]
)
def test_a_length_is_counted_as_javascript_counts_it(text: str, units: int) -> None:
    assert utf16_length(text) == units


@pytest.mark.parametrize("size", [10, 300_000])
def test_a_body_of_any_size_is_searched_for_what_it_may_hold(size: int) -> None:
    rules = redaction({"mask": "email", "in": ["strings"]})
    body = b'["' + b'x","' * (size // 4)
    assert not rules.may_hold(body + b'"]', frozenset({0}))
    for text in (
        rb'ann@example.com"]',
        rb'ann%40example.com"]',
        rb'ann\u0040example.com"]',
        rb'ann\\u0040example.com"]',
    ):
        assert rules.may_hold(body + text, frozenset({0}))
        assert not rules.may_hold(body + text, frozenset())
        assert not rules.may_hold(body + text, frozenset({1}))
