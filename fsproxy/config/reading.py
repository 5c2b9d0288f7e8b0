"""What one load knows while it reads: the files, and every fault so far."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from pydantic import ValidationInfo
from pydantic_core import ErrorDetails

from fsproxy.config.files import Files, UnreadableError
from fsproxy.config.problems import Place, Problem
from fsproxy.config.rule_checks import RuleCheck
from fsproxy.config.yaml.positions import Kind, Node, Scalar, Sequence, Table
from fsproxy.config.yaml.substitution import LONGEST
from fsproxy.core.settings import Entry

T = TypeVar("T")
FILE = "file:"


class Members(dict[str, Any]):
    """A section's keys as pydantic gets them; remembers the section for the keys that are missing."""

    table: Table


def reading_of(info: ValidationInfo[Any]) -> Reading:
    """The context that a validator was given."""
    reading = info.context
    if not isinstance(reading, Reading):
        raise TypeError("nodes are validated in the context of a Reading")
    return reading


class Reading:
    """The context of one validation."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self.problems: list[Problem] = []
        self._made: dict[tuple[object, int], tuple[Node, Any]] = {}
        self._ids: dict[tuple[str, str], Node] = {}

    def once(self, kind: object, node: Node, make: Callable[[], T]) -> T:
        """What was made of this very node before, so that orgs share what they do not override."""
        key = (kind, id(node))
        found = self._made.get(key)
        if found is None:
            # The node is kept, or its id might be given to another one.
            found = self._made[key] = (node, make())
        made: T = found[1]
        return made

    def entries(self, node: Sequence, rule: RuleCheck) -> tuple[Entry, ...]:
        """A list's entries, those of its files included; what is wrong with them goes to ``problems``."""
        return self.once(rule.noun, node, lambda: tuple(e for item in node.items for e in self.entry(item, rule)))

    def entry(self, node: Node, rule: RuleCheck, explicit_id: str | None = None) -> Iterable[Entry]:
        """The entry that one item of a list is, or all that its file holds."""
        if isinstance(node, Table) and "pattern" in node.members and node.members.keys() <= {"pattern", "id"}:
            return self.entry(node.members["pattern"], rule, self.explicit_id(node))
        if not isinstance(node, Scalar) or (node.kind is Kind.NULL and not node.text):
            self.problems.append(node.problem(f"is not {rule.noun}", "a text, or {pattern: TEXT, id: TEXT}"))
            return ()
        if node.text.startswith(FILE):
            return self._from_file(node, rule, explicit_id)
        allowed = rule.check(node.text)
        if allowed is not None:
            self.problems.append(node.problem(f"is not {rule.noun}", allowed))
            return ()
        return (Entry(node.text, str(node.place), explicit_id),)

    def _from_file(self, node: Scalar, rule: RuleCheck, explicit_id: str | None) -> Iterable[Entry]:
        name = node.text.removeprefix(FILE)
        if explicit_id is not None:
            self.problems.append(node.problem("is a file, whose lines cannot share an id", "no id beside file:"))
        try:
            lines = self.files.lines(name)
        except UnreadableError as error:
            self.problems.append(node.problem(str(error), "a text file in UTF-8, its path relative to this file"))
            return ()
        file = str(self.files.base / name)
        for line, text in lines:
            allowed = rule.check(text) if len(text) <= LONGEST else f"at most {LONGEST:,} characters"
            if allowed is not None:
                item = Scalar(node.path, Place(file, line), Place(file, line), text, Kind.TEXT)
                self.problems.append(item.problem(f"is not {rule.noun}", allowed))
        return [Entry(text, f"{file}:{line}:1") for line, text in lines]

    def explicit_id(self, rule: Table) -> str | None:
        """The id of a rule that has one; unique in the base sections, and in each org's own."""
        node = rule.members.get("id")
        if node is None:
            return None
        if not isinstance(node, Scalar) or node.kind is Kind.NULL or not node.text.strip():
            self.problems.append(node.problem("is not an id", "a text that is not empty"))
            return None
        scope = node.path.split(".filters.")[0] if node.path.startswith("orgs.listed.") else ""
        first = self._ids.setdefault((scope, node.text), node)
        if first is not node:
            self.problems.append(
                node.problem(f"is not unique: {first.path} in line {first.place.line} has it too", "an id of its own")
            )
        return node.text

    def take(self, errors: list[ErrorDetails]) -> None:
        """Add pydantic's errors as problems."""
        for error in errors:
            found = error["input"]
            said = error.get("ctx", {})
            if isinstance(found, Members):
                key = str(error["loc"][-1])
                place = found.table.place
                path = f"{found.table.path}.{key}" if found.table.path else key
                self.problems.append(Problem(place.file, place.line, place.column, path, None, "", "is missing"))
            else:
                assert isinstance(found, Node), f"the models refuse a default of their own: {error['loc']}"  # noqa: S101 - a bug of ours
                self.problems.append(found.problem(said.get("fault", "is wrong"), said.get("allowed", error["msg"])))
