"""The documents: their tables, their terminal sessions, and the parts of them that are written from the code.

With FSPROXY_WRITE_DOCS=1 the tests that compare such a part write it, and fail only where they cannot.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import fsproxy

ROOT = Path(fsproxy.__file__).parents[1]
DOCS = ROOT / "docs"
WRITE = bool(os.environ.get("FSPROXY_WRITE_DOCS"))
_CELLS = re.compile(r"(?<!\\)\|")
_TABLE = re.compile(r"(?:^\|.*\n)+", re.MULTILINE)
_TICKED = re.compile(r"`([^`]+)`")


def text_of(page: str) -> str:
    """A page below ``docs``."""
    return (DOCS / page).read_text("utf-8")


def rows(text: str, below: str = "") -> list[list[str]]:
    """The cells of the first table below a line of a document, such as a heading; without its head."""
    _, found, rest = f"\n{text}".partition(f"\n{below}\n") if below else ("", "-", text)
    table = _TABLE.search(rest)
    assert found, f"there is no line {below!r}"
    assert table is not None, f"there is no table below {below!r}"
    return [[cell.strip() for cell in _CELLS.split(line[1:-1])] for line in table[0].splitlines()[2:]]


def ticked(text: str) -> list[str]:
    """What stands in backticks."""
    return _TICKED.findall(text)


def whole_names(names: Iterable[str]) -> list[str]:
    """Names of which one that begins with ``.`` goes on from the one before: ``a.b.c``, ``.d`` is ``a.b.d``."""
    found: list[str] = []
    for name in names:
        found.append(found[-1].rpartition(".")[0] + name if name.startswith(".") else name)
    return found


def table(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """A table."""
    lines = [head, ["---"] * len(head), *body]
    return "".join("|" + "|".join(f" {each} " if each != "---" else each for each in line) + "|\n" for line in lines)


def cell(text: str) -> str:
    """A text as a table's cell shows it."""
    return text.replace("|", "\\|").replace("\n", " ")


def assert_written(page: str, name: str, wanted: str) -> None:
    """That the part of a page between the marks of this name says what the code does."""
    text = text_of(page)
    begin, end = f"<!-- {name}: written by FSPROXY_WRITE_DOCS=1 pytest tests/trust -->\n", f"<!-- end of {name} -->\n"
    before, found, rest = text.partition(begin)
    shown, closed, after = rest.partition(end)
    assert found, f"docs/{page} has no part {name}"
    assert closed, f"the part {name} of docs/{page} has no end"
    if WRITE and shown != wanted:
        (DOCS / page).write_text(before + begin + wanted + end + after, "utf-8")
        return
    assert shown == wanted
