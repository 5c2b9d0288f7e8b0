"""``${NAME}`` and ``${NAME:-default}`` inside scalars."""

from __future__ import annotations

import re
from collections.abc import Mapping

_REFERENCE = re.compile(
    r"\$\$\{"  # $${ is a literal ${
    r"|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<fallback>:-[^}]*)?\}"
    r"|(?P<malformed>\$\{)"
)


class SubstitutionError(ValueError):
    """What is wrong, and what is allowed. Holds a variable's name, never a value."""

    def __init__(self, fault: str, allowed: str) -> None:
        super().__init__(fault)
        self.fault = fault
        self.allowed = allowed


def refers(text: str) -> bool:
    """Whether there is anything to substitute."""
    return "${" in text


def substitute(text: str, environ: Mapping[str, str]) -> tuple[str, bool]:
    """The text with every reference replaced, and whether a value came from the environment or a default.

    As in a shell, ``:-`` also stands in for a variable that is set but empty.
    Raises SubstitutionError for a variable that is not set and has no default, and for a malformed reference.
    """
    replaced = False

    def value(match: re.Match[str]) -> str:
        nonlocal replaced
        if match["malformed"]:
            raise SubstitutionError(
                "holds a malformed reference", "${NAME}, ${NAME:-default}, and $${ for a literal ${"
            )
        name = match["name"]
        if name is None:
            return "${"
        replaced = True
        found = environ.get(name)
        fallback = match["fallback"]
        if fallback is not None:
            return found or fallback.removeprefix(":-")
        if found is None:
            raise SubstitutionError(
                f"refers to {name}, which is not set in the environment",
                f"a variable that is set, or a default: ${{{name}:-...}}",
            )
        return found

    return _REFERENCE.sub(value, text), replaced
