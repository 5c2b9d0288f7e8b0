"""YAML 1.2 (and so JSON) as a tree of nodes that know their text, their key path and their place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, unique

import yaml
from yamlcore import CCoreLoader, CoreLoader

from fsproxy.config.problems import Place, Problem
from fsproxy.config.substitution import SubstitutionError, refers, substitute

SECRETS = ("admin.token", "audit.key", "state.redis.url")
"""Key paths whose values are never shown, nor is anything written in place of a section that holds one."""

_USERINFO = re.compile(r"//[^/\s]*@")
_SHOWN = 80
_DEEPEST = 200
_BRACKET = re.compile(r"[\[\]{}]")
_DEEP_BLOCK = re.compile(rf"(?:[-?:] +){{{_DEEPEST}}}")

# libyaml is ten times as fast; a PyYAML built without it serves as well.
_Loader = CCoreLoader if yaml.__with_libyaml__ else CoreLoader


@unique
class Kind(Enum):
    """What YAML 1.2's core schema takes a scalar for."""

    NULL = "null"
    BOOL = "bool"
    INT = "int"
    FLOAT = "float"
    TEXT = "str"


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One value of the file."""

    path: str
    """Such as ``filters.geo.never[2]``."""
    place: Place
    key_place: Place
    """Where its key stands; its own place for an item of a list."""

    def shown(self) -> str:
        """The value as a fault shows it: never a secret, never whole where it is long."""
        raise NotImplementedError

    def problem(self, fault: str, allowed: str = "") -> Problem:
        """A fault of this value."""
        return Problem(self.place.file, self.place.line, self.place.column, self.path, self.shown(), allowed, fault)

    def key_problem(self, fault: str, allowed: str = "") -> Problem:
        """A fault of the key, whatever the value."""
        place = self.key_place
        return Problem(place.file, place.line, place.column, _shown_path(self.path), None, allowed, fault)


@dataclass(frozen=True, slots=True, eq=False)
class Scalar(Node):
    """A text, number, truth value or null: the text as written, and what YAML takes it for."""

    text: str
    kind: Kind
    from_environment: bool = False

    def shown(self) -> str:
        """See ``Node.shown``."""
        if self.from_environment or _may_be_secret(self.path) or _USERINFO.search(self.text):
            return "***"
        if self.kind is not Kind.TEXT:
            return self.text or "null"
        text = self.text if len(self.text) <= _SHOWN else self.text[: _SHOWN - 3] + "..."
        return json.dumps(text, ensure_ascii=not text.isprintable())


@dataclass(frozen=True, slots=True, eq=False)
class Sequence(Node):
    """A list."""

    items: tuple[Node, ...]

    def shown(self) -> str:
        """See ``Node.shown``."""
        return "a list"


@dataclass(frozen=True, slots=True, eq=False)
class Table(Node):
    """A mapping, its keys as written."""

    members: Mapping[str, Node]

    def shown(self) -> str:
        """See ``Node.shown``."""
        return "a mapping"

    def scalar(self, key: str) -> Scalar | None:
        """The scalar under a key that is there and is not null."""
        found = self.members.get(key)
        return found if isinstance(found, Scalar) and found.kind is not Kind.NULL else None

    def sequence(self, key: str) -> tuple[Node, ...]:
        """The items of the list under a key; none when there is no list."""
        found = self.members.get(key)
        return found.items if isinstance(found, Sequence) else ()


def _shown_path(path: str) -> str:
    # {token:hunter2}, the blank forgotten, is one long key.
    for secret in SECRETS:
        if path.startswith(f"{secret}:"):
            return f"{secret}:***"
    return path


def _may_be_secret(path: str) -> bool:
    return any(
        secret == path or not path or secret.startswith(f"{path}.") or path.startswith((f"{secret}.", f"{secret}["))
        for secret in SECRETS
    )


def parse(text: str, file: str, environ: Mapping[str, str], problems: list[Problem]) -> Node | None:
    """The tree of one document, references to the environment replaced; None when it is no YAML at all.

    Adds to ``problems`` what is wrong with the YAML: syntax, duplicate keys, missing variables.
    """
    unprintable = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if unprintable is not None:
        before = text[: unprintable.start()]
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
        problems.append(Problem(file, line, column, "", None, "", "a character that YAML does not allow"))
        return None
    if _too_deep(text):
        problems.append(Problem(file, 1, 1, "", None, "", "is nested too deeply"))
        return None
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            problems.append(Problem(file, 1, 1, "", None, "a mapping of keys, at least upstream", "the file is empty"))
            return None
        return _Builder(loader, file, environ, problems).node(root, "", None)
    except yaml.MarkedYAMLError as error:
        problems.append(_syntax(error, file))
        return None
    except RecursionError:
        problems.append(Problem(file, 1, 1, "", None, "", "is nested too deeply"))
        return None
    finally:
        loader.dispose()


def _too_deep(text: str) -> bool:
    # PyYAML's composer recurses in C without looking at the stack's end, so what is far too deep must not reach it.
    # Brackets inside texts count too: hundreds of them, never closed, are in no sane configuration.
    depth = deepest = 0
    for match in _BRACKET.finditer(text):
        depth += 1 if match[0] in "[{" else -1
        deepest = max(deepest, depth)
    return deepest > _DEEPEST or _DEEP_BLOCK.search(text) is not None


def _syntax(error: yaml.MarkedYAMLError, file: str) -> Problem:
    # str(error) would quote the line, and with it perhaps a secret.
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
    said = ", ".join(part for part in (error.context, error.problem) if part)
    return Problem(file, line, column, "", None, "", f"is not YAML: {said}")


class _Builder:
    """Makes our nodes of PyYAML's."""

    def __init__(self, loader: CCoreLoader, file: str, environ: Mapping[str, str], problems: list[Problem]) -> None:
        self._loader = loader
        self._file = file
        self._environ = environ
        self._problems = problems
        self._open: set[int] = set()

    def node(self, node: yaml.Node, path: str, key: yaml.Node | None) -> Node:
        """The node, and all below it."""
        place = self._place(node)
        key_place = place if key is None else self._place(key)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path, place, key_place)
        if id(node) in self._open:
            self._problems.append(
                Problem(self._file, place.line, place.column, path, None, "", "an alias that contains itself")
            )
            return Scalar(path, place, key_place, "", Kind.NULL)
        self._open.add(id(node))
        made: Node
        if isinstance(node, yaml.SequenceNode):
            items = tuple(self.node(item, f"{path}[{n}]", None) for n, item in enumerate(node.value))
            made = Sequence(path, place, key_place, items)
        else:
            made = Table(path, place, key_place, dict(self._members(node, path)))
        self._open.discard(id(node))
        return made

    def _members(self, node: yaml.Node, path: str) -> Iterator[tuple[str, Node]]:
        seen: dict[str, Place] = {}
        for key, value in node.value:
            place = self._place(key)
            if not isinstance(key, yaml.ScalarNode):
                fault = "a key that is not a text"
                self._problems.append(Problem(self._file, place.line, place.column, path, None, "", fault))
                continue
            inner = f"{path}.{key.value}" if path else key.value
            if key.value in seen:
                fault = f"stands twice, first in line {seen[key.value].line}"
                self._problems.append(Problem(self._file, place.line, place.column, inner, None, "once", fault))
                continue
            seen[key.value] = place
            yield key.value, self.node(value, inner, key)

    def _scalar(self, node: yaml.ScalarNode, path: str, place: Place, key_place: Place) -> Scalar:
        try:
            kind = Kind(node.tag.removeprefix("tag:yaml.org,2002:"))
        except ValueError:
            self._problems.append(Problem(self._file, place.line, place.column, path, None, "", "has an unknown tag"))
            kind = Kind.TEXT
        text: str = node.value
        if not refers(text):
            return Scalar(path, place, key_place, text, kind)
        plain = Scalar(path, place, key_place, text, Kind.TEXT, from_environment=True)
        try:
            text, replaced = substitute(text, self._environ)
        except SubstitutionError as error:
            self._problems.append(plain.problem(error.fault, error.allowed))
            return plain
        if not replaced:
            return Scalar(path, place, key_place, text, Kind.TEXT)
        tag = self._loader.resolve(yaml.ScalarNode, text, (True, False))
        return Scalar(path, place, key_place, text, Kind(tag.removeprefix("tag:yaml.org,2002:")), True)

    def _place(self, node: yaml.Node) -> Place:
        mark = node.start_mark
        return Place(self._file, mark.line + 1, mark.column + 1)
