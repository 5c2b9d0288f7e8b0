"""The tree of a configuration file: nodes that know their text, their key path and their place."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, unique

from fsproxy.config.problems import HIDDEN, Place, Problem

SECRETS = (
    "admin.token",
    "admin.read_token",
    "audit.key",
    "state.redis.url",
    "state.redis.password",
    "state.redis.sentinel.password",
)
"""Key paths whose values are never shown. Neither is a wrong value of a section that should hold one of them.

A variable's value for one of them is a text, whatever it looks like.
"""

_WITH_SECRETS = tuple(path.rpartition(".")[0] for path in SECRETS)
_NAME = re.compile(r"[\w.-]+")
_USERINFO = re.compile(r"//[^/\s]*@")
_SHOWN = 80


@unique
class Kind(Enum):
    """The type that YAML 1.2's core schema gives to a scalar."""

    NULL = "null"
    BOOL = "bool"
    INT = "int"
    FLOAT = "float"
    TEXT = "str"


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One value of the file."""

    path: str
    """Such as ``filters.geo.never[2]``."""
    place: Place
    key_place: Place
    """The place of its key; for an item of a list, its own place."""

    def shown(self) -> str:
        """Return the value as a fault shows it: never a secret, and cut when it is long."""
        raise NotImplementedError

    def problem(self, fault: str, allowed: str = "", *, of_host: bool = False) -> Problem:
        """Return a fault of this value. ``of_host``: it depends on the machine."""
        place = self.place
        return Problem(place.file, place.line, place.column, self.path, self.shown(), allowed, fault, of_host)

    def key_problem(self, fault: str, allowed: str = "") -> Problem:
        """Return a fault of the key, whatever its value."""
        place = self.key_place
        return Problem(place.file, place.line, place.column, shown_path(self.path), None, allowed, fault)


@dataclass(frozen=True, slots=True, eq=False)
class Scalar(Node):
    """A text, number, truth value or null: its text as written, and its type."""

    text: str
    kind: Kind
    from_environment: bool = False
    width: int = 1
    """Characters in the file; 0 for a text of several lines."""

    def shown(self) -> str:
        """Return the value as a fault shows it."""
        if self.from_environment or _may_be_secret(self.path) or _USERINFO.search(self.text):
            return HIDDEN
        if "@" in self.text and self.path.startswith("state."):  # a password before an address without its scheme
            return HIDDEN
        if self.kind is not Kind.TEXT:
            return self.text or "null"
        text = _cut(self.text, _SHOWN)
        return json.dumps(text, ensure_ascii=not text.isprintable())


@dataclass(frozen=True, slots=True, eq=False)
class Sequence(Node):
    """A list."""

    items: tuple[Node, ...]

    def shown(self) -> str:
        """Return the value as a fault shows it."""
        return "a list"


@dataclass(frozen=True, slots=True, eq=False)
class Table(Node):
    """A mapping, its keys as written."""

    members: Mapping[str, Node]

    def shown(self) -> str:
        """Return the value as a fault shows it."""
        return "a mapping"

    def scalar(self, key: str) -> Scalar | None:
        """Return the scalar under a key, or None when the key is missing, null, or has no scalar."""
        found = self.members.get(key)
        return found if isinstance(found, Scalar) and found.kind is not Kind.NULL else None

    def sequence(self, key: str) -> tuple[Node, ...]:
        """Return the items of the list under a key; none when there is no list."""
        found = self.members.get(key)
        return found.items if isinstance(found, Sequence) else ()


def below(path: str, name: str) -> str:
    """Return the path of a key below a section's path, which is "" for the whole file."""
    return f"{path}.{name}" if path else name


def shown_path(path: str) -> str:
    """Return a key path as a fault shows it. What looks like a key may hold a secret."""
    # {token "hunter2"}, where the colon was forgotten, is one long key.
    for section in _WITH_SECRETS:
        if path.startswith(f"{section}.") and not _NAME.fullmatch(path, len(section) + 1):
            return f"{section}.{HIDDEN}"
    return HIDDEN if _USERINFO.search(path) else _cut(path, 2 * _SHOWN)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."


def _may_be_secret(path: str) -> bool:
    return path.startswith("x-") or any(
        secret == path or not path or secret.startswith(f"{path}.") or path.startswith((f"{secret}.", f"{secret}["))
        for secret in SECRETS
    )
