"""Reads the ``Args`` of a call's event, of both generations (wire.md 3)."""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import Any

from fsproxy.core.client_api.calls import UID, WIDEST_CHARACTER, Breach, Call, Typing, broken, too_big, unread
from fsproxy.core.client_api.validation.learned import EVENTS
from fsproxy.core.json.strict import Fault, parse_object
from fsproxy.core.model import CallKind
from fsproxy.core.settings import ClientApiSettings

CUSTOM_EVENT = 8197
VARIABLES = 8193
PROPERTIES = 1
"""The place in ``Args`` of the JSON of the properties."""
SCHEMA = 4
"""The place in ``Args`` of the JSON of the schema."""

_READ = SCHEMA + 1
_ABSENT = [None] * _READ
EVENT, _SUFFIX, _BY_SCHEMA, _INFERRED = CallKind.EVENT, Typing.SUFFIX, Typing.SCHEMA, Typing.INFERRED
_UID_FIRST = f'{{"{UID}":'
_SCOPES = {"user": CallKind.SET_USER_VARS, "page": CallKind.PAGE, "document": CallKind.DOCUMENT}


def read_arguments(number: int, args: Any, settings: ClientApiSettings, *, anew: bool = False) -> Call | None:
    """Return the call that an event of ``Kind`` ``number`` is; None for variables of a scope that is not known.

    Each of the two JSON texts may have ``max_payload`` bytes of UTF-8. Unless ``anew``, an event that is learned is
    only recognized, and its properties are not read.
    """
    if not isinstance(args, list):
        kind = EVENT if number == CUSTOM_EVENT else CallKind.SET_USER_VARS
        return unread(kind, broken("its Args are not a list"))
    name, text, _, version, described = args if len(args) == _READ else (args + _ABSENT)[:_READ]
    kind = EVENT
    if number == VARIABLES:
        if isinstance(name, str) and name not in _SCOPES:
            return None
        if not isinstance(name, str):
            return unread(CallKind.SET_USER_VARS, broken("its scope is not a string"))
        kind, name = _SCOPES[name], None
    # Nearly all calls have one of the first two.
    typing = _SUFFIX if version is None else _BY_SCHEMA if version == 1 and type(version) is int else _typing(version)
    is_short = described is None or (type(described) is str and len(described) <= _LONGEST_REMEMBERED)
    key = None
    if is_short and kind is EVENT and type(name) is type(text) is str:
        key = (name, typing, described)
        known = EVENTS.find(key, text, settings) if not anew else None
        if known is not None:
            return known
    limit = settings.max_payload
    properties, breaches = _read_text(text, limit)
    schema: dict[str, Any] = {}
    if typing is None:
        breaches += (broken("its version is not a number"),)
    if described is not None and described != "{}":
        schema, more = (_read_schema if is_short else _read_text)(described, limit)
        breaches += more
    if kind is CallKind.SET_USER_VARS and _is_uid_only(text, properties, breaches):
        # With an entry in the schema the page wrote ``uid_str``, which identifies no user.
        ordinary = typing is _BY_SCHEMA and UID in schema
        kind = kind if ordinary else CallKind.IDENTIFY
    return Call(
        kind=kind,
        name=name,
        typing=typing or _SUFFIX,
        properties=properties,
        schema=schema,
        breaches=breaches,
        size=len(text) if type(text) is str and text.isascii() else sys.maxsize,
        key=key,
    )


def _is_uid_only(text: object, properties: dict[str, Any], breaches: tuple[Breach, ...]) -> bool:
    """Return whether variables are a uid alone; of a text that cannot be read, whether it begins with one."""
    if properties:
        return len(properties) == 1 and UID in properties
    return bool(breaches) and isinstance(text, str) and text.startswith(_UID_FIRST)


def _typing(version: object) -> Typing | None:
    """Return what gives types under an apiVersion. Later ones count as the second, which asks the least of a name."""
    if type(version) is not int and type(version) is not float:
        return None
    return _BY_SCHEMA if version == 1 else _INFERRED


def _read_text(text: object, limit: int) -> tuple[dict[str, Any], tuple[Breach, ...]]:
    if not isinstance(text, str):
        return {}, (broken("not a string that holds JSON"),)
    if len(text) * WIDEST_CHARACTER > limit and len(text.encode()) > limit:
        return {}, (too_big(limit),)
    read = parse_object(text)
    return ({}, (broken(read),)) if isinstance(read, Fault) else (read, ())


_LONGEST_REMEMBERED = 2048
_REMEMBERED_SCHEMAS = 512
"""Schemas of at most 2 KB. The recorder writes the same one with every call of an event; nothing changes them."""
_read_schema = lru_cache(_REMEMBERED_SCHEMAS)(_read_text)
