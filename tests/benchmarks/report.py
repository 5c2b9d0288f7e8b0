"""Windows become rows, rows a table and JSON. Ratios compare CPU time for one request: above 1, ours is cheaper."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from configs import PathSpec
from load import Window


@dataclass(frozen=True, slots=True)
class Sample:
    """One window of one peer. CPU in microseconds for a request, None where it is not known; latencies in ms."""

    rps: float
    cpu_us: float | None
    p50_ms: float
    p99_ms: float

    @classmethod
    def of(cls, window: Window, cpu_ns: int | None) -> Sample:
        """What a window comes to."""
        return cls(
            rps=window.requests / window.seconds,
            cpu_us=cpu_ns / 1000 / window.requests if cpu_ns is not None else None,
            p50_ms=window.percentile(0.50) * 1000,
            p99_ms=window.percentile(0.99) * 1000,
        )


@dataclass
class Row:
    """All windows of one peer on one path."""

    path: PathSpec
    peer: str
    samples: list[Sample] = field(default_factory=list)
    rss: int = 0
    problems: list[str] = field(default_factory=list)

    def values(self, name: str) -> list[float]:
        """One measure of all windows; empty when it is not known."""
        found = [getattr(sample, name) for sample in self.samples]
        return [value for value in found if value is not None]

    def middle(self, name: str) -> float | None:
        """The median over the windows."""
        values = self.values(name)
        return median(values) if values else None


def ratios(row: Row, rows: Iterable[Row]) -> dict[str, float]:
    """CPU time of the others on ours' path, divided by ours; empty for the others."""
    mine = row.middle("cpu_us")
    if row.peer != row.path.ours or not mine:
        return {}
    others = {other.peer: other.middle("cpu_us") for other in rows if other.path is row.path and other is not row}
    return {peer: cost / mine for peer, cost in others.items() if cost}


def added(row: Row, rows: Iterable[Row], name: str) -> float | None:
    """What a peer adds to a latency of the upstream asked directly, in ms; None where that was not measured."""
    direct = next((each for each in rows if each.path is row.path and each.peer == "direct"), None)
    mine, least = row.middle(name), direct.middle(name) if direct is not None and direct is not row else None
    return mine - least if mine is not None and least is not None else None


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One object a row; each measure with its median and its extremes."""
    return [
        {
            "path": row.path.name,
            "peer": row.peer,
            **{name: _spread(row, name) for name in ("rps", "cpu_us", "p50_ms", "p99_ms")},
            **{f"added_{name}": added(row, rows, name) for name in ("p50_ms", "p99_ms")},
            "rss": row.rss or None,
            "cpu_ratios": ratios(row, rows),
            "problems": row.problems,
        }
        for row in rows
    ]


def _spread(row: Row, name: str) -> dict[str, float] | None:
    values = row.values(name)
    return {"median": median(values), "min": min(values), "max": max(values)} if values else None


COLUMNS = ("path", "peer", "CPU us", "(min-max)", "req/s", "p50 ms", "p99 ms", "added", "MB", "CPU time of")


def table(rows: Sequence[Row]) -> str:
    """The rows as aligned text, grouped by path."""
    lines = [COLUMNS, *(_line(row, rows) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    text = []
    for number, line in enumerate(lines):
        if number and line[0] != lines[number - 1][0]:
            text.append("")
        padded = zip(line, widths, strict=True)
        cells = [cell.rjust(width) if 2 <= i < 9 else cell.ljust(width) for i, (cell, width) in enumerate(padded)]
        text.append("  ".join(cells).rstrip())
    return "\n".join(text)


def _line(row: Row, rows: Sequence[Row]) -> tuple[str, ...]:
    compared = "  ".join(f"{peer} {value:.2f}{_verdict(row, peer, value)}" for peer, value in ratios(row, rows).items())
    cost = row.values("cpu_us")
    more = [added(row, rows, name) for name in ("p50_ms", "p99_ms")]
    return (
        row.path.name,
        row.peer,
        _cell(row.middle("cpu_us"), 1),
        f"({min(cost):.1f}-{max(cost):.1f})" if cost else "",
        _cell(row.middle("rps"), 0),
        _cell(row.middle("p50_ms"), 2),
        _cell(row.middle("p99_ms"), 2),
        " / ".join(f"{each:+.2f}" for each in more if each is not None),
        f"{row.rss / 1024 / 1024:.0f}" if row.rss else "-",
        compared + ("  FAILED: " + row.problems[0] if row.problems else ""),
    )


def _cell(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _verdict(row: Row, peer: str, value: float) -> str:
    """How ours stands to what it is to reach."""
    target = row.path.target
    if target is None or target.against != peer:
        return ""
    if value >= target.goal:
        return f" (goal {target.goal:g} reached)"
    return f" (goal {target.goal:g})" if value >= target.floor else f" (BELOW floor {target.floor:g})"
