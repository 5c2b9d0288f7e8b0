"""A fault of the configuration with its place, and all faults together as one error."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

HIDDEN = "***"
"""What a fault shows in place of a value that may be a secret."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A place in a file, whose path is as the user gave it. The first line and the first column are 1."""

    file: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault. Prints as ``fsproxy.yaml:12:9: filters.geo.never[2]: "XX1" is not a zone; allowed: ...``."""

    file: str
    line: int
    column: int
    key_path: str
    """Such as ``filters.geo.never[2]``; "" for the file itself."""
    value: str | None
    """As it is shown: quoted and cut, ``***`` for what may be a secret, None when there is none to show."""
    allowed: str
    """What is allowed there; "" when the fault says it all."""
    fault: str = "is not allowed"
    of_host: bool = False
    """The machine is at fault: it lacks a variable, an extra or a file. On another one the file may be right."""
    excerpt: str = field(default="", compare=False)
    """The line of the file, a line break, and a mark under the fault; "" where there is none to show."""

    @property
    def without_value(self) -> str:
        """Return the place and the fault without the value, for those who may not see the configuration."""
        return f"{self.file}:{self.line}:{self.column}: {f'{self.key_path}: ' if self.key_path else ''}{self.fault}"

    @property
    def without_place(self) -> str:
        """Return the fault with its key and value, for what no file holds."""
        return _text(self.key_path, self.fault if self.value is None else f"{self.value} {self.fault}", self.allowed)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.without_place}"


class ConfigError(Exception):
    """Raised for a configuration that cannot be used, with all of its faults in the order of the file."""

    problems: tuple[Problem, ...]
    files: tuple[str, ...]
    """Absolute paths of all files that it names. When one of them changes, another try is worthwhile."""
    passing: bool
    """A file could not be read for a reason that will pass, so that another try is worthwhile without a change."""
    log_format: str
    """The file's ``log.format``, as far as that could be read."""

    def __init__(
        self, problems: Iterable[Problem], files: Iterable[str] = (), *, passing: bool = False, log_format: str = "auto"
    ) -> None:
        self.problems = tuple(problems)
        self.passing = passing
        self.log_format = log_format
        self.files = tuple(files)
        super().__init__("\n".join(map(str, self.problems)))


class HostError(Exception):
    """Raised for a configuration without faults that this machine cannot run: it lacks a file, a port, a library.

    ``loader.located`` finds the place in the file.
    """

    def __init__(self, key_path: str, fault: str, allowed: str = "", *, value: object = None) -> None:
        """Take the key that is at fault, or "" for none. ``value`` is its value, for a file that has the default."""
        self.key_path, self.fault, self.allowed, self.value = key_path, fault, allowed, value
        super().__init__(_text(key_path, fault if value is None else f"{value} {fault}", allowed))


def in_order(problems: Iterable[Problem], main: str) -> tuple[Problem, ...]:
    """Return the problems without repeats, those of the file ``main`` first, and each file's by line and column."""
    return tuple(sorted(dict.fromkeys(problems), key=lambda p: (p.file != main, p.file, p.line, p.column)))


def _text(key_path: str, fault: str, allowed: str) -> str:
    return f"{f'{key_path}: ' if key_path else ''}{fault}{f'; allowed: {allowed}' if allowed else ''}"
