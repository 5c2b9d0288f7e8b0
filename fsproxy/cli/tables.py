"""Tables and progress bars: with rich, where it is installed and there is a terminal; else plain text and no bar."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import click

Advance = Callable[[int], None]
"""Takes the number of bytes that are done by now."""


def echo_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table to standard output, or nothing when it has no rows. Numbers are aligned to the right."""
    if not rows:
        return
    if echo_rich(title, columns, rows):
        return
    texts = [list(columns), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[place]) for row in texts) for place in range(len(columns))]
    right = _numbers(rows)
    click.echo(f"{title}:")
    for row in texts:
        cells = (
            c.rjust(w) if place in right else c.ljust(w) for place, (c, w) in enumerate(zip(row, widths, strict=True))
        )
        click.echo(f"  {'  '.join(cells)}".rstrip())


def echo_rich(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> bool:
    """Print a table with lines and return True; return False without a terminal or without rich."""
    if not sys.stdout.isatty():
        return False
    try:
        from rich.console import Console  # noqa: PLC0415 - an extra, and slow to import
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415
    except ImportError:
        return False
    table = Table(title=title or None, title_justify="left", title_style="bold", header_style="bold")
    right = _numbers(rows)
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))  # a str would be read as markup
    Console().print(table)
    return True


def _numbers(rows: Sequence[Sequence[object]]) -> frozenset[int]:
    return frozenset(place for place in range(len(rows[0])) if all(isinstance(row[place], int) for row in rows))


@contextmanager
def progress(label: str, total: int) -> Iterator[Advance]:
    """Show a progress bar on standard error, if that is a terminal. ``total`` is in bytes; 0: it is not known."""
    if not sys.stderr.isatty():
        yield _ignore
        return
    try:
        from rich.console import Console  # noqa: PLC0415 - an extra, and slow to import
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415
    except ImportError:
        yield _ignore
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total or None)
        yield lambda done: bar.update(task, completed=done)


def _ignore(_: int) -> None:
    """Show nothing."""
