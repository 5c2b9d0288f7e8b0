"""The parts of the reference that are written from the code: every key, and every command's options and statuses."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from typing import Any

import click
import pytest

from fsproxy.cli import main
from fsproxy.cli.documented import Documented
from fsproxy.config.key_tree import ROOT as KEYS
from fsproxy.config.key_tree import Fields, Group, keys_of
from fsproxy.core.keys import FileOf, Key, Leaf, ListOf, MapOf, Reader, SectionOf
from support.documents import ROOT, assert_written, cell, rows, table, ticked

ABOVE = click.Context(main, info_name="fsproxy")
COMMANDS = main.list_commands(ABOVE)


# -- keys


def value_of(reader: Reader[Any]) -> str:
    """What a key's value may be."""
    if isinstance(reader, Leaf):
        what = {"known here": reader.allowed, "a whole number in range": f"a number, {reader.allowed}"}
        return what.get(reader.noun, reader.noun) + (", or null" if reader.nullable else "")
    if isinstance(reader, ListOf):
        return "a list" + (", or one of it" if reader.lone else f", or {reader.word}" if reader.word else "")
    if isinstance(reader, MapOf):
        return "a mapping"
    if isinstance(reader, FileOf):
        return "a file's name, or null"
    return "a list of mappings" if reader.many else "a mapping, or null" if reader.nullable else "a mapping"


def default_of(key: Key) -> str:
    if key.default is ...:
        return "(needed)"
    plain = isinstance(key.default, str) and key.default != ""
    return f"`{key.default if plain else json.dumps(key.default)}`"


def keys(group: Group, above: str = "") -> Iterator[tuple[str, Key]]:
    """Every key of a section that has a value of its own, by its path."""
    for name, found in group.members.items():
        path = f"{above}{name}"
        if isinstance(found, Group):
            yield from keys(found, f"{path}.")
            continue
        key, reader = found[-1][1], found[0][1].reader
        plain = isinstance(reader, SectionOf) and not (reader.many or reader.nullable)
        if not plain:
            yield path, key
        if isinstance(reader, SectionOf):
            yield from keys(keys_of(reader.kind), f"{path}[]." if reader.many else f"{path}.")
        elif isinstance(reader, MapOf) and isinstance(reader.value, SectionOf):
            for inner in ("enabled", "mobile"):
                fields = keys_of(reader.value.kind).members[inner]
                assert not isinstance(fields, Group)
                yield f"{path}.ID.{inner}", fields[0][1]


def written_keys() -> str:
    parts = []
    single: list[tuple[str, Key]] = []
    for name, found in KEYS.members.items():
        below: Group | Fields | None = found
        if not isinstance(found, Group):
            reader = found[0][1].reader
            below = keys_of(reader.kind) if isinstance(reader, SectionOf) else None
        if not isinstance(below, Group):
            single += keys(Group("", {name: found}))
            continue
        text = f"### {name}\n\n{re.sub(r'`+', '`', below.description).partition(chr(10))[0]}\n\n"
        parts.append(text + key_table(keys(below, f"{name}.")))
    return "\n" + "\n".join(["### Without a section\n\n" + key_table(single), *parts]) + "\n"


def key_table(found: Any) -> str:
    body = [(f"`{path}`", cell(value_of(key.reader)), default_of(key), cell(key.description)) for path, key in found]
    return table(("key", "value", "default", "what it is"), body)


def test_every_key_is_listed_with_its_default() -> None:
    assert_written("reference/configuration.md", "keys", written_keys())


def test_the_list_of_keys_has_all_of_them() -> None:
    """By another way than the list is written: those of the schema that editors get."""
    from fsproxy.config.json_schema import json_schema

    schema = json_schema()
    listed = {
        re.sub(r"\[\]|\.ID", "", path) for path in re.findall(r"^\| `([\w.\[\]]+)` \|", written_keys(), re.MULTILINE)
    }

    def leaves(part: dict[str, Any], path: str) -> Iterator[str]:
        for form in (part, *part.get("anyOf", ()), part.get("items"), part.get("additionalProperties")):
            if not isinstance(form, dict):
                continue
            known = schema["$defs"][form["$ref"].rpartition("/")[2]] if "$ref" in form else form
            for name, inner in known.get("properties", {}).items():
                yield f"{path}.{name}".lstrip(".")
                yield from leaves(inner, f"{path}.{name}")

    known = {path for path in leaves(schema, "") if not path.startswith("orgs.listed.") or path.count(".") == 2}
    sections = {path.rpartition(".")[0] for path in known}
    items = {"id", "pattern", "capture", "block", "path", "share", "until"}  # what a rule may be, in the lists of rules
    wanted = {
        path
        for path in known - sections
        if not (path.rpartition(".")[2] in items and path.rpartition(".")[0] in listed)
    }
    assert wanted - listed == {"orgs.listed.filters", "orgs.listed.client_api", "orgs.listed.plan"}


# -- commands


def command_of(name: str) -> Documented:
    command = main.get_command(ABOVE, name)
    assert isinstance(command, Documented)
    return command


def written_command(name: str) -> str:
    command = command_of(name)
    context = click.Context(command, parent=ABOVE, info_name=name)
    usage = " ".join(filter(None, command.collect_usage_pieces(context)))
    text = f"## {name}\n\n    fsproxy {name} {usage}\n\n{inspect.cleandoc(command.help or '')}\n\n"
    options = [each.get_help_record(context) for each in command.params if isinstance(each, click.Option)]
    if options:
        body = [(f"`{record[0]}`", " ".join(cell(record[1]).split())) for record in options if record is not None]
        text += table(("option", "does"), body) + "\n"
    text += table(("exit status", "means"), [(str(status), said) for status, said in command.statuses.items()])
    return text + "\n" + "".join(f"    {each}\n" for each in command.examples)


def test_every_command_is_listed_with_its_options_and_exit_statuses() -> None:
    assert_written("reference/commands.md", "commands", "\n" + "\n".join(map(written_command, COMMANDS)) + "\n")


@pytest.mark.parametrize("page", ["README.md", "docs/reference/commands.md"])
def test_the_short_table_has_every_command_and_only_options_that_there_are(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    shown = rows(text, "## Commands" if page == "README.md" else "# Commands")
    assert [ticked(row[0])[0].split()[1] for row in shown] == COMMANDS
    for row in shown:
        name = ticked(row[0])[0].split()[1]
        known = {option for each in command_of(name).params for option in each.opts}
        assert set(re.findall(r"(?<![\w-])--[a-z-]+", " ".join(row))) <= known
