"""Shows what a trial has found, in words; on a terminal over what was shown before."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import click

from fsproxy.core.reasons import ReasonCode

MOST_ROWS = 20
"""Kinds of change that are shown of each sort; --json has all."""
_SORTS = (
    ("pages", "changed", "page", "pages", "captured"),
    ("uploads", "uploads_changed", "upload", "uploads", "forwarded"),
    ("calls", "calls_changed", "API call", "API calls", "accepted"),
)
"""The answer's two counts, the words for one and for many, and for what becomes of those that no rule blocks."""
_drawn = 0


def show(found: Mapping[str, Any]) -> None:
    """Print the answer. On a terminal it replaces the one before."""
    global _drawn  # noqa: PLW0603 - there is one terminal
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    text = list(lines(found, width))
    if width:
        # A line that the terminal breaks would count as two.
        text = [each[: width - 1] for each in text] if found["state"] == "running" else text
        if _drawn:
            click.echo(f"\x1b[{_drawn}F\x1b[J", nl=False)
        _drawn = len(text)
    click.echo("\n".join(text))


def lines(found: Mapping[str, Any], width: int = 0) -> Iterator[str]:
    """Yield the lines of what was found, those that change most first. A hint that is too wide has its own line."""
    yield _head(found)
    told: set[str] = set()
    for key, changed, one, many, otherwise in _SORTS:
        if not found[key] and key != "pages":
            continue
        count = found[key]
        share = f" ({100 * found[changed] / count:.1f} %)" if found[changed] else ""
        none = "none changes" if count else "none was judged"
        change = f"{found[changed]:,}{share} change" if found[changed] else none
        yield f"{count:,} {one if count == 1 else many}: {change}"
        rows = sorted((each for each in found["changes"] if each[key]), key=lambda each: -each[key])
        yield from _rows(rows[:MOST_ROWS], key, otherwise, told, width)
        if len(rows) > MOST_ROWS:
            yield f"{'':>9} {len(rows) - MOST_ROWS} more kinds of change: --json has them"
    if found["beyond"]:
        yield f"{found['beyond']:,} more changes are of further kinds, which are counted together"
    for why, count in found["undecidable_because"].items():
        yield f"{count:,} undecidable: {why}"
    if found["restart_needed_for"]:
        yield f"Not tried, as only a restart changes them: {', '.join(found['restart_needed_for'])}"


def _head(found: Mapping[str, Any]) -> str:
    asked, left = found["for"] or 0, found["left"]
    tried = f"{found['name']}, {100 * found['share']:g}% of the traffic"
    if found["state"] == "running" and left is not None:
        return f"{tried}: {_minutes(asked - left)} of {_minutes(asked)}"
    return f"{tried}: {found['ended_because']}"


def _rows(rows: list[Mapping[str, Any]], key: str, otherwise: str, told: set[str], width: int) -> Iterator[str]:
    cells = [(f"{each[key]:,}", _change(each, otherwise), _rule(each), each["hint"]) for each in rows]
    widths = [max((len(cell[place]) for cell in cells), default=0) for place in range(3)]
    for cell, each in zip(cells, rows, strict=True):
        count, change, rule, hint = cell
        row = f"{count:>9} {change:<{widths[1]}}   {rule:<{widths[2]}}"
        if 0 < width <= len(row) + len(hint) + 3 and hint:
            yield row.rstrip()
            yield f"{'':>9}   {hint}"
        else:
            yield f"{row}   {hint}".rstrip()
        examples = " ".join(each["examples"])
        if examples and examples not in told:
            told.add(examples)
            yield f"{'':>9}   for example {examples}"


def _change(each: Mapping[str, Any], otherwise: str) -> str:
    return f"{_code(each['old']['code'], otherwise)} -> {_code(each['new']['code'], otherwise)}"


def _rule(each: Mapping[str, Any]) -> str:
    old, new = each["old"]["rule"], each["new"]["rule"]
    return f"{old} -> {new}" if old and new and old != new else str(new or old)


def _code(code: int | str | None, otherwise: str) -> str:
    if code is None:
        return otherwise
    known = code in ReasonCode.__members__.values()
    return f"{code} {ReasonCode(code).text}" if known and isinstance(code, int) else str(code)


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
