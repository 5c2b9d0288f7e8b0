"""However large, deep or often repeated a file is: a fault with its place, and little memory."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from fsproxy.config import files
from fsproxy.config.entries import MOST_GUESSED
from fsproxy.config.loader import load, load_text
from fsproxy.config.problems import ConfigError, Problem
from fsproxy.config.yaml import tree as yaml_tree
from fsproxy.config.yaml.substitution import LONGEST
from fsproxy.config.yaml.tree import DEEPEST, LONGEST_PATH, MOST_BY_ALIAS, MOST_VALUES

UPSTREAM = "upstream: {url: http://a}\n"
MEMORY = 300 * 2**20
"""Bytes that reading what is refused may take at the most."""


def bomb(levels: int, width: int, leaf: str = "x") -> str:
    """Each level is a list of so many aliases of the one before."""
    lines = [f"l0: &l0 [{', '.join([leaf] * width)}]"]
    lines += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * width)}]" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


def table_bomb(levels: int, width: int) -> str:
    lines = [f"l0: &l0 {{{', '.join(f'k{n}: x' for n in range(width))}}}"]
    for level in range(1, levels):
        members = (f"k{n}: *l{level - 1}" for n in range(width))
        lines += [f"l{level}: &l{level} {{{', '.join(members)}}}"]
    return "\n".join(lines) + "\n"


def problems(text: str, environ: dict[str, str] | None = None) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        load_text(text, "f.yaml", environ or {}, Path())
    return caught.value.problems


REFUSED: dict[str, tuple[Callable[[], str], str]] = {
    "lists of aliases": (lambda: UPSTREAM + bomb(7, 9), "is repeated too often by aliases"),
    "mappings of aliases": (lambda: UPSTREAM + table_bomb(7, 9), "is repeated too often by aliases"),
    "one long list, often": (
        lambda: f"{UPSTREAM}a: &a [{'x, ' * 1000}]\nb: [{'*a, ' * 1000}]\n",
        "is repeated too often by aliases",
    ),
    "aliases of orgs": (
        lambda: (
            f"{UPSTREAM}a: &a {{filters: {{ip: {{block: [{'1.2.3.4, ' * 5000}]}}}}}}\norgs:\n  listed:\n"
            + "".join(f"    o{n}: *a\n" for n in range(1000))
        ),
        "is repeated too often by aliases",
    ),
    "brackets": (lambda: UPSTREAM + "a: " + "[" * 1_000_000, "is nested too deeply"),
    "dashes": (lambda: UPSTREAM + "a:\n " + "- " * 500_000, "is nested too deeply"),
    "indents": (lambda: "".join(f"{' ' * n}a:\n" for n in range(800)), "is nested too deeply"),
    "brackets that close": (lambda: UPSTREAM + f"a: {'[' * 100}{']' * 100}\n", "is nested too deeply"),
    "values": (lambda: UPSTREAM + f"a: [{'1,' * 400_000}]", "holds too many values"),
    "lines": (lambda: UPSTREAM + "#\n" * 400_000, "holds too many values"),
    "unknown keys": (lambda: "".join(f"k{n}: 1\n" for n in range(400_000)), "holds too many values"),
}


@pytest.mark.parametrize(("text", "fault"), REFUSED.values(), ids=REFUSED.keys())
def test_too_much_is_one_fault_with_its_place_and_little_memory(text: Callable[[], str], fault: str) -> None:
    written = text()
    tracemalloc.start()
    try:
        found = problems(written)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert [problem.fault for problem in found] == [fault]
    assert found[0].line > 1
    assert peak < MEMORY


def test_what_is_read_of_a_bomb_does_not_grow_with_its_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    made = 0
    scalar = yaml_tree.Scalar

    def counted(*arguments: object, width: int) -> object:
        nonlocal made
        made += 1
        return scalar(*arguments, width=width)  # type: ignore[arg-type]

    monkeypatch.setattr(yaml_tree, "Scalar", counted)
    for levels in (6, 12, 40):
        made = 0
        problems(UPSTREAM + bomb(levels, 9))
        assert made <= MOST_BY_ALIAS + 100


def test_aliases_within_bounds_stand_for_what_they_name() -> None:
    rules = ", ".join(f"10.0.0.{n}" for n in range(100))
    text = f"{UPSTREAM}filters: {{ip: {{block: &a [{rules}]}}}}\norgs:\n  listed:\n"
    text += "".join(f"    o-{n}: {{filters: {{ip: {{allow: *a}}}}}}\n" for n in range(900))
    loaded = load_text(text, "f.yaml", {}, Path())

    assert len(loaded.core.orgs["o-899"].filters.ip.allow) == 100


def test_as_deep_as_is_read_is_deeper_than_any_key() -> None:
    written = "\n".join(f"{' ' * n}k:" for n in range(DEEPEST))
    assert [p.fault.split(" (")[0] for p in problems(UPSTREAM + written)] == ["is not a known key"]
    written += f"\n{' ' * DEEPEST}k: {{a: b}}"
    assert [p.fault for p in problems(UPSTREAM + written)] == ["is nested too deeply"]


def test_a_text_that_is_too_long_is_refused_also_by_way_of_the_environment() -> None:
    for text, environ in (("x" * (LONGEST + 1), {}), ("${A}${A}", {"A": "x" * LONGEST})):
        [problem] = problems(f"{UPSTREAM}audit: {{to: '{text}'}}", environ)
        assert (problem.line, problem.key_path) == (2, "audit.to")
        assert "too long" in problem.fault
        assert len(str(problem)) < 500


def test_a_key_that_is_too_long_is_refused_and_cut() -> None:
    text = f"{UPSTREAM}orgs:\n  listed:\n    {'k' * LONGEST_PATH}: {{}}"
    assert len(f"orgs.listed.{'k' * (LONGEST_PATH - 12)}") == LONGEST_PATH
    assert load_text(text.replace("k" * LONGEST_PATH, "k" * (LONGEST_PATH - 12)), "f.yaml", {}, Path())
    [problem] = problems(text)
    assert (problem.fault, problem.line, problem.column) == ("a key that is too long", 4, 5)
    assert len(problem.key_path) < LONGEST_PATH


def test_as_many_values_as_may_be_are_read() -> None:
    text = f"{UPSTREAM}filters: {{ip: {{block: [{','.join(['1.2.3.4'] * (MOST_VALUES // 2))}]}}}}"

    assert len(load_text(text, "f.yaml", {}, Path()).core.default.filters.ip.block) == MOST_VALUES // 2


def test_keys_are_suggested_for_the_first_faults_alone() -> None:
    found = problems(UPSTREAM + "".join(f"filter{n}: 1\n" for n in range(2 * MOST_GUESSED)))

    assert [number for number, p in enumerate(found) if "did you mean" in p.fault] == list(range(MOST_GUESSED))


def test_a_file_without_an_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.symlink_to("/dev/zero")
    with pytest.raises(ConfigError, match=r"f\.yaml:1:1: holds more than 16 MB"):
        load(file, {})

    file.unlink()
    file.write_text(UPSTREAM + "filters: {ip: {block: ['file:/dev/zero', 'file:ok.txt']}}")
    (tmp_path / "ok.txt").write_text("10.0.0.1")
    with pytest.raises(ConfigError, match=r"filters\.ip\.block\[0\]: .* holds more than 64 MB"):
        load(file, {})


def test_a_list_that_is_a_pipe_without_a_writer_holds_nothing_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "f.yaml").write_text(UPSTREAM + "filters: {ip: {block: ['file:pipe']}}")

    assert load(tmp_path / "f.yaml", {}).core.default.filters.ip.block == ()


def test_a_list_of_too_many_lines_and_a_line_that_is_too_long_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MOST_LINES", 10)
    (tmp_path / "f.yaml").write_text(UPSTREAM + "filters: {deleting_user: {block: ['file:a.txt', 'file:b.txt']}}")
    (tmp_path / "a.txt").write_text("u\n" * 11)
    (tmp_path / "b.txt").write_text("u\n" * 9 + "u" * (LONGEST + 1))
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "f.yaml", {})

    assert [(p.file, p.line) for p in caught.value.problems] == [
        (str(tmp_path / "f.yaml"), 2),
        (str(tmp_path / "b.txt"), 10),
    ]
    assert all(len(str(problem)) < 500 for problem in caught.value.problems)
