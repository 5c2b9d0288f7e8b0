"""Durations, sizes, shares and dates: what is read, what is refused, and what editors and error messages say of them."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import pytest

from fsproxy.core import units
from fsproxy.core.keys import Leaf

GOOD: dict[str, dict[str, object]] = {
    "DURATION": {"250ms": 0.25, "1ms": 0.001, "30s": 30.0, "5m": 300.0, "24h": 86_400.0, "30d": 2_592_000.0},
    "DURATION_OR_ZERO": {"0s": 0.0, "0ms": 0.0, "1.5m": 90.0},
    "SIZE": {"1": 1, "7B": 7, "512KB": 524_288, "8MB": 8_388_608, "1GB": 1_073_741_824, "0.5KB": 512},
    "SHARE": {"0%": 0.0, "12.5%": 0.125, "100%": 1.0},
    "ANY_SHARE": {"10%": 0.1, "100.1%": 1.001, "250%": 2.5},
    "DAY": {"2026-01-31": date(2026, 1, 31), "2024-02-29": date(2024, 2, 29)},
    "DAY_AS_UNIX": {"1970-01-01": 0, "1970-01-02": 86_400, "2026-01-31": 1_769_817_600},
}
BAD = {
    "DURATION": ["0s", "0.0ms", "5", "5w", "5 s", "5S", "-5s", "1e3s", "s", ".5s", "5.s", "1234567890123456s"],
    "DURATION_OR_ZERO": ["0", "-1s", "1.0000000001s"],
    "SIZE": ["0", "0KB", "0.0001KB", "0.3B", "1.5", "5kb", "5TB", "-5", "5 KB"],
    "SHARE": ["100.1%", "101%", "25", "0.25", "-1%", "%"],
    "ANY_SHARE": ["10", "-1%", "1e2%"],
    "DAY": ["2026-1-31", "2026-02-29", "20260131", "2026-W01-1", "2026-01-31T00", ""],
    "DAY_AS_UNIX": ["2026-13-01", "0000-01-01", "today"],
}
WORDS = {
    "DURATION": ("a duration above zero", "ms, s, m, h or d, such as 250ms"),
    "DURATION_OR_ZERO": ("a duration", "ms, s, m, h or d, such as 250ms"),
    "SIZE": ("a size above zero", "B, KB, MB or GB (1 KB = 1024 bytes), such as 512KB"),
    "SHARE": ("a share", "0% to 100%"),
    "ANY_SHARE": ("a share", "such as 10%"),
    "DAY": ("a date", "such as 2026-01-31"),
    "DAY_AS_UNIX": ("a date", "such as 2026-01-31"),
}


NUMBER = r"[0-9]+(\.[0-9]+)?"


def fits(schema: Any, text: str) -> bool:
    """Whether a schema of a scalar allows a text, or the number that YAML takes it for."""
    if "anyOf" in schema:
        return any(fits(each, text) for each in schema["anyOf"])
    if schema["type"] == "integer":
        return text.isdigit() and int(text) >= schema["minimum"]
    assert schema["type"] == "string"
    pattern = r"\d{4}-\d\d-\d\d\Z" if schema.get("format") == "date" else schema["pattern"]
    return not re.fullmatch(NUMBER, text) and re.search(pattern, text) is not None


@pytest.mark.parametrize("name", GOOD)
def test_a_value_is_read_as_people_write_it_and_editors_allow_it(name: str) -> None:
    leaf: Leaf[Any] = getattr(units, name)
    for text, value in GOOD[name].items():
        assert leaf.read(text) == value, text
        assert leaf.check(text) is None
        assert fits(leaf.schema, text), text


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_allowed_is_refused_with_what_is(name: str) -> None:
    leaf: Leaf[Any] = getattr(units, name)
    noun, words = WORDS[name]
    assert leaf.noun == noun
    assert words in leaf.allowed
    assert re.search(r"[dBM1%]\Z", leaf.allowed)
    for text in BAD[name]:
        assert leaf.check(text) == leaf.allowed, text


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in BAD.items() for text in texts])
def test_editors_refuse_every_text_of_another_form(name: str, text: str) -> None:
    """They do not see that a number is out of range, nor that there is no such day."""
    right = re.fullmatch(rf"{NUMBER}(ms|s|[KMG]?B|%)|\d{{4}}-\d\d-\d\d", text) is not None
    assert fits(getattr(units, name).schema, text) is right
