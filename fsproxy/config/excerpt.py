"""The line of a fault with a mark under it. What is not known to be no secret is left out of the line: ``…``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from itertools import groupby

from fsproxy.config.key_tree import names
from fsproxy.config.problems import HIDDEN, Problem
from fsproxy.config.yaml.positions import SECRETS, Node, Scalar, Table, shown_path

MOST = 100
"""Faults that get an excerpt."""
_WIDEST = 100
"""Characters of a line that are shown, and how many of them may be before the mark."""
_BEFORE = 60
_REFERENCE = re.compile(r"""(["']?)\$\{\w+\}\1""")
_WORD = r"(?!-+(?:\s|$))[^\s\[\]{},:]+(?:[\[\]{},:]+[^\s\[\]{},:]+)*"
_HIDDEN_WORDS = re.compile(rf"{_WORD}(?:\s+{_WORD})*")
"""What is left out where nothing is known: all but the blanks and brackets around it."""
_KEY = re.compile(r"""(?P<name>[\w-]+):(?:[ \t]+[^\s,\[\]{}#:$@][^,\[\]{}#:$@]*)?""")
_NEAR_SECRETS = re.compile(rf"\b(?:{'|'.join(name for path in SECRETS for name in path.split('.'))})\b")
"""The names of secrets, and of the sections that they are in."""

_UNKNOWN, _SHOWN, _LEFT_OUT = range(3)
"""Of each character of a line."""
_Spans = list[tuple[int, int, bool]]
"""Parts of a line: the first column and the one behind the last, from 0, and whether it may be shown."""


def with_excerpts(
    problems: Sequence[Problem], text: str, file: str, tree: Node | None, unknown: AbstractSet[str] = frozenset()
) -> list[Problem]:
    """Return the problems, the first ones with an excerpt of the file's text.

    Nothing is shown of what is below an ``unknown`` key path: it may be a misspelt secret. Without a tree, as the text
    is no YAML, only known keys are shown, with those values that cannot be secrets.
    """
    lines = text.splitlines()
    first = [p for p in problems[:MOST] if p.file == file and 0 < p.line <= len(lines)]
    spans: dict[int, _Spans] = {problem.line: [] for problem in first}
    if tree is not None:
        _find(tree, unknown, lines, spans)
    else:
        for number, found in spans.items():
            found.extend(_readable(lines[number - 1]))
    made = {id(each): replace(each, excerpt=_excerpt(each, lines[each.line - 1], spans[each.line])) for each in first}
    return [made.get(id(problem), problem) for problem in problems]


def _find(
    node: Node, unknown: AbstractSet[str], lines: Sequence[str], spans: Mapping[int, _Spans], *, hide: bool = False
) -> None:
    """Add the spans of the keys and scalars of these lines."""
    hide = hide or node.path in unknown
    if isinstance(node, Scalar):
        if node.place.line in spans:
            start = node.place.column - 1
            end = start + node.width
            written = lines[node.place.line - 1][start:end]
            shown = not hide and (node.shown() != HIDDEN or _REFERENCE.fullmatch(written) is not None)
            spans[node.place.line].append((start, end, shown))
        return
    members = node.members.items() if isinstance(node, Table) else ()
    for name, member in members:
        if member.key_place.line in spans:
            start = member.key_place.column - 1
            line = lines[member.key_place.line - 1]
            end = start + len(name) + (2 if line[start : start + 1] in ("'", '"') else 0)
            shown = not hide and node.path not in SECRETS and shown_path(member.path) == member.path
            spans[member.key_place.line].append((start, end, shown))
    hide = hide or node.path in SECRETS
    for below in node.members.values() if isinstance(node, Table) else getattr(node, "items", ()):
        _find(below, unknown, lines, spans, hide=hide)


def _readable(line: str) -> _Spans:
    """Return the spans of the known keys of a line that is no YAML; with their values, if no secret can be near."""
    keys, part = set(names()), "name" if _NEAR_SECRETS.search(line) else 0
    return [(*match.span(part), True) for match in _KEY.finditer(line) if match["name"] in keys]


def _excerpt(problem: Problem, line: str, spans: _Spans) -> str:
    cut = max(0, problem.column - 4 * _BEFORE)  # a line may have millions of characters
    line = line[cut : cut + 8 * _BEFORE]
    spans = [(max(first - cut, 0), end - cut, shown) for first, end, shown in spans if cut < end <= cut + len(line)]
    start = problem.column - 1 - cut
    own = problem.key_path.rpartition(".")[2] if problem.value is None else ""
    if own and line.startswith(own, start):
        spans = [*spans, (start, start + len(own), True)]
    known = [_UNKNOWN] * len(line)
    for first, end, shown in sorted(spans, key=lambda span: not span[2]):
        known[first:end] = [_SHOWN if shown else _LEFT_OUT] * (min(end, len(line)) - first)
    before, after = _shown(line, known, 0, start), _shown(line, known, start, len(line))
    if before.endswith("…") and after.startswith("…"):
        before = before[:-1]
    # A key that is missing is marked at the beginning of its section.
    is_there = not own or line.startswith(own, start)
    width = max((end - first for first, end, shown in spans if is_there and shown and first == start), default=1)
    before = f"...{before[3 - _BEFORE :]}" if len(before) > _BEFORE else before
    room = _WIDEST - len(before)
    after = f"{after[: room - 3]}..." if len(after) > room else after
    number = f"{problem.line:>4} | "
    mark = "^" * max(1, min(width, len(after)))
    return f"{number}{before}{after}\n{' ' * (len(number) - 2)}| {' ' * len(before)}{mark}"


def _shown(line: str, known: Sequence[int], start: int, end: int) -> str:
    """Return a part of the line, with tabs and what does not print replaced by one character each."""
    parts: list[str] = []
    for kind, run in groupby(range(start, min(end, len(line))), known.__getitem__):
        columns = list(run)
        part = line[columns[0] : columns[-1] + 1]
        parts.append(part if kind == _SHOWN else "…" if kind == _LEFT_OUT else _HIDDEN_WORDS.sub("…", part))
    return "".join(each if each.isprintable() else "→" if each == "\t" else "?" for each in "".join(parts))
