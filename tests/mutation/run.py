"""Mutation testing of the core: changes one thing at a time and sees whether a test notices.

    python tests/mutation/run.py [--all | --sample N] [--modules limits/rate,filters/] [--results FILE] [--report FILE]

Each mutant runs in a fork of one process that has pytest and all libraries loaded: the changed module is compiled
in place of its file, and only the module's own tests run (plan.py), without shrinking. A mutant is killed when a
test fails, a module cannot be imported any more, or the tests take ten times the CPU time that they should. Samples are
drawn with a fixed seed, so a score can be repeated. Results are kept in FILE and added to. Linux and macOS.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import random
import resource
import signal
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

from mutation import plan, report  # noqa: E402 - run by its path, it first says where the tests are
from mutation.mutants import Mutant, mutants_of, mutated  # noqa: E402 - the same

SEED = 20_261_121
MEMORY = 3 << 30
"""Bytes of address space that a mutant may have: a loop that no longer ends may also grow."""
_CHANGED = "fsproxy.core."
_PASSED, _FAILED = 0, 1
_OWN = ("fsproxy", "support", "conftest", "test_")


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--sample", type=int, default=30, metavar="N", help="mutants a module (default 30)")
    size.add_argument("--all", action="store_true", help="every mutant")
    parser.add_argument("--seed", type=int, default=SEED, help="another one draws another sample")
    parser.add_argument("--modules", default="", help="of the core: names, or folders that end with /; default all")
    parser.add_argument("--results", type=Path, default=Path("mutation.json"), help="default mutation.json")
    parser.add_argument("--again", action="store_true", help="only those that survived by the results")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the results as Markdown; runs nothing")
    parser.add_argument("--fresh", type=Path, metavar="FILE", help="results of another seed, for the report")
    return parser.parse_args(words)


def chosen(words: str) -> list[str]:
    """The modules that the command names."""
    names = plan.modules()
    if not words:
        return names
    wanted = words.split(",")
    return [name for name in names if name in wanted or any(w.endswith("/") and name.startswith(w) for w in wanted)]


def sample(module: str, found: list[Mutant], size: int, seed: int = SEED) -> list[Mutant]:
    """Draw so many mutants of a module, the same ones each time."""
    if len(found) <= size:
        return found
    drawn = random.Random(f"{seed} {module}").sample(found, size)
    return sorted(drawn, key=lambda mutant: mutant.number)


class _Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives one module with a mutant in it."""

    def __init__(self, module: str, path: Path, number: int) -> None:
        self._name = _CHANGED + module.removesuffix("/__init__").replace("/", ".")
        self._path, self._number = path, number

    def find_spec(
        self, fullname: str, path: object = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        package = self._path.name == "__init__.py"
        spec = importlib.util.spec_from_file_location(
            fullname, self._path, loader=self, submodule_search_locations=[str(self._path.parent)] if package else None
        )
        assert spec is not None
        return spec

    def exec_module(self, module: types.ModuleType) -> None:
        tree = mutated(self._path.read_text(encoding="utf-8"), self._number)
        exec(compile(tree, str(self._path), "exec"), module.__dict__)  # noqa: S102  # this is what a mutant is


class _QuickFirst:
    """Puts tests of examples before those of properties: most mutants die of the first."""

    @staticmethod
    def pytest_collection_modifyitems(items: list[Any]) -> None:
        items.sort(key=lambda item: getattr(getattr(item, "obj", None), "is_hypothesis_test", False))


def load() -> None:
    """Import what all tests need but what is ours: forks start with it."""
    for name in ("pytest", "hypothesis.stateful", "fsproxy.config.loader", "fsproxy.app", "limits", "netaddr"):
        importlib.import_module(name)
    for name in [name for name in sys.modules if name.startswith(_OWN)]:
        del sys.modules[name]
    gc.collect()
    gc.freeze()


def judged(module: str, number: int | None, seconds: float) -> str:
    """Run a module's tests on a mutant (None: on the module as it is): ``killed``, ``survived`` or ``timeout``.

    ``seconds`` of CPU time: what else the machine does is no matter.
    """
    child = os.fork()
    if not child:
        code = _FAILED
        try:
            code = _in_fork(module, number, seconds)
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return "timeout" if os.WTERMSIG(status) == signal.SIGPROF else "killed"
    return "survived" if os.WEXITSTATUS(status) == _PASSED else "killed"


def _in_fork(module: str, number: int | None, seconds: float) -> int:
    signal.setitimer(signal.ITIMER_PROF, seconds)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    nowhere = os.open(os.devnull, os.O_RDWR)
    for each in (0, 1, 2):
        os.dup2(nowhere, each)
    import hypothesis
    import pytest

    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile(
        "mutation", phases=phases, derandomize=True, database=None, deadline=None, print_blob=False
    )
    hypothesis.settings.load_profile("mutation")
    if number is not None:
        sys.meta_path.insert(0, _Changed(module, plan.source_of(module), number))
    files = [str(path) for path in plan.tests_of(module)]
    quiet = ["-q", "--no-header", "--tb=no", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    options = ["-n", "0", "-x", *quiet]
    return int(pytest.main([*options, *files], plugins=[_QuickFirst()]))


def run(module: str, options: argparse.Namespace, results: dict[str, dict[str, str]]) -> None:
    """Judge a module's mutants, and write what came out after each module."""
    found = mutants_of(plan.source_of(module).read_text(encoding="utf-8"))
    known = results.get(module, {})
    if options.again:
        picked = [each for each in found if known.get(_key(each)) == "survived"]
    else:
        picked = found if options.all else sample(module, found, options.sample, options.seed)
    if not picked:
        return
    before = _used()
    if judged(module, None, 300.0) != "survived":
        sys.exit(f"{module}: its tests fail as it is")
    limit = 10 * (_used() - before) + 5
    here = {**known, **{_key(each): judged(module, each.number, limit) for each in picked}}
    current = {_key(each) for each in found}
    results[module] = {key: value for key, value in here.items() if key in current}
    options.results.write_text(json.dumps(results, indent=1, sort_keys=True), encoding="utf-8")
    values = list(results[module].values())
    killed = sum(value != "survived" for value in values)
    used = f"{_used() - before:6.1f} s"
    print(f"{module:28} {killed:4} of {len(values):4} killed, of {len(found):4} mutants, {used}", flush=True)


def _used() -> float:
    """CPU seconds of the forks that ended."""
    found = resource.getrusage(resource.RUSAGE_CHILDREN)
    return found.ru_utime + found.ru_stime


def _key(mutant: Mutant) -> str:
    return f"{mutant.number}:{mutant.line}:{mutant.scope}:{mutant.change}"


def main() -> None:
    """Run, or report."""
    options = arguments()
    results = _read(options.results)
    if options.report:
        fresh = _read(options.fresh) if options.fresh else None
        options.report.write_text(report.written(results, fresh), encoding="utf-8")
        return
    os.chdir(plan.ROOT)
    load()
    for module in chosen(options.modules):
        run(module, options, results)


def _read(path: Path) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    with contextlib.suppress(FileNotFoundError):
        found = json.loads(path.read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    main()
