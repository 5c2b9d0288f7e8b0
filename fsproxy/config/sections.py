"""What every section of the models is: a mapping of known keys that remembers where each of them stands."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationInfo,
    model_validator,
)

from fsproxy.config.fields import wrong
from fsproxy.config.problems import Problem
from fsproxy.config.reading import Members, Reading, reading_of
from fsproxy.config.yaml.positions import Kind, Node, Scalar, Sequence, Table

MOST_GUESSED = 100
"""Faults after which no key is suggested any more: a guess costs a thousand times what the fault itself does."""


def setting(default: object, description: str) -> Any:
    """A key with its default, written as in the file."""
    return Field(default=default, description=description)


def needed(description: str) -> Any:
    """A key that must be there."""
    return Field(description=description)


def section(kind: type[Section], description: str) -> Any:
    """A key under which a section stands, all of whose keys have defaults."""
    return Field(default_factory=kind, description=description)


class Section(BaseModel):
    """The base of all sections."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, arbitrary_types_allowed=True)

    _places: Mapping[str, str] = PrivateAttr(default_factory=lambda: MappingProxyType({}))

    @property
    def places(self) -> Mapping[str, str]:
        """Key -> ``file:line:column`` of its value, for the keys that are in the file."""
        return self._places

    @classmethod
    def conflicts(cls, table: Table) -> Iterator[Problem]:  # noqa: ARG003 - for the sections that have some
        """What is wrong between keys that may each be right. Judged whatever else is wrong."""
        yield from ()

    @model_validator(mode="wrap")
    @classmethod
    def _from_node(cls, value: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        if isinstance(value, Scalar) and value.kind is Kind.NULL:
            # A section of which every key is commented out.
            value = Table(value.path, value.place, value.key_place, {})
        if isinstance(value, Table):
            table, reading = value, reading_of(info)
            return reading.once(cls, table, lambda: cls._read(table, reading, handler))
        if isinstance(value, Node):
            raise wrong("is not a section", "a mapping of keys")
        return handler(value)

    @classmethod
    def _read(cls, table: Table, reading: Reading, handler: ModelWrapValidatorHandler[Self]) -> Self:
        known = {field.alias or name for name, field in cls.model_fields.items()}
        members = Members()
        members.table = table
        for name, node in table.members.items():
            if name in known:
                members[name] = node
            else:
                near = difflib.get_close_matches(name, known, 1) if len(reading.problems) < MOST_GUESSED else ()
                fault = "is not a known key" + (f" (did you mean {near[0]}?)" if near else "")
                reading.problems.append(node.key_problem(fault, ", ".join(sorted(known))))
        reading.problems.extend(cls.conflicts(table))
        made = handler(members)
        made._places = MappingProxyType({name: str(node.place) for name, node in table.members.items()})  # noqa: SLF001 - our own
        return made


def _members(value: Any) -> Any:
    if isinstance(value, Table):
        return dict(value.members)
    if isinstance(value, Scalar) and value.kind is Kind.NULL:
        return {}
    if isinstance(value, Node):
        raise wrong("is not a section", "a mapping of keys")
    return value


def _items(value: Any) -> Any:
    if isinstance(value, Sequence):
        return list(value.items)
    if isinstance(value, Node):
        raise wrong("is not a list", "a list")
    return value


def _null(value: Any) -> Any:
    return None if isinstance(value, Scalar) and value.kind is Kind.NULL else value


BY_NAME = BeforeValidator(_members)
"""For a mapping whose keys the user names."""

IN_ORDER = BeforeValidator(_items)
"""For a list of sections."""

OR_NULL = BeforeValidator(_null)
"""For a section that may be absent."""
