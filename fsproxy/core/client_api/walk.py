"""The walk over the properties of one call: each is judged once, in order of appearance (rules.md 2)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from fsproxy.core.client_api.calls import ORDER_COMPLETED, UID, Call, Steps, Typing
from fsproxy.core.client_api.details import cut, property_detail, reserved_detail
from fsproxy.core.client_api.names import TYPES, PropertyType, read_name
from fsproxy.core.client_api.values import JUDGES, inferred_type, reserved_problem
from fsproxy.core.model import CallKind, Rejection
from fsproxy.core.reasons import RejectionCode
from fsproxy.core.settings import ClientApiSettings

_Schema = dict[str, Any] | None


class TooManyLeaves(Exception):  # noqa: N818 - a fact about the call, not a mistake
    """The call holds more properties than are judged."""


class Walk:
    """What is found on the way; made for one call, used once."""

    __slots__ = (
        "_allow_hyphen",
        "_by_suffix",
        "_call",
        "_entries",
        "_in_lists",
        "_kept_entries",
        "_leaves",
        "_lists_pass",
        "_max_leaves",
        "_max_length",
        "_prefix",
        "_refused",
        "_reserved",
        "_settings",
        "_shown",
        "_size",
        "cuts",
        "names",
        "rejections",
        "survivors",
    )

    def __init__(
        self,
        call: Call,
        settings: ClientApiSettings,
        reserved: Mapping[str, int],
        max_leaves: int,
        refused: Collection[str],
    ) -> None:
        self._call = call
        self._settings = settings
        self._reserved = reserved
        self._max_leaves = max_leaves
        self._refused = refused
        self._by_suffix = call.typing is Typing.SUFFIX
        self._allow_hyphen = settings.allow_hyphen
        self._max_length = settings.property_name_length
        self._size = settings.value_size
        self._leaves = 0
        event = call.name if call.kind is CallKind.EVENT and isinstance(call.name, str) else None
        self._lists_pass = event == ORDER_COMPLETED
        self._shown = cut(event) if event is not None else None
        # A path holds no slash, so the last one divides, whatever the event is called.
        self._prefix = f"{event}/" if event is not None else ""
        self._entries: list[Steps] = []
        self._kept_entries: set[Steps] = set()
        self._in_lists = False  # only the elements of a list share entries
        self.rejections: list[Rejection] = []
        self.cuts: list[Steps] = []
        self.names: dict[str, None] = {}
        self.survivors = 0

    def entries_to_cut(self) -> tuple[Steps, ...]:
        """Give the schema's entries of rejected properties, but not one that a survivor shares."""
        return tuple(dict.fromkeys(each for each in self._entries if each not in self._kept_entries))

    def members(self, members: dict[str, Any], schema: _Schema, path: str, steps: Steps, entry: Steps) -> None:
        """Judge the members of one object. ``path`` is "" or ends in a dot; raises TooManyLeaves."""
        reserved: Collection[str] = self._reserved if not path else ()
        by_suffix, hyphen, size, refused = self._by_suffix, self._allow_hyphen, self._size, self._refused
        prefix, room = self._prefix + path, self._max_length - len(path)
        for key, value in members.items():
            if key in reserved and self._is_reserved(key, schema):
                self._reserved_member(key, value, steps)
                continue
            kind = type(value)
            if kind is dict or (kind is list and _are_objects(value)):
                self._structure(key, value, schema, path, steps, entry)
                continue
            self._leaves += 1
            if self._leaves > self._max_leaves:
                raise TooManyLeaves
            if not by_suffix:
                self._described_leaf(key, value, schema, path + key, steps, entry)
                continue
            # What most properties are is judged here and at once: a call costs as much as it does.
            declared = read_name(key, hyphen)
            judge = JUDGES.get(declared)
            code = judge(value, size) if judge is not None else None
            name = prefix + key
            if judge is None or code is not None or len(key) > room or name in refused:
                self._reject_suffixed(key, declared, code, path + key, steps)
                continue
            self.survivors += 1
            self.names[name] = None

    def _reserved_member(self, key: str, value: object, steps: Steps) -> None:
        if key != UID or self._call.kind is not CallKind.IDENTIFY or self._call.envelope:
            self.reserved_leaf(key, value, self._reserved[key], (*steps, key), reserved_detail)
        else:  # its rule is the call's own, and was judged
            self._count()
            self.survivors += 1

    def reserved_leaf(
        self, key: str, value: object, length: int, steps: Steps, detail: Callable[[RejectionCode, int], str]
    ) -> None:
        """Judge a reserved property: a string with a length of its own, never counted among the names."""
        self._count()
        code = reserved_problem(value, length)
        if code is None:
            self.survivors += 1
            return
        self.cuts.append(steps)
        self.rejections.append(Rejection(code, self._call.kind, self._shown, key, detail(code, length)))

    def _count(self) -> None:
        self._leaves += 1
        if self._leaves > self._max_leaves:
            raise TooManyLeaves

    def _is_reserved(self, key: str, schema: _Schema) -> bool:
        # The schema of apiVersion 1 has an entry only where the page wrote a suffix: an ordinary name.
        return self._call.typing is not Typing.SCHEMA or not schema or key not in schema

    def _reject_suffixed(
        self, key: str, declared: PropertyType | RejectionCode, code: RejectionCode | None, path: str, steps: Steps
    ) -> None:
        """Choose what comes first in the order of the rules; ``code`` is the value's problem."""
        if declared is RejectionCode.INVALID_PROPERTY_NAME:
            self._reject(declared, path, steps, key)
        elif len(path) > self._max_length:
            self._reject(RejectionCode.PROPERTY_NAME_TOO_LONG, path, steps, key)
        elif isinstance(declared, RejectionCode):
            self._reject(declared, path, steps, key)
        else:
            self._reject(code or RejectionCode.CARDINALITY_EXCEEDED, path, steps, key, declared)

    def _described_leaf(self, key: str, value: object, schema: _Schema, path: str, steps: Steps, entry: Steps) -> None:
        described = schema.get(key) if schema else None
        declared: PropertyType | RejectionCode
        if type(described) is str:
            declared = TYPES.get(described, RejectionCode.INVALID_PROPERTY_TYPE)
        else:
            declared = self._undescribed(described, value)
        judge = JUDGES.get(declared)
        canonical = f"{path}_{declared}" if judge is not None else path
        code: RejectionCode | None = None
        if read_name(key, self._allow_hyphen) is RejectionCode.INVALID_PROPERTY_NAME:
            code = RejectionCode.INVALID_PROPERTY_NAME
        elif len(canonical) > self._max_length:
            code = RejectionCode.PROPERTY_NAME_TOO_LONG
        elif judge is None:
            code = declared  # type: ignore[assignment] # what names no type is a code
        else:
            code = judge(value, self._size)
            if code is None and self._prefix + canonical in self._refused:
                code = RejectionCode.CARDINALITY_EXCEEDED
        if code is not None:
            self._reject(code, path, steps, key, declared if isinstance(declared, PropertyType) else None)
            if schema and key in schema:
                self._entries.append((*entry, key))
            return
        self.survivors += 1
        self.names[self._prefix + canonical] = None
        if self._in_lists and schema and key in schema:
            self._kept_entries.add((*entry, key))

    def _undescribed(self, described: object, value: object) -> PropertyType | RejectionCode:
        """Tell the type of a value that the schema gives none; an entry for an object gives none."""
        if described is not None and not isinstance(described, (dict, list)):
            return RejectionCode.INVALID_PROPERTY_TYPE
        if self._call.typing is Typing.SCHEMA:
            return RejectionCode.MISSING_PROPERTY_TYPE
        return inferred_type(value)

    def _structure(self, key: str, value: Any, schema: _Schema, path: str, steps: Steps, entry: Steps) -> None:
        """Judge a nested object or a list of objects: its own name, then what is in it."""
        code = self._structure_problem(key, value, schema, path + key)
        if code is not None:
            self._count()
            self._reject(code, path + key, steps, key)
            if schema is not None and key in schema:
                self._entries.append((*entry, key))
            return
        below = schema.get(key) if schema else None
        inside = (*steps, key)
        if type(value) is dict:
            self._inside(value, below, path + key, inside, (*entry, key) if below else entry)
            return
        self._in_lists = True
        for index, each in enumerate(value):
            part, at = below, (*entry, key)
            if isinstance(below, list):
                # One entry may stand for all elements.
                place = index if index < len(below) else len(below) - 1
                part, at = (below[place] if below else None), (*at, place)
            self._inside(each, part, path + key, (*inside, index), at)

    def _inside(self, value: dict[str, Any], schema: object, path: str, steps: Steps, entry: Steps) -> None:
        if not value:
            self._count()  # so that empty objects are bounded too
            return
        self.members(value, schema if isinstance(schema, dict) else None, f"{path}.", steps, entry)

    def _structure_problem(self, key: str, value: object, schema: _Schema, path: str) -> RejectionCode | None:
        declared = read_name(key, self._allow_hyphen)
        if declared is RejectionCode.INVALID_PROPERTY_NAME:
            return declared
        if len(path) > self._max_length:
            return RejectionCode.PROPERTY_NAME_TOO_LONG
        names_type = declared in JUDGES  # a suffix that names none is part of a nested name
        if not self._by_suffix:
            described = schema.get(key) if schema else None
            names_type = described is not None and not isinstance(described, (dict, list))
            if names_type and not (isinstance(described, str) and described in TYPES):
                return RejectionCode.INVALID_PROPERTY_TYPE
        if names_type or (type(value) is list and not self._lists_pass):
            return RejectionCode.EXPECTED_ATOM
        return None

    def _reject(
        self, code: RejectionCode, path: str, steps: Steps, key: str, declared: PropertyType | None = None
    ) -> None:
        self.cuts.append((*steps, key))
        detail = property_detail(code, self._settings, declared)
        self.rejections.append(Rejection(code, self._call.kind, self._shown, cut(path), detail))


def _are_objects(values: list[object]) -> bool:
    return bool(values) and type(values[0]) is dict and all(type(each) is dict for each in values)
