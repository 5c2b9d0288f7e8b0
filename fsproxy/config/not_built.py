"""What the configuration can say and the program cannot do yet: refused, never ignored."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fsproxy.config.problems import Problem
from fsproxy.config.yaml.positions import Node, Scalar, Table

NOT_BUILT: tuple[tuple[str, Callable[[str], bool], str], ...] = ()
"""Key path, which values of it are not built, and what is."""


def not_built(root: Table) -> Iterator[Problem]:
    """A fault for each use of what is not built."""
    for path, refused, allowed in NOT_BUILT:
        node: Node | None = root
        for name in path.split("."):
            node = node.members.get(name) if isinstance(node, Table) else None
        if isinstance(node, Scalar) and refused(node.text):
            yield node.problem("is not built yet", allowed)
