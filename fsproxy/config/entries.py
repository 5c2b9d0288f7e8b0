"""Reads single values and the entries of lists, with the lines of the files that they name, and notes every fault."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from fsproxy.config.files import FILE, Files, UnreadableError, list_name, without_comment
from fsproxy.config.near_misses import suggestion
from fsproxy.config.problems import HIDDEN, Place, Problem
from fsproxy.config.rule_checks import Check, RuleCheck
from fsproxy.config.yaml.positions import Kind, Node, Scalar, Table
from fsproxy.config.yaml.substitution import LONGEST
from fsproxy.core.keys import Leaf
from fsproxy.core.settings import Entry, ListedEntry

MOST_GUESSED = 100
"""Faults after which no key is suggested any more: a guess costs a thousand times what the fault itself does."""


class EntryReading:
    """The values and entries of one load, the files that it reads, and every fault so far."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self.problems: list[Problem] = []
        self._ids: dict[tuple[str, str], Node] = {}

    def _leaf(self, leaf: Leaf[Any], node: Node, default: object = None) -> Any:
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
        fault = f"is not {leaf.noun}{self._suggestion(node, leaf.check, leaf.known, default)}"
        return self._fault(node, fault, f"{leaf.allowed}, or null" if leaf.nullable else leaf.allowed)

    def _suggestion(
        self, node: Node, check: Check, known: Callable[[], Iterable[str]] = tuple, default: object = None
    ) -> str:
        guess = isinstance(node, Scalar) and node.kind is not Kind.NULL and node.shown() != HIDDEN
        if not isinstance(node, Scalar) or not guess or len(self.problems) >= MOST_GUESSED:
            return ""
        return suggestion(node.text, lambda text: check(text) is None, known(), default)

    def _fault(self, node: Node, fault: str, allowed: str) -> None:
        self.problems.append(node.problem(fault, allowed))

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
