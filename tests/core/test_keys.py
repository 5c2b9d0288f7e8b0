"""How a key's values are read: each form with its bounds, what is allowed in words, and what editors are given."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import Enum
from typing import Any

import pytest

from fsproxy.core.keys import (
    ANY_TEXT,
    COUNT,
    COUNT_OR_ZERO,
    HEADER,
    METADATA,
    TEXT,
    TRUTH,
    FileOf,
    Key,
    Leaf,
    ListOf,
    MapOf,
    SectionOf,
    checked,
    choice,
    matching,
    needed,
    or_null,
    section,
    setting,
    trimmed,
    whole,
    words,
)


class Colour(Enum):
    """Of a test."""

    RED = "red"
    BLUE = 2


PORT, ONE = whole(1, 65_535), whole(1, 1)
READ: list[tuple[Leaf[Any], dict[str, object], list[str]]] = [
    (ANY_TEXT, {"": "", "a\0": "a\0"}, []),
    (TEXT, {"a": "a", " ": " "}, ["", "a\0b", "\0"]),
    (TRUTH, {"true": True, "False": False, "TRUE": True}, ["yes", "on", "1", "", "true "]),
    (COUNT, {"1": 1, "9" * 19: int("9" * 19), "0x1F": 31, "0o17": 15, "+5": 5}, ["0", "-1", "1.5", "1" + "0" * 19, "0b1", "x"]),
    (COUNT_OR_ZERO, {"0": 0, "007": 7}, ["-1", ""]),
    (PORT, {"1": 1, "65535": 65_535}, ["0", "65536"]),
    (HEADER, {"X-Forwarded-For": "x-forwarded-for", "a!#$%&'*+.^_`|~-9": "a!#$%&'*+.^_`|~-9"}, ["", "a b", "a:", "ä", "a\n"]),
    (choice(Colour), {"red": Colour.RED, "2": Colour.BLUE}, ["Red", "blue", ""]),
    (choice(Colour, Colour.BLUE), {"2": Colour.BLUE}, ["red"]),
    (words({"a": 1, "b": 2}), {"a": 1, "b": 2}, ["c", "A", ""]),
    (matching("a digit", "one digit", "[0-9]", lambda text: text * 2), {"1": "11"}, ["12", "", "a", "1\n"]),
    (matching("a letter", "a or b", "a|b"), {"b": "b"}, ["ab", "c"]),
    (checked("short", "2 characters", lambda text: None if len(text) == 2 else "no"), {"ab": "ab"}, ["abc"]),
    (trimmed(COUNT), {" 7\n": 7}, ["", " "]),
    (or_null(COUNT), {"7": 7}, ["null", "0"]),
]  # fmt: skip


@pytest.mark.parametrize(("leaf", "good", "bad"), READ)
def test_a_value_is_read_or_refused_with_what_is_allowed(
    leaf: Leaf[Any], good: dict[str, object], bad: list[str]
) -> None:
    for text, value in good.items():
        assert (leaf.read(text), type(leaf.read(text))) == (value, type(value))
        assert leaf.check(text) is None
    for text in bad:
        with pytest.raises(ValueError):  # noqa: PT011 - that it raises nothing else is the point
            leaf.read(text)
        assert leaf.check(text) == leaf.allowed


@pytest.mark.parametrize(
    ("leaf", "noun", "allowed", "schema", "kind"),
    [
        (ANY_TEXT, "a text", "a text", {"type": "string"}, None),
        (TEXT, "a text", "a text that is not empty", {"type": "string", "minLength": 1}, None),
        (TRUTH, "true or false", "true, false", {"type": "boolean"}, "bool"),
        (COUNT, "a whole number in range", "1 or more", {"type": "integer", "minimum": 1}, "int"),
        (COUNT_OR_ZERO, "a whole number in range", "0 or more", {"type": "integer", "minimum": 0}, "int"),
        (
            PORT,
            "a whole number in range",
            "1 to 65535",
            {"type": "integer", "minimum": 1, "maximum": 65_535},
            "int",
        ),
        (ONE, "a whole number in range", "1", {"type": "integer", "minimum": 1, "maximum": 1}, "int"),
        (choice(Colour), "known here", "red, 2", {"enum": ["red", "2"]}, None),
        (matching("a letter", "a or b", "a|b"), "a letter", "a or b", {"type": "string", "pattern": "^(?:a|b)$"}, None),
        (checked("short", "2 characters", len), "short", "2 characters", {"type": "string"}, None),
        (
            HEADER,
            "a header's name",
            "a name such as x-forwarded-for",
            {"type": "string", "pattern": r"^(?:[A-Za-z0-9!#$%&'*+.^_`|~-]+)$"},
            None,
        ),
    ],
)
def test_people_and_editors_are_told_the_same(
    leaf: Leaf[Any], noun: str, allowed: str, schema: dict[str, Any], kind: str | None
) -> None:
    assert (leaf.noun, leaf.allowed, dict(leaf.schema), leaf.kind, leaf.nullable) == (
        noun,
        allowed,
        schema,
        kind,
        False,
    )
    assert or_null(leaf).nullable
    assert list(leaf.known()) == schema.get("enum", [])


LIST = ListOf[tuple[Any, ...]](COUNT, tuple, COUNT.schema, word="all")


@pytest.mark.parametrize(
    ("reader", "written", "value"),
    [
        (COUNT, 7, 7),
        (COUNT, None, None),
        (TRUTH, True, True),
        (TEXT, "a", "a"),
        (LIST, ["1", "2"], (1, 2)),
        (LIST, "3", (3,)),
        (LIST, "all", None),
        (LIST, [], ()),
        (ListOf("ip", tuple, COUNT.schema), ["a", "b"], ("a", "b")),
        (SectionOf(dict), {}, {}),
        (SectionOf(dict), None, None),
        (SectionOf(dict, many=True), [], ()),
        (SectionOf(dict, lambda made: ("made", made)), {}, ("made", {})),
        (MapOf(COUNT, dict), {}, {}),
        (MapOf(COUNT, dict), None, None),
        (FileOf(dict, lambda name, made: (name, made)), None, None),
    ],
)
def test_a_default_is_read_as_users_write_it(reader: Any, written: object, value: object) -> None:
    assert reader.default(written) == value


@dataclass(frozen=True)
class Inner:
    """Settings of a test."""

    count: int = setting(3, COUNT, "A count.")


class Undescribed(Inner):
    __doc__ = None


@dataclass(frozen=True)
class Outer:
    """All kinds of keys."""

    name: str = needed(TEXT, "A name.", "the.name")
    word: str = setting("hidden", TEXT, "A secret.", secret=True)
    size: int = setting(7, COUNT, "A size.", "of.it")
    place: str = setting("here", TEXT, "A place.", compare=False)
    inner: Inner = section(Inner)
    other: Undescribed = section(Undescribed)


def test_a_section_has_its_defaults_hides_secrets_and_compares_what_it_says() -> None:
    made = Outer(name="a")
    assert (made.word, made.size, made.inner, made.inner.count) == ("hidden", 7, Inner(), 3)
    assert "hidden" not in repr(made)
    assert "size=7" in repr(made)
    assert made == Outer(name="a", place="there")
    assert made != Outer(name="a", size=8)
    with pytest.raises(TypeError):
        Outer()  # type: ignore[call-arg]


def test_a_key_has_its_path_its_default_as_written_and_its_description() -> None:
    keys: dict[str, Key] = {each.name: each.metadata[METADATA] for each in fields(Outer)}
    assert {name: (key.default, key.description, key.at) for name, key in keys.items()} == {
        "name": (..., "A name.", "the.name"),
        "word": ("hidden", "A secret.", ""),
        "size": (7, "A size.", "of.it"),
        "place": ("here", "A place.", ""),
        "inner": ({}, "Settings of a test.", ""),
        "other": ({}, "", ""),
    }
    assert needed(TEXT, "").metadata[METADATA].at == ""  # type: ignore[attr-defined] # it is a field


def test_a_reader_takes_neither_null_nor_several_nor_one_alone_unless_it_says_so() -> None:
    readers = ListOf(COUNT, tuple, COUNT.schema), SectionOf(dict), MapOf(COUNT, dict)
    assert (readers[0].lone, readers[0].word, readers[0].verbs) == (False, None, {})
    assert (readers[1].nullable, readers[1].many, readers[2].nullable) == (False, False, False)
