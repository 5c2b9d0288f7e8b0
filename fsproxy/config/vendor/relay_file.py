"""Reads the configuration of the vendor's traffic relay: a YAML file that refers to variables of the environment."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import yaml

from fsproxy.config.problems import Problem
from fsproxy.config.vendor.export import VendorSettingsError
from fsproxy.config.yaml import positions
from fsproxy.config.yaml.positions import Kind, Node, Scalar, Table
from fsproxy.config.yaml.tree import parse

_VARIABLE = re.compile(r"(\\*)(\$\{([^:}]*)(?::([^}]*))?\}|\$\(([^:)]*)(?::([^)]*))?\))")
"""``${NAME}``, ``${NAME:DEFAULT}`` for one value; ``$(NAME)``, ``$(NAME:DEFAULT)`` for any piece of YAML."""
_UNQUOTED = re.compile(r"|[-+]?[0-9][0-9A-Za-z.+-]*|(?i:null|~|true|false)")
"""What stays as it is where a variable's value is put; any other value is a text."""
OF_AN_EMPTY_FILE = """\
relay: {port: "${RELAY_PORT:8990}", target: "${TRAFFIC_RELAY_TARGET}", max-body-size: "${TRAFFIC_RELAY_MAX_BODY_SIZE}"}
block-content:
  TRAFFIC_EXCLUDE_BODY_CONTENT: ${TRAFFIC_EXCLUDE_BODY_CONTENT}
  TRAFFIC_MASK_BODY_CONTENT: ${TRAFFIC_MASK_BODY_CONTENT}
  TRAFFIC_EXCLUDE_HEADER_CONTENT: ${TRAFFIC_EXCLUDE_HEADER_CONTENT}
  TRAFFIC_MASK_HEADER_CONTENT: ${TRAFFIC_MASK_HEADER_CONTENT}
cookies: {TRAFFIC_RELAY_COOKIES: "${TRAFFIC_RELAY_COOKIES}"}
headers:
  override-origin: ${TRAFFIC_RELAY_ORIGIN_OVERRIDE}
paths:
  TRAFFIC_PATHS_MATCH: ${TRAFFIC_PATHS_MATCH}
  TRAFFIC_PATHS_REPLACEMENT: ${TRAFFIC_PATHS_REPLACEMENT}
  TRAFFIC_RELAY_SPECIALS: ${TRAFFIC_RELAY_SPECIALS}
"""
"""The variables of the file that the relay comes with, by which it is mostly configured."""


@dataclass(frozen=True, slots=True)
class Found:
    """A text of the configuration and its place, such as ``relay.yaml:12``."""

    where: str
    text: str


@dataclass(frozen=True, slots=True)
class Block:
    """A rule of ``block-content``."""

    pattern: Found
    exclude: bool
    header: bool


@dataclass(frozen=True, slots=True)
class Path:
    """A rule of ``paths``."""

    pattern: Found
    target: Found
    whole: bool
    """The target is a whole URL."""


@dataclass(slots=True)
class Relay:
    """What the file says."""

    port: Found | None = None
    target: Found | None = None
    max_body: Found | None = None
    origin: Found | None = None
    cookies: list[Found] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)
    unknown: list[Found] = field(default_factory=list)
    """Keys that are not known here, and what is not of the form that the relay takes."""


def read(text: str, name: str, environ: Mapping[str, str]) -> Relay:
    """Return what a file says with the values of variables in it; of an empty file, what they say.

    Raises VendorSettingsError for what is no such file.
    """
    if all(not line.strip() or line.lstrip().startswith("#") for line in text.split("\n")):
        text, name = OF_AN_EMPTY_FILE, "the environment"
    problems: list[Problem] = []
    # Behind its own variables, the relay takes ${1} for a group of an expression, and we for a variable.
    tree = parse(_substituted(text, environ).replace("${", "$${"), name, {}, problems)
    if problems or not isinstance(tree, Table):
        if problems:
            raise VendorSettingsError(f"{name}:{problems[0].line}", problems[0].without_place)
        raise VendorSettingsError(name, "is not a mapping of sections")
    return _Reader(name).read(tree)


def _substituted(text: str, environ: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        backslashes, whole = found[1], found[2]
        if len(backslashes) % 2:
            return found[0][1:]
        plain = whole.startswith("$(")
        variable, default = (found[5], found[6]) if plain else (found[3], found[4])
        # As in the relay, a variable that is empty counts as one that is not set.
        made = environ.get(variable, "") or default or ""
        if "\n" in made and not plain:
            raise VendorSettingsError(variable, "has a line break, which no value of the relay has")
        return backslashes + (made if plain or _UNQUOTED.fullmatch(made) else _as_text(made))

    return _VARIABLE.sub(value, text)


def _as_text(value: str) -> str:
    written: str = yaml.safe_dump(value, width=len(value) * 8 + 80, allow_unicode=True)
    return written.removesuffix("...\n").removesuffix("\n")


class _Reader:
    def __init__(self, name: str) -> None:
        self._name = name
        self._made = Relay()

    def read(self, root: Table) -> Relay:
        readers: dict[tuple[str, str], Callable[[Node], None]] = {
            ("relay", "port"): partial(self._put, "port"),
            ("relay", "target"): partial(self._put, "target"),
            ("relay", "max-body-size"): partial(self._put, "max_body"),
            ("headers", "override-origin"): partial(self._put, "origin"),
            ("cookies", "allowlist"): self._cookies,
            ("cookies", "TRAFFIC_RELAY_COOKIES"): lambda node: self._made.cookies.extend(self._words(node)),
            ("block-content", "body"): partial(self._blocks, header=False),
            ("block-content", "header"): partial(self._blocks, header=True),
            ("paths", "routes"): self._routes,
        }
        for name, (exclude, header) in _BLOCKS.items():
            readers["block-content", name] = partial(self._pattern, exclude=exclude, header=header)
        for name in _PATHS:  # read below, in the relay's order
            readers["paths", name] = lambda _: None
        for section, members in self._sections(root):
            for key, node in members.items():
                if isinstance(node, Scalar) and (node.kind is Kind.NULL or not node.text):
                    continue
                readers.get((section, key), self._unknown)(node)
            if section == "paths":
                self._variables(members)
        return self._made

    def _put(self, name: str, node: Node) -> None:
        setattr(self._made, name, self._text(node))

    def _unknown(self, node: Node) -> None:
        self._note(node, "is not known here")

    def _cookies(self, node: Node) -> None:
        self._made.cookies += filter(None, map(self._text, self._items(node)))

    def _pattern(self, node: Node, *, exclude: bool, header: bool) -> None:
        if (pattern := self._text(node)) is not None:
            self._made.blocks.append(Block(pattern, exclude, header))

    def _blocks(self, node: Node, *, header: bool) -> None:
        for item in self._items(node):
            self._block(item, header=header)

    def _routes(self, node: Node) -> None:
        for item in self._items(node):
            self._route(item)

    def _sections(self, root: Table) -> Iterator[tuple[str, Mapping[str, Node]]]:
        for section, node in root.members.items():
            if isinstance(node, Table):
                yield section, node.members
            elif not (isinstance(node, Scalar) and node.kind is Kind.NULL):
                self._note(node, "is not a section")

    def _text(self, node: Node | None) -> Found | None:
        if isinstance(node, Scalar):
            return Found(self._where(node), node.text)
        if node is not None:
            self._note(node, "is not a text")
        return None

    def _items(self, node: Node) -> Sequence[Node]:
        if isinstance(node, positions.Sequence):
            return node.items
        self._note(node, "is not a list")
        return ()

    def _words(self, node: Node) -> list[Found]:
        found = self._text(node)
        return [Found(found.where, word) for word in found.text.split()] if found is not None else []

    def _block(self, item: Node, *, header: bool) -> None:
        given = {key: item.scalar(key) for key in ("exclude", "mask")} if isinstance(item, Table) else {}
        patterns = [(key, node) for key, node in given.items() if node is not None and node.text]
        if len(patterns) != 1:
            self._note(item, "is not a rule with one of exclude and mask")
            return
        ((key, node),) = patterns
        self._made.blocks.append(Block(Found(self._where(node), node.text), key == "exclude", header))

    def _route(self, item: Node) -> None:
        members = item if isinstance(item, Table) else None
        path, to, url = (members.scalar(key) if members else None for key in ("path", "target-path", "target-url"))
        target = to or url
        if path is None or target is None or (to is not None and url is not None):
            self._note(item, "is not a route with a path and one target")
            return
        where = self._where(path)
        self._made.paths.append(Path(Found(where, path.text), Found(where, target.text), target is url))

    def _variables(self, members: Mapping[str, Node]) -> None:
        pattern, target = (self._text(members.get(name)) for name in _PATHS[:2])
        if target is not None and target.text and pattern is not None and pattern.text:
            self._made.paths.append(Path(pattern, target, whole=False))
        specials = members.get(_PATHS[2])
        words = self._words(specials) if specials is not None else []
        if specials is not None and len(words) % 2:
            self._note(specials, "has a pattern without its URL")
        self._made.paths += [Path(*pair, whole=True) for pair in zip(words[::2], words[1::2], strict=False)]

    def _where(self, node: Node) -> str:
        return f"{self._name}:{node.place.line}" if self._name != "the environment" else node.path

    def _note(self, node: Node, fault: str) -> None:
        # Comments of the output have no brackets: routes[0] would be routes?0?.
        path = node.path.replace("[", ".").replace("]", "")
        self._made.unknown.append(Found(self._where(node), f"{path} {fault}"))


_BLOCKS = {
    "TRAFFIC_EXCLUDE_BODY_CONTENT": (True, False),
    "TRAFFIC_MASK_BODY_CONTENT": (False, False),
    "TRAFFIC_EXCLUDE_HEADER_CONTENT": (True, True),
    "TRAFFIC_MASK_HEADER_CONTENT": (False, True),
}
"""Whether each excludes, and whether it is for headers."""
_PATHS = ("TRAFFIC_PATHS_MATCH", "TRAFFIC_PATHS_REPLACEMENT", "TRAFFIC_RELAY_SPECIALS")
