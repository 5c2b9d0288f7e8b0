"""The plan of names: the events, their properties and the user properties that were agreed on (rules.md 9).

``PlanFile`` is the file as people write it: names without suffix, each with its type. ``Plan`` is what calls are
compared with: canonical names (``event/path_type`` and ``path_type``), as the ledger counts them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Self

from fsproxy.core.keys import STRING, TEXT, JsonSchema, ListOf, MapOf, SectionOf, choice, matching, setting, whole
from fsproxy.core.model import PropertyType
from fsproxy.core.name_digest import DIGEST_BEGIN, name_digest
from fsproxy.core.wording import counted

Types = Mapping[str, tuple[PropertyType, ...]]
"""Dotted path of a property -> its types: mostly one."""

PATH = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(?:\.[A-Za-z][A-Za-z0-9_-]*)*")
"""A property's name in the plan. Whether calls may have hyphens in theirs is another rule."""
PATH_FORM = "letters, digits, _ and -, each part after a dot beginning with a letter"

_TYPE = replace(choice(PropertyType), noun="a type")
_TYPE_SCHEMA: JsonSchema = _TYPE.schema
_TYPES = MapOf[Types](ListOf(_TYPE, tuple, _TYPE_SCHEMA, lone=True), MappingProxyType)
_DIGEST = matching("a digest", "32 letters and digits that plan learn has written", r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedEvent:
    """One event of the plan."""

    properties: Types = setting(
        {},
        _TYPES,
        "Its properties by name, without suffix and nested ones dotted, each with its type or a list of types.",
    )
    required: tuple[str, ...] = setting(
        [], ListOf[tuple[str, ...]](TEXT, tuple, STRING), "Which of them each such event must have."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFile:
    """A plan of names: what was agreed on."""

    version: int = setting(1, whole(1, 1), "Of this format.")
    events: Mapping[str, PlannedEvent] | None = setting(
        None,
        MapOf[Mapping[str, PlannedEvent] | None](SectionOf(PlannedEvent), MappingProxyType, nullable=True),
        "By name, as pages send it. Without this key, events are not compared with the plan.",
    )
    user_properties: Types | None = setting(
        None,
        MapOf[Types | None](_TYPES.value, MappingProxyType, nullable=True),
        "By name, as an event's properties. Without this key, user properties are not compared with the plan.",
    )
    digests: frozenset[str] = setting(
        [],
        ListOf[frozenset[str]](_DIGEST, frozenset, _DIGEST.schema),
        "What plan learn writes for names of which the proxy has kept only digests, as they are long.",
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan as calls are compared with it."""

    path: str
    """The file's name, as it is configured."""
    events: frozenset[str] | None
    """None: events are not compared."""
    event_properties: frozenset[str]
    """``event/path_type``."""
    user_properties: frozenset[str] | None
    """``path_type``; None: user properties are not compared."""
    required: Mapping[str, Mapping[str, frozenset[str]]]
    """Event -> path -> the canonical names that it may have."""
    types: Mapping[str, str]
    """The types of a property, in words, by ``event/path`` or ``path``."""
    digests: frozenset[str]
    """Of names, as the ledger keeps them."""

    @classmethod
    def compile(cls, path: str, file: PlanFile) -> Self:
        """Return the plan that a file holds, in which ``required`` names properties of the same event."""
        events = file.events or {}
        return cls(
            path=path,
            events=frozenset(events) if file.events is not None else None,
            event_properties=frozenset(
                f"{event}/{name}" for event, planned in events.items() for name in canonical(planned.properties)
            ),
            user_properties=frozenset(canonical(file.user_properties)) if file.user_properties is not None else None,
            required=MappingProxyType(
                {
                    event: MappingProxyType(
                        {
                            name: frozenset(f"{event}/{each}" for each in canonical({name: planned.properties[name]}))
                            for name in planned.required
                        }
                    )
                    for event, planned in events.items()
                    if planned.required
                }
            ),
            types=MappingProxyType(
                {path: " or ".join(several) for path, several in (file.user_properties or {}).items()}
                | {
                    f"{event}/{path}": " or ".join(several)
                    for event, planned in events.items()
                    for path, several in planned.properties.items()
                }
            ),
            digests=frozenset(DIGEST_BEGIN + each for each in file.digests),
        )

    def has_event(self, event: str) -> bool:
        """Return whether an event is planned, or events are not compared with the plan."""
        return self.events is None or event in self.events or self._has_digest(event)

    def unplanned(self, names: Collection[str], *, of_event: bool) -> list[str]:
        """Return the canonical names that are not planned, in their order: of an event's properties, or of a user's."""
        planned = self.user_properties
        if of_event:
            planned = self.event_properties if self.events is not None else None
        if planned is None or planned.issuperset(names):
            return []
        return [name for name in names if name not in planned and not self._has_digest(name)]

    def _has_digest(self, name: str) -> bool:
        return bool(self.digests) and not self.digests.isdisjoint((name, name_digest(name)))

    def __str__(self) -> str:
        """Return the file's name, and how much is planned."""
        told = []
        if self.events is not None:
            told += [counted(len(self.events), "event")]
            told += [counted(len(self.event_properties), "event property", "event properties")]
        if self.user_properties is not None:
            told += [counted(len(self.user_properties), "user property", "user properties")]
        if self.digests:
            told += [counted(len(self.digests), "digest")]
        return f"{self.path} ({', '.join(told) or 'nothing'})"


def canonical(types: Types) -> list[str]:
    """Return the canonical names of properties, one for each type that a property may have."""
    return [f"{path}_{each}" for path, several in types.items() for each in several]
