"""Every possessive repetition of a group is one that all versions of Python read alike."""

from __future__ import annotations

import io
import re
import tokenize
from pathlib import Path

import pytest

import fsproxy
from fsproxy.core.possessive import BACK, BACK_IN_BYTES

SOURCES = sorted(each for each in Path(fsproxy.__file__).parent.rglob("*.py") if each.stem != "possessive")
POSSESSIVE = re.compile(r"\)(?:[*+?]|\{[0-9,]+\})\+")
ENDS_RIGHT = (
    "{BACK}",
    "BACK_IN_BYTES+",
    # Strings of JSON: nothing can fail behind the backslash but the end of the text.
    r'"[^"\\]*+(?:\\.[^"\\]*+',
    # No repetitions: lists of characters.
    "!$&'(",
    "@!$'(",
)


def groups(source: str) -> list[str]:
    """What is before each end of a group that is repeated possessively; texts that are added have no quotes between."""
    words = [each.string for each in tokenize.generate_tokens(io.StringIO(source).readline) if each.string.strip()]
    text = re.sub(r"""\+r?b?["']""", "+", "".join(word for word in words if not word.startswith("#")))
    return [text[max(0, match.start() - 40) : match.start()] for match in POSSESSIVE.finditer(text)]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_a_turn_that_fails_leaves_nothing_taken(path: Path) -> None:
    assert [each for each in groups(path.read_text("utf-8")) if not each.endswith(ENDS_RIGHT)] == []


def test_the_search_finds_what_it_should() -> None:
    found = groups('A = rf"(?:ab)*+" + rb"(?:c" + X + rb")++"\nB = "(?:d{BACK}){2,3}+"')
    assert [each.endswith(ENDS_RIGHT) for each in found] == [False, False, True]


@pytest.mark.parametrize("text", ["abac", "ac", "ababac"])
def test_a_group_goes_back_to_where_its_last_turn_began(text: str) -> None:
    assert re.fullmatch(rf"(?:ab{BACK})*+ac", text)
    assert re.fullmatch(rb"(?:ab" + BACK_IN_BYTES + rb")*+ac", text.encode())
