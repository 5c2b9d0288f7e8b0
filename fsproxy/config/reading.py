"""Reads the nodes of a file as the table of keys says, and notes every fault."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from fsproxy.config.conflicts import CONFLICTS
from fsproxy.config.documents import read_document
from fsproxy.config.files import FILE, Files, UnreadableError, list_name, without_comment
from fsproxy.config.key_tree import Group, keys_of
from fsproxy.config.near_misses import suggestion
from fsproxy.config.problems import HIDDEN, Place, Problem
from fsproxy.config.rule_checks import RULE_CHECKS, Check, RuleCheck
from fsproxy.config.yaml.positions import Kind, Node, Scalar, Sequence, Table, below
from fsproxy.config.yaml.substitution import LONGEST
from fsproxy.core.keys import TEXT, FileOf, Leaf, ListOf, MapOf, Reader, SectionOf, or_null
from fsproxy.core.settings import Entry, ListedEntry

T = TypeVar("T")
_FILE_NAME = or_null(TEXT)
_GLUED = "has no blank after its colon"
MOST_GUESSED = 100
"""Faults after which no key is suggested any more: a guess costs a thousand times what the fault itself does."""
MERGED = ("filters", "client_api", "plan")
"""The sections that orgs override. Each org has them, wherever they are written, so an org has no places of them."""


class Reading:
    """One load: the files that it reads, and every fault so far.

    A value that is wrong is read as None. What is made with it is never used, as a configuration with faults is not.
    """

    def __init__(self, files: Files) -> None:
        self.files = files
        self.problems: list[Problem] = []
        self.unknown: set[str] = set()
        """The paths of keys that are not known. What is below them was not read."""
        self._made: dict[tuple[object, int], tuple[Node, Any]] = {}
        self._ids: dict[tuple[str, str], Node] = {}

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
                values |= {field: self.value(key.reader, node) for field, key in found}
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

    def value(self, reader: Reader[Any], node: Node) -> Any:
        """Return what a node means to a reader."""
        if isinstance(reader, Leaf):
            return self._leaf(reader, node)
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

    def _leaf(self, leaf: Leaf[Any], node: Node) -> Any:
        if isinstance(node, Scalar):
            is_null = node.kind is Kind.NULL
            if is_null and leaf.nullable:
                return None
            # Where null is not allowed, a variable that holds "null" holds a text.
            if (not is_null or node.from_environment) and leaf.kind in (None, node.kind.value):
                try:
                    return leaf.read(node.text)
                except ValueError:
                    pass
        fault = f"is not {leaf.noun}{self._suggestion(node, leaf.check, leaf.known)}"
        return self._fault(node, fault, f"{leaf.allowed}, or null" if leaf.nullable else leaf.allowed)

    def _suggestion(self, node: Node, check: Check, known: Callable[[], Iterable[str]] = tuple) -> str:
        guess = isinstance(node, Scalar) and node.kind is not Kind.NULL and node.shown() != HIDDEN
        if not isinstance(node, Scalar) or not guess or len(self.problems) >= MOST_GUESSED:
            return ""
        return suggestion(node.text, lambda text: check(text) is None, known())

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

    def _fault(self, node: Node, fault: str, allowed: str) -> None:
        self.problems.append(node.problem(fault, allowed))

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

    # -- lists, and the files that they name

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

    def _entry(self, node: Node, rule: RuleCheck, explicit_id: str | None = None) -> Iterable[Entry]:
        """Return the entry that one item of a list is, or all that its file holds."""
        if isinstance(node, Table) and "pattern" in node.members and node.members.keys() <= {"pattern", "id"}:
            return self._entry(node.members["pattern"], rule, self._explicit_id(node))
        if not isinstance(node, Scalar) or (node.kind is Kind.NULL and not node.text):
            self._fault(node, f"is not {rule.noun}", "a text, or {pattern: TEXT, id: TEXT}")
            return ()
        if list_name(node.text) is not None:
            return self._from_file(node, rule, explicit_id)
        if self._is_wrong(node, rule):
            return ()
        return (Entry(node.text, str(node.place), explicit_id),)

    def _from_file(self, node: Scalar, rule: RuleCheck, explicit_id: str | None) -> Iterable[Entry]:
        name = node.text.removeprefix(FILE)
        if explicit_id is not None:
            self._fault(node, "is a file, whose lines cannot share an id", "no id beside file:")
        try:
            lines = self.files.lines(name)
        except UnreadableError as error:
            fault = node.problem(str(error), "a text file in UTF-8, its path relative to this file")
            self.problems.append(replace(fault, of_host=Path(name).is_absolute()))
            return ()
        file = str(self.files.base / name)
        found: list[Entry] = []
        for line, whole in lines:
            text = without_comment(whole, blanks=rule.blanks)
            item = Scalar(node.path, Place(file, line), Place(file, line), text, Kind.TEXT)
            if len(text) > LONGEST:
                self._fault(item, f"is not {rule.noun}", f"at most {LONGEST:,} characters")
            elif not self._is_wrong(item, rule):
                found.append(ListedEntry(text, f"{file}:{line}:1"))
        return found

    def _is_wrong(self, node: Scalar, rule: RuleCheck) -> bool:
        allowed = rule.check(node.text)
        if allowed is None:
            return False
        hint = self._suggestion(node, rule.check) if rule.reason is None else ""
        if rule.reason is not None and node.shown() != HIDDEN and (reason := rule.reason(node.text)):
            hint = f': RE2 says "{reason}"'
        self._fault(node, f"is not {rule.noun}{hint}", allowed)
        return True

    def _explicit_id(self, rule: Table) -> str | None:
        """Return the id of a rule that has one; it is unique in the base sections, and in each org's own."""
        node = rule.members.get("id")
        if node is None:
            return None
        if not isinstance(node, Scalar) or node.kind is Kind.NULL or not node.text.strip():
            self._fault(node, "is not an id", "a text that is not empty")
            return None
        scope = node.path.split(".filters.")[0] if node.path.startswith("orgs.listed.") else ""
        first = self._ids.setdefault((scope, node.text), node)
        if first is not node:
            self._fault(node, f"is not unique: {first.path} in line {first.place.line} has it too", "an id of its own")
        return node.text


def _form(reader: ListOf[Any]) -> str:
    more = ", ".join(dict.fromkeys(name for keys in reader.verbs.values() for name in ("id", *keys)))
    return " or ".join(f"{{{verb}: PATTERN}}" for verb in reader.verbs) + f", and {more} if need be"
