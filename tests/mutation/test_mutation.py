"""The mutator makes what it says, and each module of the core has tests that judge it."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from mutation import plan, report
from mutation.mutants import mutants_of, mutated

RUN = Path(__file__).with_name("run.py")
SOURCE = '''"""A docstring."""
from __future__ import annotations
Pair = tuple[int, int]
LIMIT: int = 8 << 20

@cache(maxsize=3)
def f(x: int | None, *, wide: bool = True) -> str:
    """Another."""
    if not x or x >= LIMIT:
        raise ValueError
    return f"{-x:>3} and {g(x)!r}" if wide else b"a"
'''


def changes(source: str) -> list[str]:
    return [mutant.change for mutant in mutants_of(source)]


def test_what_runs_is_changed_and_nothing_else() -> None:
    assert changes(SOURCE) == [
        "8 << 20 → 8 >> 20",
        "8 → 9",
        "20 → 21",
        "True → False",
        "not x or x >= LIMIT → not x and x >= LIMIT",
        "not x → x",
        "x >= LIMIT → x > LIMIT",
        "raise ValueError → pass",
        "return f'{-x:>3} and {g(x)!r}' if wide else b'a' → return None",
        "wide → not wide",
        "-x → x",
        "' and ' → ' and XX'",
        "b'a' → b'aXX'",
    ]


@pytest.mark.parametrize("module", ["wire/cookies", "limits/ramping"])
def test_every_mutant_is_another_program_that_compiles_and_differs_in_one_place(module: str) -> None:
    source = plan.source_of(module).read_text(encoding="utf-8")
    before = ast.unparse(ast.parse(source))
    seen = set()
    for mutant in mutants_of(source):
        tree = mutated(source, mutant.number)
        compile(tree, module, "exec")
        after = ast.unparse(tree)
        assert after != before, mutant
        seen.add(after)
    assert len(seen) > 0.9 * len(mutants_of(source))


def test_a_mutant_tells_where_it_stands() -> None:
    mutant = mutants_of(SOURCE)[7]
    assert (mutant.number, mutant.line, mutant.scope) == (7, 10, "f")


@pytest.mark.parametrize("module", plan.modules())
def test_every_module_of_the_core_has_tests_that_judge_it(module: str) -> None:
    files = plan.tests_of(module)
    assert all(path.is_file() for path in files)
    assert files or not mutants_of(plan.source_of(module).read_text(encoding="utf-8"))


def test_the_report_counts_and_names_what_survived() -> None:
    mutant = mutants_of(plan.source_of("wire/cookies").read_text(encoding="utf-8"))[0]
    key = f"{mutant.number}:{mutant.line}:{mutant.scope}:{mutant.change}"
    text = report.written({"wire/cookies": {key: "survived", "1:2:f:a → b": "killed", "2:3:f:c → d": "timeout"}})
    assert "**2 of 3 mutants killed: 66.7 %**" in text
    assert f"`fsproxy/core/wire/cookies.py`: `{mutant.change}`" in text
    assert "a → b" not in text
    fresh = report.written(
        {"wire/cookies": {key: "survived"}}, {"wire/cookies": {key: "killed", "4:5:f:e → f": "killed"}}
    )
    assert "Of 1 others in 1 modules, drawn with another seed and looked at by no one, 1 were killed: 100.0 %." in fresh


def test_a_reason_is_given_for_modules_scopes_and_changes_by_pattern() -> None:
    among = [report.Reason("filters/*", "f", "[0] → *", "because")]
    assert report.why("filters/ip", "f", "[0] → [1]", among) == "because"
    assert report.why("filters/ip", "g", "[0] → [1]", among) is None
    assert report.why("hosts", "f", "[0] → [1]", among) is None
    assert all(each.why.endswith(".") for each in report.reasons())


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="it forks")
def test_the_command_judges_mutants_and_keeps_what_came_out(tmp_path: Path) -> None:
    results = tmp_path / "r.json"
    command = (sys.executable, str(RUN), "--sample", "3", "--modules", "matching/zones", "--results", str(results))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(results.read_text(encoding="utf-8"))
    assert list(found) == ["matching/zones"]
    assert len(found["matching/zones"]) == 3
    assert "killed" in found["matching/zones"].values()
    assert "of    3 killed" in done.stdout
