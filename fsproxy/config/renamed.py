"""Keys that have a new name: the old one is read for two minor versions more, with a warning.

docs/reference/stability.md promises that to users.
The old keys are moved to their new places in the tree before anything else reads it. So nothing else knows old names,
and a fault of a moved key still shows the name and the place that the user wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from fsproxy.config.problems import Problem
from fsproxy.config.reading import MERGED
from fsproxy.config.yaml.positions import Node, Table, below


@dataclass(frozen=True, slots=True)
class Renamed:
    """Where a key is now."""

    to: str
    """The path of the key, such as ``filters.domain.otherwise``."""
    until: str
    """The first version that does not read the old name any more."""


RENAMED: dict[str, Renamed] = {}
"""By the old path. Of a key below ``filters``, ``client_api`` and ``plan``, the same holds in each org."""


def with_new_names(root: Table, problems: list[Problem]) -> tuple[Table, tuple[str, ...]]:
    """Return the tree with every key at its present place, and a warning for each key that had an old name.

    A key that has both names is a fault.
    """
    if not RENAMED:
        return root, ()
    warnings: list[str] = []
    root = _moved(root, RENAMED, problems, warnings)
    of_orgs = {old: new for old, new in RENAMED.items() if old.partition(".")[0] in MERGED}
    orgs = root.members.get("orgs")
    if isinstance(orgs, Table) and isinstance(listed := orgs.members.get("listed"), Table):
        members = {
            name: _moved(org, of_orgs, problems, warnings) if isinstance(org, Table) else org
            for name, org in listed.members.items()
        }
        orgs = replace(orgs, members={**orgs.members, "listed": replace(listed, members=members)})
        root = replace(root, members={**root.members, "orgs": orgs})
    return root, tuple(warnings)


def _moved(table: Table, renamed: Mapping[str, Renamed], problems: list[Problem], warnings: list[str]) -> Table:
    for old, new in renamed.items():
        node, rest = _taken(table, old.split("."))
        if node is None:
            continue
        path = below(table.path, new.to)
        if (together := _put(rest, new.to.split("."), node)) is None:
            problems.append(node.key_problem(f"is the old name of {path}, which is there too", "one of the two"))
        else:
            warnings.append(
                f"{node.key_place}: {node.path} is now called {path}; version {new.until} reads that name alone"
            )
        table = together or rest
    return table


def _taken(table: Table, path: list[str]) -> tuple[Node | None, Table]:
    """Return the node at a path, and the table without it, nor the sections that it leaves empty."""
    name, *within = path
    node = table.members.get(name)
    kept = {key: each for key, each in table.members.items() if key != name}
    if not within or node is None:
        return node, replace(table, members=kept)
    if not isinstance(node, Table):
        return None, table
    found, inner = _taken(node, within)
    return found, replace(table, members={**kept, name: inner} if inner.members else kept)


def _put(table: Table, path: list[str], node: Node) -> Table | None:
    """Return the table with the node at a path; None if something is there."""
    name, *within = path
    there = table.members.get(name)
    if not within:
        return replace(table, members={**table.members, name: node}) if there is None else None
    if there is None:
        there = Table(below(table.path, name), node.place, node.key_place, {})
    inner = _put(there, within, node) if isinstance(there, Table) else None
    return replace(table, members={**table.members, name: inner}) if inner is not None else None
