"""The walk over the properties of one call: each is judged once, in order of appearance (rules.md 2).

It keeps the objects that it is in on a list of its own: how deep they lie costs no stack of the interpreter.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from fsproxy.core.client_api.calls import NOWHERE, UID, Call, Steps, Typing
from fsproxy.core.client_api.validation.details import reserved_detail
from fsproxy.core.client_api.validation.findings import Findings, Schema, WalkedObject
from fsproxy.core.client_api.validation.names import TYPES, PropertyType, read_name
from fsproxy.core.client_api.validation.values import JUDGES_OF_OFFSETS, VALIDATORS, inferred_type
from fsproxy.core.json.layers import LEVELS
from fsproxy.core.model import CallKind
from fsproxy.core.reasons import RejectionCode
from fsproxy.core.settings import ClientApiSettings

_BY_NAME: tuple[Steps, None] = (NOWHERE, None)


class Walk(Findings):
    """The walk itself; made for one call, used once."""

    __slots__ = ("_allow_hyphen", "_by_suffix", "_judges", "_max_length", "_refused", "_reserved", "_size")

    def __init__(
        self,
        call: Call,
        settings: ClientApiSettings,
        reserved: Mapping[str, int],
        max_leaves: int,
        refused: Collection[str],
    ) -> None:
        super().__init__(call, settings, max_leaves)
        self._reserved = reserved
        self._refused = refused
        self._by_suffix = call.typing is Typing.SUFFIX
        self._judges = JUDGES_OF_OFFSETS if call.typing is Typing.INFERRED else VALIDATORS
        self._allow_hyphen = settings.allow_hyphen
        self._max_length = settings.property_name_length
        self._size = settings.value_size

    def judge_all(self) -> None:
        """Judge the properties of the call."""
        call = self._call
        stack = [WalkedObject(call.properties, call.schema, "", call.at, call.schema_at)]
        while stack:
            inside = stack[-1]
            deeper = self._members(inside)
            if deeper:
                stack += deeper
                continue
            stack.pop()
            if inside.outer is not None:
                self._leave(inside, inside.outer)

    def _members(self, inside: WalkedObject) -> list[WalkedObject] | None:
        """Judge members up to the next objects, which are to be judged before the others; None: it was the last."""
        path, steps = inside.path, inside.steps
        reserved: Collection[str] = self._reserved if not path else ()
        by_suffix, hyphen, size, refused = self._by_suffix, self._allow_hyphen, self._size, self._refused
        prefix, room, names = self._prefix + path, self._max_length - len(path), self.names
        for key, value in inside.members:
            if key in reserved and self._is_reserved(key, inside.schema):
                self._reserved_member(key, value, inside)
                continue
            kind = type(value)
            if kind is dict or (kind is list and _are_objects(value)):
                deeper = self._structure(key, value, inside)
                if deeper:
                    return deeper
                continue
            self._leaves += 1
            if self._leaves > self._max_leaves:
                self._reject_entry(RejectionCode.CARDINALITY_EXCEEDED, key, inside)
                continue
            if not by_suffix:
                self._described_leaf(key, value, inside)
                continue
            # What most properties are is judged here and at once: a call costs as much as it does.
            declared = read_name(key, hyphen)
            judge = VALIDATORS.get(declared)
            code = judge(value, size) if judge is not None else None
            name = prefix + key
            if judge is None or code is not None or len(key) > room or name in refused:
                self._reject_suffixed(key, declared, code, path + key, steps)
                continue
            inside.kept += 1
            self.survivors += 1
            names[name] = _BY_NAME
        return None

    def _leave(self, inside: WalkedObject, outer: WalkedObject) -> None:
        """Note what becomes of an object: with its last member it goes itself, and so does its empty entry."""
        if inside.kept:
            outer.kept += 1
            return
        if inside.schema is not None and not inside.schema:
            self._entries.append(inside.entry)
        self._entries += [place for place, said in self._flattened.at(inside.path[:-1]) if said == {}]

    def _reserved_member(self, key: str, value: object, inside: WalkedObject) -> None:
        if key == UID and self._call.kind is CallKind.IDENTIFY and not self._call.envelope:
            # Its rule is the call's own, and was judged. Without it the call would be another.
            self._leaves += 1
            self.survivors += 1
        elif self.reserved_leaf(key, value, self._reserved[key], (*inside.steps, key), reserved_detail):
            inside.kept += 1

    def _is_reserved(self, key: str, schema: Schema) -> bool:
        # The schema of apiVersion 1 has an entry only where the page wrote a suffix: an ordinary name.
        return self._call.typing is not Typing.SCHEMA or not schema or key not in schema

    def _reject_suffixed(
        self, key: str, declared: PropertyType | RejectionCode, code: RejectionCode | None, path: str, steps: Steps
    ) -> None:
        """Choose what comes first in the order of the rules; ``code`` is the value's problem."""
        where = (*steps, key)
        if declared is RejectionCode.INVALID_PROPERTY_NAME:
            self._reject(declared, path, where)
        elif len(path) > self._max_length:
            self._reject(RejectionCode.PROPERTY_NAME_TOO_LONG, path, where)
        elif isinstance(declared, RejectionCode):
            self._reject(declared, path, where)
        else:
            self._reject(code or RejectionCode.CARDINALITY_EXCEEDED, path, where, declared)

    def _described_leaf(self, key: str, value: object, inside: WalkedObject) -> None:
        path = inside.path + key
        described, places = self._described(key, path, inside)
        declared: PropertyType | RejectionCode
        if type(described) is str:
            declared = TYPES.get(described, RejectionCode.INVALID_PROPERTY_TYPE)
        else:
            declared = self._undescribed(described, value)
        judge = self._judges.get(declared)
        canonical = f"{path}_{declared}" if judge is not None else path
        # With apiVersion 1 the page wrote the suffix, with the second nobody did.
        length = len(canonical) if self._call.typing is Typing.SCHEMA else len(path)
        code: RejectionCode | None = None
        if read_name(key, self._allow_hyphen) is RejectionCode.INVALID_PROPERTY_NAME:
            code = RejectionCode.INVALID_PROPERTY_NAME
        elif length > self._max_length:
            code = RejectionCode.PROPERTY_NAME_TOO_LONG
        elif judge is None:
            code = declared  # type: ignore[assignment] # what names no type is a code
        else:
            code = judge(value, self._size)
            if code is None and self._prefix + canonical in self._refused:
                code = RejectionCode.CARDINALITY_EXCEEDED
        if code is not None:
            self._reject(code, path, (*inside.steps, key), declared if isinstance(declared, PropertyType) else None)
            self._entries += places
            return
        inside.kept += 1
        self.survivors += 1
        self.names[self._prefix + canonical] = ((*inside.steps, key), places[0] if places else None)
        if places and (self._in_lists or self._flattened):
            self._kept_entries.update(places)

    def _described(self, key: str, path: str, inside: WalkedObject) -> tuple[object, list[Steps]]:
        """Return what the schema says of a property, in either form, and where it does; two types are none."""
        schema = inside.schema
        described: object = None
        places: list[Steps] = []
        if schema and key in schema:
            described = schema[key]
            places.append((*inside.entry, key))
        for place, said in self._flattened.at(path) if self._flattened else ():
            places.append(place)
            if described is None or isinstance(described, (dict, list)):
                described = said
            elif said != described and not isinstance(said, (dict, list)):
                described = False  # no type, so ``InvalidPropertyType``
        return described, places

    def _undescribed(self, described: object, value: object) -> PropertyType | RejectionCode:
        """Tell the type of a value that the schema gives none; an entry for an object gives none."""
        if described is not None and not isinstance(described, (dict, list)):
            return RejectionCode.INVALID_PROPERTY_TYPE
        if self._call.typing is Typing.SCHEMA:
            return RejectionCode.MISSING_PROPERTY_TYPE
        return inferred_type(value)

    def _structure(self, key: str, value: Any, inside: WalkedObject) -> list[WalkedObject] | None:
        """Judge a nested object or a list of objects by its own name; return what is in it, the last first."""
        path = inside.path + key
        code = self._structure_problem(key, value, path, inside)
        if code is not None:
            self._leaves += 1
            if self._leaves > self._max_leaves:
                code = RejectionCode.CARDINALITY_EXCEEDED
            self._reject_entry(code, key, inside)
            return None
        below = inside.schema.get(key) if inside.schema else None
        steps, entry, path = (*inside.steps, key), (*inside.entry, key), f"{path}."
        if type(value) is dict:
            if not value:
                self._leaves += 1  # so that empty objects are bounded too
                inside.kept += 1
                return None
            deeper = WalkedObject(value, below, path, steps, entry if below is not None else inside.entry)
            deeper.outer = inside
            return [deeper]
        self._in_lists = True
        inside.kept += 1
        elements: list[WalkedObject] = []
        for index, each in enumerate(value):
            part, at = below, entry
            if isinstance(below, list):
                # One entry may stand for all elements.
                place = index if index < len(below) else len(below) - 1
                part, at = (below[place] if below else None), (*entry, place)
            elements.append(WalkedObject(each, part, path, (*steps, index), at))
            self._leaves += not each  # so that empty objects are bounded too
        elements.reverse()
        return elements

    def _structure_problem(self, key: str, value: object, path: str, inside: WalkedObject) -> RejectionCode | None:
        declared = read_name(key, self._allow_hyphen)
        if declared is RejectionCode.INVALID_PROPERTY_NAME:
            return declared
        if len(path) > self._max_length or len(inside.steps) - len(self._call.at) >= LEVELS:
            return RejectionCode.PROPERTY_NAME_TOO_LONG
        names_type = declared in VALIDATORS  # a suffix that names none is part of a nested name
        if not self._by_suffix:
            described, _ = self._described(key, path, inside)
            names_type = described is not None and not isinstance(described, (dict, list))
            if names_type and not (isinstance(described, str) and described in TYPES):
                return RejectionCode.INVALID_PROPERTY_TYPE
        if names_type or (type(value) is list and not self._lists_pass):
            return RejectionCode.EXPECTED_ATOM
        return None

    def _reject_entry(self, code: RejectionCode, key: str, inside: WalkedObject) -> None:
        """Reject a member with all that the schema says of it and of what is in it."""
        path = inside.path + key
        self._reject(code, path, (*inside.steps, key))
        if inside.schema and key in inside.schema:
            self._entries.append((*inside.entry, key))
        if self._flattened:
            self._entries += self._flattened.under(path)


def _are_objects(values: list[object]) -> bool:
    return bool(values) and type(values[0]) is dict and all(type(each) is dict for each in values)
