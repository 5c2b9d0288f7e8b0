"""How each key of the configuration is written down, once: its default, how it is read, and what it means.

``core/settings.py`` and ``config/schema.py`` are the two halves of the table. Defaults are written as users write
them, and read in the same way. Nothing here knows YAML: a value is a text and the name of what YAML takes it for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Generic, TypeAlias, TypeVar, cast

T = TypeVar("T")
S = TypeVar("S")
E = TypeVar("E", bound=Enum)
JsonSchema = Mapping[str, Any]

STRING: JsonSchema = {"type": "string"}
METADATA = "key"
"""Where a dataclass field's metadata holds its ``Key``."""


@dataclass(frozen=True, eq=False)
class Leaf(Generic[T]):
    """Reads one scalar."""

    noun: str
    """``a duration``: a wrong value "is not a duration"."""
    allowed: str
    read: Callable[[str], T]
    """Raises ValueError for what is not allowed."""
    schema: JsonSchema
    kind: str | None = None
    """The one kind of YAML scalar that is accepted, ``int`` or ``bool``; None when only the text counts."""
    nullable: bool = False
    known: Callable[[], Iterable[str]] = tuple
    """Returns what a wrong text is compared with, to find what it was meant to be."""

    def check(self, text: str) -> str | None:
        """Return what is allowed, or None when the text is right."""
        try:
            self.read(text)
        except ValueError:
            return self.allowed
        return None

    def default(self, written: object) -> T:
        """Return the value of a default."""
        if written is None:
            return cast("T", None)
        return self.read(str(written).lower() if isinstance(written, bool) else str(written))


@dataclass(frozen=True, eq=False)
class ListOf(Generic[T]):
    """Reads a list, with the lines of the files that it names."""

    item: Leaf[Any] | str
    """How one item is read; or the name of the filter whose rules they are, which keep their places and ids."""
    make: Callable[[Iterable[Any]], T]
    """Makes the value of the items; of rules it is given ``Entry`` objects, or the texts of a default."""
    schema: JsonSchema
    """The schema of one item."""
    word: str | None = None
    """A word that may replace the whole list, and then means None."""
    lone: bool = False
    """One item may stand without the list around it, and there must be at least one."""
    verbs: Mapping[str, Mapping[str, Leaf[Any]]] = field(default_factory=dict)
    """When given, each item maps one of these to a rule, beside the keys that this one allows.

    ``make`` gets the verb, the entry, and the values of these keys by their names.
    """

    def default(self, written: object) -> T:
        """Return the value of a default."""
        if self.word is not None and written == self.word:
            return cast("T", None)
        texts = [written] if isinstance(written, str) else cast("list[str]", written)
        return self.make(texts if isinstance(self.item, str) else [self.item.read(each) for each in texts])


@dataclass(frozen=True, eq=False)
class SectionOf(Generic[T]):
    """Reads a mapping with the keys of a dataclass, or a list of such mappings."""

    kind: type[Any]
    make: Callable[[Any], T] = lambda made: made
    """Makes the value of the dataclass, or of the tuple of them."""
    nullable: bool = False
    many: bool = False

    def default(self, written: object) -> T:
        """Return the value of a default."""
        if written is None:
            return cast("T", None)
        return self.make(() if self.many else self.kind())


@dataclass(frozen=True, eq=False)
class MapOf(Generic[T]):
    """Reads a mapping of which users choose the keys. Its default is empty, or None."""

    value: Leaf[Any] | ListOf[Any] | SectionOf[Any]
    make: Callable[[dict[str, Any]], T]
    nullable: bool = False

    def default(self, written: object) -> T:
        """Return the value of a default."""
        return cast("T", None) if written is None else self.make({})


@dataclass(frozen=True, eq=False)
class FileOf(Generic[T]):
    """Reads the name of another YAML file, which has the keys of a dataclass; or null. Its default is None."""

    kind: type[Any]
    make: Callable[[str, Any], T]
    """Makes the value of the name and the dataclass."""

    def default(self, _: object) -> T:
        """Return the value of a default."""
        return cast("T", None)


Reader: TypeAlias = Leaf[T] | ListOf[T] | MapOf[T] | SectionOf[T] | FileOf[T]


@dataclass(frozen=True, slots=True)
class Key:
    """One key of the configuration."""

    reader: Reader[Any]
    default: object
    """As users write it; ``...`` for a key that must be there."""
    description: str
    at: str
    """Its path below its section when that is not the field's name, such as ``share.page``."""


def setting(
    default: object, reader: Reader[T], description: str, at: str = "", *, secret: bool = False, compare: bool = True
) -> T:
    """Return a dataclass field for a key with a default; a ``secret`` is left out of the representation."""
    value = reader.default(default)
    metadata = {METADATA: Key(reader, default, description, at)}
    # By a factory, as dataclasses refuse a read-only mapping as a default.
    return field(default_factory=lambda: value, repr=not secret, compare=compare, metadata=metadata)


def needed(reader: Reader[T], description: str, at: str = "") -> T:
    """Return a dataclass field for a key that must be there."""
    return cast("T", field(metadata={METADATA: Key(reader, ..., description, at)}))


def section(kind: type[S]) -> S:
    """Return a dataclass field for a section all of whose keys have defaults; its class says what it is for."""
    return setting({}, SectionOf[S](kind), kind.__doc__ or "")


def or_null(leaf: Leaf[T]) -> Leaf[T | None]:
    """Return a leaf that accepts null as well."""
    return cast("Leaf[T | None]", replace(leaf, nullable=True))


def trimmed(leaf: Leaf[T]) -> Leaf[T]:
    """Return a leaf that ignores blanks and line ends around the text."""
    return replace(leaf, read=lambda text: leaf.read(text.strip()))


def whole(low: int, high: int | None = None) -> Leaf[int]:
    """Return a leaf for whole numbers."""

    def read(text: str) -> int:
        if len(text) > 19:
            raise ValueError
        number = int(text, 0) if text[:2] in {"0x", "0o"} else int(text)
        if number < low or (high is not None and number > high):
            raise ValueError
        return number

    schema: dict[str, Any] = {"type": "integer", "minimum": low}
    if high is not None:
        schema["maximum"] = high
    allowed = f"{low} or more" if high is None else f"{low} to {high}" if high > low else str(low)
    return Leaf("a whole number in range", allowed, read, schema, "int")


def choice(kind: type[E], *members: E) -> Leaf[E]:
    """Return a leaf for an enum's values; for those of ``members`` alone, if there are any."""
    return words({str(each.value): each for each in members or tuple(kind)})


def words(by_text: Mapping[str, T]) -> Leaf[T]:
    """Return a leaf for one of these words, each with what it means."""

    def read(text: str) -> T:
        try:
            return by_text[text]
        except KeyError:
            raise ValueError from None

    return Leaf("known here", ", ".join(by_text), read, {"enum": list(by_text)}, known=lambda: by_text)


def matching(noun: str, allowed: str, pattern: str, form: Callable[[str], str] = str) -> Leaf[str]:
    """Return a leaf for texts that match a pattern as a whole; ``form`` makes the value of one."""
    compiled = re.compile(pattern)

    def read(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError
        return form(text)

    return Leaf(noun, allowed, read, {"type": "string", "pattern": f"^(?:{pattern})$"})


def checked(noun: str, allowed: str, problem: Callable[[str], object]) -> Leaf[str]:
    """Return a leaf for texts of which ``problem`` returns None."""

    def read(text: str) -> str:
        if problem(text) is not None:
            raise ValueError
        return text

    return Leaf(noun, allowed, read, STRING)


def _not_empty(text: str) -> str:
    if not text or "\0" in text:  # which no path may hold
        raise ValueError
    return text


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError
    return text.lower() == "true"


ANY_TEXT = Leaf("a text", "a text", str, STRING)
TEXT = Leaf("a text", "a text that is not empty", _not_empty, {"type": "string", "minLength": 1})
TRUTH = Leaf("true or false", "true, false", _truth, {"type": "boolean"}, "bool")
COUNT = whole(1)
COUNT_OR_ZERO = whole(0)
HEADER = matching("a header's name", "a name such as x-forwarded-for", r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", str.lower)
