"""Reads the nodes of a file as the table of keys says, and notes every fault."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterator
from dataclasses import fields, replace
from types import MappingProxyType
from typing import Any, TypeVar

from fsproxy.config.conflicts import CONFLICTS
from fsproxy.config.documents import read_document
from fsproxy.config.entries import MOST_GUESSED, EntryReading
from fsproxy.config.files import Files
from fsproxy.config.key_tree import Group, keys_of
from fsproxy.config.problems import Problem
from fsproxy.config.rule_checks import RULE_CHECKS, RuleCheck
from fsproxy.config.yaml.positions import Kind, Node, Scalar, Sequence, Table, below
from fsproxy.core.keys import TEXT, FileOf, Leaf, ListOf, MapOf, Reader, SectionOf, or_null
from fsproxy.core.settings import Entry

T = TypeVar("T")
_FILE_NAME = or_null(TEXT)
_GLUED = "has no blank after its colon"
MERGED = ("filters", "client_api", "plan")
"""The sections that orgs override. Each org has them, wherever they are written, so an org has no places of them."""


class Reading(EntryReading):
    """One load: the files that it reads, and every fault so far.

    A value that is wrong is read as None. What is made with it is never used, as a configuration with faults is not.
    """

    def __init__(self, files: Files) -> None:
        super().__init__(files)
        self.unknown: set[str] = set()
        """The paths of keys that are not known. What is below them was not read."""
        self._made: dict[tuple[object, int], tuple[Node, Any]] = {}

    def keys(self, group: Group, table: Table) -> dict[str, Any]:
        """Return the values of the keys that are there, by the names of their fields."""
        values: dict[str, Any] = {}
        there = {name.partition(":")[0] for name in table.members}
        for name, node in table.members.items():
            found = group.members.get(name)
            if found is None:
                self._unknown(name, node, table, group.members)
            elif isinstance(found, Group):
                inner = self._table(node, found)
                values |= self.keys(found, inner) if inner is not None else {}
            else:
                values |= {field: self.value(key.reader, node, key.default) for field, key in found}
        for name, found in group.members.items():
            if name not in table.members and not isinstance(found, Group) and found[0][1].default is ...:
                path, place = below(table.path, name), table.place
                if name not in there:
                    self.problems.append(Problem(place.file, place.line, place.column, path, None, "", "is missing"))
                values[found[0][0]] = None
        return values

    def _unknown(self, name: str, node: Node, table: Table, known: Collection[str]) -> None:
        self.unknown.add(node.path)
        head, colon, _ = name.partition(":")
        if colon and head in known:
            self.problems.append(replace(node, path=below(table.path, head)).key_problem(_GLUED, f"{head}: VALUE"))
            return
        near = difflib.get_close_matches(name, known, 1) if len(self.problems) < MOST_GUESSED else ()
        fault = "is not a known key" + (f" (did you mean {near[0]}?)" if near else "")
        self.problems.append(node.key_problem(fault, ", ".join(sorted(known))))

    def value(self, reader: Reader[Any], node: Node, default: object = None) -> Any:
        """Return what a node means to a reader. ``default``: the key's, as users write it."""
        if isinstance(reader, Leaf):
            return self._leaf(reader, node, default)
        if isinstance(reader, ListOf):
            return self._once(reader, node, lambda: self._list(reader, node))
        if isinstance(reader, MapOf):
            if reader.nullable and isinstance(node, Scalar) and node.kind is Kind.NULL:
                return None
            table = self._table(node)
            members = table.members if table is not None else {}
            return reader.make({name: self.value(reader.value, inner) for name, inner in members.items()})
        if isinstance(reader, FileOf):
            return self._once(reader, node, lambda: self._document(reader, node))
        return self._sections(reader, node)

    def _sections(self, reader: SectionOf[Any], node: Node) -> Any:
        if reader.nullable and isinstance(node, Scalar) and node.kind is Kind.NULL:
            return None
        if not reader.many:
            made = self._once(reader.kind, node, lambda: self._section(reader.kind, node))
            return reader.make(made) if made is not None else None
        if not isinstance(node, Sequence):
            return self._fault(node, "is not a list", "a list")
        return tuple(self._section(reader.kind, item) for item in node.items)

    def _section(self, kind: type[Any], node: Node) -> Any:
        table = self._table(node, keys_of(kind))
        if table is None:
            return None
        if kind in CONFLICTS:
            self.problems.extend(CONFLICTS[kind](table))
        values = self.keys(keys_of(kind), table)
        if any(field.name == "places" for field in fields(kind)):
            places = {name: str(node.place) for name, node in table.members.items() if name not in MERGED}
            values["places"] = MappingProxyType(places)
        return kind(**values)

    def _table(self, node: Node, group: Group | None = None) -> Table | None:
        """Return a mapping; an empty one for a section of which every key is commented out."""
        if isinstance(node, Table):
            return node
        if isinstance(node, Scalar) and node.kind is Kind.NULL:
            return Table(node.path, node.place, node.key_place, {})
        head, colon, _ = node.text.partition(":") if isinstance(node, Scalar) else ("", "", "")
        glued = colon and group is not None and head in group.members
        self._fault(node, _GLUED if glued else "is not a section", f"{head}: VALUE" if glued else "a mapping of keys")
        return None

    def _once(self, kind: object, node: Node, make: Callable[[], T]) -> T:
        """Return what was made of this very node before, so that orgs share what they do not override."""
        key = (kind, id(node))
        found = self._made.get(key)
        if found is None:
            # The node is kept, or its id might be given to another one.
            found = self._made[key] = (node, make())
        made: T = found[1]
        return made

    def _document(self, reader: FileOf[Any], node: Node) -> Any:
        def read(tree: Node) -> tuple[Any, list[Problem]]:
            reading = Reading(self.files)
            return reading._section(reader.kind, tree), reading.problems

        name = self._leaf(_FILE_NAME, node)
        if name is None:
            return None
        made, faults = read_document(name, node, self.files, read)
        self.problems.extend(faults)
        return reader.make(name, made) if not faults else None

    def _list(self, reader: ListOf[Any], node: Node) -> Any:
        own = reader.item
        rule = RULE_CHECKS[own] if isinstance(own, str) else RuleCheck(own.noun, own.check)
        if isinstance(node, Sequence) and (node.items or not reader.lone):
            items = node.items
        elif reader.lone and isinstance(node, Scalar) and node.kind is not Kind.NULL:
            items = (node,)
        elif reader.word is not None and isinstance(node, Scalar) and node.text == reader.word:
            return None
        elif reader.lone:
            return self._fault(node, f"is not {rule.noun}", f"one or a list: {rule.check('')}")
        else:
            form = f"a list of {_form(reader)}" if reader.verbs else "a list, such as [ITEM]"
            return self._fault(node, "is not a list", f"{reader.word}, or {form}" if reader.word is not None else form)
        if reader.verbs:
            return reader.make([pair for item in items for pair in self._verb(item, reader, rule)])
        entries = (entry for item in items for entry in self._entry(item, rule))
        return reader.make(entries if isinstance(own, str) else [own.read(entry.text) for entry in entries])

    def _verb(self, item: Node, reader: ListOf[Any], rule: RuleCheck) -> Iterator[tuple[str, Entry, dict[str, Any]]]:
        members = item.members if isinstance(item, Table) else {}
        verb, *others = [verb for verb in reader.verbs if verb in members] or [""]
        if not isinstance(item, Table) or not verb or others:
            near = difflib.get_close_matches(next(iter(members)), reader.verbs, 1) if len(members) == 1 else ()
            hint = f" (did you mean {near[0]}?)" if near and len(self.problems) < MOST_GUESSED else ""
            return self._fault(item, f"is not a rule{hint}", _form(reader))
        known, limits = reader.verbs[verb], {}
        for name, node in members.items():
            if name in known:
                limits[name] = self.value(known[name], node)
            elif name not in (verb, "id"):
                self._unknown(name, node, item, ("id", *known))
        for entry in self._entry(members[verb], rule, self._explicit_id(item)):
            yield verb, entry, limits


def _form(reader: ListOf[Any]) -> str:
    more = ", ".join(dict.fromkeys(name for keys in reader.verbs.values() for name in ("id", *keys)))
    return " or ".join(f"{{{verb}: PATTERN}}" for verb in reader.verbs) + f", and {more} if need be"
