"""Merges an org's overrides over the base sections, key by key. What it does not override stays the same node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace

from fsproxy.config.profiles import profile_of
from fsproxy.config.yaml.positions import Kind, Node, Scalar, Table, below
from fsproxy.core.keys import METADATA, SectionOf
from fsproxy.core.settings import FilterSettings

DISPLACES: Mapping[str, tuple[str, ...]] = {
    "only": ("never",),
    "never": ("only",),
    "header": ("database", "country", "region"),
    "database": ("header", "region_header"),
    "share": ("schedule",),
    "schedule": ("share",),
}
"""Keys that exclude each other: when an org has one of them, the base's others do not count for it."""

_FILTERS = tuple(
    field.name for field in fields(FilterSettings) if isinstance(field.metadata[METADATA].reader, SectionOf)
)


def with_overrides(root: Table) -> Table:
    """Return the tree with whole ``filters``, ``client_api`` and ``plan`` sections for each listed org."""
    filters = _section(root, "filters")
    if isinstance(filters, Table):
        whole = {name: _section(filters, name) for name in _FILTERS}
        filters = replace(filters, members={**filters.members, **whole})
    client_api = _profiled(_section(root, "client_api"))
    base = {"filters": filters, "client_api": client_api, "plan": _section(root, "plan")}
    orgs = root.members.get("orgs")
    members = {**root.members, **base}
    if isinstance(orgs, Table) and isinstance(listed := orgs.members.get("listed"), Table):
        merged = {name: _org(org, base) for name, org in listed.members.items()}
        members["orgs"] = replace(orgs, members={**orgs.members, "listed": replace(listed, members=merged)})
    return replace(root, members=members)


def _org(org: Node, base: Mapping[str, Node]) -> Node:
    if isinstance(org, Scalar) and org.kind is Kind.NULL:
        org = Table(org.path, org.place, org.key_place, {})
    if not isinstance(org, Table):
        return org
    own = {name: _profiled(node) if name == "client_api" else node for name, node in org.members.items()}
    whole = {name: _merged(node, own[name]) if name in own else node for name, node in base.items()}
    return replace(org, members={**own, **whole})


def _profiled(client_api: Node) -> Node:
    """Return the section with the keys of the profile that it chooses, where it has none of its own (rules.md 2)."""
    profile = profile_of(client_api)
    return _merged(profile, client_api) if profile is not None else client_api


def _section(table: Table, name: str) -> Node:
    """Return the section, or one new empty node for all orgs when the file has none."""
    found = table.members.get(name)
    if found is None or (isinstance(found, Scalar) and found.kind is Kind.NULL):
        return Table(below(table.path, name), table.place, table.place, {})
    return found


def _merged(base: Node, over: Node) -> Node:
    if isinstance(over, Scalar) and over.kind is Kind.NULL and isinstance(base, Table):
        return base
    if not isinstance(base, Table) or not isinstance(over, Table):
        return over
    if not over.members:
        return base
    gone = {name for key in over.members for name in DISPLACES.get(key, ())} - over.members.keys()
    kept = {name: node for name, node in base.members.items() if name not in gone}
    mine = {name: _merged(kept[name], node) if name in kept else node for name, node in over.members.items()}
    if not gone and all(node is base.members.get(name) for name, node in mine.items()):
        return base
    return replace(over, members={**kept, **mine})
