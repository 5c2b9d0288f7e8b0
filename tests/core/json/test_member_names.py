"""Names in other letters: what counts as the same name for a reader without case (rules.md 4)."""

from __future__ import annotations

from itertools import product

import pytest

from fsproxy.core.json.member_names import NO_NAMES, KnownNames, finder_of_misspelt, folded

KELVIN, LONG_S = "\u212a", "\u017f"
SPELLINGS = {
    "Kind": ("Kk" + KELVIN, "iI", "nN", "dD"),
    "Args": ("aA", "rR", "gG", "sS" + LONG_S),
    "Sk": ("sS" + LONG_S, "kK" + KELVIN),
}
"""Names, and all that each of their letters may be."""
find = finder_of_misspelt(tuple(SPELLINGS))


def text_with(name: str) -> bytes:
    return f'{{"When":1,"{name}":[]}}'.encode()


@pytest.mark.parametrize(
    ("name", "same"),
    [("Kind", "kind"), ("KIND", "kind"), (f"{KELVIN}ind", "kind"), (f"Arg{LONG_S}", "args"), ("When", "when")],
)
def test_letters_that_count_as_the_same_are_one(name: str, same: str) -> None:
    assert folded(name) == same


def test_only_a_known_name_in_other_letters_is_misspelt() -> None:
    known = KnownNames(("Kind", "Args"))
    for found, misspelt in (
        ((), False),
        (("Kind", "Args", "When"), False),
        (("kind",), True),
        (("Kind", f"ARG{LONG_S}"), True),
        (("WHEN",), False),
    ):
        assert known.has_misspelt(found) is misspelt, found
        assert not NO_NAMES.has_misspelt(found)


def test_every_spelling_but_the_right_one_is_found_in_a_text() -> None:
    for name, letters in SPELLINGS.items():
        for spelling in map("".join, product(*letters)):
            text = text_with(spelling)
            assert bool(find(text)) is (spelling != name), spelling
            assert bool(find(text + rb'"\n"')) is (spelling != name), spelling


@pytest.mark.parametrize("name", ["Kin", "Kinds", "kinds", "xkind", "", "|", "kindArgs", "ars"])
def test_other_names_are_not_found(name: str) -> None:
    assert not find(text_with(name))


@pytest.mark.parametrize(
    ("escape", "is_letter"),
    [
        ("\\u004b", True),
        ("\\u006B", True),
        ("\\u007a", True),
        ("\\u212a", True),
        ("\\u212A", True),
        ("\\u017f", True),
        ("\\u017F", True),
        ("\\u0022", False),
        ("\\u00e9", False),
        ("\\ud83d", False),
        ("\\n", False),
        ("\\\\", False),
    ],
)
def test_an_escaped_letter_may_be_part_of_any_name(escape: str, *, is_letter: bool) -> None:
    assert bool(find(text_with(f"x{escape}y"))) is is_letter
