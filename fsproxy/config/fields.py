"""What stands for one scalar in the models: its type, how it is read, and what it says when it cannot be."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import urlsplit

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from fsproxy.config import units
from fsproxy.config.problems import Place
from fsproxy.config.yaml.positions import Kind, Scalar
from fsproxy.core.model import Mode

T = TypeVar("T")
JsonSchema = dict[str, Any]

_ANY_STRING: JsonSchema = {"type": "string"}
_REFERENCE: JsonSchema = {"type": "string", "pattern": r"\$\{"}


def wrong(fault: str, allowed: str) -> PydanticCustomError:
    """The error that the loader turns into a Problem at the value's place."""
    return PydanticCustomError("wrong", "{fault}; allowed: {allowed}", {"fault": fault, "allowed": allowed})


def default_scalar(value: object) -> object:
    """A default of the models, written as in the file, as the scalar that the file would give."""
    if isinstance(value, bool):
        return Scalar("", NOWHERE, NOWHERE, str(value).lower(), Kind.BOOL)
    if isinstance(value, int):
        return Scalar("", NOWHERE, NOWHERE, str(value), Kind.INT)
    if isinstance(value, str):
        return Scalar("", NOWHERE, NOWHERE, value, Kind.TEXT)
    return Scalar("", NOWHERE, NOWHERE, "null", Kind.NULL) if value is None else value


NOWHERE = Place("")
"""The place of a default."""


@dataclass(frozen=True)
class Leaf(Generic[T]):
    """Reads one scalar; for use as ``Annotated[type, Leaf(...)]``."""

    noun: str
    """``a duration``: a wrong value "is not a duration"."""
    allowed: str
    read: Callable[[Scalar], T]
    """Raises ValueError for what is not allowed. Sees null only as a text from the environment."""
    schema: JsonSchema
    nullable: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        forms = [self.schema]
        if self.schema != _ANY_STRING:
            forms.append(_REFERENCE)
        if self.nullable:
            forms.append({"type": "null"})
        return {"anyOf": forms} if len(forms) > 1 else dict(self.schema)

    def check(self, value: object) -> T | None:
        """The value, or an error that says what is allowed."""
        scalar = default_scalar(value)
        if isinstance(scalar, Scalar):
            if scalar.kind is Kind.NULL and self.nullable:
                return None
            # Where null is not allowed, a variable that holds "null" holds a text.
            if scalar.kind is not Kind.NULL or scalar.from_environment:
                try:
                    return self.read(scalar)
                except ValueError:
                    pass
        raise wrong(f"is not {self.noun}", f"{self.allowed}, or null" if self.nullable else self.allowed)


def or_null(leaf: Leaf[T]) -> Leaf[T]:
    """The same, and null."""
    return replace(leaf, nullable=True)


def trimmed(leaf: Leaf[T]) -> Leaf[T]:
    """The same, without the blanks and line ends around the text."""
    return replace(leaf, read=lambda scalar: leaf.read(replace(scalar, text=scalar.text.strip())))


def of_text(noun: str, allowed: str, read: Callable[[str], T], schema: JsonSchema | None = None) -> Leaf[T]:
    """A leaf that is read from its text alone, quoted or not."""
    return Leaf(noun, allowed, lambda scalar: read(scalar.text), schema or _ANY_STRING)


def whole(low: int, high: int | None = None) -> Leaf[int]:
    """A whole number."""

    def read(scalar: Scalar) -> int:
        if scalar.kind is not Kind.INT or len(scalar.text) > 19:
            raise ValueError
        number = int(scalar.text, 0) if scalar.text[:2] in {"0x", "0o"} else int(scalar.text)
        if number < low or (high is not None and number > high):
            raise ValueError
        return number

    schema: JsonSchema = {"type": "integer", "minimum": low}
    if high is not None:
        schema["maximum"] = high
    allowed = f"{low} or more" if high is None else f"{low} to {high}" if high > low else str(low)
    return Leaf("a whole number in range", allowed, read, schema)


def more_than_one(text: str) -> bool:
    """Whether this is a whole number above 1."""
    return text.isascii() and text.isdigit() and int(text[:19]) > 1


def choice(kind: type[Enum]) -> Leaf[Any]:
    """One of an enum's values."""
    values = [str(member.value) for member in kind]
    return of_text("known here", ", ".join(values), kind, {"enum": values})


def one_of(*values: str) -> Leaf[str]:
    """One of these words."""

    def read(text: str) -> str:
        if text not in values:
            raise ValueError
        return text

    return of_text("known here", ", ".join(values), read, {"enum": list(values)})


def matching(noun: str, allowed: str, pattern: str) -> Leaf[str]:
    """A text of which the whole has a form."""
    form = re.compile(pattern)

    def read(text: str) -> str:
        if not form.fullmatch(text):
            raise ValueError
        return text

    return of_text(noun, allowed, read, {"type": "string", "pattern": f"^(?:{pattern})$"})


def positive(read: Callable[[str], float]) -> Callable[[str], float]:
    """The same, without zero."""

    def above_zero(text: str) -> float:
        found = read(text)
        if found <= 0:
            raise ValueError
        return found

    return above_zero


def _size(text: str) -> int:
    found = units.size(text)
    if found <= 0:
        raise ValueError
    return found


def _truth(scalar: Scalar) -> bool:
    if scalar.kind is not Kind.BOOL:
        raise ValueError
    return scalar.text.lower() == "true"


def _not_empty(text: str) -> str:
    if not text:
        raise ValueError
    return text


def _secret(text: str) -> str:
    if not text or not text.isprintable():
        raise ValueError
    return text


def _url(text: str) -> str:
    parts = urlsplit(text)
    if (
        not text.isprintable()
        or any(c in text for c in ' \\?#<>"')
        or parts.scheme not in {"http", "https"}
        or not parts.hostname
        or "@" in parts.netloc
        or parts.port == 0
    ):
        raise ValueError
    return text


PATH = matching("a path", "a path that starts with /, without ? and #", r"/[^\s?#]*")
HEADER = matching("a header's name", "a name such as x-forwarded-for", r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
TEXT = of_text("a text", "a text that is not empty", _not_empty, {"type": "string", "minLength": 1})
SECRET = trimmed(
    of_text(
        "a secret",
        "a text on one line, not empty, without control characters; blanks and line ends around it do not count",
        _secret,
        {"type": "string", "minLength": 1},
    )
)
ANY_TEXT = of_text("a text", "a text", str)
URL = of_text(
    "an http or https address",
    "http://HOST or https://HOST, with :PORT and a path if need be, without user, query and fragment",
    _url,
)
DURATION_SCHEMA: JsonSchema = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d)$"}
SHARE_SCHEMA: JsonSchema = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?%$"}

RuleMode = Annotated[Mode, choice(Mode)]
Truth = Annotated[bool, Leaf("true or false", "true, false", _truth, {"type": "boolean"})]
Port = Annotated[int, whole(0, 65_535)]
Count = Annotated[int, whole(1)]
CountOrZero = Annotated[int, whole(0)]
Text = Annotated[str, TEXT]
AnyText = Annotated[str, ANY_TEXT]
TextOrNull = Annotated[str | None, or_null(TEXT)]
SecretOrNull = Annotated[str | None, or_null(SECRET)]
Path = Annotated[str, PATH]
PathOrNull = Annotated[str | None, or_null(PATH)]
Url = Annotated[str, URL]
Header = Annotated[str, HEADER]
HeaderOrNull = Annotated[str | None, or_null(HEADER)]
Duration = Annotated[float, of_text("a duration above zero", units.DURATION, positive(units.duration), DURATION_SCHEMA)]
CountOrNull = Annotated[int | None, or_null(whole(1))]
CountOrZeroOrNull = Annotated[int | None, or_null(whole(0))]
DurationOrZero = Annotated[float, of_text("a duration", units.DURATION, units.duration, DURATION_SCHEMA)]
Size = Annotated[
    int,
    of_text(
        "a size above zero",
        units.SIZE,
        _size,
        {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(B|KB|MB|GB)?$"},
            ]
        },
    ),
]
Share = Annotated[float, of_text("a share", units.SHARE, units.share, SHARE_SCHEMA)]
SpillOver = Annotated[float, of_text("a share", units.SPILL_OVER, units.any_share, SHARE_SCHEMA)]
