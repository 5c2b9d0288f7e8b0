"""Keeps the audit lines that programs wrote in each test, for ``tests/benchmarks/audit_lines.py``.

Only if ``FSPROXY_TEST_AUDIT_LINES`` names a folder. Each process of pytest appends to a file of its own there. A program
that outlives the test which started it, such as a module's, has its lines told apart by their time.
"""

from __future__ import annotations

import json
import os
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from fsproxy.clock import now

FOLDER = "FSPROXY_TEST_AUDIT_LINES"
_begun: list[tuple[float, str]] = []
"""When each test began, in whole milliseconds as in audit lines, and its node id."""


def test_begins(node: str) -> None:
    """Note that programs from now on answer to this test."""
    _begun.append((int(now() * 1000) / 1000, node))


@contextmanager
def kept(folder: Path, config: Mapping[str, Any], default: str = "stdout") -> Iterator[None]:
    """Keep the lines that the programs with this configuration leave in ``folder`` when the block ends.

    They write to ``audit.to``, or else to ``default``; a file that was renamed beside that one counts too.
    """
    first = len(_begun)
    try:
        yield
    finally:
        if FOLDER in os.environ:
            to = folder / config.get("audit", {}).get("to", default)
            tests = _begun[max(first - 1, 0) :]
            whole = [line for path in sorted(to.parent.glob(to.name + "*")) for line in _lines(path)]
            into = Path(os.environ[FOLDER])
            into.mkdir(parents=True, exist_ok=True)
            with (into / f"{os.getpid()}.jsonl").open("a") as file:
                for line in whole:
                    file.write(json.dumps({"test": _test_of(line, tests), "line": line}) + "\n")


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        return
    for text in path.read_text(errors="replace").splitlines():
        try:
            line = json.loads(text)
        except ValueError:  # half a line of a program that was killed
            continue
        if isinstance(line, dict) and "fsproxy.audit.version" in line:
            yield line


def _test_of(line: Mapping[str, Any], tests: list[tuple[float, str]]) -> str:
    if len(tests) < 2:
        return tests[0][1] if tests else ""
    at = datetime.fromisoformat(line["@timestamp"]).timestamp()
    return tests[max(bisect_right(tests, at, key=lambda each: each[0]) - 1, 0)][1]
