"""The keys of the configuration as the file nests them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

from fsproxy.config.schema import Config
from fsproxy.core.keys import METADATA, FileOf, Key, MapOf, SectionOf, whole
from fsproxy.core.settings import CoreSettings, OrgSettings

Fields: TypeAlias = tuple[tuple[str, Key], ...]
"""The dataclass fields, by name, whose values one key of the file gives: mostly one."""


@dataclass(frozen=True, slots=True)
class Group:
    """A mapping in the file, whose keys are fields of one dataclass."""

    description: str
    members: Mapping[str, Group | Fields]


_GROUPS: dict[type[Any], Group] = {}


def keys_of(kind: type[Any]) -> Group:
    """Return the keys of a dataclass, in order. ``GROUPS`` of the class describes what is nested in the file alone."""
    found = _GROUPS.get(kind)
    if found is None:
        members: dict[str, Any] = {}
        for each in fields(kind):
            key: Key | None = each.metadata.get(METADATA)
            if key is not None:
                group, _, name = (key.at or each.name).rpartition(".")
                within = members.setdefault(group, Group(kind.GROUPS[group], {})).members if group else members
                within[name] = (*within.get(name, ()), (each.name, key))
        found = _GROUPS[kind] = Group(kind.__doc__ or "", members)
    return found


_BASE = keys_of(OrgSettings).members
ROOT = Group(
    keys_of(Config).description,
    {
        "version": (("version", Key(whole(1, 1), 1, "Of this format.", "")),),
        **keys_of(Config).members,
        **keys_of(CoreSettings).members,
        "filters": _BASE["filters"],
        "client_api": _BASE["client_api"],
        "plan": _BASE["plan"],
    },
)
"""The whole file: the program's sections, and the core's beside them."""


def names(group: Group = ROOT) -> Iterator[str]:
    """Yield the name of every key at any level, some more than once."""
    for name, found in group.members.items():
        yield name
        reader = None if isinstance(found, Group) else found[0][1].reader
        reader = reader.value if isinstance(reader, MapOf) else reader
        if isinstance(found, Group):
            yield from names(found)
        elif isinstance(reader, SectionOf | FileOf):
            yield from names(keys_of(reader.kind))
