"""The fields of the operational log: all are documented, and none stands in the way of another's mapping."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import fields as fields_of
from pathlib import Path

import msgspec

import fsproxy
from fsproxy.core.audit.record import LineEnd
from fsproxy.telemetry.conditions import Condition
from fsproxy.telemetry.logs import ECS_NAMES
from support.documents import rows, text_of, ticked, whole_names
from support.log_lines import OF_ALL

PAGE = "reference/log.md"
METHODS = {"debug", "info", "warning", "error", "exception", "critical", "log"}
NOT_FIELDS = {"exc_info"}
OF_CONDITIONS = {"condition", "since", "count", "more", "seconds"}
"""The names that all lines of conditions have (``telemetry.conditions._fields``)."""
_NAME = re.compile(r"\"([a-z_]+)\": ")


def given() -> Iterator[tuple[str, str]]:
    """The names of the fields that calls of a logger give, and where."""
    root = Path(fsproxy.__file__).parent
    for file in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr in METHODS and "log" in ast.unparse(node.func.value):
                for keyword in node.keywords:
                    if keyword.arg is not None and keyword.arg not in NOT_FIELDS:
                        yield keyword.arg, f"{file.relative_to(root)}:{node.lineno}"


def of_sources() -> set[str]:
    """The names of the fields that sources of conditions add."""
    root = Path(fsproxy.__file__).parent
    lines = (
        line
        for file in root.rglob("*.py")
        if "Condition(" in file.read_text()
        for line in file.read_text().splitlines()
    )
    return {name for line in lines if "fields={" in line for name in _NAME.findall(line)}


def written() -> set[str]:
    """The names that lines have, but for those of all."""
    names = {name for name, _ in given()} | OF_CONDITIONS | of_sources() | {"worker"}
    found = {ECS_NAMES.get(name, f"fsproxy.{name}") for name in names}
    return (found | {"error.type", "error.stack_trace"}) - OF_ALL


def documented(heading: str) -> set[str]:
    said = [name for row in rows(text_of(PAGE), heading) for name in whole_names(ticked(row[0]))]
    assert len(said) == len(set(said))
    return set(said)


def test_every_field_is_documented_and_every_documented_one_is_written() -> None:
    assert documented("## All lines") == OF_ALL
    said = documented("## Where they apply") | documented("## Our own")
    where = {ECS_NAMES.get(name, f"fsproxy.{name}"): place for name, place in given()}
    assert {name: where.get(name) for name in written() - said} == {}, f"add them to docs/{PAGE}"
    assert said - written() == {"log.logger"} - written()


def test_the_names_of_conditions_are_those_of_their_lines() -> None:
    assert {"since", "more", "count"} <= {each.name for each in fields_of(Condition)}


def test_no_field_of_ours_is_a_value_here_and_an_object_there() -> None:
    """Elasticsearch refuses a line with ``a`` where another one has ``a.b``. Both streams may go to one place."""
    audit = {each.encode_name for each in msgspec.structs.fields(LineEnd)}
    ours = written() | OF_ALL
    for name in ours:
        inside = [other for other in ours | audit if other.startswith(f"{name}.")]
        assert inside == [], name
    for other in audit:
        assert [name for name in ours if name.startswith(f"{other}.")] == [], other


def test_no_line_says_one_thing_twice() -> None:
    """Two arguments of one call that have the same name in ECS: the second would silently replace the first."""
    seen: dict[tuple[str, str], str] = {}
    for name, place in given():
        key = (place, ECS_NAMES.get(name, name))
        assert key not in seen, f"{place}: {name} and {seen.get(key)}"
        seen[key] = name
