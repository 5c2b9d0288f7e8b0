"""The keys that a profile of limits stands for, as if they were written where it is chosen (rules.md 2)."""

from __future__ import annotations

from collections.abc import Mapping

from fsproxy.config.key_tree import Fields, Group, keys_of
from fsproxy.config.problems import Place
from fsproxy.config.yaml.positions import Kind, Node, Scalar, Sequence, Table, below
from fsproxy.core.keys import SectionOf
from fsproxy.core.limits.profiles import CURRENT
from fsproxy.core.settings import ClientApiSettings, Profile


def profile_of(client_api: Node) -> Table | None:
    """Return what the section's ``limits`` stands for; None: it chooses no profile, or none that is known.

    ``documents`` stands for the defaults, so that an org that chooses it has them whatever the base section says.
    """
    chosen = client_api.scalar("limits") if isinstance(client_api, Table) else None
    keys = _PROFILES.get(chosen.text) if chosen is not None else None
    if chosen is None or keys is None:
        return None
    path, place = client_api.path, chosen.place
    return Table(path, place, place, {name: _node(each, below(path, name), place) for name, each in keys.items()})


def _node(value: object, path: str, place: Place) -> Node:
    if isinstance(value, Mapping):
        members = {name: _node(each, below(path, name), place) for name, each in value.items()}
        return Table(path, place, place, members)
    if isinstance(value, list):
        return Sequence(path, place, place, tuple(_node(each, f"{path}[{n}]", place) for n, each in enumerate(value)))
    if value is None:
        return Scalar(path, place, place, "", Kind.NULL)
    if isinstance(value, bool):
        return Scalar(path, place, place, str(value).lower(), Kind.BOOL)
    return Scalar(path, place, place, str(value), Kind.INT if isinstance(value, int) else Kind.TEXT)


def _default(section: str, name: str) -> object:
    found = _members(keys_of(ClientApiSettings).members[section])[name]
    return None if isinstance(found, Group) else found[0][1].default


def _members(found: Group | Fields) -> Mapping[str, Group | Fields]:
    if isinstance(found, Group):
        return found.members
    reader = found[0][1].reader
    return keys_of(reader.kind).members if isinstance(reader, SectionOf) else {}


_PROFILES: Mapping[str, Mapping[str, Mapping[str, object]]] = {
    Profile.CURRENT: CURRENT,
    Profile.DOCUMENTS: {section: {name: _default(section, name) for name in keys} for section, keys in CURRENT.items()},
}
