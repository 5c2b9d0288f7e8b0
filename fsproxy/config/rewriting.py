"""What is wrong with ``upstream.rewrite`` as a whole: groups that are not there, and recordings past every rule."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress

from fsproxy.config.problems import Problem
from fsproxy.config.schema import RoutesConfig
from fsproxy.config.yaml.positions import Kind, Node, Scalar, Table
from fsproxy.core.wire.rewrites import REGEX, Rewrite, groups_beyond

_SECTIONS = ("page", "bundle", "event", "socket")
_DIRECT = ("event", "identify", "set_user_vars")
Route = tuple[str, str]
"""A section of ``routes`` and a path in it."""
_LITERAL = re.compile(r"\^?((?:[\w/~-]|\\[./~_-])*)")
"""The plain beginning of an expression. What follows it may change its last character: ``/a*``."""


def rule_conflicts(table: Table) -> Iterator[Problem]:
    """Yield the fault of one rule whose replacement refers to a group that its pattern does not have."""
    path, to = table.scalar("path"), table.scalar("to")
    if path is None or to is None:
        return
    with suppress(ValueError):  # The key's own reader reports it.
        beyond = groups_beyond(path.text, to.text)
        if beyond is not None:
            yield to.problem(f"refers to group {beyond}, which path does not have", "the groups of path, from \\1")


def unjudged(root: Table) -> Iterator[Problem]:
    """Yield a problem for each rule that makes a capture route of a path that is none: no rule would look at it.

    Routes are found by the client's path (rules.md 4). What a pattern can match is not known in general: paths are
    tried that consist of its plain beginning and a capture route.
    """
    upstream = root.members.get("upstream")
    rules = [_compiled(node) for node in upstream.sequence("rewrite")] if isinstance(upstream, Table) else []
    rewrites = [rewrite for _, rewrite, _ in rules if rewrite is not None]
    routes = _routes(root) if rewrites else []
    for node, _, pattern in rules:
        # There is room for one direct route of a kind.
        missing = {
            made: (name, path)
            for made, (name, path) in nameless(pattern, rewrites, routes).items()
            if [each for each, _ in routes].count(name) == 1 or not name.startswith("direct.")
        }
        if missing:
            made, (_, path) = next(iter(missing.items()))
            wanted = ", ".join(f"{made} in routes.{name}" for made, (name, _) in missing.items())
            yield node.problem(f"sends {made} up as {path}, but no rule would look at it", wanted)


def nameless(pattern: str, rewrites: Sequence[Rewrite], routes: Sequence[Route]) -> dict[str, Route]:
    """Return the paths that begin as a pattern does, become capture routes and are none, each with what it becomes.

    None for a pattern that is not plain, because nobody knows which paths it is for.
    """
    start = _beginning(pattern).removesuffix("/")
    if not (is_plain(pattern) and start.startswith("/")):
        return {}
    named = {path for _, path in routes}
    # A route that is rewritten itself is a name that clients use, and the upstream does not.
    there = ((name, path) for name, path in routes if _goes_up_as(path, rewrites) == path)
    return {
        start + path: (name, path)
        for name, path in there
        if start + path not in named and _goes_up_as(start + path, rewrites) == path
    }


def is_plain(pattern: str) -> bool:
    """Return whether a pattern is for all paths with one beginning, as far as that is easily seen."""
    literal = _LITERAL.match(pattern.removeprefix(REGEX))
    rest = pattern.removeprefix(REGEX)[literal.end() :] if literal is not None else pattern
    return not pattern.startswith(REGEX) or rest in ("", "(.*)", "(.*)$", "(.+)", "(.+)$")


def _beginning(pattern: str) -> str:
    if not pattern.startswith(REGEX):
        return pattern
    literal = _LITERAL.match(pattern.removeprefix(REGEX))
    return re.sub(r"\\(.)", r"\1", literal[1]) if literal else ""


def usual_routes() -> list[Route]:
    """Return the default capture routes, which the upstream knows."""
    defaults = RoutesConfig()
    found = [(name, path) for name in _SECTIONS for path in getattr(defaults, name)]
    return found + [(f"direct.{name}", getattr(defaults, f"direct_{name}")) for name in _DIRECT]


def _goes_up_as(path: str, rewrites: Sequence[Rewrite]) -> str:
    new = (rewrite.apply(path) for rewrite in rewrites)
    return next((each for each in new if each is not None), path)


def _compiled(node: Node) -> tuple[Node, Rewrite | None, str]:
    path, to = (node.scalar(key) if isinstance(node, Table) else None for key in ("path", "to"))
    with suppress(ValueError):  # The keys' own readers report it.
        if path is not None and to is not None:
            return to, Rewrite.compile(path.text, to.text), path.text
    return node, None, ""


def _routes(root: Table) -> list[Route]:
    """Return the capture routes of the file beside the usual ones, without those that it takes away."""
    section = root.members.get("routes")
    direct = section.members.get("direct") if isinstance(section, Table) else None
    members = direct.members if isinstance(direct, Table) else {}
    off = {f"direct.{name}" for name, node in members.items() if isinstance(node, Scalar) and node.kind is Kind.NULL}
    found = [(name, path) for name, path in usual_routes() if name not in off]
    if isinstance(section, Table):
        nodes = ((name, node) for name in _SECTIONS for node in section.sequence(name))
        found += [(name, node.text) for name, node in nodes if isinstance(node, Scalar)]
    if isinstance(direct, Table):
        found += [(f"direct.{name}", node.text) for name in _DIRECT if (node := direct.scalar(name)) is not None]
    return found
