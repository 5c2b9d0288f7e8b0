"""What is wrong with ``upstream.rewrite`` as a whole: groups that are not there, and recordings past every rule."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress

from fsproxy.config.problems import Problem
from fsproxy.config.schema import RoutesConfig
from fsproxy.config.yaml.positions import Node, Scalar, Table
from fsproxy.core.wire.rewrites import REGEX, Rewrite, groups_beyond

_SECTIONS = ("page", "bundle", "event", "socket")
_DIRECT = ("event", "identify", "set_user_vars")
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
    named = {path for _, path in routes}
    # A route that is rewritten itself is a name that clients use, and the upstream does not.
    there = [(name, path) for name, path in routes if _goes_up_as(path, rewrites) == path]
    for node, _, beginning in rules:
        missing = {
            made: (name, path)
            for name, path in there
            if (made := beginning.removesuffix("/") + path) not in named and _goes_up_as(made, rewrites) == path
        }
        if missing:
            made, (_, path) = next(iter(missing.items()))
            wanted = ", ".join(f"{made} in routes.{name}" for made, (name, _) in missing.items())
            yield node.problem(f"sends {made} up as {path}, but no rule would look at it", wanted)


def _goes_up_as(path: str, rewrites: Sequence[Rewrite]) -> str:
    new = (rewrite.apply(path) for rewrite in rewrites)
    return next((each for each in new if each is not None), path)


def _compiled(node: Node) -> tuple[Node, Rewrite | None, str]:
    path, to = (node.scalar(key) if isinstance(node, Table) else None for key in ("path", "to"))
    if path is None or to is None:
        return node, None, ""
    literal = _LITERAL.match(path.text.removeprefix(REGEX))
    beginning = path.text if not path.text.startswith(REGEX) else re.sub(r"\\(.)", r"\1", literal[1] if literal else "")
    try:
        return to, Rewrite.compile(path.text, to.text), beginning
    except ValueError:  # The keys' own readers report it.
        return node, None, ""


def _is_off(direct: Node | None, name: str) -> bool:
    """Return whether the file says that there is no such route."""
    return isinstance(direct, Table) and name in direct.members and direct.scalar(name) is None


def _routes(root: Table) -> list[tuple[str, str]]:
    """Return the capture routes with their sections: those of the file, and the default ones."""
    defaults = RoutesConfig()
    section = root.members.get("routes")
    direct = section.members.get("direct") if isinstance(section, Table) else None
    found = [(name, path) for name in _SECTIONS for path in getattr(defaults, name)]
    found += [(f"direct.{name}", getattr(defaults, f"direct_{name}")) for name in _DIRECT if not _is_off(direct, name)]
    if isinstance(section, Table):
        found += [
            (name, node.text) for name in _SECTIONS for node in section.sequence(name) if isinstance(node, Scalar)
        ]
    if isinstance(direct, Table):
        found += [(f"direct.{name}", node.text) for name in _DIRECT if (node := direct.scalar(name)) is not None]
    return found
