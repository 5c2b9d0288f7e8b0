"""Compares the audit lines that programs wrote in each test, of one run of the tests with those of others.

    FSPROXY_TEST_AUDIT_LINES=FOLDER pytest tests/integration ...
    python tests/benchmarks/audit_lines.py BEFORE [BEFORE ...] AFTER [--only WORD]

The order of lines does not count. Times, durations, ids of requests, UUIDs, numbers of workers and ports are masked. With
several runs of before, what differs among them is known to be unsteady: of such a test only lines are told of which
those runs have none of the kind, and they do not count. Exit status 1: the lines of a steady test differ.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
OWN = re.compile(r"(?<=-)\d+-[0-9a-f]{8}\b|(?<=auth:)[0-9a-f]{16}\b")
"""A number and chance in names that tests give to orgs, sessions and pages, and the digest of such credentials."""
PORT = re.compile(r"(?<=127\.0\.0\.1:)\d+|(?<=localhost:)\d+|(?<=\[::1\]:)\d+")
NUMBER = re.compile(r"\d+")
MASKED = ("@timestamp", "http.request.id", "fsproxy.worker")
SHOWN = 20
"""Differing fields of one test."""
Lines = dict[str, Counter[str]]
"""Test -> each of its lines as text, and how often."""


def read(folder: Path) -> Lines:
    """The lines of all files of a run."""
    found: Lines = defaultdict(Counter)
    for path in sorted(folder.glob("*.jsonl")):
        for text in path.read_text().splitlines():
            each = json.loads(text)
            found[each["test"]][masked(each["line"])] += 1
    if not found:
        raise SystemExit(f"{folder}: no audit lines")
    return found


def masked(line: dict[str, Any]) -> str:
    """The line without what no two runs have in common, its fields by name."""
    kept = {
        name: "(masked)" if name in MASKED or name.endswith("duration") else value
        for name, value in sorted(line.items())
    }
    text = json.dumps(kept, sort_keys=True)
    for pattern, word in ((UUID, "(uuid)"), (OWN, "(own)"), (PORT, "(port)")):
        text = pattern.sub(word, text)
    return text


def differences(before: Sequence[Lines], after: Lines) -> Iterator[tuple[bool, str]]:
    """Whether it counts, and what differs, test by test."""
    for test in sorted({*after, *(name for run in before for name in run)}):
        runs = [run[test] for run in before if test in run] or [Counter()]
        now = after.get(test, Counter())
        if not now:
            yield True, f"{test}: no line at all, {runs[0].total()} before"
            continue
        if any(run != runs[0] for run in runs):
            known = {NUMBER.sub("#", line) for run in runs for line in run}
            for line in now:
                if NUMBER.sub("#", line) not in known:
                    yield False, f"{test}: unsteady, and new: {line}"
        elif now != runs[0]:
            lines = list(compared(list((runs[0] - now).elements()), list((now - runs[0]).elements())))
            more = [f"  and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
            yield True, "\n".join((f"{test}:", *lines[:SHOWN], *more))


def compared(gone: list[str], new: list[str]) -> Iterator[str]:
    """Pairs of lines that are most alike, field by field; then those that have no like."""
    left = [json.loads(line) for line in new]
    for line in map(json.loads, gone):
        alike = max(left, key=lambda other: sum(other.get(name) == value for name, value in line.items()), default=None)
        if alike is None:
            yield f"  gone  {json.dumps(line)}"
            continue
        left.remove(alike)
        for name in sorted({*line, *alike}):
            if line.get(name, "(none)") != alike.get(name, "(none)"):
                yield f"  {name}: {json.dumps(line.get(name, '(none)'))} -> {json.dumps(alike.get(name, '(none)'))}"
    for line in left:
        yield f"  new   {json.dumps(line)}"


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, nargs="+", help="folders of runs of before")
    parser.add_argument("after", type=Path, help="folder of the run to compare with them")
    parser.add_argument("--only", default="", metavar="WORD", help="tests with this in their name, such as decisions/")
    options = parser.parse_args()
    *before, after = (
        {test: lines for test, lines in read(folder).items() if options.only in test}
        for folder in (*options.before, options.after)
    )
    found = list(differences(before, after))
    print("\n".join(text for _, text in found))
    unsteady = sum(
        len({frozenset(run[test].items()) for run in before if test in run}) > 1 for test in {*chain(*before)}
    )
    counting = sum(counts for counts, _ in found)
    print(
        f"{sum(map(Counter.total, after.values()))} lines of {len(after)} tests; {counting} tests differ, {unsteady} are unsteady"
    )
    return 1 if counting else 0


if __name__ == "__main__":
    sys.exit(main())
