"""Reads the calls of the server-side API, single ones and batches (wire.md 5)."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum, unique
from typing import Any

from fsproxy.core.client_api.calls import UID, Call, Typing, broken, unread
from fsproxy.core.client_api.reading.direct import object_in, read_document, read_user_vars
from fsproxy.core.json.member_names import KnownNames, folded
from fsproxy.core.json.scanner import (
    ScanError,
    Span,
    begin_of_json,
    elements_of,
    members_of,
    name_of,
    skip_blank,
)
from fsproxy.core.json.strict import Fault
from fsproxy.core.model import CallKind

_INDIVIDUAL = re.compile(r"/users/v1/individual/[^/]+/(customvars|customevent)")
_ENVELOPE = (("display_name", "displayName"), ("email", "email"))
_REQUESTS = "requests"
_CUSTOM_EVENT_NAMES, _DATA_NAMES = KnownNames(("event",)), KnownNames(("event_name", "event_data"))
_EVENT_NAMES = KnownNames(("name", "properties", "schema"))
_USER_NAMES = KnownNames((UID, "display_name", "email", "properties", "schema"))
_SCHEMA_NAMES = KnownNames(("properties",))


@unique
class ServerCall(StrEnum):
    """The call that a path of the server-side API takes; the values are for audit lines."""

    CUSTOM_VARS = "customvars"
    CUSTOM_EVENT = "customevent"
    EVENT = "/v2/events"
    USER = "/v2/users"
    EVENT_BATCH = "/v2/events/batch"
    USER_BATCH = "/v2/users/batch"

    @property
    def is_batch(self) -> bool:
        """Whether it takes several calls, in ``requests``."""
        return self is ServerCall.EVENT_BATCH or self is ServerCall.USER_BATCH


FIXED_PATHS = {str(each): each for each in ServerCall if each.startswith("/")}


def server_call(path: str) -> ServerCall | None:
    """Return the call that a path takes, in one of its ``spellings``; None: the path is no API call."""
    found = _INDIVIDUAL.fullmatch(path)
    if found is not None:
        return ServerCall(found.group(1))
    return FIXED_PATHS.get(path)


def read_server_call(endpoint: ServerCall, body: bytes, limit: int) -> Call:
    """Read one call: the body of a single one, or an item of a batch. ``limit`` is in bytes."""
    return _READERS[endpoint](body, limit)


def split_batch(body: bytes) -> list[Span] | Fault:
    """Split a batch into its items. Other members of the batch are the vendor's, and not validated."""
    try:
        members, end = members_of(body, begin_of_json(body))
        if skip_blank(body, end) != len(body):
            return Fault.NOT_JSON
        found = [each for each in members if folded(name_of(body, each) or "") == _REQUESTS]
        if len(found) > 1:
            return Fault.DUPLICATE
        if not found:
            return Fault.NOT_BATCH
        if name_of(body, found[0]) != _REQUESTS:
            return Fault.MISSPELT
        return elements_of(body, found[0].value_start)[0]
    except ScanError:
        begin = begin_of_json(body)
        return Fault.NOT_JSON if body[begin : begin + 1] == b"{" else Fault.NOT_OBJECT


def batch_kind(endpoint: ServerCall) -> CallKind:
    """Return the kind of a batch's calls before they are read."""
    return CallKind.EVENT if endpoint is ServerCall.EVENT_BATCH else CallKind.SET_USER_VARS


def _read_custom_event(body: bytes, limit: int) -> Call:
    root = read_document(CallKind.EVENT, body, limit, _CUSTOM_EVENT_NAMES)
    if isinstance(root, Call):
        return root
    event = root.get("event")
    if not isinstance(event, dict):
        return unread(CallKind.EVENT, broken("event is not an object"))
    if _DATA_NAMES.has_misspelt(event):
        return unread(CallKind.EVENT, broken(Fault.MISSPELT))
    data, breaches = object_in(event, "event_data")
    name = event.get("event_name")
    return Call(kind=CallKind.EVENT, name=name, properties=data, breaches=breaches, at=("event", "event_data"))


def _read_event(body: bytes, limit: int) -> Call:
    root = read_document(CallKind.EVENT, body, limit, _EVENT_NAMES)
    return root if isinstance(root, Call) else _inferred(CallKind.EVENT, root, name=root.get("name"))


def _read_user(body: bytes, limit: int) -> Call:
    root = read_document(CallKind.SET_USER_VARS, body, limit, _USER_NAMES)
    if isinstance(root, Call):
        return root
    kind = CallKind.IDENTIFY if UID in root else CallKind.SET_USER_VARS
    return _inferred(kind, root, envelope=_ENVELOPE, around=root)


def _inferred(kind: CallKind, root: dict[str, Any], **more: Any) -> Call:
    properties, breaches = object_in(root, "properties")
    described, more_breaches = object_in(root, "schema")
    schema, last_breaches = object_in(described, "properties")
    if _SCHEMA_NAMES.has_misspelt(described):
        last_breaches += (broken(Fault.MISSPELT),)
    return Call(
        kind=kind,
        typing=Typing.INFERRED,
        properties=properties,
        schema=schema,
        breaches=breaches + more_breaches + last_breaches,
        at=("properties",),
        schema_at=("schema", "properties"),
        **more,
    )


_READERS: dict[ServerCall, Callable[[bytes, int], Call]] = {
    ServerCall.CUSTOM_VARS: read_user_vars,
    ServerCall.CUSTOM_EVENT: _read_custom_event,
    ServerCall.EVENT: _read_event,
    ServerCall.USER: _read_user,
    ServerCall.EVENT_BATCH: _read_event,
    ServerCall.USER_BATCH: _read_user,
}
