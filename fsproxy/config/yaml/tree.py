"""Reads YAML 1.2, and so JSON, into our tree, in bounded time and memory.

Of YAML 1.1 it keeps merge keys (``<<``). What is merged keeps the place where it is written. Top-level keys that begin
with ``x-`` are there for anchors: what is below them is read only where an alias or a merge key repeats it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

import yaml
from yamlcore import CCoreLoader

from fsproxy.config.problems import Place, Problem
from fsproxy.config.yaml.merging import MERGE, Merges, is_merge
from fsproxy.config.yaml.parsers import parser
from fsproxy.config.yaml.plain_words import syntax_problem
from fsproxy.config.yaml.positions import SECRETS, Kind, Node, Scalar, Sequence, Table, below, shown_path
from fsproxy.config.yaml.substitution import LONGEST, Origin, SubstitutionError, refers, substitute
from fsproxy.config.yaml.text import is_text, joined

MOST_VALUES = 250_000
"""The most commas and lines of one file. Every value but the first needs one of them."""
MOST_BY_ALIAS = 100_000
"""The most values that aliases repeat. Six levels of nine aliases each would repeat one line half a million times."""
DEEPEST = 64
"""The most levels of nesting. The configuration itself has nine."""
LONGEST_PATH = 500
"""The most characters of a key path. Every value below a long key repeats it."""
_DEEPEST_TEXT = 200
_SEPARATOR = re.compile(r"[\[\]{},\n]")
_DEEP_BLOCK = re.compile(rf"(?:[-?:] +){{{_DEEPEST_TEXT}}}")
_TOO_DEEP = "is nested too deeply"
_CORE = "tag:yaml.org,2002:"
_FOR_ANCHORS = "x-"
_SURROGATES = re.compile("[\ud800-\udfff]+")


class _TooMuchError(Exception):
    """Raised when reading on would cost more than any configuration is worth."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem


def parse(
    text: str,
    file: str,
    environ: Mapping[str, str],
    problems: list[Problem],
    *,
    longest_path: int = LONGEST_PATH,
    needed: str = "a mapping of keys, at least upstream",
) -> Node | None:
    """Return the tree of one document with references to the environment replaced; None when it is not YAML at all.

    Adds to ``problems`` what is wrong with the YAML: syntax, duplicate keys, missing variables, too much of anything.
    Key paths may have ``longest_path`` characters; ``needed`` is what an empty file lacks.
    """
    loader = None
    try:
        _check_text(text, file)
        loader = parser(text)
        root = loader.get_single_node()
        if root is None:
            problems.append(Problem(file, 1, 1, "", None, needed, "the file is empty"))
            return None
        return _Builder(loader, file, environ, problems, longest_path).node(root, "", None)
    except _TooMuchError as error:
        problems.append(error.problem)
    except yaml.MarkedYAMLError as error:
        problems.append(syntax_problem(error, text, file))
    except RecursionError:
        problems.append(Problem(file, 1, 1, "", None, "", _TOO_DEEP))
    finally:
        if loader is not None:
            loader.dispose()
    return None


def _check_text(text: str, file: str) -> None:
    """Raise _TooMuchError for a text that must not reach the parser."""
    unprintable = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if unprintable is not None:
        raise _TooMuchError(_at(text, unprintable, file, "a character that YAML does not allow"))
    # PyYAML's composer recurses in C and does not check the stack, so nothing far too deep may reach it.
    # Brackets inside texts count too: no sane configuration leaves hundreds of them open.
    depth = values = 0
    for match in _SEPARATOR.finditer(text):
        if match[0] in ",\n":
            values += 1
        else:
            depth += 1 if match[0] in "[{" else -1
        if depth > _DEEPEST_TEXT:
            raise _TooMuchError(_at(text, match, file, _TOO_DEEP))
        if values > MOST_VALUES:
            allowed = f"at most {MOST_VALUES:,} lines and commas in a file; long lists go into files: file:PATH"
            raise _TooMuchError(_at(text, match, file, "holds too many values", allowed))
    deep = _DEEP_BLOCK.search(text)
    if deep is not None:
        raise _TooMuchError(_at(text, deep, file, _TOO_DEEP))


def _at(text: str, match: re.Match[str], file: str, fault: str, allowed: str = "") -> Problem:
    before = text[: match.start()]
    line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
    return Problem(file, line, column, "", None, allowed, fault)


def _problem(place: Place, path: str, fault: str, allowed: str = "") -> Problem:
    return Problem(place.file, place.line, place.column, path, None, allowed, fault)


class _Builder:
    """Makes our nodes of PyYAML's nodes."""

    def __init__(
        self, loader: CCoreLoader, file: str, environ: Mapping[str, str], problems: list[Problem], longest_path: int
    ) -> None:
        self._loader = loader
        self._file = file
        self._environ = environ
        self._problems = problems
        self._longest_path = longest_path
        self._open: set[int] = set()
        self._built: set[int] = set()
        """The lists and mappings that were already read. One that comes again is an alias."""
        self._merges = Merges(self._cannot_merge, self._count_repeated)
        self._repeating = 0
        """How many of the open lists and mappings are repeated by aliases."""
        self._repeated = 0

    def node(self, node: yaml.Node, path: str, key: yaml.Node | None) -> Node:
        """Return the node with all nodes below it."""
        place = self._place(node)
        key_place = place if key is None else self._place(key)
        if self._repeating:
            self._count_repeated(node, path)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path, place, key_place)
        if id(node) in self._open:
            self._problems.append(_problem(place, path, "an alias that contains itself"))
            return Scalar(path, place, key_place, "", Kind.NULL)
        if len(self._open) == DEEPEST:
            raise _TooMuchError(_problem(place, path, _TOO_DEEP))
        repeated = id(node) in self._built
        self._built.add(id(node))
        self._open.add(id(node))
        self._repeating += repeated
        made: Node
        if isinstance(node, yaml.SequenceNode):
            items = tuple(self.node(item, f"{path}[{n}]", None) for n, item in enumerate(node.value))
            made = Sequence(path, place, key_place, items)
        else:
            made = Table(path, place, key_place, dict(self._members(node, path)))
        self._repeating -= repeated
        self._open.discard(id(node))
        return made

    def _cannot_merge(self, source: yaml.Node, path: str) -> None:
        allowed = "an alias of a mapping, or a list of them: <<: *NAME, or <<: [*ONE, *OTHER]"
        self._problems.append(_problem(self._place(source), below(path, MERGE), "cannot be merged", allowed))

    def _count_repeated(self, node: yaml.Node, path: str) -> None:
        self._repeated += 1
        if self._repeated > MOST_BY_ALIAS:
            allowed = f"at most {MOST_BY_ALIAS:,} values by aliases in all"
            raise _TooMuchError(_problem(self._place(node), path, "is repeated too often by aliases", allowed))

    def _members(self, node: yaml.Node, path: str) -> Iterator[tuple[str, Node]]:
        seen: dict[str, Place] = {}
        merged: yaml.Node | None = None
        for key, value in node.value:
            place = self._place(key)
            if not isinstance(key, yaml.ScalarNode):
                self._problems.append(_problem(place, path, "a key that is not a text"))
                continue
            name = self._whole(key, key.value, path)
            inner = below(path, name)
            if len(inner) > self._longest_path:
                allowed = f"at most {self._longest_path} characters with all keys above it"
                self._problems.append(_problem(place, shown_path(inner), "a key that is too long", allowed))
            elif name in seen:
                if not self._repeating:
                    fault = f"is there twice, first in line {seen[name].line}"
                    self._problems.append(_problem(place, inner, fault, "once"))
            else:
                seen[name] = place
                if is_merge(key):
                    merged = value
                    continue
                member = self.node(value, inner, key)
                if path or not name.startswith(_FOR_ANCHORS):
                    yield name, member
        for name, (key, value) in self._merges.added(merged, path).items():
            inner = below(path, name)
            if name not in seen and len(inner) <= self._longest_path and not inner.startswith(_FOR_ANCHORS):
                self._repeating += 1
                yield name, self.node(value, inner, key)
                self._repeating -= 1

    def _whole(self, node: yaml.ScalarNode, text: str, path: str) -> str:
        """Return a text with its surrogates joined. Half a character is a fault, and left out."""
        text = joined(text)
        if is_text(text):
            return text
        if not self._repeating:
            fault, allowed = "holds half a character", r"both halves of a surrogate pair, such as \ud83d\ude00"
            self._problems.append(_problem(self._place(node), path, fault, allowed))
        return _SURROGATES.sub("", text)

    def _scalar(self, node: yaml.ScalarNode, path: str, place: Place, key_place: Place) -> Scalar:
        try:
            kind = Kind(node.tag.removeprefix(_CORE))
        except ValueError:
            self._problems.append(_problem(place, path, "has an unknown tag"))
            kind = Kind.TEXT
        text = self._whole(node, node.value, path)
        start, end = node.start_mark, node.end_mark
        width = end.column - start.column if end.line == start.line else 0
        made = Scalar(path, place, key_place, text, kind, width=width)
        if len(text) > LONGEST:
            made = replace(made, text=text[:LONGEST], kind=Kind.TEXT)
            self._problems.append(made.problem("is too long", f"at most {LONGEST:,} characters"))
            return made
        if not refers(text) or path.startswith(_FOR_ANCHORS):
            return made
        secret = path in SECRETS
        try:
            text, origin = substitute(text, self._environ, secret=secret)
        except SubstitutionError as error:
            made = replace(made, kind=Kind.TEXT, from_environment=True)
            self._problems.append(made.problem(error.fault, error.allowed, of_host=error.of_host))
            return made
        kind = Kind.TEXT
        # A token such as 12345, true or null is a text. Read as null, it would switch authentication off.
        if origin is Origin.DEFAULT or (origin is Origin.ENVIRONMENT and not secret):
            kind = Kind(self._loader.resolve(yaml.ScalarNode, text, (True, False)).removeprefix(_CORE))
        return replace(made, text=text, kind=kind, from_environment=origin is not Origin.FILE)

    def _place(self, node: yaml.Node) -> Place:
        mark = node.start_mark
        return Place(self._file, mark.line + 1, mark.column + 1)
