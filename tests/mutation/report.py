"""Writes docs/mutation.md: the score, and every mutant that survived, with the reason why it may."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from mutation import plan
from mutation.mutants import mutants_of

ACCEPTED = Path(__file__).with_name("accepted.toml")
Results = Mapping[str, Mapping[str, str]]

_HEAD = """# Mutation testing of the core

    python tests/mutation/run.py --results mutation.json            # 30 mutants a module
    python tests/mutation/run.py --results mutation.json --all      # every mutant
    python tests/mutation/run.py --results mutation.json --again    # those that survived, once more
    python tests/mutation/run.py --results mutation.json --report docs/mutation.md

(in the environment of the test command; Linux and macOS). A mutant is one small change: a comparison, an operator, a
number, a text, `and` for `or`, a condition turned round, `None` returned, a `raise` or a call left out. Annotations,
decorators, imports and docstrings are left alone. Each mutant is judged by the tests of its own module alone, as
`tests/mutation/plan.py` lists them, not by the rest of the suite. It is killed when one of them fails, when it cannot be
imported, or when they take ten times the CPU time that they should. Samples are drawn with a fixed seed, so a run can be
repeated; the list below is made from its results.

"""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why some survivors are accepted."""

    module: str
    scope: str
    change: str
    """A pattern with ``*``."""
    why: str


def reasons() -> list[Reason]:
    """All that are written down."""
    found = tomllib.loads(ACCEPTED.read_text(encoding="utf-8"))["accepted"]
    return [Reason(each["module"], each.get("scope", "*"), each["change"], each["why"]) for each in found]


def why(module: str, scope: str, change: str, among: list[Reason]) -> str | None:
    """Why this one is accepted, or None."""
    for each in among:
        if fnmatchcase(module, each.module) and fnmatchcase(scope, each.scope) and _same(change, each.change):
            return each.why
    return None


def _same(change: str, pattern: str) -> bool:
    # No brackets with a meaning of their own: changes are code.
    return fnmatchcase(change, pattern.replace("[", "[[]"))


def written(results: Results, fresh: Results | None = None) -> str:
    """The whole document; ``fresh``: those of another sample, which no test was written for."""
    judged = sum(map(len, results.values()))
    survivors = {
        module: [key for key, value in each.items() if value == "survived"] for module, each in results.items()
    }
    left = sum(map(len, survivors.values()))
    whole = {module: len(mutants_of(plan.source_of(module).read_text(encoding="utf-8"))) for module in results}
    killed = judged - left
    share = f"{killed} of {judged} mutants killed: {100 * killed / judged:.1f} %"
    lines = [f"**{share}**, judged of {sum(whole.values())} that there are, in {len(results)} modules.\n"]
    if fresh:
        lines.append(_of_fresh(results, fresh))
    lines.append("| module | mutants | judged | killed | |\n|---|---|---|---|---|")
    for module, each in sorted(results.items()):
        dead = len(each) - len(survivors[module])
        lines.append(f"| `{module}` | {whole[module]} | {len(each)} | {dead} | {100 * dead / len(each):.0f} % |")
    return _HEAD + "\n".join(lines) + "\n\n## Survivors\n\n" + _survivors(survivors)


def _of_fresh(results: Results, fresh: Results) -> str:
    """Say how many were killed of those that the other results do not hold."""
    new = [value for module, each in fresh.items() for key, value in each.items() if key not in results.get(module, {})]
    killed = sum(value != "survived" for value in new)
    return (
        f"Many tests were written because mutants of this sample had survived, so it flatters. Of {len(new)} others in "
        f"{len(fresh)} modules, drawn with another seed and looked at by no one, {killed} were killed: "
        f"{100 * killed / len(new):.1f} %.\n"
    )


def _survivors(survivors: Mapping[str, list[str]]) -> str:
    among = reasons()
    by_reason: dict[str, list[str]] = {}
    for module, keys in sorted(survivors.items()):
        for key in sorted(keys, key=lambda key: int(key.partition(":")[0])):
            # Without the line, which any change above it moves.
            _, _, scope, change = key.split(":", 3)
            reason = why(module, scope, change, among) or "Not looked at yet."
            place = f"`fsproxy/core/{module}.py`{f' {scope}' if scope else ''}"
            by_reason.setdefault(reason, []).append(f"- {place}: `{change.replace('`', chr(39))}`")
    return "\n".join(f"**{reason}**\n\n" + "\n".join(places) + "\n" for reason, places in by_reason.items())
