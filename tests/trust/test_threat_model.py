"""Each line of the threat model names tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
TEXT = (TESTS.parent / "docs" / "threat-model.md").read_text()
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")
THREATS = [line for line in TEXT.partition("| from | wants |")[2].splitlines()[2:] if line.startswith("|")]


def named(line: str) -> list[tuple[str, str]]:
    found = NAMED.findall(line)
    return [(re.sub(r"^H/", "integration/hostile/", file), test) for file, test in found]


@pytest.mark.parametrize("threat", THREATS, ids=[line.split("|")[2].strip()[:60] for line in THREATS])
def test_a_threat_names_tests_that_there_are(threat: str) -> None:
    assert threat.count("|") == 5, "four columns"
    assert named(threat)
    for file, test in named(threat):
        tree = ast.parse((TESTS / file).read_text())
        assert test in {each.name for each in tree.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_reference_is_of_the_form_that_is_checked() -> None:
    assert len(NAMED.findall(TEXT)) == TEXT.count("::") - 1, "the explanation aside"


def test_every_test_file_on_hostile_input_shows_something() -> None:
    files = {file for line in THREATS for file, _ in named(line)}
    hostile = {f"integration/hostile/{each.name}" for each in (TESTS / "integration" / "hostile").glob("test_*.py")}
    assert hostile <= files


def test_it_is_one_page() -> None:
    assert len(TEXT.splitlines()) < 70
