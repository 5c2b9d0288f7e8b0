"""Validates the properties of one call, each once, in order of appearance (rules.md 2).

The walk keeps the objects that it is in on a stack of its own, so depth costs no recursion. It reads the members of
the innermost object until one of them is an object or a list of objects. That is put on the stack and read first;
then the walk returns to the next member of the outer one.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from fsproxy.core.client_api.calls import MAX_LEAVES, UID, Breach, Typing
from fsproxy.core.client_api.validation.findings import Findings, Schema, WalkedObject
from fsproxy.core.client_api.validation.names import TYPES, read_name
from fsproxy.core.client_api.validation.plain import LONGEST, are_plain, note
from fsproxy.core.client_api.validation.values import OFFSET_VALIDATORS, VALIDATORS, inferred_type
from fsproxy.core.json.layers import LEVELS
from fsproxy.core.json.scanner import NOWHERE, Steps
from fsproxy.core.model import CallKind, PropertyType
from fsproxy.core.reasons import RejectionCode

_BY_SCHEMA, _INFERRED = Typing.SCHEMA, Typing.INFERRED
_BY_NAME: tuple[Steps, None] = (NOWHERE, None)


class Walk(Findings):
    """The walk through one call. Made for one call and used once."""

    __slots__ = ()

    def validate_all(self) -> None:
        """Validate all properties of the call."""
        call = self._call
        if call.envelope:
            self._validate_envelope()
        root = WalkedObject(call.properties, call.schema, "", call.at, call.schema_at)
        stack = [] if self._passes_at_once(call.properties, root) else [root]
        while stack:
            inside = stack[-1]
            deeper = self._validate_members(inside)
            if deeper:
                stack += deeper
                continue
            stack.pop()
            if inside.outer is not None:
                self._leave(inside, inside.outer)

    def _passes_at_once(self, members: dict[str, Any], inside: WalkedObject) -> bool:
        """Pass an object if all in it is plain, with few steps of the interpreter; else change nothing."""
        count, path, settings = len(members), inside.path, self._settings
        if not self._by_suffix or self._refused or self._leaves + count > MAX_LEAVES or not members:
            return False
        if settings.property_name_length - len(path) < LONGEST or not are_plain(
            members, settings.value_size, small=self._call.size <= settings.value_size
        ):
            return False
        prefix = self._prefix + path
        self._leaves += count
        self.survivors += count
        inside.kept += count
        self.names.update(dict.fromkeys([prefix + key for key in members], _BY_NAME))
        return True

    def _validate_members(self, inside: WalkedObject) -> list[WalkedObject] | None:
        """Validate members up to the next objects, which must be walked before the rest; None: no member is left."""
        path, steps = inside.path, inside.steps
        reserved: Collection[str] = self._reserved if not path else ()
        by_suffix, settings, refused = self._by_suffix, self._settings, self._refused
        hyphen, size, room = settings.allow_hyphen, settings.value_size, settings.property_name_length - len(path)
        prefix, names = self._prefix + path, self.names
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
            if self._leaves > MAX_LEAVES:
                self._reject_entry(RejectionCode.CARDINALITY_EXCEEDED, key, inside)
                continue
            if not by_suffix:
                self._described_leaf(key, value, inside)
                continue
            # Most properties are plain values with a suffix. They are validated here without another call, which
            # would cost as much as the validation does.
            declared = read_name(key, hyphen)
            validate = VALIDATORS.get(declared)
            code = validate(value, size) if validate is not None else None
            name = prefix + key
            if validate is None or code is not None or len(key) > room or name in refused:
                self._reject_suffixed(key, declared, code, path + key, steps)
                continue
            inside.kept += 1
            self.survivors += 1
            names[name] = _BY_NAME
            note(key, kind, declared)
        return None

    def _leave(self, inside: WalkedObject, outer: WalkedObject) -> None:
        """Decide what becomes of a nested object: without members it is cut itself, and so is its empty entry."""
        if inside.kept:
            outer.kept += 1
            return
        if inside.schema is not None and not inside.schema:
            self._entries.append(inside.entry)
        self._entries += [place for place, described in self._flattened.at(inside.path[:-1]) if described == {}]

    def _reserved_member(self, key: str, value: object, inside: WalkedObject) -> None:
        if key == UID and self._call.kind is CallKind.IDENTIFY and not self._call.envelope:
            # The call as a whole was validated by its uid. It is never cut: without it the call means something else.
            self._leaves += 1
            self.survivors += 1
        else:
            self._validate_reserved(key, value, self._reserved[key], (*inside.steps, key))

    def _is_reserved(self, key: str, schema: Schema) -> bool:
        # The schema of apiVersion 1 has an entry only if the page wrote a suffix, and then the name is ordinary.
        return self._call.typing is not Typing.SCHEMA or not schema or key not in schema

    def _described_leaf(self, key: str, value: object, inside: WalkedObject) -> None:
        """Validate a plain value whose type is given by the schema, or by the value where the schema is silent."""
        path = inside.path + key
        described, places = self._described(key, path, inside)
        declared: PropertyType | RejectionCode
        if type(described) is str:
            declared = TYPES.get(described, RejectionCode.INVALID_PROPERTY_TYPE)
        else:
            declared = self._undescribed(described, value)
        typing = self._call.typing
        validate = (OFFSET_VALIDATORS if typing is _INFERRED else VALIDATORS).get(declared)
        canonical = f"{path}_{declared}" if validate is not None else path
        # Under apiVersion 1 the page wrote the suffix, so it counts in the length; under apiVersion 2 no page did.
        length = len(canonical) if typing is _BY_SCHEMA else len(path)
        code: RejectionCode | None = None
        breach: Breach | None = None
        if read_name(key, self._settings.allow_hyphen) is RejectionCode.INVALID_PROPERTY_NAME:
            code = RejectionCode.INVALID_PROPERTY_NAME
        elif length > self._settings.property_name_length:
            code = RejectionCode.PROPERTY_NAME_TOO_LONG
        elif validate is None:
            code = declared  # type: ignore[assignment] # without a validator it is a code
        else:
            code = validate(value, self._settings.value_size)
            breach = self._refused.get(self._prefix + canonical) if code is None else None
        if code is not None:
            self._reject(code, path, (*inside.steps, key), declared if isinstance(declared, PropertyType) else None)
            self._entries += places
            return
        if breach is not None:
            self._refuse(breach, path, (*inside.steps, key))
            self._entries += places
            return
        inside.kept += 1
        self.survivors += 1
        self.names[self._prefix + canonical] = ((*inside.steps, key), places[0] if places else None)
        if places and (self._in_lists or self._flattened):
            self._kept_entries.update(places)

    def _described(self, key: str, path: str, inside: WalkedObject) -> tuple[object, list[Steps]]:
        """Return what the nested and the flattened schema say of a property, and the places of both entries."""
        schema = inside.schema
        described: object = None
        places: list[Steps] = []
        if schema and key in schema:
            described = schema[key]
            places.append((*inside.entry, key))
        for place, flattened in self._flattened.at(path) if self._flattened else ():
            places.append(place)
            if described is None or isinstance(described, (dict, list)):
                described = flattened
            elif flattened != described and not isinstance(flattened, (dict, list)):
                described = False  # two types: ``InvalidPropertyType``, as for anything that is no type
        return described, places

    def _undescribed(self, described: object, value: object) -> PropertyType | RejectionCode:
        """Return the type of a value that has no entry, or an entry for an object, in the schema; or what is wrong."""
        if described is not None and not isinstance(described, (dict, list)):
            return RejectionCode.INVALID_PROPERTY_TYPE
        if self._call.typing is Typing.SCHEMA:
            return RejectionCode.MISSING_PROPERTY_TYPE
        return inferred_type(value)

    def _structure(self, key: str, value: Any, inside: WalkedObject) -> list[WalkedObject] | None:
        """Validate the name of a nested object or of a list of objects. Return the objects in it, the last first."""
        path = inside.path + key
        code = self._structure_problem(key, value, path, inside)
        if code is not None:
            self._leaves += 1
            if self._leaves > MAX_LEAVES:
                code = RejectionCode.CARDINALITY_EXCEEDED
            self._reject_entry(code, key, inside)
            return None
        below = inside.schema.get(key) if inside.schema else None
        steps, entry, path = (*inside.steps, key), (*inside.entry, key), f"{path}."
        if type(value) is dict:
            if not value:
                self._leaves += 1  # to limit the number of empty objects too
                inside.kept += 1
                return None
            deeper = WalkedObject(value, below, path, steps, entry if below is not None else inside.entry)
            deeper.outer = inside
            if self._passes_at_once(value, deeper):
                inside.kept += 1
                return None
            return [deeper]
        self._in_lists = True
        inside.kept += 1
        elements: list[WalkedObject] = []
        for index, each in enumerate(value):
            part, at = below, entry
            if isinstance(below, list):
                # The last entry describes all elements that have none of their own.
                place = index if index < len(below) else len(below) - 1
                part, at = (below[place] if below else None), (*entry, place)
            elements.append(WalkedObject(each, part, path, (*steps, index), at))
            self._leaves += not each  # to limit the number of empty objects too
        elements.reverse()
        return elements

    def _structure_problem(self, key: str, value: object, path: str, inside: WalkedObject) -> RejectionCode | None:
        declared = read_name(key, self._settings.allow_hyphen)
        if declared is RejectionCode.INVALID_PROPERTY_NAME:
            return declared
        if len(path) > self._settings.property_name_length or len(inside.steps) - len(self._call.at) >= LEVELS:
            return RejectionCode.PROPERTY_NAME_TOO_LONG
        names_type = declared in VALIDATORS  # a suffix that names no type is part of the nested name
        if not self._by_suffix:
            described, _ = self._described(key, path, inside)
            names_type = described is not None and not isinstance(described, (dict, list))
            if names_type and not (isinstance(described, str) and described in TYPES):
                return RejectionCode.INVALID_PROPERTY_TYPE
        if names_type or (type(value) is list and not self._lists_pass):
            return RejectionCode.EXPECTED_ATOM
        return None


def _are_objects(values: list[object]) -> bool:
    return bool(values) and type(values[0]) is dict and all(type(each) is dict for each in values)
