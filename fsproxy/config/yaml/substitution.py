"""``${NAME}`` and ``${NAME:-default}`` inside scalars."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum, unique

LONGEST = 65_536
"""Characters of one scalar, also after its references were replaced."""

_REFERENCE = re.compile(
    r"\$\$\{"  # $${ is a literal ${
    r"|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<fallback>:-[^}]*)?\}"
    r"|(?P<malformed>\$\{)"
)


class SubstitutionError(ValueError):
    """Raised for a reference that cannot be replaced. It may name a variable, but holds no value."""

    def __init__(self, fault: str, allowed: str, *, of_host: bool = False) -> None:
        """``of_host``: it depends on the machine's variables."""
        super().__init__(fault)
        self.fault = fault
        self.allowed = allowed
        self.of_host = of_host


def refers(text: str) -> bool:
    """Return whether there is anything to substitute."""
    return "${" in text


@unique
class Origin(Enum):
    """The source of a scalar's text."""

    FILE = "file"
    DEFAULT = "default"
    """A reference's default, which is in the file as well."""
    ENVIRONMENT = "environment"
    """At least a part of it is a variable's value."""


def names_in(text: str) -> list[str]:
    """Return the variables that a text refers to, without duplicates."""
    return list(dict.fromkeys(match["name"] for match in _REFERENCE.finditer(text) if match["name"]))


def substitute(text: str, environ: Mapping[str, str], *, secret: bool = False) -> tuple[str, Origin]:
    """Return the text with every reference replaced, and where it comes from.

    As in a shell, the default also replaces a variable that is set but empty. In a ``secret``, blanks and line ends
    around a variable's value are removed, and a variable that holds nothing else is an error unless there is a default.
    Raises SubstitutionError for that, for a variable that is not set and has no default, for a malformed
    reference, and for a text that becomes longer than LONGEST.
    """
    origin, length = Origin.FILE, 0

    def value(match: re.Match[str]) -> str:
        nonlocal origin, length
        found, came_from = _value(match, environ, secret=secret)
        if came_from is not Origin.FILE and origin is not Origin.ENVIRONMENT:
            origin = came_from
        length += len(found)
        if length > LONGEST:
            raise SubstitutionError("becomes too long", f"at most {LONGEST} characters")
        return found

    return _REFERENCE.sub(value, text), origin


def _value(match: re.Match[str], environ: Mapping[str, str], *, secret: bool) -> tuple[str, Origin]:
    if match["malformed"]:
        raise SubstitutionError("holds a malformed reference", "${NAME}, ${NAME:-default}, and $${ for a literal ${")
    name, fallback = match["name"], match["fallback"]
    if name is None:
        return "${", Origin.FILE
    found = environ.get(name)
    if secret and found is not None:
        found = found.strip()
    if not found and fallback is not None:
        return fallback.removeprefix(":-"), Origin.DEFAULT
    if found is None:
        raise SubstitutionError(
            f"refers to {name}, which is not set in the environment",
            f"a variable that is set, or a default: ${{{name}:-...}}",
            of_host=True,
        )
    if secret and not found:
        raise SubstitutionError(
            f"refers to {name}, which is set in the environment but empty",
            "a variable that holds a text",
            of_host=True,
        )
    return found, Origin.ENVIRONMENT
