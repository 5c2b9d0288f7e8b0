"""Windows become rows, rows a table and JSON. Ratios compare CPU time for one request; more is better."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from configs import PathSpec

REFERENCES = ("bare", "naive", "validating", "nginx")


@dataclass(frozen=True, slots=True)
class Sample:
    """One window of one peer. CPU in microseconds for a request, None where it is not known; latencies in ms."""

    rps: float
    cpu_us: float | None
    p50_ms: float
    p99_ms: float


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


def ratio(row: Row, reference: Row | None, name: str = "cpu_us") -> float | None:
    """How many times as many requests for the same CPU time; with ``rps``: in the same time."""
    if reference is None:
        return None
    mine, theirs = row.middle(name), reference.middle(name)
    if not mine or not theirs:
        return None
    return theirs / mine if name == "cpu_us" else mine / theirs


def ratios(row: Row, rows: Iterable[Row], name: str = "cpu_us") -> dict[str, float]:
    """The ratios to those references that were measured on the same path."""
    others = {other.peer: other for other in rows if other.path.name == row.path.name}
    found = {reference: ratio(row, others.get(reference), name) for reference in REFERENCES if reference != row.peer}
    return {reference: value for reference, value in found.items() if value is not None}


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One object a row; each measure with its median and its extremes."""
    return [
        {
            "path": row.path.name,
            "peer": row.peer,
            **{name: _spread(row, name) for name in ("rps", "cpu_us", "p50_ms", "p99_ms")},
            "rss": row.rss or None,
            "cpu_ratios": ratios(row, rows),
            "rps_ratios": ratios(row, rows, "rps"),
            "problems": row.problems,
        }
        for row in rows
    ]


def _spread(row: Row, name: str) -> dict[str, float] | None:
    values = row.values(name)
    return {"median": median(values), "min": min(values), "max": max(values)} if values else None


def table(rows: Sequence[Row]) -> str:
    """The rows as aligned text, grouped by path."""
    lines: list[tuple[str, ...]] = [
        ("path", "peer", "req/s", "(min-max)", "CPU us", "(min-max)", "p50 ms", "p99 ms", "RSS MB", "CPU ratio to")
    ]
    lines += [_line(row, rows) for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = []
    for number, line in enumerate(lines):
        if number and line[0] != lines[number - 1][0]:
            text.append("")
        padded = zip(line, widths, strict=True)
        cells = [cell.rjust(width) if 2 <= i < 9 else cell.ljust(width) for i, (cell, width) in enumerate(padded)]
        text.append("  ".join(cells).rstrip())
    return "\n".join(text)


def growth(rows: Sequence[Row]) -> str | None:
    """What 100,000 rules cost fsproxy beside 10 (at most 1.2 times as much, better 1.1)."""
    cost = {row.path.name: row.middle("cpu_us") for row in rows if row.peer == "fsproxy"}
    few, many = cost.get("block-10"), cost.get("block-100k")
    return f"fsproxy: 100,000 rules cost {many / few:.2f} times what 10 do" if few and many else None


def _line(row: Row, rows: Sequence[Row]) -> tuple[str, ...]:
    compared = "  ".join(f"{name} {value:.2f}{_verdict(row, name, value)}" for name, value in ratios(row, rows).items())
    return (
        row.path.name,
        row.peer,
        *_cells(row, "rps", 0),
        *_cells(row, "cpu_us", 1),
        _cells(row, "p50_ms", 2)[0],
        _cells(row, "p99_ms", 2)[0],
        f"{row.rss / 1024 / 1024:.0f}" if row.rss else "-",
        compared + ("  FAILED: " + row.problems[0] if row.problems else ""),
    )


def _cells(row: Row, name: str, digits: int) -> tuple[str, str]:
    values = row.values(name)
    if not values:
        return "-", ""
    return f"{median(values):.{digits}f}", f"({min(values):.{digits}f}-{max(values):.{digits}f})"


def _verdict(row: Row, reference: str, value: float) -> str:
    """How fsproxy stands to what it is to reach."""
    for target in row.path.targets if row.peer == "fsproxy" else ():
        if target.against == reference:
            if target.goal is not None and value >= target.goal:
                return f" (goal {target.goal:g} reached)"
            if target.floor is not None and value < target.floor:
                return f" (BELOW floor {target.floor:g})"
            return f" (goal {target.goal:g})"
    return ""
