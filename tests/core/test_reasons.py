"""The closed list of reason codes (rules.md 1)."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsproxy.core.reasons import ReasonCode, RejectionCode

TEXTS = {
    -1: "Unspecified",
    1: "Account does not exist",
    2: "Account disabled",
    3: "Over quota",
    4: "Domain Filter",
    5: "IP Filter",
    6: "User Agent",
    7: "Geography",
    8: "Traffic Ramping",
    9: "Invalid URL",
    10: "Opt Out Cookie",
    11: "Invalid Data Capture Script",
    12: "User actively being deleted",
}


def test_there_are_the_vendors_codes_with_the_vendors_texts_and_no_others() -> None:
    assert {code.value: code.text for code in ReasonCode} == TEXTS


@pytest.mark.parametrize("code", RejectionCode)
def test_a_rejections_code_is_spelled_as_its_name(code: RejectionCode) -> None:
    assert code.value == "".join(word.capitalize() for word in code.name.split("_"))


def test_no_other_module_spells_a_reasons_text() -> None:
    """They are said in one place; the README and tests may quote them."""
    package = Path(__file__).parents[2] / "fsproxy"
    quoted = {f'"{text}"' for code, text in TEXTS.items() if code not in {-1, 7}}
    others = (path for path in package.rglob("*.py") if path.name != "reasons.py")
    assert [path.name for path in others if any(text in path.read_text(encoding="utf-8") for text in quoted)] == []
