"""The line of the configuration file in which a rule is, for those who ask why: without secrets and ids of people."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from fsproxy.config.excerpt import with_excerpts
from fsproxy.config.problems import Problem
from fsproxy.config.yaml.positions import Node, Table
from fsproxy.config.yaml.tree import parse

MOST_BYTES = 256 * 1024
"""Of a larger file no line is shown, as reading it would take too long for a question."""
_SUFFIXES = frozenset({".yaml", ".yml", ".json"})
_OF_PEOPLE = (".deleting_user", ".blocked_user")
"""What is below keys that end so is ids of people."""


class SourceLine(NamedTuple):
    """One line, and the part of it to be marked, from the column ``start`` (from 0) to the one before ``end``."""

    number: int
    text: str
    start: int
    end: int


def source_line(where: str, loaded: float) -> SourceLine | None:
    """Return the line at a place (``file:line:column``). Reads the file.

    None when that is no YAML file, or one that has changed since ``loaded`` (Unix time), or when it cannot be read.
    """
    file, *place = where.rsplit(":", 2)
    path = Path(file)
    if len(place) < 2 or path.suffix not in _SUFFIXES:
        return None
    try:
        about = path.stat()
        if about.st_size > MOST_BYTES or about.st_mtime > loaded:
            return None
        text = path.read_text("utf-8")
    except (OSError, UnicodeError):
        return None
    return line_at(text, file, int(place[0]), int(place[1]))


def line_at(text: str, file: str, line: int, column: int) -> SourceLine | None:
    """Return the line of this text; None when it has none there, or is no YAML."""
    tree, of_people = _read(text, file)
    if tree is None:
        return None
    (shown,) = with_excerpts([Problem(file, line, column, "", "", "")], text, file, tree, of_people)
    if not shown.excerpt:
        return None
    above, below = shown.excerpt.split("\n")
    margin = above.index("| ") + 2
    start = below.index("^") - margin
    return SourceLine(line, above[margin:], start, start + below.count("^"))


@lru_cache(maxsize=1)
def _read(text: str, file: str) -> tuple[Node | None, frozenset[str]]:
    tree = parse(text, file, {}, [])
    return tree, frozenset(_paths_of_people(tree))


def _paths_of_people(node: Node | None) -> Iterator[str]:
    if node is not None and node.path.endswith(_OF_PEOPLE):
        yield node.path
    elif isinstance(node, Table):
        for member in node.members.values():
            yield from _paths_of_people(member)
