"""Sends mutated heads to two checkouts and compares what each answers and what each sends up, byte by byte: on Linux.

    python tests/benchmarks/mutated_heads.py OTHER [--count 100000] [--seed 1] [--env NAME=VALUE] [--case NUMBER]

OTHER is a folder with another checkout; ``--env`` sets a variable for that one alone, so that ``OTHER=.`` with
``--env FSPROXY_FAST_LANE=off`` compares the lanes. Both run as processes with the same rules in front of an upstream
that keeps the bytes of every request. After each case a probe is sent, to see whether the connection is still in step.
Ids of requests and instances, dates and ports are masked. A case that differs is sent up to ten times more, with new
ids; only one that differs each time counts, the others are called unsteady. Exit status 1: there is a difference.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

import peers
from head_corpus import Case, case
from head_programs import LANES, Outcome, Program

A_LANE = 100
"""Cases of one lane in a batch; after each batch all is compared."""
PATIENT = 4.0
"""How much longer is waited when a case is sent again."""
AGAIN = 10
"""How often a case that differs is sent again, at most: a race between two pieces goes either way by chance."""
SHOWN = 3
"""Examples of each kind of difference."""


@dataclass
class Report:
    """What was found."""

    counts: Counter[str] = field(default_factory=Counter)
    differences: dict[str, list[str]] = field(default_factory=dict)
    """Kind of difference -> examples."""

    def note(self, each: Case, ours: Outcome, theirs: Outcome) -> None:
        """A case that differs each time."""
        kind = what_differs(ours, theirs)
        self.counts["differ"] += 1
        self.differences.setdefault(kind, []).append(shown(each, ours, theirs))

    def text(self) -> str:
        """For people: the differences by kind, with the first examples of each."""
        lines = []
        for kind, examples in sorted(self.differences.items(), key=lambda item: -len(item[1])):
            lines += [f"== {len(examples)} x {kind}", *examples[:SHOWN]]
        return "\n".join([*lines, "  ".join(f"{name}: {count}" for name, count in sorted(self.counts.items()))])


def what_differs(ours: Outcome, theirs: Outcome) -> str:
    """In a few words."""
    parts = []
    statuses = [
        b" ".join(re.findall(rb"HTTP/1\.1 (\d{3})", each.answer)).decode() or "no answer" for each in (ours, theirs)
    ]
    if ours.answer != theirs.answer:
        parts.append(f"answers {statuses[0]} | {statuses[1]}" if statuses[0] != statuses[1] else "bytes of an answer")
    if ours.end != theirs.end:
        parts.append(f"connection {ours.end} | {theirs.end}")
    if ours.upstream != theirs.upstream:
        counts = len(ours.upstream), len(theirs.upstream)
        parts.append("bytes sent up" if counts[0] == counts[1] else f"requests sent up {counts[0]} | {counts[1]}")
    return ", ".join(parts)


def shown(each: Case, ours: Outcome, theirs: Outcome) -> str:
    """A case that differs, for a person."""
    sent = [f"     sent  {_short(piece)}" for piece in each.pieces]
    how = f"{'fresh' if each.fresh else 'kept'}, probe {'at once' if each.probe_at_once else 'after'}"
    lines = [f"-- case {each.number}: {each.words} ({how})", *sent]
    for name, one, other in (("this", ours, theirs), ("other", theirs, ours)):
        if one.answer != other.answer or one.end != other.end:
            lines.append(f"{name:>9}  {_short(one.answer)} [{one.end}]")
        for at, request in enumerate(one.upstream):
            against = other.upstream[at] if at < len(other.upstream) else b""
            if request != against:
                lines.append(f"{name:>6} up  {_short(_unlike(request, against))}")
    return "\n".join(lines)


def _unlike(data: bytes, other: bytes) -> bytes:
    """Only the first line, and those lines that the other has not; all if only their order differs."""
    lines, theirs = data.split(b"\r\n"), other.split(b"\r\n")
    if sorted(lines) == sorted(theirs):
        return data
    return b"\r\n".join((lines[0], b"...", *(line for line in lines[1:] if line not in theirs)))


def _short(data: bytes) -> str:
    text = repr(data)[2:-1].replace("\\r\\n", "\\r\\n ")
    return re.sub(r"(.{1,4}?)\1{20,}", lambda found: f"{found[1]}<{len(found[0])}>", text)[:2500]


async def compare(options: argparse.Namespace) -> Report:
    """Send all cases to both."""
    report = Report()
    given = dict(each.split("=", 1) for each in options.env)
    numbers = [options.case] if options.case is not None else range(options.count)
    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(Program("this", peers.ROOT, {}))
        theirs = await stack.enter_async_context(Program("other", options.other.resolve(), given))
        for first in range(0, len(numbers), LANES * A_LANE):
            batch = [case(options.seed, number) for number in numbers[first : first + LANES * A_LANE]]
            await _batch(options.seed, batch, ours, theirs, report)
            report.counts["cases"] += len(batch)
            if not options.quiet:
                sys.stderr.write(f"\r{dict(report.counts)}, {ours.memory >> 20} and {theirs.memory >> 20} MB ")
        for program in (ours, theirs):
            if "Traceback" in program.said():
                report.differences.setdefault(f"a traceback of {program.name}", []).append(program.said())
    return report


async def _batch(seed: int, batch: list[Case], ours: Program, theirs: Program, report: Report) -> None:
    suspects: list[tuple[Case, Outcome, Outcome]] = []
    for each, mine, others in zip(batch, *await _both(batch, ours, theirs), strict=True):
        report.counts[mine.end] += 1
        report.counts["forwarded"] += any(b" /s/probe?" not in request for request in mine.upstream)
        status = re.match(rb"HTTP/1\.1 (\d{3})", mine.answer)
        report.counts[f"status {status[1].decode() if status else 'none'}"] += 1
        if mine != others:
            suspects.append((each, mine, others))
    for number in range(AGAIN):
        if ours.unmarked == theirs.unmarked:
            break
        if number == AGAIN - 1:
            report.differences.setdefault("requests without a mark", []).append(f"{ours.unmarked}\n{theirs.unmarked}")
        await _both(batch, ours, theirs)
    for attempt in range(1, AGAIN + 1 if suspects else 0):
        # With ids of its own again: the programs may have learned something of the first time.
        cases = [case(seed, each.number, attempt) for each, *_ in suspects]
        again = zip(cases, *await _both(cases, ours, theirs, PATIENT), strict=True)
        steady = [(each, mine, others) for each, mine, others in again if mine != others]
        report.counts["unsteady"] += len(suspects) - len(steady)
        suspects = steady
    for each, mine, others in suspects:
        report.note(each, mine, others)


async def _both(
    cases: list[Case], ours: Program, theirs: Program, patience: float = 1.0
) -> tuple[list[Outcome], list[Outcome]]:
    return await asyncio.gather(ours.answers(cases, patience), theirs.answers(cases, patience))


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="for OTHER alone")
    parser.add_argument("--case", type=int, help="send this one alone")
    parser.add_argument("--quiet", action="store_true", help="tell nothing meanwhile")
    report = uvloop.run(compare(parser.parse_args()))
    print(report.text())
    return 1 if report.differences else 0


if __name__ == "__main__":
    sys.exit(main())
